"""Which process of how many this is, before they have met: started by hand, by torchrun, by srun or by Ray Train.

Every starter says so in environment variables: torchrun and Ray Train in RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE;
SLURM's srun in SLURM_PROCID, SLURM_NTASKS, SLURM_LOCALID, SLURM_NNODES.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from congru.errors import SettingsError

Starter = Literal["hand", "torchrun", "srun", "Ray Train"]


@dataclass(frozen=True)
class Launch:
    """Who started the processes, this one's number, and how many there are, in all and on this machine."""

    starter: Starter
    rank: int
    world_size: int
    local_size: int

    @property
    def machines(self) -> int:
        """How many machines take part."""
        return max(1, self.world_size // self.local_size)


def detect(devices: int, environment: Mapping[str, str] = os.environ) -> Launch:
    """The launch that the environment speaks of; ``devices`` processes on this machine where it says nothing.

    >>> detect(1, {"SLURM_JOB_ID": "7", "SLURM_PROCID": "3", "SLURM_NTASKS": "4", "SLURM_NNODES": "2"})
    Launch(starter='srun', rank=3, world_size=4, local_size=2)

    Raises:
        SettingsError: srun has not given every machine as many tasks.
    """
    if "LOCAL_WORLD_SIZE" in environment:  # processes that we start ourselves have no such variable
        starter: Starter = "torchrun" if "TORCHELASTIC_RUN_ID" in environment else "Ray Train"
        world, local = int(environment["WORLD_SIZE"]), int(environment["LOCAL_WORLD_SIZE"])
        return Launch(starter, int(environment["RANK"]), world, local)
    if (
        "SLURM_JOB_ID" in environment
        and int(environment.get("SLURM_NTASKS", "1")) > 1
        and "SLURM_PROCID" in environment
    ):
        tasks, nodes = int(environment["SLURM_NTASKS"]), int(environment.get("SLURM_NNODES", "1"))
        if tasks % nodes:
            raise SettingsError(
                f"SLURM_NTASKS is {tasks}, expected as many on each of the {nodes} machines: pass srun --ntasks-per-node"
            )
        return Launch("srun", int(environment["SLURM_PROCID"]), tasks, tasks // nodes)
    rank = int(environment.get("RANK", environment.get("LOCAL_RANK", "0")))
    return Launch("hand", rank, devices, devices)


def waiting_threads(threads: int, cores: int, load: float) -> str | None:
    """What to do where other work keeps cores busy; None where each thread has one.

    The threads of an operation wait for the slowest of them: with two on two cores of which one is busy, a small network took
    twenty times as long a step as with one. Nothing is changed by itself: another number of threads adds in another order.

    Args:
        threads: that this process computes with.
        cores: of the machine.
        load: processes that run or wait to run, on average over the last minute.

    >>> waiting_threads(2, 2, 1.8)
    '2 threads, and other work keeps 1.8 of 2 cores busy: --threads 1 may be faster'
    """
    free = max(1, round(cores - load))
    if threads <= free:
        return None
    busy = min(load, float(cores))
    return f"{threads} threads, and other work keeps {busy:.1f} of {cores} cores busy: --threads {free} may be faster"


def threads_for(
    launch: Launch, asked: int | None, cores: int, environment: Mapping[str, str] = os.environ
) -> int | None:
    """CPU threads of this process: what was asked for, else its share of the machine's cores; None leaves torch's own number.

    torchrun sets OMP_NUM_THREADS to 1 where nobody did, which leaves most cores idle; another number is taken as meant.

    >>> threads_for(Launch("torchrun", 0, 4, 2), None, 16, {"OMP_NUM_THREADS": "1"})
    8
    """
    if asked is not None:
        return asked
    meant = environment.get("OMP_NUM_THREADS", "")
    if launch.local_size == 1 or (meant and not (launch.starter == "torchrun" and meant == "1")):
        return None
    return max(1, cores // launch.local_size)
