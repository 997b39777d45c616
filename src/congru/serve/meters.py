"""Counts and times of a server, written in Prometheus' text format (version 0.0.4)."""

from __future__ import annotations

import bisect
import os
from collections import defaultdict

PREFIX = "congru_"
BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
HELP = {
    "requests_total": "HTTP requests by method and status.",
    "messages_total": "WebSocket messages by type.",
    "refused_total": "Requests and messages refused, by code.",
    "steps_total": "Steps of sessions.",
    "batches_total": "Calls that advanced sessions.",
    "evicted_total": "Sessions closed because nobody used them.",
    "sessions": "Sessions open now.",
    "connections": "WebSocket connections open now.",
    "resident_bytes": "Memory that the process holds.",
    "step_seconds": "Time of one call that advances sessions.",
}


class Meters:
    """Counters by name and label, gauges, and one histogram.

    >>> meters = Meters()
    >>> meters.count("steps_total", amount=3)
    >>> "congru_steps_total 3" in meters.text({})
    True
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], float] = defaultdict(float)
        self._buckets, self._sum, self._observed = [0] * (len(BOUNDS) + 1), 0.0, 0

    def count(self, name: str, label: str = "", amount: float = 1) -> None:
        """Add to a counter; `label` is written as it is: ``code="token"``."""
        self._counts[name, label] += amount

    def stepped(self, count: int, seconds: float) -> None:
        """A call advanced `count` sessions in `seconds`."""
        self.count("steps_total", amount=count)
        self.count("batches_total")
        self._buckets[bisect.bisect_left(BOUNDS, seconds)] += 1
        self._sum, self._observed = self._sum + seconds, self._observed + 1

    def text(self, gauges: dict[str, float]) -> str:
        """Everything, one line each."""
        lines: list[str] = []
        for name, words in HELP.items():
            values = [(label, value) for (known, label), value in self._counts.items() if known == name]
            if name in gauges:
                values = [("", gauges[name])]
            if name == "step_seconds":
                lines += self._histogram(words)
                continue
            kind = "gauge" if name in gauges else "counter"
            lines += [f"# HELP {PREFIX}{name} {words}", f"# TYPE {PREFIX}{name} {kind}"]
            lines += [
                f"{PREFIX}{name}{{{label}}} {value:g}" if label else f"{PREFIX}{name} {value:.12g}"
                for label, value in sorted(values) or [("", 0)]
            ]
        return "\n".join(lines) + "\n"

    def _histogram(self, words: str) -> list[str]:
        name, below = f"{PREFIX}step_seconds", 0
        lines = [f"# HELP {name} {words}", f"# TYPE {name} histogram"]
        for bound, count in zip((*BOUNDS, float("inf")), self._buckets):
            below += count
            edge = "+Inf" if bound == float("inf") else f"{bound:g}"
            lines.append(f'{name}_bucket{{le="{edge}"}} {below}')
        return [*lines, f"{name}_sum {self._sum:.9g}", f"{name}_count {self._observed}"]


def resident_bytes() -> int:
    """Bytes of memory that this process holds; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
