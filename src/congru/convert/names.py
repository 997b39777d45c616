"""Recurrent layers in a dictionary of named arrays, told by the names their library gives them.

A prefix ("encoder.rnn", "params/GRUCell_0") owns the arrays below it. PyTorch's `_l0`, `_l1`, `_reverse` make one layer
stack; every other library stores one layer at a time. Names may be joined by "/" or ".".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from congru.convert.parts import Array, Direction
from congru.errors import CongruError, ConventionError, DataError, ShapeError
from congru.reference.conventions import to_canonical
from congru.reference.layouts import Layout
from congru.reference.systems import ROWS, SYSTEMS

# Which libraries are looked for, most telling names first; those that share names come before those they are told from by shape.
READ_BY_NAME = ("keras", "flax", "flax_nnx", "mlx", "haiku", "tensorflow1", "equinox", "sonnet", "ncnn")
_TORCH = re.compile(r"(?:(.*)[./])?(weight_ih|weight_hh|bias_ih|bias_hh|weight_hr)(?:_l(\d+)(_reverse)?)?")
_REWRITTEN = re.compile(
    r"(?:(.*)[./])?(?:parametrizations[./])?(weight_[ih]h\w*)(?:[./]original\d*|_g|_v|_orig)"
)
# Arrays that a dense layer has too, told by the layer's own name.
_WORDS = {("haiku", "lstm"): "lstm", ("tensorflow1", "lstm"): "lstm", ("tensorflow1", "rnn"): "rnn_cell"}
_OPTIONS = {"gain_ih", "gain_hh", "gain_c", "bias_c"}


class Layers(NamedTuple):
    """A stack as found: its library, its cell, arrays [L][D], and the names in the file that make it."""

    prefix: str
    system: str
    cell: str
    layers: list[list[Direction]]
    names: tuple[str, ...]


def find_layers(
    arrays: Mapping[str, Array], system: str | None = None, cell: str | None = None
) -> list[Layers]:
    """Every recurrent layer in `arrays`, in their order.

    `system` (a name of `congru.reference.systems.SYSTEMS`) and `cell` say what names alone leave open. Raises
    ConventionError for weights that are not a plain cell's (projections, weight norm), SettingsError for unknown names.
    """
    _refuse_rewritten(arrays)
    stacks = _find_torch(arrays, cell) if system in (None, "pytorch", "cudnn") else []
    taken = {name for layers in stacks for name in layers.names}
    if system not in ("pytorch", "cudnn"):
        rest = {name: array for name, array in arrays.items() if name not in taken}
        stacks += _stacked(_find_by_layout(rest, (system,) if system else READ_BY_NAME, cell))
    order = list(arrays)
    return sorted(stacks, key=lambda layers: order.index(layers.names[0]))


def _find_torch(arrays: Mapping[str, Array], cell: str | None) -> list[Layers]:
    by_prefix: dict[str, dict[tuple[int, str], dict[str, str]]] = {}
    for name in arrays:
        match = _TORCH.fullmatch(name)
        if match is None:
            continue
        prefix, stem, depth, reverse = match[1] or "", match[2], int(match[3] or 0), match[4] or ""
        if stem == "weight_hr":
            raise ConventionError(
                f"{prefix or 'the LSTM'} has {stem} (proj_size), expected none: a projected LSTM is another cell; "
                "train it without proj_size"
            )
        by_prefix.setdefault(prefix, {}).setdefault((depth, reverse), {})[stem] = name
    stacks = []
    for prefix, by_layer in by_prefix.items():
        halves = [end for end, stems in by_layer.items() if {"weight_ih", "weight_hh"} - set(stems)]
        if len(halves) == len(by_layer):
            continue  # another library's names
        if halves:
            depth, reverse = halves[0]
            raise DataError(
                f"{prefix or 'the file'} has one of weight_ih_l{depth}{reverse} and weight_hh_l{depth}{reverse}, expected both:"
                " save the whole state_dict"
            )
        if any(
            "bias" in name for name in arrays if _owner(name) == prefix and _end(name) in ("bias", "bias_n")
        ):
            continue  # Equinox: PyTorch's names for the matrices, its own for the bias
        stacks.append(_torch_stack(prefix, by_layer, arrays, cell))
    return stacks


def _torch_stack(
    prefix: str,
    by_layer: dict[tuple[int, str], dict[str, str]],
    arrays: Mapping[str, Array],
    cell: str | None,
) -> Layers:
    depths = sorted({depth for depth, _ in by_layer})
    ways = ["", "_reverse"] if any(reverse for _, reverse in by_layer) else [""]
    missing = [
        f"weight_hh_l{depth}{way}"
        for depth in range(len(depths))
        for way in ways
        if (depth, way) not in by_layer
    ]
    if missing or depths != list(range(len(depths))):
        raise DataError(
            f"{prefix or 'the file'} lacks {missing[0] if missing else 'a layer'}, expected layers 0 to "
            f"{max(depths)} in {'both directions' if len(ways) == 2 else 'one direction'}: save the whole state_dict"
        )
    extra = [name for name in arrays if _owner(name) == prefix and _end(name).partition("_l")[0] in _OPTIONS]
    if extra:
        raise ConventionError(
            f"{prefix or 'the layer'} has {extra[0]} (layer norm of congru.nn), expected a plain cell: "
            "convert the module itself with congru.convert.from_torch"
        )
    layers: list[list[Direction]] = []
    names: list[str] = []
    for depth in depths:
        layer = []
        for way in ways:
            stems = by_layer[depth, way]
            layer.append(Direction({stem: arrays[name] for stem, name in stems.items()}, {}))
            names += stems.values()
        layers.append(layer)
    told = _cell_of(prefix, arrays[by_layer[0, ""]["weight_hh"]], cell)
    order = list(arrays)
    return Layers(prefix, "pytorch", told, layers, tuple(sorted(names, key=order.index)))


def _cell_of(prefix: str, U: Array, cell: str | None) -> str:
    """The cell by the number of blocks of H rows of its recurrent matrix [G*H, H]."""
    counts = {3: "gru", 4: "lstm", 1: "rnn"}
    gates = U.shape[0] / max(U.shape[-1], 1) if U.ndim == 2 else 0
    if gates not in counts:
        raise ShapeError(
            f"{prefix or 'the layer'} has weight_hh of shape {U.shape}, expected [3H, H] (GRU), [4H, H] (LSTM) or "
            "[H, H] (RNN): heads or projections are another cell"
        )
    told = counts[int(gates)]
    if cell is not None and len(ROWS[cell]) != gates:
        raise ConventionError(
            f"cell is {cell!r}, expected {told!r}: {prefix or 'the layer'} has {int(gates)} gates; leave it out"
        )
    return cell or told


def _find_by_layout(arrays: Mapping[str, Array], systems: tuple[str, ...], cell: str | None) -> list[Layers]:
    normal = {name: name.replace(".", "/") for name in arrays}
    stacks: list[Layers] = []
    taken: set[str] = set()
    for system in systems:
        fitting: dict[tuple[str, ...], list[Layers]] = {}  # by their names in the file
        before = frozenset(taken)
        for kind in [cell] if cell else ("gru", "lstm", "rnn", "rnn_relu"):
            if kind not in SYSTEMS[system].rows or (
                cell is None and kind == "rnn_relu" and system != "haiku"
            ):
                continue
            word = _WORDS.get((system, kind), "") if len(systems) > 1 else ""
            for prefix, own in _owned(normal, SYSTEMS[system].layout_of(kind), before).items():
                names = tuple(own.values())
                if word not in prefix.lower() or (names not in fitting and not taken.isdisjoint(names)):
                    continue
                layers = _read(system, kind, prefix, {key: arrays[name] for key, name in own.items()})
                if layers is not None:
                    fitting.setdefault(names, []).append(layers._replace(names=names))
                    taken |= set(names)
        stacks += [_only_cell(system, fits) for fits in fitting.values()]
    return stacks


def _only_cell(system: str, fits: list[Layers]) -> Layers:
    """The one cell that the shapes of a layer leave, or of several the one that its name says."""
    prefix = fits[0].prefix
    named = [one for one in fits if _WORDS.get((system, one.cell), one.cell) in prefix.lower()]
    for left in (fits, named):
        if len(left) == 1:
            return left[0]
    raise ConventionError(
        f"{prefix or 'the layer'} has the shapes of {' and of '.join(one.cell for one in fits)} in {system}, expected those of"
        " one cell: say which with --cell"
    )


def _owned(normal: Mapping[str, str], layout: Layout, taken: frozenset[str]) -> dict[str, dict[str, str]]:
    """Prefix -> the layout's names found below it, where all that are needed are there."""
    shapes = layout.shapes({})
    needed = [name for name in shapes if name not in layout.optional]
    by_prefix: dict[str, dict[str, str]] = {}
    for name, path in normal.items():
        for key in shapes:
            if name not in taken and (path == key or path.endswith(f"/{key}")):
                by_prefix.setdefault(path[: -len(key)].rstrip("/"), {})[key] = name
    return {prefix: own for prefix, own in by_prefix.items() if all(key in own for key in needed)}


def _stacked(stacks: list[Layers]) -> list[Layers]:
    """Layers called NAME_l0, NAME_l0_reverse, NAME_l1, .. as one stack called NAME, as `congru convert` itself writes them."""
    groups: dict[tuple[str, str, str], dict[tuple[int, str], Layers]] = {}
    single = []
    for layers in stacks:
        match = re.fullmatch(r"(.+)_l(\d+)(_reverse)?", layers.prefix)
        if match is None:
            single.append(layers)
        else:
            group = groups.setdefault((match[1], layers.system, layers.cell), {})
            group[int(match[2]), match[3] or ""] = layers
    for (name, system, cell), group in groups.items():
        depths = sorted({depth for depth, _ in group})
        ways = sorted({reverse for _, reverse in group})
        if depths != list(range(len(depths))) or len(group) != len(depths) * len(ways) or "" not in ways:
            single += group.values()
            continue
        rows = [[group[depth, way].layers[0][0] for way in ways] for depth in depths]
        names = tuple(name for layers in group.values() for name in layers.names)
        single.append(Layers(name, system, cell, rows, names))
    return single


def _read(system: str, kind: str, prefix: str, own: dict[str, Array]) -> Layers | None:
    """The layer, or None where the shapes are another cell's."""
    options: dict[str, Any] = {}
    if system == "keras" and kind == "gru":
        options["reset_after"] = own.get("bias") is not None and own["bias"].ndim == 2
    try:
        to_canonical(system, own, cell=kind, **options)
    except CongruError:
        return None
    if system == "keras" and kind == "gru" and own.get("bias") is None:
        raise ConventionError(
            f"{prefix or 'the layer'} is a GRU of Keras without bias, expected one, whose shape tells reset_after: convert the"
            " .keras file, or add a bias of zeros, [2, 3H] where reset_after is True"
        )
    return Layers(prefix, system, kind, [[Direction(own, options)]], ())


def _refuse_rewritten(arrays: Mapping[str, Array]) -> None:
    for name in arrays:
        match = _REWRITTEN.fullmatch(name)
        if match:
            raise ConventionError(
                f"{name} belongs to a rewritten {match[2]} (weight norm, pruning or a parametrization), expected the plain "
                "matrix: remove it first (torch.nn.utils.parametrize.remove_parametrizations) and save again"
            )


def _owner(name: str) -> str:
    return re.split(r"[./](?=[^./]*$)", name)[0] if re.search(r"[./]", name) else ""


def _end(name: str) -> str:
    return re.split(r"[./]", name)[-1]
