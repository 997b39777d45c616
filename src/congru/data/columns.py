"""What the columns of a long table are called, and what they are for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

ROLES = ("known", "past", "static")


@dataclass(frozen=True)
class Columns:
    """What the columns are called, and what the further ones are for; a column without a role is not used."""

    unique_id: str = "unique_id"
    ds: str = "ds"
    y: str = "y"
    known: tuple[str, ...] = ()
    """Known for the steps ahead too, such as a price list."""
    past: tuple[str, ...] = ()
    """Known up to now only, such as a temperature."""
    static: tuple[str, ...] = ()
    """The same at every step of a series, such as a region."""
    ignore: tuple[str, ...] = ()
    """Not used, and not told."""
    holidays: tuple[str, ...] = ()
    """Countries whose holidays are known ahead: DE, US, DE-BY for a part of a country."""

    missing: tuple[str, ...] = ()
    """Values that say that there is none, such as -200; in all columns but those of names and times."""

    def to_json(self) -> dict[str, Any]:
        """Plain values for config.json."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Columns:
        """What :meth:`to_json` gave."""
        plain: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in values.items()}
        return cls(**plain)

    def of_role(self, role: str) -> tuple[str, ...]:
        """The columns of "known", "past" or "static"."""
        columns: tuple[str, ...] = getattr(self, role)
        return columns


Categories = Mapping[str, Sequence[str]]
"""Text column -> its categories, in the order of their indicator columns."""
