"""What a user does with a text model, without torch: write from a prompt or line by line, score, look inside."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter
from numpy.typing import NDArray

from congru.data.text import read_text
from congru.errors import DataError, SettingsError
from congru.runtime.model import Model
from congru.runtime.session import Session
from congru.tasks.parts import ALL, Part, part_to_score
from congru.tasks.text.baselines import baselines
from congru.tasks.text.data import length_of, metrics_of, split_at
from congru.tasks.text.scoring import load_text_model, score_text, table, tokenizer_of
from congru.tasks.text.scoring import reply as reply
from congru.tasks.text.streams import NUM_SEGMENTS
from congru.tasks.text.unknown import line_of_unknown, nats_of_unknown, split_known

_END = "/quit"
_AGAIN = "/reset"


def run(
    model: Path,
    /,
    *,
    prompt: Annotated[str | None, Parameter(alias="-p", allow_leading_hyphen=True)] = None,
    n: Annotated[int, Parameter(name=["--n", "-n"])] = 500,
    temperature: float = 0.8,
    top_p: float | None = None,
    top_k: int | None = None,
    seed: int | None = None,
    stop: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    interactive: Annotated[bool, Parameter(alias="-i", negative=())] = False,
    weight_dtype: Literal["float32", "bfloat16"] = "float32",
) -> int:
    """Continue a prompt; the text appears as it is drawn.

    Parameters
    ----------
    model:
        A model folder.
    prompt:
        What to continue; default: the beginning of a line.
    n:
        Tokens to write at most (characters, or byte pairs).
    temperature:
        0 always takes the most probable token, 1 draws as the model believes.
    top_p:
        Draw only among the most probable tokens that together have this probability.
    top_k:
        Draw only among this many tokens.
    seed:
        The same seed writes the same text.
    stop:
        End before this text; may be given several times.
    interactive:
        Read lines and continue each; the state is kept from one to the next.
    weight_dtype:
        bfloat16 halves the bytes that a recurrent step reads; its matrices are rounded to 8 bits.
    """
    loaded = load_text_model(model, weight_dtype)
    session = loaded.session(seed=seed)
    options: dict[str, Any] = {
        "temperature": temperature,
        "top_p": top_p,
        "top_k": top_k,
        "stop": list(stop) or None,
    }
    if interactive:
        return _talk(session, prompt, n, options)
    if prompt is None:
        prompt = _line_start(loaded)
    elif not prompt:
        raise SettingsError("prompt is empty, expected at least one character: leave it out or write some")
    session.feed(prompt)
    pieces = session.generate(n, **options)
    _write(prompt)
    for piece in pieces:
        _write(piece)
    _write("\n")
    return 0


def _talk(session: Session, prompt: str | None, n: int, options: dict[str, Any]) -> int:
    """Each line that is read is fed with its line end and continued; an unknown symbol costs one line."""
    _write(f"Write a line, the model goes on from it. {_AGAIN} forgets, {_END} or Ctrl-D ends.\n")
    if prompt:
        session.feed(prompt)
    while True:
        try:
            line = input("> ")
        except EOFError:
            _write("\n")
            return 0
        if line.strip() == _END:
            return 0
        if line.strip() == _AGAIN:
            session.reset()
            continue
        try:
            session.feed(line + "\n")
        except DataError as error:
            _write(f"{error}\n")
            continue
        for piece in session.generate(n, **options):
            _write(piece)
        _write("\n")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _line_start(model: Model) -> str:
    """A line end where the model knows it, else the first character of its vocabulary."""
    tokenizer = tokenizer_of(model)
    try:
        tokenizer.encode("\n")
    except DataError:
        return tokenizer.decode([0])
    return "\n"


def evaluate(
    model: Path,
    data: str,
    /,
    *,
    part: Part = "auto",
    segments: int = NUM_SEGMENTS,
    quiet: bool = False,
    weight_dtype: Literal["float32", "bfloat16"] = "float32",
) -> dict[str, dict[str, float]]:
    """Score a text: nats and bits per character and bits per byte, beside the baselines.

    Every character is counted once, with the state carried along (see congru.tasks.text.streams). The
    baselines are counted on the text before the scored part; with other parts there is none, and the
    uniform distribution stands there. Symbols that the model does not know are left out for it, and counted and paid for as
    <unknown> (see congru.tasks.text.unknown).

    Parameters
    ----------
    model:
        A model folder.
    data:
        A UTF-8 file or a folder of text files.
    part:
        auto: the test part where there is one, else the validation part; all: everything, for data that training has not read.
        The validation part is the end of the text, the same share as in training; a text has no test part.
    segments:
        Parts of the text that run side by side; 1 is one exact pass from the first character to the last.
    quiet:
        Print nothing.
    weight_dtype:
        bfloat16 halves the bytes that a recurrent step reads; its matrices are rounded to 8 bits.
    """
    loaded = load_text_model(model, weight_dtype)
    corpus = read_text(data)
    chosen = part_to_score(part, ("train", "validation"), data)
    begin = 0 if chosen == ALL else split_at(corpus, float(loaded.task_config["validation"]))
    bounds = {"train": (0, begin), "validation": (begin, None), "all": (0, None)}[chosen]
    before, text = corpus.text[: bounds[0]], corpus.text[slice(*bounds)]
    if not before:
        before, text = text[:1], text[1:]  # the first character has nothing to be predicted from
    if not text:
        raise DataError(f"{data} has one character, expected at least two: choose a longer text")
    file = loaded.files["tokenizer.json"]
    (known_before, _), (known, unknown) = split_known(file, before), split_known(file, text)
    if not known_before:
        known_before, known = known[:1], known[1:]
    if not known:
        raise DataError(
            f"{data} has none of the model's symbols, expected some: choose a model of such texts"
        )
    nats = score_text(loaded, known_before, known, segments) + nats_of_unknown(
        sum(unknown.values()), len(text)
    )
    length = length_of(text)
    rows = {"model": metrics_of(nats, length)}
    for name, nats in baselines(before if chosen == "validation" else "", text).items():
        rows[name] = metrics_of(nats * len(text), length)
    if not quiet:
        print(f"{data}, {chosen}")
        print(table(rows, corpus, loaded, len(text)))
        if unknown:
            print(line_of_unknown(unknown, len(text)))
    return rows


def inspect_inputs(
    model: Model, source: str | None = None, *, limit: int = 400
) -> tuple[NDArray[np.int64], list[str]]:
    """The tokens of a text, or of the beginning of a file, as x [1, T] for ``model.run``; a label for each.

    Without ``source`` the model reads what it has written itself, 200 tokens from the beginning of a line.
    Line ends and spaces are shown by visible signs. At most ``limit`` tokens are taken.

    Raises:
        DataError: nothing to read, or a character that the model does not know.
    """
    tokenizer = tokenizer_of(model)
    if source is None:
        start = _line_start(model)
        text = start + "".join(model.session(seed=0).feed(start).generate(200, temperature=0.8))
    else:
        text = read_text(source).text[: 8 * limit] if os.path.exists(source) else source
    ids = tokenizer.encode(text)[:limit]
    if not ids:
        raise DataError("source is empty, expected a text or the path of a file: write some")
    labels = [tokenizer.decode([index]).replace("\n", "⏎").replace(" ", "␣") for index in ids]
    return np.array([ids], np.int64), labels
