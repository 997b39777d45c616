"""What tells a player from all others: the moves chosen more, or less, often than others choose them in the same position.

The log-odds ratio with an informative Dirichlet prior (Monroe, Colaresi & Quinn, "Fightin' Words", 2008, equations 16, 19, 22):

    delta = log (y + a) / (n + A - y - a)  -  log (y' + a) / (n' + A - y' - a)
    var   = 1/(y + a) + 1/(n + A - y - a) + 1/(y' + a) + 1/(n' + A - y' - a)
    z     = delta / sqrt(var)

y of n times the player, y' of n' times the others played the move; a is A times the share of the move among all. The prior pulls
few games towards no difference.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from congru.tasks.chess.beginnings import Book

PRIOR = 20.0  # A: so many games' worth of "as all others do"
LEAST = 5  # times that both must have stood in the position


class Deviation(NamedTuple):
    """A move in the position `key`: `played` in `times` visits of the player, `others` of `others_times` by the others."""

    key: int
    move: int
    played: int
    times: int
    others: int
    others_times: int
    log_odds: float
    z: float


def deviations(own: Book, others: Book, prior: float = PRIOR, least: int = LEAST) -> list[Deviation]:
    """Every move of every position that both met at least `least` times, the largest |z| first.

    Positions in which all play the same move say nothing and are left out.
    """
    rows = []
    for key, moves in own.items():
        theirs = others.get(key)
        if theirs is None:
            continue
        n, m = moves.total(), theirs.total()
        pooled = moves + theirs
        if min(n, m) < least or len(pooled) < 2:
            continue
        for move, count in pooled.items():
            y, x, a = moves[move], theirs[move], prior * count / (n + m)
            cells = (y + a, n + prior - y - a, x + a, m + prior - x - a)
            delta = math.log(cells[0] / cells[1]) - math.log(cells[2] / cells[3])
            z = delta / math.sqrt(sum(1 / cell for cell in cells))
            rows.append(Deviation(key, move, y, n, x, m, delta, z))
    return sorted(rows, key=lambda row: -abs(row.z))
