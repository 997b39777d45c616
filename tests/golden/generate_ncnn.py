"""Golden cases of ncnn: GRU, LSTM and RNN, from zeros (its Python door takes no first state), both directions."""

from __future__ import annotations

from pathlib import Path

import ncnn
import numpy as np
from case_file import draw, record_versions

T, I, H = 5, 3, 4
KINDS = {"GRU": (3, 4), "LSTM": (4, 4), "RNN": (1, 1)}  # blocks of weights, rows of biases
FOLDER = Path(__file__).parent / "files"


def generate(kind: str) -> None:
    """Write ncnn_KIND.param, .bin and what ncnn returned, .npy: x [T, I] of draw(100, T, I)."""
    gates, rows = KINDS[kind]
    shapes = ((2, gates * H, I), (2, rows, H), (2, gates * H, H))
    stem = FOLDER / f"ncnn_{kind.lower()}"
    size = int(np.prod(shapes[0]))
    lines = ["7767517", "2 2", "Input input 0 1 in0", f"{kind} layer 1 1 in0 out0 0={H} 1={size} 2=2"]
    stem.with_suffix(".param").write_text("\n".join(lines) + "\n")
    arrays = [draw(seed, *shape) for seed, shape in enumerate(shapes)]
    stem.with_suffix(".bin").write_bytes(b"".join(b"\0\0\0\0" + part.tobytes() for part in arrays))
    net = ncnn.Net()
    net.opt.use_fp16_arithmetic = net.opt.use_fp16_storage = net.opt.use_bf16_storage = False
    net.opt.use_fp16_packed = False
    net.load_param(str(stem.with_suffix(".param")))
    net.load_model(str(stem.with_suffix(".bin")))
    with net.create_extractor() as run:
        run.input("in0", ncnn.Mat(draw(100, T, I)))
        _, out = run.extract("out0")
        np.save(stem.with_suffix(".npy"), np.array(out).reshape(T, 2 * H))
    print(stem, np.array(out).shape)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name in KINDS:
        generate(name)
    record_versions("generate_ncnn.py", "ncnn")
