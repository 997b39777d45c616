"""`congru sign MODEL --key FILE` and `congru verify MODEL --key FILE.pub`: who made a model folder."""

from __future__ import annotations

import shlex
from pathlib import Path

from cyclopts import App

from congru.errors import SettingsError

app = App(name="sign", help="Sign a model folder, so that others can tell that it is yours.")
verify_app = App(name="verify", help="Check a model folder: whole, and signed by a key you know.")


@app.default
def sign(model: Path | None = None, /, *, key: Path | None = None, new_key: Path | None = None) -> int:
    """Sign a model folder with an ed25519 key; it is loaded and checked first.

    Parameters
    ----------
    model:
        A model folder, or the run folder around one.
    key:
        The private key, a file that --new-key wrote. Keep it to yourself.
    new_key:
        Write a new private key to this file, and the public one beside it, with .pub at its end: give that to others.
    """
    from congru.runtime.folder import load
    from congru.runtime.signature import SIGNATURE, make_key
    from congru.runtime.signature import sign as sign_folder

    if new_key is not None:
        print(f"{new_key}: the private key, keep it; {new_key}.pub: the public key {make_key(new_key)}")
        key = key or new_key
    if model is None:
        if new_key is None:
            raise SettingsError("model is missing, expected a model folder: congru sign MODEL --key FILE")
        print(f"next: {shlex.join(['congru', 'sign', 'MODEL', '--key', str(new_key)])}")
        return 0
    if key is None:
        raise SettingsError("--key is missing, expected a private key: congru sign --new-key FILE makes one")
    loaded = load(model)
    public = sign_folder(loaded.folder, loaded.config, key)
    print(f"{loaded.folder / SIGNATURE}: signed by {public}")
    print(f"next: {shlex.join(['congru', 'verify', str(loaded.folder), '--key', public])}")
    return 0


@verify_app.default
def verify(model: Path, /, *, key: str) -> int:
    """Check that a model folder is whole, computes what it did when it was saved, and is signed by this key.

    Parameters
    ----------
    model:
        A model folder, or the run folder around one.
    key:
        The public key: 64 hexadecimal digits, or a file with them. Take it from whoever made the model, not from the folder.
    """
    from congru.runtime.folder import load

    loaded = load(model, verify_key=key)
    print(f"{loaded.folder}: whole, golden cases replayed, signed by the key {key}")
    return 0
