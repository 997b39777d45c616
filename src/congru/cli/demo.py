"""`congru demo TASK`: a few commands in a row, printed as one would type them, that show what a task can do in minutes.

`congru demo` alone is the demo of forecasts, see :mod:`congru.cli.weather`.
"""

from __future__ import annotations

import importlib
import importlib.util
import shlex
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from cyclopts import App, Parameter

from congru.cli.weather import way_to_the_path, weather
from congru.errors import DataError, require

app = App(name="demo", help="See in minutes what a task can do: data, training, use, gates.")


@dataclass(frozen=True)
class Demo:
    """Commands in a row. In them {data} is the set's folder, {out} the demo's own folder, {minutes} the time to train."""

    about: str
    lines: tuple[str, ...]
    data: str | None = None
    """A name of `congru data`."""
    seconds: float = 150
    files: Mapping[str, str] = field(default_factory=dict)
    """What is written into {out} first: name -> text."""


CITIES = ("Rome", "Oslo", "New York", "Lima", "Cairo", "Delhi", "San Juan", "Bern")
DISHES = ("soup", "rice", "pizza", "green tea", "bread", "fish", "pasta", "cake")
REQUESTS = [
    *(f"weather\twhat is the weather in [{city}](city) now" for city in CITIES),
    *(f"travel\tbook a flight to [{city}](city) please" for city in CITIES),
    *(f"order\ti want to eat [{dish}](dish) today" for dish in DISHES),
    *(f"greet\t{words}" for words in ("hello", "hi there", "good morning", "good evening", "hey you")),
    *(f"greet\t{words} my friend" for words in ("hello", "good day", "hi")),
    *(f"bye\t{words}" for words in ("goodbye", "see you", "bye bye", "until tomorrow", "farewell")),
    *(f"bye\t{words} for now" for words in ("goodbye", "bye", "that is all")),
]

DEMOS = MappingProxyType(
    {
        "text": Demo(
            "Plays of Shakespeare, 1.1 million characters. The model learns spelling, verse and who speaks; not sense.",
            (
                "congru train text tinyshakespeare --minutes {minutes} --out {out}/model",
                "congru run {out}/model --prompt 'ROMEO:' --n 300 --temperature 0.8 --seed 1",
                "congru inspect {out}/model --out {out}/gates.html",
            ),
            data="tinyshakespeare",
        ),
        "chess": Demo(
            "Games of 20 masters train the model. Then a father and his son meet it: two invented players, whose games a"
            " script makes. It learns what people play, not what is best.",
            (
                "congru train chess {data} --hidden-size 256 --minutes {minutes} --validation-games 150 --out {out}/model",
                "python -m congru.tasks.chess.story {out}/model {out} --games 16 --rounds 20",
                "congru run {out}/family --white 'Father, The' --black 'Son, The'"
                " --moves 'e4 c5 Nf3' --top 3",
                "congru report {out}/family {out}/earlier.pgn --player 'Son, The' --versus 'Father, The' -o {out}/son.html",
                "congru inspect {out}/family {out}/last.pgn --out {out}/gates.html",
            ),
            data="pgnmentor20",
            seconds=120,
        ),
        "sentiment": Demo(
            "Sentences of film reviews (Stanford Sentiment Treebank), good or bad. It reads short opinions in English; irony"
            " escapes it.",
            (
                "congru train sentiment {data} --rename 0=negative --rename 1=positive --minutes {minutes} --out {out}/model",
                "congru run {out}/model --text 'a gorgeous , witty and tender film'",
                "congru run {out}/model --text 'the plot is thin , but the actors make up for it'",
                "congru eval {out}/model {data}",
                "congru inspect {out}/model 'the plot is thin , but the actors make up for it' --out {out}/gates.html",
            ),
            data="sst2",
        ),
        "assistant": Demo(
            "Five intents in 40 invented sentences. Cities and dishes it never saw are found by their place in the sentence;"
            " what it does not know it says.",
            (
                "congru train assistant {out}/requests.txt --validation 0.25 --minutes {minutes} --out {out}/model",
                "congru run {out}/model --text 'what is the weather in Tokyo now'",
                "congru run {out}/model --text 'book a flight to Quito please'",
                "congru run {out}/model --text 'colourless green ideas sleep furiously'",
                "congru inspect {out}/model 'book a flight to Quito please' --out {out}/gates.html",
            ),
            seconds=30,
            files={"requests.txt": "\n".join(REQUESTS) + "\n"},
        ),
        "translate": Demo(
            "French sentences and their English translations (Tatoeba): short ones of daily life, and so are those that it"
            " translates.",
            (
                "congru train translate {pairs} --source-column 2 --target-column 1 --hidden-size 128 --embedding-size 128"
                " --vocab-size 4000 --max-tokens 16 --batch-size 64 --learning-rate 0.003 --max-validation 300 --evaluations 4"
                " --threads 1 --minutes {minutes} --out {out}/model",
                "congru run {out}/model 'Il fait froid ce matin.' --beam 5 --best 3 --attention",
                "congru run {out}/model 'Où est la gare ?'",
                "congru inspect {out}/model 'Où est la gare ?' --out {out}/gates.html",
            ),
            data="tatoeba_fra_eng",
            seconds=180,
        ),
        "speech": Demo(
            "Strings of digits spoken by the voices of espeak-ng, some to learn from, others to be tested with. Real voices"
            " differ more than these: it shows the way, not the quality.",
            (
                "python -m congru.tasks.speech.voices {out}/digits",
                "congru train speech {out}/digits --hidden-size 128 --num-layers 1 --conv-size 128 --kernel 9 --look-ahead 4"
                " --learning-rate 0.004 --minutes {minutes} --out {out}/model",
                "congru eval {out}/model {out}/digits --part test",
                "congru run {out}/model {out}/digits/test/0001.wav --times",
                "congru inspect {out}/model {out}/digits/test/0001.wav --out {out}/gates.html",
            ),
        ),
        "music": Demo(
            "Four-part chorales by Bach. The model learns which chord may follow which, and where voices move; a plan for a"
            " whole piece it does not have.",
            (
                "congru train music {chorales} --minutes {minutes} --out {out}/model",
                "congru run {out}/model --bars 8 --temperature 0.8 --seed 1 --beside {chorales}"
                " --out {out}/chorale.mid --out {out}/chorale.wav --out {out}/chorale.svg",
                "congru inspect {out}/model --out {out}/gates.html",
            ),
            data="boulanger",
        ),
        "video": Demo(
            "Clips of a moving digit, made from MNIST: eight directions, which no single frame shows. The pictures are small"
            " and clean; films of people need more data and time.",
            (
                "congru train video {data} --moving-digits direction --streaming --height 32 --width 32 --made-clips 800"
                " --shift 0.05 --learning-rate 0.004 --minutes {minutes} --out {out}/model",
                "congru eval {out}/model {data}",
                "congru inspect {out}/model --out {out}/gates.html",
            ),
            data="mnist10k",
        ),
    }
)
BACH, CHORALES, PAIRS = "music21:bach", "JSB_Chorales.mat", "fra.txt"


@app.default
def demo(
    task: Literal[
        "forecast", "assistant", "chess", "music", "sentiment", "speech", "text", "translate", "video"
    ]
    | None = None,
    *,
    seconds: Annotated[
        float | None,
        Parameter(help="Training time: of all, or in the forecast's demo of each of six models."),
    ] = None,
    out: Annotated[Path | None, Parameter(help="Folder to write; default: a new one under runs/.")] = None,
    setup_seconds: Annotated[float | None, Parameter(help="Time that set-up took, to be printed.")] = None,
) -> int:
    """Show a task on real data, or on data that are made and said to be: training, use, gates.

    Parameters
    ----------
    task:
        Which one; default: forecast, three cells on a year of weather.
    """
    if task is None or task == "forecast":
        return weather(15.0 if seconds is None else seconds, out, setup_seconds)
    require("torch", "train")
    return play(task, DEMOS[task], seconds, out)


def play(task: str, shown: Demo, seconds: float | None, out: Path | None) -> int:
    """Go through the lines of a demo, each printed before it runs; the exit status of the first that fails."""
    from congru.train.folder import next_free

    began = time.perf_counter()
    folder = next_free(Path("runs"), f"demo-{task}") if out is None else out
    if folder.exists() and any(folder.iterdir()):
        raise DataError(f"--out is '{folder}', which is not empty, expected a new folder: name another")
    print(shown.about)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in shown.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    for line in lines_of(shown, folder, seconds):
        print(f"\n$ {line}", flush=True)
        status = run_line(line)
        if status:
            return status
    print(f"\n{time.perf_counter() - began:.0f} s in all; what was written lies in {folder}:")
    print("  " + "  ".join(sorted(path.name for path in folder.iterdir())))
    activate = way_to_the_path()
    if activate:
        print(f"to type such lines yourself, first: {activate}")
    return 0


def lines_of(shown: Demo, folder: Path, seconds: float | None = None) -> list[str]:
    """The lines as they are to be typed; a set that is not at hand is downloaded."""
    from congru.data.registry import get

    values = {"out": shlex.quote(str(folder)), "minutes": f"{(seconds or shown.seconds) / 60:.3g}"}
    bach = importlib.util.find_spec("music21") is not None
    if shown.data is not None and not (shown.data == "boulanger" and bach):
        data = get(shown.data, lambda url: print(f"downloading {url}", file=sys.stderr))
        values["data"] = shlex.quote(str(data))
    values["chorales"] = BACH if bach else f"{values.get('data')}/{CHORALES}"
    pairs = f"{values.get('data')}/{PAIRS}"
    values["pairs"] = (
        pairs if Path(pairs).exists() else f"{pairs}.gz"
    )  # a copy below CONGRU_DATA may be packed
    return [line.format(**values) for line in shown.lines]


def run_line(line: str) -> int:
    """Run one line in this process, and give its exit status: `congru ...`, or `python -m MODULE ...`."""
    program, *words = shlex.split(line)
    try:
        if program == "congru":
            from congru.cli.main import main

            main(words)
        else:
            importlib.import_module(words[1]).main(words[2:])
    except SystemExit as stopped:
        if isinstance(stopped.code, str):
            print(stopped.code, file=sys.stderr)
            return 2
        return stopped.code or 0
    return 0
