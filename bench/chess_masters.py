"""Writes the games that the network of the column "with masters" learns from: pgnmentor20, and with its training part the
games of the set masters.

Left out of masters: its validation part, games near one of pgnmentor20's training games (they would count twice), and the games
of the twelve players whom `bench.chess_model` takes as new ones. A game is near another if all moves agree, or the first 40 plies
agree and the lengths differ by at most 2 plies, or both players' keys and the first 20 plies agree.

    CONGRU_DATA=FOLDER python -m bench.chess_masters GAMES.tsv.gz
    congru train chess GAMES.tsv.gz --minutes 100 --out RUN
    CONGRU_DATA=FOLDER python -m bench.chess_model RUN --with-masters GAMES.tsv.gz
"""

from __future__ import annotations

import argparse
import gzip
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.data import data_root

NEW_PLAYERS, FITTED, SCORED = 12, 20, 40
_WHITE, _BLACK, _MOVES = 1, 2, -1


def games_table(name: str) -> tuple[str, list[str]]:
    """The header and the lines of one of the two sets."""
    with gzip.open(data_root("chess") / name / "games.tsv.gz", "rt", encoding="utf-8") as file:
        header, *lines = file.read().splitlines()
    return header, lines


def keys_of(lines: Iterable[str]) -> list[list[str]]:
    """The keys of White and Black, line by line."""
    return [line.split("\t", 3)[_WHITE:3] for line in lines]


def new_keys(known_lines: list[str], lines: list[str]) -> list[str]:
    """Twelve players of masters, drawn by lot, of whom pgnmentor20 has no game, with 60 to 400 games each."""
    known = {key for pair in keys_of(known_lines) for key in pair}
    counts = Counter(key for pair in keys_of(lines) for key in pair)
    fresh = sorted(
        key for key, count in counts.items() if key not in known and FITTED + SCORED <= count <= 400
    )
    chosen: list[str] = (
        np.random.default_rng(0).choice(fresh, min(NEW_PLAYERS, len(fresh)), replace=False).tolist()
    )
    return chosen


class Near:
    """Which games are near one of some games."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lengths: dict[str, set[int]] = {}
        self.openings: set[tuple[str, str, str]] = set()
        for line in lines:
            white, black, moves = self._parts(line)
            self.lengths.setdefault(" ".join(moves[:40]), set()).add(len(moves))
            self.openings.add((white, black, " ".join(moves[:20])))

    @staticmethod
    def _parts(line: str) -> tuple[str, str, list[str]]:
        columns = line.split("\t")
        return columns[_WHITE], columns[_BLACK], columns[_MOVES].split()

    def __contains__(self, line: str) -> bool:
        white, black, moves = self._parts(line)
        lengths = self.lengths.get(" ".join(moves[:40]), ())
        same_start = any(abs(length - len(moves)) <= 2 for length in lengths)
        return same_start or (white, black, " ".join(moves[:20])) in self.openings


class Chosen(NamedTuple):
    """The games of masters that are learnt from, and how many of its training part are left out for either reason."""

    lines: list[str]
    of_new_players: int
    near: int


def choose(own: list[str], masters: list[str]) -> Chosen:
    """Without the games of the new players, and those near a training game of pgnmentor20."""
    fresh, near = set(new_keys(own, masters)), Near(line for line in own if line.startswith("train\t"))
    train = [line for line in masters if line.startswith("train\t")]
    strangers = [line for line, pair in zip(train, keys_of(train)) if fresh.isdisjoint(pair)]
    kept = [line for line in strangers if line not in near]
    return Chosen(kept, len(train) - len(strangers), len(strangers) - len(kept))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out", type=Path)
    out: Path = parser.parse_args().out
    header, own = games_table("pgnmentor20")
    masters_header, masters = games_table("masters")
    if header != masters_header:
        raise SystemExit("the two sets have other columns")
    chosen = choose(own, masters)
    with gzip.open(out, "wt", encoding="utf-8", compresslevel=1) as file:
        file.write("\n".join([header, *own, *chosen.lines]) + "\n")
    validation = len(masters) - sum(line.startswith("train\t") for line in masters)
    print(f"{len(own):,} games of pgnmentor20 and {len(chosen.lines):,} of masters; of masters are left out:")
    print(f"  {validation:,} of its validation part")
    print(f"  {chosen.of_new_players:,} of the new players")
    print(f"  {chosen.near:,} near a training game of pgnmentor20")


if __name__ == "__main__":
    main()
