"""Every target has an emitter for every node type, or refuses it by name and says why."""

from __future__ import annotations

import pytest

from congru.errors import ExportError
from congru.export import exporter
from congru.export.arrays.emitters import ARRAYS
from congru.export.c.program import C, CNetwork
from congru.export.emitters import Emitters
from congru.export.int8.emitters import INT8
from congru.export.onnx.program import ONNX
from congru.export.wasm import plan as wasm_plan
from congru.runtime.graph import Graph
from congru.runtime.nodes import NODES
from nodes_cases import CASES

TARGETS = [ONNX, C, INT8, ARRAYS]
EMITTERS_OF = {
    "onnx": ONNX,
    "c": C,
    "int8": INT8,
    "wasm": C,  # a plan of what the emitters of C call
    "numpy": ARRAYS,
    "torch": ARRAYS,
    "keras": ARRAYS,
}


def test_no_target_is_left_out() -> None:
    assert set(EMITTERS_OF) == set(exporter.TARGETS)
    assert {id(emitters) for emitters in EMITTERS_OF.values()} == {id(emitters) for emitters in TARGETS}
    assert wasm_plan.CNetwork is CNetwork


@pytest.mark.parametrize("emitters", TARGETS, ids=lambda target: target.target)
def test_every_node_type_is_written_or_refused_with_a_reason(emitters: Emitters) -> None:
    assert set(emitters.by_type) | set(emitters.refused) == set(NODES)
    assert not set(emitters.by_type) & set(emitters.refused)
    assert all(reason for reason in emitters.refused.values())


def test_a_node_without_an_emitter_has_its_line() -> None:
    paper = Emitters("paper")
    paper.emits("relu")(max)
    paper.refuses("tanh", "has no curve")
    nodes = {name: Graph(CASES[name]).placed[0].node for name in ("relu", "tanh", "gru")}
    assert paper.of(nodes["relu"]) is max
    with pytest.raises(
        ExportError,
        match=r"node 'node' \(tanh\) cannot be written as paper: it has no curve, expected one of relu",
    ):
        paper.of(nodes["tanh"])
    with pytest.raises(ExportError, match="it has no emitter"):
        paper.of(nodes["gru"])
