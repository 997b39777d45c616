"""The tables of docs/chess.md: how well moves are predicted, what the networks know of players, games against Stockfish."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.record import ROOT
from bench.tables import markdown, result

_MODELS = {
    "chess_model": ("with_board", "with board"),
    "chess_model_masters": ("with_board", "with board, masters too"),
    "chess_model_moves": ("moves_only", "moves only"),
}


def _measured(kind: str | None = None) -> list[tuple[str, str, dict[str, Any]]]:
    """Kind, title and figures of the models that were measured; of one kind, or of all. Those of players may stand apart."""
    return [
        (model_kind, title, result(name)["figures"][model_kind] | _of_players(name))
        for name, (model_kind, title) in _MODELS.items()
        if kind in (None, model_kind) and (ROOT / "results" / f"{name}.json").exists()
    ]


def _of_players(name: str) -> dict[str, Any]:
    """What `bench.chess_players` measured of the same model, where it did."""
    name = name.replace("model", "players")
    if not (ROOT / "results" / f"{name}.json").exists():
        return {}
    figures: dict[str, Any] = result(name)["figures"]["with_board"]
    return {key: value for key, value in figures.items() if key != "all"}  # that stands in the other file


def chess() -> str:
    """What chess models reach on the test games, by ply, and what they know of players, with its bounds."""
    rows, lines, named = [], [], []
    for kind, title, figures in _measured():
        for plies, row in {"all plies": figures["all"], **figures["by_ply"]}.items():
            legal = f"{row['legal_rate']:.1%}" if kind == "moves_only" else ""
            rows.append([title, plies, f"{row['top1']:.1%}", f"{row['bits_per_move']:.2f}", legal])
        for what, key in (
            ("with what players chose before", "all_recalled"),
            ("before the game's month", "all_recalled_before"),
        ):
            if key in figures:
                rows.append([f"{title}, {what}", "all plies", *_scores(figures[key]), ""])
    for _, title, figures in _measured("with_board"):
        fitted = figures["new_players"]["games fitted"]
        knowledge = {
            "players with 1,000 games: their vectors": "players",
            "and what they chose before": "players_recalled",
            "of that, before the game's month": "players_recalled_before",
            f"new players: a vector from {fitted} games": "new_players",
            f"and what they chose in these {fitted}": "new_players_recalled",
            "earlier games of the pair in the state": "earlier_games",
        }
        lines += [[title, what, *_gain(figures[key])] for what, key in knowledge.items() if key in figures]
        named += _named(title, figures["named"])
    table = markdown(["network", "plies", "top-1", "bits a move", "first choice legal"], rows)
    header = ["network", "what it knows", "top-1, points gained (95 %)", "bits a move gained (95 %)"]
    return f"{table}\n{markdown(header, lines)}\n{''.join(named)}"


def _named(title: str, shares: dict[str, float]) -> list[str]:
    """How many of the players are named right, by votes and by the state alone."""
    alone = ", by the state alone"
    kinds: dict[str, list[str]] = {alone: [], "": []}
    for size, share in shares.items():
        if size != "chance":
            known = size.endswith(alone) or not any(other.endswith(alone) for other in shares)
            kinds[alone if known else ""].append(f"{share:.0%} {size.removesuffix(alone)}")
    return [
        f"Twenty players named right, {title}{kind}: {', '.join(sizes)}; chance {shares['chance']:.0%}.\n"
        for kind, sizes in kinds.items()
        if sizes
    ]


def _gain(row: dict[str, Any]) -> list[str]:
    top1, bits = (
        [scale * value for value in row[key]] for key, scale in (("top1_gain", 100), ("bits_gain", 1))
    )
    return [
        f"{top1[0]:+.2f} ({top1[1]:+.2f} to {top1[2]:+.2f})",
        f"{bits[0]:+.4f} ({bits[1]:+.4f} to {bits[2]:+.4f})",
    ]


def chess_stockfish() -> str:
    """The games of the model with the board against Stockfish at its lowest levels."""
    rows = []
    for name, row in result("chess_stockfish")["figures"]["matches"].items():
        low, high = row["bounds_95"]
        won, drawn, lost = row["won_drawn_lost"]
        rows.append(
            [
                name,
                str(row["games"]),
                f"{won} / {drawn} / {lost}",
                f"{row['score']:.1%} ({low:.1%} to {high:.1%})",
            ]
        )
    return markdown(["Stockfish", "games", "won / drawn / lost", "score (95 %)"], rows)


def chess_study() -> str:
    """How the network with the board grows with the number of games; three cells that read moves only."""
    tables = []
    if (ROOT / "results" / "chess_curve.json").exists():
        rows = [
            [f"{int(games):,}", *_scores(row), f"{row['plies'] / 1e6:.1f} million"]
            for games, row in result("chess_curve")["figures"]["runs"].items()
        ]
        tables.append(markdown(["training games", "top-1", "bits a move", "plies trained on"], rows))
    if (ROOT / "results" / "chess_cells.json").exists():
        rows = [
            [cell, f"{row['parameters']:,}", *_scores(row), f"{row['legal_rate']:.1%}", f"{row['steps']:,}"]
            for cell, row in result("chess_cells")["figures"]["runs"].items()
        ]
        header = ["cell", "parameters", "top-1", "bits a move", "first choice legal", "steps"]
        tables.append(markdown(header, rows))
    return "\n".join(tables)


def _scores(row: dict[str, Any]) -> list[str]:
    return [f"{row['top1']:.1%}", f"{row['bits_per_move']:.2f}"]


BLOCKS: dict[str, Callable[[], str]] = {
    "chess": chess,
    "chess_stockfish": chess_stockfish,
    "chess_study": chess_study,
}
