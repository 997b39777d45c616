"""A session as bytes, and pickled: it goes on with the same bits, and whatever is wrong is refused with nothing changed."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from congru.errors import ModelFolderError, SettingsError
from congru.runtime.golden import make_golden
from congru.runtime.model import Model
from congru.runtime.network import Network
from congru.runtime.session import Session
from congru.runtime.session_bytes import parse_session
from runtime_models import CELLS, random_weights, save, save_text, token_config


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return save_text(tmp_path_factory.mktemp("models") / "text", "lstm", num_layers=2)


@pytest.mark.parametrize("cell", CELLS)
def test_bytes_go_on_with_the_same_bits_and_the_same_draws(cell: str, tmp_path: Path) -> None:
    model = save_text(tmp_path / cell, cell)
    session = model.session(seed=3).feed("a bad")
    list(session.generate(3))
    content = session.to_bytes()
    again = model.session(seed=9).restore(content)
    np.testing.assert_array_equal(again.last, session.last)
    assert "".join(again.generate(20)) == "".join(session.generate(20))
    assert content == model.session().restore(content).to_bytes()


def test_the_head_is_all_that_is_kept_beside_the_numbers(text: Model) -> None:
    fresh = text.session(seed=0)
    assert len(fresh.to_bytes()) == 118 + 4 * 2 * 2 * 6
    assert len(fresh.feed("a").to_bytes()) == 118 + 4 * (2 * 2 * 6 + 10)
    batch = text.session(seed=0, batch_size=3).feed([[1, 2]] * 3)
    assert len(batch.to_bytes()) == 118 + 4 * 3 * (2 * 2 * 6 + 10)
    np.testing.assert_array_equal(text.session(batch_size=3).restore(batch.to_bytes()).last, batch.last)


def test_a_pickled_session_finds_its_loaded_model(text: Model) -> None:
    session = text.session(seed=1).feed("face")
    for again in (pickle.loads(pickle.dumps(session)), copy.deepcopy(session)):
        assert again is not session
        np.testing.assert_array_equal(again.step(2), session.fork().step(2))
    assert len(pickle.dumps(session)) < 1500  # no weights


def test_a_pickled_session_of_a_model_that_is_not_loaded(tmp_path: Path) -> None:
    model = save_text(
        tmp_path / "gone", hidden_size=13
    )  # no other test's: that would do as well, as long as it lives
    kept, fingerprint = pickle.dumps(model.session()), model.fingerprint
    del model
    with pytest.raises(ModelFolderError, match=f"of the model {fingerprint[:12]}, expected it to be loaded"):
        pickle.loads(kept)


_CHILD = """
import multiprocessing, os, pickle, sys
import congru

def step(folder, kept):
    model = congru.load(folder)
    return pickle.loads(kept).step(2).tobytes()

if __name__ == "__main__":
    folder, way = sys.argv[1:]
    model = congru.load(folder)
    session, pool = model.session(seed=1).feed("face"), congru.Pool(model)
    model.run([[1, 2] * 40] * 64)  # helpers of the core are at hand
    pool.open("a", content=session.to_bytes())
    expected = session.fork().step(2).tobytes()
    if way == "spawn":
        with multiprocessing.get_context("spawn").Pool(1) as workers:
            answers = [workers.apply(step, (folder, pickle.dumps(session)))]
    else:
        read, write = os.pipe()
        if os.fork() == 0:
            own = congru.Pool(model)
            own.open("a", content=pool.to_bytes("a"))
            model.run([[1, 2] * 40] * 64)
            steps = [session.fork().step(2), pickle.loads(pickle.dumps(session)).step(2), own.step("a", 2)]
            os.write(write, b"".join(y.tobytes() for y in steps))
            os._exit(0)
        os.wait()
        content = os.read(read, 1000)
        answers = [content[k : k + len(expected)] for k in range(0, len(content), len(expected))]
    print(len(answers), set(answers) == {expected})
"""


@pytest.mark.parametrize(("way", "count"), [("fork", 3), ("spawn", 1)])
def test_streams_go_on_in_another_process(way: str, count: int, text: Model, tmp_path: Path) -> None:
    """As docs/promises.md says: forked, a session, a pickled one and a new pool of old bytes; spawned, a pickled one."""
    if way == "fork" and not hasattr(os, "fork"):
        pytest.skip("this system has no os.fork; to run this: a POSIX system")
    script = tmp_path / "child.py"
    script.write_text(_CHILD)
    done = subprocess.run(
        [sys.executable, str(script), str(text.folder), way], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.split() == [str(count), "True"], done.stderr


def test_a_session_without_model_is_not_pickled(text: Model) -> None:
    session = Session(text.network).feed([1, 2])
    with pytest.raises(SettingsError, match="has no model to find it by, expected one of model"):
        pickle.dumps(session)
    np.testing.assert_array_equal(Session(text.network).restore(session.to_bytes()).last, session.last)


def test_every_changed_or_missing_byte_is_refused(text: Model) -> None:
    session = text.session(seed=0).feed("a bad")
    content, before = session.to_bytes(), session.to_bytes()
    for index in range(len(content)):
        changed = bytearray(content)
        changed[index] ^= 1 << index % 8
        with pytest.raises(ModelFolderError):
            session.restore(bytes(changed))
    for size in (0, 7, 117, len(content) - 1):
        with pytest.raises(ModelFolderError):
            session.restore(content[:size])
    assert session.to_bytes() == before


def test_bytes_of_another_model_or_batch_size(text: Model, tmp_path: Path) -> None:
    other, third = save_text(tmp_path / "other"), save(tmp_path / "third", token_config(), {})
    content = other.session().to_bytes()
    with pytest.raises(ModelFolderError, match="has 142 bytes, expected 214 as its network"):
        text.session().restore(content)
    with pytest.raises(ModelFolderError, match="have batch_size 1, expected 2: call model"):
        other.session(batch_size=2).restore(content)
    assert parse_session(content, other.network.graph).fingerprint == other.fingerprint
    assert third.fingerprint == other.fingerprint  # the same network and weights in another folder
    assert third.session().restore(content).to_bytes() == content


def test_equal_sizes_of_other_weights_are_another_model(tmp_path: Path) -> None:
    config = token_config()
    first, weights = save(tmp_path / "a", config), random_weights(config, seed=1)
    golden = {"main": make_golden(config, Network(config, weights).run)}
    second = save(tmp_path / "b", config, weights={"main": weights}, golden=golden)
    with pytest.raises(ModelFolderError, match="are of another model, expected this one"):
        second.session().restore(first.session().to_bytes())
