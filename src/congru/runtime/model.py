"""A loaded model: its network, its settings and its side files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike, NDArray

from congru.errors import ModelFolderError
from congru.runtime.cells import Array
from congru.runtime.declaration import Layer, recurrent_layers
from congru.runtime.network import Network, State
from congru.runtime.scaler import Scaler
from congru.runtime.session import Session
from congru.runtime.tokenizer import Tokenizer, parse_tokenizer


class Model:
    """What `congru.load` returns.

    `config` is config.json; `network` runs arrays; `weights` are its arrays by name; `files` holds the side
    files as bytes; `folder` is where it lies.
    """

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        network: Network,
        weights: Mapping[str, NDArray[Any]],
        files: Mapping[str, bytes],
    ) -> None:
        self.folder, self.config, self.network, self.files = folder, config, network, files
        self.weights = weights

    @property
    def task(self) -> str:
        """The task it was trained for, such as "text"."""
        return str(self.config["task"])

    @property
    def cell(self) -> str:
        """Its recurrent cell, such as "gru"."""
        return str(self.config["cell"])

    @property
    def task_config(self) -> dict[str, Any]:
        """What its task needs to prepare inputs and read outputs."""
        return dict(self.config["task_config"])

    @property
    def num_parameters(self) -> int:
        """How many trained numbers it has."""
        return self.network.num_parameters

    @cached_property
    def tokenizer(self) -> Tokenizer | None:
        """The tokenizer of tokenizer.json; None where the model has none."""
        content = self.files.get("tokenizer.json")
        return None if content is None else parse_tokenizer(content, str(self.folder / "tokenizer.json"))

    @cached_property
    def scaler(self) -> Scaler | None:
        """The scaler of scaler.json; None where the model has none."""
        content = self.files.get("scaler.json")
        return None if content is None else Scaler.from_json(content, str(self.folder / "scaler.json"))

    @cached_property
    def labels(self) -> list[str] | None:
        """The class names of labels.json in the order of the outputs; None where the model has none."""
        content = self.files.get("labels.json")
        if content is None:
            return None
        try:
            labels = json.loads(content)
        except ValueError:
            labels = None
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            raise ModelFolderError(
                f"{self.folder / 'labels.json'} is no JSON list of names: copy the folder again"
            )
        return labels

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 of network and weights: a saved session state belongs to the model with the same one."""
        digest = hashlib.sha256(json.dumps(self.config["network"], sort_keys=True).encode())
        for name in sorted(self.weights):
            digest.update(name.encode())
            digest.update(self.weights[name].tobytes())
        return digest.hexdigest()

    def run(
        self, x: ArrayLike, lengths: ArrayLike | None = None, state: Mapping[str, ArrayLike] | None = None
    ) -> tuple[Array, State]:
        """Run x [B, T] (tokens) or [B, T, I] at once: output [B, T, O] (pooled: [B, O]) and the state after.

        See :meth:`congru.runtime.network.Network.run`; `model.network.trace` also returns the gates.
        """
        return self.network.run(x, state, lengths)

    def session(self, seed: int | None = None, batch_size: int = 1) -> Session:
        """A fresh :class:`Session` that runs the model step by step; `seed` makes its sampling repeatable.

        Raises :class:`SettingsError` where the network needs the whole sequence at once.
        """
        return Session(self, seed=seed, batch_size=batch_size)

    def __repr__(self) -> str:
        what = "tokens" if self.network.tokens else "features"
        inputs = self.network.num_tokens or self.network.input_size
        sizes = (
            " + ".join(_describe(layer) for layer in recurrent_layers(self.network.layers))
            or "no recurrent layer"
        )
        return (
            f"Model({str(self.folder)!r}: {self.task}, {sizes}, {inputs} {what}"
            f" -> {self.network.output_size} outputs, {self.num_parameters:,} parameters)"
        )


def _describe(layer: Layer) -> str:
    text = f"{layer['type']} {layer['num_layers']} x {layer['hidden_size']}"
    return f"{text} both ways" if layer["bidirectional"] else text
