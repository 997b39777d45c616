"""Training files of an assistant: what comes out of each real file, and one line for what cannot be read."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

import shared_files
from congru.errors import DataError
from congru.tasks.assistant.data import prepare, split, unknown_labels
from congru.tasks.assistant.examples import Example, spans_of
from congru.tasks.assistant.formats import read_corpus
from congru.tasks.assistant.settings import Settings

CASES = shared_files.CASES / "assistant"
needs_cases = shared_files.needs(CASES)

# file: intents, examples, marked values, repeated sentences, sentences under two intents, synonyms, regexes
READ = {
    "helpdesk/nlu.yml": (14, 452, 14, 22, 1, 1, 0),
    "rasa_old.md": (4, 42, 14, 0, 0, 2, 1),
    "rasa_no_dashes.yml": (3, 16, 7, 0, 0, 0, 0),
    "multi_intent.yml": (3, 6, 3, 0, 0, 1, 1),
    "snips_lights.json": (3, 14, 19, 0, 0, 0, 0),
    "snips_flights.json": (2, 8, 16, 0, 0, 0, 0),
    "luis_barista.json": (1, 432, 0, 0, 0, 0, 0),
    "restaurant8k.json": (0, 32, 30, 0, 0, 0, 0),
    "buses_spans.json": (0, 35, 13, 0, 0, 0, 0),
    "dialogflow_export.zip": (2, 67, 171, 1, 0, 0, 0),
    "lex_export.zip": (1, 50, 171, 0, 0, 0, 0),
    "nlupp_banking.json": (86, 104, 44, 0, 0, 0, 0),
    "helpdesk/test_conversations.yml": (10, 16, 0, 3, 0, 0, 0),
}
REFUSED = {
    "helpdesk/domain.yml": "a domain (17 intents, 3 entities, 9 slots, 21 responses, 2 forms, 7 actions), no sentences",
    "helpdesk/stories.yml": "holds 11 stories (59 steps, names used twice: 2), no sentences",
    "helpdesk/rules.yml": "holds 7 rules (18 steps), no sentences",
    "stories_conflict.yml": "holds 3 stories (9 steps; after greet, default the next action is utter_default and utter_goodbye)",
    "stories_unused_checkpoints.yml": "holds 3 stories (12 steps; checkpoints that lead nowhere: check_end_1, check_end_2;"
    " checkpoints that nothing leads to: check_start)",
    "chatito_dates.chatito": "holds Chatito templates, not sentences",
    "watson_sentences.txt": "has 432 sentences without labels, expected intent, tab, sentence",
    "multiwoz_sample.json": "holds 6 replies with their histories, no marked sentences",
}


@needs_cases
@pytest.mark.parametrize("name", READ)
def test_a_real_file_gives_what_it_holds(name: str) -> None:
    corpus = read_corpus(str(CASES / name))
    counts = (
        len(corpus.intents),
        len(corpus.examples),
        corpus.num_slot_values,
        corpus.num_duplicates,
        len(corpus.conflicts),
        corpus.num_synonyms,
        corpus.num_regexes,
    )
    assert counts == READ[name]
    for example in corpus.examples:
        assert len(example.words) == len(example.tags) > 0


@needs_cases
def test_several_intents_of_a_sentence_are_told() -> None:
    (warning,) = read_corpus(str(CASES / "nlupp_banking.json")).warnings
    assert "47 intents, several in " in warning
    assert "of 104 sentences and none in 8: several are read as one, joined by +" in warning


@needs_cases
def test_places_of_an_export_are_filled_with_their_values() -> None:
    corpus = read_corpus(str(CASES / "lex_export.zip"))
    first = corpus.examples[0]
    assert first.text.startswith("brew a ")
    assert "{" not in "".join(example.text for example in corpus.examples)
    assert [slot for slot, _, _ in spans_of(first.tags)] == ["size", "roast", "coffeeDrink", "sugarAmount"]
    roasts = {e.words[a:b] for e in corpus.examples for slot, a, b in spans_of(e.tags) if slot == "roast"}
    assert len(roasts) > 1
    assert "filled with the values of its list in turn" in corpus.warnings[0]


@needs_cases
def test_missing_dashes_are_told() -> None:
    (warning,) = read_corpus(str(CASES / "rasa_no_dashes.yml")).warnings
    assert "16 examples have no leading dash" in warning


@needs_cases
def test_records_with_line_breaks_stay_whole() -> None:
    assert len(read_corpus(str(CASES / "banking_newlines.csv")).examples) == 410


@needs_cases
def test_faults_of_columns_are_named_and_the_last_sentence_is_kept() -> None:
    corpus = read_corpus(str(CASES / "bio_faults.conll"))
    slots = [[slot for slot, _, _ in spans_of(example.tags)] for example in corpus.examples]
    assert slots == [["name"], ["size"], ["time"], ["artist"]]
    assert any("line 12: I-size follows no size" in warning for warning in corpus.warnings)


@needs_cases
@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_is_no_training_file_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(DataError) as caught:
        read_corpus(str(CASES / name))
    assert REFUSED[name] in str(caught.value)
    assert "\n" not in str(caught.value)


WRONG = [
    ("a.conll", "hello X-name\n", r"a.conll line 1: tag is 'X-name', expected O, B-slot or I-slot"),
    ("a.conll", "hello O\nworld\n", "a.conll line 2 has one column, expected word and tag"),
    ("a.conll", "-DOCSTART- O\n", "a.conll has no sentence"),
    ("a.txt", " \n", "a.txt is empty, expected sentences"),
    ("a.txt", "greet\t \n", "a.txt line 1 has no words"),
    ("a.csv", "x,y\n1,2\n", "a.csv has the columns x, y, expected text and intent"),
    ("a.csv", "text,intent\n,greet\n", "a.csv record 1 has no words in text"),
    ("a.json", "{", "a.json is not JSON"),
    ("a.json", '{"intents": {"x": {"utterances": [{}]}}}', "a.json lacks 'data' in an example"),
    ("a.json", '[{"text": "hi", "intents": ["a"], "slots": {"x": {}}}]', "a.json lacks 'span' in an example"),
    ("a.txt", "hello there\nhi\n", "a.txt has 2 sentences without labels, expected intent, tab, sentence"),
    ("a.yml", "version: 3\n", "a.yml has no list of sentences under nlu"),
    ("a.yml", "nlu: [", "a.yml is not YAML"),
    ("a.yml", "nlu:\n- hello\n", "a.yml nlu block 1 is 'hello', expected intent and examples"),
    ("a.yml", "nlu:\n- intent: x\n", "a.yml nlu block 1 has no examples"),
    ("a.yml", "nlu: []\n", "a.yml has no examples"),
    ("a.yml", 'nlu:\n- intent: x\n  examples: |\n    - [a]{"value": "b"}\n', "names no slot"),
    ("a.md", "## intent:x\nhello\n", "a.md line 2: 'hello' is no list item under a head"),
    ("a.md", "## intent:x\n", "a.md has no examples"),
]


@pytest.mark.parametrize(("name", "content", "complaint"), WRONG)
def test_wrong_content_is_one_line(name: str, content: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=complaint) as caught:
        read_corpus(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def _archive(path: Path, files: dict[str, str]) -> str:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return str(path)


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({"a.json": "{}", "b.txt": "x"}, "is an archive of 2 files, none of which holds sentences"),
        ({"a.json": "{"}, "is no whole archive of JSON files"),
        ({"a_usersays_en.json": '[{"data": [{"alias": "x"}]}]'}, "lacks 'text' in a sentence"),
        ({"a_usersays_en.json": "[]"}, "has no sentences, expected some under an intent"),
    ],
)
def test_wrong_archives_are_one_line(files: dict[str, str], complaint: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=complaint) as caught:
        read_corpus(_archive(tmp_path / "a.zip", files))
    assert "\n" not in str(caught.value)
    (tmp_path / "b.zip").write_bytes(b"PK but not whole")
    with pytest.raises(DataError, match="is no whole archive"):
        read_corpus(str(tmp_path / "b.zip"))


def test_exports_give_sentences_with_slots(tmp_path: Path) -> None:
    pieces = '[{"data": [{"text": "a "}, {"text": "big one", "alias": "size"}, {"text": " now"}]}]'
    (example,) = read_corpus(
        _archive(tmp_path / "d.zip", {"intents/order_usersays_en.json": pieces})
    ).examples
    assert (example.intent, example.tags) == ("order", ("O", "B-size", "I-size", "O"))
    types = (
        '{"name": "t", "enumerationValues": [{"value": "tea"}, {"value": "coffee", "synonyms": ["mocha"]}]}'
    )
    lex = (
        '{"resource": {"intents": [{"name": "order", "slots": [{"name": "drink", "slotType": "t"}],'
        f' "sampleUtterances": ["a {{drink}}", "one {{drink}}", "my {{drink}}", "{{other}}"]}}], "slotTypes": [{types}]}}}}'
    )
    texts = [e.text for e in read_corpus(_archive(tmp_path / "l.zip", {"bot.json": lex})).examples]
    assert texts == ["a tea", "one coffee", "my mocha", "other"]


STORIES = """
stories:
- story: a
  steps: [{intent: hi}, {action: hello}, {checkpoint: c}]
- story: b
  steps: [{checkpoint: c}, {intent: x}, {action: 'yes'}]
- story: b
  steps: [{checkpoint: c}, {intent: x}, {action: 'no'}]
"""


def test_stories_are_counted_and_followed_through_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "s.yml").write_text(STORIES)
    told = r"holds 3 stories \(9 steps, names used twice: 1; after hi, x the next action is yes and no\), no sentences"
    with pytest.raises(DataError, match=told):
        read_corpus(str(tmp_path / "s.yml"))
    (tmp_path / "s.yml").write_text(STORIES.replace("'no'", "'yes'"))
    with pytest.raises(DataError, match=r"names used twice: 1\), no sentences"):
        read_corpus(str(tmp_path / "s.yml"))
    (tmp_path / "s.yml").write_text(
        "stories:\n- steps: [{intent: hi, user: 'in [rome](town)'}, {action: a}]\n"
    )
    (example,) = read_corpus(str(tmp_path / "s.yml")).examples
    assert (example.intent, example.tags) == ("hi", ("O", "B-town"))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"greet\tcaf\xe9\n")
    with pytest.raises(DataError, match=r"a.txt byte 9 is not UTF-8"):
        read_corpus(str(tmp_path / "a.txt"))


def _folder(folder: Path, words: str, tags: str, labels: str) -> str:
    folder.mkdir(exist_ok=True)
    for name, content in (("seq.in", words), ("seq.out", tags), ("label", labels)):
        (folder / name).write_text(content)
    return str(folder)


def test_folders_of_three_files_must_be_aligned(tmp_path: Path) -> None:
    good = read_corpus(_folder(tmp_path / "a", "to rome\nhi\n", "O B-city\nO\n", "go\ngreet\n"))
    assert [example.tags for example in good.examples] == [("O", "B-city"), ("O",)]
    with pytest.raises(DataError, match=r"different numbers of lines \(seq.in 2, seq.out 1, label 2\)"):
        read_corpus(_folder(tmp_path / "b", "to rome\nhi\n", "O B-city\n", "go\ngreet\n"))
    with pytest.raises(DataError, match="line 1 has 2 words and 1 tags"):
        read_corpus(_folder(tmp_path / "c", "to rome\n", "O\n", "go\n"))
    with pytest.raises(DataError, match=r"seq.out line 1: tag is 'city'"):
        read_corpus(_folder(tmp_path / "d", "to rome\n", "O city\n", "go\n"))
    (tmp_path / "d" / "label").unlink()
    with pytest.raises(DataError, match=r"has no label, expected seq.in, seq.out and label"):
        read_corpus(str(tmp_path / "d"))


def test_conflicts_and_labels_unseen_in_training_are_told(tmp_path: Path) -> None:
    _folder(tmp_path / "train", "hi\nhi\nbye\n", "O\nO\nO\n", "greet\nhello\nbye\n")
    _folder(tmp_path / "valid", "to rome\n", "O B-city\n", "go\n")
    warnings = prepare(str(tmp_path), Settings()).warnings
    assert "1 sentences stand under two intents, the first: 'hi'" in warnings[0]
    assert "validation has intents never seen in training: go; they count as mistakes" in warnings
    assert "validation has slots never seen in training: city; they count as mistakes" in warnings
    strange = [Example(("w",), ("O",), f"i{k}", "w") for k in range(10)]
    (line,) = unknown_labels(strange, [], [], "test")
    assert line == (
        "test has intents never seen in training: i0, i1, i2, i3, i4, i5, i6, i7 and 2 others; they count as mistakes"
    )


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ("".join(f"greet\thi {n}\n" for n in range(9)), r"has one intent \(greet\) and no slot"),
        ("greet\thi\nbye\tbye\n", "has 2 examples, expected three of an intent at least"),
    ],
)
def test_too_little_to_learn_is_refused(lines: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(lines)
    with pytest.raises(DataError, match=complaint):
        prepare(str(tmp_path / "a.txt"), Settings())


def test_the_same_sentence_never_stands_in_both_parts(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("".join(f"greet\thi {n % 5}\nbye\tbye {n % 7}\n" for n in range(35)))
    examples = read_corpus(str(tmp_path / "a.txt")).examples
    train, validation = split(examples, 0.2)
    assert len(train) + len(validation) == 70
    assert not {examples[row].text for row in train} & {examples[row].text for row in validation}
    assert {examples[row].intent for row in validation} == {"greet", "bye"}
