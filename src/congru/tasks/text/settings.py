"""The settings of `congru train text`: what is read as tokens, the network, and how it is trained.

Fields are flat; the classes only group them for reading. This module loads no torch.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from congru.train.settings import BudgetKind, ModelSettings, Seeds
from congru.train.sizing import Size

# What a budget in minutes takes, see congru/train/sizing.py; the first is the default. The updates are from losses on
# tinyshakespeare (docs/LOG.md): that of 384 units lies between its measured neighbours'.
SIZES = (
    Size({"hidden_size": 512, "batch_size": 64, "chunk": 64}, updates=1200),
    Size({"hidden_size": 384, "batch_size": 32, "chunk": 64}, updates=2000),
    Size({"hidden_size": 256, "batch_size": 32, "chunk": 64}, updates=2500),
    Size({"hidden_size": 128, "batch_size": 16, "chunk": 64}, updates=4000),
)


class TokenSettings(ModelSettings):
    """What a step of the text is, and which part is kept for validation."""

    tokens: Annotated[
        Literal["char", "bpe"],
        Field(description="char: one step per character; bpe: byte pairs learned from the training part."),
    ] = "char"
    vocab_size: Annotated[int, Field(ge=257, le=2**20, description="Number of tokens with --tokens bpe.")] = (
        1024
    )
    validation: Annotated[
        float, Field(gt=0, lt=1, description="Share of the text, at its end, kept for validation.")
    ] = 0.1


class NetworkSettings(TokenSettings):
    """Embedding, recurrent layers, output layer."""

    hidden_size: Annotated[int, Field(ge=1, description="Units per layer.")] = 512
    embedding_size: Annotated[
        int | None, Field(ge=1, description="Size of a token's vector; default: a quarter of the units.")
    ] = None
    dropout: Annotated[
        float, Field(ge=0, lt=1, description="Share of outputs of each recurrent layer dropped in training.")
    ] = 0.3
    recurrent_dropout: Annotated[
        float,
        Field(
            ge=0,
            lt=1,
            description="Share of the state that the recurrent weights do not see in training, one mask for a chunk; not"
            " of a minGRU.",
        ),
    ] = 0.0
    seeds: Seeds = 1
    orthogonal: Annotated[bool, Field(description="Start recurrent weights as orthogonal matrices.")] = True
    tied: Annotated[
        bool, Field(description="Output layer shares the embedding's weights (then of the units' size).")
    ] = False
    reset_before: Annotated[
        bool, Field(description="GRU with the reset gate applied before the recurrent product.")
    ] = False

    @model_validator(mode="after")
    def _masks_of_cell(self) -> Self:
        if self.cell == "mingru" and self.recurrent_dropout:
            raise ValueError(
                f"recurrent_dropout is {self.recurrent_dropout}, expected 0 with cell mingru, which has no recurrent"
                " weights: leave it out, or take another cell"
            )
        return self

    @property
    def token_size(self) -> int:
        """The embedding size in force.

        >>> Settings(hidden_size=256).token_size, Settings(hidden_size=256, tied=True).token_size
        (64, 256)
        """
        if self.tied:
            return self.hidden_size
        return self.embedding_size or max(8, self.hidden_size // 4)


class Settings(NetworkSettings, title="settings of text"):
    """Everything `congru train text` takes.

    >>> Settings(cell="lstm", hidden_size=128, minutes=5).cell
    'lstm'
    """

    default_budget: ClassVar[tuple[BudgetKind, float]] = ("minutes", 10.0)

    chunk: Annotated[
        int,
        Field(ge=1, description="Steps between two updates: gradients reach back this far, the state on."),
    ] = 64
    batch_size: Annotated[int, Field(ge=1, description="Streams read side by side, over all devices.")] = 64
    learning_rate: Annotated[float, Field(gt=0, description="Highest learning rate of AdamW.")] = 3e-3
    evaluations: Annotated[int, Field(ge=1, description="Evaluations, spread evenly over the budget.")] = 6
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"],
        Field(
            description="Of matrix products in training; auto: bfloat16 on a CPU with AMX or AVX-512 BF16, else float32."
        ),
    ] = "auto"
