"""The documentation is true: its code runs, its commands and flags exist, its links lead on, and what is made from the code is
current.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import re
import shlex
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import test_architecture as architecture
from chess_cases import write_games
from congru.cli.main import COMMANDS, main
from congru.data.registry import list_sets
from congru.runtime.graph import Graph
from congru.runtime.network import Network
from congru.runtime.nodes import NODES
from congru.tasks.registry import TASKS, own_commands
from pages.__main__ import PAGES
from pages.api import packages
from pages.drawing import EXTENSION
from pages.paths import DOCS, ROOT
from speech_cases import tones, write_corpus, write_wav
from video_cases import square, write_classes, write_video

NAMES = sorted(path.name for path in DOCS.glob("*.md"))
TEXTS = {
    **{f"docs/{name}": (DOCS / name).read_text() for name in NAMES},
    "README.md": (ROOT / "README.md").read_text(),
}
SMALL = {"steps": 2, "minutes": None, "epochs": None, "hidden_size": 8, "batch_size": 2, "evaluations": 1}
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINE_OF_HELP = re.compile(r"^\| ((?:`[^`]+`(?:, )?)+) \|", re.MULTILINE)


def blocks(text: str, *languages: str) -> list[tuple[str, str]]:
    """(language, code) of the fenced blocks, in order."""
    return [(language, code) for language, code in FENCE.findall(text) if language in languages]


@pytest.mark.parametrize("name", PAGES)
def test_pages_made_from_the_code_are_current(name: str) -> None:
    assert (DOCS / name).read_text() == PAGES[name](), "run: make pages"


# The drawing of the architecture


def drawn() -> tuple[dict[str, float], list[tuple[str, str]]]:
    """The height of every box, and the arrows."""
    picture = (DOCS / "architecture.svg").read_text()
    boxes = re.findall(r'data-box="(\w+)"><rect x="[\d.]+" y="([\d.]+)"', picture)
    return {name: float(y) for name, y in boxes}, re.findall(r'data-from="(\w+)" data-to="(\w+)"', picture)


def real_imports() -> set[tuple[str, str]]:
    """The parts of the package that import each other, as tests/test_architecture.py reads them."""
    pairs = set()
    for path in architecture.FILES:
        if path.parent == architecture.SOURCE and path.name in ("__init__.py", "__main__.py"):
            continue
        here = architecture.part_of(path)
        pairs |= {(here, module.split(".")[1]) for module in architecture.imported_modules(path)}
    return {(a, b) for a, b in pairs if a != b and b in architecture.LEVEL and "version" not in (a, b)}


def test_the_arrows_of_the_drawing_are_the_imports_of_the_package() -> None:
    heights, arrows = drawn()
    assert (ROOT / "core").is_dir()
    assert EXTENSION in arrows
    between = [arrow for arrow in arrows if arrow != EXTENSION]
    assert set(between) <= real_imports(), "an arrow without an import"
    below: dict[str, set[str]] = {}
    for name in sorted(heights, key=lambda name: -heights[name]):
        direct = {b for a, b in between if a == name}
        below[name] = direct | {deeper for b in direct for deeper in below[b]}
    missing = {(a, b) for a, b in real_imports() if b not in below[a]}
    assert not missing, "an import without a path of arrows"


def test_the_arrows_of_the_drawing_point_down_the_layers() -> None:
    heights, arrows = drawn()
    for above, under in arrows:
        assert heights[above] < heights[under]
        if (above, under) != EXTENSION:
            assert architecture.LEVEL[above] > architecture.LEVEL[under]


# Commands, names and nodes


def flags_of(heading: str) -> set[str]:
    """The first words of the table under a heading of docs/commands.md."""
    section = re.search(
        rf"^##+ {re.escape(heading)}$(.*?)(?=^##|\Z)", TEXTS["docs/commands.md"], re.MULTILINE | re.DOTALL
    )
    assert section is not None, f"docs/commands.md has no section {heading!r}"
    return {flag for cell in LINE_OF_HELP.findall(section[1]) for flag in re.findall(r"`([^`]+)`", cell)}


def test_every_command_has_its_section() -> None:
    groups = {"bench": ("memory",), "data": ("list", "get")}
    for name in {*COMMANDS, *own_commands(TASKS.values())}:
        for inner in groups.get(name, ("",)):
            flags_of(f"congru {name} {inner}".strip())


@pytest.mark.parametrize("name", TASKS)
def test_every_setting_of_a_task_is_a_flag_of_the_page_and_no_other(name: str) -> None:
    listed = flags_of("congru train") | flags_of(f"congru train {name}")
    named = TASKS[name].settings.model_fields
    aliases = {field.alias for field in named.values() if field.alias}
    fields = {f"--{field.replace('_', '-')}" for field in {*named, *aliases}}
    assert listed == fields
    for command, part in (("run", "run"), ("eval", "evaluate")):
        keywords = inspect.signature(TASKS[name].use(part)).parameters.values()
        unnamed = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL)
        count = sum(keyword.kind not in unnamed for keyword in keywords)
        assert len({flag for flag in flags_of(f"congru {command}: {name}") if flag.startswith("--")}) == count


def test_the_reference_holds_every_public_name() -> None:
    page = TEXTS["docs/api.md"]
    for package in packages():
        for name in importlib.import_module(package).__all__:
            full = f"{package}.{name}"
            assert f'heading: "{full}"' in page or f"### `{full}`\n" in page, (
                f"run: make pages ({full} is missing)"
            )


def test_every_entry_of_the_reference_names_something_with_a_docstring() -> None:
    entries = re.findall(r"^::: ([\w.]+)$", TEXTS["docs/api.md"], re.MULTILINE)
    assert len(entries) == len(set(entries)) > 30
    for path in entries:
        parts, owner = path.split("."), None
        for cut in range(len(parts) - 1, 0, -1):
            try:
                owner = importlib.import_module(".".join(parts[:cut]))
            except ImportError:
                continue
            break
        for part in parts[cut:]:
            owner = getattr(owner, part)
        assert inspect.getdoc(owner), path


def test_docstrings_become_markdown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "griffe", SimpleNamespace(Extension=object, Object=object))
    spec = importlib.util.spec_from_file_location("roles_of_pages", ROOT / "pages" / "roles.py")
    assert spec is not None
    assert spec.loader is not None
    roles = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(roles)
    text = 'See :meth:`~congru.runtime.Session.step`, "task.<name>", `<kept>` and w[l][d].\n\n    y = <x>\n\n>>> f(1)\n2\n\nEnd.'
    assert roles.as_markdown(text) == (
        'See `step`, "task.&lt;name>", `<kept>` and w[l]\\[d].\n\n    y = <x>\n\n\n```pycon\n>>> f(1)\n2\n```\n\nEnd.'
    )


def random_run(config: dict[str, Any]) -> Any:
    """The output of a network with random weights for random inputs of two rows."""
    graph, rng = Graph(config), np.random.default_rng(0)
    weights = {
        name: rng.standard_normal(shape).astype(np.float32) for name, shape in graph.weight_shapes.items()
    }
    inputs = {}
    for name, spec in graph.inputs.items():
        lead = {"steps": (2, 5), "row": (2,), "memory": (2, 4)}[spec.axes]
        shape = (*lead, *spec.size)
        inputs[name] = rng.integers(0, min(spec.tokens), shape) if spec.tokens else rng.standard_normal(shape)
    return Network(config, weights).run(inputs)[0]


def test_every_network_of_the_pages_runs_and_every_node_type_has_one() -> None:
    seen: set[str] = set()
    for text in TEXTS.values():
        for _, code in blocks(text, "json"):
            config = json.loads(code)
            output = random_run(config)
            assert np.isfinite(next(iter(output.values())) if isinstance(output, dict) else output).all()
            seen |= {placed.node.type for placed in Graph(config).placed}
    assert seen == set(NODES)


# Links and navigation


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_on(name: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", TEXTS[f"docs/{name}"])):
        if target.startswith("http"):
            continue
        page, _, anchor = target.partition("#")
        assert not page or (DOCS / page).exists(), f"{name} links to {target}"
        if anchor:
            assert anchor in anchors(TEXTS[f"docs/{page or name}"]), f"{name} links to {target}"


def test_every_page_is_in_the_navigation_and_in_the_index() -> None:
    navigation = set(re.findall(r'= "([\w.]+\.md)"', (ROOT / "zensical.toml").read_text()))
    assert navigation == set(NAMES)
    assert {"index.md", *re.findall(r"\]\((\w+\.md)\)", TEXTS["docs/index.md"])} == set(NAMES)


# Code blocks


def shorten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every training of this process: a few steps of a tiny model, whatever it asks for."""
    from congru.contest import contest
    from congru.train import resolve

    whole, measure = resolve.resolve, contest.measure

    def small(*arguments: Any, **keywords: Any) -> Any:
        settings, origin = whole(*arguments, **keywords)
        return settings.model_copy(update=SMALL), origin

    def short(settings: Any, **keywords: Any) -> Any:
        update = {
            "steps": 2,
            "minutes": None,
            "lags": (6,),
            "hidden_size": 4,
            "batch_size": 2,
            "learning_rates": (0.01,),
        }
        return measure(settings.model_copy(update=update), **keywords)

    monkeypatch.setattr(resolve, "resolve", small)
    monkeypatch.setattr(contest, "measure", short)


def write_files(folder: Path) -> None:
    """The files that the pages speak of: a text, a table of daily weather, later rows of it."""
    verse = "ROMEO:\nBut, soft! what light through yonder window breaks?\nO joy, a woe, and Juliet is the sun.\n\n"
    (folder / "shakespeare.txt").write_text(verse * 40)
    days = np.arange("2014-06-01", "2016-01-08", dtype="datetime64[D]")
    values = (
        10
        + 8 * np.sin(2 * np.pi * np.arange(len(days)) / 365)
        + np.random.default_rng(0).normal(0, 2, len(days))
    )
    lines = [f"Seattle,{day},{value:.1f}" for day, value in zip(days, values)]
    (folder / "weather.csv").write_text("\n".join(["unique_id,ds,y", *lines[:-7]]) + "\n")
    write_games(folder / "games.pgn", 60)
    write_games(folder / "new-games.pgn", 3, seed=1)
    reviews = [
        f'"a {word} film, number {k}",{label}'
        for k in range(20)
        for word, label in (("fine", "pos"), ("dull", "neg"))
    ]
    for name in ("reviews.csv", "more-reviews.csv"):
        (folder / name).write_text("\n".join(["text,label", *reviews]) + "\n")
    sides = ("train.de", "ein {} .", ("hund", "mann")), ("train.en", "a {} .", ("dog", "man"))
    for name, sentence, words in sides:
        for part in (name, name.replace("train", "test")):
            (folder / part).write_text("".join(f"{sentence.format(words[k % 2])}\n" for k in range(8)))
    letters = "CDEFGABc"
    tunes = [
        f"X:{n}\nK:C\n{''.join(letters[(n + k * (1 + n % 3)) % 8] for k in range(16))}|\n" for n in range(20)
    ]
    (folder / "tunes.abc").write_text("\n".join(tunes))
    (folder / "melody.abc").write_text("X:1\nL:1/4\nK:C\ncdef|gfed|\n")
    (folder / "new.csv").write_text("\n".join(["unique_id,ds,y", *lines[-7:]]) + "\n")
    write_classes(folder / "clips", 4)
    write_corpus(folder / "recordings", ["A", "B", "A B", "B A"] * 3)
    write_wav(folder / "order.wav", tones("A B"))
    write_video(folder / "new.mp4", square(6, rightward=True))


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of the pages and the trained model that several of them begin with."""
    folder = tmp_path_factory.mktemp("pages")
    write_files(folder)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        shorten(monkeypatch)
        TASKS["text"].train("shakespeare.txt", settings={"out": "romeo", "quiet": True})
    return folder


def run_command(line: str) -> None:
    """Run `congru ...`; of make and data only the names are looked up, since they install and fetch."""
    words = shlex.split(line)
    if words[0] == "make":
        targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert words[1] in targets
    elif words[:3] == ["congru", "data", "get"]:
        assert words[3] in {entry.name for entry in list_sets()}
    else:
        assert words[0] == "congru"
        with pytest.raises(SystemExit) as stop:
            main(words[1:])
        assert stop.value.code == 0, line


@pytest.mark.parametrize("name", [name for name, text in TEXTS.items() if blocks(text, "python", "sh")])
def test_the_code_of_a_page_runs(
    name: str,
    started: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "here"
    code_of_page = blocks(TEXTS[name], "python", "sh")
    trains_it = re.search(r'out[= ]"?romeo', "".join(code for _, code in code_of_page))
    shutil.copytree(started, folder, ignore=shutil.ignore_patterns("romeo") if trains_it else None)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["congru"])
    shorten(monkeypatch)
    namespace: dict[str, Any] = {"__name__": "page"}
    for language, code in code_of_page:
        if language == "python":
            for trained in {"romeo", "weather"} & set(re.findall(r'out="(\w+)"', code)):
                shutil.rmtree(trained, ignore_errors=True)  # an earlier block of the page trained it already
            exec(compile(code, name, "exec"), namespace)
            continue
        for line in code.strip().splitlines():
            run_command(line)


def test_commands_within_sentences_exist() -> None:
    for name, text in TEXTS.items():
        for line in re.findall(r"`congru ([^`]+)`", FENCE.sub("", text)):
            if name == "docs/commands.md":
                continue
            words = line.split()
            command = next(iter(words))
            assert command in {*COMMANDS, *own_commands(TASKS.values())} or command.startswith(
                ("COMMAND", "-")
            ), line
            known = set(re.findall(r"`(--?[\w-]+)`", TEXTS["docs/commands.md"])) | {"--help"}
            assert {word for word in words if re.match(r"--?[a-z]", word)} <= known, f"{name}: {line}"
