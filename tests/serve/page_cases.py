"""The page opened in a browser, with what went wrong and what it asked for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


class Opened:
    """The page at an address, with what went wrong and what was requested."""

    def __init__(self, browser: Any, base: str, address: str, width: int = 1400, **options: Any) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, reduced_motion="reduce", **options
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.faults.append(message.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.base = base
        self.page.goto(f"{self.base}/{address}")

    def close(self, *expected: str) -> None:
        """Hold that nothing went wrong but what the test asked for, and that nothing came from outside."""
        faults = [fault for fault in self.faults if not any(word in fault for word in expected)]
        outside = [url for url in self.requests if not url.startswith((self.base, "data:", "blob:"))]
        self.context.close()
        assert not faults, faults
        assert not outside, outside


def wait_for(holds: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something holds; the page's own policy forbids scripts of tests that wait inside it."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)
