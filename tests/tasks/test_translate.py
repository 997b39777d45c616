"""Translation: a toy language is learned, batches change nothing, n-best, attention, copies, streams, scores, the commands."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from contract_cases import CASES

import congru
from congru.cli.main import main
from congru.errors import DataError, MissingPackageError, ModelFolderError, SettingsError
from congru.tasks.translate.alignment import align, alignment_svg
from congru.tasks.translate.data import prepare
from congru.tasks.translate.dictionary import fit_dictionary, parse, word_for_word
from congru.tasks.translate.learner import TranslateLearner, make_learner
from congru.tasks.translate.scoring import score
from congru.tasks.translate.settings import Settings
from congru.tasks.translate.streaming import WordStream
from congru.tasks.translate.tokens import UNKNOWN, Vocabulary, make_vocabulary
from congru.tasks.translate.translator import Translator
from congru.tasks.translate.use import evaluate, inspect_extra, inspect_inputs, run
from congru.train.networks import make_optimizer

SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "embedding_size": 16,
    "tokens": "word",
    "batch_size": 16,
    "steps": 150,
    "evaluations": 1,
    "dropout": 0.0,
    "word_dropout": 0.0,
    "learning_rate": 0.02,
    "precision": "float32",
    "bleu_tokenize": "none",
    "threads": 1,
    "quiet": True,
    "validation": 0.2,
}
SENTENCE = "ein hund mag einen ball ."


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return CASES["translate"].data(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="module")
def folder(files: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("translate") / "run"
    congru.tasks.translate.train(*files, **SMALL, out=out)
    return out


@pytest.fixture(scope="module")
def translator(folder: Path) -> Translator:
    return Translator.load(folder)


def untrained(files: list[str], **settings: Any) -> TranslateLearner:
    return make_learner(*files, settings=Settings(**{**SMALL, **settings}))


def test_a_toy_language_is_learned_and_sentences_it_never_saw_are_right(
    folder: Path, files: list[str], translator: Translator
) -> None:
    held = prepare(tuple(map(Path, files)), Settings(**SMALL)).validation
    translations = translator.translate(held.source)
    right = sum(best[0].text in references for best, references in zip(translations, held.references))
    assert right >= 0.8 * len(held)
    assert all(best[0].ended for best in translations)


def test_a_sentence_of_a_batch_is_translated_as_alone(translator: Translator) -> None:
    texts = [SENTENCE, "ein mann .", "ein baum holt einen hund .", "mag ein ein hund mann einen ball ."]
    together = translator.translate(texts, num_best=3)
    for text, ranked in zip(texts, together):
        (alone,) = translator.translate([text], num_best=3, batch_size=1)
        assert [one.tokens for one in ranked] == [one.tokens for one in alone]
        np.testing.assert_allclose([one.log_p for one in ranked], [one.log_p for one in alone], atol=1e-4)
    assert [one[0].tokens for one in translator.translate(texts, num_best=3, batch_size=2)] == [
        one[0].tokens for one in together
    ]


def test_scores_are_those_of_the_network_that_was_trained(files: list[str]) -> None:
    learner = untrained(files, label_smoothing=0.0)
    networks = learner.module.eval()
    translator = learner.translator(networks)
    best = translator.translate([SENTENCE], num_best=4, alpha=1.0)[0]
    assert [one.score for one in best] == sorted((one.score for one in best), reverse=True)
    assert len({tuple(one.tokens) for one in best}) == 4
    for one in best:
        ended = [*one.tokens, learner.target.boundary] if one.ended else one.tokens
        source = [*learner.source.encode(SENTENCE), learner.source.boundary]
        batch = learner.tensors(learner.collate([(source, ended)]), networks)
        with torch.no_grad():
            nats, _, _ = learner.loss(networks, batch, None)
        assert -float(nats) == pytest.approx(one.log_p, abs=1e-3)
        assert one.score == pytest.approx(one.log_p / ((5 + len(ended)) / 6), abs=1e-3)


def test_smoothing_spreads_the_target_and_padding_counts_for_nothing(files: list[str]) -> None:
    learner = untrained(files, label_smoothing=0.2)
    logits = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0))
    wanted = torch.tensor([[1, 4, -100], [2, -100, -100]])
    log_p = logits.log_softmax(-1)
    kept = [log_p[0, 0], log_p[0, 1], log_p[1, 0]]
    expected = -sum(0.8 * row[k] + 0.2 * row.mean() for row, k in zip(kept, (1, 4, 2)))
    torch.testing.assert_close(learner.nats(logits, wanted, 0.2), expected)
    batch = learner.collate([([1, 2, 7], [3, 4]), ([1], [5])])
    assert batch["wanted"].tolist() == [[3, 4], [5, -100]]
    assert batch["decoder_inputs"].tolist() == [[learner.target.boundary, 3], [learner.target.boundary, 5]]


def test_attention_looks_at_the_source_and_adds_up_to_one(translator: Translator) -> None:
    best = translator.translate([SENTENCE])[0][0]
    alignment = align(translator, SENTENCE, best)
    assert alignment.source == [*SENTENCE.split(), "(end)"]
    assert alignment.target == [*best.text.split(), "(end)"]
    np.testing.assert_allclose(alignment.weights.sum(1), 1, atol=1e-5)


def test_the_pieces_of_a_word_look_as_one(files: list[str]) -> None:
    learner = untrained(files, tokens="bpe", vocab_size=262)
    translator = learner.translator(learner.module.eval())
    some = translator.translate([SENTENCE], beam_size=1)[0][0]
    translation = replace(some, tokens=learner.target.encode("a dog"))
    alignment = align(translator, SENTENCE, translation)
    assert alignment.source == [*SENTENCE.split(), "(end)"]
    assert alignment.target == ["a", "dog", "(end)"]
    np.testing.assert_allclose(alignment.weights.sum(1), 1, atol=1e-5)
    pieces = translator.attention(translator.encode([SENTENCE]), 0, translation.tokens)
    ends = np.cumsum([len(learner.target.encode(word)) for word in ("a", "dog")])
    np.testing.assert_allclose(alignment.weights[1, -1], pieces[ends[0] : ends[1], -1].mean(), atol=1e-5)
    root = ElementTree.fromstring(alignment_svg(alignment))
    assert len(root.findall("{http://www.w3.org/2000/svg}rect")) == alignment.weights.size


def test_an_unknown_word_is_copied_from_where_the_attention_looked(
    translator: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "ein zebra mag einen ball ."
    assert translator.source.encode(text)[1] == UNKNOWN
    looked = np.zeros((3, 7), np.float32)
    looked[:, 1] = 1
    monkeypatch.setattr(Translator, "attention", lambda *_: looked)
    monkeypatch.setattr(Translator, "search", lambda self, encoded, **_: [[_hypothesis([1, UNKNOWN])]])
    assert translator.translate([text])[0][0].text == f"{translator.target.words[0]} zebra"


def _hypothesis(tokens: list[int]) -> Any:
    from congru.runtime.decoding.beam import Hypothesis

    return Hypothesis(tokens, -1.0, -1.0, np.zeros(len(tokens) + 1), True, None)


def test_attention_begins_near_even_and_learns_at_a_tenth_of_the_rate(files: list[str]) -> None:
    learner = untrained(files)
    translator = learner.translator(learner.module.eval())
    encoded = translator.encode([SENTENCE])
    weights = translator.attention(encoded, 0, [1, 2])
    assert weights.max() < 2.5 / len(encoded.ids[0])
    group = next(
        g
        for g in make_optimizer(learner.module, learner.settings, learner.rate_factors).param_groups
        if g["factor"] != 1
    )
    assert group["factor"] == 0.1
    assert [id(p) for p in group["params"]] == [id(learner.module["decoder"].get_parameter("attend.weight"))]


def test_a_fixed_vector_needs_no_memory_and_a_shared_table_is_one(files: list[str]) -> None:
    learner = untrained(files, fixed_vector=True)
    translator = learner.translator(learner.module.eval())
    assert not translator.attends
    assert translator.translate([SENTENCE])[0][0].tokens is not None
    with pytest.raises(SettingsError, match="trained without --fixed-vector"):
        translator.attention(translator.encode([SENTENCE]), 0, [1])
    shared = untrained(files, shared=True)
    tables = [shared.module[name].get_parameter("embed.weight") for name in ("encoder", "decoder")]
    assert tables[0] is tables[1]
    assert shared.source is shared.target


def test_a_stream_ends_as_it_wrote_and_never_takes_a_word_back(translator: Translator) -> None:
    stream, words, written = WordStream(translator), SENTENCE.split(), list[str]()
    for number, word in enumerate(words, 1):
        written += stream.push(word, last=number == len(words))
        assert " ".join(written) == stream.text
    assert len(written) > 1
    with pytest.raises(SettingsError, match="beam is 1, expected at least 2 hypotheses to agree"):
        WordStream(translator, beam_size=1)


def test_a_forced_beginning_is_decoded_as_if_the_beam_had_chosen_it(translator: Translator) -> None:
    encoded = translator.encode([SENTENCE])
    whole = translator.search(encoded, beam_size=1)[0][0]
    rest = translator.search(encoded, beam_size=1, prefix=whole.tokens[:2])[0][0]
    assert rest.tokens == whole.tokens[2:]
    np.testing.assert_allclose(rest.token_scores, whole.token_scores[2:], atol=1e-5)


def test_byte_pairs_come_back_as_the_text_they_were() -> None:
    vocabulary = make_vocabulary(["Ein  Hund läuft .", "naïve 😀 text"] * 3, "bpe", 280, 1, False)
    for text in ("Ein Hund läuft .", "日本 😀", "x"):
        ids = vocabulary.encode(text)
        assert vocabulary.decode(ids) == text
        assert "".join(vocabulary.pieces(ids)).strip() == text
        assert vocabulary.boundary not in ids
    ids = vocabulary.encode("Hund Hund")
    assert ids[: len(ids) // 2] == ids[len(ids) // 2 :]
    assert vocabulary.encode(" Ein  Hund läuft .") == vocabulary.encode("Ein Hund läuft .")
    assert Vocabulary("bpe", vocabulary.file, True).encode("EIN") == vocabulary.encode("ein")
    with pytest.raises(DataError, match="text is '  ', expected at least one word"):
        vocabulary.encode("  ")
    with pytest.raises(ModelFolderError, match="the vocabulary is no JSON list of words"):
        _ = Vocabulary("word", b"[]").words


def test_the_dictionary_finds_words_that_go_together() -> None:
    source = ["der hund schläft", "der mann schläft", "der hund läuft", "ein mann läuft", "ein hund schläft"]
    target = ["the dog sleeps", "the man sleeps", "the dog runs", "a man runs", "a dog sleeps"]
    words = fit_dictionary(source, target)
    expected = {"der": "the", "hund": "dog", "schläft": "sleeps", "mann": "man", "läuft": "runs", "ein": "a"}
    assert words == expected
    assert word_for_word(words, "ein hund, läuft") == "a dog , runs"
    assert fit_dictionary([], []) == {}
    with pytest.raises(ModelFolderError, match=r"dictionary.json is no JSON object of words"):
        parse(b"[1]")


def test_bleu_is_the_formula_and_names_its_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    # 1- to 4-gram precisions 5/6, 3/5, 1/4, and 1/(2*3) smoothed; equal lengths
    scores = score(["the cat sat on a mat"], [["the cat sat on the mat"]], "none")
    expected = 100 * math.exp(sum(map(math.log, (5 / 6, 3 / 5, 2 / 4, 1 / 3))) / 4)
    assert scores.bleu == pytest.approx(expected, abs=1e-6)
    assert scores.signatures[0].startswith("BLEU nrefs:1|case:mixed|eff:no|tok:none|smooth:exp")
    assert score(["A B C D"], [["a b c d"]], "none", lowercase=True).bleu == pytest.approx(100)
    assert score(["x y z w", "a b c d"], [["x y z w"], ["q", "a b c d"]], "none").bleu == pytest.approx(100)
    import sys

    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'congru\[translate\]'"):
        score(["a"], [["a"]])


def test_run_prints_translations_scores_attention_json_and_a_page(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "some.de").write_text(f"{SENTENCE}\n\nein mann mag einen baum .\n")
    run(folder, file=tmp_path / "some.de", page_file=tmp_path / "page.html")
    lines = capsys.readouterr().out.split("\n")
    assert lines[1] == ""
    assert lines[0].startswith("a dog")
    assert "looks at hund" in (tmp_path / "page.html").read_text()
    run(folder, SENTENCE, best=2, attention=True)
    assert "(end)" in capsys.readouterr().out
    run(folder, SENTENCE, best=3, json_lines=True)
    printed = json.loads(capsys.readouterr().out)
    assert printed["source"] == SENTENCE
    assert len(printed["translations"]) == 3
    run(folder, SENTENCE, streaming=True)
    out = capsys.readouterr().out.rstrip().split("\n")
    assert len(out) == 1 + len(SENTENCE.split())
    assert out[-1].strip().startswith("= a dog")
    with pytest.raises(DataError, match="text is empty"):
        run(folder, " ")


def test_eval_scores_beside_the_baselines_and_writes_what_it_scored(
    folder: Path, files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = evaluate(folder, *files, part="all", output=tmp_path / "out.en")
    printed = capsys.readouterr().out
    assert list(rows) == ["model", "word for word", "source as it is"]
    assert rows["model"]["bleu"] > 80
    assert "tok:none" in printed
    texts = (tmp_path / "out.en").read_text().splitlines()
    references = [[line] for line in Path(files[1]).read_text().splitlines()]
    assert score(texts, references, "none").bleu == rows["model"]["bleu"]
    table = tmp_path / "pairs.tsv"
    table.write_text("ein hund\ta dog\nein mann\n")
    with pytest.raises(DataError, match=r"pairs.tsv line 2 has 1 columns, expected 2"):
        evaluate(folder, str(table), quiet=True)
    evaluate(folder, str(table), bad_rows="skip", part="all")
    assert "left out: line 2 has 1 columns" in capsys.readouterr().out


def test_inspect_shows_the_gates_of_both_networks_and_the_attention(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = congru.load(folder)
    inputs, labels = inspect_inputs(model, SENTENCE)
    assert congru.inspect(model, inputs, tokens=labels).layer_names == ("below", "above")
    titles = [title for title, _, _ in inspect_extra(model, SENTENCE)]
    assert titles[0] == "Attention"
    assert len([title for title in titles if title.startswith("Encoder gates")]) == 2
    asked: dict[str, Any] = {}
    monkeypatch.setattr("congru.gates.report.report", lambda *_, **keywords: asked.update(keywords))
    with pytest.raises(SystemExit) as stop:
        main(["inspect", str(folder), SENTENCE, "-o", str(tmp_path / "page.html")])
    assert stop.value.code == 0
    assert asked["context"]["extra"] == inspect_extra(model, SENTENCE)
    assert "looks at ein" in asked["context"]["extra"][0][2]


def test_the_line_that_goes_on_names_both_files(files: list[str]) -> None:
    from congru.train.provenance import data_record, resume_line

    learner = untrained(files)
    assert resume_line(learner, Path("x")).split()[3:5] == files
    record = data_record(learner.describe())
    assert [entry["path"] for entry in record["files"]] == ["train.de", "train.en"]  # type: ignore[attr-defined]
