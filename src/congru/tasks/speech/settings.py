"""The settings of `congru train speech`: what is read, the features, how they are varied, the network, a step of training.

Fields are flat; the classes only group them for reading. This module loads no torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from congru.train.settings import BudgetKind, ModelSettings


class CorpusSettings(ModelSettings):
    """Which utterances are read, and which are kept for validation."""

    valid: Annotated[Path | None, Field(description="Validation utterances, as a source of their own.")] = (
        None
    )
    validation: Annotated[
        float,
        Field(gt=0, lt=0.9, description="Share of the speakers kept for validation where no part is given."),
    ] = 0.1
    speaker: Annotated[
        str | None,
        Field(description="Regular expression whose group is the speaker in an utterance's id: -(\\w+)-"),
    ] = None
    bad: Annotated[
        Literal["stop", "skip"],
        Field(description="At an utterance that cannot be used: stop, or skip and count."),
    ] = "stop"
    case: Annotated[
        Literal["auto", "keep", "upper", "lower"],
        Field(description="Case of the text; auto: kept where all is of one case, else lower."),
    ] = "auto"
    alphabet: Annotated[
        str | None,
        Field(description="The only characters allowed beside the blank; default: those of the texts."),
    ] = None


class FeatureSettings(CorpusSettings):
    """What a step of the audio is."""

    features: Annotated[
        Literal["auto", "fbank", "mfcc", "sphinx"],
        Field(
            description="fbank: 40 log-mel energies; mfcc: 13 cepstra; sphinx: those of the AN4 features; auto: fbank,"
            " of a .npz file as given."
        ),
    ] = "auto"
    rate_hz: Annotated[
        int | None,
        Field(
            ge=4000,
            le=48_000,
            description="Resample to this rate; default: the most frequent one, at most 16000.",
        ),
    ] = None
    differences: Annotated[
        int, Field(ge=0, le=2, description="First and second differences beside the features.")
    ] = 2
    stack: Annotated[int, Field(ge=1, le=8, description="Frames of 10 ms that make one step.")] = 3


class VariationSettings(FeatureSettings):
    """How training utterances are varied."""

    speed: Annotated[float, Field(ge=0, lt=0.5, description="Faster or slower by up to this share.")] = 0.1
    warp: Annotated[
        float, Field(ge=0, lt=0.5, description="Frequencies stretched by up to this share: other voices.")
    ] = 0.1
    time_masks: Annotated[
        int, Field(ge=0, description="Stretches of time set to the mean (SpecAugment).")
    ] = 2
    mask_seconds: Annotated[float, Field(gt=0, description="Longest of them.")] = 0.2
    frequency_masks: Annotated[int, Field(ge=0, description="Bands set to the mean; for fbank.")] = 1
    mask_bands: Annotated[int, Field(ge=1, description="Widest of them.")] = 8
    cut_by: Annotated[
        Path | None,
        Field(
            description="Model or run folder of congru train speech that hears when each word of these recordings is said: in a"
            " share of the readings only a run of words is read, so that the order of words is not learnt by heart."
        ),
    ] = None
    cut_share: Annotated[
        float, Field(gt=0, le=1, description="Share of the readings that are such runs, with --cut-by.")
    ] = 0.5
    short_first: Annotated[
        int, Field(ge=0, description="First epochs in which short utterances come first.")
    ] = 1


class Settings(VariationSettings, title="settings of speech"):
    """Everything `congru train speech` takes.

    >>> Settings(cell="lstm", bidirectional=True, epochs=3).num_layers
    3
    """

    default_budget: ClassVar[tuple[BudgetKind, float]] = ("epochs", 40)

    hidden_size: Annotated[int, Field(ge=1, description="Units per layer and direction.")] = 192
    num_layers: Annotated[int, Field(ge=1, description="Recurrent layers, one on top of the other.")] = 3
    bidirectional: Annotated[
        bool,
        Field(description="Read both ways: better, but not in a stream; the mean is that of the utterance."),
    ] = False
    conv_size: Annotated[int, Field(ge=1, description="Units of the convolution before the first layer.")] = (
        256
    )
    kernel: Annotated[int, Field(ge=1, description="Steps that the convolution sees.")] = 11
    look_ahead: Annotated[int, Field(ge=0, description="Steps of these that lie in the future.")] = 5
    layer_norm: Annotated[
        bool, Field(description="Layer norm within the recurrent layers (GRU and LSTM).")
    ] = True
    dropout: Annotated[
        float,
        Field(ge=0, lt=1, description="Share of the inputs of every layer dropped, one mask for all steps."),
    ] = 0.25
    seeds: Annotated[
        int,
        Field(
            ge=1,
            description="Networks trained side by side from different first weights; the model is the mean of their logits."
            " With --consistency, without which they speak at different steps.",
        ),
    ] = 1
    consistency: Annotated[
        float,
        Field(
            ge=0,
            description="How much it weighs that readings of an utterance with other masks, two at least, differ: 0.2, say. Twice"
            " the time with one network.",
        ),
    ] = 0.0
    batch_size: Annotated[
        int, Field(ge=1, description="Utterances per optimizer step, over all devices.")
    ] = 16
    learning_rate: Annotated[float, Field(gt=0, description="Highest learning rate of AdamW.")] = 2e-3
    evaluations: Annotated[int, Field(ge=1, description="Evaluations, spread evenly over the budget.")] = 10

    @model_validator(mode="after")
    def _look_ahead_within_kernel(self) -> Self:
        if self.look_ahead >= self.kernel:
            raise ValueError(
                f"look_ahead is {self.look_ahead}, expected less than kernel = {self.kernel}: lower it"
            )
        return self

    @model_validator(mode="after")
    def _a_share_is_cut_by_a_model(self) -> Self:
        if self.cut_by is None and self.cut_share != type(self).model_fields["cut_share"].default:
            raise ValueError(
                f"cut_share is {self.cut_share} without cut_by, expected both: name a trained model with --cut-by, or leave"
                " it out"
            )
        return self
