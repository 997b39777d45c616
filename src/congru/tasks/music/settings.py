"""The settings of `congru train music`: what a step is, what the network reads, its sizes, how it is trained.

Fields are flat; the classes only group them for reading. This module loads no torch.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from congru.train.settings import BudgetKind, ModelSettings


class PieceSettings(ModelSettings):
    """Which pieces are read, and what a step of them is."""

    unit: Annotated[
        Literal["frames", "events"],
        Field(
            description="A step is a frame of the piano roll, or an event: a wait, a pitch, a length, a velocity."
        ),
    ] = "frames"
    grid: Annotated[
        int | None,
        Field(
            ge=1,
            le=96,
            description="Steps of time in a quarter note; default: 1 for rolls, 4 for notes, 12 for events.",
        ),
    ] = None
    validation: Annotated[
        float,
        Field(gt=0, lt=0.9, description="Share of the pieces kept for validation where no part is given."),
    ] = 0.1
    bad: Annotated[
        Literal["stop", "skip"],
        Field(description="A file that cannot be read: stop with one line, or leave it out and count it."),
    ] = "stop"


class FrameSettings(PieceSettings):
    """What the frame model reads, and how it names the notes of a frame."""

    frame: Annotated[
        Literal["notes", "keys"],
        Field(
            description="notes: one after the other, from the lowest; keys: each by itself, for comparison."
        ),
    ] = "notes"
    recall: Annotated[
        bool, Field(description="Also read what came after the longest earlier match of the last frames.")
    ] = True
    beat: Annotated[
        int, Field(ge=0, le=96, description="Also read the frame's number modulo this; 0: not.")
    ] = 16
    notes_size: Annotated[
        int, Field(ge=1, description="Units of the network that names a frame's notes.")
    ] = 192


class Settings(FrameSettings, title="settings of music"):
    """Everything `congru train music` takes.

    >>> Settings(cell="lstm", frame="keys", epochs=3).frame
    'keys'
    """

    default_budget: ClassVar[tuple[BudgetKind, float]] = ("epochs", 40)

    hidden_size: Annotated[int, Field(ge=1, description="Units per layer.")] = 192
    embedding_size: Annotated[int, Field(ge=1, description="Size of an event's vector.")] = 64
    dropout: Annotated[
        float, Field(ge=0, lt=1, description="Share of the state's units dropped in training.")
    ] = 0.6
    notes_dropout: Annotated[
        float, Field(ge=0, lt=1, description="Share of the notes network's units dropped in training.")
    ] = 0.5
    input_dropout: Annotated[float, Field(ge=0, lt=1, description="Share of inputs dropped in training.")] = (
        0.3
    )
    chunk: Annotated[
        int, Field(ge=2, description="Longest passage of a piece in one row; gradients reach back this far.")
    ] = 256
    transpose: Annotated[
        int,
        Field(
            ge=0, le=12, description="Train on passages moved by up to so many half tones; 0: as they are."
        ),
    ] = 0
    batch_size: Annotated[int, Field(ge=1, description="Passages per optimizer step, over all devices.")] = 16
    learning_rate: Annotated[float, Field(gt=0, description="Highest learning rate of AdamW.")] = 6e-3
    ema: Annotated[
        float | None, Field(gt=0, lt=1, description="Use the moving average of the weights with this decay.")
    ] = 0.99
    evaluations: Annotated[int, Field(ge=1, description="Evaluations, spread evenly over the budget.")] = 8
