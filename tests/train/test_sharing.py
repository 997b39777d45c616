"""What the first process makes for all: arrays that are the file itself, errors that all meet, hosts that do not see the file."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy import ToyLearner, ToySettings

from congru.train import sharing
from congru.train.exchange import Exchange
from congru.train.sharing import read_learner, write_learner

TOY = Path(__file__).with_name("toy.py")


def journey(learner: Any, folder: Path) -> Any:
    """A learner as another process gets it."""
    with open(folder / "learner", "wb") as file:
        write_learner(learner, file)
        file.write(bytes(sharing._MARK_SIZE))
    return read_learner(folder / "learner")


def test_arrays_are_the_file_and_a_write_stays_with_its_process(tmp_path: Path) -> None:
    learner = ToyLearner(ToySettings())
    one, other = journey(learner, tmp_path), read_learner(tmp_path / "learner")
    np.testing.assert_array_equal(one.streams, learner.streams)
    assert not one.streams.flags.owndata
    assert one.streams.ctypes.data % 64 == 0
    before = learner.streams[0, 0]
    one.streams[0, 0] = before + 1
    assert (other.streams[0, 0], read_learner(tmp_path / "learner").streams[0, 0]) == (before, before)


def test_what_the_first_process_refuses_is_said_once(tmp_path: Path) -> None:
    command = [sys.executable, str(TOY), "--devices=2", "--nan-at=-1", f"--out={tmp_path / 'run'}"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "these waves are flat, expected others: choose others\n"


def test_a_file_of_the_same_name_on_another_host_is_not_taken_for_it(tmp_path: Path) -> None:
    shared = sharing._write_shared(ToyLearner(ToySettings()))
    assert shared.is_here()
    content = Path(shared.path).read_bytes()
    Path(shared.path).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert not shared.is_here()
    os.unlink(shared.path)
    assert not shared.is_here()


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0,
    reason="hides a folder from a process: run it as root on Linux",
)
def test_a_host_that_does_not_see_the_file_is_sent_it(tmp_path: Path) -> None:
    """Two hosts with a folder for temporary files each: the second's is mounted where only it sees it."""
    folder, out = tmp_path / "temporary", tmp_path / "run"
    folder.mkdir()
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "TMPDIR": str(folder),
        "TOY_MADE": str(tmp_path / "made"),
    }
    processes = []
    for number in range(2):
        launch = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", f"--node-rank={number}"]
        launch += ["--master-addr=127.0.0.1", f"--master-port={free_port(tmp_path)}"]
        launch += [str(TOY), "--quiet", "--steps=8", "--dropout=0", f"--out={out}"]
        hidden = f"mount -t tmpfs none {folder} && exec {shlex.join(launch)}"
        command = launch if number == 0 else ["unshare", "--mount", "sh", "-c", hidden]
        processes.append(
            subprocess.Popen(
                command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        )
    printed = [process.communicate(timeout=240) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], printed
    assert len((tmp_path / "made").read_text().splitlines()) == 1
    assert list(folder.glob("congru-*")) == []
    assert json.loads((out / "status.json").read_text())["step"] == 8


def free_port(folder: Path) -> int:
    """The same free port at each call with a folder."""
    if not (folder / "port").exists():
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            (folder / "port").write_text(str(probe.getsockname()[1]))
    return int((folder / "port").read_text())


def test_slots_carry_every_number_to_the_bit() -> None:
    numbers = [(0.1, 3.0, 1e5 + 1 / 3), (1e-30, float(2**40 + 1), 7.0)]
    exchanges = [Exchange(rank, 2) for rank in range(2)]
    message = torch.zeros(2 + 2 * 5 * 3)
    for exchange, (total, count, seconds) in zip(exchanges, numbers):
        exchange.say(
            torch.tensor(total), torch.tensor(count, dtype=torch.float64), seconds, exchange.rank == 1, False
        )
        message += exchange.append(torch.tensor([1.0, 2.0]))
    for exchange in exchanges:
        assert exchange.split(message).tolist() == [2.0, 4.0]
        heard = exchange.hear()
        assert (heard.count, heard.seconds) == (2.0**40 + 4, 1e5 + 1 / 3)
        assert (heard.asked, heard.failed) == (True, False)
        share = np.float32((2.0**40 + 4) / 2)
        assert heard.loss == np.mean([np.float32(0.1) / share, np.float32(1e-30) / share], dtype=np.float64)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_heard_as_it_is(number: float) -> None:
    exchange = Exchange(0, 1)
    exchange.say(torch.tensor(number), torch.tensor(4), 1.0, False, True)
    exchange.split(exchange.append(torch.zeros(1)))
    heard = exchange.hear()
    assert str(heard.loss) == str(number)
    assert (heard.count, heard.failed) == (4.0, True)
