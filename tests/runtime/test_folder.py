"""The model folder: a round trip that keeps every bit, and one line for each way it can be broken."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

import congru
from changed_folders import change_config, sign
from congru.errors import BackendError, ModelFolderError, SettingsError
from congru.kernels.rounding import to_bfloat16
from congru.runtime import atomic
from congru.runtime import folder as folder_module
from congru.runtime.folder import save_again, save_model
from congru.runtime.golden import make_golden
from congru.runtime.network import Network
from runtime_models import CELLS, char_file, random_weights, save, save_text, token_config, vector_config


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text model's folder, to be copied and broken."""
    path = tmp_path_factory.mktemp("models") / "saved"
    save_text(path)
    return path


@pytest.fixture
def model_folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "model"))


def refusal(path: Path) -> str:
    """The one line with which `load` refuses."""
    with pytest.raises(ModelFolderError) as caught:
        congru.load(path)
    line = str(caught.value)
    assert "\n" not in line
    return line


def change_tensors(path: Path, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    """Change a safetensors file and sign the folder."""
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    sign(path.parent)


@pytest.mark.parametrize("cell", CELLS)
def test_round_trip_keeps_every_bit(cell: str, tmp_path: Path) -> None:
    config = vector_config(cell, {"type": "last"}, num_layers=2, bidirectional=True, learn_h0=True)
    weights = random_weights(config)
    files = {"scaler.json": b'{"type": "standard", "series": {}}', "notes.bin": b"\x00\xff"}
    model = save(tmp_path / "m", config, files)
    x = np.random.default_rng(1).standard_normal((2, 5, 3))
    np.testing.assert_array_equal(model.run(x)[0], Network(config, weights).run(x)[0])
    assert all((model.weights[f"main.{name}"] == weight).all() for name, weight in weights.items())
    assert set(model.weights) == {f"main.{name}" for name in weights}
    assert model.files == files
    assert (model.task, model.cell, model.task_config) == ("text", "gru", {"levels": [80, 95]})
    assert model.config["format"] == "congru-model"
    assert model.config["format_version"] == 2
    assert model.config["congru_version"] == congru.__version__
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == [
        "README.md",
        "config.json",
        "golden.safetensors",
        "model.safetensors",
        "notes.bin",
        "scaler.json",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def to_format_1(path: Path) -> None:
    """Write a folder as it was before networks were graphs: one chain, tensors and cases without its name."""
    plain = {"input": "x", "lengths": "steps", "output": "head"}
    for name, mark in (("model.safetensors", "main."), ("golden.safetensors", "main/")):
        tensors = {key.removeprefix(mark): value for key, value in load_file(path / name).items()}
        for key in list(tensors):
            what, _, end = key.partition(".")
            if plain.get(what.partition("_")[0]) == end:
                tensors[what] = tensors.pop(key)
        save_file(tensors, path / name)
    change_config(
        path, lambda config: config.update(network=config.pop("networks")["main"], format_version=1)
    )


def test_a_folder_of_format_1_is_read_as_a_chain(model_folder: Path) -> None:
    new, tokens = congru.load(model_folder), np.arange(8)[None]
    expected = new.run(tokens)[0]
    to_format_1(model_folder)
    golden = load_file(model_folder / "golden.safetensors")
    assert {"input_0", "output_0", "lengths_1", "state0_2.rnn.h"} <= set(golden)
    old = congru.load(model_folder)
    assert old.config["format_version"] == 1
    np.testing.assert_array_equal(old.run(tokens)[0], expected)
    assert set(old.weights) == set(old.network.weights)
    session = old.session(seed=1).feed("abc")
    session.save(model_folder.parent / "state")
    assert old.session().restore(model_folder.parent / "state").state.keys() == session.state.keys()
    save_again(old, model_folder.parent / "again", old.files)
    again = congru.load(model_folder.parent / "again")
    assert again.config["format_version"] == 2
    np.testing.assert_array_equal(again.run(tokens)[0], expected)
    change_tensors(model_folder / "golden.safetensors", lambda golden: golden["output_0"].__iadd__(1))
    assert "differs from the replay: 'output_0.head' by" in refusal(model_folder)


def test_what_a_model_says_of_itself(model_folder: Path) -> None:
    model = congru.load(model_folder)
    assert repr(model) == f"Model('{model_folder}': text, gru 1 x 6, 10 tokens -> 10 outputs, 354 parameters)"
    assert model.num_parameters == 354
    assert model.tokenizer is not None
    assert model.tokenizer.decode(model.tokenizer.encode("face é")) == "face é"
    assert model.scaler is None
    assert model.labels is None


def test_labels_are_names(tmp_path: Path) -> None:
    config = vector_config("gru", {"type": "last"})
    assert save(tmp_path / "a", config, {"labels.json": b'["no", "yes"]'}).labels == ["no", "yes"]
    with pytest.raises(ModelFolderError, match=r"labels\.json is no JSON list of names"):
        _ = save(tmp_path / "b", config, {"labels.json": b'["no", 1]'}).labels


def test_loading_a_small_model_is_fast(model_folder: Path) -> None:
    """Processor time of this process, the best of several: what others do on the machine does not count."""
    congru.load(model_folder)
    seconds = []
    for _ in range(15):
        start = time.process_time()
        congru.load(model_folder)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.05


def test_the_backend_can_be_named(model_folder: Path) -> None:
    assert congru.load(model_folder, backend="reference").network.backend == "reference"
    with pytest.raises(BackendError, match="backend is 'fast'"):
        congru.load(model_folder, backend="fast")


def test_no_folder(tmp_path: Path) -> None:
    assert "does not exist, expected a model folder: check the path" in refusal(tmp_path / "none")


def test_not_a_model_folder(tmp_path: Path) -> None:
    assert "is not a model folder, expected a folder with config.json" in refusal(tmp_path)
    (tmp_path / "file").write_text("x")
    assert "is not a model folder" in refusal(tmp_path / "file")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"format": ', "config.json is not valid JSON"),
        (b"\xff\xfe", "config.json is not valid JSON"),
        (b"[]", "config.json has the format 'list', expected 'congru-model'"),
        (b'{"format": "other"}', "config.json has the format 'other', expected 'congru-model'"),
        (
            b'{"format": "congru-model", "format_version": 3}',
            "has format_version 3, expected 1 or 2: update congru",
        ),
    ],
)
def test_broken_config(model_folder: Path, content: bytes, message: str) -> None:
    (model_folder / "config.json").write_bytes(content)
    assert message in refusal(model_folder)


@pytest.mark.parametrize("key", ["task", "cell", "networks", "task_config", "sha256", "congru_version"])
def test_config_with_a_key_missing(model_folder: Path, key: str) -> None:
    config = json.loads((model_folder / "config.json").read_text())
    del config[key]
    (model_folder / "config.json").write_text(json.dumps(config))
    assert f"config.json has {key} = None, expected a" in refusal(model_folder)


def test_config_changed_by_hand(model_folder: Path) -> None:
    path = model_folder / "config.json"
    path.write_text(path.read_text().replace("95", "96"))
    assert "config.json was changed after it was saved" in refusal(model_folder)


def test_config_that_names_files_elsewhere(model_folder: Path) -> None:
    change_config(model_folder, lambda config: config["sha256"].update({"../x": "0"}))
    assert "names the file '../x', expected plain names" in refusal(model_folder)


@pytest.mark.parametrize("name", ["model.safetensors", "golden.safetensors", "tokenizer.json"])
def test_missing_file(model_folder: Path, name: str) -> None:
    (model_folder / name).unlink()
    assert f"{name} is missing, expected in a model folder" in refusal(model_folder)


def test_unreadable_file(model_folder: Path) -> None:
    (model_folder / "tokenizer.json").unlink()
    (model_folder / "tokenizer.json").mkdir()
    assert "tokenizer.json cannot be read (Is a directory): check its permissions" in refusal(model_folder)


@pytest.mark.parametrize("name", ["model.safetensors", "golden.safetensors"])
@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_truncated_tensors(model_folder: Path, name: str, keep: int) -> None:
    content = (model_folder / name).read_bytes()
    (model_folder / name).write_bytes(content[:keep])
    assert f"{name} is truncated or not a safetensors file" in refusal(model_folder)


def test_a_flipped_byte_in_the_weights(model_folder: Path) -> None:
    content = bytearray((model_folder / "model.safetensors").read_bytes())
    content[-3] ^= 1  # a low bit that no replay would notice
    (model_folder / "model.safetensors").write_bytes(content)
    assert "model.safetensors is not the file that was saved, expected the sha256" in refusal(model_folder)


def test_a_changed_side_file(model_folder: Path) -> None:
    (model_folder / "tokenizer.json").write_bytes(char_file(list("gfedcbaé \n")))
    assert "tokenizer.json is not the file that was saved" in refusal(model_folder)


def test_weights_that_do_not_fit_the_network(model_folder: Path) -> None:
    path = model_folder / "model.safetensors"
    whole = path.read_bytes()
    change_tensors(path, lambda tensors: tensors.pop("main.head.bias"))
    assert "model.safetensors lacks the tensor 'head.bias'" in refusal(model_folder)
    path.write_bytes(whole)
    change_tensors(path, lambda tensors: tensors.update({"main.x": np.zeros(1, np.float32)}))
    assert "model.safetensors holds the tensor 'x', expected none of that name" in refusal(model_folder)
    path.write_bytes(whole)
    change_tensors(path, lambda tensors: tensors.update({"main.head.bias": np.zeros(9, np.float32)}))
    assert "model.safetensors holds 'head.bias' with shape (9,), expected (10,)" in refusal(model_folder)
    path.write_bytes(whole)
    change_tensors(path, lambda tensors: tensors["main.head.bias"].__setitem__(0, np.nan))
    assert "model.safetensors holds 'head.bias' with NaN or infinite values" in refusal(model_folder)


def test_a_network_that_does_not_fit_the_weights(model_folder: Path) -> None:
    change_config(model_folder, lambda config: config["networks"]["main"]["layers"][1].update(hidden_size=7))
    assert "config.json: network layer 2 (linear 'head'): in is 6, expected 7" in refusal(model_folder)


def test_golden_mismatch(model_folder: Path) -> None:
    change_tensors(
        model_folder / "model.safetensors", lambda tensors: tensors["main.head.weight"].__imul__(1.01)
    )
    line = refusal(model_folder)
    assert "golden.safetensors differs from the replay: 'output_0.head' by" in line


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda golden: golden.pop("main/input_2.x"), "lacks 'input_2.x', expected 3 cases"),
        (lambda golden: golden.pop("main/state_1.rnn.h"), "lacks 'state_1.rnn.h', expected 3 cases"),
        (
            lambda golden: golden["main/state_2.rnn.h"].__iadd__(0.01),
            "differs from the replay: 'state_2.rnn.h' by",
        ),
        (
            lambda golden: golden["main/output_1.head"].fill(np.nan),
            "holds 'output_1.head' with NaN or infinite values",
        ),
        (
            lambda golden: golden.update({"main/output_1.head": golden["main/output_1.head"][:1]}),
            "holds 'output_1.head' with shape (1, 5, 10)",
        ),
        (
            lambda golden: golden["main/input_0.x"].fill(99),
            "does not fit its network in case 0: x holds the token 99",
        ),
        (lambda golden: golden.pop("main/state0_2.rnn.h"), "differs from the replay: 'output_2.head' by"),
        (lambda golden: golden.pop("main/lengths_1.steps"), "differs from the replay: 'output_1.head' by"),
    ],
)
def test_broken_golden_cases(model_folder: Path, change: Callable[[Any], object], message: str) -> None:
    change_tensors(model_folder / "golden.safetensors", change)
    assert f"golden.safetensors {message}" in refusal(model_folder)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_flipped_byte_is_noticed_or_harmless(saved: Path, data: st.DataObject) -> None:
    """Every bit of every file but the model card: `load` refuses in one line, or the model is the same."""
    name = data.draw(
        st.sampled_from(["config.json", "model.safetensors", "golden.safetensors", "tokenizer.json"])
    )
    original = (saved / name).read_bytes()
    position, bit = data.draw(st.integers(0, len(original) - 1)), data.draw(st.integers(0, 7))
    broken = bytearray(original)
    broken[position] ^= 1 << bit
    before, line = congru.load(saved), ""
    (saved / name).write_bytes(broken)
    try:
        after = congru.load(saved)
    except ModelFolderError as error:
        line = str(error)
    else:
        assert (after.config, after.files, after.fingerprint) == (
            before.config,
            before.files,
            before.fingerprint,
        )
    finally:
        (saved / name).write_bytes(original)
    assert "\n" not in line


def parts(**changes: Any) -> dict[str, Any]:
    config = token_config()
    weights = random_weights(config)
    whole = {
        "config": {"task": "text", "cell": "gru", "networks": {"main": config}},
        "weights": {"main": weights},
        "golden": {"main": make_golden(config, Network(config, weights).run)},
        "files": {},
        "card": "",
    }
    return {**whole, **changes}


def test_saving_replaces_a_model_and_nothing_else(model_folder: Path, tmp_path: Path) -> None:
    save_model(model_folder, **parts(card="second"))
    assert (model_folder / "README.md").read_text() == "second"
    assert not (model_folder / "tokenizer.json").exists()
    assert congru.load(model_folder).task_config == {}
    (tmp_path / "empty").mkdir()
    save_model(tmp_path / "empty", **parts())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("dear")
    with pytest.raises(ModelFolderError, match="exists and is not a model folder, expected an empty one"):
        save_model(tmp_path / "mine", **parts())
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "dear"
    with pytest.raises(ModelFolderError, match="is a file, expected a folder or nothing"):
        save_model(tmp_path / "mine" / "thesis.txt", **parts())


def test_a_folder_that_load_would_refuse_is_not_written(model_folder: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in model_folder.iterdir()}
    golden = parts()["golden"]
    golden["main"]["output_0.head"] = golden["main"]["output_0.head"] * 2
    with pytest.raises(ModelFolderError, match="differs from the replay"):
        save_model(model_folder, **parts(golden=golden))
    assert {path.name: path.read_bytes() for path in model_folder.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


def test_a_full_disk_leaves_the_old_model(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder_module, "_write", full)
    with pytest.raises(ModelFolderError, match=r"cannot be written \(No space left on device\)"):
        save_model(model_folder, **parts())
    assert congru.load(model_folder).task_config == {"levels": [80, 95]}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


@pytest.mark.parametrize("step_in_one", [True, False])
def test_a_failed_rename_brings_the_old_model_back(
    step_in_one: bool, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def refuse(*paths: Path) -> Any:
        if paths[0].name == "new":
            raise OSError(1, "Operation not permitted")
        return rename(*paths)

    if step_in_one:
        monkeypatch.setattr(atomic, "_exchange", refuse)
    else:
        monkeypatch.setattr(atomic, "_exchange", lambda *_: False)
        monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(ModelFolderError, match=r"cannot be written \(Operation not permitted\)"):
        save_model(model_folder, **parts())
    assert congru.load(model_folder).task_config == {"levels": [80, 95]}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"config": {"task": "text"}},
            "config lacks the key 'cell', expected task, cell, networks, task_config",
        ),
        ({"config": {**parts()["config"], "x": 1}}, "config has the key 'x', expected only task, cell"),
        ({"config": {**parts()["config"], "task_config": {"x": np.nan}}}, "config cannot be written as JSON"),
        ({"config": {**parts()["config"], "task_config": {"x": {1}}}}, "config cannot be written as JSON"),
        ({"files": {"README.md": b""}}, "files holds 'README.md', expected plain names of side files"),
        ({"files": {"../x": b""}}, r"files holds '\.\./x', expected plain names"),
    ],
)
def test_parts_that_make_no_folder(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match=message):
        save_model(tmp_path / "m", **parts(**changes))
    assert list(tmp_path.iterdir()) == []


def test_a_config_may_hold_tuples_and_numbers_as_keys(tmp_path: Path) -> None:
    config = {**parts()["config"], "task_config": {"levels": (80, 95), 10: "a", 9: "b"}}
    save_model(tmp_path / "m", **parts(config=config))
    assert congru.load(tmp_path / "m").task_config == {"levels": [80, 95], "10": "a", "9": "b"}


def test_loaded_with_bfloat16_weights_the_recurrent_matrices_are_rounded(model_folder: Path) -> None:
    exact, coarse = congru.load(model_folder), congru.load(model_folder, weight_dtype="bfloat16")
    rounded = {
        name: to_bfloat16(value) if name.startswith(("rnn.weight_ih", "rnn.weight_hh")) else value
        for name, value in exact.network.weights.items()
    }
    tokens = np.arange(8)[None]
    for backend in ("auto", "numpy", "reference"):
        by_hand = Network(exact.config["networks"]["main"], rounded, backend)
        loaded = congru.load(model_folder, backend, "bfloat16")
        np.testing.assert_array_equal(loaded.run(tokens)[0], by_hand.run(tokens)[0])
    assert not np.array_equal(coarse.run(tokens)[0], exact.run(tokens)[0])
    session = coarse.session()
    np.testing.assert_array_equal([session.step(int(t)) for t in tokens[0]], coarse.run(tokens)[0][0])
    assert coarse.fingerprint == exact.fingerprint
    with pytest.raises(
        SettingsError, match="weight_dtype is 'int8', expected one of float32, bfloat16: pass"
    ):
        congru.load(model_folder, weight_dtype="int8")
