"""The part of docs/networks.md that lists the node types: keys, shapes, and the example that the tests of nodes run.

Keys come from the fields of the node's class, shapes from the checked graph of the example (tests/nodes_cases.py).
"""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import json
import re
from typing import Any

from congru.runtime.graph import Graph
from congru.runtime.nodes import NODES, Node, Spec
from pages.paths import DOCS, ROOT

BLOCK = re.compile(r"(<!-- nodes -->\n).*?(<!-- end -->)", re.DOTALL)
FRONT = {"steps": "B, T", "row": "B", "memory": "B, S"}


def page() -> str:
    """docs/networks.md with its list of node types made anew."""
    text = (DOCS / "networks.md").read_text()
    return BLOCK.sub(lambda block: f"{block[1]}{listing()}\n{block[2]}", text)


def listing() -> str:
    """A section for every node type, in the order of the files of `congru.runtime.nodes`."""
    cases = examples()
    return "\n\n".join(_section(kind, cases[kind]) for kind in NODES)


def examples() -> dict[str, dict[str, Any]]:
    """For every node type the first network of tests/nodes_cases.py that is named after it."""
    path = ROOT / "tests" / "nodes_cases.py"
    spec = importlib.util.spec_from_file_location("nodes_cases", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    configs: dict[str, dict[str, Any]] = {}
    for name, config in module.CASES.items():
        for kind in re.findall(r"\w+", name):
            if kind in NODES:
                configs.setdefault(kind, config)
    missing = set(NODES) - set(configs)
    if missing:
        raise SystemExit(
            f"tests/nodes_cases.py has no case named after {', '.join(sorted(missing))}: add one"
        )
    return configs


def _section(kind: str, config: dict[str, Any]) -> str:
    node = NODES[kind]
    parts = [
        f"### {kind}",
        _words(node),
        _keys(node),
        "```json\n" + _formatted(config) + "\n```",
        _shapes(kind, config),
    ]
    return "\n\n".join(part for part in parts if part)


def _words(node: type[Node]) -> str:
    """The class's docstring: sentences and formulas as they stand there, each line of prose escaped for Markdown."""
    text = inspect.cleandoc(node.__doc__ or "")
    return re.sub(r"(?<![`\w])([*_])(?=\w)", r"\\\1", text)


def _keys(node: type[Node]) -> str:
    fields = [item for item in dataclasses.fields(node) if item.name not in ("name", "of")]
    if not fields:
        return "No keys of its own."
    lines = ["| key | expected | default |", "| --- | --- | --- |"]
    for item in fields:
        needed = item.default is dataclasses.MISSING
        lines.append(
            f"| `{item.name}` | {item.metadata['expected']} | {'needed' if needed else f'`{json.dumps(item.default)}`'} |"
        )
    return "\n".join(lines)


def _formatted(config: dict[str, Any]) -> str:
    nodes = ",\n           ".join(json.dumps(entry) for entry in config["nodes"])
    return f'{{"inputs": {json.dumps(config["inputs"])},\n "nodes": [{nodes}],\n "outputs": {json.dumps(config["outputs"])}}}'


def _shapes(kind: str, config: dict[str, Any]) -> str:
    """What flows in and out of the node in the example, its weights, its state, and whether it streams."""
    graph = Graph(config)
    node, inputs, output = next(placed for placed in graph.placed if placed.node.type == kind)
    arrows = ", ".join(f"`{name}` {_shape(spec)}" for name, spec in zip(node.of, inputs))
    weights = [f"`{node.name}.{part}` {list(shape)}" for part, shape in node.weights(*inputs).items()]
    state = [
        f"`{node.name}.{part}` [{depth}, B, {size}]" for part, (depth, size) in node.state(*inputs).items()
    ]
    problem = node.stream_problem(*inputs)
    delay = f" Its output is {output.delay} steps late." if output.delay else ""
    return (
        f"In: {arrows}. Out: {_shape(output)}.{delay} Weights: {', '.join(weights) or 'none'}."
        f" State: {', '.join(state) or 'none'}. Step by step: {f'no, it {problem}' if problem else 'yes'}."
    )


def _shape(spec: Spec) -> str:
    if spec.tokens is not None:
        return f"tokens [{', '.join([FRONT[spec.axes], *map(str, spec.size)])}]"
    return f"[{', '.join([FRONT[spec.axes], *map(str, spec.size)])}]"
