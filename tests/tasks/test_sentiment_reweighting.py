"""Grams weighed by logistic regression: the optimum by its condition, folds that stay out, the guide beside its baselines."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from congru.tasks.sentiment.data import prepare
from congru.tasks.sentiment.features import REWEIGHTED, make_features
from congru.tasks.sentiment.naive_bayes import Counted, NaiveBayes, folds_of
from congru.tasks.sentiment.reweighting import reweight
from congru.tasks.sentiment.settings import Settings
from congru.tasks.sentiment.tokens import Steps, words_file

WORDS = [f"w{k}" for k in range(12)]


def texts_and_labels() -> tuple[list[str], NDArray[np.int64]]:
    """Sixty texts of five words; the first words speak for class 1."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    shares = np.arange(1, 13) / 78
    draws = [rng.choice(12, 5, p=shares[::-1] if label else shares) for label in labels]
    return [" ".join(WORDS[k] for k in one) for one in draws], labels


def test_the_weights_are_the_optimum() -> None:
    """With two classes u is the same for both, so that (p - y) w summed over the texts of a gram, plus u, is 0."""
    texts, labels = texts_and_labels()
    model = NaiveBayes.fit(texts, labels, 2, "word")
    counted = model.count(texts)
    weights, bias = reweight(counted, labels, model.weights)
    assert bias.sum() == pytest.approx(0, abs=1e-6)
    scores = np.tile(bias.astype(np.float64), (60, 1))
    np.add.at(scores, counted.owners, weights[counted.grams])
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    wrong = p - np.eye(2)[labels]
    assert np.abs(wrong.sum(0)).max() < 0.02
    slope = np.zeros(model.weights.shape)
    np.add.at(slope, counted.grams, wrong[counted.owners])
    told = np.abs(model.weights[:, 0]) > 1e-3
    u = weights[told] / model.weights[told]
    np.testing.assert_allclose(slope[told] * model.weights[told] + u, 0, atol=0.02)


def test_texts_that_are_left_out_change_nothing() -> None:
    texts, labels = texts_and_labels()
    model = NaiveBayes.fit(texts, labels, 2, "word")
    rows = np.arange(60) < 40
    counted, few = model.count(texts), model.count(texts[:40])
    expected = reweight(few, labels[:40], model.weights)
    for one, other in zip(reweight(counted, labels, model.weights, rows), expected):
        np.testing.assert_array_equal(one, other)


def test_the_evidence_of_a_text_comes_from_the_other_folds() -> None:
    texts, labels = texts_and_labels()
    steps = Steps("word", words_file(WORDS))
    encoded = [steps.encode(text) for text in texts]
    model, folds = NaiveBayes.fit(texts, labels, 2, "word"), folds_of(labels)
    asked: list[NDArray[np.bool_]] = []

    def refit(
        counted: Counted, labels: NDArray[np.int64], weights: NDArray[np.float32], rows: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        asked.append(rows)
        return np.full_like(weights, len(asked)), np.zeros(2, np.float32)

    evidence = model.cross_fitted(texts, encoded, labels, refit)
    counted = model.count(texts)
    for row in range(60):
        assert not asked[folds[row]][row]
        grams = counted.starts[row + 1] - counted.starts[row]
        assert evidence[row].sum(0).tolist() == [grams * (folds[row] + 1)] * 2


def test_the_guide_is_a_baseline_too(tmp_path: Path) -> None:
    texts, labels = texts_and_labels()
    path = tmp_path / "texts.jsonl"
    path.write_text(
        "\n".join(json.dumps({"text": t, "label": int(y)}) for t, y in zip(dict.fromkeys(texts), labels))
    )
    for guided in (True, False):
        chosen = Settings(reweight=guided)
        features = make_features(prepare(str(path), chosen), chosen)
        rows = features.baseline_scores(features.data.validation)
        assert (REWEIGHTED in rows) == guided
        assert guided or features.naive_bayes is next(iter(features.counted.values()))


def test_weighing_needs_a_score_to_weigh() -> None:
    with pytest.raises(ValueError, match="reweight is True and naive_bayes is 'off', expected bias or both"):
        Settings(reweight=True, naive_bayes="off")
