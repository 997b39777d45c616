"""One small real model of every task that has a view, trained once for the tests of the views and of the page."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chromium import chromium

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "tasks")]


# Until it tells two tones apart, so that words come from a microphone.
HEARS = {"steps": 400, "hidden_size": 24, "learning_rate": 0.01}


NAMES = ("text", "chess", "forecast", "music", "sentiment", "translate", "assistant", "speech", "video")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run folders text, chess, forecast, music, sentiment, translate, assistant, speech and video."""
    return train(tmp_path_factory.mktemp("trained"), *NAMES)


@pytest.fixture(scope="session")
def chess(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run folder chess, and data/chess/games.pgn."""
    return train(tmp_path_factory.mktemp("trained"), "chess")


def train(folder: Path, *names: str) -> Path:
    """Train the small case of each task."""
    from contract_cases import CASES

    from congru.tasks.registry import TASKS

    patch = pytest.MonkeyPatch()
    patch.setattr("congru.train.summary.draw_plots", lambda *_: None)  # nobody looks at the reports here
    patch.setattr("congru.train.summary.report_html", lambda *_: "")
    for name in names:
        data = folder / "data" / name
        data.mkdir(parents=True)
        settings = {
            **CASES[name].settings,
            "steps": 2,
            **(HEARS if name == "speech" else {}),
            "evaluations": 2,
            "quiet": True,
            "threads": 1,
            "out": folder / name,
        }
        TASKS[name].train(*CASES[name].data(data), settings=settings)
    patch.undo()
    return folder


@pytest.fixture(scope="module")  # an event loop of Playwright runs as long, and other modules have their own
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Debian's Chromium; its microphone says "A B" again and again."""
    from speech_cases import tones, write_wav

    voice = tmp_path_factory.mktemp("voice") / "voice.wav"
    write_wav(voice, tones("A B"))
    with chromium(
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={voice}",
    ) as opened:
        yield opened
