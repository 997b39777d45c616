"""Linear-chain decoding: the best tag paths (Viterbi), the log partition and the marginals, in float64.

B rows, T steps, K tags, n paths a row. A path y of a row with emissions e [T, K] scores

    s(y) = start[y_1] + Σ_t e[t, y_t] + Σ_{t>1} transitions[y_{t-1}, y_t] + end[y_T]

and has probability exp(s(y)) / Z, with Z the sum over all paths: the conditional random field of Lafferty et al. 2001.
The rows of a batch do not depend on each other, nor on what stands after a row's length.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from congru.errors import SettingsError, ShapeError, check_shape

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Allowed(NamedTuple):
    """Which tags may follow each other [K, K] (row: before, column: after), come first [K] and come last [K]."""

    transitions: NDArray[np.bool_]
    start: NDArray[np.bool_]
    end: NDArray[np.bool_]


def bio_allowed(tags: Sequence[str]) -> Allowed:
    """What BIO tagging (Ramshaw and Marcus 1995) allows: I-X comes only after B-X or I-X.

    Raises :class:`SettingsError` for a tag that is none of "O", "B-X", "I-X".

    >>> bio_allowed(["O", "B-PER", "I-PER", "I-LOC"]).transitions.astype(int).tolist()
    [[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 0, 1]]
    """
    for tag in tags:
        if tag != "O" and not (tag[:2] in ("B-", "I-") and tag[2:]):
            raise SettingsError(f"tag is {tag!r}, expected 'O', 'B-...' or 'I-...': rename it")
    start = np.array([not tag.startswith("I-") for tag in tags], bool)
    goes_on = [[after[:2] == "I-" and before[1:] == after[1:] for after in tags] for before in tags]
    return Allowed(
        start | np.array(goes_on, bool).reshape(len(tags), len(tags)), start, np.ones(len(tags), bool)
    )


class LinearChain:
    """Transitions [K, K] (from row to column), start [K] and end [K] scores, None for zeros, within what is `allowed`.

    Raises :class:`ShapeError` for arrays of other shapes or with NaN or +inf; -inf forbids.

    >>> chain = LinearChain(np.zeros((3, 3)), allowed=bio_allowed(["O", "B-X", "I-X"]))
    >>> paths, scores = chain.viterbi([[[2.0, 1.0, 3.0], [0.0, 0.0, 4.0]]])
    >>> paths.tolist(), scores.tolist()
    ([[1, 2]], [5.0])
    """

    def __init__(
        self,
        transitions: ArrayLike,
        start: ArrayLike | None = None,
        end: ArrayLike | None = None,
        allowed: Allowed | None = None,
    ) -> None:
        matrix = np.asarray(transitions, np.float64)
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.size == 0:
            raise ShapeError(
                f"transitions has shape {matrix.shape}, expected [K, K]: give a score for each pair of tags"
            )
        size = len(matrix)
        if allowed is None:
            allowed = Allowed(np.ones((size, size), bool), np.ones(size, bool), np.ones(size, bool))
        self.num_tags = size
        self.transitions = _masked("transitions", matrix, allowed.transitions, "[K, K]", (size, size))
        zeros = np.zeros(size)
        self.start = _masked("start", zeros if start is None else start, allowed.start, "[K]", (size,))
        self.end = _masked("end", zeros if end is None else end, allowed.end, "[K]", (size,))

    def score(self, emissions: ArrayLike, tags: ArrayLike, lengths: ArrayLike | None = None) -> Floats:
        """s(y) [B] of the paths tags [B, T] under emissions [B, T, K]; tags after a row's length are not read.

        Raises :class:`ShapeError` for wrong shapes and :class:`SettingsError` for a tag outside 0 to K - 1.

        >>> LinearChain([[0.0, 1.0], [2.0, 0.0]], end=[0.0, 4.0]).score(np.ones((1, 3, 2)), [[0, 1, 1]]).tolist()
        [8.0]
        """
        e, sizes = self._check(emissions, lengths)
        path = np.asarray(tags)
        check_shape("tags", path, "[B, T]", e.shape[:2], "give one tag a step")
        inside = np.arange(e.shape[1]) < sizes[:, None]
        wrong = path[inside & ((path < 0) | (path >= self.num_tags))]
        if wrong.size:
            raise SettingsError(
                f"tags holds {wrong[0]}, expected 0 to {self.num_tags - 1}: use the numbers of the tags"
            )
        path = np.where(inside, path, 0)
        total = np.zeros(len(e))
        for row, (one, steps, size) in enumerate(zip(path, e, sizes)):
            if size:
                moves = self.transitions[one[: size - 1], one[1:size]]
                emitted = steps[np.arange(size), one[:size]]
                total[row] = self.start[one[0]] + emitted.sum() + moves.sum() + self.end[one[size - 1]]
        return total

    def viterbi(self, emissions: ArrayLike, lengths: ArrayLike | None = None) -> tuple[Integers, Floats]:
        """The best path of each row, argmax_y s(y) (Viterbi 1967), of equals the one with the smallest last tags.

        Args:
            emissions: [B, T, K].
            lengths: [B], 0 to T; None for T everywhere.

        Returns:
            Paths [B, T], -1 after a row's length, and scores [B]; a row of length 0 has score 0.

        Raises:
            ShapeError: for wrong shapes or lengths, NaN or +inf.
            SettingsError: for a row in which no path is allowed.

        >>> LinearChain([[0.0, -9.0], [0.0, 0.0]]).viterbi([[[1.0, 0.0], [0.0, 2.0]]])[0].tolist()
        [[1, 1]]
        """
        paths, scores = self.n_best(emissions, 1, lengths)
        return paths[:, 0], scores[:, 0]

    def n_best(
        self, emissions: ArrayLike, num_best: int, lengths: ArrayLike | None = None
    ) -> tuple[Integers, Floats]:
        """The n best different paths of each row, best first (Seshadri and Sundberg 1994, parallel list Viterbi).

        Arguments and errors are those of :meth:`viterbi`, and :class:`SettingsError` for num_best below 1.

        Returns:
            Paths [B, n, T], -1 after a row's length, and scores [B, n]; where a row has fewer paths, the rest is -1 with
            score -inf.

        >>> paths, scores = LinearChain(np.zeros((2, 2))).n_best([[[1.0, 0.0], [0.0, 3.0]]], 3)
        >>> paths.tolist(), scores.tolist()
        ([[[0, 1], [1, 1], [0, 0]]], [[4.0, 3.0, 1.0]])
        """
        if num_best < 1:
            raise SettingsError(f"num_best is {num_best}, expected a whole number of at least 1")
        e, sizes = self._check(emissions, lengths)
        B, T, K = e.shape
        if T == 0:
            return np.full((B, num_best, 0), -1), self._without_steps(np.zeros((B, num_best)), sizes)
        best = np.full((B, K, num_best), -np.inf)  # the n best prefixes that end in each tag
        best[:, :, 0] = self.start + e[:, 0]
        stay = np.arange(K * num_best).reshape(1, K, num_best)
        sources = []
        for t in range(1, T):
            moves = np.repeat(self.transitions, num_best, axis=0)
            top, source = _largest_first(best.reshape(B, K * num_best, 1) + moves, num_best)
            going = (t < sizes)[:, None, None]
            best = np.where(going, top + e[:, t, :, None], best)
            sources.append(np.where(going, source, stay))
        finals, pointer = _largest_first((best + self.end[:, None]).reshape(B, K * num_best, 1), num_best)
        scores, pointer = finals[:, 0], pointer[:, 0]
        paths = np.empty((B, num_best, T), np.int64)
        for t in range(T - 1, -1, -1):
            paths[:, :, t] = pointer // num_best
            if t:
                pointer = np.take_along_axis(sources[t - 1].reshape(B, -1), pointer, axis=1)
        scores = self._without_steps(scores, sizes)
        self._check_possible(scores[:, 0])
        outside = (np.arange(T) >= sizes[:, None])[:, None] | (scores == -np.inf)[:, :, None]
        return np.where(outside, -1, paths), scores

    def log_partition(self, emissions: ArrayLike, lengths: ArrayLike | None = None) -> Floats:
        """log Z [B], Z = Σ_y exp(s(y)) over all paths, by the forward algorithm; 0 for a row of length 0.

        Raises what :meth:`viterbi` raises.

        >>> LinearChain(np.zeros((2, 2))).log_partition(np.zeros((1, 3, 2))).round(6).tolist() == [round(np.log(8), 6)]
        True
        """
        e, sizes = self._check(emissions, lengths)
        return self._partition(self._forward(e, sizes), sizes)

    def marginals(self, emissions: ArrayLike, lengths: ArrayLike | None = None) -> Floats:
        """p(y_t = k) [B, T, K], by forward and backward (Rabiner 1989, equation 27); 0 after a row's length.

        Raises what :meth:`viterbi` raises.

        >>> LinearChain([[0.0, -np.inf], [0.0, 0.0]]).marginals(np.zeros((1, 2, 2))).round(3).tolist()
        [[[0.333, 0.667], [0.667, 0.333]]]
        """
        e, sizes = self._check(emissions, lengths)
        T = e.shape[1]
        forward = self._forward(e, sizes)
        total = self._partition(forward, sizes)
        result = np.zeros(e.shape)
        backward = np.broadcast_to(self.end, (len(e), self.num_tags))
        for t in range(T - 1, -1, -1):
            if t < T - 1:
                following = (e[:, t + 1] + backward)[:, None, :] + self.transitions
                backward = np.where((t + 1 < sizes)[:, None], _log_sum(following, axis=2), self.end)
            inside = (t < sizes)[:, None]
            result[:, t] = np.where(inside, np.exp(forward[:, t] + backward - total[:, None]), 0)
        return result

    def _forward(self, e: Floats, sizes: Integers) -> Floats:
        """log Σ exp s over the prefixes that end in tag k at step t [B, T, K]; the last one repeated after the length."""
        result = np.empty(e.shape)
        for t in range(e.shape[1]):
            if t == 0:
                result[:, 0] = self.start + e[:, 0]
                continue
            entering = _log_sum(result[:, t - 1, :, None] + self.transitions, axis=1)
            going = (t < sizes)[:, None]
            result[:, t] = np.where(going, entering + e[:, t], result[:, t - 1])
        return result

    def _partition(self, forward: Floats, sizes: Integers) -> Floats:
        if forward.shape[1] == 0:
            return np.zeros(len(forward))
        total = np.where(sizes > 0, _log_sum(forward[:, -1] + self.end, axis=1), 0)
        self._check_possible(total)
        return total

    def _check(self, emissions: ArrayLike, lengths: ArrayLike | None) -> tuple[Floats, Integers]:
        """Emissions in float64 with zeros after each row's length, and the lengths."""
        e = np.asarray(emissions, np.float64)
        check_shape("emissions", e, "[B, T, K]", (None, None, self.num_tags), "give one score a tag")
        B, T, _ = e.shape
        sizes = np.full(B, T) if lengths is None else np.asarray(lengths)
        check_shape("lengths", sizes, "[B]", (B,), "give one length a row")
        wrong = sizes[(sizes < 0) | (sizes > T)]
        if wrong.size:
            raise ShapeError(f"lengths holds {wrong[0]}, expected 0 to T = {T}: count the steps of each row")
        e = np.where((np.arange(T) < sizes[:, None])[:, :, None], e, 0)
        _check_numbers("emissions", e)
        return e, sizes

    @staticmethod
    def _without_steps(scores: Floats, sizes: Integers) -> Floats:
        """The scores [B, n] with one path, the empty one, in rows of length 0."""
        empty = np.full(scores.shape, -np.inf)
        empty[:, 0] = 0
        return np.where((sizes == 0)[:, None], empty, scores)

    @staticmethod
    def _check_possible(best: Floats) -> None:
        if (best == -np.inf).any():
            raise SettingsError(
                f"row {int(np.argmin(best))} has no allowed path, expected at least one: allow more transitions"
            )


def _masked(
    name: str, values: ArrayLike, mask: NDArray[np.bool_], axes: str, sizes: tuple[int, ...]
) -> Floats:
    array = np.asarray(values, np.float64)
    check_shape(name, array, axes, sizes, "give one score a tag")
    check_shape(f"allowed.{name}", mask, axes, sizes, "give one truth value a tag")
    _check_numbers(name, array)
    result: Floats = np.where(mask, array, -np.inf)
    return result


def _check_numbers(name: str, array: Floats) -> None:
    if not array.max(initial=-np.inf) < np.inf:
        raise ShapeError(
            f"{name} holds NaN or +inf, expected numbers or -inf: check the model that made them"
        )


def _largest_first(values: Floats, n: int) -> tuple[Floats, Integers]:
    """The n largest of values [B, N, M] along N, largest first and first of equals first, with indices: [B, M, n]."""
    left = values
    tops, indices = [], []
    for rank in range(n):
        index = left.argmax(axis=1)[:, None]
        tops.append(np.take_along_axis(left, index, axis=1)[:, 0])
        indices.append(index[:, 0])
        if rank + 1 < n:
            left = left.copy() if rank == 0 else left
            np.put_along_axis(left, index, -np.inf, axis=1)
    return np.stack(tops, axis=-1), np.stack(indices, axis=-1)


def _log_sum(values: Floats, axis: int) -> Floats:
    """log Σ exp(values) along an axis, -inf where all are."""
    peak = values.max(axis=axis, keepdims=True)
    peak = np.where(peak == -np.inf, 0, peak)
    with np.errstate(divide="ignore"):
        result: Floats = np.log(np.exp(values - peak).sum(axis=axis)) + peak.squeeze(axis)
    return result
