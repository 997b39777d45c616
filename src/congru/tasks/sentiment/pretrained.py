"""Starting from a language model of unlabelled text (Dai & Le 2015): the folder of any `congru train text`.

Its tokenizer, its table of vectors and its recurrent layers are taken over; a backward direction and the output start anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from congru.errors import SettingsError
from congru.runtime.nodes.pointwise import Embedding
from congru.runtime.nodes.recurrent import RecurrentNode
from congru.tasks.loading import start_model


@dataclass(frozen=True)
class Pretrained:
    """What a language model gives: its tokenizer file, the kind of its tokens, sizes, and weights by our names."""

    folder: Path
    tokenizer_file: bytes
    tokens: str
    cell: str
    hidden_size: int
    num_layers: int
    embedding_size: int
    reset_before: bool
    weights: Mapping[str, NDArray[Any]]


def read_pretrained(folder: Path) -> Pretrained:
    """Load a model folder or run folder of the task text.

    Raises:
        SettingsError: a model of another task.
    """
    model = start_model(folder, "text", "tokenizer.json")
    graph = model.network.graph
    embed = next(node for node, _, _ in graph.placed if isinstance(node, Embedding))
    layer = next(node for node, _, _ in graph.placed if isinstance(node, RecurrentNode))
    weights = {}
    for name, value in model.network.weights.items():
        owner, _, part = name.partition(".")
        if owner == embed.name:
            weights[f"embed.{part}"] = value
        elif owner == layer.name:
            weights[f"rnn.{part}"] = value
    return Pretrained(
        folder=folder,
        tokenizer_file=model.files["tokenizer.json"],
        tokens=str(model.task_config.get("tokens", "char")),
        cell=layer.type,
        hidden_size=layer.hidden_size,
        num_layers=layer.num_layers,
        embedding_size=embed.size,
        reset_before=layer.reset_first,
        weights=weights,
    )


def check_fits(start: Pretrained, settings: Any) -> None:
    """Refuse settings of another shape than the language model's.

    Raises:
        SettingsError: another cell or size, with the flag that fits.
    """
    names = ("cell", "hidden_size", "embedding_size", "num_layers", "reset_before")
    wanted = {name: getattr(start, name) for name in names}
    for name, value in wanted.items():
        if getattr(settings, name) != value:
            flag = f"--{name.replace('_', '-')} {value}"
            raise SettingsError(
                f"{name} is {getattr(settings, name)!r}, expected {value!r} as in '{start.folder}': pass {flag}"
            )
