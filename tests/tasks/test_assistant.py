"""The assistant: spans, threshold, the cost of its random field, augmentation, and a conversation with a trained model."""

from __future__ import annotations

import io
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from contract_cases import CASES
from numpy.typing import NDArray

import shared_files
from congru.cli.main import main
from congru.errors import DataError
from congru.nn.network import Network
from congru.runtime.decoding.viterbi import bio_allowed
from congru.tasks import TASKS
from congru.tasks.assistant import crf
from congru.tasks.assistant.conversation import Card, Conversation
from congru.tasks.assistant.data import swap_values
from congru.tasks.assistant.decision import Field, decide, learn_threshold
from congru.tasks.assistant.examples import Example, cut_words, needed_slots, span_f1, spans_of
from congru.tasks.assistant.features import Vocabulary
from congru.tasks.assistant.learner import make_learner
from congru.tasks.assistant.scoring import Understanding, known_measures, measures
from congru.tasks.assistant.settings import Settings
from congru.tasks.assistant.trained import load_assistant
from congru.tasks.assistant.understanding_learner import UnderstandingLearner
from congru.train.networks import Networks
from shared_files import needs

NAUGHTY = shared_files.CASES / "assistant" / "naughty_strings.txt"


def test_f1_counts_whole_spans() -> None:
    gold = [["O", "B-a", "I-a", "O", "B-b"], ["B-a", "O"]]
    predicted = [["O", "B-a", "I-a", "O", "B-a"], ["O", "O"]]
    assert span_f1(gold, predicted) == pytest.approx(2 * 1 / (3 + 2))
    assert span_f1([["O"]], [["O"]]) == 0.0
    assert spans_of(["B-a", "I-b", "I-b", "B-b"]) == [("a", 0, 1), ("b", 1, 3), ("b", 3, 4)]


def test_spans_and_f1_are_those_of_seqeval() -> None:
    cases = json.loads((Path(__file__).parents[1] / "golden" / "seqeval_spans.json").read_text())["cases"]
    assert len(cases) == 30
    for case in cases:
        actual, predicted = ([path.split() for path in case[name]] for name in ("actual", "predicted"))
        assert span_f1(actual, predicted) == pytest.approx(case["f1"], abs=1e-12)
        assert [spans_of(path) for path in actual] == [
            [tuple(span) for span in path] for path in case["spans"]
        ]


def test_intent_and_tags_are_one_random_field() -> None:
    """Cost, probabilities and the path are those of all intents and allowed paths, one after the other."""
    tags, allowed = ["O", "B-x", "I-x"], bio_allowed(["O", "B-x", "I-x"])
    rng = np.random.default_rng(0)
    transitions, start, coupling = rng.normal(size=(3, 3)), rng.normal(size=3), rng.normal(size=(2, 3))
    scores, logits, lengths = rng.normal(size=(2, 4, 3)), rng.normal(size=(2, 2)), np.array([4, 2])
    path, intents = np.array([[1, 2, 0, 1], [0, 1, 0, 0]]), np.array([1, 0])

    def score(row: int, intent: int, y: tuple[int, ...]) -> float:
        emitted = sum(scores[row, t, k] + coupling[intent, k] for t, k in enumerate(y))
        moved = sum(transitions[before, after] for before, after in itertools.pairwise(y))
        return float(logits[row, intent] + emitted + start[y[0]] + moved)

    def possible(y: tuple[int, ...]) -> bool:
        return bool(allowed.start[y[0]]) and all(
            allowed.transitions[before, after] for before, after in itertools.pairwise(y)
        )

    def as_tensor(array: NDArray[Any]) -> torch.Tensor:
        return torch.tensor(array, dtype=torch.float32 if array.dtype == float else None)

    decision = decide(scores, logits, lengths, Field(transitions, start, coupling, tags), ["a", "b"])
    mask = np.concatenate([allowed.transitions, allowed.start[None]])
    field = crf.Field(*map(as_tensor, (transitions, start, coupling, mask)))
    nats = crf.joint_nats(*map(as_tensor, (scores, logits, path, intents, lengths)), field).numpy()
    for row, length in enumerate(lengths.tolist()):
        paths = [y for y in itertools.product(range(3), repeat=length) if possible(y)]
        sums = np.array([sum(np.exp(score(row, i, y)) for y in paths) for i in range(2)])
        gold = score(row, int(intents[row]), tuple(path[row, :length].tolist()))
        assert nats[row] == pytest.approx(np.log(sums.sum()) - gold, rel=1e-5)
        np.testing.assert_allclose(decision.probabilities[row], sums / sums.sum(), rtol=1e-9)
        chosen = int(sums.argmax())
        assert decision.intents[row] == chosen
        best = max(paths, key=lambda y: score(row, chosen, y))
        assert tuple(decision.paths[row, :length].tolist()) == best


def test_a_folder_without_coupling_decides_as_before() -> None:
    rng = np.random.default_rng(0)
    scores, logits, lengths = rng.normal(size=(2, 4, 3)), rng.normal(size=(2, 5)), np.array([4, 2])
    field = Field(rng.normal(size=(3, 3)), rng.normal(size=3), None, ["O", "B-x", "I-x"])
    decision = decide(scores, logits, lengths, field, list("abcde"))
    softmax = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(decision.probabilities, softmax, rtol=1e-12)
    np.testing.assert_array_equal(decision.paths, field.chain.viterbi(scores, lengths)[0])


def test_the_threshold_parts_known_from_strange() -> None:
    confidence = np.array([0.9, 0.7, 0.6, 0.3])
    right, outside = np.array([True, True, False, False]), np.array([False, False, True, True])
    assert learn_threshold(confidence, right, outside) == pytest.approx(0.65)
    mixed = np.concatenate([np.full(97, 0.9), [0.3, 0.2, 0.1], np.full(50, 0.25), np.full(50, 0.6)])
    known = np.arange(len(mixed)) < 100
    threshold = learn_threshold(
        mixed, known, ~known
    )  # two of a hundred may be lost, so not what lies below 0.6
    assert (known & (mixed < threshold)).sum() == 2
    assert (~known & (mixed < threshold)).sum() == 50
    inside = np.zeros(4, bool)
    assert learn_threshold(confidence, right, inside) == pytest.approx(0.7 + 0.02 * 0.2)


def test_out_of_scope_is_no_answer_and_is_counted() -> None:
    field = Field(np.zeros((1, 1)), np.zeros(1), None, ["O"])
    decision = decide(np.zeros((1, 1, 1)), np.log([[0.1, 0.2, 0.7]]), np.array([1]), field, ["a", "b", "oos"])
    assert decision.intents.tolist() == [1]
    assert decision.confidence.tolist() == pytest.approx([0.2])
    examples = [Example(("w",), ("O",), intent, "w") for intent in ("a", "b", "oos", "oos")]
    rates = known_measures(examples, ["a", "b", "a", "b"], [0.9, 0.1, 0.2, 0.8], 0.5)
    assert rates == {"dont_know": 0.5, "in_scope": 0.5, "out_of_scope": 0.5}
    assert measures(examples, ["a", "a", "a", "a"], [["O"]] * 4)["intent"] == 0.5


def test_swapped_values_keep_the_rest_of_the_sentence() -> None:
    example = Example(("to", "New", "York", "now"), ("O", "B-c", "I-c", "O"), "go", "to New York now")
    rng = np.random.default_rng(0)
    words, tags = swap_values(example, {"c": [("Rome",)]}, 0.999, rng)
    assert (words, tags) == (["to", "Rome", "now"], ["O", "B-c", "O"])
    assert swap_values(example, {"c": [("Rome",)]}, 0.0, rng)[0] == list(example.words)


def test_unseen_is_a_feature_of_a_word() -> None:
    vocabulary = Vocabulary.of([["to", "rome", "rome"]])
    seen, unseen = vocabulary.encode(["rome", "rock"])
    assert (seen[0] > 0, unseen[0]) == (True, 0)
    assert unseen[1] == seen[1]  # the same first character
    assert unseen[-1] != seen[-1]
    assert vocabulary.encode(["rome"], [True])[0, 0] == 0
    assert [vocabulary.hiding(word, 0.5) for word in ("to", "Rome")] == [0.5 / 1.5, 0.5 / 2.5]
    assert vocabulary.hiding("to", 0) == 0
    frequent = Vocabulary.of([["to", "rome", "Rome"]], min_count=2)
    assert (list(frequent.tables[0]), list(frequent.tables[1])) == (["rome"], ["r"])
    assert Vocabulary.parse(vocabulary.to_bytes()) == vocabulary


def test_needed_slots_are_those_that_most_examples_hold() -> None:
    tagged = Example(("x", "y"), ("B-a", "O"), "go", "x y")
    assert needed_slots([tagged] * 4 + [Example(("x",), ("O",), "go", "x")]) == {"go": ["a"]}
    assert needed_slots([tagged, Example(("x",), ("O",), "go", "x")]) == {"go": []}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A domain of five intents and forty examples."""
    parent = tmp_path_factory.mktemp("assistant")
    settings = {"epochs": 40, "hidden_size": 32, "evaluations": 3, "threads": 1, "quiet": True}
    TASKS["assistant"].train(*CASES["assistant"].data(parent), settings={**settings, "out": parent / "run"})
    return parent / "run"


def test_forty_examples_are_enough_for_an_answer(folder: Path) -> None:
    answer = load_assistant(folder).understand("book a flight to Paris please")
    assert (answer.guess, answer.slots) == ("travel", {"city": ["Paris"]})


def test_several_seeds_are_one_network_in_one_folder(tmp_path: Path) -> None:
    settings = {"epochs": 40, "hidden_size": 24, "evaluations": 1, "seeds": 3, "quiet": True}
    source = CASES["assistant"].data(tmp_path)
    TASKS["assistant"].train(*source, settings={**settings, "out": tmp_path / "run"})
    assistant = load_assistant(tmp_path / "run")
    answer = assistant.understand("book a flight to Paris please")
    assert (answer.guess, answer.slots) == ("travel", {"city": ["Paris"]})
    names = {name.split(".")[0] for name in assistant.model.network.weights}
    assert names == {f"{node}{k}" for node in ("embed", "rnn", "tags", "intent") for k in ("", "2", "3")}
    words = ["book", "a", "flight", "to", "Paris"]
    outputs: Any = assistant.model.run(assistant.vocabulary.encode(words)[None])[0]
    mean = [sum(outputs[f"{name}{k}"] for k in ("", "2", "3")) / 3 for name in ("tags", "intent")]
    weights = assistant.model.task_weights
    field = Field(
        *(
            sum(weights[f"{name}{k}"] for k in ("", "2", "3")) / 3
            for name in ("transitions", "start", "coupling")
        ),
        assistant.tags,
    )
    expected = decide(*mean, np.array([len(words)]), field, assistant.intents)
    decision = assistant.decide([words])
    np.testing.assert_allclose(decision.probabilities, expected.probabilities, atol=1e-6)
    np.testing.assert_array_equal(decision.paths, expected.paths)


def test_the_cost_of_two_members_is_the_sum_of_two_models(tmp_path: Path) -> None:
    def build(seeds: int) -> tuple[UnderstandingLearner, Networks]:
        settings = Settings(seeds=seeds, hidden_size=6, embedding_size=4, dropout=0.0)
        learner = make_learner(CASES["assistant"].data(tmp_path)[0], settings=settings)
        assert isinstance(learner, UnderstandingLearner)
        torch.manual_seed(seeds)
        main = Network(learner.networks("gru", 6)["main"])
        weights = learner.weights("gru", 6)
        return learner, Networks({"main": main}, {name: torch.randn_like(w) for name, w in weights.items()})

    learner, pair = build(2)
    batch = tuple(torch.from_numpy(part) for part in learner.batch(learner.rows(0)[:4]))
    total, count, _ = learner.loss(pair, batch, None)
    total.backward()
    assert count == 8
    costs = []
    for suffix in ("", "2"):
        single_learner, single = build(1)
        names = {name: own_name(name, suffix) for name, _ in single.named_parameters()}
        with torch.no_grad():
            for name, other in names.items():
                single.get_parameter(name).copy_(pair.get_parameter(other))
        cost, _, _ = single_learner.loss(single, batch, None)
        cost.backward()
        costs.append(float(cost.detach()))
        for name, other in names.items():
            torch.testing.assert_close(pair.get_parameter(other).grad, single.get_parameter(name).grad)
    assert float(total.detach()) == pytest.approx(sum(costs), rel=1e-5)
    assert costs[0] != pytest.approx(costs[1], rel=1e-3)


def own_name(name: str, suffix: str) -> str:
    """The name of a weight in the member with the suffix.

    >>> own_name("main.rnn.weight", "2"), own_name("start", "2")
    ('main.rnn2.weight', 'start2')
    """
    parts = name.split(".")
    parts[min(1, len(parts) - 1)] += suffix
    return ".".join(parts)


def test_several_seeds_are_for_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = CASES["assistant of dialogues"].data(tmp_path)
    command = ["train", "assistant", *map(str, source), "--seeds", "2", "--out", str(tmp_path / "run")]
    with pytest.raises(SystemExit):
        main(command)
    assert "seeds is 2, expected 1 for a file of dialogues: leave out --seeds" in capsys.readouterr().err


def test_the_card_is_kept_over_turns_saved_and_undone(folder: Path, tmp_path: Path) -> None:
    assistant = load_assistant(folder)
    talk = Conversation(assistant)
    talk.say("book a flight to Oslo please")
    assert (talk.card.intent, talk.card.slots, talk.needed) == ("travel", {"city": ["Oslo"]}, [])
    other = talk.fork()
    talk.say("i want to eat pizza today")
    assert (talk.card.intent, talk.card.slots) == ("order", {"food": ["pizza"]})
    assert other.card.intent == "travel"
    talk.save(tmp_path / "talk.json")
    again = Conversation(assistant)
    again.restore(tmp_path / "talk.json")
    assert again.cards == talk.cards
    assert again.say("book a flight to Rome please") == talk.say("book a flight to Rome please")
    assert again.cards == talk.cards
    assert again.undo()
    assert again.card.intent == "order"
    assert not Conversation(assistant).undo()


def test_a_short_reply_fills_what_the_card_needs() -> None:
    card = Card("travel", {"day": ["today"]}, 1)
    reply = Understanding("Oslo", None, "greet", 0.3, {"city": ["Oslo"]})
    filled = card.after(reply, ["city"])
    assert (filled.intent, filled.slots) == ("travel", {"day": ["today"], "city": ["Oslo"]})
    assert (filled.turns, filled.unknown) == (2, 0)
    strange = card.after(reply, [])
    assert (strange.slots, strange.unknown) == (card.slots, 1)


def test_a_turn_that_is_not_understood_is_counted(folder: Path) -> None:
    assistant = load_assistant(folder)
    assistant.threshold = 1.1
    talk = Conversation(assistant)
    assert talk.say("hello there").intent is None
    assert (talk.card.turns, talk.card.unknown) == (1, 1)
    assert "I don't know" in talk.as_text(talk.say("hello there"))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "is no saved conversation"),
        ('{"model": "x", "cards": [{}]}', "was saved with another model"),
        (None, "cannot be read"),
    ],
)
def test_wrong_saved_conversations_are_one_line(
    folder: Path, tmp_path: Path, content: str | None, complaint: str
) -> None:
    if content is not None:
        (tmp_path / "talk.json").write_text(content)
    with pytest.raises(DataError, match=complaint):
        Conversation(load_assistant(folder)).restore(tmp_path / "talk.json")


def test_it_talks_in_the_terminal(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = f"book a flight to Lima please\n/save {tmp_path}/t\n/undo\n/undo\n/load {tmp_path}/t\n\n/reset\n/quit\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    with pytest.raises(SystemExit) as stop:
        main(["run", str(folder)])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    for told in (
        "intent  travel",
        "slots   city = Lima",
        "saved to",
        "forgot the last turn",
        "nothing to undo",
    ):
        assert told in printed
    assert "goes on after 1 turns" in printed
    assert "text is '', expected a sentence" in printed


def test_machines_get_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", str(folder), "book a flight to Lima please", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert (told["guess"], told["slots"], told["card"]["turns"]) == ("travel", {"city": ["Lima"]}, 1)


@needs(NAUGHTY)
def test_every_naughty_string_gets_an_answer(folder: Path) -> None:
    assistant = load_assistant(folder)
    lines = NAUGHTY.read_bytes().decode().split("\n")
    answered = 0
    for line in lines:
        if line.strip():
            if not cut_words(line):
                with pytest.raises(DataError, match="expected a sentence of one word"):
                    assistant.understand(line)
                continue
            assert assistant.understand(line).guess in assistant.intents
            answered += 1
    assert answered > 400
