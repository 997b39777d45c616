"""What the fuzzers run: every reader of files that others may have written, from bytes alone, with inputs to begin from."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import congru
from congru.data.csv_file import read_csv
from congru.data.files import read_unpacked
from congru.gates.sources.onnx_nodes import trace_onnx
from congru.runtime import session_file
from congru.runtime.folder import config_sum
from congru.runtime.scaler import Scaler
from congru.runtime.tokenizer import parse_tokenizer
from congru.train import checkpoint
from congru.train.folder import RunFolder, read_metrics, read_status
from congru.train.resolve import resolve
from congru.train.settings import ModelSettings
from runtime_models import SYMBOLS, char_file, save_text


class Target(NamedTuple):
    """What reads the bytes, and inputs that it accepts."""

    run: Callable[[bytes], object]
    seeds: list[bytes]


@cache
def workplace() -> Path:
    """A folder in memory for the files of one process."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="congru-fuzz-", dir=memory if memory.is_dir() else None))


def _file(name: str, content: bytes) -> Path:
    path = workplace() / name
    path.write_bytes(content)
    return path


def _onnx() -> Target:
    from onnx import TensorProto, helper

    seeds, random = [], np.random.default_rng(0)
    for kind, gates, reset_after in (("GRU", 3, 1), ("GRU", 3, 0), ("LSTM", 4, None), ("RNN", 1, None)):
        shapes = {"W": (1, gates * 2, 3), "R": (1, gates * 2, 2), "B": (1, 2 * gates * 2)}
        values = [
            helper.make_tensor(name, TensorProto.FLOAT, shape, random.standard_normal(shape).ravel())
            for name, shape in shapes.items()
        ]
        more = {} if reset_after is None else {"linear_before_reset": reset_after}
        node = helper.make_node(kind, ["x", "W", "R", "B", "", "h0"], ["y"], hidden_size=2, **more)
        inputs = [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 1, 3]),
            helper.make_tensor_value_info("h0", TensorProto.FLOAT, [1, 1, 2]),
        ]
        outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 1, 1, 2])]
        graph = helper.make_graph([node], "g", inputs, outputs, values)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
        seeds.append(model.SerializeToString())
    x = np.random.default_rng(1).standard_normal((4, 1, 3)).astype(np.float32)
    return Target(lambda content: trace_onnx(_file("model.onnx", content), x), seeds)


def _gzip() -> Target:
    seeds = [
        gzip.compress(text, mtime=0) for text in (b"", b"unique_id,ds,y\na,1,2\na,2,3\n", b"long " * 500)
    ]
    return Target(
        lambda content: read_unpacked(_file("text.gz", content), "a text"),
        [*seeds, seeds[1] + seeds[2]],
    )


def _csv() -> Target:
    seeds = [
        b"unique_id,ds,y\na,2024-01-01,1\na,2024-01-02,2.5\n",
        b'ds,y,"k, l"\n1,2,3\n2,"3",4\n',
    ]
    return Target(lambda content: read_csv(_file("table.csv", content), "ds,y"), seeds)


def _yaml() -> Target:
    seeds = [
        b"seed: 7\nminutes: 0.5\ncell: gru\nfreeze: [a, 'b*']\n",
        b"epochs: 3 # three\nlearning_rate: 2e-3\nmonitor: yes\nclip: null\nprecision: 'float32'\n",
    ]
    return Target(lambda content: resolve(ModelSettings, {"config": _file("settings.yaml", content)}), seeds)


BPE = {
    "added_tokens": [
        {
            "id": 257,
            "content": "<s>",
            "special": True,
            "normalized": False,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
        }
    ],
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
    "decoder": {"type": "ByteLevel"},
    "model": {
        "type": "BPE",
        "vocab": {**{chr(code): code - 33 for code in range(33, 127)}, "ab": 94, "abc": 95},
        "merges": ["a b", ["ab", "c"]],
    },
}


def _tokenizer() -> Target:
    def run(content: bytes) -> None:
        tokenizer = parse_tokenizer(content)
        tokenizer.decode(tokenizer.encode("abcabb"))

    return Target(run, [char_file(SYMBOLS), json.dumps(BPE).encode()])


def _scaler() -> Target:
    return Target(Scaler.from_json, [Scaler({"a": (1.0, 2.0), "b": (0.0, 1.0)}).to_json()])


def _session() -> Target:
    model = save_text(workplace() / "of-sessions")
    session = model.session(seed=1).feed("abc")
    session.save(workplace() / "saved")

    def run(content: bytes) -> None:
        state, last = session.state, session.last
        try:
            session.restore(_file("session", content))
            session.feed("a")
        except congru.errors.CongruError:
            assert all(np.array_equal(session.state[name], state[name]) for name in state), "half restored"
            assert np.array_equal(session.last, last)
            raise

    return Target(run, [(workplace() / "saved").read_bytes()])


def _signed_session() -> Target:
    """Sessions whose sum is right: what somebody wrote, and no accident."""
    model = save_text(workplace() / "of-sessions-2")
    session = model.session(seed=1).feed("abc")
    session.save(workplace() / "saved-2")
    texts, arrays = session_file.read(workplace() / "saved-2")

    def run(content: bytes) -> None:
        head, _, rest = content.partition(b"\n")
        own = dict(texts)
        own["rng"] = head.decode("latin-1")
        values = np.frombuffer(rest[: len(rest) // 4 * 4], np.float32)
        tensors = {**arrays, **{name: values.reshape(1, 1, -1) for name in list(arrays)[: len(rest) % 3]}}
        session_file.write(workplace() / "written", tensors, own)
        session.restore(workplace() / "written")
        session.step(0)

    return Target(run, [texts["rng"].encode() + b"\n" + bytes(24)])


def _checkpoint() -> Target:
    import torch

    state = {
        "networks": {"a": torch.ones(3)},
        "carries": [(torch.zeros(2), None)],
        "state": {"step": 1, "best": 0.5},
    }
    checkpoint.save(workplace(), state)
    seed = (workplace() / checkpoint.FILE).read_bytes()

    def run(content: bytes) -> None:
        _file(checkpoint.FILE, content)
        checkpoint.load(workplace())

    return Target(run, [seed])


MODEL_FILES = ("config.json", "model.safetensors", "golden.safetensors", "tokenizer.json", "README.md")


def _model_folder() -> Target:
    """The first byte names the file that the rest is written to; the sums are then made right again, for every second one."""
    whole = workplace() / "model-whole"
    save_text(whole)

    def run(content: bytes) -> None:
        folder, first = workplace() / "model", content[0] if content else 0
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole, folder)
        (folder / MODEL_FILES[first % len(MODEL_FILES)]).write_bytes(content[1:])
        if first & 8:
            _sum_again(folder)
        model = congru.load(folder)
        model.session(seed=1).feed("ab").step(1)

    seeds = [
        bytes([number + 5 * repeat]) + (whole / name).read_bytes()
        for number, name in enumerate(MODEL_FILES)
        for repeat in range(4)
    ]
    return Target(run, seeds)


def _sum_again(folder: Path) -> None:
    """Write the sums that the files have now into config.json, where that is still one."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_bytes())
        names = [name for name in config["sha256"] if (folder / name).is_file() and name != "config.json"]
    except (ValueError, KeyError, TypeError, OSError, RecursionError):
        return
    config["sha256"] = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    config["sha256"]["config.json"] = config_sum(config)
    path.write_text(json.dumps(config))


RUN_FILES = ("status.json", "config.yaml", "data.json", "metrics.csv", "env.json")


def _run_folder() -> Target:
    """The first byte names the file that the rest is written to."""
    whole: dict[str, Any] = {
        "status.json": b'{"state": "running", "step": 3, "process": {"pid": 1, "started": 2, "boot": "x"}}',
        "config.yaml": b"seed: 7  # flag\nepochs: 3  # default\n",
        "data.json": b'{"source": "a.txt", "train": 5, "files": [{"path": "a", "sha256": "00", "bytes": 1}]}',
        "metrics.csv": b"step,time,split,name,value\n1,0.250,train,loss,0.5\n2,0.500,train,loss,0.25\n",
        "env.json": b"{}",
    }

    def run(content: bytes) -> None:
        out = workplace() / "run"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        named = RUN_FILES[(content[0] if content else 0) % len(RUN_FILES)]
        for name, own in whole.items():
            (out / name).write_bytes(content[1:] if name == named else own)
        read_status(out)
        resolve(ModelSettings, {"out": out, "resume": True})
        folder = RunFolder(out, resume=True)
        try:
            folder.check_same_data(
                {"source": "b", "train": 5, "files": [{"path": "b", "sha256": "00", "bytes": 1}]}
            )
            folder.cut_metrics(50)
            read_metrics(out / "metrics.csv")
        finally:
            folder.close()

    return Target(run, [bytes([number]) + whole[name] for number, name in enumerate(RUN_FILES)])


TARGETS: dict[str, Callable[[], Target]] = {
    "ONNX files": _onnx,
    "gzip": _gzip,
    "CSV": _csv,
    "YAML": _yaml,
    "tokenizers": _tokenizer,
    "scalers": _scaler,
    "session files": _session,
    "sessions with a right sum": _signed_session,
    "checkpoints": _checkpoint,
    "model folders": _model_folder,
    "run folders": _run_folder,
}
