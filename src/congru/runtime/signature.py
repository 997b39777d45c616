"""Who made a model folder: an ed25519 signature over its config.json, which holds the sums of all its other files.

signature.json lies in the folder: {"format": "congru-signature-1", "key": 64 hexadecimal digits of the public key, "signature":
128}. Signed is config.json as JSON with sorted keys behind a line of its own, so the sums in it are signed, and with them every
file that `load` reads. Sums alone prove that a folder is whole; a signature by a key that you know proves where it comes from.
Needs `pip install 'congru[sign]'`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from congru.errors import ModelFolderError, SettingsError, require
from congru.runtime.atomic import write_whole
from congru.runtime.plain_json import parse_json
from congru.runtime.reading import read_file

SIGNATURE = "signature.json"
_FORMAT = "congru-signature-1"
_FIRST_LINE = b"congru model folder\n"
_MOST_BYTES = 1 << 16  # of a key or a signature
_WITHOUT = "load it without verify_key to take it from anyone"


def make_key(path: str | os.PathLike[str]) -> str:
    """Write a new private key to `path` (readable by its owner alone) and its public half beside it, as `path`.pub.

    Returns the public half, 64 hexadecimal digits. Raises :class:`SettingsError` where a file exists or cannot be written.
    """
    keys, target = _ed25519(), Path(path)
    public_path = target.with_name(target.name + ".pub")
    for taken in (target, public_path):
        if os.path.lexists(taken):
            raise SettingsError(f"{taken} exists, expected a new name: a lost key cannot be made again")
    key = keys.Ed25519PrivateKey.generate()
    public: str = key.public_key().public_bytes_raw().hex()
    try:
        with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(key.private_bytes_raw().hex() + "\n")
        write_whole(public_path.absolute(), (public + "\n").encode())
    except OSError as error:
        raise SettingsError(f"{target} cannot be written ({error.strerror}): check its folder") from None
    return public


def sign(folder: Path, config: Mapping[str, Any], key: str | os.PathLike[str]) -> str:
    """Sign a folder whose config.json holds `config` with a private key file; returns the public key.

    Raises :class:`SettingsError` for a file that holds no key, :class:`ModelFolderError` where the folder cannot be written.
    """
    private = _ed25519().Ed25519PrivateKey.from_private_bytes(
        _digits(key, "key", "as congru sign --new-key writes it")
    )
    public: str = private.public_key().public_bytes_raw().hex()
    content = {"format": _FORMAT, "key": public, "signature": private.sign(_message(config)).hex()}
    try:
        write_whole((folder / SIGNATURE).absolute(), (json.dumps(content, indent=1) + "\n").encode())
    except OSError as error:
        raise ModelFolderError(
            f"{folder / SIGNATURE} cannot be written ({error.strerror}): check its permissions"
        ) from None
    return public


def check_signature(folder: Path, config: Mapping[str, Any], key: str | os.PathLike[str]) -> None:
    """Raise :class:`ModelFolderError` unless `config` is signed by a public key: 64 hexadecimal digits, or a file of them."""
    keys = _ed25519()
    wanted = _digits(key, "verify_key", "of a public key, or a file with them")
    path = folder / SIGNATURE
    try:
        content = parse_json(read_file(path, _MOST_BYTES))
        if content["format"] != _FORMAT:
            raise ValueError(f"the format {content['format']!r:.40}")
        signer, signature = bytes.fromhex(content["key"]), bytes.fromhex(content["signature"])
    except FileNotFoundError:
        raise ModelFolderError(
            f"{folder} is not signed, expected a signature by {wanted.hex()[:16]}..: {_WITHOUT}"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelFolderError(
            f"{path} is no signature ({error}), expected the format {_FORMAT}: copy the folder again"
        ) from None
    if signer != wanted:
        raise ModelFolderError(
            f"{folder} is signed by {signer.hex()[:16]!r}.., expected {wanted.hex()[:16]!r}..: {_WITHOUT}"
        )
    try:
        keys.Ed25519PublicKey.from_public_bytes(wanted).verify(signature, _message(config))
    except (_invalid(), ValueError):
        raise ModelFolderError(
            f"{path} does not fit {folder / 'config.json'}, expected the folder that was signed: copy the folder again"
        ) from None


def _message(config: Mapping[str, Any]) -> bytes:
    return _FIRST_LINE + json.dumps(config, sort_keys=True).encode()


def _digits(key: str | os.PathLike[str], what: str, where: str) -> bytes:
    """The 32 bytes of a key, given as hexadecimal digits or as a file of them."""
    text = os.fspath(key)
    try:
        if len(text) == 64 and not os.path.exists(text):
            return bytes.fromhex(text)
        digits = bytes.fromhex(read_file(Path(text), _MOST_BYTES).decode().strip())
        if len(digits) == 32:
            return digits
    except OSError as error:
        raise SettingsError(
            f"{what} is {text!r}, which cannot be read ({error.strerror}), expected 64 hexadecimal digits {where}: check it"
        ) from None
    except ValueError:
        pass
    raise SettingsError(f"{what} is {text!r}, expected 64 hexadecimal digits {where}: check it")


def _ed25519() -> Any:
    return require("cryptography.hazmat.primitives.asymmetric.ed25519", "sign")


def _invalid() -> type[Exception]:
    return require("cryptography.exceptions", "sign").InvalidSignature  # type: ignore[no-any-return]
