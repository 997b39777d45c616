"""How surprising a text is to a trained model, beside the baselines on the same characters; without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.data.text import Corpus
from congru.errors import ModelFolderError
from congru.report.table import text_table
from congru.report.verdict import verdict
from congru.runtime.answer import Arrays
from congru.runtime.decoding.scores import log_softmax
from congru.runtime.model import Model
from congru.runtime.tokenizer import Tokenizer
from congru.tasks.loading import SHARE, check_config, load_model
from congru.tasks.text.data import METRIC
from congru.tasks.text.streams import NUM_SEGMENTS, make_segments, total_nats
from congru.tasks.text.tokens import encode


def load_text_model(folder: Path, weight_dtype: str = "float32") -> Model:
    """Load a model folder of this task.

    Raises:
        ModelFolderError: a folder that cannot be loaded, of another task, or without a tokenizer.
    """
    model = load_model(folder, "text", reply, weight_dtype)
    tokenizer_of(model)
    check_config(model, validation=SHARE)
    return model


def tokenizer_of(model: Model) -> Tokenizer:
    """The tokenizer of a text model; raises :class:`ModelFolderError` for a folder without one."""
    if model.tokenizer is None:
        raise ModelFolderError(f"{model.folder} has no tokenizer.json, expected one: choose another")
    return model.tokenizer


def reply(model: Model, inputs: Arrays) -> Arrays:
    """The nats [T] of all `tokens` [T + 1] but the first: what every score is made of."""
    tokens = inputs["tokens"]
    logits, _ = model.run(tokens[None, :-1])
    return {"nats": nats_of(logits[0], tokens[1:])}


def score_text(model: Model, before: str, text: str, segments: int = NUM_SEGMENTS) -> float:
    """The sum of -log p over ``text``, which continues ``before`` (at least one character)."""
    file = model.files["tokenizer.json"]
    start = encode(file, before)
    ids = np.concatenate([start, encode(file, text)])

    def score(x: NDArray[Any], y: NDArray[Any], state: Any) -> tuple[NDArray[np.float64], Any]:
        logits, state = model.run(x, state=state)
        return nats_of(logits, y), state

    return total_nats(make_segments(ids, len(start), segments), score)


def nats_of(logits: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.float64]:
    """-log softmax(logits [..., V])[targets [...]], in float64.

    >>> nats_of(np.zeros((1, 4)), np.array([2])).round(4).tolist()
    [1.3863]
    """
    return np.asarray(-np.take_along_axis(log_softmax(logits), targets[..., None], -1)[..., 0])


def table(rows: dict[str, dict[str, float]], corpus: Corpus, model: Model, num_scored: int) -> str:
    """The scores as aligned text, the model first, and the verdict."""
    names = list(rows["model"])
    baselines = {name: row[METRIC] for name, row in rows.items() if name != "model"}
    lines = text_table(
        [(name, *(row[key] for key in names)) for name, row in rows.items()],
        ("", *(name.replace("_", " ") for name in names)),
    )
    return "\n".join(
        [
            f"{corpus.source}: {num_scored:,} of {len(corpus.text):,} characters scored with {model.cell}",
            lines,
            verdict(
                METRIC.replace("_", " "),
                rows["model"][METRIC],
                baselines,
                minimize=True,
                split="scored",
                windows=f"{num_scored:,} characters",
            ),
        ]
    )
