"""The counted sections of a player's page: who it is, first moves, replies, castling."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from congru.report.markup import escape, paragraphs
from congru.report.page import Section
from congru.tasks.chess.bars import (
    COLORS,
    Html,
    Shown,
    bar,
    percent,
    results,
    table,
    unbroken,
    whisker,
)
from congru.tasks.chess.moves import code_of
from congru.tasks.chess.openings import Openings
from congru.tasks.chess.repertoire import called_after
from congru.tasks.chess.rules import Position
from congru.tasks.chess.san import write_san
from congru.tasks.chess.tendencies import (
    BLACK,
    D4,
    E4,
    NOT_CASTLED,
    WHITE,
    Player,
    castling,
    first_moves,
    replies,
    usual,
    wilson,
)

CALLED = {E4: "king's pawn", D4: "queen's pawn", code_of("c2c4"): "English", code_of("g1f3"): "king's knight"}
_SHOWN = 7  # moves of a table; the others share one row


def others_of(player: Player, side: int) -> NDArray[np.int64]:
    """The games in which another person had White (0) or Black (1)."""
    return np.setdiff1d(np.arange(len(player.games)), player.with_side(side))


def glance(player: Player) -> str:
    """Who, how many games, when, against whom, with what results."""
    games = player.games
    years = games.date[player.all] // 10000
    known = years[years > 0]
    span = f", {known.min()} to {known.max()}" if len(known) else ""
    rivals = Counter(
        games.players[name]
        for name in np.concatenate([games.black[player.white], games.white[player.black]]).tolist()
    )
    often = ", ".join(f"{name} ({count})" for name, count in rivals.most_common(3))
    rows: list[list[Shown]] = [
        [label, len(numbers), unbroken(results(score := player.score(numbers.tolist()))), whisker(score)]
        for label, numbers in (("White", player.white), ("Black", player.black), ("both", player.all))
    ]
    lines = [f"{len(player):,} games{span}, most often against {often}."]
    if len(player.spellings) > 1:
        lines.append(f"Written in the files as {'; '.join(player.spellings)}.")
    return paragraphs(lines) + table(["with", "games", "results", "points per game, 95 % interval"], rows)


def mix(
    own: Counter[int],
    others: Counter[int],
    position: Position,
    called: Mapping[int, str],
    model: Mapping[int, float] | None = None,
) -> str:
    """A table of moves in a position: the player's share with its interval, that of the others, and the model's."""
    total, all_others = own.total(), others.total()
    if not total:
        return ""
    rows: list[list[Shown]] = []
    for code, count in own.most_common(_SHOWN):
        low, high = wilson(count, total)
        interval = f"({100 * low:.0f} to {100 * high:.0f})"
        row: list[Shown] = [
            Html(f"<b>{escape(write_san(position, code))}</b> {escape(called.get(code, ''))}"),
            count,
            Html(f'<span class="n">{bar(count / total)} <small>{interval}</small></span>'),
            bar(others[code] / all_others if all_others else None, COLORS[5]),
        ]
        rows.append([*row, *([bar(model.get(code, 0.0), COLORS[1])] if model else [])])
    rest = total - sum(count for _, count in own.most_common(_SHOWN))
    if rest:
        few = "other" if len(own) == _SHOWN + 1 else "others"
        rows.append([f"{len(own) - _SHOWN} {few}", rest, bar(rest / total), None, *([None] if model else [])])
    header = ["move", "games", "share, 95 % interval", f"all others ({all_others:,})"]
    return table([*header, *(["model"] if model else [])], rows)


def moves_sections(
    player: Player, names: Openings | None, models: Mapping[int | None, Mapping[int, float]]
) -> list[Section]:
    """First moves with White, and the replies to 1. e4 and 1. d4 with Black.

    `models`: the mean choice of a model in the player's games, None -> first moves, E4, D4 -> replies.
    """
    games = player.games
    first = mix(
        first_moves(games, player.white),
        first_moves(games, others_of(player, WHITE)),
        Position(),
        CALLED,
        models.get(None),
    )
    sections = [Section("First move with White", first)]
    for move, text in ((E4, "1. e4"), (D4, "1. d4")):
        position = Position()
        position.play(move)
        own, theirs = (replies(games, numbers, move) for numbers in (player.black, others_of(player, BLACK)))
        html = mix(own, theirs, position, called_after(position, own, names), models.get(move))
        sections.append(Section(f"Reply to {text}", html))
    return sections


def castling_html(player: Player) -> str:
    """To which side the player castles, and at which move, beside the opponents of the same games."""
    games = player.games
    rows: list[list[Shown]] = []
    for who, flip in (("player", 0), ("opponents", 1)):
        for side, numbers in ((WHITE, player.white), (BLACK, player.black)):
            numbers = usual(games, numbers)
            castlings = [castling(games, game, side ^ flip) for game in numbers.tolist()]
            kinds = Counter(entry.kind for entry in castlings)
            moves = [entry.move for entry in castlings if entry.move]
            if not castlings:
                continue
            middle = (
                "" if not moves else "{:.0f} ({:.0f} to {:.0f})".format(*np.quantile(moves, [0.5, 0.1, 0.9]))
            )
            rows.append(
                [
                    f"{who} with {('White', 'Black')[side ^ flip]}",
                    len(castlings),
                    *(bar(kinds[kind] / len(castlings)) for kind in ("O-O", "O-O-O", NOT_CASTLED)),
                    middle,
                ]
            )
    header = ["who", "games", "O-O", "O-O-O", NOT_CASTLED, "at move: median (80 % between)"]
    return table(header, rows)


def headline(player: Player) -> list[str]:
    """The plainest sentences about a player: the commonest first move, and the commonest reply to each of two."""
    games, lines = player.games, []
    first = first_moves(games, player.white)
    if first:
        code, count = first.most_common(1)[0]
        lines.append(
            f"opens with 1. {write_san(Position(), code)} in {percent(count / first.total())} of {first.total():,} games"
        )
    for move, text in ((E4, "1. e4"), (D4, "1. d4")):
        answers = replies(games, player.black, move)
        if answers:
            position = Position()
            position.play(move)
            code, count = answers.most_common(1)[0]
            lines.append(
                f"answers {text} with {write_san(position, code)} in {percent(count / answers.total())} of {answers.total():,}"
            )
    return lines
