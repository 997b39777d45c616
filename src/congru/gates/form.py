"""Which equations a recurrent layer computes: its cell, its reset form and its options.

The tables name the gates of each cell in the row order of its weights, which of them keeps, and which is written.
The options are those of `congru.nn`: layer norm, heads (block-diagonal recurrent weights), zoneout as it acts in use.
"""

from __future__ import annotations

from typing import NamedTuple

from congru.errors import CongruError, SettingsError
from congru.kernels.cells import CELLS
from congru.reference.option_equations import gain_names

GATES = {name: cell.gates for name, cell in CELLS.items()}
# The row that says how much of the old memory stays, and the row that is written.
KEEP = {name: cell.keep for name, cell in CELLS.items() if cell.keep is not None}
CANDIDATE = {name: cell.candidate for name, cell in CELLS.items()}
TITLES = {name: cell.title for name, cell in CELLS.items()}


class Form(NamedTuple):
    """A cell and its options.

    layer_norm: False, True (each side's sums normalised gate by gate) or "dreamer" (one norm over all sums), as in
    `congru.reference.option_equations`. num_heads: the units of a head see the state of their head alone. zoneout: the
    share p of the old state that stays whatever the gates say, h' = p h + (1 - p) h~, and so for the LSTM's c.

    >>> Form("gru", reset_before=True, num_heads=2, zoneout=0.1).title
    'GRU, reset before, 2 heads, zoneout 0.1'
    """

    cell: str
    reset_before: bool = False
    layer_norm: bool | str = False
    num_heads: int = 1
    zoneout: float = 0.0

    @property
    def gates(self) -> tuple[str, ...]:
        """The letters of the gates, in row order."""
        return GATES[self.cell]

    @property
    def title(self) -> str:
        """The cell and what is unusual about it, for captions."""
        parts = [TITLES[self.cell]]
        parts += ["reset before"] if self.reset_before else []
        if self.layer_norm:
            parts.append("layer norm" if self.layer_norm is True else f"{self.layer_norm} layer norm")
        parts += [f"{self.num_heads} heads"] if self.num_heads != 1 else []
        parts += [f"zoneout {self.zoneout:g}"] if self.zoneout else []
        return ", ".join(parts)

    @property
    def gains(self) -> tuple[str, ...]:
        """The names of the weights that layer norm adds."""
        return (
            gain_names(self.cell, self.layer_norm, self.reset_before, self.num_heads)
            if self.layer_norm
            else ()
        )


def as_form(cell: str | Form, reset_before: bool = False) -> Form:
    """Return the form, from a cell's name or as it is; raise CongruError for a cell or an option that does not exist.

    >>> as_form("gru2")
    Traceback (most recent call last):
    congru.errors.CongruError: cell is 'gru2', expected one of gru, lstm, rnn, rnn_relu, mingru: pass one of these names
    """
    form = cell if isinstance(cell, Form) else Form(cell, bool(reset_before))
    if form.cell not in GATES:
        raise CongruError(
            f"cell is {form.cell!r}, expected one of {', '.join(GATES)}: pass one of these names"
        )
    if form.gains == () and form.layer_norm:
        raise SettingsError(f"layer_norm is {form.layer_norm!r}, expected False for {form.cell}")
    if not 0 <= form.zoneout < 1:
        raise SettingsError(
            f"zoneout is {form.zoneout}, expected 0 up to, not including 1: it is the share of the old state "
            "that stays"
        )
    if form.cell == "mingru" and (form.num_heads != 1 or form.zoneout):
        raise SettingsError(
            "num_heads or zoneout is given for mingru, expected none: it has no recurrent weights"
        )
    return form
