"""Signed model folders: what is accepted, what is refused in one line, and the two commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import congru
from congru.cli.main import main
from congru.errors import ModelFolderError, SettingsError
from congru.runtime import signature
from congru.runtime.signature import SIGNATURE, make_key
from printed import type_next
from runtime_models import save, token_config

pytest.importorskip("cryptography", reason="cryptography is not installed: pip install 'congru[sign]'")


def command(*arguments: str | Path) -> int:
    """The status of a command."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.fixture
def signed(tmp_path: Path) -> tuple[Path, str]:
    """A folder signed by the commands, and the public key."""
    save(tmp_path / "my model", token_config())
    assert command("sign", tmp_path / "my model", "--new-key", tmp_path / "key") == 0
    return tmp_path / "my model", (tmp_path / "key.pub").read_text().strip()


def test_a_signed_folder_is_verified(signed: tuple[Path, str], tmp_path: Path, capsys: Any) -> None:
    folder, public = signed
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert json.loads((folder / SIGNATURE).read_text())["key"] == public
    for key in (public, str(tmp_path / "key.pub"), tmp_path / "key.pub"):
        assert congru.load(folder, verify_key=key).num_parameters
    assert command("verify", folder, "--key", public) == 0
    assert f"signed by the key {public}" in capsys.readouterr().out
    assert congru.load(folder).task == "text"  # nobody has to


def test_the_lines_to_type_next(tmp_path: Path, capsys: Any) -> None:
    save(tmp_path / "my model", token_config())
    assert command("sign", "--new-key", tmp_path / "my key") == 0
    type_next(capsys.readouterr().out, 1, MODEL=str(tmp_path / "my model"))  # signs
    type_next(capsys.readouterr().out, 1)  # verifies
    assert "golden cases replayed, signed by the key" in capsys.readouterr().out


def test_what_is_not_signed_by_the_key_is_refused(signed: tuple[Path, str], tmp_path: Path) -> None:
    folder, public = signed
    other = make_key(tmp_path / "other")
    with pytest.raises(ModelFolderError, match=rf"is signed by '{public[:16]}'.., expected '{other[:16]}'"):
        congru.load(folder, verify_key=other)
    save(tmp_path / "plain", token_config())
    with pytest.raises(ModelFolderError, match="is not signed, expected a signature by"):
        congru.load(tmp_path / "plain", verify_key=public)


def test_another_folder_with_right_sums_does_not_pass_as_the_signed_one(
    signed: tuple[Path, str], tmp_path: Path
) -> None:
    folder, public = signed
    save(tmp_path / "forged", token_config(hidden_size=7))
    (tmp_path / "forged" / SIGNATURE).write_bytes((folder / SIGNATURE).read_bytes())
    assert congru.load(tmp_path / "forged")
    with pytest.raises(
        ModelFolderError, match=r"signature.json does not fit .*config.json, expected the folder that was"
    ):
        congru.load(tmp_path / "forged", verify_key=public)
    card = folder / "README.md"
    card.write_text(card.read_text() + "changed")
    with pytest.raises(ModelFolderError, match=r"README\.md is not the file that was saved"):
        congru.load(folder, verify_key=public)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b'{"format": "congru-signature-2"}', b"\xff" * 70_000, "twice"],
)
def test_damaged_signatures(signed: tuple[Path, str], content: Any) -> None:
    folder, public = signed
    entry = json.loads((folder / SIGNATURE).read_text())
    if content == "twice":
        content = json.dumps({**entry, "signature": entry["signature"] + "00"}).encode()
    (folder / SIGNATURE).write_bytes(content)
    with pytest.raises(ModelFolderError, match=r"is no signature|does not fit") as caught:
        congru.load(folder, verify_key=public)
    assert "\n" not in str(caught.value)


def test_every_bit_of_a_signature_counts(signed: tuple[Path, str]) -> None:
    folder, public = signed
    entry = json.loads((folder / SIGNATURE).read_text())
    whole = bytes.fromhex(entry["signature"])
    config = congru.load(folder).config
    for bit in range(0, 512, 3):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        (folder / SIGNATURE).write_text(json.dumps({**entry, "signature": changed.hex()}))
        with pytest.raises(ModelFolderError, match="does not fit"):
            signature.check_signature(folder, config, public)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sign"], "model is missing, expected a model folder: congru sign MODEL --key FILE"),
        (
            ["sign", "{model}"],
            "--key is missing, expected a private key: congru sign --new-key FILE makes one",
        ),
        (
            ["sign", "{model}", "--key", "nowhere"],
            "key is 'nowhere', which cannot be read (No such file or directory)",
        ),
        (
            ["sign", "--new-key", "{key}"],
            "{key} exists, expected a new name: a lost key cannot be made again",
        ),
        (["verify", "{model}", "--key", "abc"], "verify_key is 'abc', which cannot be read (No such file"),
        (
            ["verify", "{model}", "--key", "{model}/README.md"],
            "verify_key is '{model}/README.md', expected 64 hexadecimal",
        ),
    ],
)
def test_wrong_commands(signed: tuple[Path, str], arguments: list[str], message: str, capsys: Any) -> None:
    folder, _ = signed
    names = {"model": str(folder), "key": str(folder.parent / "key")}
    assert command(*(part.format(**names) for part in arguments)) == 2
    assert message.format(**names) in capsys.readouterr().err


def test_without_the_package_its_extra_is_named(
    signed: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(module: str, extra: str) -> None:
        raise SettingsError(f"{module} {extra}")

    monkeypatch.setattr(signature, "require", missing)
    with pytest.raises(SettingsError, match=r"cryptography.* sign"):
        congru.load(signed[0], verify_key=signed[1])
