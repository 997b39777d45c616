"""What a harness has tried, and what failed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class Tally:
    """Counts the cases of one harness; a case that raises has failed.

    >>> tally = Tally("sums")
    >>> with tally.case("one and one"):
    ...     assert 1 + 1 == 2
    >>> print(tally)
    sums: tried 1, failed 0
    """

    def __init__(self, name: str) -> None:
        self.name, self.tried, self.failures = name, 0, list[str]()

    @contextlib.contextmanager
    def case(self, what: object) -> Iterator[None]:
        """Count a case; its failure is kept and the next case goes on."""
        self.tried += 1
        try:
            yield
        except Exception as error:
            self.failures.append(f"{what}: {type(error).__name__}: {error}")

    def check(self, least: int) -> None:
        """Raise AssertionError unless at least so many cases were tried and none failed."""
        assert not self.failures, (
            f"{self.name}: {len(self.failures)} of {self.tried} failed: {self.failures[:5]}"
        )
        assert self.tried >= least, f"{self.name}: tried {self.tried}, expected at least {least}"

    def __str__(self) -> str:
        return f"{self.name}: tried {self.tried}, failed {len(self.failures)}"
