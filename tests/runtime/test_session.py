"""Sessions: streams that can be cut, saved, restored and forked, and what is said to wrong input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from congru.errors import DataError, ModelFolderError, SettingsError, ShapeError
from congru.runtime import session_file
from congru.runtime.model import Model
from congru.runtime.network import Network
from runtime_models import CELLS, char_file, random_weights, save, save_text, token_config, vector_config

HEAD = {"type": "linear", "name": "head", "in": 6, "out": 4}
X = np.random.default_rng(0).standard_normal((2, 8, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return save_text(tmp_path_factory.mktemp("models") / "text", "lstm", num_layers=2)


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return save(tmp_path_factory.mktemp("models") / "vectors", vector_config("gru", HEAD, learn_h0=True))


def test_feed_step_and_run_are_one_stream(text: Model) -> None:
    assert text.tokenizer is not None
    tokens = text.tokenizer.encode("a bad face")
    whole = text.session().run(tokens)
    assert whole.shape == (10, 10)
    fed = text.session().feed("a bad").feed(" face")
    np.testing.assert_array_equal(fed.last, whole[-1])
    mixed = text.session().feed(tokens[:3])
    np.testing.assert_array_equal(mixed.step(tokens[3]), whole[3])
    np.testing.assert_array_equal(mixed.run(tokens[4:]), whole[4:])
    np.testing.assert_array_equal(mixed.run([]), whole[:0])
    np.testing.assert_array_equal(mixed.feed("").last, whole[-1])
    for name, value in fed.state.items():
        np.testing.assert_array_equal(mixed.state[name], value)


def test_a_batch_of_streams(vectors: Model) -> None:
    session = vectors.session(batch_size=2)
    whole, _ = vectors.run(X)
    np.testing.assert_array_equal(session.run(X[:, :5]), whole[:, :5])
    np.testing.assert_array_equal(session.step(X[:, 5]), whole[:, 5])
    np.testing.assert_array_equal(session.last, whole[:, 5])
    assert session.step(X[:, 6]).shape == (2, 4)


def test_with_and_without_batch_axis(vectors: Model) -> None:
    plain, batched = vectors.session(), vectors.session()
    out = plain.run(X[0])
    assert out.shape == (8, 4)
    np.testing.assert_array_equal(batched.run(X[:1]), out[None])
    assert plain.step(X[0, 0]).shape == (4,)
    assert batched.step(X[:1, 0]).shape == (1, 4)
    np.testing.assert_array_equal(plain.last, batched.last)


def test_pooled_models_answer_after_each_step(tmp_path: Path) -> None:
    config = vector_config("gru", {"type": "last"}, HEAD)
    model = save(tmp_path / "m", config)
    prefixes = [model.run(X[:1, : t + 1])[0][0] for t in range(8)]
    session = model.session()
    np.testing.assert_array_equal([session.step(x) for x in X[0]], prefixes)
    np.testing.assert_array_equal(session.run(X[0, :0]), prefixes[-1])
    np.testing.assert_array_equal(session.reset().run(X[0]), prefixes[-1])
    np.testing.assert_array_equal(session.run(X[:1, :0]), prefixes[-1][None])
    assert session.last is not None
    np.testing.assert_array_equal(session.last, prefixes[-1])
    assert model.session().run(X[0, :0]).shape == (4,)


def test_reset_goes_back_to_the_learned_start(vectors: Model) -> None:
    session = vectors.session()
    assert (session.state["rnn.h"][0, 0] == vectors.weights["main.rnn.h0"]).all()
    first = session.run(X[0])
    assert not np.array_equal(session.run(X[0]), first)
    assert session.reset() is session
    assert session.last is None
    np.testing.assert_array_equal(session.run(X[0]), first)


def test_the_state_is_a_copy_and_can_be_set(vectors: Model) -> None:
    session = vectors.session().feed(X[0, :4])
    middle, kept = session.state, session.state
    rest = session.run(X[0, 4:])
    session.state = middle
    middle["rnn.h"][:] = 9
    session.state["rnn.h"][:] = 9
    np.testing.assert_array_equal(session.state["rnn.h"], kept["rnn.h"])
    np.testing.assert_array_equal(session.run(X[0, 4:]), rest)
    with pytest.raises(ShapeError, match=r"state has the names \['x'\], expected \['rnn.h'\]"):
        session.state = {"x": np.zeros(3)}


def test_outputs_can_be_written_to(text: Model) -> None:
    session = text.session().feed("ab")
    twin = session.fork()
    for make in (
        lambda: session.step(1),
        lambda: session.last,
        lambda: session.run([2]),
        lambda: session.step([3]),
    ):
        out = make()
        assert out is not None
        out[...] = np.nan
        assert session.last is not None
        assert np.isfinite(session.last).all()
    np.testing.assert_array_equal(twin.run([1, 2, 3])[-1], session.last)


def test_forks_are_independent(text: Model) -> None:
    session = text.session(seed=5).feed("face")
    a, b, c = session.fork(), session.fork(), session.fork(seed=6)
    text_a = "".join(a.generate(40))
    assert "".join(b.generate(40)) == text_a
    assert "".join(c.generate(40)) != text_a
    assert "".join(session.generate(40)) == text_a
    a.feed("a")
    b.reset()
    assert b.last is None
    assert session.last is not None
    assert not np.array_equal(a.state["rnn.h"], session.state["rnn.h"])


def test_a_seed_makes_text_repeatable(text: Model) -> None:
    texts = ["".join(text.session(seed=seed).feed("a").generate(50)) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    assert "".join(text.session().feed("a").generate(50)) != "".join(text.session().feed("a").generate(50))


@pytest.mark.parametrize("cell", CELLS)
def test_save_and_restore_go_on_with_the_same_bits(cell: str, tmp_path: Path) -> None:
    model = save_text(tmp_path / "m", cell, num_layers=2)
    session = model.session(seed=3).feed("a bad ")
    session.save(tmp_path / "state")
    expected = "".join(session.generate(30))
    restored = model.session(seed=99).restore(tmp_path / "state")
    assert "".join(restored.generate(30)) == expected
    np.testing.assert_array_equal(restored.last, session.last)
    for name, value in session.state.items():
        np.testing.assert_array_equal(restored.state[name], value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m", "state"]


def test_a_fresh_session_can_be_saved(vectors: Model, tmp_path: Path) -> None:
    vectors.session(batch_size=2).save(tmp_path / "state")
    session = vectors.session(batch_size=2).feed(X).restore(tmp_path / "state")
    assert session.last is None
    np.testing.assert_array_equal(session.run(X), vectors.run(X)[0])


def test_restore_refuses(text: Model, vectors: Model, tmp_path: Path) -> None:
    path = tmp_path / "state"
    vectors.session(batch_size=2).feed(X).save(path)
    with pytest.raises(ModelFolderError, match="was saved by another model, expected this one"):
        text.session().restore(path)
    with pytest.raises(
        ModelFolderError, match=r"has batch_size 2, expected 1: call model.session\(batch_size=2\)"
    ):
        vectors.session().restore(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelFolderError, match="is truncated or not a saved session"):
        vectors.session().restore(path)
    save_file({"x": np.zeros(1)}, path)
    with pytest.raises(ModelFolderError, match="has the format None, expected 'congru-session-2'"):
        vectors.session().restore(path)
    with pytest.raises(ModelFolderError, match="cannot be read"):
        vectors.session().restore(tmp_path / "none")
    with pytest.raises(ModelFolderError, match=r"cannot be written \(No such file or directory\)"):
        vectors.session().save(tmp_path / "none" / "state")


def test_a_changed_file_is_refused_and_the_session_stays_as_it_was(vectors: Model, tmp_path: Path) -> None:
    path = tmp_path / "state"
    saved = vectors.session(seed=1).feed(X[:1])
    saved.save(path)
    whole = path.read_bytes()
    session = vectors.session(seed=2).feed(X[1:2])
    before, last, drawn = session.state, session.last.copy(), session.rng.bit_generator.state
    refused = 0
    for byte in range(len(whole)):
        path.write_bytes(whole[:byte] + bytes([whole[byte] ^ 4]) + whole[byte + 1 :])
        try:
            session.restore(path)
        except ModelFolderError:
            refused += 1
            assert all((session.state[name] == value).all() for name, value in before.items())
            assert (session.last == last).all()
            assert session.rng.bit_generator.state == drawn
        else:  # padding of the header
            assert all((session.state[name] == value).all() for name, value in saved.state.items())
            session = vectors.session(seed=2).feed(X[1:2])
            drawn = session.rng.bit_generator.state
    assert refused > len(whole) - 16


def test_files_of_the_first_version_are_read(vectors: Model, tmp_path: Path) -> None:
    session = vectors.session(seed=1).feed(X[:1])
    session.save(tmp_path / "state")
    metadata, tensors = session_file.read(tmp_path / "state")
    save_file(tensors, tmp_path / "old", {**metadata, "format": "congru-session-1"})
    restored = vectors.session().restore(tmp_path / "old")
    assert (restored.last == session.last).all()
    save_file(tensors, tmp_path / "old", {**metadata, "format": "congru-session-1", "rng": "{}"})
    with pytest.raises(
        ModelFolderError, match="holds no state of a random generator, expected that of PCG64"
    ):
        vectors.session().restore(tmp_path / "old")


def test_another_seed_of_weights_is_another_model(tmp_path: Path) -> None:
    config = token_config()
    first = save(tmp_path / "a", config)
    weights = random_weights(config, seed=1)
    golden = {}
    from congru.runtime.golden import make_golden

    golden = make_golden(config, Network(config, weights).run)
    second = save(tmp_path / "b", config, weights={"main": weights}, golden={"main": golden})
    first.session().save(tmp_path / "state")
    with pytest.raises(ModelFolderError, match="another model"):
        second.session().restore(tmp_path / "state")


def test_generate_stops_before_a_text(text: Model) -> None:
    whole = "".join(text.session(seed=0).feed("a").generate(200))
    for stop in (whole[20:23], [whole[50:54], "zzz", whole[30:32]]):
        stops = [stop] if isinstance(stop, str) else stop
        end = min(whole.index(one) for one in stops if one in whole)
        assert "".join(text.session(seed=0).feed("a").generate(200, stop=stop)) == whole[:end]
    assert "".join(text.session(seed=0).feed("a").generate(200, stop="never")) == whole
    assert "".join(text.session(seed=0).feed("a").generate(0)) == ""


def test_generate_feeds_what_it_draws(text: Model) -> None:
    session = text.session(seed=0).feed("a")
    drawn = "".join(session.generate(25))
    assert len(drawn) == 25
    np.testing.assert_array_equal(session.last, text.session().feed("a" + drawn).last)


def test_temperature_zero_takes_the_most_probable(text: Model) -> None:
    session = text.session()
    session.feed("a")
    expected = []
    for _ in range(20):
        assert session.last is not None
        expected.append(int(session.last.argmax()))
        session.step(expected[-1])
    assert text.tokenizer is not None
    text_at_zero = "".join(text.session().feed("a").generate(20, temperature=0))
    assert text_at_zero == text.tokenizer.decode(expected)
    assert "".join(text.session(seed=1).feed("a").generate(20, top_k=1)) == text_at_zero


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": -1}, "n is -1, expected the number of tokens"),
        ({"temperature": -0.1}, "temperature is -0.1, expected a number of at least 0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_k": 0}, "top_k is 0, expected a whole number of at least 1"),
        ({"top_p": 0}, "top_p is 0, expected above 0 and up to 1"),
        ({"top_p": 1.5}, "top_p is 1.5"),
        ({"stop": ""}, "stop holds an empty text"),
    ],
)
def test_generate_refuses_at_once(text: Model, arguments: dict[str, Any], message: str) -> None:
    session = text.session().feed("a")
    with pytest.raises(SettingsError, match=message):
        session.generate(**{"n": 5, **arguments})


def test_generate_needs_a_prompt_one_stream_and_scores(text: Model, vectors: Model, tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r'nothing to go on from, expected a prompt: call feed\("..."\) first'
    ):
        text.session().generate(5)
    with pytest.raises(SettingsError, match="has batch_size 2, expected 1"):
        text.session(batch_size=2).feed([[1], [2]]).generate(5)
    with pytest.raises(SettingsError, match="this model has no tokenizer, expected vectors of 3 features"):
        vectors.session().generate(5)
    config = token_config()
    config["layers"][2]["out"] = 2
    classifier = save(tmp_path / "m", config, {"tokenizer.json": char_file()})
    with pytest.raises(SettingsError, match="needs one output per token, expected 10, but this model has 2"):
        classifier.session().feed("a").generate(5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bidirectional": True}, "the node 'rnn' \\(gru\\) is bidirectional .* call model.run"),
        (
            {"mean": True},
            "the node 'mean_1' \\(mean\\) needs the whole sequence: set running to true: call model.run",
        ),
    ],
)
def test_models_that_cannot_stream(options: dict[str, bool], message: str, tmp_path: Path) -> None:
    pooling = [{"type": "mean"}] if options.pop("mean", False) else []
    model = save(tmp_path / "m", vector_config("gru", *pooling, **options))
    with pytest.raises(SettingsError, match=message):
        model.session()
    assert model.run(X)[0].shape[0] == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda s: s.step(np.zeros(4)),
            r"x has shape \(4,\), expected \[I\] = \(3,\): pass 3 features per step",
        ),
        (lambda s: s.step(1.0), r"x has shape \(\), expected \[I\] = \(3,\)"),
        (lambda s: s.step([1, np.nan, 2]), r"x holds nan at \[1\], expected finite float32 numbers"),
        (lambda s: s.run(np.zeros((2, 4))), r"x has shape \(2, 4\), expected \[T, I\] = \(any, 3\)"),
        (lambda s: s.run(np.zeros((2, 5, 3))), "x has 2 sequences, expected B = 1"),
        (
            lambda s: s.feed("text"),
            "this model has no tokenizer, expected vectors of 3 features: feed numbers",
        ),
    ],
)
def test_wrong_vectors(vectors: Model, call: Any, message: str) -> None:
    with pytest.raises((ShapeError, SettingsError), match=message):
        call(vectors.session())


def test_wrong_vectors_of_a_batch(vectors: Model) -> None:
    with pytest.raises(ShapeError, match=r"x has shape \(3,\), expected \[B, I\] = \(any, 3\)"):
        vectors.session(batch_size=2).step(X[0, 0])
    with pytest.raises(ShapeError, match=r"x has shape \(8, 3\), expected \[B, T, I\]"):
        vectors.session(batch_size=2).run(X[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.feed("face x"), "text holds 'x' at position 5, expected one of the model's 10 symbols"),
        (lambda s: s.step(10), "x holds the token 10, expected 0 to 9"),
        (lambda s: s.step(-1), "x holds the token -1, expected 0 to 9"),
        (lambda s: s.step(0.5), "x has dtype float64, expected whole numbers"),
        (
            lambda s: s.step("a"),
            r"x has dtype <U1, expected whole numbers: pass token ids, or text to feed\(\)",
        ),
        (lambda s: s.run(3), r"x has shape \(\), expected \[T\]"),
    ],
)
def test_wrong_tokens(text: Model, call: Any, message: str) -> None:
    session = text.session()
    with pytest.raises((ShapeError, DataError), match=message):
        call(session)
    assert session.last is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed is -1, expected a whole number of at least 0"),
        ({"seed": 1.5}, "seed is 1.5, expected a whole number"),
        ({"batch_size": 0}, "batch_size is 0, expected a whole number of at least 1"),
    ],
)
def test_wrong_options(text: Model, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        text.session(**options)
