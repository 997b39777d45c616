"""The model folder of a learner: networks, golden cases, side files, the whole answer, the card."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from congru.runtime.answer import ANSWER
from congru.runtime.card import write_card
from congru.runtime.folder import save_model
from congru.runtime.golden import make_golden
from congru.train.base import AnyLearner


def save(learner: AnyLearner, folder: Path, parts: Sequence[Any], training: Mapping[str, Any]) -> None:
    """Write the model folder with the weights that ``learner.module`` has now.

    Args:
        learner: it gives side files, task_config and the whole answer.
        folder: where; an older model there is replaced.
        parts: what ``learner.evaluate`` returned for the validation rows.
        training: what the model card says about the training.
    """
    settings, networks = learner.settings, learner.module
    ((name, declaration),) = learner.networks(settings.cell, settings.hidden_size).items()
    task_config = learner.task_config(parts)
    config = {
        "task": learner.task,
        "cell": settings.cell,
        "network": declaration,
        "task_config": task_config,
    }
    files = dict(learner.files(parts))
    answer = learner.answer(networks, task_config)
    if answer is not None:
        files[ANSWER] = answer.to_bytes()
    state = networks.state_dict().items()
    save_model(
        folder,
        config=config,
        weights={key.removeprefix(f"{name}."): value.detach().cpu().numpy() for key, value in state},
        golden=make_golden(declaration, runner(networks[name])),
        files=files,
        card=write_card(config, training, uses=learner.uses, limits=learner.limits, run=learner.commands),
    )


def runner(network: nn.Module) -> Callable[..., tuple[NDArray[Any], dict[str, NDArray[Any]]]]:
    """A torch network as a function of NumPy arrays, for the golden cases."""
    device = next(network.parameters()).device

    def tensor(value: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.asarray(value)).to(device)

    def run(
        x: NDArray[Any], state: Mapping[str, NDArray[Any]] | None, lengths: NDArray[Any] | None
    ) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
        before = None if state is None else {name: tensor(value) for name, value in state.items()}
        with torch.no_grad():
            out, after = network(tensor(x), before, lengths=None if lengths is None else tensor(lengths))
        return out.cpu().numpy(), {name: value.cpu().numpy() for name, value in after.items()}

    return run
