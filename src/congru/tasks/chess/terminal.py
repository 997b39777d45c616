"""A game in the terminal: the board, the likely moves with their replies, what they stand on."""

from __future__ import annotations

from collections.abc import Sequence

from congru.tasks.chess.following import Followed, Played, View
from congru.tasks.chess.moves import SQUARES
from congru.tasks.chess.rules import PIECES, Position

_FIGURES = dict(zip("KQRBNPkqrbnp", "♔♕♖♗♘♙♚♛♜♝♞♟"))
_SIDES = ("White", "Black")
_BAR = 24  # characters of a full bar
_MOST_CHOSEN = 6


def board_lines(position: Position, *, figures: bool = True, turned: bool = False) -> list[str]:
    """The board, White below; `figures` draws pieces as chess figures, else as letters; `turned` shows it from Black's side.

    >>> board_lines(Position(), figures=False)[1]
    '7  p p p p p p p p'
    """
    pieces = position.pieces()
    rows = []
    for rank in range(8) if turned else range(7, -1, -1):
        files = range(7, -1, -1) if turned else range(8)
        letters = (PIECES[pieces[8 * rank + file]] for file in files)
        cells = (letter.strip() or "·" for letter in letters)
        rows.append(
            f"{rank + 1}  " + " ".join(_FIGURES.get(cell, cell) if figures else cell for cell in cells)
        )
    names = [square[0] for square in SQUARES[:8]]
    return [*rows, "   " + " ".join(reversed(names) if turned else names)]


def view_lines(game: Followed, view: View) -> list[str]:
    """What is likely to be played, and what that stands on."""
    if view.outcome is not None:
        return [f"the game is over: {view.outcome}"]
    lines = [f"{game.number(view.ply)} {_SIDES[view.turn]} is likely to play"]
    for choice in view.choices:
        reply = f"   then {choice.reply} {choice.reply_probability:.0%}" if choice.reply else ""
        bar = "█" * round(_BAR * choice.probability)
        lines.append(f"  {choice.san:<7} {choice.probability:6.1%}  {bar:<{_BAR}}{reply}".rstrip())
    lines.append(
        f"  White wins {view.white_wins:.0%}, draw {view.draws:.0%}, Black wins {view.black_wins:.0%}"
    )
    if view.seconds is not None:
        lines.append(f"  and to think about {view.seconds:.0f} s")
    if view.chosen:
        times = ", ".join(f"{san} {count}" for san, count in view.chosen[:_MOST_CHOSEN])
        more = ", ..." if len(view.chosen) > _MOST_CHOSEN else ""
        lines.append(f"  chosen here in earlier games: {times}{more}")
    if view.sources:
        stands = ", ".join(f"{source.move} ({source.bits:+.2f} bits)" for source in view.sources)
        lines.append(f"  {view.choices[0].san} stands on {stands}")
    return lines


def played_line(game: Followed, ply: int, played: Played, opening: str | None) -> str:
    """A move that was played, and how surprising it was."""
    name = f"   {opening}" if opening else ""
    return (
        f"{game.number(ply)} {played.san}: expected with {played.probability:.1%}, choice {played.rank}, "
        f"surprise {played.bits:.1f} bits{name}"
    )


def summary_lines(history: Sequence[Played], first_turn: int = 0) -> list[str]:
    """How well both sides were predicted."""
    lines = []
    for side, name in enumerate(_SIDES):
        moves = [played for ply, played in enumerate(history) if (ply + first_turn) % 2 == side]
        if moves:
            hits = sum(played.rank == 1 for played in moves)
            bits = sum(played.bits for played in moves) / len(moves)
            lines.append(f"{name}: {hits} of {len(moves)} moves predicted, {bits:.2f} bits a move")
    return lines
