"""A speech corpus from nothing: digit strings spoken by the voices of espeak-ng, to try the whole task without any data.

    python -m congru.tasks.speech.voices digits
    congru train speech digits --epochs 30 --out digits-model
    congru eval digits-model digits --part test

Some voices are for training, others for validation, others for the test, so that the figures are about voices never heard.
espeak-ng is a program of the system (Debian: apt install espeak-ng); it is only called, nothing of it is in this package.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from congru.errors import CongruError, DataError, MissingPackageError

DIGITS = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")
VARIANTS = {
    "train": ("m1", "m2", "m3", "m4", "f1", "f2", "croak", "klatt"),
    "validation": ("m5", "f3"),
    "test": ("m7", "f4"),
}
"""Voice variants of espeak-ng by part."""


class Spoken(NamedTuple):
    """One recording to be made: its file, text, part, voice variant, words a minute and pitch (0 to 99)."""

    file: str
    text: str
    part: str
    variant: str
    words_a_minute: int
    pitch: int


def plan(counts: dict[str, int], longest: int, seed: int) -> list[Spoken]:
    """What is to be spoken: strings of 1 to `longest` digits, voices in turn, speed and pitch at random.

    >>> [one.part for one in plan({"train": 2, "test": 1}, 3, seed=0)]
    ['train', 'train', 'test']
    """
    rng, spoken = np.random.default_rng(seed), []
    for part, count in counts.items():
        for k in range(count):
            digits = rng.integers(10, size=int(rng.integers(1, longest + 1)))
            text = " ".join(DIGITS[digit] for digit in digits)
            variant = VARIANTS[part][k % len(VARIANTS[part])]
            speed, pitch = int(rng.integers(130, 191)), int(rng.integers(30, 71))
            spoken.append(Spoken(f"{part}/{k:04}.wav", text, part, variant, speed, pitch))
    return spoken


def speak(folder: Path, spoken: Sequence[Spoken]) -> None:
    """Let espeak-ng speak into WAV files, and write transcripts.tsv; a folder with other things in it is left alone.

    Raises:
        MissingPackageError: espeak-ng is not installed.
        DataError: the folder is not empty, or espeak-ng fails.
    """
    program = shutil.which("espeak-ng")
    if program is None:
        raise MissingPackageError("espeak-ng is not installed, expected by this demo: apt install espeak-ng")
    if folder.exists() and any(folder.iterdir()):
        raise DataError(f"{folder} is not empty, expected a new folder: name another")
    for part in {one.part for one in spoken}:
        (folder / part).mkdir(parents=True, exist_ok=True)

    def one(item: Spoken) -> None:
        options = ["-v", f"en+{item.variant}", "-s", str(item.words_a_minute), "-p", str(item.pitch)]
        command = [program, *options, "-w", str(folder / item.file), item.text.lower()]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode or not (folder / item.file).is_file():
            raise DataError(
                f"espeak-ng failed ({done.stderr.strip()[:80]}), expected a WAV file: update espeak-ng"
            )

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, spoken))
    lines = [f"{item.file}\t{item.text}\t{item.part}\t{item.variant}" for item in spoken]
    (folder / "transcripts.tsv").write_text("\n".join(["path\ttext\tsplit\tspeaker", *lines]) + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the corpus into a folder."""
    parser = argparse.ArgumentParser(prog="python -m congru.tasks.speech.voices", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", type=int, default=400)
    parser.add_argument("--validation", type=int, default=50)
    parser.add_argument("--test", type=int, default=100)
    parser.add_argument("--longest", type=int, default=4, help="most digits in a recording")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    counts = {"train": options.train, "validation": options.validation, "test": options.test}
    try:
        speak(options.folder, plan(counts, options.longest, options.seed))
    except CongruError as error:
        raise SystemExit(f"voices: {error}") from None
    print(f"{sum(counts.values())} recordings in {options.folder}; next:")
    print(f"  {shlex.join(['congru', 'train', 'speech', str(options.folder), '--out', 'digits-model'])}")


if __name__ == "__main__":
    main()
