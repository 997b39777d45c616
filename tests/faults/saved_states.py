"""Sessions and checkpoints that are damaged: refused, or the same; and a session that refuses a file goes on as before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from congru.errors import ModelFolderError, RunFolderError
from congru.train import checkpoint
from faults.crashes import KILLED, SURVIVED, child
from faults.model_folders import damage
from faults.tally import Tally
from runtime_models import save_text

MOST = 100  # operations; writing a session has fewer


def damaged_sessions(folder: Path, times: int, seed: int = 0) -> Tally:
    """Flip a bit of a saved session, or cut it off."""
    tally, random = Tally("damaged sessions"), np.random.default_rng(seed)
    model, path = save_text(folder / "model"), folder / "session"
    model.session(seed=1).feed("abc").save(path)
    content, expected = path.read_bytes(), model.session(seed=1).feed("abc")
    wanted = [expected.fork().step(3), list(expected.fork().generate(5))]
    for number in range(times):
        path.write_bytes(damage(content, random, cut=number % 4 == 0))
        session = model.session(seed=2).feed("g")
        before = session.fork()
        with tally.case(number):
            try:
                session.restore(path)
            except ModelFolderError:
                assert np.array_equal(session.step(3), before.step(3)), "half restored"
            else:  # a space of the header
                assert np.array_equal(session.fork().step(3), wanted[0])
                assert list(session.generate(5)) == wanted[1]
    return tally


def sessions_killed_at_every_operation(folder: Path) -> Tally:
    """Kill the writing of a session over an older one."""
    tally = Tally("sessions killed at an operation")
    model, path = save_text(folder / "model"), folder / "session"
    old, new = model.session(seed=1).feed("abc"), model.session(seed=1).feed("gfe")
    for number in range(1, MOST):
        old.save(path)
        ended = child(folder, number, lambda: new.save(path))
        with tally.case(f"operation {number}"):
            assert ended in (KILLED, SURVIVED), ended
            state = model.session().restore(path).state["rnn.h"]
            assert any(np.array_equal(state, one.state["rnn.h"]) for one in (old, new))
        if ended == SURVIVED:
            return tally
    raise AssertionError(f"writing a session has more than {MOST} operations")


def damaged_checkpoints(folder: Path, times: int, seed: int = 0) -> Tally:
    """Flip a bit of a checkpoint, or cut it off."""
    tally, random = Tally("damaged checkpoints"), np.random.default_rng(seed)
    weights = torch.arange(5.0)
    checkpoint.save(
        folder, {"weights": {"a": weights}, "carries": [(torch.ones(2, 3), None)], "seconds": 1.5}
    )
    path = folder / checkpoint.FILE
    content = path.read_bytes()
    for number in range(times):
        path.write_bytes(damage(content, random, cut=number % 4 == 0))
        with tally.case(number):
            try:
                loaded = checkpoint.load(folder)
            except RunFolderError:
                continue
            assert torch.equal(loaded["weights"]["a"], weights)  # a space of the header
            assert torch.equal(loaded["carries"][0][0], torch.ones(2, 3))
            assert loaded["seconds"] == 1.5
    return tally
