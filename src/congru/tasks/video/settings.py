"""The settings of `congru train video`: which clips are read and how, the network, what is changed at random in training.

Fields are flat; the classes only group them for reading. This module loads no torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from congru.train.settings import BudgetKind, ModelSettings, Seeds


class ClipSettings(ModelSettings):
    """Which clips are read or made, and which are kept for validation and test."""

    moving_digits: Annotated[
        Literal["digit", "direction", "order"] | None,
        Field(
            description="Make clips of moving digits from the MNIST files in the folder, new ones every epoch."
        ),
    ] = None
    made_clips: Annotated[
        int, Field(ge=2, description="Moving digits: clips of an epoch; an eighth as many for validation.")
    ] = 4096

    bad: Annotated[
        Literal["stop", "skip"],
        Field(description="A clip that cannot be used: stop with one line, or leave it out and count it."),
    ] = "stop"
    validation: Annotated[
        float,
        Field(gt=0, lt=0.9, description="Share kept for validation where no part is given."),
    ] = 0.15
    fold: Annotated[
        int, Field(ge=0, le=1_000_000, description="Which share: 0 to 5 are six different ones at 0.15.")
    ] = 0
    leave_out: Annotated[
        tuple[str, ...],
        Field(
            description="Groups (people) kept for the test: names of the table's group column; several times."
        ),
    ] = ()
    rate: Annotated[
        float | None,
        Field(gt=0, description="Frames a second, taken by their times; default: every frame of the file."),
    ] = None
    max_frames: Annotated[
        int, Field(ge=2, le=1_000_000, description="Longer clips are cut here, and counted.")
    ] = 300
    memory_mb: Annotated[
        int,
        Field(ge=1, description="Small pictures kept in memory; clips beyond are decoded anew each time."),
    ] = 1024
    decoders: Annotated[
        int, Field(ge=0, description="Processes that decode clips before training; 0: all in this one.")
    ] = 2


class PictureSettings(ClipSettings):
    """How pictures become numbers."""

    height: Annotated[int, Field(ge=4, le=512, description="Rows of a picture after scaling.")] = 36
    width: Annotated[int, Field(ge=4, le=512, description="Columns of a picture after scaling.")] = 48
    figure: Annotated[
        bool,
        Field(
            description="Only the figure, what differs from the border's colour, is cut out and fills the picture:"
            " silhouettes and figures before an even ground."
        ),
    ] = False
    color: Annotated[bool, Field(description="Red, green and blue instead of brightness.")] = False
    differences: Annotated[
        bool, Field(description="Also give what changed since the frame before: motion.")
    ] = True
    channels: Annotated[
        tuple[int, ...],
        Field(min_length=1, description="Channels of the convolutions, each halving the picture."),
    ] = (16, 32, 32)
    columns: Annotated[
        Literal["all", "max"],
        Field(
            description="What is read behind the convolutions: all columns, or of every row the largest value, wherever it"
            " stands: figures that walk through whole pictures."
        ),
    ] = "all"
    encoder_size: Annotated[int, Field(ge=1, description="Numbers of a picture after the convolutions.")] = 64


class ChangeSettings(PictureSettings):
    """What is changed at random in every training clip, one draw for all its frames."""

    coordinates: Annotated[
        int | None,
        Field(
            ge=1,
            description="Track numbers per landmark: 2 for x, y; default: 2 where it divides them, else 1.",
        ),
    ] = None
    shift: Annotated[
        float, Field(ge=0, le=1, description="Largest shift, as a share of a side or of a track's deviation.")
    ] = 0.1
    zoom: Annotated[float, Field(ge=0, lt=1, description="Largest change of size, as a share.")] = 0.1
    turn: Annotated[float, Field(ge=0, le=180, description="Largest turn in the plane, in degrees.")] = 0.0
    crop: Annotated[
        int | None, Field(ge=2, description="Frames taken from a clip, from a random one on; default: all.")
    ] = None
    stretch: Annotated[float, Field(ge=0, lt=1, description="Largest change of speed, as a share.")] = 0.1
    warp: Annotated[
        float, Field(ge=0, lt=1, description="Largest change of speed that comes and goes within a clip.")
    ] = 0.0
    noise: Annotated[
        float, Field(ge=0, description="Deviation of noise, as a share of the values' deviation.")
    ] = 0.05
    flip: Annotated[bool, Field(description="Also learn mirrored clips, left for right.")] = False


class FrameSettings(ChangeSettings):
    """What is told of a clip: its class, or the frames that come next."""

    predict: Annotated[
        Literal["class", "frames"],
        Field(
            description="class: what a clip shows; frames: how it goes on, by a convolutional GRU, without labels."
        ),
    ] = "class"
    observed: Annotated[
        int, Field(ge=2, le=1_000_000, description="Frames: how many are seen before it goes on alone.")
    ] = 10
    ahead: Annotated[
        int,
        Field(ge=1, le=1_000_000, description="Frames: how many are predicted, each from the one before."),
    ] = 5
    patch: Annotated[
        int, Field(ge=1, le=1_000_000, description="Frames: the side of the squares a picture is cut into.")
    ] = 4
    state_channels: Annotated[int, Field(ge=1, description="Frames: channels of the state.")] = 32


class Settings(FrameSettings, title="settings of video"):
    """Everything `congru train video` takes.

    >>> Settings(cell="lstm", streaming=True).streaming
    True
    """

    default_budget: ClassVar[tuple[BudgetKind, float]] = ("epochs", 30)

    streaming: Annotated[
        bool, Field(description="Forward direction only: an answer after every frame, and early decisions.")
    ] = False
    early_weight: Annotated[
        float,
        Field(ge=0, le=1, description="Where it streams: what the frames before the last count in training."),
    ] = 0.5
    early_loss: Annotated[
        float,
        Field(
            ge=0,
            lt=1,
            description="With --streaming: share of validation clips that early decisions may get wrong beyond those wrong at"
            " their ends.",
        ),
    ] = 0.0
    earliest: Annotated[
        float,
        Field(
            ge=0,
            lt=1,
            description="With --streaming: no early decision before this share of the validation clips' median length; 0: from"
            " the first frame on.",
        ),
    ] = 0.0
    window: Annotated[
        int,
        Field(ge=0, description="Tracks: a convolution over so many frames before the GRU; 0: none."),
    ] = 0
    pool: Annotated[
        Literal["last", "mean", "max", "attention"],
        Field(description="How the states of all frames become one vector."),
    ] = "mean"
    reset_before: Annotated[
        bool, Field(description="GRU with the reset gate applied before the recurrent product.")
    ] = False
    hidden_size: Annotated[int, Field(ge=1, description="Units per layer and direction.")] = 64
    dropout: Annotated[float, Field(ge=0, lt=1, description="Share of units dropped in training.")] = 0.3
    seeds: Seeds = 1
    start_from: Annotated[
        Path | None,
        Field(
            description="Model folder of congru train video to start from: its weights are taken where their shapes fit."
        ),
    ] = None
    metric: Annotated[
        Literal["accuracy", "macro_f1", "nats"],
        Field(description="Validation metric that chooses the best model."),
    ] = "accuracy"
    batch_size: Annotated[int, Field(ge=1, description="Clips per optimizer step, over all devices.")] = 16
    evaluations: Annotated[int, Field(ge=1, description="Evaluations, spread evenly over the budget.")] = 10

    @model_validator(mode="after")
    def _whole_patches(self) -> Self:
        if self.predict == "frames" and (self.height % self.patch or self.width % self.patch):
            raise ValueError(
                f"patch is {self.patch}, expected a divisor of height {self.height} and width {self.width}: change it"
            )
        return self

    @model_validator(mode="after")
    def _frames_stay_whole(self) -> Self:
        if self.predict == "frames" and self.figure:
            raise ValueError(
                "figure is True with predict = 'frames', expected whole pictures, in which the figure moves: leave out --figure"
            )
        return self

    @model_validator(mode="after")
    def _frames_have_one_layer(self) -> Self:
        if self.predict == "frames" and (self.num_layers > 1 or self.cell != "gru"):
            raise ValueError(
                f"num_layers is {self.num_layers} and cell is {self.cell!r}, expected 1 and 'gru' for frames, which come from"
                " one convolutional GRU: leave both out"
            )
        return self

    @model_validator(mode="after")
    def _one_network_for_frames(self) -> Self:
        if self.seeds > 1 and self.predict == "frames":
            raise ValueError(
                f"seeds is {self.seeds} with predict = 'frames', expected 1 there: leave out --seeds"
            )
        return self

    @model_validator(mode="after")
    def _only_streams_decide_early(self) -> Self:
        for name, value in (("early_loss", self.early_loss), ("earliest", self.earliest)):
            if value and not self.streaming:
                raise ValueError(
                    f"{name} is {value} without streaming, expected 0: only a stream decides early; add --streaming, or leave"
                    " it out"
                )
        return self

    @model_validator(mode="after")
    def _each_convolution_halves(self) -> Self:
        smallest = 2 ** len(self.channels)
        if min(self.height, self.width) < smallest:
            raise ValueError(
                f"height is {self.height} and width is {self.width}, expected at least {smallest} for"
                f" {len(self.channels)} convolutions: raise them, or give fewer --channels"
            )
        return self
