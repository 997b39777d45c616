"""The run folder: nothing is lost on a full disk, a crash or a second run; every refusal is one line."""

from __future__ import annotations

import errno
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save as save_tensors

from congru.errors import RunFolderError
from congru.runtime import atomic
from congru.train import checkpoint, folder
from congru.train.folder import (
    HEADER,
    Metric,
    RunFolder,
    check_out,
    claim_next,
    next_free,
    read_metrics,
    write_bytes,
)
from congru.train.nests import tree_map


def fail_with(code: int) -> Any:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a" / "b.txt"
    write_bytes(path, b"old")
    monkeypatch.setattr(os, "replace", fail_with(errno.EIO))
    with pytest.raises(RunFolderError, match="input/output error"):
        write_bytes(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["b.txt"]  # no temporary file is left
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save(tmp_path, {"step": 1})
    monkeypatch.setattr(os, "fsync", fail_with(errno.ENOSPC))
    with pytest.raises(RunFolderError) as caught:
        checkpoint.save(tmp_path, {"step": 2})
    assert str(caught.value) == (
        f"{tmp_path}/checkpoint.safetensors cannot be written (no space left on device), expected room for it: "
        "free some space, then continue with --resume"
    )
    monkeypatch.undo()
    assert checkpoint.load(tmp_path)["step"] == 1
    assert os.listdir(tmp_path) == ["checkpoint.safetensors"]


def test_a_checkpoint_reads_back_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    state = {"carries": [(torch.arange(3.0), None)], "seconds": 1.5}
    checkpoint.save(tmp_path, state)
    loaded = checkpoint.load(tmp_path)
    assert torch.equal(loaded["carries"][0][0], state["carries"][0][0])  # type: ignore[index]
    path = tmp_path / "checkpoint.safetensors"
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"not a checkpoint at all"):
        path.write_bytes(content)
        with pytest.raises(RunFolderError, match=r"cannot be read \(.*\), expected a checkpoint"):
            checkpoint.load(tmp_path)
    path.write_bytes(save_tensors({}, {"format": "congru-checkpoint", "version": "99"}))
    with pytest.raises(RunFolderError, match="is not a checkpoint of version 3"):
        checkpoint.load(tmp_path)
    torch.save({"code": Evil()}, path)
    with pytest.raises(RunFolderError, match="cannot be read"):
        checkpoint.load(tmp_path)


def test_a_checkpoint_keeps_every_kind_of_value(tmp_path: Path) -> None:
    tied = torch.arange(4.0)
    state = {
        "weights": {
            "a": tied,
            "b": tied,
            "half": tied.to(torch.bfloat16),
            "view": tied[::2],
            "one": torch.tensor(3),
        },
        "optimizer": {0: (1.5, math.inf), 1: [True, None, "text", -7, 1 / 3, 2**70]},
        "empty": [{}, (), [], torch.zeros(0, 3)],
    }
    checkpoint.save(tmp_path, state)
    loaded = checkpoint.load(tmp_path)
    for name, weight in state["weights"].items():  # type: ignore[union-attr]
        assert loaded["weights"][name].dtype == weight.dtype
        assert torch.equal(loaded["weights"][name], weight)
    assert loaded["optimizer"] == state["optimizer"]
    assert loaded["empty"][:3] == [{}, (), []]
    assert loaded["empty"][3].shape == (0, 3)
    with pytest.raises(TypeError, match="a checkpoint cannot hold a complex"):
        checkpoint.save(tmp_path, {"x": 1j})


def test_no_flipped_bit_of_a_checkpoint_is_accepted(tmp_path: Path) -> None:
    state = {"weights": {"a": torch.arange(5.0)}, "carries": [(torch.ones(2, 3), None)], "seconds": 1.5}
    checkpoint.save(tmp_path, state)
    path = tmp_path / checkpoint.FILE
    whole, changed = path.read_bytes(), 0
    for byte in range(len(whole)):
        for bit in (0, 3, 7):
            path.write_bytes(whole[:byte] + bytes([whole[byte] ^ 1 << bit]) + whole[byte + 1 :])
            try:
                loaded = checkpoint.load(tmp_path)
            except RunFolderError:
                changed += 1
            else:  # padding of the header
                assert torch.equal(loaded["weights"]["a"], torch.arange(5.0))
                assert torch.equal(loaded["carries"][0][0], torch.ones(2, 3))
                assert loaded["seconds"] == 1.5
    assert changed > 2.5 * len(whole)


class Evil:
    """Would run code when unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, ("true",))


def test_tensors_in_nested_containers_are_mapped() -> None:
    tree = {"a": [torch.ones(1), None], "b": (torch.ones(1), 3)}
    doubled = tree_map(lambda tensor: tensor * 2, tree)
    assert doubled == {"a": [torch.tensor([2.0]), None], "b": (torch.tensor([2.0]), 3)}
    pair = Metric(1, 2.0, "s", "n", 3.0)
    assert tree_map(lambda tensor: tensor, pair) == pair


def test_metrics_read_back_bit_for_bit_and_are_cut_to_the_checkpoint(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    rows = [Metric(1, 0.25, "train", "loss", 0.1 + 0.2), Metric(2, 0.5, "train", "loss", math.pi)]
    folder.append_metrics(rows[:1])
    size = folder.metrics_size()
    folder.append_metrics(rows[1:])
    path = folder.path / "metrics.csv"
    assert read_metrics(path) == rows
    folder.cut_metrics(size)
    assert read_metrics(path) == rows[:1]
    folder.cut_metrics(0)
    folder.append_metrics(rows)
    assert path.read_text().splitlines()[0] == ",".join(HEADER)
    assert read_metrics(path) == rows
    with pytest.raises(RunFolderError, match=r"metrics.csv has \d+ bytes, expected at least 9999"):
        folder.cut_metrics(9999)
    folder.close()


def test_only_one_run_may_hold_a_folder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.write_text("config.yaml", "seed: 1\n")
    with pytest.raises(RunFolderError, match="in use by another run: wait for it or choose another --out"):
        RunFolder(tmp_path / "run", resume=True)
    folder.close()
    RunFolder(tmp_path / "run", resume=True).close()


def test_a_folder_that_holds_something_is_refused_without_resume(tmp_path: Path) -> None:
    check_out(tmp_path / "new", resume=False)
    check_out(tmp_path, resume=False)
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(RunFolderError) as caught:
        RunFolder(tmp_path)
    assert str(caught.value) == (
        f"out is '{tmp_path}', which holds files already, expected a new folder: "
        "continue that run with --resume, or choose another --out"
    )
    with pytest.raises(RunFolderError, match=r"expected a run folder with config.yaml: leave out --resume"):
        check_out(tmp_path, resume=True)
    with pytest.raises(RunFolderError, match="a file, expected a folder: choose another --out"):
        check_out(tmp_path / "mine.txt", resume=False)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "run"
    with pytest.raises(RunFolderError) as caught:
        RunFolder(path)
    assert str(caught.value) == (
        f"{path} cannot be written (not a directory), expected a folder to write in: choose another --out"
    )


def test_the_next_free_number(tmp_path: Path) -> None:
    assert next_free(tmp_path, "text") == tmp_path / "text-1"
    (tmp_path / "text-1").mkdir()
    (tmp_path / "text-2").mkdir()
    assert next_free(tmp_path, "text") == tmp_path / "text-3"


def test_a_run_is_continued_on_its_own_data_only(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.check_same_data({"train": 5})  # nothing written yet
    folder.write_json("data.json", {"source": "a.txt", "train": 5, "split": (0.9, 0.1)})
    folder.check_same_data({"source": "./a.txt", "train": 5, "split": (0.9, 0.1)})
    with pytest.raises(RunFolderError, match=r"data: train is not what the run in .* was started with"):
        folder.check_same_data({"source": "a.txt", "train": 6, "split": (0.9, 0.1)})
    folder.close()


def test_a_run_that_recorded_no_files_of_its_settings_is_continued(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.write_json("data.json", {"source": "a.txt", "train": 5})
    files = [{"path": "vectors.txt", "sha256": "a" * 64, "bytes": 1}]
    folder.check_same_data({"source": "a.txt", "train": 5, "settings_files": files})
    folder.write_json("data.json", {"source": "a.txt", "train": 5, "settings_files": files})
    with pytest.raises(
        RunFolderError,
        match=r"data: a file or model that a setting names is not what the run in .* use the same one,",
    ):
        folder.check_same_data({"source": "a.txt", "train": 5})
    folder.close()


def test_status_and_log(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.set_status(state="running", step=1)
    folder.set_status(step=2)
    folder.log("hello")
    folder.close()
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert (status["state"], status["step"]) == ("running", 2)
    assert (tmp_path / "run" / "log.txt").read_text().endswith(" hello\n")


def test_a_start_that_left_only_its_log_may_start_again(tmp_path: Path) -> None:
    out = tmp_path / "run"
    RunFolder(out).close()
    (out / ".config.yaml.0123abcd.tmp").write_bytes(b"half")  # as a kill leaves it
    assert sorted(os.listdir(out)) == [".config.yaml.0123abcd.tmp", "log.txt"]
    RunFolder(out, resume=True).close()
    assert os.listdir(out) == ["log.txt"]
    RunFolder(out).close()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(RunFolderError, match="which holds files already, expected a new folder"):
        check_out(out, resume=False)


def test_what_another_process_is_writing_stays(tmp_path: Path) -> None:
    with atomic.folder_beside(tmp_path / "model") as fresh:
        atomic.clear_leftovers(tmp_path)
        assert fresh.is_dir()
    assert os.listdir(tmp_path) == []


def test_each_training_claims_a_number_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert claim_next(tmp_path / "runs", "toy").name == "toy-1"
    free = iter([tmp_path / "runs" / "toy-1", tmp_path / "runs" / "toy-2"])  # both looked before either began
    monkeypatch.setattr(folder, "next_free", lambda *_: next(free))
    assert claim_next(tmp_path / "runs", "toy").name == "toy-2"


def test_files_have_the_rights_that_the_umask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
