"""The page about one player."""

from __future__ import annotations

import re
from collections import Counter

from congru.report.markup import paragraphs
from congru.report.page import Section, page
from congru.tasks.chess import bars, boards, portrait
from congru.tasks.chess.habits import castling_html, glance, headline, moves_sections
from congru.tasks.chess.repertoire import families, openings_of, years_html
from congru.tasks.chess.rules import Position
from congru.tasks.chess.san import read_move
from congru.tasks.chess.signature import deviations
from congru.tasks.chess.study import LOOKED_AT, Study
from congru.tasks.chess.surprise import choice, most_surprising
from congru.tasks.chess.tendencies import BLACK, WHITE, Player
from congru.tasks.chess.tree import opening_tree

STYLE = boards.STYLE + bars.STYLE + portrait.STYLE
_NUMBER = re.compile(r"\d+\.+")


def player_page(study: Study, player: Player, *, position: str | None = None) -> str:
    """The page about one player, as text.

    Args:
        study: the games, the names of openings, the model.
        player: who.
        position: a FEN or moves; what the player does there.
    """
    others = study.books_without(player)
    own = study.books(player)
    deviations_by_side = {side: deviations(own[side], others[side]) for side in (WHITE, BLACK)}
    expected = study.expected(player)
    trees = [
        (side, opening_tree(player, side, study.beginnings, others, expected=expected, names=study.names))
        for side in (WHITE, BLACK)
    ]
    openings = openings_of(study.games, player.all, study.names)
    sections = [
        Section("At a glance", boards.SHAPES + glance(player) + paragraphs(headline(player)), style=STYLE),
        *([_position_section(study, player, position)] if position is not None else []),
        *moves_sections(player, study.names, study.mean_choices(player)),
        Section("Openings and results", families(player, openings)),
        Section("Repertoire by year", years_html(player, study.names)),
        Section(
            "What signs the player",
            _signature(study, portrait.signature_html(study.beginnings, deviations_by_side)),
        ),
        Section("Opening tree", "".join(_tree(side, portrait.tree_html(tree)) for side, tree in trees)),
        *_expectation_sections(study, player),
        Section("Castling", castling_html(player)),
        Section("About these numbers", paragraphs(study.notes(player), "note")),
    ]
    return page(f"How {player.name} plays", sections)


def _tree(side: int, html: str) -> str:
    return f"<h3>With {('White', 'Black')[side]}</h3>{html}" if html else ""


def _position_section(study: Study, player: Player, text: str) -> Section:
    moves, fen = read_position(text)
    position = Position(fen)
    for code in moves:
        position.play(code)
    others = study.books_without(player)[position.turn].get(position.key, Counter())
    model = None
    if study.model is not None:
        pair = ("", player.name) if position.turn else (player.name, "")
        model = choice(study.model, moves, *pair, fen=fen)
    title = f"After {portrait.line_of(moves, fen)}" if moves else "In the position"
    return Section(title, portrait.position_html(player, position, others, model), key="position")


def _signature(study: Study, html: str) -> str:
    text = (
        f"the first {LOOKED_AT} plies, by position; log-odds against all other games of the file, with a prior of 20 games "
        "that play as all do; z is the log-odds over its standard error"
    )
    return html and paragraphs([text], "note") + html


def _expectation_sections(study: Study, player: Player) -> list[Section]:
    expected = study.expected(player)
    if expected is None:
        return []
    surprising = most_surprising(expected, study.read_by_model(player), player.sides)
    note = paragraphs(
        ["marked: the move played; arrow: what the model expected most; one move of a game at most"], "note"
    )
    return [
        Section("How predictable", portrait.predictability_html(study.predictability(player))),
        Section("Most surprising moves", note + portrait.surprises_html(expected, surprising)),
    ]


def read_position(text: str) -> tuple[list[int], str | None]:
    """Moves, and the position they begin from where it is not the usual one, of a FEN or of moves in SAN or UCI.

    Raises :class:`DataError` for what is neither.
    """
    if "/" in text:
        Position(text)
        return [], text
    position, moves = Position(), list[int]()
    for word in _NUMBER.sub(" ", text).split():
        moves.append(read_move(position, word))
        position.play(moves[-1])
    return moves, None
