"""The measured tables of the page about translation, made from the files in results/."""

from __future__ import annotations

from bench.record import ROOT
from bench.tables import markdown, result

TRANSLATE_SETS = {
    "multi30k": "Multi30k, German to English, lower-cased tokens",
    "cased": "Multi30k, cased and detokenised",
    "fixed": "Multi30k, lower-cased tokens, fixed vector",
    "tatoeba": "Tatoeba, English to French",
}


def translate() -> str:
    """Test BLEU of translators beside their baselines, then by length, then cells of equal parameters; or how to measure them."""
    records = {
        name: result(f"translate_{name}")
        for name in (*TRANSLATE_SETS, "cells")
        if (ROOT / "results" / f"translate_{name}.json").exists()
    }
    if not records:
        return "Not measured yet; `python -m bench.translate multi30k --runs runs` measures it.\n"
    rows, lengths = [], []
    for name, record in records.items():
        beside = ", ".join(f"{key} {value:.1f}" for key, value in record["baselines"].items())
        figures = record["figures"]
        models = (
            {TRANSLATE_SETS[name]: figures}
            if name != "cells"
            else {
                f"Multi30k, {cell}, 10 minutes": {**figures[cell]["runs"][0], **figures[cell]}
                for cell in ("gru", "lstm", "rnn")
            }
        )
        for title, row in models.items():
            rates = row["sentences_a_second"]
            rows.append(
                [
                    title,
                    f"**{row['bleu']:.1f}** (greedy {row['bleu_greedy']:.1f}, chrF {row['chrf']:.1f})",
                    beside,
                    f"{row['parameters']:,}",
                    f"{row.get('cpu_seconds_of_training', row['seconds']) / 60:.0f} min",
                    f"{rates['greedy_single']:.0f} / {rates['greedy_batched']:.0f}",
                    f"{rates['beam_5_single']:.0f} / {rates['beam_5_batched']:.0f}",
                ]
            )
        if name in ("multi30k", "fixed"):
            lengths.append([TRANSLATE_SETS[name], *(f"{one['bleu']:.1f}" for one in figures["by_length"])])
            spans = [f"{one['from']} to {one['to']} words" for one in figures["by_length"]]
    header = [
        "",
        "BLEU",
        "beside it",
        "parameters",
        "CPU time",
        "sentences/s greedy, one / many",
        "beam 5, one / many",
    ]
    text = markdown(header, rows)
    if lengths:
        text += "\nBLEU by the length of the source:\n\n" + markdown(["", *spans], lengths)
    return text


BLOCKS = {"translate": translate}
