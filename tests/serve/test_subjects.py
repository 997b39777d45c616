"""The doors of single tasks: each says what its task says."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from congru.runtime.folder import load
from congru.tasks.registry import TASKS
from serve_cases import Serving, serving
from speech_cases import tones, write_wav


@pytest.fixture(scope="module")
def server(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("runs"), trained) as running:
        yield running


def ask(server: Serving, path: str, **body: Any) -> dict[str, Any]:
    status, answer = server.ask("POST", f"/v1/{path}", body)
    assert status == 200, answer
    return dict(answer)


@pytest.mark.parametrize(
    "name", ["text", "chess", "forecast", "music", "sentiment", "translate", "assistant"]
)
def test_every_task_has_gates_and_an_outcome(server: Serving, name: str) -> None:
    text = {"text": "e4 e5 Nf3"} if name == "chess" else {}
    film = ask(server, f"models/{name}/explore", **text)
    assert len(film["steps"]) > 0
    for layer in film["layers"]:
        for strip in layer["strips"]:
            assert len(base64.b64decode(strip["data"])) == len(film["steps"]) * layer["units"]
    was = ask(server, f"explore/{film['run']}/what-if", n=20)
    forward = [layer for layer in film["layers"] if layer["directions"] == 1]
    assert film["edits"] == bool(forward)
    if forward:
        edit = {
            "node": forward[0]["node"],
            "what": "candidate",
            "units": list(range(forward[0]["units"])),
            "value": 1,
        }
        edit["steps"] = list(range(len(film["steps"])))
        now = ask(server, f"explore/{film['run']}/what-if", n=20, edits=[edit])
        assert now["outcome"] != was["outcome"]
        assert now["outcome"]["kind"] == was["outcome"]["kind"]
    if film["shares"]["kind"] is not None:
        shares = ask(server, f"explore/{film['run']}/shares")
        assert abs(shares["residual"]) < 1e-3


@pytest.mark.parametrize(
    ("name", "steps", "predicts"),
    [
        ("text", "characters", "The next character"),
        ("chess", "moves", "The next move"),
        ("forecast", "days", "The forecast"),
        ("music", "eighth notes", "The next lowest note"),
        ("sentiment", "words", "The class"),
        ("translate", "words", "The next word"),
        ("assistant", "words", "The intent"),
        ("video", "frames", "The class"),
    ],
)
def test_the_film_speaks_the_words_of_its_task(server: Serving, name: str, steps: str, predicts: str) -> None:
    film = ask(server, f"models/{name}/explore")
    assert (film["words"]["steps"], film["words"]["predicts"]) == (steps, predicts)
    for one in film["predicted"] or []:
        for choice, value, bar, *_ in one["choices"]:
            assert not choice.startswith("output")
            assert value
            assert 0 <= bar <= 1
    if film["shares"]["kind"] is not None:
        assert not ask(server, f"explore/{film['run']}/shares")["label"].startswith("output␣")
    if name == "forecast":
        assert len(film["values"]) == len(film["steps"])
    if name == "video":
        assert all(picture.startswith("<svg") for picture in film["pictures"])


def test_the_shares_of_a_move_are_those_of_the_report(server: Serving, trained: Path) -> None:
    """In bits: how much less likely the first choice would be, had the step not written."""
    from congru.gates.inspect import inspect
    from congru.tasks.chess.inspection import inspect_reading

    film = ask(server, "models/chess/explore", text="e4 e5 Nf3")
    model = load(trained / "chess")
    reading = inspect_reading(model, "e4 e5 Nf3")
    assert reading.predict is not None
    for told, one in zip(
        film["predicted"], reading.predict(inspect(model, reading.x, tokens=reading.tokens))
    ):
        name, value, _, *packed = told["choices"][0]
        assert (told["at"], name, value) == (one.at, one.choices[0].name, one.choices[0].value)
        scale, content = packed
        shares = np.frombuffer(base64.b64decode(content), np.int8) * scale
        np.testing.assert_allclose(shares, one.choices[0].shares, atol=scale)


def test_what_comes_of_a_tune_are_notes(server: Serving) -> None:
    film = ask(server, "models/music/explore")
    outcome = ask(server, f"explore/{film['run']}/what-if")["outcome"]
    last = [[name, pytest.approx(bar, abs=1e-3)] for name, _, bar, *_ in film["predicted"][-1]["choices"]]
    assert outcome["items"][: len(last)] == last


@pytest.mark.parametrize("name", ["sentiment", "translate", "assistant"])
def test_a_sentence_that_names_a_file_is_no_file(server: Serving, name: str, trained: Path) -> None:
    status, answer = server.ask(
        "POST", f"/v1/models/{name}/explore", {"text": str(trained / "text" / "config.yaml")}
    )
    assert status == 400
    assert "the name of a file" in answer["error"]["message"]


def test_a_game_of_chess(server: Serving, trained: Path) -> None:
    from congru.tasks.chess import Predictor

    view = ask(server, "models/chess/game", players=True)
    assert len(view["legal"]) == 20
    assert view["players"] == Predictor.load(trained / "chess").players
    predictor = Predictor.load(trained / "chess")
    live = predictor.follow()
    best = [(live.board.rules.uci(code), p) for code, p in live.prediction().best(5)]
    assert [(choice["uci"], pytest.approx(choice["probability"])) for choice in view["choices"]] == best
    moves = ["e4", "e7e5", "Nf3"]
    view = ask(server, "models/chess/game", moves=moves)
    assert [move["san"] for move in view["history"]] == ["e4", "e5", "Nf3"]
    assert view["turn"] == "black"
    assert view["history"][0]["bits"] == pytest.approx(-np.log2(view["history"][0]["probability"]))
    assert sum(view["result"].values()) == pytest.approx(1)
    status, answer = server.ask("POST", "/v1/models/chess/game", {"moves": [*moves, "Ke5"]})
    assert status == 400
    assert "not legal" in answer["error"]["message"]
    again = ask(server, "models/chess/game", moves=moves)  # what was refused left nothing behind
    assert again == view
    assert ask(server, "models/chess/game", moves=moves[:1])["history"] == view["history"][:1]
    mate = ask(server, "models/chess/game", moves=["f3", "e5", "g4", "Qh4#"])
    assert (mate["outcome"], mate["choices"], mate["legal"]) == ("checkmate", [], [])
    promoted = ask(server, "models/chess/game", fen="8/P6k/8/8/8/8/7K/8 w - - 0 1", moves=["a8=N"])
    assert promoted["fen"].startswith("N7/")


def test_pgn_goes_out_and_comes_back(server: Serving) -> None:
    moves = ["e2e4", "e7e5", "g1f3", "b8c6", "f1b5"]
    game = {"moves": moves, "white": 'A "B" \\', "black": "C"}
    pgn = ask(server, "chess/pgn", game=game)["pgn"]
    assert "1. e4 e5 2. Nf3 Nc6 3. Bb5 *" in pgn
    read = ask(server, "chess/pgn", text=pgn)
    assert (read["moves"], read["black"]) == (moves, "C")
    for text in ("", "hello", "1. e4 e5 2. Ke5"):
        assert server.ask("POST", "/v1/chess/pgn", {"text": text})[0] == 400


def test_the_fan_of_a_forecast(server: Serving, trained: Path) -> None:
    from congru.tasks.forecast.forecaster import Forecaster

    forecaster = Forecaster.load(trained / "forecast")
    told = ask(server, "models/forecast/forecast")
    np.testing.assert_allclose(told["median"], forecaster.values()[0, :, 0], rtol=1e-5)
    assert len(told["times"]) == len(told["past"]) + told["horizon"]
    film = ask(server, "models/forecast/explore")
    if film["edits"]:
        outcome = ask(server, f"explore/{film['run']}/what-if")["outcome"]
        np.testing.assert_allclose(outcome["median"], told["median"], rtol=1e-4)
    csv = (trained / "data" / "forecast" / "series.csv").read_text()
    whole = ask(server, "models/forecast/forecast", csv=csv)
    cut = whole["reach"]["cutoff"] - 5
    early = ask(server, "models/forecast/forecast", csv=csv, cutoff=cut, series=whole["chosen"])
    assert early["reach"]["cutoff"] == cut
    known = min(5, early["horizon"])
    assert early["truth"][:known] == pytest.approx(whole["past"][-5:][:known])
    panel, _ = forecaster.panel_of(trained / "data" / "forecast" / "series.csv")
    expected = forecaster.windows(panel, np.array([0]), np.array([cut]))[0, :, 0]
    np.testing.assert_allclose(early["median"], expected, rtol=1e-5)
    assert server.ask("POST", "/v1/models/forecast/forecast", {"csv": "ds,y\n1,2\n"})[0] == 400
    assert server.ask("POST", "/v1/models/forecast/forecast", {"series": "none"})[0] == 400


def test_a_table_of_ones_own_has_a_fan_whatever_its_series_is_called(server: Serving, trained: Path) -> None:
    csv = (trained / "data" / "forecast" / "series.csv").read_text()
    known = ask(server, "models/forecast/forecast", csv=csv)
    own = csv.replace(known["chosen"], "Home")
    told = ask(server, "models/forecast/forecast", csv=own, series="Home")
    assert told["chosen"] == "Home"
    assert told["times"] == known["times"]
    assert len(told["median"]) == told["horizon"]
    assert np.isfinite(told["median"]).all()


def test_a_motif_goes_on(server: Serving, trained: Path) -> None:
    motif = [[0, 1, 60], [1, 1, 64]]
    told = ask(server, "models/music/compose", motif=motif, bars=2, seed=1)
    assert told == ask(server, "models/music/compose", motif=motif, bars=2, seed=1)
    assert base64.b64decode(told["midi"])[:4] == b"MThd"
    assert {(start, pitch) for start, _, pitch in told["notes"]} >= {(0, 60), (1, 64)}
    locked = ask(server, "models/music/compose", bars=1, lock="bass", locked=[[0, 1, 48], [1, 1, 50]])
    assert min(pitch for start, _, pitch in locked["notes"] if start == 0) == 48
    assert server.ask("POST", "/v1/models/music/compose", {"motif": [[0, 1, 5]]})[0] == 400


def test_sentences(server: Serving) -> None:
    told = ask(server, "models/sentiment/classify", text="a warm story")
    assert sum(told["probabilities"].values()) == pytest.approx(1)
    words = sum(word["written"] + word["counted"] for word in told["words"])
    assert words + told["start"] + told["constant"] + told["residual"] == pytest.approx(
        told["evidence"], abs=1e-4
    )
    assert len(told["running"]) == len(told["words"])
    told = ask(server, "models/translate/translate", text="ein hund mag einen ball .")
    assert len(told["translations"]) == 3
    np.testing.assert_allclose(np.sum(told["attention"]["weights"], axis=1), 1, atol=1e-2)
    told = ask(server, "models/assistant/talk", turns=["book a flight to Rome", "and back"])
    assert [turn["card"]["turns"] for turn in told["turns"]] == [1, 2]
    for name, path in (("sentiment", "classify"), ("translate", "translate")):
        assert server.ask("POST", f"/v1/models/{name}/{path}", {"text": "  "})[0] == 400


def test_speech_becomes_words_and_a_clip_is_seen_frame_by_frame(
    server: Serving, trained: Path, tmp_path: Path
) -> None:
    from congru.tasks.speech.recognizer import Recognizer
    from congru.tasks.video.classifier import Classifier

    write_wav(tmp_path / "a.wav", tones("A B"))
    sound = (tmp_path / "a.wav").read_bytes()
    status, told = server.ask("POST", "/v1/models/speech/hear?name=a.wav", sound)
    assert status == 200
    expected = Recognizer.load(trained / "speech").transcribe(tmp_path / "a.wav")
    assert [(word["text"], word["start"]) for word in told["words"]] == [
        (word.text, word.start) for word in expected
    ]
    track = np.stack([np.cos(np.arange(8) / 2), np.sin(np.arange(8) / 2)], -1)
    np.save(tmp_path / "track.npy", track)
    status, told = server.ask(
        "POST", "/v1/models/video/watch?name=track.npy", (tmp_path / "track.npy").read_bytes()
    )
    assert status == 200, told
    classifier = Classifier.load(trained / "video")
    steps = classifier.soften(classifier.step_logits([classifier.read(tmp_path / "track.npy")])[0])
    np.testing.assert_allclose(told["steps"], steps, atol=1e-5)
    assert told["streams"] == (len(steps) > 1)
    for path in ("speech/hear?name=a.wav", "video/watch?name=../../x.npy"):
        for content in (b"", b"nonsense"):
            assert server.ask("POST", f"/v1/models/{path}", content)[0] == 400


def test_sound_that_streams_becomes_the_words_of_the_listener(server: Serving, trained: Path) -> None:
    from congru.tasks.speech.recognizer import Recognizer

    samples = np.concatenate([tones("A B"), np.zeros(8000, np.float32)])
    listener = Recognizer.load(trained / "speech").listen(8000)
    expected = [*listener.feed(samples), *listener.finish()]
    status, opened = server.ask("POST", "/v1/models/speech/listen?rate=8000")
    assert status == 201
    words = []
    for k in range(0, len(samples), 800):
        last = k + 800 >= len(samples)
        told = server.ask(
            "POST", f"/v1/listen/{opened['stream']}?last={last}", samples[k : k + 800].astype("<f4").tobytes()
        )[1]
        words += told["words"]
    assert [(word["text"], word["end"]) for word in words] == [(word.text, word.end) for word in expected]
    assert len(words) >= 2
    assert told["heard_seconds"] == len(samples) / 8000
    assert server.ask("POST", f"/v1/listen/{opened['stream']}", b"")[0] == 404
    key = server.ask("POST", "/v1/models/speech/listen?rate=8000")[1]["stream"]
    for content in (b"abc", np.array([np.nan], "<f4").tobytes()):
        status, answer = server.ask("POST", f"/v1/listen/{key}", content)
        assert status == 400
        assert "expected float32 numbers" in answer["error"]["message"]
    assert server.ask("POST", "/v1/models/text/listen?rate=8000")[0] == 400


def test_a_father_and_his_son_become_players(server: Serving, trained: Path) -> None:
    from congru.tasks.chess.sources import read_games

    pgn = (trained / "data" / "chess" / "games.pgn").read_text()
    names = read_games(str(trained / "data" / "chess" / "games.pgn"))[0].players[:2]
    known = "chess"
    for name in names:
        told = ask(server, f"models/{known}/adapt", player=name, pgn=pgn, games=5)
        known = told["model"]
        assert (told["player"], told["games"]) == (name, 5)
        assert told["after"] < told["before"]
    assert known == "chess-players"
    game = ask(server, f"models/{known}/game", moves=["e4"], white=names[0], black=names[1], players=True)
    assert set(names) <= set(game["players"])
    first = ask(server, f"models/{known}/game", white=names[0], black=names[1])
    chosen = {one["san"]: one["count"] for one in first["chosen"]}
    assert sum(chosen.values()) >= 1, "the games given are recalled"
    without = ask(server, f"models/{known}/game", white=names[0], black=names[1], recall=False)
    assert without["chosen"] == []
    assert without["choices"] != first["choices"]
    for player, games, words in (("Nobody", pgn, "Nobody"), (names[0], "no games", "no game")):
        status, answer = server.ask("POST", "/v1/models/chess/adapt", {"player": player, "pgn": games})
        assert status == 400
        assert words in answer["error"]["message"]


def test_a_text_that_is_too_long_to_translate_is_refused_at_once(server: Serving) -> None:
    """Every word costs a step of the search: a few such requests would take all the threads."""
    text = "ein hund " * 200
    for door in ("translate", "explore"):
        status, answer = server.ask("POST", f"/v1/models/translate/{door}", {"text": text})
        assert status == 400
        assert "expected at most 300: send it sentence by sentence" in answer["error"]["message"]


@pytest.mark.parametrize("text", ["word " * 30_000, "a\0b", "/etc/passwd", "none"])
def test_models_of_files_take_no_text(server: Serving, text: str) -> None:
    """Nor do they say which files there are."""
    for name in ("music", "speech", "video"):
        status, answer = server.ask("POST", f"/v1/models/{name}/explore", {"text": text})
        assert status == 400
        assert "expected none: this model reads files" in answer["error"]["message"]


def test_a_failure_inside_is_an_answer_too(server: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("congru.serve.subjects.language.classify", fail)
    status, answer = server.ask("POST", "/v1/models/sentiment/classify", {"text": "a"})
    assert status == 500
    assert answer["error"]["code"] == "server"
    assert "secret" not in answer["error"]["message"]


def test_a_door_refuses_the_model_of_another_task(server: Serving) -> None:
    doors = {
        "game": {},
        "forecast": {},
        "compose": {},
        "classify": {"text": "a"},
        "translate": {"text": "a"},
        "talk": {"turns": ["a"]},
    }
    for door, body in doors.items():
        status, answer = server.ask("POST", f"/v1/models/text/{door}", body)
        assert status == 400, door
        assert "task 'text'" in answer["error"]["message"]
    assert load(server.desk.library.find("text").path).task in TASKS
