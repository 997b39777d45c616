"""A run followed elsewhere too: TensorBoard and MLflow hear the same events as the screen.

    congru train text shakespeare.txt --track tensorboard --track mlflow

TensorBoard reads `OUT/tensorboard`. MLflow gets settings, metrics, the verdict and the model folder, where
MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME say.
Neither is begun before the first number, so that a run that is refused leaves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from congru.errors import require
from congru.train.events import Ending, Reporter, Standing, Summary
from congru.train.progress import Quiet
from congru.train.wording import verdict_of

ROWS = 500  # of training loss, over the whole budget


class Tracker(Quiet):
    """Hears a run's events and passes on numbers: training loss and speed now and then, every evaluation."""

    def __init__(self) -> None:
        self._summary: Summary | None = None
        self._begun = False

    def before(self, summary: Summary) -> None:
        """What the run is."""
        self._summary = summary

    def step(self, standing: Standing) -> None:
        """Training loss and speed, where it is their turn."""
        every = max(1, self._run.num_steps // ROWS)
        if standing.step % every == 0:
            numbers = {"train/loss": standing.loss, "train/steps_per_second": standing.steps_per_second}
            self._started().numbers(standing.step, numbers)

    def evaluated(self, standing: Standing, metrics: dict[str, float], sample: str | None) -> None:
        """The validation metrics."""
        numbers = {f"validation/{name}": value for name, value in metrics.items()}
        self._started().numbers(standing.step, numbers)
        if sample:
            self.text(standing.step, sample)

    @property
    def _run(self) -> Summary:
        assert self._summary is not None
        return self._summary

    def _started(self) -> Tracker:
        if not self._begun:
            self._begun = True
            self.begin(self._run)
        return self

    def begin(self, summary: Summary) -> None:
        """The first number comes next."""
        raise NotImplementedError

    def numbers(self, step: int, values: dict[str, float]) -> None:
        """Numbers by name at a step."""
        raise NotImplementedError

    def text(self, step: int, sample: str) -> None:
        """A sample at a step."""


class TensorBoard(Tracker):
    """Curves, samples and settings in `OUT/tensorboard`, written by the package tensorboardX."""

    def __init__(self) -> None:
        super().__init__()
        self._package = require("tensorboardX", "tensorboard")
        self._writer: Any = None

    def begin(self, summary: Summary) -> None:
        """Open the writer and note the settings."""
        self._writer = self._package.SummaryWriter(str(Path(summary.out, "tensorboard")))
        rows = "\n".join(f"| {name} | {value} | {origin} |" for name, value, origin in summary.settings)
        self._writer.add_text("settings", f"| setting | value | origin |\n|---|---|---|\n{rows}", 0)

    def numbers(self, step: int, values: dict[str, float]) -> None:
        """One point on each curve."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def text(self, step: int, sample: str) -> None:
        """The sample as it is."""
        self._writer.add_text("sample", f"```\n{sample}\n```", step)

    def after(self, ending: Ending) -> None:
        """The verdict."""
        if self._writer is not None:
            self._writer.add_text("verdict", verdict_of(ending), ending.steps)

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class Mlflow(Tracker):
    """A run of MLflow: parameters, metrics, the verdict as a tag, the model folder as an artifact."""

    def __init__(self) -> None:
        super().__init__()
        self._package: Any = require("mlflow", "mlflow")
        self._open = False

    def begin(self, summary: Summary) -> None:
        """Start MLflow's run and note the settings."""
        out = Path(summary.out)
        self._package.start_run(run_name=f"{summary.task} {out.name}")
        self._open = True
        self._package.set_tags({"task": summary.task, "folder": str(out.resolve())})
        self._package.log_params({name: str(value) for name, value, _ in summary.settings})

    def numbers(self, step: int, values: dict[str, float]) -> None:
        """The metrics of a step."""
        self._package.log_metrics(values, step=step)

    def after(self, ending: Ending) -> None:
        """The verdict, the best value and the model."""
        if self._open:
            self._package.set_tags({"verdict": verdict_of(ending), "status": ending.status})
            if ending.best is not None:
                self._package.log_metrics({f"best/{ending.metric}": ending.best}, step=ending.best_step)
            self._package.log_artifacts(str(Path(ending.out, "model")), "model")
            self._end("FINISHED")

    def close(self) -> None:
        """End a run that did not come to its end."""
        if self._open:
            self._end("KILLED")

    def _end(self, status: str) -> None:
        self._open = False
        self._package.end_run(status)


TRACKERS: dict[str, Callable[[], Tracker]] = {"tensorboard": TensorBoard, "mlflow": Mlflow}


class Several(Quiet):
    """Passes every event on to several reporters."""

    def __init__(self, reporters: Sequence[Reporter]) -> None:
        self.reporters = reporters

    def before(self, summary: Summary) -> None:
        """To each."""
        for reporter in self.reporters:
            reporter.before(summary)

    def step(self, standing: Standing) -> None:
        """To each."""
        for reporter in self.reporters:
            reporter.step(standing)

    def evaluated(self, standing: Standing, metrics: dict[str, float], sample: str | None) -> None:
        """To each."""
        for reporter in self.reporters:
            reporter.evaluated(standing, metrics, sample)

    def say(self, event: str, text: str) -> None:
        """To each."""
        for reporter in self.reporters:
            reporter.say(event, text)

    def after(self, ending: Ending) -> None:
        """To each."""
        for reporter in self.reporters:
            reporter.after(ending)

    def close(self) -> None:
        """Each."""
        for reporter in self.reporters:
            reporter.close()


def with_trackers(reporter: Reporter, names: Sequence[str]) -> Reporter:
    """A reporter, and beside it the trackers by name.

    Raises :class:`congru.errors.MissingPackageError` where a tracker's package is not installed.
    """
    return Several([reporter, *(TRACKERS[name]() for name in dict.fromkeys(names))]) if names else reporter
