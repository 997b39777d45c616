"""The networks of a chess model, as named graphs.

    player   a player's number -> a vector; 0 is an unknown player
    board    features of the position -> a vector (variant b)
    main     ply by ply: the last move, both players and ratings, the board -> a query or move logits, the result, the state,
             and where the games have clocks the time that the move will take
    move     tokens of a legal move -> a key; its score is query . key / sqrt(size) (variant b)
    teacher  what the tracker holds -> what stands on the 64 squares (variant m, in training only)

The softmax over the legal moves is the task's: `congru.tasks.chess.predict`.
"""

from __future__ import annotations

from typing import Any

from congru.tasks.chess.features import BOARD_FEATURES, MOVE_TOKENS
from congru.tasks.chess.moves import NUM_MOVES
from congru.tasks.chess.plies import MOVED_TOKENS, NUM_TIMES, PLY_TOKENS, START_TOKEN
from congru.tasks.chess.settings import Settings

NUM_RESULTS = 3  # lost, drawn, won, for the side to move
NUM_PIECES = 13
_DROP = "dropout"


def declarations(
    settings: Settings, cell: str, hidden_size: int, num_players: int, with_times: bool = False
) -> dict[str, Any]:
    """The networks by name; `num_players` counts the unknown one, `with_times`: the games have clocks."""
    networks = {
        "player": _network(
            {"number": {"tokens": num_players}},
            [{"type": "embedding", "name": "vector", "size": settings.player_size}],
        )
    }
    if settings.variant == "m":
        networks["main"] = _with_time(_moves_only(settings, cell, hidden_size), with_times)
        networks["teacher"] = _network(
            {"state": {"features": hidden_size}},
            [{"type": "linear", "name": "squares", "size": 64 * NUM_PIECES}],
        )
        return networks
    networks["board"] = _network(
        {"squares": {"features": BOARD_FEATURES}},
        [{"type": "linear", "name": "pieces", "size": hidden_size}],
    )
    networks["main"] = _with_time(_with_board(settings, cell, hidden_size), with_times)
    networks["move"] = _network(
        {"tokens": {"tokens": list(MOVE_TOKENS)}},
        [
            {"type": "embedding", "name": "rows", "size": settings.move_size // 2 or 1},
            {"type": "linear", "name": "inner", "size": settings.move_size},
            {"type": "relu", "name": "open"},
            # without a bias, which would add the same to every move
            {"type": "linear", "name": "key", "size": settings.move_size, "bias": False},
        ],
    )
    return networks


def _network(
    inputs: dict[str, Any], nodes: list[dict[str, Any]], outputs: list[str] | None = None
) -> dict[str, Any]:
    return {"inputs": inputs, "nodes": nodes, "outputs": outputs or [nodes[-1]["name"]]}


def _with_time(network: dict[str, Any], with_times: bool) -> dict[str, Any]:
    """The network "main" with one head more, where there is something to learn it from."""
    if not with_times:
        return network
    head = {"type": "linear", "name": "time", "size": NUM_TIMES, "of": "drop_decided"}
    return _network(network["inputs"], [*network["nodes"], head], [*network["outputs"], "time"])


def _inputs(settings: Settings) -> dict[str, Any]:
    return {
        "ply": {"tokens": list(PLY_TOKENS)},
        "own": {"features": settings.player_size},
        "their": {"features": settings.player_size},
    }


def _reading(hidden_size: int, parts: list[str]) -> list[dict[str, Any]]:
    """The sum of what a ply brings, normalised."""
    return [
        {"type": "embedding", "name": "rows", "size": hidden_size, "of": "ply"},
        {"type": "linear", "name": "own_player", "size": hidden_size, "of": "own"},
        {"type": "linear", "name": "their_player", "size": hidden_size, "bias": False, "of": "their"},
        {"type": "add", "name": "read", "of": ["rows", "own_player", "their_player", *parts]},
        {"type": "layer_norm", "name": "norm"},
        {"type": "relu", "name": "open"},
    ]


def _with_board(settings: Settings, cell: str, hidden_size: int) -> dict[str, Any]:
    nodes = [
        *_reading(hidden_size, ["board"]),
        *_remembering(settings, cell, hidden_size),
        {"type": "linear", "name": "query", "size": settings.move_size, "of": "drop_decided"},
        {"type": "linear", "name": "result", "size": NUM_RESULTS, "of": "drop_decided"},
    ]
    inputs = {**_inputs(settings), "board": {"features": hidden_size}}
    return _network(inputs, nodes, ["query", "result", "rnn"])


def _remembering(settings: Settings, cell: str, hidden_size: int, width: int = 1) -> list[dict[str, Any]]:
    """The recurrent layer, and what is decided from its output and from what it read."""
    drop = settings.dropout
    return [
        {"type": "linear", "name": "inner", "size": hidden_size},
        {"type": "relu", "name": "seen"},
        {"type": _DROP, "name": "drop_seen", "p": drop},
        {"type": cell, "name": "rnn", "hidden_size": hidden_size, "num_layers": settings.num_layers},
        {"type": "concat", "name": "both", "of": ["rnn", "drop_seen"]},
        {"type": "linear", "name": "joint", "size": width * hidden_size},
        {"type": "relu", "name": "decided"},
        {"type": _DROP, "name": "drop_decided", "p": drop},
    ]


def _moves_only(settings: Settings, cell: str, hidden_size: int) -> dict[str, Any]:
    """As with the board, which here is the output of a recurrent layer of its own: it reads what each move changed."""
    nodes = [
        {"type": "embedding", "name": "changes", "size": hidden_size, "of": "moved"},
        {"type": cell, "name": "tracker", "hidden_size": hidden_size},
        {"type": "linear", "name": "tracked", "size": hidden_size},
        {"type": "embedding", "name": "moves", "size": settings.move_size, "of": "last"},
        {"type": "linear", "name": "last_move", "size": hidden_size},
        *_reading(hidden_size, ["last_move", "tracked"]),
        *_remembering(settings, cell, hidden_size, width=2),
        {"type": "linear", "name": "bottleneck", "size": settings.move_size, "of": "drop_decided"},
        {"type": "linear", "name": "move", "size": START_TOKEN + 1, "tied": "moves"},
        {"type": "linear", "name": "result", "size": NUM_RESULTS, "of": "drop_decided"},
    ]
    inputs = {
        "last": {"tokens": START_TOKEN + 1},
        "moved": {"tokens": list(MOVED_TOKENS)},
        **_inputs(settings),
    }
    return _network(inputs, nodes, ["move", "result", "rnn", "tracker"])


assert START_TOKEN == 2 * NUM_MOVES
