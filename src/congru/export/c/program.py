"""A model as one C99 file and its header: for every network a state, a function that resets it, and one that steps.

No allocation, no dependency beyond <stdint.h>; the state is the caller's, or static with MODEL_STATIC defined. The working
memory of a step lies on the stack, or is static too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from congru.errors import ExportError
from congru.export.c import pictures, pointwise, recurrent, sequence  # they register their emitters
from congru.export.c.emitters import C
from congru.export.c.writer import KERNELS, Call, Value, Writer, array_text, kernel_text, literal
from congru.runtime.integer import IntegerRecurrent, to_state
from congru.runtime.network import Network
from congru.runtime.nodes import Spec
from congru.version import __version__

__all__ = [
    "CNetwork",
    "c_network",
    "header",
    "identifier",
    "pictures",
    "pointwise",
    "recurrent",
    "sequence",
    "source",
]

_KEYWORDS = set(
    re.findall(
        r"\w+",
        """auto break case char const continue default do double else enum extern float for goto if inline int long register
        restrict return short signed sizeof static struct switch typedef union unsigned void volatile while self scratch
        bool class new delete template this namespace operator private public protected virtual true false try catch""",
    )
)


@dataclass(frozen=True)
class CNetwork:
    """A network in C: the parts that its file and its test are made of."""

    name: str
    network: Network
    writer: Writer
    body: list[str]
    scratch: int

    @property
    def prefix(self) -> str:
        """What its functions begin with: MODEL_NETWORK."""
        return self.writer.prefix

    @property
    def states(self) -> dict[str, int]:
        """The fields of its state and their sizes."""
        return {field(key): depth * size for key, (depth, size) in self.network.graph.state_shapes.items()}

    def kind(self, name: str) -> str:
        """The C type of a field of its state: int16_t counts in 2^-15."""
        return "int16_t" if name in self.writer.int16 else "float"

    @property
    def ram(self) -> int:
        """Bytes of state and working memory."""
        sizes = (size * (2 if name in self.writer.int16 else 4) for name, size in self.states.items())
        return sum(sizes) + 4 * self.scratch

    @property
    def weight_bytes(self) -> int:
        """Bytes of constant arrays."""
        return sum(array.nbytes for array in self.writer.arrays.values())

    def parameters(self) -> list[str]:
        """The parameters of its step function, as declared."""
        graph, declared = self.network.graph, list[str]()
        if self.states:
            declared.append(f"{self.prefix}_state *self")
        for name, spec in graph.inputs.items():
            declared += _declared(argument(name), spec)
        return declared + [f"float {argument(name)}[{_size(spec)}]" for name, spec in graph.outputs.items()]


def c_network(network: Network, name: str, prefix: str) -> CNetwork:
    """The step of a network in C. Raises :class:`ExportError` where it cannot run step by step."""
    graph, matrices = network.graph, network.integers.matrices
    writer = Writer(prefix, int8={id(network.weights[key]): matrix for key, matrix in matrices.items()})
    writer.tied = {
        id(graph.weights_of(node, inputs, network.weights)["weight"])
        for node, inputs, _ in graph.placed
        if getattr(node, "tied", None)
    }
    problem = network.stream_problem()
    if problem:
        raise ExportError(f"{name} cannot be written as C, {problem}: choose another target")
    values = {key: _value(key, spec) for key, spec in graph.inputs.items()}
    for node, inputs, output in graph.placed:
        if output.axes == "memory":
            raise ExportError(
                f"{name} cannot be written as C, the {node} computes over a memory, which may have any length:"
                " make it a network of its own"
            )
        state = {
            part: Value(f"self->{field(f'{node.name}.{part}')}", depth * size)
            for part, (depth, size) in node.state(*inputs).items()
        }
        result = argument(node.name) if node.name in graph.outputs else None
        computed = network.computes[node.name]
        integers = computed.cells if isinstance(computed, IntegerRecurrent) else None
        call = Call(node, inputs, graph.weights_of(node, inputs, network.weights), state, result, integers)
        values[node.name] = C.of(node)(writer, call, *(values[key] for key in node.of))
    for key in graph.outputs:
        value = values[key]
        if value.text != argument(key):
            writer.line("copy", f"copy({argument(key)}, {value.text}, {value.size});")
    _reset_lines(writer, network)  # takes in the functions it calls
    body, scratch = writer.placed()
    return CNetwork(name, network, writer, body, scratch)


def identifier(name: str) -> str:
    """A name of a model as C may have it.

    >>> identifier("romeo-2.1"), identifier("3 tunes")
    ('romeo_2_1', 'm3_tunes')
    """
    text = re.sub(r"\W", "_", name, flags=re.ASCII)
    return text if re.match(r"[A-Za-z_]", text) else f"m{text}"


def argument(name: str) -> str:
    """The name of an input or output as a parameter."""
    return f"{name}_" if name in _KEYWORDS or name in _functions() else name


@cache
def _functions() -> frozenset[str]:
    texts = [kernel_text(path.stem) for path in KERNELS.glob("*.h")]
    return frozenset(
        name for text in texts for name in re.findall(r"^static \w+ (\w+)\(", text, re.MULTILINE)
    )


def field(name: str) -> str:
    """The field of the state for a part called "<node>.<part>"."""
    return name.replace(".", "_")


def _size(spec: Spec) -> int:
    return int(np.prod(spec.size))


def _value(name: str, spec: Spec) -> Value:
    count = f"{argument(name)}_count" if spec.axes == "memory" else ""
    return Value(argument(name), _size(spec), count)


def _declared(name: str, spec: Spec) -> list[str]:
    if spec.axes == "memory":
        kind = "float" if spec.tokens is None else "int32_t"
        return [f"const {kind} *{name}", f"int32_t {name}_count"]
    if spec.tokens is not None:
        return [f"const int32_t {name}[{len(spec.tokens)}]" if spec.size else f"int32_t {name}"]
    return [f"const float {name}[{_size(spec)}]"]


def _reset_lines(writer: Writer, network: Network) -> list[str]:
    lines = []
    for key, value in network.initial_state(1).items():
        flat, name = value.ravel(), field(key)
        short = name in writer.int16
        values = to_state(flat).astype(np.int16) if short else flat
        kernel = ("fill" if (flat == flat[0]).all() else "copy") + ("_int16" if short else "")
        writer.need(kernel)
        if kernel.startswith("fill"):
            lines.append(f"{kernel}(self->{name}, {values[0] if short else literal(flat[0])}, {flat.size});")
        else:
            array = f"{writer.prefix}_{name}_initial"
            writer.arrays[array] = values
            lines.append(f"{kernel}(self->{name}, {array}, {flat.size});")
    return lines


def header(model: str, networks: Mapping[str, CNetwork], about: str) -> str:
    """The text of MODEL.h."""
    guard = f"{model.upper()}_H"
    parts = [
        f"/* {about}; written by congru {__version__}.\n"
        " * Numbers that go in must be finite, tokens in range; of a memory `count` vectors are read. */",
        f'#ifndef {guard}\n#define {guard}\n\n#include <stdint.h>\n\n#ifdef __cplusplus\nextern "C" {{\n#endif',
    ]
    for network in networks.values():
        delay = network.network.graph.delay
        late = f" Outputs are {delay} steps late." if delay else ""
        parts.append(
            f"/* {network.name}: {network.ram} bytes of state and working memory,"
            f" {network.writer.macs} multiply-adds a step.{late} */"
        )
        if network.states:
            fields = "\n".join(
                f"  {network.kind(name)} {name}[{size}];" for name, size in network.states.items()
            )
            parts.append(
                f"typedef struct {{\n{fields}\n}} {network.prefix}_state;\n"
                f"void {network.prefix}_reset({network.prefix}_state *self);\n"
                f"#ifdef {model.upper()}_STATIC\nextern {network.prefix}_state {network.prefix}_static;\n#endif"
            )
        parts.append(_step_head(network) + ";")
    parts.append("#ifdef __cplusplus\n}\n#endif\n#endif\n")
    return "\n\n".join(parts)


def source(model: str, networks: Mapping[str, CNetwork], about: str, *, hollow: bool = False) -> str:
    """The text of MODEL.c; `hollow`: its constant arrays lie elsewhere, which shows the size of the code alone."""
    scratch = f"{model.upper()}_SCRATCH"
    kernels = list(
        dict.fromkeys(kernel for network in networks.values() for kernel in network.writer.kernels)
    )
    parts = [
        f'/* {about}; see {model}.h. */\n#include "{model}.h"\n\n#ifdef {model.upper()}_STATIC\n#define {scratch} static\n'
        f"#else\n#define {scratch}\n#endif",
        *map(kernel_text, kernels),
    ]
    for network in networks.values():
        reset = _reset_lines(network.writer, network.network)
        parts += [array_text(name, array, hollow=hollow) for name, array in network.writer.arrays.items()]
        if network.states:
            parts.append(
                f"#ifdef {model.upper()}_STATIC\n{network.prefix}_state {network.prefix}_static;\n#endif\n\n"
                f"void {network.prefix}_reset({network.prefix}_state *self) {{\n{_indented(reset)}\n}}\n"
            )
        lines = [f"{scratch} float scratch[{network.scratch}];"] if network.scratch else []
        parts.append(f"{_step_head(network)} {{\n{_indented(lines + network.body)}\n}}\n")
    return "\n".join(parts)


def _step_head(network: CNetwork) -> str:
    return f"void {network.prefix}_step({', '.join(network.parameters())})"


def _indented(lines: list[str]) -> str:
    return "\n".join(f"  {line}" for line in lines)
