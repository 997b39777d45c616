"""The settings of `congru train assistant`: the data, the network, and how it is trained. This module loads no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from congru.train.settings import BudgetKind, ModelSettings

TASK = "assistant"


class Settings(ModelSettings, title="settings of assistant"):
    """Everything `congru train assistant` takes.

    >>> Settings(minutes=5).hidden_size
    128
    """

    default_budget: ClassVar[tuple[BudgetKind, float]] = ("epochs", 30)

    validation: Annotated[
        float, Field(gt=0, lt=1, description="Share of a file kept for validation, of every intent.")
    ] = 0.15
    hidden_size: Annotated[int, Field(ge=1, description="Units per direction.")] = 128
    embedding_size: Annotated[int, Field(ge=1, description="Size of the vector of a word or affix.")] = 48
    seeds: Annotated[
        int,
        Field(
            ge=1,
            description="Sentences only: networks trained side by side from different first weights; the answer is their mean.",
        ),
    ] = 1
    dropout: Annotated[float, Field(ge=0, lt=1, description="Share of values dropped in training.")] = 0.4
    min_count: Annotated[
        int, Field(ge=1, description="Words seen less often in training are read as unseen.")
    ] = 1
    unseen: Annotated[
        float,
        Field(
            ge=0,
            description="a: of a word seen n times in training, the share a / (a + n) of its readings takes it as unseen.",
        ),
    ] = 1.0
    swap: Annotated[
        float,
        Field(ge=0, lt=1, description="Share of slot values replaced by others of the slot in training."),
    ] = 0.3
    batch_size: Annotated[int, Field(ge=1, description="Sentences, or dialogues, per update.")] = 32
    threads: Annotated[
        int | None,
        Field(ge=1, description="CPU threads per process; networks as small as these gain nothing by two."),
    ] = 1
    learning_rate: Annotated[float, Field(gt=0, description="Highest learning rate of AdamW.")] = 3e-3
    evaluations: Annotated[int, Field(ge=1, description="Evaluations, spread evenly over the budget.")] = 3
    dialogues: Annotated[
        int | None,
        Field(ge=1, description="Dialogues only: use so many of the training file, from the first."),
    ] = None
    rank: Annotated[
        str | None,
        Field(
            description="Dialogues only: the property of numbers by which results are offered, highest first."
        ),
    ] = None
