"""Processes and devices, through lightning-fabric: one device, or data parallel over several.

``devices=2`` starts the second process from the same command line; under ``torchrun`` or SLURM the processes are there already
(:mod:`congru.train.launch`). On one machine they talk over the loopback interface only.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import logging
import os
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.launchers import subprocess_script

from congru.errors import CongruError, SettingsError
from congru.kernels.binding import num_cores
from congru.train.base import AnyLearner
from congru.train.batches import Batches
from congru.train.exchange import DataParallel
from congru.train.launch import Launch, detect, threads_for, waiting_threads
from congru.train.nests import tree_map
from congru.train.seeding import rng_untouched
from congru.train.settings import TrainSettings

Result = TypeVar("Result")


def is_rank_zero() -> bool:
    """True in the process that was started by hand (before the others join)."""
    return detect(1).rank == 0


def num_processes(settings: TrainSettings) -> int:
    """How many processes will train: as many as ``torchrun`` or ``srun`` has started, else one per device."""
    return detect(settings.devices).world_size


def open_fabric(settings: TrainSettings) -> Fabric:
    """Start the processes and return this one's Fabric.

    Args:
        settings: ``device``, ``devices``, ``threads`` and ``batch_size`` are read.

    Raises:
        SettingsError: a device that is not there, or several processes from an interactive session.
    """
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    kind = _device_kind(settings)
    launch = detect(settings.devices)
    world_size = launch.world_size
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The `srun` command is available")  # a login node is no mistake
        if world_size == 1:
            fabric = Fabric(accelerator=kind, devices=1, strategy="auto")
        else:
            local, nodes = _prepare_group(settings, launch)
            backend = "nccl" if kind == "cuda" else "gloo"
            strategy = DataParallel(process_group_backend=backend)
            fabric = Fabric(accelerator=kind, devices=local, num_nodes=nodes, strategy=strategy)
    _spare_watched_processes()
    fabric.launch()
    if world_size > 1:
        atexit.register(_leave_group)
    threads = threads_for(launch, settings.threads, num_cores())
    if threads is not None:
        torch.set_num_threads(threads)
    return fabric


def processes_in_words(fabric: Fabric, settings: TrainSettings) -> str | None:
    """How many processes train, where, and with how many threads each; None for one alone.

    The answer for two on one machine reads "2 on 1 machine, 1 thread each".
    """
    if fabric.world_size == 1:
        return None
    machines, threads = detect(settings.devices).machines, torch.get_num_threads()
    machine_words = f"{machines} machine{'s' if machines > 1 else ''}"
    return f"{fabric.world_size} on {machine_words}, {threads} thread{'s' if threads > 1 else ''} each"


def crowded(fabric: Fabric) -> str | None:
    """What to do where other work keeps the cores busy, see :func:`congru.train.launch.waiting_threads`."""
    if fabric.world_size > 1 or fabric.device.type != "cpu" or not hasattr(os, "getloadavg"):
        return None
    return waiting_threads(torch.get_num_threads(), os.cpu_count() or 1, _load_before)


_load_before = (
    os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
)  # without what this process does from here on

_watched = threading.Event()


def leave_to_watch() -> None:
    """From here on :mod:`congru.train.watch` decides what happens when a process is lost."""
    _watched.set()


def _spare_watched_processes() -> None:
    """Fabric kills all processes of a machine when one dies, before they could save; not where they are watched."""
    observer = subprocess_script._ChildProcessObserver
    kill_all = observer._terminate_all

    def unless_watched(self: Any) -> None:
        if not _watched.is_set():
            kill_all(self)

    observer._terminate_all = unless_watched  # type: ignore[method-assign]


def _leave_group() -> None:
    """Gloo's threads abort a process that ends with its group in place (pytorch issue 190489)."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def look_for_unused(fabric: Fabric, learner: AnyLearner) -> None:
    """Say to DDP whether it must look for unused parameters; the first process tries it."""
    if isinstance(fabric.strategy, DataParallel):
        fabric.strategy.unused = on_rank_zero(fabric, lambda: has_unused_parameters(learner))


def has_unused_parameters(learner: AnyLearner) -> bool:
    """Whether DDP must look for unused parameters.

    It must where the first or the second step leaves one without a gradient: a learned first state, say, is used
    only where no state is carried over. Two steps without an update; nothing of them stays.
    """
    networks, carry, unused = learner.module, None, False
    with rng_untouched():
        for batch in itertools.islice(Batches(learner).epoch(0), 2):
            total, _, carry = learner.loss(networks, batch, carry)
            total.backward()  # type: ignore[no-untyped-call]
            carry = tree_map(torch.Tensor.detach, carry)
            unused |= any(p.requires_grad and p.grad is None for p in networks.parameters())
            networks.zero_grad(set_to_none=True)
    return unused


def _device_kind(settings: TrainSettings) -> str:
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    kind: str = settings.device
    if kind == "auto":
        kind = "cuda" if present["cuda"] else "cpu"
    if not present[kind]:
        raise SettingsError(f"device is '{kind}', expected a device that torch finds here: pass --device cpu")
    if kind == "cuda" and settings.devices > torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise SettingsError(
            f"devices is {settings.devices}, expected at most {count}: pass --devices {count} or --device cpu"
        )
    return kind


def _prepare_group(settings: TrainSettings, launch: Launch) -> tuple[int, int]:
    """Check that the processes can work together; returns (processes on this machine, machines)."""
    world_size = launch.world_size
    if settings.batch_size % world_size:
        raise SettingsError(
            f"batch_size is {settings.batch_size}, expected a multiple of the {world_size} devices: "
            f"pass --batch-size {max(1, settings.batch_size // world_size) * world_size}"
        )
    if launch.starter != "hand":
        local = launch.local_size
        if settings.devices not in (1, local):
            raise SettingsError(
                f"devices is {settings.devices}, expected {local} as given to {launch.starter}: leave out --devices"
            )
        if local == world_size:
            _use_loopback()
        return local, launch.machines
    if "LOCAL_RANK" not in os.environ:
        started_from_file = getattr(sys.modules["__main__"], "__spec__", None) or os.path.isfile(sys.argv[0])
        if hasattr(sys, "ps1") or not started_from_file:
            raise SettingsError(
                f"devices is {settings.devices}, expected 1 in interactive use: start a script or command"
            )
        os.environ["MASTER_ADDR"] = "127.0.0.1"
        os.environ["MASTER_PORT"] = str(_free_port())
    _use_loopback()
    return settings.devices, 1


def _use_loopback() -> None:
    names = {name for _, name in socket.if_nameindex()}
    for name in ("lo", "lo0"):
        if name in names:
            os.environ.setdefault("GLOO_SOCKET_IFNAME", name)


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def on_rank_zero(fabric: Fabric, function: Callable[[], Result]) -> Result:
    """Run ``function`` on the first process and give its result, or its :class:`CongruError`, to all."""
    if fabric.world_size == 1:
        return function()
    outcome: tuple[Any, CongruError | None] = (None, None)
    if fabric.is_global_zero:
        try:
            outcome = (function(), None)
        except CongruError as error:
            outcome = (None, error)
    value, failure = fabric.broadcast(outcome)
    if failure is not None:
        raise failure
    return value  # type: ignore[no-any-return]


@contextlib.contextmanager
def raise_on_rank_zero(fabric: Fabric) -> Iterator[None]:
    """Let an error or an interruption that all processes meet be raised by the first one only."""
    try:
        yield
    except (CongruError, KeyboardInterrupt):
        if fabric.is_global_zero:
            raise
        raise SystemExit(0) from None


def gather(fabric: Fabric, value: Any) -> list[Any] | None:
    """Every process's ``value``, in order of rank, on the first process; None on the others."""
    if fabric.world_size == 1:
        return [value]
    values: list[Any] | None = [None] * fabric.world_size if fabric.is_global_zero else None
    torch.distributed.gather_object(value, values)
    return values
