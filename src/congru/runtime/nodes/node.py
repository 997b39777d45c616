"""What every node of a network is: a frozen dataclass whose fields are its keys in config.json.

A node says what comes out when something goes in (`infer`), which weights and which state it needs, and builds the function
that computes it. Arrays inside a network are time-major. Legend: T time, B batch, S memory positions, F features.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from congru.errors import SettingsError
from congru.runtime.cells import Array
from congru.runtime.run import Run

Weights = Mapping[str, Array]
Shapes = dict[str, tuple[int, ...]]
# What a built node does: (run, *inputs) -> output, on whole time-major arrays.
Compute = Callable[..., Any]

AXES = {"steps": "one value per step", "row": "one value per sequence", "memory": "a memory"}


class Spec(NamedTuple):
    """What flows along an arrow of the graph.

    `axes` "steps" is [T, B, *size], "row" [B, *size], "memory" [B, S, *size] with lengths of its own. `tokens` are the numbers
    of symbols where it holds whole numbers: size () for one of them, (K,) for K side by side. `source` names the memory input
    whose lengths hold. `delay`: the value at step t belongs to input step t - delay.
    """

    axes: str
    size: tuple[int, ...]
    tokens: tuple[int, ...] | None = None
    source: str = ""
    delay: int = 0

    @property
    def features(self) -> int:
        """F of a value with one axis of features."""
        return self.size[0]

    def __str__(self) -> str:
        if self.tokens is not None:
            return f"tokens ({' x '.join(map(str, self.tokens))}), {AXES[self.axes]}"
        return f"{' x '.join(map(str, self.size))} features, {AXES[self.axes]}"


NODES: dict[str, type[Node]] = {}


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node of a network. `name` is unique in its network; `of` names its inputs, in order."""

    name: str
    of: tuple[str, ...] = ()
    type: ClassVar[str]
    num_inputs: ClassVar[tuple[int, int | None]] = (1, 1)
    """Fewest and most inputs; None: any number."""

    def __init_subclass__(cls, type: str = "", **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if type:
            cls.type = type
            NODES[type] = cls

    def infer(self, *x: Spec) -> Spec:
        """What comes out; raises :class:`SettingsError` where the inputs do not fit."""
        raise NotImplementedError

    def weights(self, *x: Spec) -> Shapes:
        """Name and shape of every weight."""
        return {}

    def state(self, *x: Spec) -> dict[str, tuple[int, int]]:
        """Name of every part of the state and its (N, F); the part itself is [N, B, F]."""
        return {}

    def initial(self, weights: Weights) -> dict[str, Array]:
        """Parts of the state that do not start from zeros: name -> [N, F]."""
        return {}

    def build(self, weights: Weights, *x: Spec, **how: Any) -> Compute:
        """The function that computes the node; `weights` by this node's own names; `how` says how recurrent nodes run."""
        raise NotImplementedError

    def stream_problem(self, *x: Spec) -> str | None:
        """Why it cannot run step by step, as a clause; None if it can."""
        return None

    def need(self, fits: bool, x: Spec, expected: str) -> None:
        """Raise unless an input `fits`."""
        if not fits:
            raise SettingsError(
                f"{self}: its input is {x}, expected {expected}: change 'of' or the node before"
            )

    def need_features(self, x: Spec) -> Spec:
        """The input, which must have one axis of features."""
        self.need(x.tokens is None and len(x.size) == 1, x, "one axis of features")
        return x

    def need_sequence(self, x: Spec) -> Spec:
        """The input, which must have one axis of features at every step."""
        fits = x.axes == "steps" and x.tokens is None and len(x.size) == 1
        self.need(fits, x, "one axis of features, one value per step")
        return x

    def __str__(self) -> str:
        return f"node {self.name!r} ({self.type})"


class PointwiseNode(Node):
    """A node that treats every step by itself and has no state: `function` serves sequences and single steps alike."""

    def function(self, weights: Weights, *x: Spec, backend: str) -> Callable[..., Any]:
        """The function of its inputs [..., F]; `backend` is that of the network's recurrent nodes."""
        raise NotImplementedError

    def build(self, weights: Weights, *x: Spec, **how: Any) -> Compute:
        """See `Node.build`."""
        return Pointwise(self.function(weights, *x, backend=how.get("backend", "numpy")))


class Pointwise:
    """A function of single rows or whole sequences alike, as a node computes it in a run."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, run: Run, *values: Any) -> Any:
        return self.function(*values)


# Fields: each checks its value as it comes from config.json.


def _checked(default: Any, fits: Callable[[Any], bool], expected: str) -> Any:
    metadata = {"fits": fits, "expected": expected}
    return field(metadata=metadata) if default is ... else field(default=default, metadata=metadata)


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def whole(default: Any = ..., least: int = 1, most: int = 2**31 - 1) -> Any:
    """A field for a whole number of at least `least` and at most `most`."""
    expected = f"a whole number of at least {least}" + (f" and at most {most}" if most < 2**31 - 1 else "")
    return _checked(default, lambda value: _is_whole(value, least) and value <= most, expected)


def flag(default: bool) -> Any:
    """A field for true or false."""
    return _checked(default, lambda value: isinstance(value, bool), "true or false")


def share(default: Any = ...) -> Any:
    """A field for a number from 0 up to, not including, 1."""

    def fits(value: Any) -> bool:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1

    return _checked(default, fits, "a number from 0 up to, not including, 1")


def choice(default: Any, *allowed: Any) -> Any:
    """A field for one of several values, compared with their types."""
    named = [repr(value) if isinstance(value, str) else str(value).lower() for value in allowed]
    words = f"{', '.join(named[:-1])} or {named[-1]}"
    return _checked(
        default,
        lambda value: any(value is a or (value == a and type(value) is type(a)) for a in allowed),
        words,
    )


def text(default: Any, expected: str) -> Any:
    """A field for a name, or None."""
    return _checked(default, lambda value: value is None or isinstance(value, str), expected)


def make_node(entry: Any, previous: str | None, where: str) -> Node:
    """The node of one entry of config.json; its keys and values are checked, not yet how it fits its inputs."""
    kind = entry.get("type") if isinstance(entry, Mapping) else None
    if not isinstance(kind, str) or kind not in NODES:
        raise SettingsError(f"{where}: type is {kind!r}, expected one of {', '.join(sorted(NODES))}")
    cls = NODES[kind]
    fields = {item.name: item for item in dataclasses.fields(cls)}
    name = entry.get("name")
    if not (isinstance(name, str) and re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII)):
        raise SettingsError(f"{where} ({kind}): name is {name!r}, expected letters, digits and underscores")
    where = f"{where} ({kind} {name!r})"
    for key in entry:
        if key != "type" and key not in fields:
            raise SettingsError(f"{where}: unknown key {key!r}, expected {', '.join(fields)}")
    values: dict[str, Any] = {"name": name}
    for key, item in fields.items():
        if key in ("name", "of"):
            continue
        if key not in entry:
            if item.default is dataclasses.MISSING:
                raise SettingsError(
                    f"{where}: {key!r} is missing, expected {item.metadata['expected']}: add it"
                )
            continue
        value = entry[key]
        if not item.metadata["fits"](value):
            raise SettingsError(f"{where}: {key} is {value!r}, expected {item.metadata['expected']}")
        values[key] = tuple(value) if isinstance(value, list) else value
    values["of"] = _inputs(entry.get("of", previous), where)
    fewest, most = cls.num_inputs
    if len(values["of"]) < fewest or (most is not None and len(values["of"]) > most):
        count = str(fewest) if most == fewest else f"{fewest} to {most or 'any number'}"
        raise SettingsError(f"{where}: 'of' names {len(values['of'])} inputs, expected {count}")
    return cls(**values)


def _inputs(of: Any, where: str) -> tuple[str, ...]:
    names = [of] if isinstance(of, str) else list(of) if isinstance(of, (list, tuple)) else None
    if not names or not all(isinstance(name, str) for name in names):
        raise SettingsError(
            f"{where}: 'of' is {of!r}, expected the name of an input or node, or a list of names"
        )
    return tuple(names)
