"""`congru convert SOURCE --to TARGET`: another library's file becomes a model folder, or a folder such a file."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from congru.errors import SettingsError
from congru.runtime.folder import CONFIG, find_model_folder

app = App(name="convert", help="Turn another library's model into a model folder, or back.")


@app.default
def convert(
    source: Path,
    /,
    *,
    to: Path,
    origin: Annotated[str | None, Parameter(name="--from")] = None,
    cell: str | None = None,
    chain: str | None = None,
    form: Annotated[str | None, Parameter(name="--format")] = None,
) -> int:
    """Convert a file to a model folder that `congru.load` reads, or a model folder to a file; checked before it is written.

    Parameters
    ----------
    source:
        A file: .safetensors, .npz, .pt, .pth or .ckpt (weights only), .onnx, .keras, .h5, RTNeural's .json, ncnn's .param. Or
        a model folder.
    to:
        The folder to write; for a model folder the file: .safetensors, .npz, .pt, RTNeural's .json, ncnn's .param.
    origin:
        Whose arrays a .safetensors, .npz or .pt file holds, where their names leave it open: pytorch, keras, flax, flax_nnx,
        equinox, mlx, haiku, sonnet, tensorflow1, ncnn.
    cell:
        gru, lstm or rnn, where the names leave it open.
    chain:
        How a file of named arrays is wired: its layers, and relu, tanh, sigmoid, last, mean or max, in the order they are
        applied, such as embed,rnn,head. Default: each recurrent layer is a network of its own.
    form:
        The layout of the arrays written from a model folder; default pytorch, a state_dict.
    """
    from congru.convert.api import to_folder
    from congru.convert.writing import to_file

    if (find_model_folder(source) / CONFIG).is_file():
        for flag, value in (("--from", origin), ("--cell", cell), ("--chain", chain)):
            if value is not None:
                raise SettingsError(
                    f"{flag} is {value!r}, expected none for a model folder: it says itself what it is"
                )
        print(to_file(source, to, form or "pytorch"))
        return 0
    if form is not None:
        raise SettingsError(
            f"--format is {form!r}, expected none for a file: it is for the way back; did you mean --from?"
        )
    order = tuple(name.strip() for name in chain.split(",")) if chain else ()
    print(to_folder(source, to, system=origin, cell=cell, order=order))
    print(f"next: {shlex.join(['congru', 'doctor', str(to), '--against', str(source)])}")
    return 0
