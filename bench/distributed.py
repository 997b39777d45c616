"""What do several machines gain, what does the network between them cost, and when is a lost one noticed?

Each rank is a host of its own: a network namespace on this one machine, whose only way out is a TUN device; a relay between
them delays every packet and sends no more bytes a second than the question allows. Started as on real machines, by `torchrun
--nnodes`. A text model trains on the first 60,000 characters of tinyshakespeare; every process has one thread.
`steps_per_second` is counted between the first and the last evaluation, evaluations left out; `efficiency` is the speed
beside one process on the same two cores, with one thread or two, whichever is faster, at the same batch. Faults: in a run of
two ranks one is killed, stopped (SIGSTOP), or its link is cut; `noticed_seconds` is from then to the exit of the other, which
has saved by then; the run that was killed is continued and compared with one that was not disturbed.

Needs root, `ip` and /dev/net/tun (the delay of `tc` is a module that not every kernel has).

    CONGRU_DATA=FOLDER python -m bench.distributed [--steps 60]
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import heapq
import itertools
import json
import math
import os
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.record import ROOT, write_result

NET = "10.77.0"
MODEL = ("--hidden-size=256", "--batch-size=32", "--chunk=32", "--evaluations=2", "--precision=float32")
# (ranks, latency of a round trip in ms, megabits a second, --sync-every)
CASES = (
    (2, 1, None, 1),
    (2, 20, None, 1),
    (2, 20, None, 8),
    (2, 1, 100, 1),
    (2, 1, 100, 8),
    (4, 1, None, 1),
    (4, 1, None, 8),
    (2, 1, 1000, 1),
)
FAULTS = ("killed", "frozen", "cut link")
PORT = 29_400
CHARACTERS = 60_000  # of tinyshakespeare: what is measured is the steps


def sh(*words: str) -> None:
    """One command that must work."""
    subprocess.run(words, check=True, capture_output=True)


class Relay(threading.Thread):
    """Carries packets between the TUN devices of hosts 1, 2, ...: `delay` seconds later, and so many bytes a second of each."""

    def __init__(self, devices: list[int], delay: float, rate: float) -> None:
        super().__init__(name="relay", daemon=True)
        self._devices, self._delay, self._rate = devices, delay, rate
        self.ended = threading.Event()

    def run(self) -> None:
        """Until `ended`."""
        waiting: list[tuple[float, int, int, bytes]] = []
        free = dict.fromkeys(self._devices, 0.0)  # when a host has sent all it was given
        for number in itertools.count():
            if self.ended.is_set():
                return
            ahead = max(0.0, waiting[0][0] - time.monotonic()) if waiting else 0.2
            for device in select.select(self._devices, [], [], ahead)[0]:
                packet = os.read(device, 1 << 16)
                if packet[0] >> 4 != 4 or not 1 <= packet[19] <= len(self._devices):
                    continue
                free[device] = max(free[device], time.monotonic()) + len(packet) / self._rate
                target = self._devices[packet[19] - 1]
                heapq.heappush(waiting, (free[device] + self._delay, number, target, packet))
            while waiting and waiting[0][0] <= time.monotonic():
                *_, target, packet = heapq.heappop(waiting)
                with contextlib.suppress(OSError):  # its link is cut
                    os.write(target, packet)


@contextmanager
def hosts(count: int, latency_ms: float, megabits: float | None) -> Iterator[list[str]]:
    """Network namespaces with a relay between them; half the latency on each way."""
    names = [f"congru-{number}" for number in range(count)]
    remove(names)
    devices: list[int] = []
    relay = Relay(devices, latency_ms / 2e3, megabits * 125e3 if megabits else math.inf)
    try:
        for number, name in enumerate(names):
            device = os.open("/dev/net/tun", os.O_RDWR)
            request = struct.pack("16sH", f"ct{number}".encode(), 0x0001 | 0x1000)  # IFF_TUN, IFF_NO_PI
            fcntl.ioctl(device, 0x400454CA, request)  # TUNSETIFF
            devices.append(device)
            sh("ip", "netns", "add", name)
            sh("ip", "link", "set", f"ct{number}", "netns", name, "name", "eth0")
            inside = ("ip", "-n", name)
            sh(*inside, "addr", "add", f"{NET}.{number + 1}/24", "dev", "eth0")
            sh(*inside, "link", "set", "eth0", "up", "mtu", "9000", "txqueuelen", "10000")
            sh(*inside, "link", "set", "lo", "up")
        relay.start()
        yield names
    finally:
        relay.ended.set()
        if relay.is_alive():
            relay.join()
        for device in devices:
            os.close(device)
        remove(names)


def remove(names: list[str]) -> None:
    """Namespaces, whether they are there or not."""
    for name in names:
        subprocess.run(["ip", "netns", "del", name], capture_output=True)


def training(out: Path, steps: int) -> list[str]:
    """What follows the program's name, the same for every launcher."""
    text = str(out.parent / "text.txt")
    return ["-m", "congru", "train", "text", text, f"--steps={steps}", *MODEL, f"--out={out}"]


def start(names: list[str], out: Path, steps: int, *flags: str) -> list[subprocess.Popen[str]]:
    """One torchrun for each host, as it would be typed there."""
    processes = []
    for number, name in enumerate(names):
        launch = ("--nnodes", str(len(names)), "--nproc-per-node", "1", "--node-rank", str(number))
        meet = ("--master-addr", f"{NET}.1", "--master-port", str(PORT))
        host = ("ip", "netns", "exec", name, sys.executable, "-m", "torch.distributed.run", *launch, *meet)
        words = [*host, *training(out, steps), *flags]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "eth0"}
        processes.append(
            subprocess.Popen(
                words, env=environment, cwd=out.parent, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        )  # fmt: skip
    return processes


def alone(out: Path, steps: int, threads: int) -> None:
    """One process with so many threads, on the same cores."""
    words = [sys.executable, *training(out, steps), f"--threads={threads}"]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)


def finish(processes: list[subprocess.Popen[str]], seconds: float = 300) -> list[str]:
    """What each process printed; raises where one did not end well."""
    outputs = [process.communicate(timeout=seconds)[0] for process in processes]
    if any(process.returncode for process in processes):
        raise RuntimeError("\n".join(outputs))
    return outputs


def speed(out: Path) -> float:
    """Steps a second between the first evaluation and the last, evaluations left out."""
    times: dict[int, float] = {}
    for line in (out / "metrics.csv").read_text().splitlines()[1:]:
        step, seconds, split, *_ = line.split(",")
        if split == "train":
            times[int(step)] = float(seconds)
    first, last = min(times), max(times)
    return (last - first) / (times[last] - times[first])


def last_value(out: Path) -> float:
    """The last validation value of a run."""
    lines = (out / "metrics.csv").read_text().splitlines()
    return next(float(line.split(",")[4]) for line in reversed(lines) if ",validation," in line)


def fault(kind: str, steps: int, folder: Path) -> dict[str, Any]:
    """Two ranks, of which the second is lost: when the first notices and leaves, and what it says."""
    out = folder / kind.replace(" ", "-")
    with hosts(2, 1, None) as names:
        processes = start(names, out, steps, "--save-seconds=2")
        wait_for(out, steps // 3, processes)
        began = time.monotonic()
        if kind == "cut link":
            sh("ip", "-n", names[1], "link", "set", "eth0", "down")
        else:
            for pid in children_of(processes[1].pid):
                os.kill(pid, signal.SIGKILL if kind == "killed" else signal.SIGSTOP)
        output = processes[0].communicate(timeout=180)[0]
        noticed = time.monotonic() - began
        named = re.search(r"rank 1[^\n]*", output)
        for process in processes:
            kill_group(process)
        continued: dict[str, Any] = {}
        if kind == "killed":
            finish(start(names, out, steps, "--resume"))
            continued = {"continued_value": last_value(out)}
    return {
        "noticed_seconds": round(noticed, 1),
        "said": named[0] if named else "",
        "resume_line": "--resume" in output,
        **continued,
    }


def wait_for(out: Path, step: int, processes: list[subprocess.Popen[str]]) -> None:
    """Return once the run has made so many steps."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        if any(process.poll() is not None for process in processes):
            raise RuntimeError("\n".join(process.communicate()[0] for process in processes))
        lines = (out / "metrics.csv").read_text().splitlines() if (out / "metrics.csv").exists() else []
        if len(lines) > 1 and any(int(line.split(",")[0]) >= step for line in lines[1:]):
            return
        time.sleep(0.1)
    raise TimeoutError(f"{out} did not reach step {step}")


def children_of(pid: int) -> list[int]:
    """The processes below one, the deepest first."""
    below = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        below += [*children_of(int(child)), int(child)]
    return below


def kill_group(process: subprocess.Popen[str]) -> None:
    """End a launcher and what it started."""
    for pid in children_of(process.pid) if process.poll() is None else []:
        os.kill(pid, signal.SIGKILL)
    if process.poll() is None:
        process.kill()
    process.wait()


def measure(steps: int, folder: Path, cases: int) -> dict[str, Any]:
    """All tables."""
    whole = Path(os.environ.get("CONGRU_DATA", "."), "text", "tinyshakespeare", "input.txt")
    (folder / "text.txt").write_text(whole.read_text()[:CHARACTERS])
    singles: dict[int, float] = {}
    for threads in (1, 2):
        alone(folder / f"alone-{threads}", steps, threads)
        singles[threads] = speed(folder / f"alone-{threads}")
        print(f"one process, {threads} threads: {singles[threads]:.2f} steps a second", flush=True)
    rows, reference = [], None
    for ranks, latency, bandwidth, every in CASES[:cases]:
        out = folder / f"{ranks}-{latency}-{bandwidth}-{every}"
        with hosts(ranks, latency, bandwidth) as names:
            finish(start(names, out, steps, f"--sync-every={every}"))
        rate = speed(out)
        row = {"ranks": ranks, "latency_ms": latency, "megabits": bandwidth, "sync_every": every}
        row |= {"steps_per_second": round(rate, 2), "efficiency": round(rate / max(singles.values()), 3)}
        row["value"] = last_value(out)
        rows.append(row)
        reference = reference or (row["value"] if (ranks, every) == (2, 1) else None)
        print(row, flush=True)
    faults = {}
    for kind in FAULTS:
        faults[kind] = fault(kind, steps, folder)
        print(kind, faults[kind], flush=True)
    return {
        "one_process": {str(threads): round(rate, 2) for threads, rate in singles.items()},
        "network": rows,
        "faults": faults,
        "undisturbed_value": reference,
        "parameters": json.loads((folder / "alone-1" / "status.json").read_text())["num_parameters"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--cases", type=int, default=len(CASES), help="the first so many networks only")
    arguments = parser.parse_args()
    steps = arguments.steps
    if os.geteuid() or not shutil.which("ip"):
        raise SystemExit("bench.distributed needs root and ip: start it so on Linux")
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(steps, Path(folder), arguments.cases)
    figures |= {
        "model": " ".join(MODEL),
        "steps": steps,
        "load": [round(load, 1) for load in os.getloadavg()],
    }
    target = write_result(
        "distributed",
        f"python -m bench.distributed --steps {steps} --cases {arguments.cases}",
        figures,
    )
    print(target.relative_to(ROOT))


if __name__ == "__main__":
    main()
