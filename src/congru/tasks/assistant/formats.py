"""The forms of training files: which one a file has, and the readers of lines, columns, folders and JSON.

lines           intent<TAB>sentence with [value](slot) marks; an empty intent is none
CSV             a head with `text` and `intent`, `label` or `category`
CoNLL           word, blank or tab, tag; a blank line ends a sentence
SNIPS folder    seq.in, seq.out, label
JSON            Snips (`intents`), CLINC150 (`train`, `oos_train`, ...), LUIS (`utterances`), spans (`userInput`), NLU++
Rasa            .yml, .yaml, .md: see rasa.py
.zip            Dialogflow and Lex: see archives.py
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from congru.data.files import read_unpacked
from congru.errors import DataError
from congru.tasks.assistant.archives import read_archive
from congru.tasks.assistant.examples import Corpus, Example, Span, check_tag, make_example, of_pieces
from congru.tasks.assistant.rasa import read_markdown, read_marked, read_yaml

OUT_OF_SCOPE = "oos"
_TEXT, _INTENT = ("text", "sentence", "utterance"), ("intent", "label", "category")


def read_corpus(path: str) -> Corpus:
    """The training examples of a file or a SNIPS folder. Raises as :func:`read_corpora`."""
    return read_corpora(path)["train"]


def read_corpora(path: str) -> dict[str, Corpus]:
    """Read a file or a SNIPS folder: "train", and "val" and "test" where a file names them as CLINC150 does.

    Raises :class:`DataError` for a file that is missing, not UTF-8, empty or of another form.
    """
    source = Path(path)
    if source.is_dir():
        return {"train": read_folder(source)}
    if not source.is_file():
        raise DataError(f"source is {path!r}, expected a file or a folder: check the path")
    raw = read_unpacked(source, "a file or a folder")
    suffix = Path(source.name.removesuffix(".gz")).suffix.lower()
    if suffix == ".zip":
        return {"train": read_archive(raw, path)}
    try:
        content = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} byte {error.start} is not UTF-8, expected UTF-8 text: convert the file"
        ) from None
    if not content.strip():
        raise DataError(f"{path} is empty, expected sentences: write some")
    if suffix == ".chatito":
        raise DataError(
            f"{path} holds Chatito templates, not sentences: expand them with chatito and pass its output"
        )
    if suffix == ".json":
        return read_json(content, path)
    readers = {".yml": read_yaml, ".md": read_markdown, ".csv": read_csv, ".conll": read_columns}
    kinds = {".yaml": ".yml", ".markdown": ".md", ".bio": ".conll", ".iob": ".conll"}
    return {"train": readers.get(kinds.get(suffix, suffix), read_lines)(content, path)}


def read_lines(content: str, path: str) -> Corpus:
    """intent<TAB>sentence, one a line; the sentence may hold [value](slot) marks."""
    filled = [line for line in content.split("\n") if line.strip()]
    if not any("\t" in line for line in filled):
        raise DataError(
            f"{path} has {len(filled)} sentences without labels, expected intent, tab, sentence on each line: add the intents"
        )
    examples = []
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        cells = line.split("\t")
        if len(cells) != 2:
            raise DataError(
                f"{path} line {number} has {len(cells)} columns, expected 2 (intent, tab, sentence): correct the line"
            )
        examples.append(read_marked(cells[1].strip(), cells[0].strip() or None, f"{path} line {number}"))
    return Corpus(examples)


def read_csv(content: str, path: str) -> Corpus:
    """Rows with a text and an intent column, line breaks in quotes allowed."""
    try:
        rows = list(csv.DictReader(io.StringIO(content, newline="")))
    except csv.Error as error:
        raise DataError(f"{path}: {error}, expected CSV: close the open quote, or fix the value") from None
    names = list(rows[0]) if rows else content.split("\n", 1)[0].split(",")
    text = next((name for name in _TEXT if name in names), None)
    intent = next((name for name in _INTENT if name in names), None)
    if text is None or intent is None:
        raise DataError(
            f"{path} has the columns {', '.join(map(str, names))}, expected text and intent: rename them in the first line"
        )
    examples = []
    for number, row in enumerate(rows, 1):
        example = make_example((row[text] or "").strip(), [], (row[intent] or "").strip() or None)
        if not example.words:
            raise DataError(f"{path} record {number} has no words in {text}: write some or delete the record")
        examples.append(example)
    return Corpus(examples)


def read_columns(content: str, path: str) -> Corpus:
    """CoNLL: the word first, the tag second, more columns ignored; -DOCSTART- is passed over."""
    examples: list[Example] = []
    words: list[str] = []
    tags: list[str] = []
    warnings = []

    def close() -> None:
        if words:
            examples.append(Example(tuple(words), tuple(tags), None, " ".join(words)))
            words.clear()
            tags.clear()

    for number, line in enumerate(content.split("\n"), 1):
        cells = line.split()
        if not cells or cells[0] == "-DOCSTART-":
            close()
        elif line.startswith("# ") and "\t" not in line:
            warnings.append(f"{path} line {number} is read as a comment: {line!r}")
        elif len(cells) == 1:
            raise DataError(f"{path} line {number} has one column, expected word and tag: add the tag")
        else:
            tag = check_tag(cells[1], f"{path} line {number}")
            if tag[:2] == "I-" and (not tags or tags[-1][2:] != tag[2:]):
                warnings.append(f"{path} line {number}: {tag} follows no {tag[2:]}, it begins a value")
            words.append(cells[0])
            tags.append(tag)
    close()
    if not examples:
        raise DataError(f"{path} has no sentence, expected word and tag on each line: write some")
    return Corpus(examples, cut_by_blanks=True, warnings=warnings)


def read_folder(folder: Path) -> Corpus:
    """seq.in, seq.out and label, line by line."""
    lines = {}
    for name in ("seq.in", "seq.out", "label"):
        if not (folder / name).is_file():
            raise DataError(f"{folder} has no {name}, expected seq.in, seq.out and label: pass such a folder")
        lines[name] = (folder / name).read_text(encoding="utf-8").rstrip("\n").split("\n")
    counts = {name: len(file_lines) for name, file_lines in lines.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise DataError(f"{folder} has different numbers of lines ({told}): align the three files")
    examples = []
    for number, (sentence, path, intent) in enumerate(zip(*lines.values()), 1):
        words, tags = sentence.split(), path.split()
        if not words or len(words) != len(tags):
            raise DataError(
                f"{folder} line {number} has {len(words)} words and {len(tags)} tags, expected as many: correct it"
            )
        for tag in tags:
            check_tag(tag, f"{folder / 'seq.out'} line {number}")
        examples.append(Example(tuple(words), tuple(tags), intent.strip() or None, " ".join(words)))
    return Corpus(examples, cut_by_blanks=True)


def read_json(content: str, path: str) -> dict[str, Corpus]:
    """One of the JSON forms, told apart by their keys, by part."""
    try:
        document = json.loads(content)
    except ValueError as error:
        raise DataError(f"{path} is not JSON ({error}), expected a training file: correct it") from None
    try:
        corpora = _corpora(document, path)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} lacks {error} in an example, expected it in each: correct it") from None
    if corpora is None:
        entries = list(document.values()) if isinstance(document, dict) else document
        replies = [row for row in entries if isinstance(row, dict) and {"history", "reply"} <= set(row)]
        if replies:
            raise DataError(
                f"{path} holds {len(replies)} replies with their histories, no marked sentences, expected dialogues as"
                " '1 sentence<TAB>reply': write them so"
            )
        raise DataError(
            f"{path} is JSON of another form, expected Snips, CLINC150, LUIS, NLU++ or spans with userInput:"
            " convert it to lines"
        )
    return corpora


def _corpora(document: Any, path: str) -> dict[str, Corpus] | None:
    """The parts of a known form; None for another."""
    if isinstance(document, dict) and isinstance(document.get("intents"), dict):
        return {"train": Corpus(_snips(document))}
    if isinstance(document, dict) and "train" in document:
        return {
            part: Corpus(
                [
                    make_example(text, [], intent)
                    for text, intent in [*document[part], *document.get(f"oos_{part}", [])]
                ]
            )
            for part in ("train", "val", "test")
            if part in document
        }
    if isinstance(document, dict) and "utterances" in document:
        return {
            "train": Corpus([make_example(row["text"], [], row["intent"]) for row in document["utterances"]])
        }
    if not isinstance(document, list) or not document or not isinstance(document[0], dict):
        return None
    if "userInput" in document[0]:
        return {"train": Corpus([_span_row(row) for row in document])}
    if "text" in document[0] and any("intents" in row for row in document):
        return {"train": _several_intents(document, path)}
    return None


def _several_intents(rows: list[dict[str, Any]], path: str) -> Corpus:
    """NLU++: the intents of a sentence in alphabetical order, joined by +; slots by character spans."""
    names = [sorted(row.get("intents") or []) for row in rows]
    several = sum(len(intents) > 1 for intents in names)
    told = (
        f"{path}: {len({name for intents in names for name in intents})} intents, several in {several} of {len(rows)}"
        f" sentences and none in {sum(not intents for intents in names)}: several are read as one, joined by +"
    )
    examples = [
        make_example(
            row["text"],
            [Span(slot["span"][0], slot["span"][1], name) for name, slot in (row.get("slots") or {}).items()],
            "+".join(intents) or None,
        )
        for row, intents in zip(rows, names)
    ]
    return Corpus(examples, warnings=[told])


def _snips(document: dict[str, Any]) -> list[Example]:
    intents = document["intents"].items()
    return [
        of_pieces(utterance["data"], "slot_name", intent)
        for intent, entry in intents
        for utterance in entry["utterances"]
    ]


def _span_row(row: dict[str, Any]) -> Example:
    spans = [
        Span(label["valueSpan"].get("startIndex", 0), label["valueSpan"]["endIndex"], label["slot"])
        for label in row.get("labels", [])
    ]
    return make_example(row["userInput"]["text"], spans, None)
