"""The one call from a file to a model folder."""

from __future__ import annotations

import os
from collections.abc import Sequence

from congru.convert.folder import Report, write_folder
from congru.convert.reading import read_file


def to_folder(
    file: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    system: str | None = None,
    cell: str | None = None,
    order: Sequence[str] = (),
) -> Report:
    """Convert a file to a model folder that `congru.load` reads, and return the :class:`Report`.

    file: .safetensors, .npz, .pt, .pth, .ckpt (weights only), .onnx, .keras, .h5, RTNeural's .json or ncnn's .param.
    `system`, `cell` and `order` are for files of named arrays: whose names they are, which cell, and how the layers are
    wired (see `congru.convert.reading.read_file`). Without an order, each recurrent layer becomes a network of its own.

    Raises ConventionError for what no model folder computes, and where the self-check differs; DataError for a file that
    is broken or of another kind; MissingPackageError where a reader's package is not installed.

    >>> import numpy as np, tempfile, congru
    >>> random = np.random.default_rng(0)
    >>> arrays = {"weight_ih_l0": random.normal(size=(12, 3)), "weight_hh_l0": random.normal(size=(12, 4))}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/gru.npz", **arrays)
    ...     report = to_folder(f"{folder}/gru.npz", f"{folder}/gru")
    ...     model = congru.load(f"{folder}/gru")
    >>> report.layers, model.run(np.zeros((1, 2, 3)))[0].shape
    (('layer: gru 1 x 4, 3 features, reset after',), (1, 2, 4))
    """
    return write_folder(read_file(file, system=system, cell=cell, order=order), folder)
