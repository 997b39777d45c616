r"""Back-off n-gram models of words: read from and written to ARPA files, and estimated from texts (Witten-Bell).

    p(w | h)    = the entry of h w where there is one, else back-off(h) p(w | h without its first word)
    Witten-Bell   p(w | h) = (c(h w) + t(h) p(w | h')) / (c(h) + t(h)),  back-off(h) = t(h) / (c(h) + t(h))
                  c counts, t(h) different words seen after h; below the unigrams all words of the vocabulary are alike

An ARPA file has log10 values: \data\ with a count for every order, a section for every order, \end\. Lines end in LF or CR LF
only (tokens may hold other line marks), fields are apart by tabs, or by blanks where there is no tab.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from congru.data.files import read_unpacked
from congru.errors import DataError

START, END, UNKNOWN = "<s>", "</s>", "<unk>"
_NEVER = -99.0  # log10 of "does not happen", as the tools write it
_STRANGE = -7.0  # log10 p of a word that the model has no entry for, not even <unk>
_LN10 = math.log(10)

Words = tuple[str, ...]


@dataclass(frozen=True)
class NGrams:
    """n-grams -> (log10 p, log10 back-off); `order` is the longest n."""

    entries: Mapping[Words, tuple[float, float]]
    order: int

    def start(self) -> Words:
        """The history before the first word."""
        return (START,)[: self.order - 1]

    def score(self, history: Words, word: str) -> tuple[float, Words]:
        """(log p of the word after the history, the history after it); natural logarithm."""
        if (word,) not in self.entries:
            word = next((w for w in (UNKNOWN, UNKNOWN.upper()) if (w,) in self.entries), word)
        total, context = 0.0, history
        while True:
            entry = self.entries.get((*context, word))
            if entry is not None:
                total += entry[0]
                break
            if not context:
                total += _STRANGE
                break
            total += self.entries.get(context, (0.0, 0.0))[1]
            context = context[1:]
        return total * _LN10, (*history, word)[-(self.order - 1) :] if self.order > 1 else ()

    @property
    def words(self) -> list[str]:
        """The words it knows, without the marks of beginning, end and unknown words."""
        marks = {START, END, UNKNOWN, UNKNOWN.upper()}
        return sorted(words[0] for words in self.entries if len(words) == 1 and words[0] not in marks)

    def log_p(self, text: Sequence[str]) -> float:
        """log p of a whole text with its end."""
        history, total = self.start(), 0.0
        for word in (*text, END):
            log_p, history = self.score(history, word)
            total += log_p
        return total


def read_arpa(path: Path) -> NGrams:
    """The model of an ARPA file, also gzipped.

    Raises:
        DataError: another kind of file, a damaged line, or fewer n-grams than promised.
    """
    content = read_unpacked(path, "an ARPA file")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(f"{path} line {line} is not UTF-8, expected it: save the model as UTF-8") from None
    return parse_arpa(text, str(path))


def parse_arpa(text: str, name: str) -> NGrams:
    """The model of the text of an ARPA file; see :func:`read_arpa`."""
    lines = text.replace("\r\n", "\n").split("\n")
    try:
        at = lines.index("\\data\\") + 1
    except ValueError:
        raise DataError(
            f"{name} has no line \\data\\, expected an ARPA language model: name another file"
        ) from None
    promised: dict[int, int] = {}
    entries: dict[Words, tuple[float, float]] = {}
    counts: Counter[int] = Counter()
    order, ended = 0, "\\end\\" in lines[at:]
    for number, line in enumerate(lines[at:], at + 1):
        if not line.strip(" \t"):
            continue
        if line == "\\end\\":
            break
        if match := re.fullmatch(r"\\(\d+)-grams:\s*", line):
            order = int(match[1])
        elif match := re.fullmatch(r"ngram\s+(\d+)\s*=\s*(\d+)\s*", line):
            promised[int(match[1])] = int(match[2])
        else:
            try:
                words, entries_of_words = _entry(line, order, f"{name} line {number}")
            except DataError:
                if ended:
                    raise
                break  # the file is cut here
            entries[words] = entries_of_words
            counts[order] += 1
    _check_counts(promised, counts, ended, name)
    return NGrams(entries, max(promised))


def _entry(line: str, order: int, location: str) -> tuple[Words, tuple[float, float]]:
    fields = [field.strip(" ") for field in line.split("\t")] if "\t" in line else line.split(" ")
    fields = [field for field in fields if field]
    if len(fields) > 1 and "\t" in line:
        fields = [fields[0], *fields[1].split(" "), *fields[2:]]
    try:
        log_p = float(fields[0])
        words = tuple(fields[1 : order + 1])
        backoff = float(fields[order + 1]) if len(fields) > order + 1 else 0.0
        if not order or len(words) != order or len(fields) > order + 2 or math.isnan(log_p + backoff):
            raise ValueError
    except (ValueError, IndexError):
        raise DataError(
            f"{location} is {line[:40]!r}, expected log10 p, {order or 'n'} words and perhaps a back-off: correct it"
        ) from None
    return words, (log_p, backoff)


def _check_counts(promised: dict[int, int], counts: Counter[int], ended: bool, name: str) -> None:
    if not promised:
        raise DataError(f"{name} promises no n-grams (ngram 1=...), expected some: write the file again")
    short = [n for n in promised if counts[n] < promised[n] and not (ended and not counts[n] and n > 1)]
    if short or not ended:
        wanted = " + ".join(f"{promised[n]:,}" for n in sorted(promised))
        there = " + ".join(f"{counts[n]:,}" for n in sorted(promised))
        end = "" if ended else ", and \\end\\ is missing"
        raise DataError(f"{name} promises {wanted} n-grams, {there} are there{end}: copy the file again")


def estimate(texts: Iterable[Sequence[str]], order: int = 3, extra: Iterable[str] = ()) -> NGrams:
    """The Witten-Bell model of texts; `extra` are words of the vocabulary that may not occur in them.

    >>> model = estimate([["a", "b"], ["a"]], order=2)
    >>> round(sum(math.exp(model.score(("a",), word)[0]) for word in ("a", "b", END, UNKNOWN)), 6)
    1.0
    """
    counts: dict[Words, Counter[str]] = defaultdict(Counter)
    vocabulary = {END, UNKNOWN, *extra}
    for text in texts:
        words = (START, *text, END)
        vocabulary.update(text)
        for k in range(1, len(words)):
            for n in range(min(order - 1, k) + 1):
                counts[words[k - n : k]][words[k]] += 1
    unigrams = counts[()]
    total, kinds = unigrams.total(), len(unigrams)
    p = {w: (unigrams[w] + kinds / len(vocabulary)) / (total + kinds) for w in vocabulary}
    known: dict[Words, float] = {(word,): value for word, value in p.items()}
    for history in sorted((h for h in counts if h), key=len):
        total, kinds = counts[history].total(), len(counts[history])
        for word, count in counts[history].items():
            known[(*history, word)] = (count + kinds * known[(*history[1:], word)]) / (total + kinds)
    entries = {
        words: (math.log10(value), _backoff(counts.get(words)) if len(words) < order else 0.0)
        for words, value in known.items()
    }
    entries[(START,)] = (_NEVER, _backoff(counts.get((START,))) if order > 1 else 0.0)
    return NGrams(entries, order)


def _backoff(after: Counter[str] | None) -> float:
    return 0.0 if not after else math.log10(len(after) / (after.total() + len(after)))


def format_arpa(model: NGrams) -> str:
    """The text of the ARPA file."""
    by_order = [
        sorted(words for words in model.entries if len(words) == n) for n in range(1, model.order + 1)
    ]
    lines = ["\\data\\", *(f"ngram {n}={len(part)}" for n, part in enumerate(by_order, 1))]
    for n, part in enumerate(by_order, 1):
        lines += ["", f"\\{n}-grams:"]
        for words in part:
            log_p, backoff = model.entries[words]
            end = f"\t{backoff:.6f}" if n < model.order else ""
            lines.append(f"{log_p:.6f}\t{' '.join(words)}{end}")
    return "\n".join([*lines, "", "\\end\\", ""])


def read_words(path: Path) -> list[str]:
    """The words of a list or pronouncing dictionary: the first field of a line; `A(2)` is A again.

    Raises:
        DataError: no word in it.
    """
    if path.suffix in (".arpa", ".lm") or path.name.endswith(".arpa.gz"):
        return read_arpa(path).words
    content = read_unpacked(path, "a word list").decode("utf-8-sig", "replace")
    words = [line.split()[0] for line in content.replace("\r\n", "\n").split("\n") if line.strip()]
    distinct = dict.fromkeys(
        re.sub(r"\(\d+\)$", "", word) for word in words if not word.startswith((";;;", "#", "<"))
    )
    if not distinct:
        raise DataError(f"{path} has no word, expected one a line: fill it")
    return list(distinct)
