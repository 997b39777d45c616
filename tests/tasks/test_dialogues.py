"""Dialogues: what is tracked by hand, actions with places, the learnt policy, and a talk that is kept and undone."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from dialogue_cases import write_dialogues

import shared_files
from congru.cli.main import main
from congru.errors import DataError, ModelFolderError
from congru.tasks import TASKS
from congru.tasks.assistant.actions import Actions, delexicalise
from congru.tasks.assistant.dialogue_data import (
    NextAction,
    dialogue_measures,
    masked_softmax,
    prepare_dialogues,
)
from congru.tasks.assistant.dialogue_files import find_dialogues, read_facts
from congru.tasks.assistant.dialogue_learner import DialogueLearner
from congru.tasks.assistant.dialogues import SILENCE, Turn, as_text, parse_dialogues
from congru.tasks.assistant.knowledge import Knowledge, Phrases, by_subject
from congru.tasks.assistant.learner import make_learner
from congru.tasks.assistant.policy import learn_doubt
from congru.tasks.assistant.settings import Settings
from congru.tasks.assistant.talk import Talk
from congru.tasks.assistant.tracking import State
from congru.tasks.assistant.trained import load_assistant, load_policy
from congru.tasks.assistant.turns import learn_reader, words_of
from congru.tasks.assistant.use import evaluate, inspect_inputs
from shared_files import needs

BABI = shared_files.DATA / "chat" / "babi_dialog"
FACTS = [
    ("a", "town", "rome"),
    ("a", "stars", "3"),
    ("a", "phone", "a_phone"),
    ("b", "town", "new_york"),
    ("b", "stars", "10"),
    ("b", "phone", "b_phone"),
]


def knowledge() -> Knowledge:
    return Knowledge.of(FACTS, ["to Rome please"], None)


def test_criteria_are_what_people_say_and_the_rank_is_the_property_of_numbers() -> None:
    known = knowledge()
    assert (known.criteria, known.rank) == (("town",), "stars")
    assert known.ordered(known.facts) == ("b", "a")  # 10 before 3: as numbers
    assert list(known.look_up({"town": "rome"})) == ["a"]
    assert Knowledge.parse(known.to_bytes()) == known
    two = [*FACTS, ("a", "rooms", "7")]
    assert Knowledge.of(two, [], None).rank is None
    assert Knowledge.of(two, [], "rooms").ordered(known.facts) == ("a", "b")
    with pytest.raises(DataError, match=r"rank is 'town', expected a property of numbers \(stars\)"):
        Knowledge.of(FACTS, [], "town")


def test_the_longest_phrase_counts() -> None:
    phrases = Phrases({"new york": "town", "york": "town", "new york pizza": "food"})
    assert [entry[2:] for entry in phrases.find("New York pizza in York, new")] == [
        ("food", "new york pizza"),
        ("town", "york"),
    ]


def test_words_hold_criteria_in_place_of_values() -> None:
    assert words_of("To New York, please", knowledge()) == ["to", "<town>", ",", "please"]
    assert words_of(SILENCE, knowledge()) == [SILENCE]


def test_the_state_keeps_the_last_value_and_offers_by_rank() -> None:
    known = knowledge()
    heard = State().hear("rome, no, new york", known)
    assert (heard.asked, heard.mentioned) == ({"town": "new_york"}, ("town",))
    later = heard.hear("yes", known)
    assert (later.asked, later.mentioned) == ({"town": "new_york"}, ())
    searched = later.find(by_subject(FACTS), known)
    assert (searched.next, searched.item) == ("b", None)
    once = searched.act(0, "how about {next}")
    assert (once.next, once.item, once.last) == ("a", "b", 0)
    assert once.act(1, "its phone is {item.phone}").next == "a"
    twice = once.act(0, "how about {next}")
    assert (twice.next, twice.item) == (None, "a")
    assert twice.act(0, "how about {next}").item == "a"
    assert State.parse(json.loads(json.dumps(twice.as_json()))) == twice
    assert State().find({}, known).results == ()


def test_a_reply_becomes_an_action_and_is_said_again() -> None:
    known = knowledge()
    state = State().hear("rome", known).find(by_subject(FACTS), known).act(0, "{next}")
    values = state.placeholder_values(known.criteria)
    assert values["item.phone"] == "b_phone"
    replies = ["api_call rome", "how about a", "b it is", "call b_phone", "hello"]
    templates = [delexicalise(reply, values) for reply in replies]
    assert templates == ["api_call {town}", "how about {next}", "{item} it is", "call {item.phone}", "hello"]
    actions = Actions(templates)
    assert actions.mask(values).all()
    assert [actions.say(number, values) for number in range(5)] == replies
    assert actions.mask({}).tolist() == [False, False, False, False, True]
    assert actions.number("never said") == 5
    assert actions.missing({}, known.criteria) == ["town"]
    assert actions.missing(state.asked, known.criteria) == []


def test_what_cannot_be_said_has_no_probability() -> None:
    mask = np.array([[True, False, True], [False, False, False]])
    p = masked_softmax(np.array([[0.0, 9.0, 0.0], [0.0, 0.0, 0.0]], np.float32), mask)
    assert p[0].tolist() == [0.5, 0.0, 0.5]
    np.testing.assert_allclose(p[1], 1 / 3)


TALK = "1 hi\thello\n2 to rome\tapi_call rome\n3 a town rome\n4 a stars 3\n5 <SILENCE>\thow about a\n"


def test_dialogues_are_read_and_written(tmp_path: Path) -> None:
    first, second = parse_dialogues(TALK + "1 hey\thello\n2 api_call no result\n3 so\tnothing\n", "t")
    assert first.turns[2] == Turn(SILENCE, "how about a", (("a", "town", "rome"), ("a", "stars", "3")), True)
    assert second.turns[1] == Turn("so", "nothing", (), True)
    assert parse_dialogues(as_text(first), "t") == [first]
    assert parse_dialogues(as_text(second), "t") == [second]
    assert second.where == "t line 6"
    (tmp_path / "kb.txt").write_text("1 a town\tnew york\nb town rome\n")
    assert read_facts(tmp_path / "kb.txt") == [("a", "town", "new york"), ("b", "town", "rome")]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("hi\thello\n", "t line 1 begins with no number, expected '1 sentence<TAB>reply'"),
        ("1 hi\t\n", "t line 1 has 1 texts, expected two"),
        ("1 hi\ta\tb\n", "t line 1 has 3 texts, expected two"),
        ("1 hi\t{a}\n", "t line 1: the reply holds a brace"),
        ("1 hi\thello\n2 what is\n", "t line 2 is 'what is', expected a sentence, tab, reply or a fact"),
        ("1 hi\thello\n2 a b c\n\n1 hi\thello\n", "t line 2: facts end a dialogue"),
        ("\n", "t has no dialogue"),
    ],
)
def test_wrong_dialogues_are_one_line(content: str, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint) as caught:
        parse_dialogues(content, "t")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        (
            {"a-trn.txt": TALK, "b-trn.txt": TALK},
            r"has the training files of 2 sets \(a, b\), expected one: pass",
        ),
        ({"a-trn.txt": TALK * 2, "kb.txt": "a b\n"}, r"kb.txt line 1 is 'a b', expected subject, property"),
        ({"a-trn.txt": TALK * 2, "kb.txt": "\n"}, "kb.txt has no fact"),
        ({"a-trn.txt": TALK * 2, "a-kb.txt": "", "b-kb.txt": ""}, "has 2 knowledge bases"),
        ({"a-trn.txt": TALK}, "has one dialogue, expected two"),
        ({"a-trn.txt": "1 hi\thello\n1 hey\thello\n"}, "has one reply in all its dialogues, expected two"),
    ],
)
def test_wrong_folders_are_one_line(files: dict[str, str], complaint: str, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=complaint) as caught:
        make_learner(str(tmp_path), settings=Settings())
    assert "\n" not in str(caught.value)


def test_parts_are_found_by_name(tmp_path: Path) -> None:
    (tmp_path / "talk.txt").write_text(TALK * 10)
    alone = find_dialogues(str(tmp_path / "talk.txt"))
    assert alone is not None
    assert (len(alone.read("train", 0.2)), len(alone.read("validation", 0.2))) == (8, 2)
    assert len(alone.read("all", 0.2)) == 10
    with pytest.raises(DataError, match=r"has no oov part, expected one of train, validation, all"):
        alone.read("oov", 0.2)
    with pytest.raises(DataError, match="dialogues is 9, expected at most the 8"):
        prepare_dialogues(alone, Settings(dialogues=9, validation=0.2))
    (tmp_path / "talk.txt").write_text("greet\thello\n")
    assert find_dialogues(str(tmp_path / "talk.txt")) is None
    assert find_dialogues(str(tmp_path)) is None
    (tmp_path / "talk.txt.gz").write_bytes(b"no gzip")
    assert find_dialogues(str(tmp_path / "talk.txt.gz")) is None


def test_a_reply_that_training_never_gives_is_told_and_counts_as_wrong(tmp_path: Path) -> None:
    (tmp_path / "a-trn.txt").write_text(TALK * 3)
    (tmp_path / "a-dev.txt").write_text("1 hi\thello\n2 to rome\twho are you\n")
    files = find_dialogues(str(tmp_path))
    assert files is not None
    data = prepare_dialogues(files, Settings())
    assert data.warnings == ["1 of 2 validation replies are none of training's; they count as mistakes"]
    (followed,) = data.validation_followed
    table = NextAction(NextAction.count(data.followed, len(data.reader.actions)))
    figures = dialogue_measures([followed], [table.probabilities(followed)], data.reader)
    assert (figures["response"], figures["dialogue"]) == (0.5, 0.0)
    assert figures["nats"] > 6


def test_the_threshold_of_a_policy_lies_below_every_right_reply() -> None:
    assert learn_doubt(np.array([0.9, 0.6, 0.1]), np.array([True, True, False])) == 0.3
    assert learn_doubt(np.array([0.9]), np.array([False])) == 0.0


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    (folder,) = write_dialogues(tmp_path_factory.mktemp("dialogues"))
    return folder


@pytest.fixture(scope="module")
def folder(data: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("policy") / "run"
    settings = {
        "hidden_size": 24,
        "epochs": 12,
        "learning_rate": 0.01,
        "threads": 1,
        "quiet": True,
        "out": out,
    }
    TASKS["assistant"].train(data, settings=settings)
    return out


@pytest.mark.parametrize("part", ["validation", "test", "oov"])
def test_every_reply_is_right_on_unseen_values_too(folder: Path, data: str, part: str) -> None:
    rows = evaluate(folder, data, part=part, quiet=True)  # type: ignore[arg-type]
    assert (rows["model"]["response"], rows["model"]["dialogue"]) == (1.0, 1.0)
    assert rows["most frequent after the last reply"]["dialogue"] < 1.0


def test_a_talk_looks_up_offers_and_goes_back(folder: Path, tmp_path: Path) -> None:
    policy = load_policy(folder)
    talk = Talk(policy)
    assert [reply.text for reply in talk.say("hi").replies] == ["hello"]
    assert talk.needed == ["town", "food"]
    replies = [reply.text for reply in talk.say("a table in New York").replies]
    assert replies == ["i'm on it", "which food"]
    assert [reply.text for reply in talk.say("soup please").replies] == [
        "api_call new_york soup",
        "how about place_new_york_soup_9",
    ]
    assert talk.card()["found"] == 3
    other = talk.fork()
    assert talk.say("no").replies[-1].text == "how about place_new_york_soup_5"
    talk.save(tmp_path / "talk.json")
    again = Talk(policy)
    again.restore(tmp_path / "talk.json")
    first, second = (one.say("yes") for one in (again, talk))
    assert first == second
    assert again.say("the phone").replies[0].text == "it is place_new_york_soup_5_phone"
    for _ in range(3):
        assert again.undo()
    other.say("yes")
    again.say("yes")
    for name, value in other.now.session.state.items():
        np.testing.assert_array_equal(value, again.now.session.state[name])
    assert other.say("the phone").replies[0].text == "it is place_new_york_soup_9_phone"
    again.reset()
    assert not again.undo()


def test_what_is_not_known_is_said_and_changes_nothing_but_the_count(folder: Path) -> None:
    talk = Talk(load_policy(folder))
    talk.say("hi")
    before = talk.now
    strange = talk.say("xyzzy plugh")
    assert (strange.replies, strange.confidence) == ((), 0.0)
    assert "I don't know (0%" in talk.as_text(strange)
    assert (talk.now.state, talk.now.session, talk.now.unknown) == (before.state, before.session, 1)
    talk.policy.threshold = 1.1
    assert talk.say("a table").replies == ()
    assert talk.card()["unknown"] == 2


def test_a_talk_in_the_terminal(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = f"hi\na table in oslo with fish\n/undo\n/save {tmp_path}/t\n/load {tmp_path}/t\n/reset\n\n/quit\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    with pytest.raises(SystemExit) as stop:
        main(["run", str(folder)])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    for told in (
        "hello",
        "needs   town, food",
        "asked   town = oslo, food = fish",
        "found   3, offered place_oslo",
    ):
        assert told in printed
    assert "goes on after 1 turns" in printed
    with pytest.raises(SystemExit):
        main(["run", str(folder), "hi", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert (told["replies"][0]["text"], told["card"]["turns"]) == ("hello", 1)


def test_models_of_one_kind_are_not_taken_for_the_other(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="replies in dialogues, expected a model of sentences"):
        load_assistant(folder)
    (tmp_path / "lines.txt").write_text("greet\thello\n")
    with pytest.raises(DataError, match="holds no dialogues, expected '1 sentence<TAB>reply'"):
        evaluate(folder, str(tmp_path / "lines.txt"))


def test_a_dialogue_a_file_or_a_sentence_is_inspected(folder: Path, data: str) -> None:
    model = load_policy(folder).model
    x, labels = inspect_inputs(model)
    assert (x.shape[:2], labels[0]) == ((1, len(labels)), "hi")
    assert inspect_inputs(model, f"{data}/tables-tst.txt")[0].shape[2] == x.shape[2]
    assert inspect_inputs(model, "a table in oslo")[1] == ["a table in oslo"]


@needs(BABI)
@pytest.mark.parametrize("name", ["task1-API-calls", "task2-API-refine", "task5-full-dialogs"])
def test_real_dialogues_become_few_actions_and_come_back_word_for_word(name: str) -> None:
    files = find_dialogues(str(BABI / f"dialog-babi-{name}-trn.txt.gz"))
    assert files is not None
    assert set(files.parts) == {"train", "validation", "test", "oov"}
    train, kept = (files.read(part, 0.1)[:50] for part in ("train", "validation"))
    assert files.knowledge is not None
    sentences = (turn.sentence for dialogue in train for turn in dialogue.turns)
    reader = learn_reader(train, Knowledge.of(read_facts(files.knowledge), sentences, None))
    assert len(reader.actions) == {"1": 8, "2": 6, "5": 16}[name[4]]
    assert reader.knowledge.criteria == ("R_cuisine", "R_location", "R_price", "R_number")
    for dialogue in kept:
        followed = reader.follow(dialogue)
        for number, mask, values, reply in zip(
            followed.actions, followed.mask, followed.placeholder_values, followed.replies
        ):
            assert mask[number]
            assert reader.actions.say(int(number), values) == reply


def test_a_talk_goes_on_by_itself_only_where_people_always_kept_silent(tmp_path: Path) -> None:
    silent, spoken = "1 hi\thello\n2 so\twait\n3 <SILENCE>\tdone\n", "1 hi\thello\n2 <SILENCE>\tdone\n"
    (tmp_path / "a-trn.txt").write_text((silent + spoken) * 3)
    (tmp_path / "a-dev.txt").write_text(silent)
    learner = make_learner(str(tmp_path), settings=Settings())
    assert isinstance(learner, DialogueLearner)
    templates = learner.reader.actions.templates
    assert [templates[number] for number in learner.data.goes_on] == ["wait"]
    assert not learner.data.looks_up


def test_hidden_words_are_taken_as_unseen_and_the_end_of_a_dialogue_counts_nothing(data: str) -> None:
    learner = make_learner(data, settings=Settings(batch_size=20))
    assert isinstance(learner, DialogueLearner)
    rows = learner.rows(0)[:20]
    x, lengths, mask, actions = learner.batch(rows)
    words = learner.reader.num_words
    known = np.concatenate([learner.data.followed[row].x for row, _ in rows])
    read = np.concatenate([x[k, :end] for k, end in enumerate(lengths)])
    np.testing.assert_array_equal(read[:, words:], known[:, words:])
    hidden = (known - read)[:, : words - 1].sum(1)
    assert 0 < hidden.sum() < 0.1 * known[:, : words - 1].sum()
    np.testing.assert_array_equal(read[:, words - 1] > 0, hidden > 0)
    past = np.arange(x.shape[1]) >= lengths[:, None]
    assert past.any()
    assert (actions[past] == -1).all()
    assert not x[past].any()
    assert mask[past].all()
