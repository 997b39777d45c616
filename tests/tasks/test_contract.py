"""What every task promises: train, stop and go on, load and stream without torch, inspect, one line for wrong input."""

from __future__ import annotations

import hashlib
import html
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contract_cases import CASES, Case
from safetensors.numpy import load as parse_tensors
from safetensors.numpy import save as format_tensors

import congru
from changed_folders import change_config
from congru.cli.main import main
from congru.errors import CongruError, DataError, ModelFolderError, SettingsError
from congru.runtime.answer import ANSWER
from congru.runtime.folder import config_sum, save_again
from congru.runtime.network import Network
from congru.tasks import TASKS, Task
from congru.tasks.registry import PARTS
from congru.train.folder import read_metrics
from congru.train.interrupt import TrainingInterrupted
from congru.train.summary import RunResult
from congru.train.trainer import Trainer

COMMON: dict[str, Any] = {"steps": 20, "evaluations": 2, "threads": 1, "quiet": True, "learning_rate": 0.01}


@dataclass(frozen=True)
class Trained:
    """A task, its case, and what training came to."""

    task: Task
    case: Case
    data: list[str]
    result: RunResult

    @property
    def out(self) -> Path:
        assert self.result.folder is not None
        return self.result.folder


@pytest.fixture(scope="module", params=sorted(CASES))
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    name = request.param.split()[0]
    folder, case, task = tmp_path_factory.mktemp(name), CASES[request.param], TASKS[name]
    data = case.data(folder)
    settings = {**COMMON, **case.settings, "out": folder / "run"}
    return Trained(task, case, data, task.train(*data, settings=settings))


def metrics(out: Path) -> list[tuple[int, str, str, float]]:
    return [(r.step, r.split, r.name, r.value) for r in read_metrics(out / "metrics.csv")]


def test_training_leaves_a_result_of_one_kind(trained: Trained) -> None:
    result = trained.result
    assert type(result) is RunResult
    assert (result.status, result.steps) == ("finished", 20)
    assert result.best is not None
    assert result.baselines
    assert list((trained.out / "samples").glob("step-*.txt"))
    report = (trained.out / "report.html").read_text()
    assert any(words in report for words in ("beats", "NOT beat", "training did not help"))
    assert re.search(r"On the validation data \([\d,]+ [a-z]+", report)  # how much of it was measured
    if trained.task.name == "forecast":  # days and a picture, not numbers of steps
        text, *_ = sorted((trained.out / "samples").glob("step-*.txt"))
        assert re.search(
            r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun) \d+ [A-Z][a-z][a-z] +[\d.]+ +[\d.]+", text.read_text()
        )
        assert "what came" in next((trained.out / "samples").glob("step-*-forecast.svg")).read_text()
    same = getattr(congru.tasks, trained.task.name).train
    assert same(*trained.data, **COMMON, **trained.case.settings, dry_run=True).status == "dry run"


def test_a_second_layer_is_built(trained: Trained) -> None:
    settings = {**COMMON, **trained.case.settings}
    counts = []
    for num_layers in (1, 2):
        chosen = trained.task.settings(**{**settings, "num_layers": num_layers})
        module = trained.task.make_learner(*trained.data, settings=chosen).module
        counts.append(sum(parameter.numel() for parameter in module.parameters()))
    assert counts[1] > counts[0]


def test_a_run_that_was_stopped_goes_on_bit_for_bit(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Trainer.step

    def stopping(self: Trainer, batch: Any, stop: Any) -> bool:
        stop.requested = self.state.step == 12
        return step(self, batch, stop)

    monkeypatch.setattr(Trainer, "step", stopping)
    settings = {**COMMON, **trained.case.settings, "out": tmp_path / "run"}
    with pytest.raises(TrainingInterrupted, match=f"congru train {trained.task.name} .* --resume"):
        trained.task.train(*trained.data, settings=settings)
    monkeypatch.undo()
    trained.task.train(*trained.data, settings={"out": tmp_path / "run", "resume": True, "quiet": True})
    assert metrics(tmp_path / "run") == metrics(trained.out)


def test_workers_change_no_number(trained: Trained, tmp_path: Path) -> None:
    settings = {**COMMON, **trained.case.settings, "out": tmp_path / "run", "workers": 1}
    trained.task.train(*trained.data, settings=settings)
    assert metrics(tmp_path / "run") == metrics(trained.out)


def next_words(trained: Trained) -> list[list[str]]:
    """The lines that training printed as what to type next: run, eval, inspect."""
    lines = json.loads((trained.out / "status.json").read_text())["next"]
    commands = [shlex.split(line)[1:] for line in lines]
    assert [words[0] for words in commands] == ["run", "eval", "inspect"]
    return commands


def test_it_runs_and_is_scored_without_torch(trained: Trained) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from congru.tasks import find_task\n"
        "import congru\n"
        f"task = find_task({trained.task.name!r})\n"
        f"assert congru.load({str(trained.out)!r}).task == task.name\n"
        f"task.use('run')({str(trained.out)!r}, **{trained.case.run!r})\n"
        f"scores = task.use('evaluate')({str(trained.out)!r}, *{trained.data!r}, quiet=True)\n"
        "assert len(scores) > 1, scores\n"
        "from congru.cli.main import main\n"
        f"for words in {[words for words in next_words(trained) if words[0] != 'inspect']!r}:\n"
        "    try: main(words)\n"
        "    except SystemExit as stop: assert stop.code == 0, words\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_one_rule_says_which_part_is_scored(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    """test, else validation; a source without parts is divided as in training, and never scored whole unasked."""

    def scores(part: str) -> tuple[dict[str, dict[str, float]], str]:
        capsys.readouterr()
        rows = trained.task.use("evaluate")(trained.out, *trained.data, part=part)
        printed = capsys.readouterr().out
        assert re.search(r"On the \w+ data \([\d,]+ [a-z]+", printed)
        return rows, printed.partition("\n")[0]

    whole, _ = scores("all")
    validation, line = scores("validation")
    assert "validation" in line
    assert validation != whole
    assert scores("train")[0] not in (validation, whole)
    expected = validation
    if trained.case.has_test:
        expected, line = scores("test")
        assert "test" in line
        assert expected not in (validation, whole)
    else:
        complaint = "has no test part, expected one of train, validation, all: pass --part validation"
        with pytest.raises(DataError, match=complaint):
            scores("test")
    assert trained.task.use("evaluate")(trained.out, *trained.data, quiet=True) == expected


def test_every_network_that_streams_gives_the_same_bits_in_random_chunks(trained: Trained) -> None:
    model = congru.load(trained.out)
    golden = parse_tensors((model.folder / "golden.safetensors").read_bytes())
    streaming = [
        name
        for name, network in model.networks.items()
        if network.graph.step_inputs and network.stream_problem() is None
    ]
    assert bool(streaming) == trained.case.streams
    for name in streaming:
        network = model.networks[name]
        inputs = {key: golden[f"{name}/input_0.{key}"] for key in network.graph.inputs}
        whole = run_in_chunks(network, inputs, [])
        rng = np.random.default_rng(0)
        for _ in range(5):
            cuts = sorted(rng.choice(np.arange(1, 5), rng.integers(1, 4), replace=False).tolist())
            for output, expected in zip(run_in_chunks(network, inputs, cuts), whole, strict=True):
                np.testing.assert_array_equal(output, expected)


def run_in_chunks(network: Network, inputs: dict[str, Any], cuts: list[int]) -> list[Any]:
    """The outputs of a network whose inputs of steps are cut at some steps, joined again."""
    steps = [name for name, spec in network.graph.inputs.items() if spec.axes == "steps"]
    length = inputs[steps[0]].shape[1]
    parts, state = [], None
    for begin, end in zip([0, *cuts], [*cuts, length]):
        piece = {name: x[:, begin:end] if name in steps else x for name, x in inputs.items()}
        out, state = network.run(next(iter(piece.values())) if len(piece) == 1 else piece, state)
        parts.append(list(out.values()) if isinstance(out, dict) else [out])
    return [np.concatenate(pieces, 1) for pieces in zip(*parts)]


def test_what_is_longer_than_a_files_name_is_read_or_refused_in_a_line(trained: Trained) -> None:
    message = ""
    try:
        _, labels = trained.task.use("inspect_inputs")(congru.load(trained.out), "1 e4 we " * 60)
    except CongruError as error:
        message, labels = str(error), []
    except OSError as error:
        message, labels = str(error), []
        path_only = ("music", "speech", "video")  # their source is never the text itself
        if trained.task.name not in path_only:
            raise
    assert "\n" not in message
    assert bool(labels) != bool(message)


def test_its_gates_are_inspected_with_its_own_labels(trained: Trained, tmp_path: Path) -> None:
    model = congru.load(trained.out)
    x, labels = trained.task.use("inspect_inputs")(model)
    record = congru.inspect(model, x, tokens=labels)
    assert record.check() <= 1e-5
    with pytest.raises(SystemExit) as stop:
        main([*next_words(trained)[-1], "-o", str(tmp_path / "gates.html")])
    assert stop.value.code == 0
    text = visible(tmp_path / "gates.html")
    assert not re.search(
        r"\boutput \d|\bsteps? \d|\d steps?\b|\brnn\b|\bdeviations\b|</?s>|\bNone\b|\bnan\b", text
    )
    assert "What it read" in text
    run = visible(trained.out / "report.html")
    assert not re.search(r"\boutput \d|\bdeviations\b|</?s>|\{\"|\bNone\b|\bnan\b", run)
    assert "data-k=" in (tmp_path / "gates.html").read_text(encoding="utf-8")


def visible(page: Path) -> str:
    """What a reader sees of a page: without script, style and tags."""
    text = re.sub(r"(?s)<!--.*?-->|<(style|script).*?</\1>", " ", page.read_text(encoding="utf-8"))
    return html.unescape(re.sub(r"<[^>]+>", " ", text))


def test_a_folder_that_answers_otherwise_than_in_training_is_refused(
    trained: Trained, tmp_path: Path
) -> None:
    model = congru.load(trained.out)
    assert ANSWER in model.files, f"{trained.task.name}: answer() gives nothing to replay"
    tensors = parse_tensors(model.files[ANSWER])
    changed = {n: v * 1.01 if n.startswith("output.") else v for n, v in tensors.items()}
    save_again(model, tmp_path / "other", {**model.files, ANSWER: format_tensors(changed)})
    with pytest.raises(ModelFolderError, match=r"answer.safetensors: the answer '.*' is off by"):
        trained.task.use("run")(tmp_path / "other", **trained.case.run)


def misfits(model: Path) -> Iterator[tuple[str, dict[str, Any], dict[str, bytes]]]:
    """Config and files of a model folder with one part that does not fit: as an older version, or a hand, may leave it."""
    config = json.loads((model / "config.json").read_text())
    files = {path.name: path.read_bytes() for path in model.iterdir() if path.name != "config.json"}
    settings = config["task_config"]
    for name, value in (("no setting", None), ("a setting of another kind", ["x"])):
        key = min(settings) if value is None else max(settings)
        kept = {k: v for k, v in settings.items() if k != key}
        yield (
            f"{name} {key}",
            {**config, "task_config": kept if value is None else {**kept, key: value}},
            files,
        )
    side = sorted(set(files) - {"model.safetensors", "golden.safetensors", "answer.safetensors", "README.md"})
    for name in side[-1:]:
        yield f"no {name}", config, {k: v for k, v in files.items() if k != name}
    network = min(config["networks"])
    networks = {("other" if k == network else k): v for k, v in config["networks"].items()}
    renamed = {
        file: format_tensors(
            {
                ("other" + name[len(network) :] if name.startswith(network + separator) else name): value
                for name, value in parse_tensors(files[file]).items()
            }
        )
        for file, separator in (("model.safetensors", "."), ("golden.safetensors", "/"))
    }
    yield f"another name for {network}", {**config, "networks": networks}, {**files, **renamed}


def test_a_folder_whose_parts_do_not_belong_together_is_one_line(trained: Trained, tmp_path: Path) -> None:
    """With every sum right: what it lacks is told, wherever the task first needs it."""
    use, refused = trained.task.use, list[str]()
    for what, config, files in misfits(congru.load(trained.out).folder):
        folder = tmp_path / what.replace(" ", "-")
        folder.mkdir()
        sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        config = {**config, "sha256": {"config.json": config_sum({**config, "sha256": {}}), **sums}}
        for name, content in {**files, "config.json": json.dumps(config).encode()}.items():
            (folder / name).write_bytes(content)
        try:
            use("run")(folder, **trained.case.run)
            model = congru.load(folder)
            trained.task.replay(model)
            use("inspect_inputs")(model)
            use("evaluate")(folder, *trained.data, quiet=True)
        except ModelFolderError as error:
            refused.append(str(error))
    assert len(refused) >= 2, trained.task.name
    assert not any("\n" in line for line in refused)


def test_wrong_input_is_one_line(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = trained.task.name
    with pytest.raises(CongruError) as caught:
        trained.task.train(*trained.case.bad(tmp_path), settings={**COMMON, **trained.case.settings})
    assert trained.case.complaint in str(caught.value)
    assert "\n" not in str(caught.value)
    missing = [str(tmp_path / "nothing-here") for _ in trained.data]
    for words in (missing, [*trained.data, "one-path-too-many"]):
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main(["train", name, *words, "--quiet"])
        assert stop.value.code == 2
        printed = capsys.readouterr()
        assert printed.err.count("\n") == 1
        assert words[-1] in printed.err or "paths, expected" in printed.err
    with pytest.raises(SettingsError, match="no_such_setting is 1, expected a known setting"):
        trained.task.train(*trained.data, settings={"no_such_setting": 1})


def test_a_model_of_another_task_is_refused(trained: Trained, tmp_path: Path) -> None:
    model = congru.load(trained.out)
    save_again(model, tmp_path / "other", model.files)
    change_config(tmp_path / "other", lambda config: config.update(task="another"))
    with pytest.raises(
        ModelFolderError, match=f"is a model of the task 'another', expected '{trained.task.name}'"
    ):
        trained.task.use("run")(tmp_path / "other", **trained.case.run)


def test_every_task_is_four_files_and_has_a_line_for_the_overview() -> None:
    assert {name.split()[0] for name in CASES} == set(TASKS)
    for task in TASKS.values():
        for part in PARTS:
            assert task.part(part).__doc__
        assert task.summary.endswith(".")
        assert set(getattr(task.part("use"), "COMMANDS", {})) == set(task.commands)
