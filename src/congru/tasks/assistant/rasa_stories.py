"""Rasa files without sentences: what they hold, counted, and contradictions between stories.

Stories that lead through a checkpoint are followed on; where the same history leads to two actions, that is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_DOMAIN = ("intents", "entities", "slots", "responses", "forms", "actions")
_LONGEST = 12  # checkpoints passed in a row


def describe(document: Mapping[str, Any]) -> str:
    """What a file holds, in words, or "" where it is none of Rasa's.

    >>> describe({"intents": ["greet", "bye"], "slots": {"name": {}}})
    'a domain (2 intents, 1 slots)'
    """
    parts = []
    for kind, title in (("stories", "story"), ("rules", "rule")):
        entries = document.get(kind)
        if isinstance(entries, list):
            parts.append(_described(kind, title, [entry for entry in entries if isinstance(entry, dict)]))
    counts = [
        f"{len(document[name])} {name}" for name in _DOMAIN if isinstance(document.get(name), (list, dict))
    ]
    if counts:
        parts.append(f"a domain ({', '.join(counts)})")
    return " and ".join(parts)


def _described(kind: str, title: str, entries: Sequence[Mapping[str, Any]]) -> str:
    steps = sum(len(_steps(entry)) for entry in entries)
    twice = sum(count > 1 for count in Counter(str(entry.get(title)) for entry in entries).values())
    told = f"{len(entries)} {kind} ({steps} steps"
    if twice:
        told += f", names used twice: {twice}"
    for line in (_nowhere(entries), _contradiction(entries)):
        told += f"; {line}" if line else ""
    return told + ")"


def _steps(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    steps = entry.get("steps")
    return [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []


def _checkpoints(entries: Sequence[Mapping[str, Any]]) -> tuple[set[str], set[str]]:
    """The checkpoints that stories begin with, and those that they lead to."""
    begins: set[str] = set()
    leads: set[str] = set()
    for entry in entries:
        for index, step in enumerate(_steps(entry)):
            if "checkpoint" in step:
                (leads if index else begins).add(str(step["checkpoint"]))
    return begins, leads


def _nowhere(entries: Sequence[Mapping[str, Any]]) -> str:
    begins, leads = _checkpoints(entries)
    lines = []
    if leads - begins:
        lines.append(f"checkpoints that lead nowhere: {', '.join(sorted(leads - begins))}")
    if begins - leads:
        lines.append(f"checkpoints that nothing leads to: {', '.join(sorted(begins - leads))}")
    return "; ".join(lines)


def _contradiction(entries: Sequence[Mapping[str, Any]]) -> str:
    """The first history that leads to two actions, with its intents."""
    after: dict[tuple[str, ...], list[str]] = {}
    for path in _paths(entries):
        for index, event in enumerate(path):
            if event.startswith("action "):
                actions = after.setdefault(path[:index], [])
                if event not in actions:
                    actions.append(event)
    for history, actions in after.items():
        if len(actions) > 1 and history:
            intents = [event.removeprefix("intent ") for event in history if event.startswith("intent ")]
            told = " and ".join(action.removeprefix("action ") for action in actions)
            return f"after {', '.join(intents) or 'the beginning'} the next action is {told}"
    return ""


def _paths(entries: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    """The events of every story from its beginning, through checkpoints."""
    _, leads = _checkpoints(entries)
    for entry in entries:
        steps = _steps(entry)
        if not (steps and "checkpoint" in steps[0] and str(steps[0]["checkpoint"]) in leads):
            yield from _followed(steps, entries, _LONGEST)


def _followed(
    steps: Sequence[Mapping[str, Any]], entries: Sequence[Mapping[str, Any]], left: int
) -> Iterator[tuple[str, ...]]:
    events: list[str] = []
    for index, step in enumerate(steps):
        if "checkpoint" in step and index:
            following = [
                _steps(entry)[1:]
                for entry in entries
                if _steps(entry) and _steps(entry)[0].get("checkpoint") == step["checkpoint"]
            ]
            for rest in following if left else []:
                for tail in _followed(rest, entries, left - 1):
                    yield (*events, *tail)
            if following:
                return
        elif "checkpoint" not in step:
            kind = next((name for name in ("intent", "action") if name in step), "")
            events.append(f"{kind} {step[kind]}" if kind else f"step {sorted(step.items(), key=str)}")
    yield tuple(events)
