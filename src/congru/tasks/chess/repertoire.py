"""The repertoire on a player's page: openings with their results, and what was played year by year."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from congru.report.markup import escape
from congru.tasks.chess.bars import (
    Html,
    Shown,
    bar,
    results,
    stacked,
    table,
    unbroken,
    whisker,
)
from congru.tasks.chess.games import Games
from congru.tasks.chess.openings import Opening, Openings
from congru.tasks.chess.rules import Position
from congru.tasks.chess.san import write_san
from congru.tasks.chess.tendencies import (
    BLACK,
    D4,
    E4,
    WHITE,
    Player,
    by_year,
    group_by,
    move_at,
    usual,
)

OTHER = "other"
_FAMILIES = 12


def called_after(position: Position, moves: Counter[int], names: Openings | None) -> dict[int, str]:
    """The name of the opening that each move leads to, where it has one."""
    opening_names = {}
    for code in moves if names else ():
        next_position = position.copy()
        next_position.play(code)
        name = names.name(next_position) if names else None
        if name:
            opening_names[code] = name
    return opening_names


def families(player: Player, openings: Mapping[int, Opening]) -> str:
    """The openings of the player's games with White and with Black, by family, with results."""
    parts = []
    for label, numbers in (("White", player.white), ("Black", player.black)):
        named = np.array([game for game in numbers.tolist() if game in openings], np.int64)
        rows: list[list[Shown]] = []
        for family, group in list(group_by(named, lambda game: openings[game].family).items())[:_FAMILIES]:
            codes = sorted({openings[game].eco for game in group})
            eco = codes[0] if len(codes) == 1 else f"{codes[0]} to {codes[-1]}"
            score = player.score(group)
            name = Html(f'{escape(family)} <small class="n">{escape(eco)}</small>')
            share = bar(len(group) / len(named))
            rows.append([name, len(group), share, unbroken(results(score)), whisker(score)])
        header = ["opening", "games", "share", "results", "points per game, 95 % interval"]
        if rows:
            parts.append(f"<h3>With {label}</h3>{table(header, rows)}")
    return "".join(parts)


def openings_of(games: Games, numbers: NDArray[np.int64], names: Openings | None) -> dict[int, Opening]:
    """The opening of some games: by its positions, or where there are no names by the ECO code in the file."""
    if names is not None:
        pairs = zip(numbers.tolist(), names.of(games.select(numbers)))
        return {game: opening for game, opening in pairs if opening is not None}
    return {
        game: Opening(games.eco[game][:3], f"ECO {games.eco[game][:2]}x")
        for game in numbers.tolist()
        if games.eco and games.eco[game]
    }


def years_html(player: Player, names: Openings | None) -> str:
    """The first move with White, and the reply to 1. e4 and to 1. d4, year by year."""
    games, parts = player.games, []
    for label, side, before in (
        ("First move with White", WHITE, None),
        ("Reply to 1. e4", BLACK, E4),
        ("Reply to 1. d4", BLACK, D4),
    ):
        numbers = usual(games, player.with_side(side))
        if before is not None:
            numbers = numbers[move_at(games, numbers, 0) == before]
        position = Position()
        if before is not None:
            position.play(before)
        spans = {
            span: Counter(code for code in move_at(games, inside, side).tolist() if code >= 0)
            for span, inside in by_year(games, numbers).items()
        }
        total = sum(spans.values(), Counter())
        called = {code: write_san(position, code) for code in total}
        if side == BLACK:
            openings = called_after(position, total, names)
            called = {code: f"{san} {openings.get(code, '')}".strip() for code, san in called.items()}
        kinds = [called[code] for code, _ in total.most_common(5)] + [OTHER] * (len(total) > 5)
        rows: dict[str, Counter[str]] = {}
        for span, counts in spans.items():
            rows[span] = Counter()
            for code, count in counts.items():
                rows[span][called[code] if called[code] in kinds else OTHER] += count
        html = stacked(rows, kinds)
        if html:
            parts.append(f"<h3>{label}</h3>{html}")
    return "".join(parts)
