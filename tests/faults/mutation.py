"""A small coverage-guided fuzzer: inputs that reach new lines of congru are kept and changed further.

It needs nothing but Python; ``make fuzz`` prefers atheris where that is installed. Every input runs in a forked child, under a
limit of time and of memory, so that a hang, a crash or a request for gigabytes is a failure like a traceback.
"""

from __future__ import annotations

import json
import mmap
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import congru
from congru.errors import CongruError
from faults.tally import Tally

SECONDS, BYTES = 5, 2 << 30  # of one input; of the child beyond what it has
_HOME = str(Path(congru.__file__).parent)
_WORDS = (
    *(
        b"0",
        b"-1",
        b"1e9",
        b"1000000000",
        b"9223372036854775808",
        b"NaN",
        b"Infinity",
        b"null",
        b"true",
        b'""',
        b"[]",
        b"{}",
    ),
    *(
        b"[" * 120,
        b'{"a":' * 120,
        b"]" * 120,
        b"\x00",
        b"\xff\xfe",
        b"\x1b[31m",
        b"\xed\xa0\x80",
        b"\\ud800",
        b"\n",
        b",",
        b":",
        b"- ",
    ),
    *(b"!!float ", b"!!timestamp ", b"&a ", b"*a", b"0b2", b"2024-13-45", b"0o9", b"1_", b".inf"),
)
_LARGEST = 1 << 16  # bytes of an input


def fuzz(name: str, run: Callable[[bytes], object], seeds: list[bytes], times: int, seed: int = 0) -> Tally:
    """Run ``times`` inputs; whatever is not one of the package's own errors is a failure."""
    tally, done = Tally(f"fuzzed {name}"), 0
    while tally.tried < times:
        shared = mmap.mmap(-1, _LARGEST + 8)
        ended, failures, done = _in_child(run, seeds, times - tally.tried, seed + tally.tried, shared)
        tally.tried += done
        tally.failures += failures
        if ended:
            size = int.from_bytes(shared[:8], "little")
            tally.failures.append(f"the process ended with {ended} on {shared[8 : 8 + size][:200]!r}")
            tally.tried += 1
        if len(tally.failures) > 20:
            break
    return tally


def _in_child(
    run: Callable[[bytes], object], seeds: list[bytes], times: int, seed: int, shared: mmap.mmap
) -> tuple[int, list[str], int]:
    """How a child with so many inputs ended, its failures, and how many inputs it ran."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(read)
        code = 254
        try:
            _limit()
            with os.fdopen(write, "w") as pipe, open(os.devnull, "w") as nothing:
                os.dup2(nothing.fileno(), 2)
                _loop(run, seeds, times, np.random.default_rng(seed), shared, pipe)
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read) as pipe:
        lines = [json.loads(line) for line in pipe if line.endswith("\n")]
    ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return ended, [line for line in lines if line], sum(1 for line in lines if line == "")


def _limit() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if sys.platform == "linux" else 0
    if pages:
        most = pages * resource.getpagesize() + BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    signal.signal(signal.SIGALRM, _too_long)


def _too_long(number: int, frame: FrameType | None) -> None:
    raise TimeoutError(f"more than {SECONDS} seconds")


def _loop(
    run: Callable[[bytes], object],
    seeds: list[bytes],
    times: int,
    random: np.random.Generator,
    shared: mmap.mmap,
    pipe: Any,
) -> None:
    corpus, seen = list(seeds), set[tuple[str, int]]()
    for number in range(times):
        data = corpus[number] if number < len(seeds) else mutated(corpus, random)
        shared[:8] = len(data).to_bytes(8, "little")
        shared[8 : 8 + len(data)] = data
        before = len(seen)
        failure = _one(run, data, seen, must_be_read=number < len(seeds))
        if failure:
            print(json.dumps(failure), file=pipe, flush=True)
        if len(seen) > before:
            corpus.append(data)
        print('""', file=pipe, flush=True)


def _one(
    run: Callable[[bytes], object], data: bytes, seen: set[tuple[str, int]], must_be_read: bool
) -> str | None:
    def trace(frame: FrameType, event: str, argument: object) -> Any:
        if not frame.f_code.co_filename.startswith(_HOME):
            return None
        if event == "line":
            seen.add((frame.f_code.co_filename, frame.f_lineno))
        return trace

    signal.alarm(SECONDS)
    sys.settrace(trace)
    try:
        run(data)
    except CongruError as error:
        problem = "a good file is refused" if must_be_read else message_problem(str(error), error.longest)
        return f"{problem}: {error!s:.200} on {data[:200]!r}" if problem else None
    except (Exception, SystemExit) as error:
        return f"{type(error).__name__}: {error!s:.200} on {data[:200]!r}"
    finally:
        sys.settrace(None)
        signal.alarm(0)
    return None


def message_problem(text: str, longest: int = 300) -> str | None:
    """What is wrong with the message of an error, if anything."""
    if len(text) > longest:
        return f"a message of {len(text)} characters"
    return None if text.isprintable() else "a message that cannot be shown as it is"


def mutated(corpus: list[bytes], random: np.random.Generator) -> bytes:
    """An input of the corpus, changed in one to four places."""
    data = bytearray(corpus[random.integers(len(corpus))])
    for _ in range(random.integers(1, 5)):
        at, size = int(random.integers(len(data) + 1)), int(random.integers(1, 17))
        change = random.integers(8)
        if change == 0 and data:
            data[at % len(data)] ^= 1 << int(random.integers(8))
        elif change == 1:
            data[at : at + size] = random.bytes(size)
        elif change == 2:
            del data[at : at + int(random.integers(1, max(2, len(data) // 4)))]
        elif change == 3:
            data[at:at] = data[at : at + size] * int(random.integers(1, 9))
        elif change == 4:
            data[at : at + size * int(random.integers(2))] = _WORDS[random.integers(len(_WORDS))]
        elif change == 5:
            other = corpus[random.integers(len(corpus))]
            data[at:] = other[int(random.integers(len(other) + 1)) :]
        elif change == 6:
            data[at:] = b""
        else:
            _change_number(data, at, random)
    return bytes(data[:_LARGEST])


def _change_number(data: bytearray, at: int, random: np.random.Generator) -> None:
    """Write another number over the next digits."""
    begin = next((i for i in range(at, len(data)) if 48 <= data[i] < 58), None)
    if begin is None:
        return
    end = begin
    while end < len(data) and 48 <= data[end] < 58:
        end += 1
    data[begin:end] = str(int(random.choice([0, 1, 2, 255, 65536, 10**6, 10**9, 2**63 - 1]))).encode()
