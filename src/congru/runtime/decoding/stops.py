"""Text of tokens that are drawn one by one, which ends before a stop text and never shows a part of one."""

from __future__ import annotations

from collections.abc import Sequence

from congru.runtime.tokenizer import Tokenizer


class StopText:
    """`push` gives the text that is certain after a token, `flush` the rest; `stopped` says that a stop text came.

    >>> from congru.runtime.tokenizer import char_tokenizer
    >>> text = StopText(char_tokenizer(["a", "b", "c"]), ["bc"])
    >>> [text.push(token) for token in (0, 1, 0, 1, 2)], text.stopped
    (['a', '', 'ba', '', ''], True)
    """

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[str]) -> None:
        self._decoder, self._stops, self._pending = tokenizer.stream(), list(stops), ""
        self.stopped = False

    def push(self, token: int) -> str:
        """The text that is certain after this token; empty once stopped."""
        return self._next(self._decoder.push(token), last=False)

    def flush(self) -> str:
        """What was held back; half a character becomes U+FFFD."""
        return self._next(self._decoder.flush(), last=True)

    def _next(self, text: str, last: bool) -> str:
        if self.stopped:
            return ""
        self._pending += text
        starts = [self._pending.index(stop) for stop in self._stops if stop in self._pending]
        held = 0 if starts or last else _held_back(self._pending, self._stops)
        piece = self._pending[: min(starts) if starts else len(self._pending) - held]
        self._pending = self._pending[len(piece) :]
        self.stopped = bool(starts)
        return piece


def _held_back(text: str, stops: Sequence[str]) -> int:
    """How many characters at the end of `text` may be the beginning of a stop."""
    longest = max((len(stop) for stop in stops), default=1) - 1
    for size in range(min(longest, len(text)), 0, -1):
        if any(stop.startswith(text[-size:]) for stop in stops):
            return size
    return 0
