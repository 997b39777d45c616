"""The training problem of a text: streams in, the loss of the next token, validation nats, the model folder.

loss = - mean over streams and steps of log p(token_{t+1} | token_1 .. token_t)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from congru.nn.network import Network
from congru.runtime.card import write_card
from congru.runtime.decoding.sampling import Sampling, sample
from congru.runtime.folder import save_model
from congru.runtime.golden import make_golden
from congru.runtime.tokenizer import parse_tokenizer
from congru.tasks.text.corpus import METRIC, TextData, describe, figures, prepare
from congru.tasks.text.settings import TextSettings
from congru.tasks.text.streams import make_lanes, steps_per_epoch, stream_batches, total_nats

_SAMPLE_LENGTH = 300
_PROBE_LENGTH = 256
_SAMPLE_TEMPERATURE = 0.8
_USES = (
    "Continuing text in the manner of what it was trained on, and measuring how surprising a text is to it."
)
_LIMITS = (
    "It knows nothing but its training text: what it writes is invented, and may repeat passages of that text"
    " word for word. Symbols that the training text lacks cannot be read."
)
_RUN = (
    'congru run MODEL -p "The " --temperature 0.8 --top-p 0.9 -n 500',
    "congru eval MODEL TEXT",
    "congru inspect MODEL",
)


def make_learner(data: str, settings: TextSettings) -> TextLearner:
    """Read ``data`` and build the network, its first weights drawn from ``settings.seed``."""
    return TextLearner(prepare(str(data), settings), settings)


class TextLearner:
    """See :class:`congru.train.learner.Learner`; also resizable, for comparisons."""

    task = "text"
    metric = METRIC
    minimize = True

    def __init__(self, data: TextData, settings: TextSettings) -> None:
        self.data, self.settings = data, settings
        self.baselines = data.baselines
        self.num_tokens = parse_tokenizer(data.tokenizer_file).num_tokens
        self.steps_per_epoch = steps_per_epoch(data.num_train, settings.batch_size, settings.chunk)
        self._train = data.ids[: data.num_train]
        self.products = _products(settings)
        self._lanes = make_lanes(data.ids, data.num_train)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.module: nn.Module = self.build_module(settings.cell, settings.hidden_size)
            _orthogonal(self.module)

    def build_module(self, cell: str, hidden_size: int) -> nn.Module:
        """The network with another cell and width."""
        changed = self.settings.model_copy(update={"cell": cell, "hidden_size": hidden_size})
        return Network(network_config(changed, self.num_tokens))

    def batches(self, epoch: int, rank: int, world_size: int, start: int = 0) -> Iterator[Tensor]:
        """Chunks [B / world_size, C + 1] of this process's streams."""
        settings = self.settings
        turn = int(np.random.default_rng((settings.seed, epoch)).integers(len(self._train)))
        share = settings.batch_size // world_size
        rows = slice(rank * share, (rank + 1) * share)
        for batch in stream_batches(self._train, settings.batch_size, settings.chunk, turn, rows, start):
            yield torch.from_numpy(batch)

    def loss(self, module: nn.Module, batch: Tensor, carry: Any) -> tuple[Tensor, Any]:
        """Mean nats per token of a chunk, and the state to go on from."""
        with torch.autocast(batch.device.type, torch.bfloat16, enabled=self.products == "bfloat16"):
            logits, state = module(batch[:, :-1], carry)
        return F.cross_entropy(logits.flatten(0, 1).float(), batch[:, 1:].flatten()), state

    def evaluate(self, module: nn.Module) -> dict[str, float]:
        """Nats and bits over every character of the validation part."""
        device = next(module.parameters()).device

        def score(x: NDArray[Any], y: NDArray[Any], state: Any) -> tuple[NDArray[np.float64], Any]:
            logits, state = module(torch.from_numpy(x).to(device), state)
            target = torch.from_numpy(y).to(device)
            nats = F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none")
            return nats.view(target.shape).double().cpu().numpy(), state

        return figures(total_nats(self._lanes, score), self.data.validation_text)

    def probe(self) -> Tensor:
        """The first tokens of the validation part, [1, T]."""
        return torch.from_numpy(self.data.ids[self.data.num_train :][None, :_PROBE_LENGTH])

    def sample(self, module: nn.Module) -> str:
        """Text that the model writes after the first line of the validation part."""
        device = next(module.parameters()).device
        tokenizer = parse_tokenizer(self.data.tokenizer_file)
        given = self.data.ids[self.data.num_train :][: _SAMPLE_LENGTH // 10]
        rng = np.random.default_rng(self.settings.seed)
        x, state, written = torch.from_numpy(given[None]).to(device), None, []
        for _ in range(_SAMPLE_LENGTH):
            logits, state = module(x, state)
            written.append(sample(logits[0, -1].cpu().numpy(), Sampling(_SAMPLE_TEMPERATURE), rng))
            x = torch.tensor([written[-1:]], device=device)
        return tokenizer.decode([*given.tolist(), *written])

    def save_model(self, module: nn.Module, folder: Path, card: dict[str, Any]) -> None:
        """Write the model folder; its golden cases are what this torch module answers."""
        settings = self.settings
        network = network_config(settings, self.num_tokens)
        config = {
            "task": self.task,
            "cell": settings.cell,
            "networks": {"main": network},
            "task_config": {"tokens": settings.tokens, "validation": settings.validation},
        }
        weights = {name: part.cpu().numpy() for name, part in module.state_dict().items()}
        save_model(
            folder,
            config=config,
            weights={"main": weights},
            golden={"main": make_golden(network, _runner(module))},
            files={"tokenizer.json": self.data.tokenizer_file},
            card=write_card(config, card, uses=_USES, limits=_LIMITS, run=_RUN),
        )

    def describe(self) -> dict[str, object]:
        """What was read, and how it is cut into streams."""
        return {
            **describe(self.data, self.settings),
            "streams": f"{self.settings.batch_size} x {self.steps_per_epoch} chunks of {self.settings.chunk}",
            "products": self.products,
        }


def network_config(settings: TextSettings, num_tokens: int) -> dict[str, Any]:
    """The declarative network: embedding, recurrent layers with dropout after each, output layer."""
    size, hidden = settings.token_size, settings.hidden_size
    recurrent = {
        "type": settings.cell,
        "name": "rnn",
        "input_size": size,
        "hidden_size": hidden,
        "num_layers": settings.num_layers,
        "dropout": settings.dropout if settings.num_layers > 1 else 0.0,
    }
    if settings.cell == "gru":
        recurrent["reset_before"] = settings.reset_before
    head = {"type": "linear", "name": "head", "in": hidden, "out": num_tokens}
    return {
        "layers": [
            {"type": "embedding", "name": "embed", "num_embeddings": num_tokens, "size": size},
            recurrent,
            {"type": "dropout", "p": settings.dropout},
            {**head, "tied": "embed"} if settings.tied else head,
        ]
    }


def _products(settings: TextSettings) -> str:
    """The precision of matrix products in training: what was asked for, or what is fast here."""
    if settings.precision != "auto":
        return settings.precision
    on_cpu = settings.device == "cpu" or (settings.device == "auto" and not torch.cuda.is_available())
    return "bfloat16" if on_cpu and torch.cpu._is_amx_tile_supported() else "float32"


def _orthogonal(module: nn.Module) -> None:
    """Start every recurrent weight [G*H, H] with one orthogonal matrix per gate (Saxe et al. 2014)."""
    for name, weight in module.named_parameters():
        if "weight_hh" in name:
            for block in torch.split(weight, weight.shape[1]):
                nn.init.orthogonal_(block)


def _runner(module: nn.Module) -> Any:
    """The module as a function of NumPy arrays, for the golden cases."""
    device = next(module.parameters()).device

    def run(x: NDArray[Any], state: Any, lengths: Any) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
        given = None if state is None else {k: torch.from_numpy(v).to(device) for k, v in state.items()}
        limits = None if lengths is None else torch.from_numpy(lengths).to(device)
        with torch.no_grad():
            out, after = module(torch.from_numpy(x).to(device), given, lengths=limits)
        return out.cpu().numpy(), {name: part.cpu().numpy() for name, part in after.items()}

    return run
