"""The page about two players against each other."""

from __future__ import annotations

from congru.errors import DataError
from congru.report.markup import escape, paragraphs
from congru.report.page import Section, page
from congru.tasks.chess import boards, portrait
from congru.tasks.chess.bars import Html, Shown, percent, results, table, unbroken, whisker
from congru.tasks.chess.habits import castling_html, glance, headline, moves_sections
from congru.tasks.chess.player_page import STYLE
from congru.tasks.chess.repertoire import families, openings_of
from congru.tasks.chess.rules import Position
from congru.tasks.chess.study import Study
from congru.tasks.chess.tendencies import BLACK, WHITE, Player
from congru.tasks.chess.versus import Line, likely_lines, meetings, model_lines


def versus_page(study: Study, one: Player, two: Player) -> str:
    """The page about two players against each other, as text.

    Raises :class:`DataError` where both are one person.
    """
    if one.name == two.name:
        raise DataError(f"versus is {two.name}, the same person as the player, expected another one")
    pair = (one, two)
    habits = [moves_sections(player, study.names, study.mean_choices(player)) for player in pair]
    predictable = [study.predictability(player) for player in pair]
    sections = [
        Section(
            "At a glance",
            boards.SHAPES + _beside(pair, [glance(p) + paragraphs(headline(p)) for p in pair]),
            style=STYLE,
        ),
        Section("Their games against each other", _met(study, one, two)),
        Section(f"With {one.name} as White", _lines(study, one, two)),
        Section(f"With {two.name} as White", _lines(study, two, one)),
        *(
            Section(left.title, _beside(pair, [left.html, right.html]))
            for left, right in zip(*habits)
            if left.html or right.html
        ),
        Section(
            "Openings and results",
            _beside(pair, [families(p, openings_of(study.games, p.all, study.names)) for p in pair]),
        ),
        Section("How predictable", _beside(pair, [portrait.predictability_html(p) for p in predictable])),
        Section("Castling", _beside(pair, [castling_html(player) for player in pair])),
        Section("About these numbers", paragraphs(study.notes(one, two), "note")),
    ]
    return page(f"{one.name} against {two.name}", sections)


def _beside(pair: tuple[Player, Player], parts: list[str]) -> str:
    """Two parts side by side, or one below the other where the page is narrow; "" where both are empty."""
    if not any(parts):
        return ""
    cells = (
        f"<div><h3>{escape(player.name)}</h3>{part or '<p>No games.</p>'}</div>"
        for player, part in zip(pair, parts)
    )
    return f'<div class="side">{"".join(cells)}</div>'


def _met(study: Study, one: Player, two: Player) -> str:
    """The score of each player against the other, by colours."""
    rows: list[list[Shown]] = []
    for white, black in ((one, two), (two, one)):
        games = meetings(white, black)
        if len(games):
            score = one.score(games.tolist())
            rows.append([f"{white.name} has White", len(games), results(score), whisker(score)])
    if not rows:
        return paragraphs(["they do not meet in these games"])
    return table(["", "games", f"results of {one.name}", "points per game, 95 % interval"], rows)


def _lines(study: Study, white: Player, black: Player) -> str:
    """The likely beginnings of a game, by counting and by the model."""
    books = (study.books(white)[WHITE], study.books(black)[BLACK])
    counted = likely_lines(books, study.books_without(white, black), names=study.names)
    note = "what each chose in the same positions; few games are pulled towards what all others chose"
    parts = [_table("By counting", note, counted)]
    if study.model is not None:
        expected = model_lines(study.model, white.name, black.name, names=study.names)
        parts.append(
            _table("By the model", "what it expects of these two players, move after move", expected)
        )
    return f'<div class="side">{"".join(parts)}</div>' if any(parts) else ""


def _table(title: str, note: str, lines: list[Line]) -> str:
    """Beginnings with their probabilities, and a board of the likeliest."""
    if not lines:
        return ""
    position = Position()
    for code in lines[0].moves:
        position.play(code)
    rows: list[list[Shown]] = [
        [
            Html(f"{escape(portrait.line_of(line.moves))}<br><small>{escape(line.name or '')}</small>"),
            unbroken(percent(line.p)),
        ]
        for line in lines
    ]
    picture = boards.board(position, moved=lines[0].moves[-1])
    return (
        f"<div><h3>{title}</h3>{paragraphs([note], 'note')}{table(['beginning', 'probability'], rows)}"
        f"{picture}<p><small>After the likeliest of these.</small></p></div>"
    )
