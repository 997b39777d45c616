"""Files made to do harm: each is refused by the package's own error, in one line, within two seconds and 200 MB."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import signal
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import congru
from congru.data.csv_file import read_csv
from congru.data.files import read_unpacked
from congru.errors import CongruError
from congru.runtime.folder import GOLDEN, config_sum
from congru.runtime.tensors import format_arrays, parse_tensors
from congru.train import checkpoint
from congru.train.folder import RunFolder, read_metrics
from congru.train.resolve import resolve
from congru.train.settings import ModelSettings
from faults.mutation import message_problem
from faults.tally import Tally
from faults.targets import BPE, _sum_again
from runtime_models import char_file, save_text

SECONDS, MEGABYTES = 2.0, 200


class Hostile(NamedTuple):
    """What lies at a path, and what reads it."""

    make: Callable[[Path], None]
    read: Callable[[Path], object]


def refuse_all(folder: Path) -> Tally:
    """Read every hostile file."""
    tally = Tally("hostile files")
    for name, hostile in HOSTILE.items():
        path = folder / name.replace(" ", "-").replace("/", "-")
        hostile.make(path)
        with tally.case(name):
            _refused(path, hostile.read)
    return tally


def _refused(path: Path, read: Callable[[Path], object]) -> None:
    """Raise AssertionError unless a forked child that reads `path` refuses it as it should."""
    source, sink = os.pipe()
    pid = os.fork()
    if not pid:
        signal.alarm(20)
        report = {}
        try:
            report = _measured(path, read)
        finally:
            os.write(sink, json.dumps(report).encode())
            os._exit(0)
    os.close(sink)
    with os.fdopen(source, "rb") as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    assert text, "no end, or a crash"
    report = json.loads(text)
    assert report["kind"] == "refused", report
    assert message_problem(report["text"]) is None, report
    assert report["seconds"] < SECONDS, report
    assert report["megabytes"] < MEGABYTES, report


def _measured(path: Path, read: Callable[[Path], object]) -> dict[str, Any]:
    before, start = _peak(reset=True), time.process_time()  # other programs may hold the cores
    try:
        read(path)
        kind, text = "accepted", ""
    except CongruError as error:
        kind, text = "refused", str(error)
    except Exception as error:
        kind, text = type(error).__name__, str(error)[:300]
    seconds = time.process_time() - start
    return {"kind": kind, "text": text, "seconds": seconds, "megabytes": _peak() - before}


def _peak(reset: bool = False) -> float:
    """The largest resident size so far (since the reset), in megabytes."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def _model(change: Callable[[Path], object]) -> Hostile:
    """A model folder, changed; then its sums are made right."""

    def make(folder: Path) -> None:
        save_text(folder)
        change(folder)
        _sum_again(folder)

    return Hostile(make, lambda folder: congru.load(folder).session())


def _config(**of_node: Any) -> Hostile:
    """A model folder whose recurrent layer says something else of itself."""

    def change(folder: Path) -> None:
        path = folder / "config.json"
        config = json.loads(path.read_text())
        config["networks"]["main"]["layers"][1].update(of_node)
        path.write_text(json.dumps(config))

    return _model(change)


def _text_of_config(change: Callable[[str], str]) -> Hostile:
    return _model(lambda folder: _rewrite(folder / "config.json", change))


def _rewrite(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text()))


def _golden(**arrays: Any) -> Hostile:
    def change(folder: Path) -> None:
        cases = parse_tensors((folder / GOLDEN).read_bytes())
        (folder / GOLDEN).write_bytes(format_arrays({**cases, **{f"main/{k}": v for k, v in arrays.items()}}))

    return _model(change)


def _golden_of_no_rows(folder: Path) -> None:
    cases = parse_tensors((folder / GOLDEN).read_bytes())
    empty = {name: value[:, :0] if "state" in name else value[:0] for name, value in cases.items()}
    (folder / GOLDEN).write_bytes(format_arrays(empty))


def _pipe(name: str) -> Hostile:
    def make(folder: Path) -> None:
        save_text(folder)
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return Hostile(make, congru.load)


def _device(name: str) -> Hostile:
    def make(folder: Path) -> None:
        save_text(folder)
        (folder / name).unlink()
        (folder / name).symlink_to("/dev/zero")

    return Hostile(make, congru.load)


def _sparse(name: str, size: int) -> Hostile:
    def make(folder: Path) -> None:
        save_text(folder)
        os.truncate(folder / name, size)

    return Hostile(make, congru.load)


def _file(content: bytes | Callable[[], bytes], read: Callable[[Path], object], suffix: str = "") -> Hostile:
    def named(path: Path) -> Path:
        return path.with_name(path.name + suffix)

    return Hostile(
        lambda path: _write(named(path), content if isinstance(content, bytes) else content()),
        lambda path: read(named(path)),
    )


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _bomb_of_members() -> bytes:
    return gzip.compress(bytes(16 << 20)) * 128


def _bomb() -> bytes:
    """One member of 2 GB: the same compressed block again and again."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    head = packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(16 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + block * 128


def _onnx(**sizes: Any) -> bytes:
    from onnx import TensorProto, helper

    weights = [
        helper.make_tensor(name, TensorProto.FLOAT, shape, np.zeros(shape).ravel())
        for name, shape in (("W", (1, 6, 3)), ("R", (1, 6, 2)))
    ]
    if "outside" in sizes:
        tensor = weights[0]
        tensor.ClearField("float_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", sizes["outside"]), ("offset", "0"), ("length", "72")):
            tensor.external_data.add(key=key, value=value)
    node = helper.make_node("GRU", ["x", "W", "R", "", "", "h0"], ["y"], hidden_size=2)
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 1, 3]),
        helper.make_tensor_value_info("h0", TensorProto.FLOAT, sizes.get("state", [1, 1, 2])),
    ]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "g", inputs, [output], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    return bytes(model.SerializeToString())


def _trace(path: Path) -> object:
    return congru.inspect(path, np.zeros((4, 1, 3), np.float32))


def _settings(path: Path) -> object:
    return resolve(ModelSettings, {"config": path})


def _table(path: Path) -> object:
    return read_csv(path, "ds,y")


def _restore(path: Path) -> object:
    model = save_text(path.with_name("model-of-" + path.name))
    return model.session().restore(path)


def _continue(name: str) -> Hostile:
    """A run folder in which a file is a pipe."""

    def make(out: Path) -> None:
        out.mkdir()
        (out / "config.yaml").write_text("seed: 1\n")
        (out / "data.json").write_text("{}")
        (out / "metrics.csv").write_text("step,time,split,name,value\n")
        (out / name).unlink(missing_ok=True)
        (out / name).parent.mkdir(exist_ok=True)
        os.mkfifo(out / name)

    def read(out: Path) -> None:
        resolve(ModelSettings, {"out": out, "resume": True})
        folder = RunFolder(out, resume=True)
        folder.check_same_data({})
        read_metrics(out / "metrics.csv")
        checkpoint.load(out / "last")

    return Hostile(make, read)


_LAUGHS = "\n".join(
    [f"a0: &a0 [{', '.join(['lol'] * 9)}]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
)
_LIE = (1 << 60).to_bytes(8, "little") + b"{}"
_HUGE_SHAPE = json.dumps(
    {
        "state.rnn.h": {"dtype": "F32", "shape": [10**9, 0], "data_offsets": [0, 0]},
        "__metadata__": {"format": "congru-session-1", "model": "", "batch_size": "1", "rng": "{}"},
    }
).encode()

HOSTILE: dict[str, Hostile] = {
    "a billion layers": _config(num_layers=10**9),
    "a million layers": _config(num_layers=10**6),
    "layers of 10^12 units": _config(hidden_size=10**12),
    "10^12 heads": _config(num_heads=10**12),
    "a long name": _config(name="a" * 10**6),
    "a name with escape codes": _config(name="\x1b[31mred\x07"),
    "a kind with escape codes": _config(type="\x1b]0;title\x07\n" * 200),
    "an unknown key of a megabyte": _config(**{"k" * 10**6: 1}),
    "deep lists in config.json": _text_of_config(lambda text: "[" * 10**6 + "]" * 10**6),
    "deep mappings in config.json": _text_of_config(lambda text: '{"a":' * 10**5 + "1" + "}" * 10**5),
    "deep lists in task_config": _text_of_config(
        lambda text: re.sub(r'"levels": \[[^]]*\]', '"levels": ' + "[" * 400 + "]" * 400, text)
    ),
    "numbers of a million digits": _text_of_config(
        lambda text: text.replace('"hidden_size": 6', f'"hidden_size": {"9" * 10**6}')
    ),
    "golden inputs of 10^9 rows without steps": _golden(**{"input_0.x": np.zeros((10**9, 0), np.int64)}),
    "golden cases without rows": _model(_golden_of_no_rows),
    "golden lengths of another kind": _golden(**{"lengths_1.steps": np.zeros((2, 0))}),
    "a pipe for config.json": _pipe("config.json"),
    "a pipe for the weights": _pipe("model.safetensors"),
    "a device for config.json": _device("config.json"),
    "a device for the golden cases": _device("golden.safetensors"),
    "a config.json of 10 GB": _sparse("config.json", 10 << 30),
    "weights of 1 TB": _sparse("model.safetensors", 1 << 40),
    "a tokenizer larger than its network": _model(
        lambda folder: (folder / "tokenizer.json").write_bytes(
            char_file([chr(code) for code in range(65, 90)])
        )
    ),
    "a tokenizer smaller than its network": _model(
        lambda folder: (folder / "tokenizer.json").write_bytes(char_file(["a", "b"]))
    ),
    "byte pairs for another network": _model(
        lambda folder: (folder / "tokenizer.json").write_text(json.dumps(BPE))
    ),
    "weights whose header is 10^18 bytes": _model(
        lambda folder: (folder / "model.safetensors").write_bytes(_LIE)
    ),
    "a session whose header is 10^18 bytes": _file(_LIE, _restore),
    "a session of 10^9 rows": _file(len(_HUGE_SHAPE).to_bytes(8, "little") + _HUGE_SHAPE, _restore),
    "a pipe for a session": Hostile(os.mkfifo, _restore),
    "a bomb of gzip members": _file(_bomb_of_members, _table, ".csv.gz"),
    "a gzip bomb": _file(_bomb, lambda path: read_unpacked(path, "a text"), ".gz"),
    "a table of a million columns": _file(
        lambda: b"ds,y," + b",".join(b"c%d" % n for n in range(10**6)) + b"\n" + b"1," * 10**6 + b"1,1\n",
        _table,
    ),
    "a table with a forgotten quote": _file(b'ds,y\n2024-01-01,"1\n' + b"2024-01-02,2\n" * 20_000, _table),
    "YAML that laughs a billion times": _file(_LAUGHS.encode(), _settings),
    "deep YAML": _file(b"a: " + b"[" * 10_000, _settings),
    "a YAML date that is none": _file(b"seed: 2024-13-45\n", _settings),
    "YAML of 100 MB": Hostile(lambda path: (path.touch(), os.truncate(path, 100 << 20))[1], _settings),
    "a pipe for settings": Hostile(os.mkfifo, _settings),
    "ONNX with an initial state of 10^11 numbers": _file(
        lambda: _onnx(state=[10**5, 10**5, 10]), _trace, ".onnx"
    ),
    "ONNX with weights of the system": _file(lambda: _onnx(outside="/etc/passwd"), _trace, ".onnx"),
    "ONNX with weights above its folder": _file(lambda: _onnx(outside="../../etc/passwd"), _trace, ".onnx"),
    "ONNX that is none": _file(b"\x08\x07" + bytes(1000), _trace, ".onnx"),
    "a pipe for ONNX": Hostile(
        lambda path: os.mkfifo(path.with_suffix(".onnx")), lambda path: _trace(path.with_suffix(".onnx"))
    ),
    **{
        f"a pipe for {name} of a run": _continue(name)
        for name in ("config.yaml", "data.json", "metrics.csv", "log.txt", "last/checkpoint.safetensors")
    },
}


def clear(folder: Path) -> None:
    """Remove what the harness made, pipes included."""
    shutil.rmtree(folder, ignore_errors=True)


__all__ = ["HOSTILE", "clear", "config_sum", "refuse_all"]
