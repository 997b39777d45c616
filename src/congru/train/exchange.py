"""What several processes tell each other at a step, in one message: gradients, loss, count, clock, and who wants to stop.

g = sum over the processes of d total / d parameters,   then / sum over the processes of count

The rest rides behind the last bucket of gradients. Every process has a slot of its own there, in which the others leave zeros,
so that a sum is a gathering; a float64 is sent as three numbers of 24 bits, which loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

BUCKET_MB = 25  # gradients of smaller networks are one message; those of larger ones are on their way during the backward


@dataclass(frozen=True)
class Heard:
    """What all processes have said: the objective of all, the first one's clock, and whether any wants to stop or has failed."""

    loss: float
    count: float
    seconds: float
    asked: bool
    failed: bool


class Exchange:
    """The messages of process ``rank`` of ``world_size``.

    ``waiting`` is called when all that this process has to give at a step is on its way.
    """

    def __init__(self, rank: int, world_size: int) -> None:
        self.rank, self.world_size = rank, world_size
        self.waiting: Callable[[], None] = lambda: None
        self._said = torch.zeros(5, dtype=torch.float64)
        self._slots = torch.zeros(0)

    def say(self, total: Tensor, count: Tensor, seconds: float, asked: bool, failed: bool) -> None:
        """What this process says with its next message."""
        own = seconds if self.rank == 0 else 0.0
        rest = torch.tensor([own, float(asked), float(failed)], dtype=torch.float64, device=total.device)
        numbers = [total.detach().reshape(1), count.reshape(1), rest]
        self._said = torch.cat([number.to(torch.float64) for number in numbers])

    def append(self, tensor: Tensor) -> Tensor:
        """A flat tensor with the slots of all processes behind it, of which this one has filled its own."""
        slots = tensor.new_zeros(self.world_size, len(self._said), 3)
        left = self._said.to(tensor.device)
        for part in range(3):
            slots[self.rank, :, part] = left.to(tensor.dtype)
            left = torch.where(left.isfinite(), left - slots[self.rank, :, part].to(torch.float64), 0.0)
        return torch.cat([tensor, slots.reshape(-1)])

    def split(self, message: Tensor) -> Tensor:
        """The tensor that a message began with; the slots are kept for :meth:`hear`."""
        size = self.world_size * len(self._said) * 3
        self._slots = message[-size:]
        return message[:-size]

    def hear(self) -> Heard:
        """What all have said with the last message."""
        numbers = self._slots.to(torch.float64).view(self.world_size, -1, 3).sum(-1)
        count = numbers[:, 1].sum().clamp(min=1)
        share = (count / self.world_size).to(torch.float32)
        loss = (numbers[:, 0].to(torch.float32) / share).to(torch.float64).mean()
        values = torch.stack([loss, count, *numbers[:, 2:].sum(0)]).tolist()
        return Heard(values[0], values[1], values[2], values[3] > 0, values[4] > 0)

    def reduce(self, bucket: Any) -> torch.futures.Future[Tensor]:
        """The communication hook of torch's DDP: the sum of a bucket of gradients over the processes."""
        if not bucket.is_last():
            return _summed(bucket.buffer())
        self.waiting()
        return _summed(self.append(bucket.buffer())).then(lambda sent: self.split(sent.value()))


def _summed(tensor: Tensor) -> torch.futures.Future[Tensor]:
    """The sum over all processes, to come."""
    work = torch.distributed.all_reduce(tensor, async_op=True)
    return work.get_future().then(lambda done: done.value()[0])  # type: ignore[no-any-return]


class DataParallel(DDPStrategy):
    """Fabric's DDP with our message; ``unused`` says whether it must look for unused parameters."""

    unused = False
    exchange: Exchange | None = None

    def setup_module(self, module: nn.Module) -> DistributedDataParallel:
        """The module as one of several processes has it."""
        wrapped = DistributedDataParallel(
            module,
            device_ids=self._determine_ddp_device_ids(),
            find_unused_parameters=self.unused,
            bucket_cap_mb=BUCKET_MB,
        )
        self.exchange = Exchange(self.global_rank, self.world_size)
        wrapped.register_comm_hook(self.exchange, lambda exchange, bucket: exchange.reduce(bucket))
        return wrapped


def divide_gradients(parameters: Iterable[nn.Parameter], count: float) -> None:
    """From gradients of the summed loss to those of the mean."""
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad.div_(count)
