"""The model folder of a learner: networks, golden cases, side files, the whole answer, the card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from congru.runtime.answer import ANSWER
from congru.runtime.card import write_card
from congru.runtime.folder import TASK, save_model
from congru.runtime.golden import NetworkRun, make_golden
from congru.train.base import AnyLearner
from congru.train.nests import to_tensors, tree_map


def save(learner: AnyLearner, folder: Path, parts: Sequence[Any], training: Mapping[str, Any]) -> None:
    """Write the model folder with the weights that ``learner.module`` has now.

    Args:
        learner: it gives side files, task_config and the whole answer.
        folder: where; an older model there is replaced.
        parts: what ``learner.evaluate`` returned for the validation rows.
        training: what the model card says about the training.
    """
    settings, networks = learner.settings, learner.module
    saved = learner.saved(networks)
    declarations = {name: entry for name, (entry, _) in saved.items()}
    task_config = learner.task_config(parts)
    config = {
        "task": learner.task,
        "cell": settings.cell,
        "networks": declarations,
        "task_config": task_config,
    }
    files = dict(learner.files(parts))
    answer = learner.answer(networks, task_config)
    if answer is not None:
        files[ANSWER] = answer.to_bytes()
    weights = {name: _arrays(network.state_dict()) for name, (_, network) in saved.items()}
    own = _arrays(dict(networks.named_parameters(recurse=False)))
    save_model(
        folder,
        config=config,
        weights={**weights, TASK: own} if own else weights,
        golden={name: make_golden(entry, runner(network)) for name, (entry, network) in saved.items()},
        files=files,
        card=write_card(config, training, uses=learner.uses, limits=learner.limits, run=learner.commands),
    )


def _arrays(tensors: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    return {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}


def runner(network: nn.Module) -> NetworkRun:
    """A torch network as a function of NumPy arrays, for the golden cases."""
    device = next(network.parameters()).device

    def tensors(arrays: Any) -> Any:
        return tree_map(lambda tensor: tensor.to(device), to_tensors(arrays))

    def run(x: Any, state: Any, lengths: Any) -> tuple[Any, dict[str, NDArray[Any]]]:
        with torch.no_grad():
            out, after = network(tensors(x), tensors(state), lengths=tensors(lengths))
        outputs = _arrays(out) if isinstance(out, Mapping) else out.cpu().numpy()
        return outputs, _arrays(after)

    return run
