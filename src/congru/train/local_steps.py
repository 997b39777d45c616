"""Post-local SGD for slow networks: after the warm-up every process steps alone, and weights are averaged every K steps.

w_r <- AdamW(w_r, gradient of the rows of process r)          every step
w, m, v <- mean over the processes of w_r, m_r, v_r           every K steps, before an evaluation, at the end

One exchange carries three times the weights, so that from K = 4 on less is sent than gradients at every step would take. Lin,
Stich, Patel and Jaggi (2020), algorithm 1; the averaged moments make a checkpoint at an exchange the state of all.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from congru.train.exchange import Exchange
from congru.train.schedule import Budget
from congru.train.settings import TrainSettings


def exchanges(step: int, settings: TrainSettings, budget: Budget) -> bool:
    """Whether the processes average after ``step`` steps: every K, and where an evaluation or the end falls.

    >>> [step for step in range(1, 11) if exchanges(step, TrainSettings(sync_every=4), Budget(10, None, 2, None))]
    [4, 5, 8, 10]
    """
    if step % settings.sync_every == 0:
        return True
    if budget.num_steps is None:
        return budget.eval_every is not None and step % budget.eval_every == 0
    return budget.evaluation_due(step, step / budget.num_steps, 0.0, 0.0)


@torch.no_grad()
def average_over(exchange: Exchange, networks: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Set weights and moments to their means over all processes, in one message with what the exchange has to say."""
    trained = [parameter for parameter in networks.parameters() if parameter.requires_grad]
    moments = [
        optimizer.state[p][name]
        for p in trained
        for name in ("exp_avg", "exp_avg_sq")
        if p in optimizer.state
    ]
    tensors: list[Tensor] = [*trained, *moments]
    message = exchange.append(torch.cat([tensor.reshape(-1) for tensor in tensors]))
    torch.distributed.all_reduce(message)
    everywhere = exchange.split(message).div_(exchange.world_size)
    for tensor, mean in zip(tensors, torch.split(everywhere, [tensor.numel() for tensor in tensors])):
        tensor.copy_(mean.view_as(tensor))
