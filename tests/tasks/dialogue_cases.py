"""A made-up world of dialogues: tables in towns, some with a look-up and offers; every reply follows from a rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np

TOWNS, FOODS = ("rome", "oslo", "new_york", "lima"), ("soup", "fish", "cake", "rice")


def knowledge_lines() -> list[str]:
    """Three places for each town and food, rated differently; a phone number of its own each."""
    lines = []
    for town in TOWNS:
        for food in FOODS:
            for rating in (2, 9, 5):
                name = f"place_{town}_{food}_{rating}"
                facts = (("town", town), ("food", food), ("rating", rating), ("phone", f"{name}_phone"))
                lines += [f"1 {name} {what}\t{value}" for what, value in facts]
    return lines


def dialogue_lines(rng: np.random.Generator, towns: tuple[str, ...] = TOWNS) -> list[str]:
    """One dialogue: what the first sentence leaves out is asked for, then offers until one is taken."""
    town, food = str(rng.choice(towns)), str(rng.choice(FOODS))
    spoken = town.replace("_", " ")
    first = [f" in {spoken}", f" with {food}"]
    named = rng.random(2) < 0.5
    turns = [("hi", "hello"), ("a table" + "".join(p for p, n in zip(first, named) if n), "i'm on it")]
    sentence = "<SILENCE>"
    for question, reply, done in (
        ("where", f"in {spoken}", named[0]),
        ("which food", f"{food} please", named[1]),
    ):
        if not done:
            turns.append((sentence, question))
            sentence = reply
    turns.append((sentence, f"api_call {town} {food}"))
    lines = [f"{a}\t{b}" for a, b in turns]
    for rating in (2, 5, 9):
        name = f"place_{town}_{food}_{rating}"
        lines += [f"{name} town {town}", f"{name} food {food}", f"{name} rating {rating}"]
        lines += [f"{name} phone {name}_phone"]
    refused = int(rng.integers(3))
    for rating in (9, 5, 2)[: refused + 1]:
        lines.append(f"<SILENCE>\thow about place_{town}_{food}_{rating}")
        lines.append("no\tlet me see" if rating != (9, 5, 2)[refused] else "yes\tdone")
    lines.append(f"the phone\tit is place_{town}_{food}_{(9, 5, 2)[refused]}_phone")
    return [f"{number} {line}" for number, line in enumerate(lines, 1)]


def write_dialogues(folder: Path) -> list[str]:
    """A folder with dialogues for training, validation and two tests, the second of unseen towns, and the knowledge."""
    tables = folder / "tables"
    tables.mkdir()
    (tables / "tables-kb.txt").write_text("\n".join(knowledge_lines()) + "\n")
    parts = (
        ("trn", 60, TOWNS[:2]),
        ("dev", 12, TOWNS[:2]),
        ("tst", 12, TOWNS[:2]),
        ("tst-OOV", 12, TOWNS[2:]),
    )
    for seed, (part, count, towns) in enumerate(parts):
        rng = np.random.default_rng(seed)
        blocks = ["\n".join(dialogue_lines(rng, towns)) for _ in range(count)]
        (tables / f"tables-{part}.txt").write_text("\n\n".join(blocks) + "\n")
    return [str(tables)]
