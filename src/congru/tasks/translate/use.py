"""What a user does with a translator, without torch: translations with scores, word by word as a sentence comes, BLEU."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter
from numpy.typing import NDArray

from congru.errors import DataError, SettingsError
from congru.report.page import Section, page
from congru.report.table import Cell, text_table
from congru.report.verdict import verdict
from congru.runtime import plain_json
from congru.runtime.model import Model
from congru.tasks.parts import Part, part_to_score
from congru.tasks.translate import dictionary
from congru.tasks.translate.alignment import align, alignment_html, alignment_svg, alignment_text
from congru.tasks.translate.data import sentences_of
from congru.tasks.translate.pairs import read_lines, read_pairs
from congru.tasks.translate.scoring import Scores, score
from congru.tasks.translate.settings import PairSettings
from congru.tasks.translate.streaming import WordStream
from congru.tasks.translate.translator import ALPHA, Encoded, Translation, Translator, batches
from congru.tasks.translate.translator import reply as reply

RISING = ("bleu",)  # scores of which more is better
_AT_A_TIME = 256  # lines of a file that are read before the first is written


def run(
    model: Path,
    /,
    text: str | None = None,
    *,
    file: Path | None = None,
    beam: int = 5,
    best: int = 1,
    alpha: float = ALPHA,
    streaming: bool = False,
    scores: bool = False,
    attention: bool = False,
    page_file: Annotated[Path | None, Parameter(name="--page")] = None,
    json_lines: Annotated[bool, Parameter(name="--json", negative=())] = False,
    batch_size: int = 32,
    weight_dtype: Literal["float32", "bfloat16"] = "float32",
) -> int:
    """Translate a text, the lines of a file, or the lines of the standard input.

    Parameters
    ----------
    model:
        A model folder.
    text:
        A sentence; without it and without --file, lines are read from the standard input.
    file:
        A file with one sentence a line; an empty line stays empty.
    beam:
        Hypotheses that are kept at every step; 1 takes the most probable token.
    best:
        Translations printed for each sentence, at most --beam.
    alpha:
        Exponent of the length penalty: 0 prefers short translations, 1 long ones.
    streaming:
        Feed the sentence word by word, and print words of the translation as soon as the beam agrees on them.
    scores:
        Print log p / length penalty before each translation.
    attention:
        Print under each translation where its words looked.
    page_file:
        Also write the translations with their attention as one offline page.
    json_lines:
        Print one JSON object per sentence.
    batch_size:
        Sentences translated at a time.
    weight_dtype:
        bfloat16 halves the bytes that a recurrent step reads; its matrices are rounded to 8 bits.
    """
    translator = Translator.load(model, weight_dtype)
    if (attention or page_file is not None) and not translator.attends:
        raise SettingsError(
            "attention is asked of a model trained with --fixed-vector, expected one with attention"
        )
    sections: list[Section] = []
    for chunk in (
        batches(list(_texts(text, file)) if file or text else [], _AT_A_TIME) if file or text else _typed()
    ):
        if streaming:
            for one in chunk:
                _stream(translator, one, beam, alpha, json_lines)
            continue
        known = [one for one in chunk if one.strip()]
        translated = iter(
            translator.translate(
                known, beam_size=max(beam, 1), num_best=best, alpha=alpha, batch_size=batch_size
            )
        )
        for one in chunk:
            translations = next(translated) if one.strip() else []
            _print(translator, one, translations, scores, attention, json_lines)
            if page_file is not None and translations:
                body = alignment_html(translator, one, translations[0])
                sections.append(Section(one[:60], body, key=f"sentence-{len(sections)}"))
    if page_file is not None:
        page_file.write_text(page("Translations and where they looked", sections), encoding="utf-8")
        print(f"wrote {page_file}")
    return 0


def _texts(text: str | None, file: Path | None) -> Iterator[str]:
    if text is not None:
        if not text.strip():
            raise DataError("text is empty, expected at least one word: write some")
        yield text
    elif file is not None:
        yield from read_lines(file)[0]


def _typed() -> Iterator[list[str]]:
    """The lines of the standard input, each as it comes."""
    for line in sys.stdin:
        yield [line.rstrip("\r\n")]


def _print(
    translator: Translator,
    text: str,
    translations: list[Translation],
    scores: bool,
    attention: bool,
    json_lines: bool,
) -> None:
    if json_lines:
        entries = [
            {"text": one.text, "score": round(one.score, 4), "log_p": round(one.log_p, 4), "ended": one.ended}
            for one in translations
        ]
        print(plain_json.as_json({"source": text, "translations": entries}), flush=True)
        return
    for one in translations:
        print(f"{one.score:8.3f}  {one.text}" if scores or len(translations) > 1 else one.text, flush=True)
        if attention:
            print(alignment_text(translator, text, one) + "\n")
    if not translations:
        print()


def _stream(translator: Translator, text: str, beam: int, alpha: float, json_lines: bool) -> None:
    """A line for every source word: the word, and what the translation gained."""
    stream = WordStream(translator, beam_size=beam, alpha=alpha)
    words = text.split()
    for number, word in enumerate(words, 1):
        gained = stream.push(word, last=number == len(words))
        if json_lines:
            print(plain_json.as_json({"word": word, "gained": gained}), flush=True)
        else:
            print(f"{word:<24} {' '.join(gained)}".rstrip(), flush=True)
    if not json_lines:
        print(f"{'':<24} = {stream.text}")


def evaluate(
    model: Path,
    source: str,
    target: str | None = None,
    /,
    *,
    beam: int = 5,
    alpha: float = ALPHA,
    tokenize: Literal["13a", "none", "intl", "char", "zh"] | None = None,
    lowercase: bool = False,
    part: Part = "auto",
    bad_rows: Literal["raise", "skip"] = "raise",
    output: Path | None = None,
    batch_size: int = 32,
    quiet: bool = False,
    weight_dtype: Literal["float32", "bfloat16"] = "float32",
) -> dict[str, dict[str, float]]:
    """Translate pairs and score them by sacrebleu, beside a word-for-word dictionary and the source as it is.

    Parameters
    ----------
    model:
        A model folder.
    source:
        A file of sentences, or of pairs.
    target:
        The file of their translations, line by line; none for a file of pairs.
    beam:
        Hypotheses that are kept at every step.
    alpha:
        Exponent of the length penalty.
    tokenize:
        How sacrebleu cuts words; default: as in training. none: the texts are cut already.
    lowercase:
        Score capital letters as small ones.
    part:
        auto: the test part where there is one, else the validation part; all: everything, for data that training has not read.
        Pairs have no test part: name the files of one, with all.
    bad_rows:
        A line that is no pair ends the scoring, or is left out and named.
    output:
        Also write the translations, one a line.
    batch_size:
        Sentences translated at a time.
    quiet:
        Print nothing.
    weight_dtype:
        bfloat16 halves the bytes that a recurrent step reads; its matrices are rounded to 8 bits.
    """
    translator = Translator.load(model, weight_dtype)
    config = translator.config
    settings = PairSettings(
        bad_rows=bad_rows,
        **{
            key: config[key]
            for key in ("source_column", "target_column", "source_language", "target_language")
        },
    )
    files = (Path(source),) if target is None else (Path(source), Path(target))
    pairs = read_pairs(files, settings)
    share = float(config.get("validation", settings.validation))
    splits = share > 0 and len(set(pairs.source)) > 1
    name = part_to_score(part, ("train", "validation") if splits else (), pairs.name)
    chosen = sentences_of(pairs, name, share, int(config.get("max_validation", settings.max_validation)))
    translations = translator.translate(chosen.source, beam_size=beam, alpha=alpha, batch_size=batch_size)
    texts = [one[0].text for one in translations]
    if output is not None:
        output.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    cleaned = [translator.source.clean(text) for text in chosen.source]
    references = [[translator.target.clean(text) for text in own] for own in chosen.references]
    cut = tokenize or str(config["bleu_tokenize"])
    words = translator.dictionary
    every = {
        "model": texts,
        "word for word": [dictionary.word_for_word(words, text) for text in cleaned],
        "source as it is": cleaned,
    }
    scored: dict[str, Scores] = {name: score(one, references, cut, lowercase) for name, one in every.items()}
    rows = {name: one.numbers() for name, one in scored.items()}
    if not quiet:
        _print_scores(f"{pairs.name}, {name}", len(chosen), pairs.bad, rows, scored["model"])
    return rows


def _print_scores(
    name: str, count: int, bad: list[str], rows: dict[str, dict[str, float]], own: Scores
) -> None:
    print(f"{name}: {count} sentences")
    for line in bad:
        print(f"left out: {line}")
    names = list(rows["model"])
    table: list[tuple[Cell, ...]] = [(title, *(row[n] for n in names)) for title, row in rows.items()]
    print(text_table(table, ("", *names), best={name: "max" for name in names}))
    for line in own.signatures:
        print(line)
    baselines = {title: row["bleu"] for title, row in rows.items() if title != "model"}
    print(
        verdict(
            "BLEU",
            rows["model"]["bleu"],
            baselines,
            minimize=False,
            split="scored",
            windows=f"{count:,} sentences",
        )
    )


def sentence_of(translator: Translator, source: str | None) -> str:
    """The sentence to look at: as given, the first line of a file, or a validation sentence of the training."""
    if source is None:
        return str(translator.config["sample"])
    return next(iter(read_lines(Path(source))[0]), "") if os.path.isfile(source) else source


def translated(translator: Translator, text: str) -> tuple[Encoded, list[int]]:
    """A sentence as the encoder leaves it, and the tokens of its translation."""
    encoded = translator.encode([text])
    return encoded, translator.search(encoded, beam_size=5)[0][0].tokens


def inspect_inputs(model: Model, source: str | None = None) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """What the decoder reads when it writes its translation of a sentence, [1, T] and what holds for all steps, with labels.

    `source` is a sentence, or a file whose first line is read; without it a validation sentence of the training.
    """
    translator = Translator.of(model)
    encoded, tokens = translated(translator, sentence_of(translator, source))
    inputs = translator.decoder_inputs(encoded, 0, tokens)
    return inputs, ["(start)", *(piece.strip() or piece for piece in translator.target.pieces(tokens))]


def inspect_extra(model: Model, source: str | None = None) -> list[tuple[str, str, str]]:
    """Chapters for the report beside the gates of the decoder: where it looked, and the gates of the encoder.

    Each is (title, sentence, SVG), see :class:`congru.gates.context.Context`.
    """
    from congru.gates.inspect import inspect
    from congru.gates.pictures.film import QUESTION, film

    translator = Translator.of(model)
    text = sentence_of(translator, source)
    chapters = []
    if translator.attends:
        best = translator.translate([text])[0][0]
        sentence = (
            "Each row is a word of the translation, each column one of the source;"
            " the stronger the colour, the more attention."
        )
        chapters.append(("Attention", sentence, alignment_svg(align(translator, text, best))))
    ids = translator.encode([text]).ids[0]
    labels = [*(piece.strip() for piece in translator.source.pieces(ids[:-1])), "(end)"]
    trace = inspect(translator.encoder, np.array([ids]), tokens=labels)
    for depth, ways in enumerate(trace.layers):
        for way, layer in enumerate(ways):
            drawn = film(layer, trace.tokens[0], 0, prefix=f"encoder-{depth}-{way}", steps="words").draw(
                "svg", caption=False
            )
            chapters.append((f"Encoder gates: {layer.title}", QUESTION, drawn.decode()))
    return chapters
