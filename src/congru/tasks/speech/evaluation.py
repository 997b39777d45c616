"""Error rates of a recogniser, or of several together, on audio with transcripts, without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from congru.report.table import text_table
from congru.report.verdict import verdict
from congru.tasks.parts import Part
from congru.tasks.speech.data import part_of
from congru.tasks.speech.ensemble import Ensemble
from congru.tasks.speech.flags import make_decoding
from congru.tasks.speech.recognizer import Recognizer
from congru.tasks.speech.scoring import baseline_texts, error_rates, exact
from congru.tasks.speech.utterances import Reading, read_utterances
from congru.tasks.speech.words import text_of


def evaluate(
    model: Path,
    data: str,
    /,
    *,
    others: Annotated[tuple[Path, ...], Parameter(name="--with")] = (),
    part: Part = "auto",
    beam: int | None = None,
    words: str | None = None,
    lm: str | None = None,
    lm_weight: float = 0.5,
    word_bonus: float = 0.0,
    one_word: bool = False,
    bad: Literal["stop", "skip"] = "stop",
    errors: int = 0,
    quiet: bool = False,
    weight_dtype: Literal["float32", "bfloat16"] = "float32",
) -> dict[str, dict[str, float]]:
    """Score audio with transcripts: word and character error rate and share of texts without an error.

    Parameters
    ----------
    model:
        A model folder.
    data:
        A folder, table or .npz file as for training.
    others:
        Another model folder whose model hears the same recordings, any number of times: the text that all find most probable.
    part:
        auto: the test part where there is one, else the validation part; all: everything, for data that training has not read.
    beam:
        Also score a search with so many texts side by side; with --words or --lm 16 by default.
    words:
        The only words allowed: a file, or train for those of the training texts.
    lm:
        An ARPA language model, or train for the trigrams of the training texts.
    lm_weight:
        How much the language model counts.
    word_bonus:
        Added to a text's score for every word.
    one_word:
        A recording is one of the --words, such as a command.
    bad:
        At an utterance that cannot be used: stop, or skip and count.
    errors:
        Print so many of the texts with errors.
    quiet:
        Print nothing.
    weight_dtype:
        bfloat16 halves the bytes that a recurrent step reads; its matrices are rounded to 8 bits.
    """
    ensemble = Ensemble.load([model, *others], weight_dtype)
    recognizer = ensemble.recognizers[0]
    chosen = make_decoding(ensemble, beam, words, lm, lm_weight, word_bonus, one_word)
    notes: dict[str, Any] = {}
    utterances = read_utterances(Path(data), reading_of(recognizer, bad), notes)
    name, rows = part_of(utterances, part, float(recognizer.config["validation"]), data)
    references = [one.text for one in rows]
    log_p = [ensemble.log_probabilities(one.frames) for one in rows]
    heard = {"model, best path": [text_of(recognizer.words_of_log_p(one[0])) for one in log_p]}
    if chosen.beam:
        using = [name for name, value in (("words", words), ("language model", lm)) if value is not None]
        who = f"{len(others) + 1} models" if others else "model"
        title = ", ".join([f"{who}, beam {chosen.beam}", *using])
        heard[title] = [text_of(ensemble.words_of_log_p(one, chosen)) for one in log_p]
    trivial = baseline_texts([recognizer.config["most_frequent"]], len(references))
    scores = {
        title: {**error_rates(references, texts), "exact": exact(references, texts)}
        for title, texts in {**heard, **trivial}.items()
    }
    if not quiet:
        _print_scores(data, name, references, heard, scores, notes, errors)
    return scores


def reading_of(recognizer: Recognizer, bad: str) -> Reading:
    """How data is read for a model: as in training."""
    config, front = recognizer.config, recognizer.front_end
    return Reading(front.kind, front.rate_hz, config["case"], config["alphabet"], bad, config["speaker"])


def _print_scores(
    data: str,
    part: str,
    references: list[str],
    heard: dict[str, list[str]],
    scores: dict[str, dict[str, float]],
    notes: dict[str, Any],
    errors: int,
) -> None:
    print(
        f"{data}, {part}: {len(references)} utterances, {sum(len(text.split()) for text in references)} words"
    )
    for what, words in notes.items():
        print(f"{what}: {words}")
    best = {"wer": "min", "cer": "min", "exact": "max"}
    print(
        text_table(
            [(title, *(row[n] for n in best)) for title, row in scores.items()], ("", *best), best=best
        )
    )
    last = list(heard)[-1]
    wrong = [(a, b) for a, b in zip(references, heard[last]) if a != b]
    for text, other in wrong[:errors]:
        print(f"said  {text}\nheard {other}")
    baselines = {title: row["wer"] for title, row in scores.items() if title not in heard}
    print(
        verdict(
            "wer",
            scores[last]["wer"],
            baselines,
            minimize=True,
            split="scored",
            windows=f"{len(references):,} utterances",
        )
    )
