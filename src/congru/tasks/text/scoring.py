"""How surprising a text is to a trained model, beside the baselines on the same characters; without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter
from numpy.typing import NDArray

from congru.data.text import Corpus, read_text
from congru.errors import DataError, ModelFolderError
from congru.runtime.folder import load
from congru.runtime.model import Model
from congru.runtime.tokenizer import Tokenizer
from congru.tasks.text.baselines import baselines
from congru.tasks.text.corpus import METRIC, figures, split_at
from congru.tasks.text.streams import NUM_LANES, make_lanes, total_nats
from congru.tasks.text.tokens import encode


def evaluate(
    model: Path,
    data: str,
    /,
    *,
    part: Literal["validation", "all"] = "validation",
    lanes: Annotated[int, Parameter(name=["--lanes"])] = NUM_LANES,
    quiet: bool = False,
    weight_dtype: Literal["float32", "bfloat16"] = "float32",
) -> dict[str, dict[str, float]]:
    """Score a text: nats and bits per character and bits per byte, beside the baselines.

    Every character is counted once, with the state carried along (see congru.tasks.text.streams). The
    baselines are counted on the text before the scored part; with ``--part all`` there is none, and the
    uniform distribution stands there.

    Parameters
    ----------
    model:
        A model folder.
    data:
        A UTF-8 file or a folder of text files.
    part:
        validation: the end of the text, the same share as the model's own validation part; all: everything.
    lanes:
        Parts of the text that run side by side; 1 is one exact pass from the first character to the last.
    quiet:
        Print nothing.
    weight_dtype:
        bfloat16 halves the bytes that a recurrent step reads; its matrices are rounded to 8 bits.
    """
    loaded = load_text_model(model, weight_dtype)
    corpus = read_text(data)
    begin = split_at(corpus, float(loaded.task_config["validation"])) if part == "validation" else 0
    before, text = corpus.text[:begin], corpus.text[begin:]
    if not before:
        before, text = text[:1], text[1:]  # the first character has nothing to be predicted from
    if not text:
        raise DataError(f"{data} has one character, expected at least two: choose a longer text")
    rows = {"model": figures(score_text(loaded, before, text, lanes), text)}
    for name, nats in baselines(before if part == "validation" else "", text).items():
        rows[name] = figures(nats * len(text), text)
    if not quiet:
        print(table(rows, corpus, loaded, len(text)))
    return rows


def load_text_model(folder: Path, weight_dtype: str = "float32") -> Model:
    """Load a model folder of this task.

    Raises:
        ModelFolderError: a folder that cannot be loaded, or a model of another task.
    """
    model = load(folder, weight_dtype=weight_dtype)
    if model.task != "text" or model.tokenizer is None:
        raise ModelFolderError(
            f"{folder} is a model of the task {model.task!r}, expected 'text' and a tokenizer.json:"
            " choose another"
        )
    return model


def score_text(model: Model, before: str, text: str, lanes: int = NUM_LANES) -> float:
    """The sum of -log p over ``text``, which continues ``before`` (at least one character)."""
    assert model.tokenizer is not None
    file = model.files["tokenizer.json"]
    start = encode(file, before)
    ids = np.concatenate([start, encode(file, text)])

    def score(x: NDArray[Any], y: NDArray[Any], state: Any) -> tuple[NDArray[np.float64], Any]:
        logits, state = model.run(x, state=state)
        return nats_of(logits, y), state

    return total_nats(make_lanes(ids, len(start), lanes), score)


def nats_of(logits: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.float64]:
    """-log softmax(logits [..., V])[targets [...]], in float64.

    >>> nats_of(np.zeros((1, 4)), np.array([2])).round(4).tolist()
    [1.3863]
    """
    wide = np.asarray(logits, np.float64)
    wide = wide - wide.max(-1, keepdims=True)
    chosen = np.take_along_axis(wide, targets[..., None], -1)[..., 0]
    return np.asarray(np.log(np.exp(wide).sum(-1)) - chosen, np.float64)


def table(rows: dict[str, dict[str, float]], corpus: Corpus, model: Model, num_scored: int) -> str:
    """The figures as aligned text, the model first."""
    names = list(next(iter(rows.values())))
    lines = [f"{corpus.source}: {num_scored:,} of {len(corpus.text):,} characters scored with {model.cell}"]
    lines.append(f"{'':<12}" + "".join(f"{name.replace('_', ' '):>16}" for name in names))
    lines += [f"{name:<12}" + "".join(f"{row[key]:>16.4f}" for key in names) for name, row in rows.items()]
    best = min((name for name in rows if name != "model"), key=lambda name: rows[name][METRIC])
    verdict = "beats" if rows["model"][METRIC] < rows[best][METRIC] else "does NOT beat"
    return "\n".join([*lines, f"The model {verdict} {best}."])


def tokenizer_of(model: Model) -> Tokenizer:
    """The tokenizer that :func:`load_text_model` has found."""
    assert model.tokenizer is not None
    return model.tokenizer
