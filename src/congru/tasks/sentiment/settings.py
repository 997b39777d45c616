"""The settings of `congru train sentiment`: where text and label stand, what a step is, the network, its start.

Fields are flat; the classes only group them for reading. This module loads no torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from congru.train.settings import BudgetKind, ModelSettings


class RowSettings(ModelSettings):
    """Which columns are read, how labels become classes, and which rows are kept for validation."""

    text_column: Annotated[
        str | None, Field(description="Column of the text, by name or number from 1; default: known names.")
    ] = None
    label_column: Annotated[
        str | None, Field(description="Column of the label, by name or number from 1; default: known names.")
    ] = None
    rename: Annotated[
        tuple[str, ...],
        Field(description="Labels to be read as another: OLD=NEW; may be given several times."),
    ] = ()
    bands: Annotated[
        tuple[float, ...], Field(description="Cut numeric labels here: with -1 1, three classes.")
    ] = ()
    valid: Annotated[Path | None, Field(description="Validation rows, as a file of their own.")] = None
    test: Annotated[
        Path | None, Field(description="Test rows; only counted and compared with the training rows.")
    ] = None
    validation: Annotated[
        float,
        Field(gt=0, lt=0.9, description="Share of each class kept for validation where no part is given."),
    ] = 0.1


class TokenSettings(RowSettings):
    """What a step of the text is."""

    tokens: Annotated[
        Literal["word", "bpe", "char"], Field(description="One step per word, byte pair or character.")
    ] = "word"
    vocab_size: Annotated[int, Field(ge=257, le=2**20, description="Most tokens that are known.")] = 20_000
    min_count: Annotated[
        int, Field(ge=1, description="Words seen less often in training are read as unknown.")
    ] = 2
    lowercase: Annotated[bool, Field(description="Read capital letters as small ones.")] = True
    max_tokens: Annotated[
        int, Field(ge=2, le=1_000_000, description="Longer texts are cut here, and counted.")
    ] = 400
    vectors: Annotated[
        Path | None,
        Field(description="GloVe or fastText file (.txt, .vec, .gz) for the words' first vectors."),
    ] = None


class NaiveBayesSettings(TokenSettings):
    """What naive Bayes gives to the network."""

    naive_bayes: Annotated[
        Literal["off", "bias", "channel", "both"],
        Field(
            description="bias: its score is added to the outputs; channel: each word's log-count ratios are an input."
        ),
    ] = "both"
    grams: Annotated[
        Literal["auto", "word", "char"],
        Field(
            description="What it counts: words and pairs, or 2 and 3 characters; auto: the better one on"
            " held-out training rows."
        ),
    ] = "auto"
    reweight: Annotated[
        bool,
        Field(description="Weigh what naive Bayes counts by logistic regression (Wang & Manning 2012)."),
    ] = False

    @model_validator(mode="after")
    def _weighing_needs_a_score(self) -> Self:
        if self.reweight and not self.gives_bias:
            raise ValueError(
                f"reweight is True and naive_bayes is {self.naive_bayes!r}, expected bias or both: leave out --reweight"
            )
        return self

    @property
    def gives_bias(self) -> bool:
        """Whether naive Bayes is added to the outputs."""
        return self.naive_bayes in ("bias", "both")

    @property
    def gives_channel(self) -> bool:
        """Whether the log-count ratios of the tokens are an input."""
        return self.naive_bayes in ("channel", "both")


class Settings(NaiveBayesSettings, title="settings of sentiment"):
    """Everything `congru train sentiment` takes.

    >>> Settings(cell="lstm", pool="mean", epochs=3).pool
    'mean'
    """

    default_budget: ClassVar[tuple[BudgetKind, float]] = ("epochs", 8)

    hidden_size: Annotated[int, Field(ge=1, description="Units per layer and direction.")] = 64
    embedding_size: Annotated[int, Field(ge=1, description="Size of a token's vector.")] = 100
    pool: Annotated[
        Literal["attention", "mean", "max"],
        Field(description="How the states of all steps become one vector."),
    ] = "mean"
    streaming: Annotated[
        bool, Field(description="Forward direction only: a probability after every word as it comes.")
    ] = False
    reset_before: Annotated[
        bool, Field(description="GRU with the reset gate applied before the recurrent product.")
    ] = False
    dropout: Annotated[float, Field(ge=0, lt=1, description="Share of pooled units dropped in training.")] = (
        0.5
    )
    embedding_dropout: Annotated[
        float, Field(ge=0, lt=1, description="Share of a vector's numbers dropped in training.")
    ] = 0.3
    word_dropout: Annotated[float, Field(ge=0, lt=1, description="Share of words dropped in training.")] = 0.1
    class_weights: Annotated[
        bool, Field(description="Errors of a class count by one over its frequency.")
    ] = False
    start_from: Annotated[
        Path | None,
        Field(
            description="Model folder of congru train text to start from (Dai & Le 2015): tokens and weights."
        ),
    ] = None
    metric: Annotated[
        Literal["accuracy", "macro_f1", "nats"],
        Field(description="Validation metric that chooses the best model."),
    ] = "accuracy"
    batch_size: Annotated[int, Field(ge=1, description="Texts per optimizer step, over all devices.")] = 32
    learning_rate: Annotated[float, Field(gt=0, description="Highest learning rate of AdamW.")] = 2e-3
    evaluations: Annotated[int, Field(ge=1, description="Evaluations, spread evenly over the budget.")] = 8

    @model_validator(mode="after")
    def _vectors_need_words(self) -> Self:
        if self.vectors is not None and self.tokens != "word":
            raise ValueError(
                f"vectors is '{self.vectors}' and tokens is {self.tokens!r}, expected tokens word: leave one out"
            )
        if self.vectors is not None and self.start_from is not None:
            raise ValueError(
                f"vectors is '{self.vectors}' and start_from is '{self.start_from}', expected one start:"
                " leave one out"
            )
        return self
