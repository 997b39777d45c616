"""Which equations a recurrent node computes, as plain values."""

from __future__ import annotations

from typing import Any, NamedTuple


class Form(NamedTuple):
    """Which equations a recurrent node computes."""

    name: str
    cell: str
    hidden_size: int
    num_layers: int = 1
    num_directions: int = 1
    reset_before: bool = False
    layer_norm: bool | str = False
    num_heads: int = 1
    zoneout: float = 0.0
    weight_dtype: str = "float32"

    @property
    def has_options(self) -> bool:
        """Whether it computes more than its plain cell, in use."""
        return bool(self.layer_norm) or self.num_heads != 1 or self.zoneout != 0

    def keywords(self) -> dict[str, Any]:
        """The keywords of `congru.ops.sequence` that say this; zoneout depends on the shape of x and is apart."""
        keywords: dict[str, Any] = {
            "reset_before": self.reset_before,
            "layer_norm": self.layer_norm,
            "num_heads": self.num_heads,
        }
        return keywords if self.weight_dtype == "float32" else {**keywords, "weight_dtype": self.weight_dtype}
