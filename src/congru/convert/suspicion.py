"""Signs in a file alone that it may compute the wrong thing, before there is anything to compare it with."""

from __future__ import annotations

import os
from pathlib import Path


def suspicions(file: str | os.PathLike[str]) -> list[str]:
    """Lines about an ONNX file that PyTorch wrote with the GRU equation that PyTorch has not; empty for any other file."""
    if Path(file).suffix.lower() != ".onnx":
        return []
    from congru.convert.onnx_files import recurrent_nodes
    from congru.convert.onnx_run import load_onnx

    model = load_onnx(file)
    if model.producer_name != "pytorch":
        return []
    return [
        f"{node.name} has linear_before_reset 0 in a file of pytorch {model.producer_version}, whose GRU is 1: compare it with "
        f"the weights it came from, congru doctor {file} --against model.pt"
        for node in recurrent_nodes(model, str(file))
        if node.cell == "gru" and not node.options.get("linear_before_reset", 0)
    ]
