"""The sections of a player's page that show positions: the opening tree, what signs the player, surprises, one position."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from congru.report.markup import escape, paragraphs
from congru.tasks.chess.bars import COLORS, Html, Shown, bar, percent, results, table, unbroken
from congru.tasks.chess.beginnings import Beginnings, after
from congru.tasks.chess.boards import board
from congru.tasks.chess.games import Games
from congru.tasks.chess.rules import Position
from congru.tasks.chess.san import write_san
from congru.tasks.chess.signature import Deviation
from congru.tasks.chess.surprise import Expectations, Phase
from congru.tasks.chess.tendencies import Player
from congru.tasks.chess.tree import Branch

STYLE = """
.tree ul { list-style: none; margin: 0; padding-left: 1.1rem; border-left: 1px solid var(--line); } .tree > ul { padding-left: 0;
  border: 0; }
.tree li { margin: .1rem 0; } .tree li > span.leaf { padding-left: 1.05rem; } .tree summary { cursor: pointer; }
.tree .own { font-weight: 650; } .tree small, .cards small { color: var(--soft); } .tree .bar { width: 4rem; }
.line { min-width: 11rem; }
"""
_LISTED = 14
_PICTURED = 6


def line_of(moves: Sequence[int], fen: str | None = None) -> str:
    """Moves in SAN with their numbers.

    >>> line_of([])
    'the first position'
    """
    position = Position(fen)
    words: list[str] = []
    first = position.turn
    number = int(position.fen.split()[-1])
    for ply, code in enumerate(moves, first):
        if ply % 2 == 0 or not words:
            words.append(f"{number + ply // 2}{'...' if ply % 2 else '.'}")
        words.append(write_san(position, code))
        position.play(code)
    return " ".join(words) or "the first position"


def tree_html(branches: Sequence[Branch], open_plies: int = 3) -> str:
    """The tree as lists that open and close, the first plies open."""
    return f'<div class="tree">{_list(branches, open_plies)}</div>' if branches else ""


def _list(branches: Sequence[Branch], open_plies: int) -> str:
    lines = []
    for branch in branches:
        notes = [f"{branch.games:,} games", results(branch.score)]
        if branch.others is not None:
            notes.append(f"others {escape(percent(branch.others))} of {branch.others_times:,}")
        if branch.model is not None:
            notes.append(f"model {escape(percent(branch.model))}")
        tone = COLORS[0] if branch.own else COLORS[5]
        name = f" {escape(branch.name)}" if branch.name else ""
        text = (
            f'{bar(branch.share, tone)} <span class="{"own" if branch.own else "reply"}">{escape(branch.san)}</span>{name}'
            f" <small>{'; '.join(notes)}</small>"
        )
        if branch.branches:
            wide = branch.share >= 0.1 and open_plies > 0
            below = _list(branch.branches, open_plies - 1)
            text = f"<details{' open' if wide else ''}><summary>{text}</summary>{below}</details>"
        else:
            text = f'<span class="leaf">{text}</span>'
        lines.append(f"<li>{text}</li>")
    return f"<ul>{''.join(lines)}</ul>"


def signature_html(beginnings: Beginnings, deviations: Mapping[int, Sequence[Deviation]]) -> str:
    """The moves that tell the player from all others: boards of the strongest, and tables. `deviations`: those of each side."""
    nodes = beginnings.first_node()
    strongest = sorted(
        ((row, side) for side, rows in deviations.items() for row in rows if row.log_odds > 0),
        key=lambda item: -item[0].z,
    )
    cards = []
    for row, side in strongest[:_PICTURED]:
        path = beginnings.path(nodes[row.key])
        position = after(path)
        cards.append(
            f"<div>{board(position, arrows=[row.move], from_black=bool(side))}"
            f"<p><b>{escape(_step(position, row.move))}</b> in {escape(percent(row.played / row.times))} of {row.times},"
            f" others {escape(percent(row.others / row.others_times))} of {row.others_times:,}<br>"
            f"<small>after {escape(line_of(path))}</small></p></div>"
        )
    parts = [f'<div class="cards">{"".join(cards)}</div>'] if cards else []
    for more, title in ((True, "Chosen more often than others do"), (False, "Chosen less often")):
        rows: list[list[Shown]] = []
        chosen = [
            (row, side)
            for side, rows_of in deviations.items()
            for row in rows_of
            if (row.log_odds > 0) == more
        ]
        for row, side in sorted(chosen, key=lambda item: -abs(item[0].z))[:_LISTED]:
            path = beginnings.path(nodes[row.key])
            rows.append(
                [
                    ("White", "Black")[side],
                    Html(f'<div class="line">{escape(line_of(path))}</div>'),
                    Html(f'<b class="n">{escape(_step(after(path), row.move))}</b>'),
                    unbroken(f"{row.played} of {row.times}"),
                    unbroken(f"{row.others:,} of {row.others_times:,}"),
                    f"{row.log_odds:+.2f}",
                    f"{row.z:+.1f}",
                ]
            )
        header = ["with", "after", "move", "player", "others", "log-odds", "z"]
        if rows:
            parts.append(f"<h3>{title}</h3>{table(header, rows)}")
    return "".join(parts)


def _step(position: Position, code: int) -> str:
    """A move with its number."""
    number = position.fen.split()[-1]
    return f"{number}{'...' if position.turn else '.'} {write_san(position, code)}"


def predictability_html(rows: Mapping[str, Mapping[str, Phase]]) -> str:
    """Bits per move and first choices hit, by phase. `rows`: which games -> phase -> its numbers."""
    cells: list[list[Shown]] = [
        [games, phase, values.plies, f"{values.bits:.2f}", bar(values.hits)]
        for games, phases in rows.items()
        for phase, values in phases.items()
    ]
    header = ["games", "phase", "moves of the player", "bits per move", "the model's first choice was played"]
    return table(header, cells)


def surprises_html(expected: Expectations, surprising: Sequence[tuple[int, int]]) -> str:
    """Boards with the move that was played (marked) and the one the model expected (arrow)."""
    games, cards = expected.games, []
    for game, ply in surprising:
        start = games.fens[games.start[game]] if games.start[game] >= 0 else None
        position = Position(start)
        moves = games.of(game).tolist()
        for code in moves[:ply]:
            position.play(code)
        at = int(games.offsets[game]) + ply
        best = int(expected.best[at])
        text = (
            f"<b>{escape(_step(position, moves[ply]))}</b> at {_chance(float(expected.p[at]))}"
            f" ({expected.bits[at]:.1f} bits); expected {escape(write_san(position, best))}"
            f" at {escape(percent(float(expected.best_p[at])))}<br><small>{escape(title_of(games, game))}</small>"
        )
        picture = board(position, moved=moves[ply], arrows=[best], from_black=bool(position.turn))
        cards.append(f"<div>{picture}<p>{text}</p></div>")
    return f'<div class="cards">{"".join(cards)}</div>' if cards else ""


def _chance(p: float) -> str:
    """A probability, small ones as one in so many.

    >>> _chance(0.25), _chance(0.0004), _chance(1e-9)
    ('25 %', '1 in 2,500', 'less than 1 in a million')
    """
    if p < 1e-6:
        return "less than 1 in a million"
    return percent(p) if p >= 0.01 else f"1 in {1 / p:,.0f}"


def title_of(games: Games, game: int) -> str:
    """Who played whom, and in which year."""
    year = int(games.date[game]) // 10000
    white, black = games.players[games.white[game]], games.players[games.black[game]]
    return f"{white} - {black}{f', {year}' if year else ''}"


def position_html(
    player: Player, position: Position, others: Counter[int], model: Mapping[int, float] | None
) -> str:
    """What the player did in a position, whatever moves led there, beside the others and a model."""
    own = moves_in(player, player.with_side(position.turn), position.key)
    codes = [code for code, _ in own.most_common()]
    if model:
        codes += sorted((code for code in model if code not in own), key=lambda code: -model[code])[:5]
    codes += [code for code, _ in others.most_common(5) if code not in codes]
    total, there = own.total(), others.total()
    rows: list[list[Shown]] = [
        [
            Html(f"<b>{escape(write_san(position, code))}</b>"),
            own[code],
            bar(own[code] / total if total else None),
            bar(others[code] / there if there else None, COLORS[5]),
            *([bar(model.get(code, 0.0), COLORS[1])] if model else []),
        ]
        for code in codes[:10]
    ]
    header = ["move", "games", "share", f"all others ({there:,})", *(["model"] if model else [])]
    stood = f"{player.name} stood here {total:,} times." if total else f"{player.name} never stood here."
    picture = board(position, arrows=codes[:1], from_black=bool(position.turn))
    return (
        paragraphs([f"{('White', 'Black')[position.turn]} to move. {stood}"])
        + f'<div class="side"><div>{picture}</div>{table(header, rows)}</div>'
    )


def moves_in(player: Player, numbers: NDArray[np.int64], key: int) -> Counter[int]:
    """What was played in a position in some games."""
    games, counts = player.games, Counter[int]()
    for game in numbers.tolist():
        position = Position(games.fens[games.start[game]] if games.start[game] >= 0 else None)
        for code in games.of(game).tolist():
            if position.key == key:
                counts[code] += 1
            position.play(code)
    return counts
