"""The options of a cell in a call: what they are, and the checks of their arrays before a kernel sees them.

`layer_norm` (True or "dreamer") and `num_heads` belong to the weights; `zoneout` (a tuple of [B, T, H], one for each part
of the state) and `recurrent_mask` [B, H] are drawn by the caller: equations in `congru.reference.option_equations`.
`weight_dtype` "bfloat16" rounds W and U (`congru.kernels.rounding`). A backend names the options it computes in its
`OPTIONS`; heads and rounding need none.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from congru.errors import SettingsError, ShapeError, check_shape
from congru.reference.option_equations import gain_names
from congru.reference.options import check_heads

Array: TypeAlias = Any

# Cells without recurrent weights have no options.
_WITHOUT = ("mingru",)


class Options(NamedTuple):
    """Options of one call; the defaults change nothing."""

    layer_norm: bool | str = False
    num_heads: int = 1
    zoneout: tuple[Array, ...] | None = None
    recurrent_mask: Array | None = None
    weight_dtype: str | None = None

    def changed(self) -> dict[str, Any]:
        """Those that differ from their defaults, as keywords."""
        if self is NO_OPTIONS:
            return {}
        return {
            name: value for name, value in self._asdict().items() if value is not getattr(NO_OPTIONS, name)
        }

    def names(self) -> tuple[str, ...]:
        """What a backend must know: "layer_norm=True", "layer_norm='dreamer'", "zoneout", "recurrent_mask"."""
        masks = [name for name in ("zoneout", "recurrent_mask") if getattr(self, name) is not None]
        return (f"layer_norm={self.layer_norm!r}", *masks) if self.layer_norm else tuple(masks)

    def gains(self, cell: str, reset_before: bool) -> tuple[str, ...]:
        """Names of the weights behind W, U, b_i and b_h; raises `SettingsError` where the cell has no such option."""
        if self.weight_dtype not in (None, "bfloat16"):
            raise SettingsError(
                f"weight_dtype is {self.weight_dtype!r}, expected None (as x) or 'bfloat16': pass one of these"
            )
        unknown = self._replace(weight_dtype=None).changed() if cell in _WITHOUT else None
        if unknown:
            name, value = next(iter(unknown.items()))
            shown = repr(value) if isinstance(value, (bool, int, str)) else "given"
            raise SettingsError(f"{name} is {shown}, expected none for {cell}: it has no recurrent weights")
        return gain_names(cell, self.layer_norm, reset_before, self.num_heads)

    def recurrent_width(self, hidden_size: int) -> int:
        """Columns of U."""
        if self.num_heads != 1 or self.num_heads is True:
            check_heads(self.num_heads, hidden_size)
        return hidden_size // self.num_heads

    def check_masks(
        self, cell: str, num_states: int, batch: int, steps: int | None, hidden_size: int
    ) -> None:
        """Raise `ShapeError` unless the masks fit; `steps` is None for one step, whose zoneout is [B, H]."""
        if self.zoneout is not None:
            if len(self.zoneout) != num_states:
                raise ShapeError(
                    f"zoneout has {len(self.zoneout)} arrays, expected {num_states} for {cell}: pass one for each state"
                )
            axes, sizes = (
                ("[B, H]", (batch, hidden_size))
                if steps is None
                else ("[B, T, H]", (batch, steps, hidden_size))
            )
            for part in self.zoneout:
                if tuple(part.shape) != sizes:
                    check_shape("zoneout", part, axes, sizes, "pass the share of the old state that is kept")
        mask = self.recurrent_mask
        if mask is not None and tuple(mask.shape) != (batch, hidden_size):
            check_shape("recurrent_mask", mask, "[B, H]", (batch, hidden_size), "pass one row for all steps")
        for name, parts in {"zoneout": self.zoneout or (), "recurrent_mask": (mask,)}.items():
            for part in parts:
                if getattr(part, "requires_grad", False):
                    raise ShapeError(f"{name} requires a gradient, expected none: pass {name}.detach()")


NO_OPTIONS = Options()


def options_of(
    layer_norm: bool | str,
    num_heads: int,
    zoneout: tuple[Array, ...] | None,
    recurrent_mask: Array | None,
    weight_dtype: str | None,
) -> Options:
    """`NO_OPTIONS` itself where none is given: a call then need not look at them."""
    plain = layer_norm is False and num_heads is NO_OPTIONS.num_heads and weight_dtype is None
    if plain and zoneout is None and recurrent_mask is None:
        return NO_OPTIONS
    return Options(layer_norm, num_heads, zoneout, recurrent_mask, weight_dtype)
