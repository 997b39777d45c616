"""What the gate explorer asks: the film of a run, and what a prediction stands on.

Everything is computed by :mod:`congru.gates`; here it becomes plain values. A run that was explored is kept for a while, so that
pointing at it costs no second run.
"""

from __future__ import annotations

import base64
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError
from congru.gates.equations import kept_share
from congru.gates.form import CANDIDATE, GATES, KEEP
from congru.gates.formulas import formulas_of
from congru.gates.inputview import pack_shares
from congru.gates.inspect import inspect
from congru.gates.layer import Layer
from congru.gates.memory import attribute_all
from congru.gates.predictions import probable
from congru.gates.reading import Reading
from congru.gates.sources.model_folder import network_of
from congru.gates.strips import strips_of, unit_order
from congru.gates.target import find_output
from congru.gates.timescales import timescales_of
from congru.gates.trace import Trace
from congru.report.colors import reach_of
from congru.runtime.decoding.scores import log_softmax
from congru.runtime.model import Model
from congru.runtime.network import Network
from congru.serve.edits import Edited
from congru.serve.faults import Refused
from congru.serve.library import Shelf
from congru.serve.source import Source

MOST_STEPS = 600
MOST_CELLS = 4_000_000  # steps x units of the layers of one film
KEPT = 24  # explored runs
MOST_PICTURES = 400_000  # characters of the pictures of all steps
SHOWN = 6  # predictions of a step
Floats = NDArray[np.floating[Any]]


@dataclass
class Explored:
    """One run of a model over one input: x by input, a label for each step, the trace of every recurrent node."""

    key: str
    shelf: Shelf
    model: Model
    network: Network
    x: dict[str, Any]
    labels: list[str]
    tokens: list[int] | None
    traces: dict[str, Trace]
    cut: int = 0
    reading: Reading | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def trace(self) -> Trace:
        """The last recurrent node, which the predictions are read from."""
        return list(self.traces.values())[-1]

    def layers(self) -> dict[str, list[Layer]]:
        """The layers of every node that runs forward only, bottom up."""
        return {
            name: [row[0] for row in trace.layers]
            for name, trace in self.traces.items()
            if len(trace.layers[0]) == 1
        }


class Explorer:
    """Runs and the answers about them; `KEPT` runs are remembered."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str, Explored] = OrderedDict()
        self._lock = threading.Lock()

    def explore(self, shelf: Shelf, model: Model, source: Source) -> Explored:
        """Trace every recurrent node of the network that takes x.

        Raises :class:`~congru.errors.CongruError` where the network has none.
        """
        x = source.x
        network = network_of(model, x)
        names = [node.name for node in network.graph.recurrent]
        traces = {name: inspect(model, x, tokens=source.labels, layer=name) for name in names}
        if names:
            traces[names[-1]] = _with_names(traces[names[-1]], source.reading)
        by_name = dict(x) if isinstance(x, dict) else {next(iter(network.graph.inputs)): x}
        explored = Explored(
            secrets.token_urlsafe(9),
            shelf,
            model,
            network,
            by_name,
            source.labels,
            source.tokens,
            traces,
            source.cut,
            source.reading,
        )
        with self._lock:
            self._runs[explored.key] = explored
            while len(self._runs) > KEPT:
                self._runs.popitem(last=False)
        return explored

    def find(self, key: str) -> Explored:
        """A run that was explored. Raises :class:`Refused` (404) where it was forgotten."""
        with self._lock:
            if key not in self._runs:
                raise Refused(
                    "forgotten", 404, f"run is {key!r:.40}, expected one explored lately: explore it again"
                )
            self._runs.move_to_end(key)
            return self._runs[key]


def film(explored: Explored) -> dict[str, Any]:
    """Everything that is drawn at once: the steps, the layers with their heat maps, what was expected after each step."""
    layers = []
    for node, trace in explored.traces.items():
        for depth, row in enumerate(trace.layers):
            for way, layer in enumerate(row):
                layers.append(layer_film(node, depth, way, layer, len(row)))
    return {
        "run": explored.key,
        "model": explored.shelf.name,
        "task": explored.model.task,
        "steps": explored.labels,
        "cut": explored.cut,
        **told_by_task(explored),
        "layers": layers,
        "predictions": predictions(explored),
        "shares": shares_problem(explored.trace),
        "edits": bool(explored.layers()),
        "tokens": explored.tokens,
    }


def told_by_task(explored: Explored) -> dict[str, Any]:
    """The words of the task: names of steps and predictions, a value and a picture of each step, and the prediction after it."""
    reading = explored.reading or Reading(None, ())
    pictures = (
        [] if reading.style else list(reading.pictures)
    )  # of those with a style each view draws its own
    return {
        "words": {
            "step": reading.step,
            "steps": reading.steps,
            "predicts": reading.predicts,
            "of": reading.of,
            "adds_up": reading.adds_up,
        },
        "values": list(reading.values)[: len(explored.labels)],
        "pictures": pictures if sum(map(len, pictures)) <= MOST_PICTURES else [],
        "predicted": predicted_after(explored),
    }


def predicted_after(explored: Explored) -> list[dict[str, Any]] | None:
    """What the task says after each step, each choice with its shares as bytes; None where the read-out says it all."""
    reading, trace = explored.reading, explored.trace
    if reading is None or explored.cut:
        return None
    if reading.predict is not None:
        every = reading.predict(trace)
    elif (
        trace.readout is None and trace.output is not None and len(reading.outputs) == trace.output.shape[-1]
    ):
        every = probable(trace, reading.outputs, reading.actual)
    else:
        return None
    return [
        {
            "at": one.at,
            "choices": [
                [
                    choice.name,
                    choice.value,
                    round(float(np.nan_to_num(choice.bar)), 4),
                    *pack_shares(choice.shares),
                ]
                for choice in one.choices
            ],
        }
        for one in every
    ]


def _with_names(trace: Trace, reading: Reading | None) -> Trace:
    """A trace whose read-out bears the names of the task, where it has none and each is as likely as its softmax."""
    readout = trace.readout
    if reading is None or reading.predict is not None or readout is None or readout.labels:
        return trace
    if len(reading.outputs) != len(readout.weight):
        return trace
    return replace(trace, readout=replace(readout, labels=tuple(reading.outputs)))


def layer_film(node: str, depth: int, way: int, layer: Layer, ways: int) -> dict[str, Any]:
    """One layer in one direction: units in their order, their timescales, and its heat maps as bytes."""
    size = len(layer.order(0)) * layer.hidden_size
    if size > MOST_CELLS:
        raise DataError(
            f"input has {size} steps times units, expected at most {MOST_CELLS}: take fewer steps"
        )
    tau = timescales_of(layer).tau if layer.cell in KEEP else np.full(layer.hidden_size, np.nan)
    return {
        "node": node,
        "depth": depth,
        "direction": way,
        "directions": ways,
        "title": layer.form.title,
        "cell": layer.cell,
        "units": layer.hidden_size,
        "order": unit_order(layer).tolist(),
        "tau": [None if not np.isfinite(value) else round(float(value), 3) for value in tau],
        "formulas": formulas_of(layer.form),
        "strips": [
            {
                "key": strip.key,
                "title": strip.title,
                "signed": strip.signed,
                **packed(strip.values, strip.signed),
            }
            for strip in strips_of(layer, 0)
        ],
    }


def packed(values: Floats, signed: bool, reach: float | None = None) -> dict[str, Any]:
    """Values [T, H] as bytes: share = byte / 255, or signed = (byte - 127) / 127 * reach.

    >>> packed(np.array([[0.0, 1.0]]), False)["data"]
    'AP8='
    """
    reach = reach or (reach_of(values) if signed else 1.0)
    scaled = np.clip(np.asarray(values) / reach, -1, 1) * 127 + 127 if signed else np.clip(values, 0, 1) * 255
    return {
        "reach": round(reach, 5),
        "data": base64.b64encode(np.round(scaled).astype(np.uint8).tobytes()).decode(),
    }


def predictions(explored: Explored) -> dict[str, Any] | None:
    """After each step the likeliest outputs, and how likely the step that came was; None where outputs are no choices."""
    readout, output = explored.trace.readout, explored.trace.output
    if readout is None or output is None or not readout.labels or len(readout.labels) != output.shape[-1]:
        return None
    log_p = log_softmax(np.asarray(output, np.float64))[0]
    log_p = log_p[None] if log_p.ndim == 1 else log_p
    order = np.argsort(-log_p, axis=1, kind="stable")[:, :SHOWN]
    actual = []
    if explored.tokens is not None:
        for t, token in enumerate(explored.tokens[1:]):
            rank = int((log_p[t] > log_p[t, token]).sum()) + 1
            actual.append([round(float(np.exp(log_p[t, token])), 5), rank])
    return {
        "kind": readout.kind,
        "count": len(readout.labels),
        "best": [
            [[int(k), round(float(np.exp(log_p[t, k])), 5)] for k in row] for t, row in enumerate(order)
        ],
        "labels": {int(k): output_name(explored, int(k)) for k in np.unique(order)},
        "actual": actual,
    }


def shares_problem(trace: Trace) -> dict[str, Any]:
    """Whether a prediction can be shared out over the steps, and why not."""
    if trace.readout is None:
        return {"kind": None, "why": "the output is no linear function of the states of the last layer"}
    if trace.cell not in KEEP:
        return {
            "kind": None,
            "why": "this cell has no keep gate: all of its state is written anew at every step",
        }
    return {"kind": trace.readout.kind, "why": None}


def shares(explored: Explored, at: int | None, target: int | None, trust: bool) -> dict[str, Any]:
    """What each step gave an output: exact contributions, the start, the bias; with `trust` how far to believe them."""
    trace = explored.trace
    if trace.readout is None:
        raise DataError(
            "shares are asked of a model without linear read-out: " + shares_problem(trace)["why"]
        )
    at = None if trace.readout.kind != "steps" else at
    index, step = find_output(trace, target, at, 0)
    if trust or trace.cell == "lstm":
        memory = trace.memory(index, at)
        contributions, start, bias, output = memory.contributions, memory.start, memory.bias, memory.output
        share: float | None = memory.share
    else:
        readout = trace.readout
        one = replace(
            readout, weight=readout.weight[index : index + 1], bias=readout.bias[index : index + 1], labels=()
        )
        whole = attribute_all(replace(trace, readout=one), at)
        contributions, share = whole.contributions[:, 0], None
        start, bias, output = float(whole.start[0]), float(whole.bias[0]), float(whole.output[0])
    return {
        "target": index,
        "label": output_name(explored, index),
        "at": step,
        "contributions": np.round(contributions, 5).tolist(),
        "start": start,
        "bias": bias,
        "output": output,
        "residual": output - float(contributions.sum() + start + bias),
        "trust": share if share is None or np.isfinite(share) else None,
    }


def output_name(explored: Explored, index: int) -> str:
    """What an output is called: by its task, or by its read-out, with spaces made visible."""
    readout, reading = explored.trace.readout, explored.reading
    assert readout is not None
    if reading is not None and len(reading.outputs) == len(readout.weight):
        return reading.outputs[index]
    return shown(readout.label(index))


def shown(label: str) -> str:
    """A token as it may be shown: spaces and line ends by visible signs.

    >>> shown("a \\n")
    'a␣⏎'
    """
    return label.replace("\n", "⏎").replace(" ", "␣").replace("\t", "⇥")


def edited_strips(layer: Layer, edited: Edited, node: str, depth: int) -> list[dict[str, Any]]:
    """The heat maps of a layer that was edited, on the scales of the run as it was."""
    gates, y = edited.gates[node, depth], edited.states[node, depth]
    letters = dict(zip(GATES[layer.cell], gates))
    told = []
    for strip in strips_of(layer, 0):
        values = {
            "keep": kept_share(layer.form, letters[KEEP[layer.cell]]) if layer.cell in KEEP else None,
            "reset": letters.get("r"),
            "input": letters.get("i"),
            "output": letters.get("o"),
            "candidate": letters.get(CANDIDATE[layer.cell]),
            "state": y,
        }.get(strip.key)
        if values is not None:
            reach = reach_of(strip.values) if strip.signed else 1.0
            told.append({"key": strip.key, "signed": strip.signed, **packed(values, strip.signed, reach)})
    return told
