"""Classifiers: naive Bayes by hand, shares that add up, streams that equal whole texts, starts, scores, the commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import congru
from congru.cli.main import main
from congru.errors import DataError, SettingsError
from congru.tasks.class_scores import f1_per_class, fit_temperature, scores_of
from congru.tasks.sentiment.attribution import attribute_text
from congru.tasks.sentiment.classifier import Classifier
from congru.tasks.sentiment.data import prepare
from congru.tasks.sentiment.features import make_features
from congru.tasks.sentiment.learner import SentimentLearner, make_learner
from congru.tasks.sentiment.naive_bayes import NaiveBayes, folds_of, token_ratios
from congru.tasks.sentiment.settings import Settings
from congru.tasks.sentiment.tokens import Steps, words_file
from congru.tasks.sentiment.use import evaluate, run
from congru.tasks.sentiment.vectors import read_vectors

SMALL: dict[str, Any] = {
    "hidden_size": 6,
    "embedding_size": 5,
    "batch_size": 16,
    "steps": 12,
    "evaluations": 1,
    "threads": 1,
    "quiet": True,
}
WORDS = {"good": "a warm funny lovely film", "bad": "a dull slow sad film", "so so": "some film or other"}


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> str:
    rng, rows = np.random.default_rng(0), []
    for label, words in WORDS.items():
        for _ in range(40):
            text = " ".join(rng.permutation(words.split()).tolist()[: int(rng.integers(2, 5))])
            rows.append({"review": f"{text} {rng.integers(1000)}", "stars": label})
    path = tmp_path_factory.mktemp("reviews") / "reviews.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


def train(source: str, out: Path, **settings: Any) -> Classifier:
    congru.tasks.sentiment.train(source, **{**SMALL, **settings, "out": out})
    return Classifier.load(out)


def test_naive_bayes_is_what_the_formula_says() -> None:
    model = NaiveBayes.fit(["good film", "bad film"], np.array([1, 0]), 2, "word")
    # 5 grams, 3 in each class: p(good | 1) = 2/8, p(good | 0) = 1/8; film is even; "good film" as good.
    half = np.log(2) / 2
    np.testing.assert_allclose(model.scores(["good film good"]), [[-2 * half, 2 * half]], atol=1e-6)
    np.testing.assert_allclose(model.scores(["a film"]), [[0, 0]], atol=1e-6)
    again = NaiveBayes.from_bytes(model.to_bytes(), "word", True)
    np.testing.assert_array_equal(again.scores(["good film"]), model.scores(["good film"]))


@pytest.mark.parametrize("kind", ["word", "char"])
def test_evidence_by_step_adds_up_to_the_score(kind: str) -> None:
    texts = ["a good film, so good", "a bad bad film", "good", "bad"]
    model = NaiveBayes.fit(texts, np.array([1, 0, 1, 0]), 2, kind)
    steps = Steps("word", words_file(["good"]))
    for text in texts:
        evidence = model.evidence(steps.encode(text))
        np.testing.assert_allclose(evidence.sum(0) + model.prior, model.scores([text])[0], atol=1e-5)


def test_cross_fitted_evidence_leaves_a_text_s_own_fold_out() -> None:
    rng = np.random.default_rng(1)
    words = [f"w{k}" for k in range(15)]
    texts = [" ".join(rng.choice(words, 4)) for _ in range(60)]
    labels = np.arange(60) % 2
    steps = Steps("word", words_file(words))
    encoded = [steps.encode(text) for text in texts]
    model = NaiveBayes.fit(texts, labels, 2, "word")
    evidence, folds = model.cross_fitted(texts, encoded, labels), folds_of(labels)
    others = [k for k in range(60) if folds[k] != folds[7]]
    # The same grams counted without the fold: a gram seen only there has no counts, and the sums stand over all grams.
    counts = np.ones((len(model.numbers), 2))
    for k in others:
        for gram in {g for g in model.numbers if f" {g} " in f" {texts[k]} "}:
            counts[model.numbers[gram], labels[k]] += 1
    logs = np.log(counts / counts.sum(0))
    logs -= logs.mean(1, keepdims=True)
    own = {g for g in model.numbers if f" {g} " in f" {texts[7]} "}
    np.testing.assert_allclose(evidence[7].sum(0), sum(logs[model.numbers[g]] for g in own), atol=1e-5)


@pytest.mark.parametrize(
    ("pool", "cell", "settings"),
    [
        ("mean", "gru", {}),
        ("attention", "gru", {"tokens": "bpe", "vocab_size": 300}),
        ("max", "gru", {"num_layers": 2, "tokens": "char"}),
        ("attention", "lstm", {"naive_bayes": "off"}),
        ("mean", "rnn", {"naive_bayes": "bias"}),
        ("max", "mingru", {"streaming": True, "naive_bayes": "channel"}),
        ("attention", "gru", {"streaming": True}),
    ],
)
def test_shares_of_the_words_add_up_to_the_evidence(
    reviews: str, tmp_path: Path, pool: str, cell: str, settings: dict[str, Any]
) -> None:
    classifier = train(reviews, tmp_path / "run", pool=pool, cell=cell, **settings)
    text = "a lovely, warm film 12"
    explained = attribute_text(classifier, text, "good")
    logits = classifier.logits([text])[0].astype(np.float64)
    index = classifier.classes.index("good")
    assert explained.evidence == pytest.approx(logits[index] - np.delete(logits, index).mean(), abs=1e-5)
    assert abs(explained.residual) < 1e-5
    total = explained.written.sum() + explained.counted.sum() + explained.start + explained.constant
    assert total == pytest.approx(explained.evidence, abs=1e-5)
    assert (np.abs(explained.written).max() > 1e-6) == (cell != "rnn")
    assert len(explained.pieces) == len(explained.shares)
    if classifier.streams:
        *_, last = classifier.stream(text)
        np.testing.assert_allclose(last.probabilities, classifier.probabilities([text])[0], atol=1e-5)
        first = next(classifier.stream(text))
        np.testing.assert_allclose(first.probabilities, classifier.probabilities(["a"])[0], atol=1e-5)


def test_the_model_learns_and_is_scored_beside_its_baselines(
    reviews: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classifier = train(reviews, tmp_path / "run", steps=60, learning_rate=0.01, pool="max", streaming=True)
    scores = evaluate(tmp_path / "run", reviews)
    printed = capsys.readouterr().out
    assert scores["model"]["accuracy"] >= 0.9
    assert scores["model"]["accuracy"] > scores["most frequent class"]["accuracy"]
    assert any(name.startswith("naive Bayes") for name in scores)
    assert "label, read as" in printed
    assert "validation by the rule of training: 12 texts" in printed
    assert evaluate(tmp_path / "run", reviews, part="all", quiet=True)["model"]["accuracy"] > 0.9
    with pytest.raises(DataError, match="has no test part"):
        evaluate(tmp_path / "run", reviews, part="test")
    assert 0.05 <= classifier.temperature <= 20
    assert (tmp_path / "run" / "model" / "confusion.txt").read_text().startswith("label, read as")
    run(tmp_path / "run", "a dull sad film", page_file=tmp_path / "page.html")
    printed = capsys.readouterr().out
    assert "evidence for 'bad'" in printed
    assert "dull" in printed.splitlines()[3]
    assert 'class="word"' in (tmp_path / "page.html").read_text()
    run(tmp_path / "run", "a dull sad film", stream=True)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[:4]] == [
        "a",
        "dull",
        "sad",
        "film",
    ]
    run(tmp_path / "run", "a dull sad film", json_lines=True)
    answer = json.loads(capsys.readouterr().out)
    assert answer["class"] == "bad"
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    with pytest.raises(SettingsError, match="target is 'odd', expected one of bad, good, so so"):
        run(tmp_path / "run", "a film", target="odd")
    for wrong in ("", " "):
        with pytest.raises(DataError, match="text is empty"):
            run(tmp_path / "run", wrong)


def test_a_model_that_reads_both_ways_does_not_stream(reviews: str, tmp_path: Path) -> None:
    classifier = train(reviews, tmp_path / "run", steps=2)
    with pytest.raises(SettingsError, match="expected one trained with --streaming"):
        classifier.stream("a film")


def test_a_language_model_of_unlabelled_text_is_the_start(reviews: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a warm funny film\na dull sad film\n" * 40)
    sizes = {"hidden_size": 6, "embedding_size": 5, "threads": 1, "quiet": True, "precision": "float32"}
    congru.tasks.text.train(
        str(tmp_path / "a.txt"), **sizes, steps=3, evaluations=1, batch_size=4, chunk=8, out=tmp_path / "text"
    )
    settings = Settings(**{**SMALL, "start_from": tmp_path / "text", "naive_bayes": "both"})
    learner = make_learner(reviews, settings=settings)
    weights = congru.load(tmp_path / "text").network.weights
    main = learner.module["main"]
    np.testing.assert_array_equal(main.get_parameter("embed.weight").detach(), weights["embed.weight"])
    np.testing.assert_array_equal(
        main.get_parameter("rnn.weight_hh_l0").detach(), weights["rnn.weight_hh_l0"]
    )
    np.testing.assert_array_equal(
        main.get_parameter("rnn.weight_ih_l0").detach()[:, :5], weights["rnn.weight_ih_l0"]
    )
    assert not main.get_parameter("rnn.weight_ih_l0").detach()[:, 5:].any()
    classifier = train(reviews, tmp_path / "run", start_from=tmp_path / "text")
    assert classifier.probabilities(["a warm film"]).shape == (1, 3)
    with pytest.raises(SettingsError, match=r"hidden_size is 7, expected 6 as in .*: pass --hidden-size 6"):
        make_learner(
            reviews, settings=Settings(**{**SMALL, "start_from": tmp_path / "text", "hidden_size": 7})
        )
    with pytest.raises(
        SettingsError, match="a model of the task 'sentiment', expected one of congru train text"
    ):
        make_learner(reviews, settings=Settings(**{**SMALL, "start_from": tmp_path / "run"}))


def test_words_start_from_a_file_of_vectors(reviews: str, tmp_path: Path) -> None:
    path = tmp_path / "vectors.vec"
    path.write_text("3 5\nwarm 1 2 3 4 5\nunseen 0 0 0 0 1\ndull -1 -2 -3 -4 -5\n")
    learner = make_learner(reviews, settings=Settings(**{**SMALL, "vectors": path}))
    words, table = learner.features.steps.words, learner.module["main"].get_parameter("embed.weight")
    assert table[words["warm"]].tolist() == [1, 2, 3, 4, 5]
    assert table[words["unseen"]].tolist() == [0, 0, 0, 0, 1]
    for content, complaint in (
        ("warm 1 2\ndull 1 2 3\n", "line 2 has 3 numbers, expected 2 as before"),
        ("warm 1 x\n", "line 1: not all numbers after 'warm'"),
        ("xyz 1 2\n", "holds none of the"),
        ("warm 1 nan\n", "not finite"),
    ):
        path.write_text(content)
        with pytest.raises(DataError, match=complaint):
            read_vectors(path, {"warm", "dull"})
    path.write_text("warm 1 2\n")
    with pytest.raises(DataError, match="vectors of 2 numbers, expected embedding_size = 5"):
        make_learner(reviews, settings=Settings(**{**SMALL, "vectors": path}))
    with pytest.raises(DataError, match=r"vectors is '.*none' \(no such file"):
        read_vectors(tmp_path / "none", {"warm"})


def test_the_channel_of_a_training_text_leaves_its_fold_out(reviews: str) -> None:
    settings = Settings(**{**SMALL, "embedding_dropout": 0.0, "word_dropout": 0.0, "dropout": 0.0})
    learner = make_learner(reviews, settings=settings)
    read, networks = learner.features.train, learner.module
    rows, seen = np.array([3, 50, 70]), list[torch.Tensor]()
    batch = learner.tensors(learner.batch(rows), networks)
    inputs = networks["main"].get_submodule("inputs")
    hook = inputs.register_forward_hook(lambda module, xs, y: seen.append(y.detach()))
    learner.loss(networks, batch, None)
    learner.outputs(networks, batch)
    hook.remove()
    folds = folds_of(read.labels)
    assert len(set(folds[rows].tolist())) > 1
    for k, row in enumerate(rows):
        ids = read.encoded[row].ids
        others = np.flatnonzero(folds != folds[row])
        without = token_ratios(
            [read.encoded[n].ids for n in others], read.labels[others], *learner.features.ratios.shape
        )
        training, using = (y[k, : len(ids), settings.embedding_size :].numpy() for y in seen)
        np.testing.assert_array_equal(training, without[ids])
        np.testing.assert_array_equal(using, learner.features.ratios[ids])
        assert not np.array_equal(training, using)


def test_class_weights_make_rare_classes_count_as_much(tmp_path: Path) -> None:
    rows = [(f"good {k}", "pos") for k in range(30)] + [(f"bad {k}", "neg") for k in range(6)]
    (tmp_path / "a.tsv").write_text("text\tlabel\n" + "\n".join(map("\t".join, rows)))
    settings = Settings(**{**SMALL, "class_weights": True})
    learner = SentimentLearner(make_features(prepare(str(tmp_path / "a.tsv"), settings), settings), settings)
    counts = np.bincount(learner.data.train.labels)
    np.testing.assert_allclose(learner.class_weight.numpy() * counts, counts.sum() / 2, rtol=1e-6)
    batch = learner.tensors(learner.batch(learner.rows(0)[:16]), learner.module)
    total, count, _ = learner.loss(learner.module, batch, None)
    with learner.left_out(learner.module, batch["folds"]):
        logits = learner.outputs(learner.module.eval(), batch)
    expected = torch.nn.functional.cross_entropy(
        logits, batch["labels"], learner.class_weight, reduction="sum"
    )
    assert count == pytest.approx(float(learner.class_weight[batch["labels"]].sum()))
    assert float(learner.loss(learner.module, batch, None)[0].detach()) == pytest.approx(
        float(expected.detach()), rel=1e-5
    )
    assert float(total.detach()) > 0


def test_scores_are_those_of_the_definitions() -> None:
    logits = np.array([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [3.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    scores = scores_of(logits, np.array([0, 1, 1, 2]))
    assert scores["accuracy"] == 0.75
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert f1_per_class(np.zeros((2, 2), np.int64)).tolist() == [0, 0]
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 4000)
    truth = rng.normal(size=(4000, 1)) * [[1, -1]]
    labels = (rng.random(4000) > 1 / (1 + np.exp(-2 * truth[:, 0]))).astype(np.int64)
    assert fit_temperature(3.0 * truth, labels) == pytest.approx(3.0, rel=0.1)


def test_the_commands_train_compare_and_inspect(
    reviews: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [
        "--steps",
        "3",
        "--evaluations",
        "1",
        "--hidden-size",
        "4",
        "--threads",
        "1",
        "--batch-size",
        "16",
    ]
    line = ["compare", "sentiment", reviews, "--cells", "gru,rnn", "--seeds", "0", *flags]
    with pytest.raises(SystemExit) as stop:
        main([*line, "--out", str(tmp_path / "compare"), "--quiet"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert "naive Bayes" in printed
    assert "rnn" in printed
    with pytest.raises(SystemExit) as stop:
        main(["train", "sentiment", reviews, *flags, "--vectors", "x.vec", "--tokens", "bpe", "--quiet"])
    assert stop.value.code == 2
    assert "expected tokens word: leave one out" in capsys.readouterr().err
