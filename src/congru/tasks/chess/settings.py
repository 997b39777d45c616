"""The settings of `congru train chess`: what a step reads, the network, and how it is trained.

Fields are flat; the classes only group them for reading. This module loads no torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from congru.train.settings import BudgetKind, ModelSettings


class ChessDataSettings(ModelSettings):
    """Which games are used, how they are parted, and whose players the network tells apart."""

    player: Annotated[str | None, Field(description="Only the games of this player.")] = None
    first_year: Annotated[int | None, Field(ge=1, description="Only games from this year on.")] = None
    min_elo: Annotated[int | None, Field(ge=1, description="Only games of two players rated so high.")] = None
    result: Annotated[
        Literal["1-0", "1/2-1/2", "0-1"] | None, Field(description="Only games that ended so.")
    ] = None
    bad: Annotated[
        Literal["skip", "stop"],
        Field(
            description="A game that cannot be followed: leave it out and count it, or stop with one line."
        ),
    ] = "skip"
    split: Annotated[
        Literal["auto", "game", "time"],
        Field(
            description="Validation and test part: auto: the source's column, else by game; time: the newest games."
        ),
    ] = "auto"

    min_games: Annotated[
        int, Field(ge=1, description="Players with fewer training games are read as unknown ones.")
    ] = 100
    validation_games: Annotated[
        int, Field(ge=1, description="Games of the validation part scored at every evaluation, at most.")
    ] = 800


class NetworkSettings(ChessDataSettings):
    """The network that reads a game ply by ply."""

    variant: Annotated[
        Literal["b", "m"],
        Field(description="b: the rules supply the board; m: moves only, the state carries the board."),
    ] = "b"
    hidden_size: Annotated[int, Field(ge=1, description="Units of the recurrent layer.")] = 512
    move_size: Annotated[int, Field(ge=1, description="Size of a move's vector.")] = 128
    player_size: Annotated[int, Field(ge=1, description="Size of a player's vector.")] = 64
    dropout: Annotated[float, Field(ge=0, lt=1, description="Share of units dropped in training.")] = 0.1
    start_from: Annotated[
        Path | None,
        Field(
            description="Model folder of congru train chess to start from: its weights are taken where their shapes fit."
        ),
    ] = None


class Settings(NetworkSettings):
    """Everything `congru train chess` takes."""

    default_budget: ClassVar[tuple[BudgetKind, float]] = ("minutes", 100.0)

    batch_size: Annotated[int, Field(ge=1, description="Streams of games read side by side.")] = 32
    chunk: Annotated[
        int,
        Field(ge=1, description="Plies between two updates: gradients reach back this far, the state on."),
    ] = 32
    player_dropout: Annotated[
        float, Field(ge=0, lt=1, description="Share of games in which a player is read as an unknown one.")
    ] = 0.15
    carried: Annotated[
        float,
        Field(ge=0, le=1, description="Share of a pair's later games that keep the state of the one before."),
    ] = 0.3
    result_weight: Annotated[float, Field(ge=0, description="Weight of the loss of the game's result.")] = 0.1
    time_weight: Annotated[
        float,
        Field(ge=0, description="Weight of the loss of the time a move takes, where games have clocks."),
    ] = 0.1
    teacher_weight: Annotated[
        float, Field(ge=0, description="Variant m: weight of the loss that teaches the 64 squares.")
    ] = 3.0
    legal_weight: Annotated[
        float, Field(ge=0, description="Variant m: weight of the loss that teaches which moves are legal.")
    ] = 0.0
    learning_rate: Annotated[float, Field(gt=0, description="Highest learning rate of AdamW.")] = 2e-3
    ema: Annotated[
        float | None, Field(gt=0, lt=1, description="Use the moving average of the weights with this decay.")
    ] = 0.999
    evaluations: Annotated[int, Field(ge=1, description="Evaluations, spread evenly over the budget.")] = 10
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"],
        Field(
            description="Of matrix products in training; auto: bfloat16 on a CPU with AMX or AVX-512 BF16, else float32."
        ),
    ] = "auto"
    workers: Annotated[
        int, Field(ge=0, description="Processes that replay games ahead of time; the numbers stay the same.")
    ] = 1
