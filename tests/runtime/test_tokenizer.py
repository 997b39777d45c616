"""Tokenizers: equal to the `tokenizers` library on random Unicode; streams never cut a character."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, decoders, models, pre_tokenizers, processors, trainers
from tokenizers import Tokenizer as Library

from congru.errors import DataError, ModelFolderError
from congru.runtime.byte_bpe import byte_symbols, split_words
from congru.runtime.tokenizer import Tokenizer, char_tokenizer, parse_tokenizer

CORPUS = [
    "It's the banana's band: bananas, aaaa aaaaa!  We'll we've I'd they're I'm 's't 2024 12345 ½ ²\n\n\t x",
    "Größe und Maß, ça va? Привет, мир. 你好世界 你好 こんにちは नमस्ते 😀😀 👩‍👩‍👧 e\u0301e\u0301",
    "def f(x):\n    return x + 1\n\n\nthe the the then there these",
] * 3
# Characters that Python's tables know; a newer one may be of another class in the library's tables.
ASSIGNED = st.characters(exclude_categories=("Cs", "Cn"))
TEXT = st.text(
    st.one_of(
        ASSIGNED,
        st.sampled_from("aetns 's'\t\n\r\x0b\x0c\x1c\x1f\x85\xa0\u2003\u200b\u2028\u3000\ufeff1²½٣Ⅷ"),
    ),
    max_size=60,
)


def train(
    prefix_space: bool = False, use_regex: bool = True, added: tuple[Any, ...] = (), **options: Any
) -> Library:
    library = Library(models.BPE(**options))
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space, use_regex=use_regex)
    library.decoder = decoders.ByteLevel()
    library.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        show_progress=False,
        special_tokens=["<pad>", "<end>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    library.train_from_iterator(CORPUS, trainer)
    library.add_tokens(list(added))
    return library


ADDED = (AddedToken("<user>", normalized=False), AddedToken("band"), AddedToken("bandana"), AddedToken("é "))
LIBRARIES = {
    "plain": train(),
    "prefix space": train(prefix_space=True),
    "no pattern": train(use_regex=False),
    "added tokens": train(added=ADDED),
}
OURS = {name: parse_tokenizer(library.to_str().encode()) for name, library in LIBRARIES.items()}


@pytest.mark.parametrize("name", LIBRARIES)
@settings(max_examples=300, deadline=None)
@given(text=TEXT)
@example(text="".join(CORPUS))
@example(text="a<pad>b <end><end> <user>bandanabanda\x00é é  <pad")
@example(text="   two   spaces   ")
@example(text="x\x1cy\x1dz\u180e\u00ad")
def test_equals_the_library(name: str, text: str) -> None:
    library, ours = LIBRARIES[name], OURS[name]
    expected = library.encode(text).ids
    assert ours.encode(text) == expected
    assert ours.decode(expected) == library.decode(expected)


@pytest.mark.parametrize("name", LIBRARIES)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_decoding_any_ids_equals_the_library(name: str, data: st.DataObject) -> None:
    library, ours = LIBRARIES[name], OURS[name]
    ids = data.draw(st.lists(st.integers(0, library.get_vocab_size() - 1), max_size=30))
    assert ours.decode(ids) == library.decode(ids)
    decoder = ours.stream()
    assert "".join([decoder.push(index) for index in ids] + [decoder.flush()]) == ours.decode(ids)


@settings(max_examples=100, deadline=None)
@given(text=TEXT)
def test_text_comes_back(text: str) -> None:
    ours = OURS["plain"]
    assert ours.decode(ours.encode(text)) == "".join(text.split("<pad>")).replace("<end>", "")


def test_every_letter_and_number_splits_as_in_the_library() -> None:
    """All assigned characters of the first planes, one word each: a difference would show in the pieces."""
    pattern = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    codes = [code for code in range(0x30000) if unicodedata.category(chr(code)) not in ("Cs", "Cn")]
    symbols, different = byte_symbols(), []
    for start in range(0, len(codes), 200):
        text = "".join(f"a{chr(code)}1{chr(code)} {chr(code)}." for code in codes[start : start + 200])
        if [piece for piece, _ in pattern.pre_tokenize_str(text)] != [
            "".join(symbols[byte] for byte in word.encode()) for word in split_words(text)
        ]:
            different.append(hex(codes[start]))
    assert different == []


def test_long_words_take_time_in_proportion() -> None:
    text = "ab" * 20_000
    assert OURS["no pattern"].encode(text) == LIBRARIES["no pattern"].encode(text).ids


def test_streaming_never_cuts_a_character() -> None:
    ours = char_tokenizer(["a", "é", "😀"])
    decoder = ours.stream()
    assert [decoder.push(index) for index in (0, 1, 2)] == ["a", "é", "😀"]
    bpe = OURS["plain"]
    decoder = bpe.stream()
    pieces = [decoder.push(index) for index in bpe.encode("\u07ff\U0001f9ff")]
    assert "".join(pieces) == "\u07ff\U0001f9ff"
    assert all("\ufffd" not in piece for piece in pieces)
    assert "" in pieces
    half = bpe.stream()
    assert half.push(bpe.encode("\U0001f9ff")[0]) == ""
    assert half.flush() == "\ufffd"


def test_merges_in_the_newer_form(tmp_path: Path) -> None:
    data = json.loads(LIBRARIES["plain"].to_str())
    data["model"]["merges"] = [
        merge if isinstance(merge, list) else merge.split(" ") for merge in data["model"]["merges"]
    ]
    newer = parse_tokenizer(json.dumps(data).encode())
    data["model"]["merges"] = [" ".join(merge) for merge in data["model"]["merges"]]
    (tmp_path / "t.json").write_text(json.dumps(data))
    older = Tokenizer.from_file(tmp_path / "t.json")
    for text in CORPUS:
        assert newer.encode(text) == older.encode(text) == OURS["plain"].encode(text)


def test_number_of_tokens() -> None:
    assert OURS["added tokens"].num_tokens == LIBRARIES["added tokens"].get_vocab_size()
    assert char_tokenizer(["a", "b"]).num_tokens == 2


def without_byte(token: str) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        data["model"]["merges"] = []
        del data["model"]["vocab"][token]

    return change


def test_a_byte_that_is_not_in_the_vocabulary() -> None:
    data = json.loads(LIBRARIES["plain"].to_str())
    without_byte("q")(data)
    with pytest.raises(
        DataError, match=r"text holds 'quite', whose byte 0x71 is not in the vocabulary: train with all"
    ):
        parse_tokenizer(json.dumps(data).encode()).encode("quite")
    data["model"]["unk_token"] = "<pad>"
    assert parse_tokenizer(json.dumps(data).encode()).encode("q") == [0]
    assert Library.from_str(json.dumps(data)).encode("q").ids == [0]


def test_half_a_character_is_refused() -> None:
    with pytest.raises(DataError, match=r"text holds '\\udc80' with half a character, expected Unicode"):
        OURS["plain"].encode("a\udc80")


def test_unknown_symbols_and_tokens() -> None:
    with pytest.raises(
        DataError, match=r"text holds 'x' at position 2, expected one of the model's 2 symbols \('a' 'b'\)"
    ):
        char_tokenizer(["a", "b"]).encode("abx")
    many = char_tokenizer([chr(0x41 + index) for index in range(20)])
    with pytest.raises(DataError, match=r"model's 20 symbols \('A' 'B' .* 'L' \.\.\.\): remove it"):
        many.encode("é")
    with pytest.raises(DataError, match="token 2 is unknown, expected 0 to 1: pass ids of this one"):
        char_tokenizer(["a", "b"]).decode([2])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "tokenizer.json is not valid JSON"),
        (b"[]", "tokenizer.json is no tokenizer, expected type 'char' or a byte-level BPE file"),
        (b'{"type": "char"}', "symbols is no list of single characters"),
        (b'{"type": "char", "symbols": ["ab"]}', "symbols is no list of single characters"),
        (b'{"type": "char", "symbols": ["a", "a"]}', "symbols holds a character twice"),
        (b'{"type": "char", "symbols": ["\\ud800"]}', "symbols is no list of single characters"),
        (b'{"model": {"type": "BPE"}}', "pre_tokenizer is 'none', expected a plain byte-level BPE"),
        (b'{"model": {}}', r"is no complete byte-level BPE file \(KeyError\('type'\)\)"),
    ],
)
def test_broken_files(content: bytes, message: str) -> None:
    with pytest.raises(ModelFolderError, match=message):
        parse_tokenizer(content)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match=r"none cannot be read \(No such file or directory\)"):
        Tokenizer.from_file(tmp_path / "none")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: d.update(normalizer={"type": "NFC"}),
            "normalizer is 'NFC', expected a plain byte-level BPE",
        ),
        (lambda d: d.update(pre_tokenizer={"type": "Whitespace"}), "pre_tokenizer is 'Whitespace'"),
        (lambda d: d.update(decoder=None), "decoder is 'none'"),
        (
            lambda d: d.update(post_processor={"type": "TemplateProcessing"}),
            "post_processor is 'TemplateProcessing'",
        ),
        (
            lambda d: d.update(truncation={"max_length": 3, "strategy": "OnlySecond"}),
            "truncation is 'OnlySecond'",
        ),
        (lambda d: d["model"].update(type="WordPiece"), "model is 'WordPiece'"),
        (lambda d: d["model"].update(dropout=0.1), "dropout is 0.1"),
        (lambda d: d["model"].update(byte_fallback=True), "byte_fallback is True"),
        (lambda d: d["model"].update(end_of_word_suffix="</w>"), "end_of_word_suffix is '</w>'"),
        (lambda d: d["added_tokens"][0].update(lstrip=True), "added token '<pad>' lstrip is True"),
        (without_byte("q"), "no error"),
        (lambda d: d["model"]["vocab"].pop("an"), "merge [0-9]+ needs 'an', expected in the vocabulary"),
    ],
)
def test_what_this_reader_does_not_do(change: Callable[[dict[str, Any]], object], message: str) -> None:
    data = json.loads(LIBRARIES["plain"].to_str())
    change(data)
    if message == "no error":
        parse_tokenizer(json.dumps(data).encode())
        return
    with pytest.raises(ModelFolderError, match=message):
        parse_tokenizer(json.dumps(data).encode())


@pytest.mark.parametrize("direction", ["left", "right"])
@pytest.mark.parametrize("text", ["", "ab", "It's the banana's band: bananas, aaaa aaaaa!"])
def test_a_file_with_truncation_and_padding_is_read_as_the_library_does(text: str, direction: str) -> None:
    library = train()
    for truncation, padding in (
        ({"max_length": 5}, None),
        ({"max_length": 7, "stride": 2}, {"length": 12, "pad_id": 1}),
        (None, {"length": 4, "pad_to_multiple_of": 8}),
        (None, {"pad_to_multiple_of": 3}),
        (None, {}),
    ):
        library.no_truncation()
        library.no_padding()
        if truncation is not None:
            library.enable_truncation(**truncation, direction=direction)
        if padding is not None:
            library.enable_padding(**padding, direction=direction)
        assert parse_tokenizer(library.to_str().encode()).encode(text) == library.encode(text).ids
