"""What a run prints: a bar on a terminal, a line per 10 s in a pipe, JSON lines, or nothing."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import IO, Any

from congru.runtime.plain_json import as_json
from congru.train.events import Ending, Reporter, Standing, Summary
from congru.train.settings import TrainSettings
from congru.train.wording import after_text, before_text, duration

SECONDS_PER_LINE = 10.0
SECONDS_PER_EVENT = 1.0
SAMPLE_LINES, LONGEST_LINE = 3, 110


class Quiet:
    """Prints nothing."""

    def before(self, summary: Summary) -> None:
        """Nothing."""

    def step(self, standing: Standing) -> None:
        """Nothing."""

    def evaluated(self, standing: Standing, metrics: dict[str, float], sample: str | None) -> None:
        """Nothing."""

    def say(self, event: str, text: str) -> None:
        """Nothing."""

    def after(self, ending: Ending) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class JsonLines(Quiet):
    """One JSON object per line: start, step (at most one a second), evaluation, messages, end."""

    def __init__(self, stream: IO[str], now: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._now = now
        self._last = -SECONDS_PER_EVENT

    def _write(self, event: str, **values: Any) -> None:
        self._stream.write(as_json({"event": event, **values}) + "\n")
        self._stream.flush()

    def before(self, summary: Summary) -> None:
        """Event ``start``."""
        settings = {key: {"value": value, "origin": origin} for key, value, origin in summary.settings}
        self._write("start", **{**asdict(summary), "settings": settings})

    def step(self, standing: Standing) -> None:
        """Event ``step``."""
        if self._now() - self._last >= SECONDS_PER_EVENT:
            self._last = self._now()
            self._write("step", **asdict(standing))

    def evaluated(self, standing: Standing, metrics: dict[str, float], sample: str | None) -> None:
        """Event ``evaluation``."""
        self._write("evaluation", **asdict(standing), metrics=metrics, sample=sample)

    def say(self, event: str, text: str) -> None:
        """The named event."""
        self._write(event, text=text)

    def after(self, ending: Ending) -> None:
        """Event ``end``."""
        self._write("end", **asdict(ending))


class Lines(Quiet):
    """Plain lines, at most one per 10 s while training runs."""

    def __init__(self, stream: IO[str], now: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._now = now
        self._last = now()
        self._summary: Summary | None = None

    def _print(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()

    def before(self, summary: Summary) -> None:
        """Settings, data and estimates."""
        self._summary = summary
        self._print(before_text(summary))

    def _due(self) -> bool:
        if self._now() - self._last < SECONDS_PER_LINE:
            return False
        self._last = self._now()
        return True

    def step(self, standing: Standing) -> None:
        """A line, if 10 s have passed."""
        if self._due():
            self._print(self._line(standing))

    def evaluated(self, standing: Standing, metrics: dict[str, float], sample: str | None) -> None:
        """A line and the sample, if 10 s have passed."""
        if self._due():
            self._print(self._line(standing))
            if sample:
                self._print(indented(sample))

    def _line(self, standing: Standing) -> str:
        return standing_text(standing, self._summary)

    def say(self, event: str, text: str) -> None:
        """A line at once."""
        self._print(text)

    def after(self, ending: Ending) -> None:
        """The closing table."""
        self._print(after_text(ending))


class Bar(Lines):
    """A bar that stays at the bottom of the terminal; samples scroll above it."""

    def __init__(self, stream: IO[str], now: Callable[[], float] = time.monotonic) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column

        super().__init__(stream, now)
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)
        words = TextColumn("{task.description}", markup=False, table_column=Column(overflow="fold"))
        self._progress = Progress(BarColumn(bar_width=20), words, console=self._console)
        self._task = self._progress.add_task("", total=1.0)

    def _print(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)

    def step(self, standing: Standing) -> None:
        """Move the bar."""
        self._progress.start()
        self._progress.update(self._task, completed=standing.fraction, description=self._line(standing))

    def evaluated(self, standing: Standing, metrics: dict[str, float], sample: str | None) -> None:
        """Move the bar and print the sample above it."""
        self.step(standing)
        if sample:
            self._print(f"step {standing.step}\n{indented(sample)}")

    def after(self, ending: Ending) -> None:
        """The closing table, below the bar."""
        self.close()
        super().after(ending)

    def close(self) -> None:
        """Stop drawing."""
        self._progress.stop()


def indented(sample: str) -> str:
    """The sample, at most three lines of it, set off from the other output; samples/ has it whole."""
    lines = [line for line in sample.splitlines() if line.strip()]
    return "\n".join(f"    | {line[:LONGEST_LINE]}" for line in lines[:SAMPLE_LINES])


def standing_text(standing: Standing, summary: Summary | None) -> str:
    """One line: share of the budget, step, loss, validation beside the best baseline, speed, time left."""
    parts = [f"{standing.fraction:4.0%}", f"step {standing.step}"]
    if math.isfinite(standing.loss):  # before the first step there is none
        parts.append(f"loss {standing.loss:.4f}")
    if summary is not None and standing.validation is not None:
        parts.append(f"{summary.metric} {standing.validation:.4f}")
        if summary.baselines:
            best = (min if summary.minimize else max)(
                summary.baselines, key=lambda name: summary.baselines[name]
            )
            parts.append(f"{best} {summary.baselines[best]:.4f}")
    parts.append(f"{standing.steps_per_second:.1f} steps/s")
    parts.append(f"{duration(standing.seconds_left)} left")
    return "  ".join(parts)


def make_reporter(settings: TrainSettings, first: bool, stream: IO[str] | None = None) -> Reporter:
    """The reporter that the settings and the kind of output ask for; silent on all but the first process."""
    stream = sys.stdout if stream is None else stream
    if settings.quiet or not first:
        return Quiet()
    if settings.json_lines:
        return JsonLines(stream)
    return Bar(stream) if stream.isatty() else Lines(stream)
