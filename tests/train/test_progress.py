"""What a run prints: the bar, the lines of a pipe, JSON lines, silence; and the words before and after."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from typing import Any

import pytest

from congru.train.events import Ending, Standing, Summary
from congru.train.progress import Bar, JsonLines, Lines, Quiet, indented, make_reporter
from congru.train.settings import TrainSettings
from congru.train.wording import after_text, before_text, verdict_of

SUMMARY = Summary(
    task="text",
    out="romeo",
    settings=[("minutes", 5.0, "flag"), ("seed", 0, "default"), ("clip", 1.0, "default")],
    data={"source": "romeo.txt", "train": 900, "files": [{"path": "romeo.txt"}]},
    num_parameters=12345,
    memory_bytes=340_000_000,
    step_ms=4.25,
    num_steps=1000,
    total_seconds=300.0,
    metric="bpc",
    baselines={"5-gram": 2.5, "unigram": 4.5},
)
ENDING = Ending(
    status="finished",
    metric="bpc",
    best=2.25,
    best_step=900,
    baselines={"5-gram": 2.5, "unigram": 4.5},
    minimize=True,
    steps=1000,
    seconds=75.0,
    num_parameters=12345,
    out="romeo",
    next_lines=["congru run romeo/model"],
)


def standing(step: int, validation: float | None = 2.5) -> Standing:
    return Standing(step, step / 1000, 1.75, 30.0, 90.0, 12.5, validation)


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_reporter_fits_the_output() -> None:
    assert type(make_reporter(TrainSettings(), True, io.StringIO())) is Lines
    assert type(make_reporter(TrainSettings(), True, FakeTerminal())) is Bar
    assert type(make_reporter(TrainSettings(json=True), True, FakeTerminal())) is JsonLines
    assert type(make_reporter(TrainSettings(quiet=True), True, FakeTerminal())) is Quiet
    assert type(make_reporter(TrainSettings(), False, FakeTerminal())) is Quiet


def test_a_pipe_gets_one_line_per_ten_seconds() -> None:
    stream, now = io.StringIO(), [0.0]
    lines = Lines(stream, lambda: now[0])
    lines.before(SUMMARY)
    begun = len(stream.getvalue())
    for second in range(1, 36):
        now[0] = float(second)
        lines.step(standing(second))
        lines.evaluated(standing(second), {"bpc": 2.5}, None)
    assert stream.getvalue()[begun:].splitlines() == [
        f"  {share}  step {step}  loss 1.7500  bpc 2.5000  5-gram 2.5000  12.5 steps/s  1 min 30 s left"
        for share, step in (("1%", 10), ("2%", 20), ("3%", 30))
    ]


def test_a_sample_is_printed_with_an_evaluation() -> None:
    stream, now = io.StringIO(), [0.0]
    lines = Lines(stream, lambda: now[0])
    now[0] = 10.0
    lines.evaluated(standing(5, None), {"bpc": 2.5}, "O Romeo\nRomeo")
    assert stream.getvalue() == (
        "  0%  step 5  loss 1.7500  12.5 steps/s  1 min 30 s left\n    | O Romeo\n    | Romeo\n"
    )
    assert indented("\n".join("x" * 20)).count("\n") == 2
    assert len(indented("x" * 500)) < 120
    lines.say("resumed", "continuing")
    assert stream.getvalue().endswith("continuing\n")


def test_before_the_first_step_there_is_no_loss() -> None:
    stream, now = io.StringIO(), [0.0]
    lines = Lines(stream, lambda: now[0])
    now[0] = 10.0
    lines.step(replace(standing(0, None), loss=math.nan))
    assert stream.getvalue() == "  0%  step 0  12.5 steps/s  1 min 30 s left\n"


def test_json_lines_hold_every_event() -> None:
    stream, now = io.StringIO(), [0.0]
    reporter = JsonLines(stream, lambda: now[0])
    reporter.before(SUMMARY)
    for tick in range(21):
        now[0] = tick / 10
        reporter.step(standing(tick))
    reporter.evaluated(standing(21), {"bpc": 2.5}, "O")
    reporter.say("interrupted", "saved")
    reporter.after(ENDING)
    reporter.close()
    events: list[dict[str, Any]] = [json.loads(line) for line in stream.getvalue().splitlines()]
    names = [event["event"] for event in events]
    assert names == ["start", "step", "step", "step", "evaluation", "interrupted", "end"]
    assert events[0]["settings"]["minutes"] == {"value": 5.0, "origin": "flag"}
    assert [event["step"] for event in events[1:5]] == [0, 10, 20, 21]
    assert events[4]["metrics"] == {"bpc": 2.5}
    assert events[-1]["best"] == 2.25


def test_the_bar_shows_loss_validation_baseline_speed_and_time_left() -> None:
    stream = FakeTerminal()
    bar = Bar(stream)
    bar.before(SUMMARY)
    bar.step(standing(500))
    bar.evaluated(standing(501), {"bpc": 2.5}, "O [bold]Romeo[/bold]")
    bar.after(ENDING)
    bar.close()
    assert stream.getvalue().rstrip().endswith("report: romeo/report.html")  # no bar is drawn below the table
    printed = " ".join(stream.getvalue().split())
    for words in ("loss 1.7500", "bpc 2.5000", "5-gram 2.5000", "12.5 steps/s", "1 min 30 s left"):
        assert words in printed
    assert "| O [bold]Romeo[/bold]" in printed
    assert "the model of step 900 beats 5-gram by 10 %" in printed


def test_quiet_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    quiet = Quiet()
    quiet.before(SUMMARY)
    quiet.step(standing(1))
    quiet.evaluated(standing(1), {}, "x")
    quiet.say("a", "b")
    quiet.after(ENDING)
    quiet.close()
    assert capsys.readouterr() == ("", "")


def test_the_words_before_training() -> None:
    assert before_text(SUMMARY).splitlines() == [
        "text: training into romeo",
        "settings",
        "  minutes  5.0  (flag)",
        "  defaults: seed 0, clip 1.0",
        "data",
        "  source  romeo.txt",
        "  train   900",
        "model",
        "  parameters  12,345",
        "  memory      340 MB (measured over three trial steps)",
        "  step        4.2 ms",
        "  time        5 min 00 s, about 1,000 steps",
        "baselines (bpc on validation)",
        "  5-gram   2.5000",
        "  unigram  4.5000",
    ]


def test_the_words_after_training() -> None:
    assert after_text(ENDING).splitlines() == [
        "finished: 1,000 steps in 1 min 15 s, 12,345 parameters",
        "                        bpc",
        "  model (step 900)  2.2500*",
        "  5-gram            2.5000",
        "  unigram           4.5000",
        "On the validation data the model of step 900 beats 5-gram by 10 % (bpc 2.2500 against 2.5000).",
        "next",
        "  congru run romeo/model",
        "report: romeo/report.html",
    ]


def test_progress_shows_the_best_baseline_whichever_stands_first() -> None:
    more = replace(SUMMARY, baselines={"unigram": 4.5, "5-gram": 2.5})
    for summary, name in ((more, "5-gram 2.5000"), (replace(more, minimize=False), "unigram 4.5000")):
        stream, now = io.StringIO(), [0.0]
        lines = Lines(stream, lambda now=now: now[0])
        lines.before(summary)
        now[0] = 10.0
        lines.step(standing(5))
        assert f"bpc 2.5000  {name}  12.5 steps/s" in stream.getvalue()


def test_the_verdict_names_data_and_step_and_says_when_training_did_not_help() -> None:
    told = verdict_of(replace(ENDING, validation="34 steps, 12 windows"))
    assert told.startswith("On the validation data (34 steps, 12 windows) the model of step 900 beats 5-gram")
    untrained = verdict_of(replace(ENDING, best_step=0, best=4.0))
    assert (
        "training did not help: the untrained model is the best (bpc 4.0000 against 2.5000 of 5-gram)"
        in untrained
    )


def test_json_is_valid_where_a_number_is_not_finite() -> None:
    stream = io.StringIO()
    JsonLines(stream).evaluated(standing(1, float("nan")), {"bpc": float("inf")}, None)

    def refuse(word: str) -> None:
        raise AssertionError(word)

    (event,) = [json.loads(line, parse_constant=refuse) for line in stream.getvalue().splitlines()]
    assert event["validation"] is None
    assert event["metrics"] == {"bpc": None}
