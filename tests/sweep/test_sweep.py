"""Sweeps: every trial once, whoever dies; the median ends trials; the best is refitted; all of it goes on when started again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
import pytest
import toys
from toy import ToySettings

import congru
from congru.errors import RunFolderError, SettingsError, TrainingError
from congru.sweep import slots, storage, worker
from congru.sweep.outcome import better
from congru.sweep.plan import read_plan
from congru.sweep.slots import SLOT, counting, ended, trials_of
from congru.sweep.start import open_sweep, start
from congru.tasks.registry import TASKS
from congru.train.folder import read_status
from congru.train.interrupt import TrainingInterrupted
from congru.train.liveness import this_process
from congru.train.resolve import resolve
from congru.train.settings import ModelSettings
from forecast_cases import two_series

SPACE = "hidden_size: [4, 6]\nlearning_rate: {low: 0.001, high: 0.05, log: true}\n"


def begin(folder: Path, space: str = SPACE, trials: int | None = 3, refits: int = 0, **settings: Any) -> Path:
    space_file = folder.with_suffix(".yaml")
    space_file.write_text(space)
    chosen = {"steps": 3, "evaluations": 3, "quiet": True, "out": folder, **settings}
    resolved = resolve(ToySettings, chosen)[0]
    out = start(toys.make_learner, (), resolved, space=space_file, trials=trials, refit_seeds=refits)
    assert out is not None
    return out


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A sweep of 9 trials and 2 refits, and the lines it printed."""
    lines: list[str] = []
    out = begin(tmp_path_factory.mktemp("sweep") / "out", trials=9, refits=2)
    toys.opened(out, lines.append).run()
    return out, lines


def test_a_sweep_leaves_the_best_setting_its_refits_and_a_report(finished: tuple[Path, list[str]]) -> None:
    out, lines = finished
    result = json.loads((out / "result.json").read_text())
    assert [trial["place"] for trial in result["trials"]] == list(range(9))
    complete = [trial for trial in result["trials"] if trial["state"] == "complete"]
    assert result["best"] == min(trial["value"] for trial in complete)
    best = next(trial for trial in complete if trial["value"] == result["best"])
    assert result["settings"] == best["values"]
    assert len(set(result["refits"])) == 2
    first = result["trials"][0]["values"]  # the settings it started from
    assert first["hidden_size"] == 6
    assert first["learning_rate"] == ToySettings().learning_rate
    assert sum(line.startswith("trial ") for line in lines) == 9
    assert sum(line.startswith("refit ") for line in lines) == 2
    model = congru.load(out)
    assert model.config["networks"]["main"]["nodes"][0]["hidden_size"] == best["values"]["hidden_size"]


def test_the_report_shows_importance_and_all_trials(finished: tuple[Path, list[str]]) -> None:
    text = (finished[0] / "report.html").read_text()
    assert "Best of 9 trials" in text
    assert "2 other seeds" in text
    assert "PED-ANOVA" in text or "too few to say" in text
    lines = re.findall(r"<path d=\"M [^\"]*\" [^>]*stroke-opacity: 0.85", text) or re.findall(
        r"stroke-opacity: 0.85", text
    )
    complete = [
        t for t in json.loads((finished[0] / "result.json").read_text())["trials"] if t["state"] == "complete"
    ]
    assert len(lines) == len(complete)  # a line of the parallel coordinates for each


def test_the_best_setting_trains_again(finished: tuple[Path, list[str]]) -> None:
    result = json.loads((finished[0] / "result.json").read_text())
    settings, origin = resolve(ToySettings, {"config": finished[0] / "best.yaml"})
    assert settings.learning_rate == result["settings"]["learning_rate"]
    assert origin["learning_rate"].endswith("best.yaml")


def test_started_again_it_trains_only_what_is_missing(finished: tuple[Path, list[str]]) -> None:
    out, _ = finished
    before = read_plan(out)
    again = begin(out, trials=10, refits=2)
    lines: list[str] = []
    toys.opened(again, lines.append).run()
    assert [line for line in lines if line.startswith("trial")] == [
        line for line in lines if line.startswith("trial 9:")
    ]
    assert read_plan(out).name == before.name
    with pytest.raises(SettingsError, match=r"settings.steps is 7, expected 3 as in the sweep in .*out"):
        begin(out, trials=10, refits=2, steps=7)


def test_a_trial_that_cannot_be_trained_is_counted_and_named(tmp_path: Path) -> None:
    out = begin(tmp_path / "out", "hidden_size: [7, 4]\n", trials=4)
    lines: list[str] = []
    toys.opened(out, lines.append).run()
    trials = json.loads((out / "result.json").read_text())["trials"]
    failed = [trial for trial in trials if trial["state"] == "fail"]
    assert len(trials) == 4
    assert failed
    assert all(trial["error"].startswith("hidden_size is 7") for trial in failed)
    assert all(trial["values"]["hidden_size"] == 7 for trial in failed)
    nothing = begin(tmp_path / "none", "hidden_size: [7]\n", trials=2)
    with pytest.raises(TrainingError, match=r"none of 2 trials trained to the end.*hidden_size is 7"):
        toys.opened(nothing, lines.append).run()


def test_the_median_ends_a_trial_that_is_behind(tmp_path: Path) -> None:
    """Six trials with a good rate, then one with a rate so small that it cannot move."""
    space = "learning_rate: [0.05, 0.000000001]\n"
    out = begin(tmp_path / "out", space, trials=7, learning_rate=0.05, steps=8, evaluations=4)
    sweep = toys.opened(out, lambda line: None)
    fast, slow = sweep.space[0].labels
    slots.fill(sweep.study, 7, {slot: {"learning_rate": slow if slot == 6 else fast} for slot in range(7)})
    sweep.run()
    last = ended(sweep.study, 7)[6]
    assert last.state.name == "PRUNED"
    assert max(last.intermediate_values) < 4
    status = read_status(out / "trials" / "00006")
    assert status["state"] == "interrupted"
    assert "median of the other trials is ahead" in status["error"]


def test_a_search_by_time_ends_and_closes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = begin(tmp_path / "out", trials=None)
    sweep = toys.opened(out, lambda line: None)
    now = [0.0]
    monkeypatch.setattr(worker.time, "monotonic", lambda: now.append(now[-1] + 1.0) or now[-1])
    best = sweep.search(9.0)  # every look at the clock is a second
    assert best is not None
    assert sweep.study.user_attrs["seconds"] >= 9.0
    number = len(trials_of(sweep.study))
    assert 1 <= number <= 5
    toys.opened(out, lambda line: None).help_search()  # closed: a worker that comes late takes nothing
    assert len(trials_of(sweep.study)) == number
    assert sweep.search(9.0) is not None  # its time is spent
    assert len(trials_of(sweep.study)) == number


# Whoever dies


def running(sweep: worker.Sweep) -> Any:
    """A trial that a worker has taken, with its first sign of life."""
    trial = slots.take(sweep.study, sweep.storage)
    assert trial is not None
    sweep.storage.record_heartbeat(trial._trial_id)
    return trial


def dead_process() -> dict[str, Any]:
    child = subprocess.Popen(["true"])
    child.wait()
    return {**this_process(), "pid": child.pid, "started": 1}


def test_a_trial_of_a_dead_worker_is_queued_again_with_its_values(tmp_path: Path) -> None:
    sweep = toys.opened(begin(tmp_path / "out", trials=2))
    slots.fill(sweep.study, 2)
    lost, other = running(sweep), running(sweep)
    values = {dimension.name: dimension.suggest(lost) for dimension in sweep.space}
    storage.fail_trials_of_the_dead(sweep.study)
    assert all(trial.state.name == "RUNNING" for trial in sweep.study.trials)
    sweep.storage.set_trial_system_attr(lost._trial_id, "congru:process", dead_process())
    storage.fail_trials_of_the_dead(sweep.study)
    slots.fill(sweep.study, 2)
    slots.fill(sweep.study, 2)  # twice: nothing is queued twice
    assert Counter(trial.state.name for trial in sweep.study.trials) == {
        "FAIL": 1,
        "RUNNING": 1,
        "WAITING": 1,
    }
    again = slots.take(sweep.study, sweep.storage)
    assert again is not None
    assert again.user_attrs[SLOT] == lost.user_attrs[SLOT] != other.user_attrs[SLOT]
    assert {dimension.name: dimension.suggest(again) for dimension in sweep.space} == values
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):  # it was not dead after all: too late
        slots.tell(sweep.storage, lost._trial_id, "COMPLETE", 1.0)


def test_silence_is_noticed_from_another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = toys.opened(begin(tmp_path / "out", trials=1))
    slots.fill(sweep.study, 1)
    trial = running(sweep)
    sweep.storage.set_trial_system_attr(trial._trial_id, "congru:process", {"pid": 1, "host": "elsewhere"})
    now = [0.0]
    monkeypatch.setattr(storage.time, "monotonic", lambda: now[0])
    for seconds, state in ((0.0, "RUNNING"), (50.0, "RUNNING"), (61.0, "FAIL")):
        now[0] = seconds
        storage.fail_trials_of_the_dead(sweep.study)
        assert sweep.study.trials[0].state.name == state


def test_two_repairs_of_one_slot_count_once(tmp_path: Path) -> None:
    sweep = toys.opened(begin(tmp_path / "out", trials=1), lambda line: None)
    for _ in range(2):  # as two workers would at the same moment
        sweep.study.enqueue_trial({}, user_attrs={SLOT: 0})
    sweep.run()
    (trials,) = trials_of(sweep.study).values()
    assert [trial.state.name for trial in trials] == ["COMPLETE", "FAIL"]
    assert counting(trials) is trials[0]


def test_a_place_whose_workers_all_die_is_given_up(tmp_path: Path) -> None:
    sweep = toys.opened(begin(tmp_path / "out", trials=1))
    for _ in range(slots.MOST_ATTEMPTS):
        slots.fill(sweep.study, 1)
        trial = slots.take(sweep.study, sweep.storage)
        assert trial is not None
        slots.tell(sweep.storage, trial._trial_id, "FAIL")
    slots.fill(sweep.study, 1)
    assert slots.take(sweep.study, sweep.storage) is None
    assert ended(sweep.study, 1)[0].user_attrs["error"] == "its worker died 5 times"


def test_an_interrupted_trial_goes_back_into_the_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = toys.opened(begin(tmp_path / "out", trials=1), lambda line: None)

    def interrupted(*_: Any) -> None:
        raise TrainingInterrupted("congru train ...")

    with monkeypatch.context() as patched:
        patched.setattr(worker, "run_trial", interrupted)
        with pytest.raises(TrainingInterrupted):
            sweep.run()
    assert ended(sweep.study, 1) == []
    sweep.run()
    assert ended(sweep.study, 1)[0].state.name == "COMPLETE"


def test_a_killed_worker_loses_no_trial(tmp_path: Path) -> None:
    """kill -9 in the midst of a trial: the next worker trains it to its end, every other trial once."""
    out = begin(tmp_path / "out", trials=3, step_seconds=0.05, steps=40, evaluations=2, save_seconds=0.2)
    victim = subprocess.Popen([sys.executable, toys.__file__, str(out)], stdout=subprocess.DEVNULL)
    checkpoint = out / "trials" / "00000" / "last"
    deadline = time.monotonic() + 100
    while not any(checkpoint.glob("*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    sweep = toys.opened(out, lambda line: None)
    sweep.base.__dict__["step_seconds"] = 0.0
    sweep.run()
    by_slot = trials_of(sweep.study)
    assert sorted(by_slot) == [0, 1, 2]
    counts = [[trial.state.name for trial in trials] for trials in by_slot.values()]
    assert counts[0] == ["FAIL", "COMPLETE"]
    assert all(names in (["COMPLETE"], ["PRUNED"]) for names in counts[1:])
    assert "continue toy at step" in (out / "trials" / "00000" / "log.txt").read_text()


# Where they meet


def test_an_entry_that_a_kill_cut_off_is_removed(tmp_path: Path) -> None:
    sweep = toys.opened(begin(tmp_path / "out", trials=1))
    journal = tmp_path / "out" / storage.JOURNAL
    with open(journal, "ab") as file:
        file.write(b'{"op_code": 4, "worker')
    slots.fill(sweep.study, 1)
    assert len(toys.opened(tmp_path / "out").study.trials) == 1


def test_sqlite_on_a_network_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("/dev/vda / ext4 rw 0 0\nserver:/home /home nfs4 rw 0 0\n")
    assert storage.disk_of(Path("/home/me/x.db"), mounts) == "nfs4"
    assert storage.disk_of(Path("/homes/x.db"), mounts) == "ext4"
    monkeypatch.setattr(storage, "disk_of", lambda path: "nfs4")
    with pytest.raises(SettingsError, match="on a disk of type nfs4, where SQLite loses entries"):
        storage.open_storage(tmp_path, "sqlite:////home/me/x.db")


def test_a_database_is_a_meeting_place_too(tmp_path: Path) -> None:
    settings = resolve(ToySettings, {"steps": 4, "evaluations": 2, "quiet": True, "out": tmp_path / "out"})[0]
    address = f"sqlite:///{tmp_path / 'sweep.db'}"
    out = start(toys.make_learner, (), settings, trials=2, refit_seeds=1, storage=address)
    assert out is not None
    toys.opened(out, lambda line: None).run()
    assert len(json.loads((out / "result.json").read_text())["refits"]) == 1
    assert not (out / storage.JOURNAL).exists()
    with pytest.raises(SettingsError, match=r"storage is 'nothing://me:\.\.\.@there/x' .*leave it out"):
        storage.open_storage(tmp_path, "nothing://me:secret@there/x")


def test_folders_that_hold_no_sweep_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunFolderError, match="which holds files but no sweep"):
        begin(tmp_path, trials=1)
    with pytest.raises(RunFolderError, match="start one with congru sweep TASK DATA"):
        read_plan(tmp_path)
    (tmp_path / "sweep.json").write_text("{}")
    with pytest.raises(RunFolderError, match="holds no sweep"):
        read_plan(tmp_path)


def test_a_table_of_python_is_not_for_other_processes(tmp_path: Path) -> None:
    settings = resolve(ToySettings, {"quiet": True, "out": tmp_path / "out"})[0]
    out = start(lambda data, *, settings: toys.make_learner(settings=settings), (object(),), settings)
    assert out is not None
    with pytest.raises(congru.errors.DataError, match="searches over a table given in Python"):
        open_sweep(toys.make_learner, ToySettings, out)


def test_values_that_change_what_is_validated_are_refused(tmp_path: Path) -> None:
    out = begin(tmp_path / "out", trials=1)
    plan = json.loads((out / "sweep.json").read_text())
    plan["baselines"] = {name: value + 1.0 for name, value in plan["baselines"].items()}
    (out / "sweep.json").write_text(json.dumps(plan))
    with pytest.raises(TrainingError, match="hidden_size, learning_rate change what is validated"):
        toys.opened(out, lambda line: None).run()


def test_a_training_searches_its_settings_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``congru train forecast --search``: the run has the best values of the search beside it."""
    two_series().to_csv(tmp_path / "series.csv", index=False)
    chosen: dict[str, Any] = {"search": 0.02, "steps": 2, "evaluations": 1, "horizon": 3, "hidden_size": 8}
    chosen |= {"out": tmp_path / "run", "threads": 1}
    result = TASKS["forecast"].train(str(tmp_path / "series.csv"), settings=chosen)
    assert result.folder == tmp_path / "run"
    sweep = open_sweep(TASKS["forecast"].make_learner, TASKS["forecast"].settings, tmp_path / "run-search")
    best = better(list(sweep.study.trials), minimize=True)
    assert best is not None
    settings, _ = resolve(TASKS["forecast"].settings, {"config": tmp_path / "run" / "config.yaml"})
    assert settings.learning_rate == best.params["learning_rate"]
    assert "  # search" in (tmp_path / "run" / "config.yaml").read_text()
    assert "training with learning_rate" in capsys.readouterr().out
    with pytest.raises(SettingsError, match="search is 0, expected more than 0"):
        resolve(TASKS["forecast"].settings, {"search": 0})


def test_a_dry_run_says_the_space_and_writes_nothing(tmp_path: Path) -> None:
    lines: list[str] = []
    settings = resolve(ToySettings, {"dry_run": True, "out": tmp_path / "out"})[0]
    assert start(toys.make_learner, (), settings, say=lines.append) is None
    assert "hidden_size: {low: 1, high: 12, log: true}" in "\n".join(lines)
    assert not (tmp_path / "out").exists()
    assert ModelSettings().default_space().keys() == settings.default_space().keys()
