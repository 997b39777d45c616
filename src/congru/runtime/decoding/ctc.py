"""CTC decoding of frames [T, V] of log-probabilities: the best path, and prefix beam search, both fed in chunks.

Connectionist temporal classification (Graves et al. 2006): an alignment names a token or the blank in every frame; its
text is what stays when runs are merged and blanks dropped. A text's probability is the sum over its alignments:

    p(y) = Σ_{a collapses to y} Π_t p_t(a_t)

Frames are taken one by one, so any cutting of the frames into chunks gives the same results, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from congru.errors import SettingsError, ShapeError
from congru.runtime.decoding.scores import check_log_probabilities, largest

Floats = NDArray[np.float64]


class Token(NamedTuple):
    """A token of the best path: its frames are start to end - 1; confidence is its mean probability over them."""

    token: int
    start: int
    end: int
    confidence: float


class CTCGreedy:
    """The best path, a_t = argmax_v p_t(v), collapsed (Graves et al. 2006, section 3.2); of equals the smaller token.

    >>> frames = np.log([[0.1, 0.8, 0.1], [0.3, 0.6, 0.1], [0.8, 0.1, 0.1], [0.1, 0.7, 0.2]])
    >>> greedy = CTCGreedy(blank=0).feed(frames[:1]).feed(frames[1:])
    >>> [(one.token, one.start, one.end, round(one.confidence, 6)) for one in greedy.tokens]
    [(1, 0, 2, 0.7), (1, 3, 4, 0.7)]
    """

    def __init__(self, blank: int = 0) -> None:
        self.blank, self.num_frames, self.log_p = blank, 0, 0.0
        self._width: int | None = None
        self._runs: list[tuple[int, int, int, float]] = []  # token, start, end, sum of probabilities
        self._last = blank

    def feed(self, frames: ArrayLike) -> CTCGreedy:
        """Go on with frames [n, V] of log-probabilities; returns itself. `log_p` is the path's log-probability.

        Raises :class:`ShapeError` for another shape or V, NaN or values above 0, :class:`SettingsError` for a `blank`
        that is no token.
        """
        log_probabilities = _check_frames(frames, self.blank, self._width)
        self._width = log_probabilities.shape[1]
        best = log_probabilities.argmax(axis=1)
        for token, log_p in zip(
            best.tolist(), log_probabilities[np.arange(len(log_probabilities)), best].tolist()
        ):
            self.log_p += log_p
            share, frame = float(np.exp(log_p)), self.num_frames
            if token != self.blank:
                if token == self._last:
                    _, start, _, shares = self._runs[-1]
                    self._runs[-1] = (token, start, frame + 1, shares + share)
                else:
                    self._runs.append((token, frame, frame + 1, share))
            self._last = token
            self.num_frames += 1
        return self

    @property
    def tokens(self) -> list[Token]:
        """The tokens so far; the last one's run may go on with the next frames."""
        return [Token(token, start, end, shares / (end - start)) for token, start, end, shares in self._runs]


class LanguageModel(Protocol):
    """What prefix beam search asks of a language model. A state is any value that is not changed in place.

    `score` may answer 0 inside a word and, at its end, for the whole word; a model that knows how a text ends has `end` too,
    see :class:`EndingLanguageModel`.
    """

    def start(self) -> Any:
        """The state before the first token."""

    def score(self, state: Any, token: int) -> tuple[float, Any]:
        """(log p(token | what led to state), the state after it)."""


@runtime_checkable
class EndingLanguageModel(LanguageModel, Protocol):
    """A language model that also scores the end of the text: a last word without separator, `</s>`."""

    def end(self, state: Any) -> float:
        """log p(the text ends | what led to state)."""


class Lexicon:
    """Words, each a sequence of tokens, that a text is made of, with one `separator` token between two (a trie).

    With `separator` None the text is one of the words, or empty. Raises :class:`SettingsError` for an empty word or
    one that holds the separator.

    >>> lexicon = Lexicon([[1, 2], [1]], separator=0)
    >>> lexicon.accepts([1, 2, 0, 1]), lexicon.accepts([2]), lexicon.accepts([1, 2, 0])
    (True, False, True)
    """

    def __init__(self, words: Sequence[Sequence[int]], separator: int | None) -> None:
        self.separator = separator
        self._next: list[dict[int, int]] = [{}]
        self._is_word = [False]
        for word in words:
            if len(word) == 0 or separator in word:
                raise SettingsError(
                    f"words holds {list(word)}, expected at least one token and no separator {separator}: remove it"
                )
            node = 0
            for token in word:
                if token not in self._next[node]:
                    self._next[node][token] = len(self._next)
                    self._next.append({})
                    self._is_word.append(False)
                node = self._next[node][token]
            self._is_word[node] = True

    def follow(self, node: int, token: int) -> int | None:
        """The node after `token`, or None where no word goes on so; node 0 is the start of a word."""
        if token == self.separator:
            return 0 if self._is_word[node] else None
        return self._next[node].get(token)

    def complete(self, node: int) -> bool:
        """Whether a text may end here: after a whole word, or at the start of one."""
        return node == 0 or self._is_word[node]

    def accepts(self, tokens: Sequence[int]) -> bool:
        """Whether a text is made of words of the lexicon."""
        node: int | None = 0
        for token in tokens:
            node = None if node is None else self.follow(node, token)
        return node is not None and self.complete(node)


class CTCHypothesis(NamedTuple):
    """A text: score is what hypotheses are ranked by, log_p its probability under CTC alone."""

    tokens: list[int]
    score: float
    log_p: float


@dataclass(eq=False)
class _Prefix:
    """A text as a chain of tokens; the same text is the same object, found through its parent's `children`."""

    parent: _Prefix | None
    token: int
    length: int
    bonus: float  # what language model and token bonus add to log p
    lm_state: Any
    word: int  # node of the lexicon
    children: dict[int, _Prefix | None] = field(default_factory=dict)  # None: not in the lexicon

    def tokens(self) -> list[int]:
        result, node = [], self
        while node.parent is not None:
            result.append(node.token)
            node = node.parent
        return result[::-1]


class CTCPrefixBeam:
    """Prefix beam search: the texts of the largest score(y), summing over alignments (Hannun et al. 2014,
    arXiv 1408.2873, algorithm 1; Graves 2012, section 7.5), in log space:

        score(y) = log p(y) + lm_weight * log p_lm(y) + token_bonus * |y|

    A prefix keeps the log-probabilities of its alignments that end in the blank and that end in its last token. After
    every frame the `beam_size` prefixes of the largest score stay; of equals the one that ranked higher before, a prefix
    before its extensions, the smaller token. With a beam that holds all prefixes and all tokens, p(y) is exact.

    Args:
        blank: the blank's token.
        beam_size: prefixes kept.
        top_tokens: tokens a frame may extend prefixes with, its most probable ones without the blank; None for all.
        lm: a language model; with `end`, see :meth:`n_best`.
        lm_weight: its weight, at least 0.
        token_bonus: added for each token. A bonus a word belongs into the language model.
        lexicon: the only words allowed.

    Raises:
        SettingsError: for a setting out of range.

    >>> frames = np.log([[0.4, 0.6], [0.6, 0.4]])
    >>> beam = CTCPrefixBeam(blank=0).feed(frames[:1]).feed(frames[1:])
    >>> [(one.tokens, round(float(np.exp(one.log_p)), 6)) for one in beam.n_best(2)]
    [([1], 0.76), ([], 0.24)]
    """

    def __init__(
        self,
        blank: int = 0,
        beam_size: int = 16,
        top_tokens: int | None = None,
        lm: LanguageModel | None = None,
        lm_weight: float = 1.0,
        token_bonus: float = 0.0,
        lexicon: Lexicon | None = None,
    ) -> None:
        for name, value in (("beam_size", beam_size), ("top_tokens", top_tokens)):
            if value is not None and value < 1:
                raise SettingsError(f"{name} is {value}, expected a whole number of at least 1")
        for name, number, least in (("lm_weight", lm_weight, 0.0), ("token_bonus", token_bonus, -np.inf)):
            if not (np.isfinite(number) and number >= least):
                wanted = "a number of at least 0" if least == 0 else "a finite number"
                raise SettingsError(f"{name} is {number}, expected {wanted}: try 0.5")
        self.blank, self.beam_size, self.top_tokens = blank, beam_size, top_tokens
        self.lm, self.lm_weight, self.token_bonus, self.lexicon = lm, lm_weight, token_bonus, lexicon
        self.num_frames = 0
        self._width: int | None = None
        self._prefixes = [_Prefix(None, blank, 0, 0.0, None if lm is None else lm.start(), 0)]
        self._ends_blank, self._ends_token = np.zeros(1), np.full(1, -np.inf)

    def feed(self, frames: ArrayLike) -> CTCPrefixBeam:
        """Go on with frames [n, V] of log-probabilities; returns itself.

        Raises :class:`ShapeError` for another shape or V, NaN or values above 0, and :class:`SettingsError` for a
        `blank` that is no token, a frame that no hypothesis survives or a language model that answers NaN.
        """
        log_probabilities = _check_frames(frames, self.blank, self._width)
        self._width = log_probabilities.shape[1]
        for frame in log_probabilities:
            self._advance(frame)
            self.num_frames += 1
        return self

    def n_best(self, num_best: int = 1, final: bool = True) -> list[CTCHypothesis]:
        """The best texts, at most `beam_size`, best first.

        `final` adds the language model's `end`, if it has one, and leaves out texts that stop inside a word of the
        lexicon, which may leave none; False looks into a stream that goes on. Raises :class:`SettingsError` for num_best
        below 1.
        """
        if num_best < 1:
            raise SettingsError(f"num_best is {num_best}, expected a whole number of at least 1")
        log_p = np.logaddexp(self._ends_blank, self._ends_token)
        ranked = []
        for prefix, own in zip(self._prefixes, log_p.tolist()):
            score = own + prefix.bonus
            if final and self.lexicon is not None and not self.lexicon.complete(prefix.word):
                continue
            if final and isinstance(self.lm, EndingLanguageModel):
                score += self.lm_weight * self.lm.end(prefix.lm_state)
            ranked.append((prefix, score, own))
        ranked.sort(key=lambda one: -one[1])
        return [CTCHypothesis(prefix.tokens(), score, own) for prefix, score, own in ranked[:num_best]]

    def stable(self) -> list[int]:
        """The tokens that all surviving hypotheses begin with: later frames only ever add to them."""
        nodes = set(self._prefixes)
        shortest = min(node.length for node in nodes)
        while len(nodes) > 1 or next(iter(nodes)).length > shortest:
            deepest = max(node.length for node in nodes)
            nodes = {node.parent if node.length == deepest and node.parent else node for node in nodes}
        return next(iter(nodes)).tokens()

    def _advance(self, frame: Floats) -> None:
        total = np.logaddexp(self._ends_blank, self._ends_token)
        last = np.array(
            [prefix.token for prefix in self._prefixes]
        )  # the blank at the root, which no token equals
        tokens = self._tokens(frame)
        same = tokens == last[:, None]
        grown = np.where(same, self._ends_blank[:, None], total[:, None]) + frame[tokens]
        stay_blank, stay_token = total + frame[self.blank], self._ends_token + frame[last]
        self._merge(grown, same, stay_token)

        bonus = np.array([prefix.bonus for prefix in self._prefixes])
        stay = np.logaddexp(stay_blank, stay_token)
        scores = np.concatenate([stay + bonus, (grown + self._bonuses(grown, tokens, bonus)).ravel()])
        chosen = [int(i) for i in largest(scores, self.beam_size) if scores[i] > -np.inf]
        if not chosen:
            raise SettingsError(
                f"frame {self.num_frames} leaves no hypothesis, expected at least one: raise beam_size or top_tokens,"
                " or check the frames, the lexicon and the language model"
            )
        prefixes, size = [], len(self._prefixes)
        ends_blank, ends_token = np.full(len(chosen), -np.inf), np.empty(len(chosen))
        for rank, i in enumerate(chosen):
            if i < size:
                prefix: _Prefix | None = self._prefixes[i]
                ends_blank[rank], ends_token[rank] = stay_blank[i], stay_token[i]
            else:
                row, column = divmod(i - size, len(tokens))
                prefix = self._child(self._prefixes[row], int(tokens[column]))
                ends_token[rank] = grown[row, column]
            assert prefix is not None  # its score is above -inf
            prefixes.append(prefix)
        self._prefixes, self._ends_blank, self._ends_token = prefixes, ends_blank, ends_token

    def _tokens(self, frame: Floats) -> NDArray[np.int64]:
        """The tokens [C] that may extend prefixes in this frame, in ascending order."""
        without_blank = frame.copy()
        without_blank[self.blank] = -np.inf
        if self.top_tokens is not None and self.top_tokens < len(frame) - 1:
            top = np.sort(largest(without_blank, self.top_tokens))
            possible: NDArray[np.int64] = top[without_blank[top] > -np.inf]
            return possible
        return np.flatnonzero(without_blank > -np.inf)

    def _merge(self, grown: Floats, same: NDArray[np.bool_], stay_token: Floats) -> None:
        """Where a prefix of the beam is another's extension, add the two up in `stay_token` and empty `grown`."""
        rows = {prefix: row for row, prefix in enumerate(self._prefixes)}
        for row, column in zip(*(axis.tolist() for axis in np.nonzero(same))):
            above = self._prefixes[row].parent
            parent = None if above is None else rows.get(above)
            if parent is not None:
                stay_token[row] = np.logaddexp(stay_token[row], grown[parent, column])
                grown[parent, column] = -np.inf

    def _bonuses(self, grown: Floats, tokens: NDArray[np.int64], bonus: Floats) -> Floats:
        """What is added to log p of each extension [K, C]; -inf for one that the lexicon forbids."""
        if self.lm is None and self.lexicon is None:
            return np.broadcast_to((bonus + self.token_bonus)[:, None], grown.shape)
        result = np.full(grown.shape, -np.inf)
        for row, column in zip(*np.nonzero(grown > -np.inf)):
            child = self._child(self._prefixes[row], int(tokens[column]))
            if child is not None:
                result[row, column] = child.bonus
        return result

    def _child(self, prefix: _Prefix, token: int) -> _Prefix | None:
        """The prefix one token longer, made once; None where the lexicon forbids it."""
        if token not in prefix.children:
            prefix.children[token] = self._extend(prefix, token)
        return prefix.children[token]

    def _extend(self, prefix: _Prefix, token: int) -> _Prefix | None:
        word = 0 if self.lexicon is None else self.lexicon.follow(prefix.word, token)
        if word is None:
            return None
        bonus, lm_state = prefix.bonus + self.token_bonus, None
        if self.lm is not None:
            log_p, lm_state = self.lm.score(prefix.lm_state, token)
            if not log_p < np.inf:
                raise SettingsError(
                    f"lm.score of token {token} is {log_p}, expected a log-probability: check the language model"
                )
            bonus += self.lm_weight * log_p
        return _Prefix(prefix, token, prefix.length + 1, bonus, lm_state, word)


def text_log_p(frames: ArrayLike, texts: Sequence[Sequence[int]], blank: int = 0) -> Floats:
    """log p(y) [N] of texts y after frames [T, V] of log-probabilities, exact; -inf for a text with too few frames.

    The forward variables of Graves et al. 2006, section 4.1: with l the text with a blank before, between and after its tokens,

        a(t, s) = p_t(l_s) (a(t-1, s) + a(t-1, s-1) + a(t-1, s-2) where l_s is no blank and l_s != l_(s-2))

    >>> text_log_p(np.log([[0.4, 0.6], [0.6, 0.4]]), [[1], [], [1, 1]]).round(6).tolist()
    [-0.274437, -1.427116, -inf]
    """
    log_p = _check_frames(frames, blank, None)
    ends = 2 * np.array([len(text) for text in texts], np.int64)
    labels = np.full((len(texts), int(ends.max(initial=0)) + 1), blank)
    for row, text in zip(labels, texts):
        row[1 : 2 * len(text) : 2] = text
    skip = np.zeros(labels.shape, bool)
    skip[:, 3::2] = labels[:, 3::2] != labels[:, 1:-2:2]
    ahead = np.full((len(texts), labels.shape[1] + 2), -np.inf)  # two columns before the first label
    ahead[:, 2] = 0.0  # before the first frame, as if at a blank
    with np.errstate(invalid="ignore"):
        for frame in log_p:
            stay, one = ahead[:, 2:], ahead[:, 1:-1]
            two = np.where(skip, ahead[:, :-2], -np.inf)
            ahead[:, 2:] = np.logaddexp(np.logaddexp(stay, one), two) + frame[labels]
    rows = np.arange(len(texts))
    last_token = np.where(ends > 0, ahead[rows, ends + 1], -np.inf)
    return np.asarray(np.logaddexp(ahead[rows, ends + 2], last_token))


def _check_frames(frames: ArrayLike, blank: int, width: int | None) -> Floats:
    log_probabilities = check_log_probabilities("frames", frames, None)
    if width is not None and log_probabilities.shape[1] != width:
        raise ShapeError(
            f"frames has {log_probabilities.shape[1]} scores a frame, expected V = {width}: feed one stream's frames"
        )
    if not 0 <= blank < log_probabilities.shape[1]:
        raise SettingsError(
            f"blank is {blank}, expected a token from 0 to {log_probabilities.shape[1] - 1}: use the model's blank"
        )
    return log_probabilities
