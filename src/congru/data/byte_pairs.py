"""Byte pairs learned from a text by the `tokenizers` library; the result is a file that the runtime reads without it."""

from __future__ import annotations

from collections.abc import Iterator

from congru.errors import DataError, require

_PIECE = 65_536  # characters handed to the BPE trainer at a time


def bpe_file(text: str, vocab_size: int, *, fewer: bool = False) -> bytes:
    """The tokenizer file of a byte-level BPE with ``vocab_size`` tokens learned from ``text``.

    ``fewer``: a text with too few different pairs gives as many tokens as it can.

    Raises:
        MissingPackageError: `tokenizers` is not installed.
        DataError: the text holds too few different pairs for so many tokens.
    """
    require("tokenizers", "text")
    from tokenizers import Tokenizer as Builder
    from tokenizers import decoders, models, pre_tokenizers, trainers

    builder = Builder(models.BPE())
    builder.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    builder.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[],
        show_progress=False,
    )
    builder.train_from_iterator(_pieces(text), trainer=trainer)
    if builder.get_vocab_size() != vocab_size and not fewer:
        raise DataError(
            f"vocab_size is {vocab_size}, expected at most {builder.get_vocab_size()}, all that this text"
            f" gives: pass --vocab-size {builder.get_vocab_size()}"
        )
    return str(builder.to_str()).encode()


def _pieces(text: str) -> Iterator[str]:
    """The text cut at line ends into pieces of about ``_PIECE`` characters."""
    start = 0
    while start < len(text):
        end = text.find("\n", start + _PIECE)
        end = len(text) if end < 0 else end + 1
        yield text[start:end]
        start = end
