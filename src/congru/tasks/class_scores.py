"""Scores of a classifier: accuracy, macro F1, nats, calibration, the confusion matrix; and the temperature.

    F1_c = 2 tp_c / (2 tp_c + fp_c + fn_c), 0 where a class neither occurs nor is predicted; macro F1 = mean over classes
    nats = mean of -log softmax(logits / T)[label]
Legend: N texts, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.report.table import Cell, text_table
from congru.report.verdict import verdict
from congru.runtime.decoding.scores import log_softmax

Ints = NDArray[np.int64]
Logits = NDArray[Any]


def confusion(predicted: Ints, labels: Ints, num_classes: int) -> Ints:
    """[K, K]: how often class row was read as class column.

    >>> confusion(np.array([0, 1, 1]), np.array([0, 0, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    flat = labels * num_classes + predicted
    return np.asarray(np.bincount(flat, minlength=num_classes**2).reshape(num_classes, num_classes), np.int64)


def f1_per_class(matrix: Ints) -> NDArray[np.float64]:
    """F1 of every class [K] from the confusion matrix.

    >>> f1_per_class(np.array([[1, 1], [0, 1]])).round(3).tolist()
    [0.667, 0.667]
    """
    hits = np.diag(matrix).astype(np.float64)
    both = matrix.sum(0) + matrix.sum(1)
    return np.asarray(2 * hits / np.maximum(both, 1))


def scores_of(logits: Logits, labels: Ints) -> dict[str, float]:
    """accuracy, macro_f1 and nats of logits [N, K]."""
    matrix = confusion(logits.argmax(1), labels, logits.shape[1])
    nats = -np.take_along_axis(log_softmax(logits), labels[:, None], 1)
    return {
        "accuracy": float(np.diag(matrix).sum() / max(1, len(labels))),
        "macro_f1": float(f1_per_class(matrix).mean()),
        "nats": float(nats.mean()),
    }


def fit_temperature(logits: Logits, labels: Ints) -> float:
    """T in [0.05, 20] with the fewest nats of softmax(logits / T) (Guo et al. 2017), by golden-section search on log T.

    >>> fit_temperature(np.array([[4.0, 0.0], [4.0, 0.0], [4.0, 0.0], [4.0, 0.0]]), np.array([0, 0, 0, 1])) > 2
    True
    """

    def nats(log_t: float) -> float:
        return scores_of(logits / np.exp(log_t), labels)["nats"]

    low, high, ratio = np.log(0.05), np.log(20.0), (5**0.5 - 1) / 2
    for _ in range(60):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if nats(left) <= nats(right) else (left, high)
    return float(np.exp((low + high) / 2))


def calibration_error(probabilities: Logits, labels: Ints, bins: int = 10) -> float:
    """Expected calibration error: |mean probability of the prediction - share that is right|, weighted over equal bins.

    >>> calibration_error(np.array([[0.75, 0.25]] * 4), np.array([0, 0, 0, 1]))
    0.0
    """
    sure, right = probabilities.max(1), probabilities.argmax(1) == labels
    bin_of = np.minimum((sure * bins).astype(int), bins - 1)
    total = 0.0
    for k in range(bins):
        own = bin_of == k
        if own.any():
            total += float(own.mean()) * abs(float(sure[own].mean()) - float(right[own].mean()))
    return total


def confusion_table(matrix: Ints, classes: Sequence[str]) -> str:
    """The confusion matrix as text: rows are the labels of the data, columns the predictions; F1 at the end."""
    f1 = f1_per_class(matrix)
    rows: list[tuple[Cell, ...]] = [
        (name, *(int(count) for count in line), float(score))
        for name, line, score in zip(classes, matrix, f1)
    ]
    return text_table(rows, ("label, read as", *classes, "F1"), decimals=3)


def scores_with_calibration(logits: Logits, labels: Ints) -> dict[str, float]:
    """:func:`scores_of`, and the calibration error of the softmax of the logits [N, K]."""
    sure = np.exp(logits - logits.max(1, keepdims=True))
    sure /= sure.sum(1, keepdims=True)
    return {**scores_of(logits, labels), "calibration": calibration_error(sure, labels)}


def accuracy_verdict(rows: Mapping[str, Mapping[str, float]], windows: str) -> str:
    """Whether the row "model" beats the others in accuracy; rows whose title begins with "model" are no baselines."""
    baselines = {title: row["accuracy"] for title, row in rows.items() if not title.startswith("model")}
    best = rows["model"]["accuracy"]
    return verdict("accuracy", best, baselines, minimize=False, split="scored", windows=windows)
