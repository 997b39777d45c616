"""The test of an exported C file: the golden cases of its folder as a program, which prints the errors and a step's time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from congru.export.c.program import CNetwork, field
from congru.export.c.writer import array_text
from congru.export.cases import TOLERANCE, Case

_HEAD = """\
/* The golden cases of {model}.c: prints "NETWORK error E"; with an argument also "NETWORK us T", microseconds a step. */
#include <stdio.h>
#include <time.h>

#include "{model}.h"

typedef struct {{
  double difference, largest;
}} distance;

static double worst;
static int wrong;

static void look(distance *d, const float *actual, const float *expected, int size) {{
  int i;
  for (i = 0; i < size; i++) {{
    double e = expected[i], difference = actual[i] > e ? actual[i] - e : e - actual[i];
    if (!(difference <= 1e38)) difference = 1e38;
    if (difference > d->difference) d->difference = difference;
    if (e < 0) e = -e;
    if (e > d->largest) d->largest = e;
  }}
}}

static void settle(const distance *d) {{
  double error = d->difference / (d->largest > 1e-3 ? d->largest : 1e-3);
  if (error > worst) worst = error;
}}
"""


_WHOLE = """
static int16_t whole(float h) {
  float v = h * 32768.0f;
  v = v < -32767.0f ? -32767.0f : v > 32767.0f ? 32767.0f : v;
  return (int16_t)(v < 0.0f ? v - 0.5f : v + 0.5f);
}
"""


def golden_source(model: str, networks: Mapping[str, CNetwork], cases: Mapping[str, Iterable[Case]]) -> str:
    """The text of MODEL_test.c."""
    parts, calls = [_HEAD.format(model=model)], list[str]()
    if any(network.writer.int16 for network in networks.values()):
        parts.append(_WHOLE)
    for name, network in networks.items():
        rows = [row for case in cases[name] for row in case.rows(network.network)]
        parts += [_check(network), *(_arrays(network, k, row) for k, row in enumerate(rows))]
        calls.append("  worst = 0.0;")
        calls += [f"  {name}_check({', '.join(_names(network, k, row))});" for k, row in enumerate(rows)]
        calls.append(f'  printf("{name} error %.9g\\n", worst);')
        calls.append(f"  if (!(worst <= {TOLERANCE})) wrong = 1;")
        calls.append(f"  if (count > 1) {name}_time({', '.join(_names(network, 0, rows[0]))});")
    parts.append(
        "int main(int count, char **words) {\n  (void)words;\n" + "\n".join(calls) + "\n  return wrong;\n}\n"
    )
    return "\n".join(parts)


def _array_name(network: CNetwork, k: int, what: str, name: str) -> str:
    return f"{network.name}_{k}_{what}_{field(name)}"


def _parts(row: Case) -> list[tuple[str, str, np.ndarray]]:
    groups = (("in", row.inputs), ("before", row.state), ("out", row.outputs), ("after", row.after))
    return [(what, name, value) for what, group in groups for name, value in group.items()]


def _arrays(network: CNetwork, k: int, row: Case) -> str:
    texts = []
    for what, name, value in _parts(row):
        kind = np.int32 if what == "in" and network.network.graph.inputs[name].tokens else np.float32
        texts.append(array_text(_array_name(network, k, what, name), value.astype(kind)))
    return "".join(texts)


def _names(network: CNetwork, k: int, row: Case) -> list[str]:
    """The arguments of a check: steps, lengths of the memories, arrays."""
    graph = network.network.graph
    steps = row.inputs[graph.step_inputs[0]].shape[1] if graph.step_inputs else 1
    counts = [str(row.inputs[key].shape[1]) for key, spec in graph.inputs.items() if spec.axes == "memory"]
    return [str(steps), *counts, *(_array_name(network, k, what, name) for what, name, _ in _parts(row))]


def _in(name: str) -> str:
    return f"in_{name}"


def _entering(network: CNetwork, key: str) -> str:
    """A number of a state as the golden case has it, in the type of its field."""
    value = f"{key}_before[i]"
    if network.kind(key) == "float":
        return value
    return f"whole({value})"


def _look_at_state(network: CNetwork, key: str, size: int) -> str:
    if network.kind(key) == "float":
        return f"look(&of_state_{key}, state.{key}, {key}_after, {size});"
    one = f"float h = (float)state.{key}[i] / 32768.0f; look(&of_state_{key}, &h, {key}_after + i, 1);"
    return f"for (i = 0; i < {size}; i++) {{ {one} }}"


def _check(network: CNetwork) -> str:
    """The functions that run one sequence and compare, and that run it again and again."""
    graph, name, prefix = network.network.graph, network.name, network.prefix
    declared, passed = ["int steps"], list[str]()
    for key, spec in graph.inputs.items():
        if spec.axes == "memory":
            declared.append(f"int {_in(key)}_count")
    for key, spec in graph.inputs.items():
        kind = "int32_t" if spec.tokens else "float"
        declared.append(f"const {kind} *{_in(key)}")
        width = len(spec.tokens) if spec.tokens else int(np.prod(spec.size))
        if spec.axes == "steps":
            single = spec.tokens is not None and not spec.size
            passed.append(f"{_in(key)}[t]" if single else f"{_in(key)} + t * {width}")
        else:
            passed.append(f"{_in(key)}[0]" if spec.tokens and not spec.size else _in(key))
        if spec.axes == "memory":
            passed.append(f"{_in(key)}_count")
    states = network.states
    outputs = {key: int(np.prod(spec.size)) for key, spec in graph.outputs.items()}
    declared += [f"const float *{key}_before" for key in states]
    declared += [f"const float *{key}_expected" for key in outputs]
    declared += [f"const float *{key}_after" for key in states]
    begin = [f"{prefix}_state state;"] if states else []
    begin += [f"float {key}_actual[{size}];" for key, size in outputs.items()]
    self = ["&state"] if states else []
    call = f"{prefix}_step({', '.join([*self, *passed, *(f'{key}_actual' for key in outputs)])});"
    enter = [f"{prefix}_reset(&state);"] if states else []
    enter += [
        f"for (i = 0; i < {size}; i++) state.{key}[i] = {_entering(network, key)};"
        for key, size in states.items()
    ]
    counter = ["int t, i;"] if states else ["int t;"]
    marks = [*(f"of_{key}" for key in outputs), *(f"of_state_{key}" for key in states)]
    lines = [*begin, *(f"distance {key} = {{0.0, 0.0}};" for key in marks), *counter, *enter]
    lines += ["for (t = 0; t < steps; t++) {", f"  {call}"]
    after = []
    for key, size in outputs.items():
        if graph.outputs[key].axes == "steps":
            lines.append(f"  look(&of_{key}, {key}_actual, {key}_expected + t * {size}, {size});")
        else:
            after.append(f"look(&of_{key}, {key}_actual, {key}_expected, {size});")
    lines += ["}", *after]
    lines += [_look_at_state(network, key, size) for key, size in states.items()]
    lines += [f"settle(&{key});" for key in marks]
    unused = [f"(void){key}_expected;" for key in outputs] + [f"(void){key}_after;" for key in states]
    again = [*begin, *counter, "long calls = 0;", "clock_t start;", *unused, *enter, "start = clock();"]
    again += ["do {", f"  for (t = 0; t < steps; t++) {call}", "  calls += steps;"]
    again += ["} while (clock() - start < CLOCKS_PER_SEC / 20);"]
    again += [
        f'printf("{name} us %.9g\\n", 1e6 * (double)(clock() - start) / CLOCKS_PER_SEC / (double)calls);'
    ]
    head = ", ".join(declared)
    return "".join(
        f"static void {name}_{what}({head}) {{\n" + "\n".join(f"  {line}" for line in body) + "\n}\n"
        for what, body in (("check", lines), ("time", again))
    )
