"""Which files of a folder are dialogues: training, validation, test, out-of-vocabulary test, and the knowledge base.

NAME-trn.txt  NAME-dev.txt  NAME-tst.txt  NAME-tst-OOV.txt      also train, val, valid, test; .txt.gz
a name with kb or knowledge                                     subject property value, or subject property<TAB>value
"""

from __future__ import annotations

import gzip
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from congru.errors import DataError
from congru.tasks.assistant.dialogues import Dialogue, Fact, read_dialogues, read_text
from congru.tasks.parts import part_to_score, parts_there

_PART = re.compile(
    r"(?P<stem>.*?)[-_.]?(?P<part>trn|train|dev|valid|val|(?:tst|test)(?P<oov>[-_.]?oov)?)", re.IGNORECASE
)
_KNOWLEDGE = re.compile(r"(?:.*[-_.])?(?:kb|knowledge)(?:[-_.].*)?", re.IGNORECASE)
_NAMES = {"trn": "train", "train": "train", "dev": "validation", "valid": "validation", "val": "validation"}
_HEAD = 4096  # bytes that show what a file is
_BEGINNING = re.compile(r"1 [^\t\n]*\S[^\t\n]*\t")


@dataclass(frozen=True)
class DialogueFiles:
    """Part ("train", "validation", "test", "oov") -> its file, and the knowledge base; ``source`` as it was given."""

    source: str
    parts: dict[str, Path]
    knowledge: Path | None

    @property
    def there(self) -> list[str]:
        """The parts that there are; of a training file alone also the share that is kept for validation."""
        return parts_there(self.parts, ("oov",))

    def read(self, part: str, share: float) -> list[Dialogue]:
        """The dialogues of a part, or "all" of every file.

        Without a validation file, that part is a `share` of the training dialogues, the same each time.

        Raises:
            DataError: a part that is missing, or a file of another form.
        """
        part_to_score(part, self.there, self.source)
        if part == "all":
            return [
                dialogue
                for name in self.there
                if name in self.parts
                for dialogue in read_dialogues(self.parts[name])
            ]
        if part in ("test", "oov") or (part == "validation" and part in self.parts):
            return read_dialogues(self.parts[part])
        dialogues = read_dialogues(self.parts["train"])
        if "validation" in self.parts:
            return dialogues
        kept = kept_aside(len(dialogues), share)
        wanted = part == "validation"
        return [dialogue for row, dialogue in enumerate(dialogues) if (row in kept) == wanted]


def kept_aside(count: int, share: float) -> set[int]:
    """The rows of `count` that are kept for validation: a share, at least one."""
    order = np.random.default_rng(0).permutation(count)
    return set(order[: max(1, round(share * count))].tolist())


def find_dialogues(source: str) -> DialogueFiles | None:
    """The files of a source, or None where it holds no dialogues.

    Raises :class:`DataError` for a folder with the training files of several tasks.
    """
    path = Path(source)
    if path.is_dir():
        stems = sorted({name[0] for file in _texts(path) if (name := _name(file)) and name[1] == "train"})
        stems = [stem for stem in stems if _is_dialogue(_parts(path, stem)["train"])]
        if not stems:
            return None
        if len(stems) > 1:
            first = _parts(path, stems[0])["train"]
            raise DataError(
                f"{source} has the training files of {len(stems)} sets ({', '.join(stems)}), expected one: pass {first}"
            )
        return DialogueFiles(source, _parts(path, stems[0]), _knowledge(path))
    if not path.is_file() or not _is_dialogue(path):
        return None
    name = _name(path)
    parts = _parts(path.parent, name[0]) if name and name[1] == "train" else {"train": path}
    return DialogueFiles(source, parts, _knowledge(path.parent))


def read_facts(path: Path) -> list[Fact]:
    """The facts of a knowledge base; raises :class:`DataError` with the line that is no fact."""
    facts: list[Fact] = []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        words = line.split(None, 3)
        if words and words[0].isdigit():
            words = words[1:]
        else:
            words = line.split(None, 2)
        if not words:
            continue
        if len(words) < 3:
            raise DataError(
                f"{path} line {number} is {line!r}, expected subject, property and value: correct the line"
            )
        facts.append((words[0], words[1], " ".join(words[2:]).strip()))
    if not facts:
        raise DataError(f"{path} has no fact, expected subject, property and value: write some")
    return facts


def _texts(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.name.endswith((".txt", ".txt.gz")))


def _stem(file: Path) -> str:
    return file.name.removesuffix(".gz").removesuffix(".txt")


def _name(file: Path) -> tuple[str, str] | None:
    """What stands before the name of the part, and the part."""
    match = _PART.fullmatch(_stem(file))
    if match is None:
        return None
    return match["stem"], _NAMES.get(match["part"].lower(), "oov" if match["oov"] else "test")


def _parts(folder: Path, stem: str) -> dict[str, Path]:
    names = [(file, _name(file)) for file in _texts(folder)]
    return {name[1]: file for file, name in names if name and name[0] == stem}


def _knowledge(folder: Path) -> Path | None:
    files = [file for file in _texts(folder) if _KNOWLEDGE.fullmatch(_stem(file))]
    if len(files) > 1:
        raise DataError(
            f"{folder} has {len(files)} knowledge bases ({', '.join(file.name for file in files)}), expected one: move the others"
        )
    return files[0] if files else None


def _is_dialogue(file: Path) -> bool:
    """Whether a file begins as a dialogue does: number 1, a sentence, a tab. Reads its first bytes only."""
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as content:
            head = content.read(_HEAD)
    except (OSError, EOFError, zlib.error):
        return False
    return _BEGINNING.match(head.decode("utf-8-sig", "replace").lstrip()) is not None
