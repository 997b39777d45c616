"""Exported ONNX files in onnxruntime: whole golden cases, and single steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.errors import require
from congru.export.cases import Arrays, Case
from congru.export.onnx.program import STEPS
from congru.runtime.network import Network


class Runner:
    """One ONNX file of a network, loaded."""

    def __init__(self, network: Network, path: Path) -> None:
        onnxruntime = require("onnxruntime", "export")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self.network = network
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._names = [output.name for output in self.session.get_outputs()]
        self._wanted = {entry.name for entry in self.session.get_inputs()}

    def sequence(self, case: Case) -> tuple[Arrays, Arrays]:
        """Outputs and state after of a whole case."""
        return self._split(self._run(self._feeds(case)))

    def step(self, inputs: Arrays, constants: Arrays, state: Arrays) -> tuple[Arrays, Arrays]:
        """Outputs and state after of one step."""
        return self._split(self._run(self._feeds(Case({**inputs, **constants}, {}, state, {}, {}))))

    def repeated_step(self, case: Case) -> Callable[[], object]:
        """The first step of a case's first sequence again and again, for timing."""
        graph, row = self.network.graph, next(case.rows(self.network))
        inputs = {
            name: value[:, 0] if name in graph.step_inputs else value for name, value in row.inputs.items()
        }
        feeds = self._feeds(Case(inputs, {}, row.state, {}, {}))
        return lambda: self._run(feeds)

    def _run(self, feeds: Arrays) -> list[NDArray[Any]]:
        outputs: list[NDArray[Any]] = self.session.run(self._names, feeds)
        return outputs

    def _feeds(self, case: Case) -> Arrays:
        feeds = {name: np.ascontiguousarray(value) for name, value in {**case.inputs, **case.state}.items()}
        for name, value in case.inputs.items():
            spec = self.network.graph.inputs[name]
            key = "steps" if spec.axes == "steps" else name
            entry = STEPS if spec.axes == "steps" else f"{name}.lengths"
            if entry in self._wanted:
                full = np.full(len(value), value.shape[1], np.int64)
                feeds[entry] = case.lengths.get(key, full).astype(np.int64)
        return feeds

    def _split(self, values: list[NDArray[Any]]) -> tuple[Arrays, Arrays]:
        named = dict(zip(self._names, values))
        after = {name: named.pop(f"{name}.next") for name in self.network.graph.state_shapes}
        return named, after
