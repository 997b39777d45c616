"""The bytes of a file that a user names, and their text, or one line that says why they cannot be had."""

from __future__ import annotations

from pathlib import Path

from congru.data.unpacking import unpacked
from congru.errors import DataError


def read_bytes(path: Path, expected: str) -> bytes:
    """The bytes of a file. Raises :class:`DataError`, which says what was `expected`, where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DataError(f"{path} cannot be read ({reason}), expected {expected}: check the path") from None


def read_unpacked(path: Path, expected: str) -> bytes:
    """The bytes of a file, unpacked where its name ends in .gz. Raises :class:`DataError` also for a damaged .gz."""
    content = read_bytes(path, expected)
    try:
        return unpacked(content, path.suffix if path.suffix == ".gz" else "")
    except ValueError as error:
        raise DataError(f"{path} {error}, expected a packed file: compress it again, or gunzip it") from None


def decode(content: bytes, name: str) -> tuple[str, str]:
    """The text of bytes, and a remark where they are not UTF-8.

    A byte order mark says UTF-8 or UTF-16; other bytes that are no UTF-8 are read as Latin-1, and told.

    >>> decode("né".encode("utf-16"), "a.txt"), decode("né".encode("latin-1"), "a.txt")[1]
    (('né', 'a.txt read as UTF-16'), 'a.txt read as Latin-1: byte 0xe9 at 1 is not UTF-8')

    Raises:
        DataError: UTF-16 that ends in the middle, or bytes that are no text.
    """
    try:
        if content.startswith((b"\xff\xfe", b"\xfe\xff")):
            return content.decode("utf-16"), f"{name} read as UTF-16"
        return content.decode("utf-8-sig"), ""
    except UnicodeDecodeError as error:
        if error.encoding.startswith("utf-16") or b"\0" in content:
            raise DataError(f"{name} is not text (byte {error.start}), expected UTF-8: convert it") from None
        wrong = f"byte 0x{content[error.start]:02x} at {error.start} is not UTF-8"
        return content.decode("latin-1"), f"{name} read as Latin-1: {wrong}"


# First bytes of files that are often taken for text -> what they are, and how to get text out.
_MAGIC = {
    b"%PDF": ("a PDF file", "take its text out, for example with pdftotext"),
    b"PK\x03\x04": ("a ZIP archive, as workbooks are", "unpack it, or save the sheet as CSV"),
    b"PAR1": ("a Parquet file", "name it with the ending .parquet"),
    b"\x1f\x8b": ("a gzip file", "name it with the ending .gz"),
    b"\x89PNG": ("a PNG picture", "choose another file"),
}


def guess_encoding(content: bytes) -> str:
    r"""The encoding that bytes which are no UTF-8 most often have.

    >>> guess_encoding(b"it\x92s"), guess_encoding("né".encode("latin-1")), guess_encoding("né".encode("utf-16"))
    ('cp1252', 'latin1', 'utf-16')
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if not any(0x80 <= byte <= 0x9F for byte in content):
        return "latin1"
    try:
        content.decode("cp1252")
    except UnicodeDecodeError:
        return "latin1"
    return "cp1252"


def encoding_of(content: bytes, name: str) -> tuple[str, str]:
    r"""What a file that is no UTF-8 is, as the end of a sentence, and what to do about it.

    >>> encoding_of(b"%PDF-1.4 \xe2", "a.txt")[0], encoding_of(b"it\x92s", "a.txt")[1]
    ('; it is a PDF file', 'convert it, for example with iconv -f cp1252 -t utf-8 a.txt > a-utf8.txt')
    >>> encoding_of("né à l'été".encode() + b"\xff", "a.txt")[1]
    'correct it, or leave it out with iconv -c -f utf-8 -t utf-8 a.txt > a-utf8.txt'
    """
    for start, (what, fix) in _MAGIC.items():
        if content.startswith(start):
            return f"; it is {what}", fix
    stem, dot, suffix = name.rpartition(".")
    other = f"{stem}-utf8.{suffix}" if dot else f"{name}-utf8"
    damaged = content.decode("utf-8", "replace")
    if sum(char > "\x7f" for char in damaged) > 2 * damaged.count("\ufffd"):
        return (
            " as all else in it is",
            f"correct it, or leave it out with iconv -c -f utf-8 -t utf-8 {name} > {other}",
        )
    return "", f"convert it, for example with iconv -f {guess_encoding(content)} -t utf-8 {name} > {other}"
