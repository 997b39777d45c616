"""The settings of `congru train translate`: where the pairs stand, what a step is, the two networks.

Fields are flat; the classes only group them for reading. This module loads no torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from congru.train.settings import BudgetKind, ModelSettings


class PairSettings(ModelSettings):
    """Which pairs are read, and which are kept for validation."""

    source_column: Annotated[
        int, Field(ge=1, le=1_000_000, description="Column of the source in a table of pairs, from 1.")
    ] = 1
    target_column: Annotated[
        int, Field(ge=1, le=1_000_000, description="Column of the translation in a table of pairs, from 1.")
    ] = 2
    source_language: Annotated[
        str | None,
        Field(description="Language of the source in a TMX file, such as de; default: its srclang."),
    ] = None
    target_language: Annotated[
        str | None,
        Field(description="Language of the translation in a TMX file; default: the only other one."),
    ] = None
    bad_rows: Annotated[
        Literal["raise", "skip"],
        Field(description="A line that is no pair ends the training, or is left out and named."),
    ] = "raise"
    valid: Annotated[
        tuple[Path, ...],
        Field(description="Validation pairs: one file of pairs, or --valid SOURCE --valid TARGET."),
    ] = ()
    validation: Annotated[
        float,
        Field(gt=0, lt=0.9, description="Share of the source sentences kept for validation without --valid."),
    ] = 0.05
    max_validation: Annotated[
        int, Field(ge=1, le=1_000_000, description="Most sentences kept for validation without --valid.")
    ] = 1000


class TokenSettings(PairSettings):
    """What a step of a sentence is."""

    tokens: Annotated[
        Literal["bpe", "word"],
        Field(description="One step per byte pair, or per word between blanks (unknown ones are copied)."),
    ] = "bpe"
    shared: Annotated[
        bool, Field(description="One vocabulary and one table of vectors for both languages.")
    ] = False
    vocab_size: Annotated[
        int, Field(ge=257, le=2**20, description="Most tokens that are known, of each language or shared.")
    ] = 6000
    min_count: Annotated[int, Field(ge=1, description="Rarer words are unknown (word tokens).")] = 2
    lowercase: Annotated[bool, Field(description="Read and write capital letters as small ones.")] = False
    max_tokens: Annotated[
        int, Field(ge=2, description="Pairs with a longer sentence are left out of training, and counted.")
    ] = 100


class Settings(TokenSettings, title="settings of translate"):
    """Everything `congru train translate` takes.

    >>> Settings(fixed_vector=True, minutes=3).decoder_size
    512
    """

    default_budget: ClassVar[tuple[BudgetKind, float]] = ("epochs", 15)

    hidden_size: Annotated[
        int,
        Field(
            ge=1, description="Units per layer and direction of the encoder; the decoder has twice as many."
        ),
    ] = 256
    embedding_size: Annotated[int, Field(ge=1, description="Size of a token's vector.")] = 256
    fixed_vector: Annotated[
        bool, Field(description="No attention: the source becomes one vector, as in Cho et al. 2014.")
    ] = False
    layer_norm: Annotated[bool, Field(description="Layer norm on vectors, memory and read-out.")] = True
    dropout: Annotated[float, Field(ge=0, lt=1, description="Share of units dropped in training.")] = 0.3
    word_dropout: Annotated[float, Field(ge=0, lt=1, description="Share of tokens dropped in training.")] = (
        0.1
    )
    label_smoothing: Annotated[
        float, Field(ge=0, lt=1, description="Share of the target spread over all tokens.")
    ] = 0.1
    bleu_tokenize: Annotated[
        Literal["13a", "none", "intl", "char", "zh"],
        Field(description="How sacrebleu cuts words; none: the texts are cut already."),
    ] = "13a"
    batch_size: Annotated[int, Field(ge=1, description="Pairs per optimizer step, over all devices.")] = 128
    learning_rate: Annotated[float, Field(gt=0, description="Highest learning rate of AdamW.")] = 1e-3
    warmup: Annotated[
        float, Field(ge=0, lt=1, description="Share of the budget during which the learning rate rises.")
    ] = 0.05
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"],
        Field(
            description="Of matrix products in training; auto: bfloat16 on a CPU with AMX or AVX-512 BF16, else float32."
        ),
    ] = "auto"
    evaluations: Annotated[int, Field(ge=1, description="Evaluations, spread evenly over the budget.")] = 15

    @model_validator(mode="after")
    def _at_most_two_files(self) -> Self:
        if len(self.valid) > 2:
            raise ValueError(
                f"valid names {len(self.valid)} files, expected one of pairs or two aligned ones: leave some out"
            )
        return self

    @property
    def decoder_size(self) -> int:
        """Units of the decoder, and features of a position of the encoder's memory."""
        return 2 * self.hidden_size
