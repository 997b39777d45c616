"""The training problem of a text: streams in, the loss of the next token, validation nats.

loss = - mean over streams and steps of log p(token_{t+1} | token_1 .. token_t)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from congru.runtime.answer import Answer
from congru.runtime.decoding.sampling import Sampling, sample
from congru.runtime.tokenizer import parse_tokenizer
from congru.tasks.joining import JoinedLearner
from congru.tasks.members import side_by_side
from congru.tasks.text.data import METRIC, TextData, describe, metrics_of, prepare
from congru.tasks.text.network import network_config
from congru.tasks.text.scoring import nats_of
from congru.tasks.text.settings import SIZES, Settings
from congru.tasks.text.streams import NUM_SEGMENTS, make_segments, read_chunks, stream_rows, total_nats
from congru.train.base import Probe, Sample
from congru.train.networks import Networks

_SAMPLE_LENGTH = 300
_PROBE_LENGTH = 256
_ANSWER_LENGTH = 64
_SAMPLE_TEMPERATURE = 0.8


def make_learner(source: str, /, *, settings: Settings) -> TextLearner:
    """Read a UTF-8 file or a folder and cut it into streams."""
    return TextLearner(prepare(str(source), settings), settings)


class TextLearner(JoinedLearner[Settings]):
    """See :class:`congru.train.base.TaskLearner`; a row is where a chunk of a stream begins."""

    task = "text"
    metric = METRIC
    evaluation_batch = NUM_SEGMENTS
    sizes = SIZES
    uses = "Continuing text in the manner of what it was trained on, and measuring how surprising a text is to it."
    limits = (
        "It knows nothing but its training text: what it writes is invented, and may repeat passages of that text"
        " word for word. Symbols that the training text lacks cannot be read."
    )
    commands = (
        'congru run MODEL -p "The " --temperature 0.8 --top-p 0.9 -n 500',
        "congru eval MODEL TEXT",
        "congru inspect MODEL",
    )

    def __init__(self, data: TextData, settings: Settings) -> None:
        super().__init__(settings)
        self.data = data
        unit = "characters" if settings.tokens == "char" else "byte pairs"
        self.validation_words = f"{len(data.ids) - data.num_train:,} {unit}"
        self.baselines = data.baselines
        self.num_tokens = parse_tokenizer(data.tokenizer_file).num_tokens

    def resized(self, settings: Settings) -> TextLearner:
        """The same text with another network and other streams."""
        return TextLearner(self.data, settings)

    def networks(self, cell: str, hidden_size: int) -> dict[str, Any]:
        """One network from tokens to logits, or several alike whose logits are averaged."""
        changed = self.settings.model_copy(update={"cell": cell, "hidden_size": hidden_size})
        return side_by_side(network_config(changed, self.num_tokens), changed.seeds)

    def rows(self, epoch: int) -> NDArray[np.int64]:
        """Where the chunks of the streams begin, from a random offset."""
        size = self.data.num_train
        offset = int(self.generator(epoch).integers(size))
        return stream_rows(size, self.settings.batch_size, self.settings.chunk, offset)

    def batch(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Chunks [B, C + 1]."""
        return read_chunks(self.data.ids[: self.data.num_train], rows, self.settings.chunk)

    def loss(self, networks: Networks, batch: Tensor, carry: Any) -> tuple[Tensor, int, Any]:
        """Summed nats of a chunk's tokens by each member, how many there are, and the states to go on from."""
        target = batch[:, 1:].flatten()
        total, states = batch.new_zeros((), dtype=torch.float32), []
        for network, before in zip(networks.values(), carry or len(networks) * [None]):
            logits, state = network(batch[:, :-1], before)
            # Each learns by itself: their losses are added.
            total = total + F.cross_entropy(logits.flatten(0, 1).float(), target, reduction="sum")
            states.append(state)
        return total, len(networks) * target.numel(), states

    def validation_rows(self) -> range:
        """The segments of the validation part."""
        return range(len(make_segments(self.data.ids, self.data.num_train)))

    def evaluate(self, networks: Networks, rows: range) -> float:
        """Summed nats of the counted tokens of some segments."""

        def score(x: NDArray[Any], y: NDArray[Any], state: Any) -> tuple[NDArray[np.float64], Any]:
            logits, state = mean_logits(networks, self.tensors(x, networks), state)
            target = self.tensors(y, networks)
            nats = F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none")
            return nats.view(target.shape).double().cpu().numpy(), state

        segments = make_segments(self.data.ids, self.data.num_train)
        return total_nats(segments[rows.start : rows.stop], score)

    def metrics(self, parts: Sequence[float]) -> dict[str, float]:
        """Nats and bits over every character of the validation part."""
        return metrics_of(sum(parts), self.data.validation)

    def probe(self) -> Probe:
        """The first tokens of the validation part, [1, T]."""
        return Probe(torch.from_numpy(self._first(_PROBE_LENGTH)[None]))

    def sample(self, networks: Networks) -> Sample:
        """Text that the model writes after the first line of the validation part."""
        tokenizer = parse_tokenizer(self.data.tokenizer_file)
        prompt = self._first(_SAMPLE_LENGTH // 10)
        rng = np.random.default_rng(self.settings.seed)
        x, state, written = self.tensors(prompt[None], networks), None, []
        for _ in range(_SAMPLE_LENGTH):
            logits, state = mean_logits(networks, x, state)
            written.append(sample(logits[0, -1].cpu().numpy(), Sampling(_SAMPLE_TEMPERATURE), rng))
            x = torch.tensor([written[-1:]], device=networks.device)
        return Sample(tokenizer.decode([*prompt.tolist(), *written]))

    def _first(self, count: int) -> NDArray[np.int64]:
        """The first tokens of the validation part."""
        return self.data.ids[self.data.num_train :][:count].astype(np.int64)

    def task_config(self, parts: Sequence[float]) -> dict[str, Any]:
        """What a token is, and which share of a text is for validation."""
        return {"tokens": self.settings.tokens, "validation": self.settings.validation}

    def files(self, parts: Sequence[float]) -> dict[str, bytes]:
        """The tokenizer."""
        return {"tokenizer.json": self.data.tokenizer_file}

    def answer(self, networks: Networks, task_config: Mapping[str, Any]) -> Answer:
        """Nats [T] of the tokens after the first, for the beginning of the validation part [T + 1]."""
        tokens = self._first(_ANSWER_LENGTH)
        logits, _ = mean_logits(networks, self.tensors(tokens[None, :-1], networks), None)
        return Answer({"tokens": tokens}, {"nats": nats_of(logits[0].cpu().numpy(), tokens[1:])})

    def describe(self) -> dict[str, Any]:
        """What was read, and how it is cut into streams."""
        return {
            **describe(self.data, self.settings),
            "streams": f"{self.settings.batch_size} x {self.steps_per_epoch} chunks of {self.settings.chunk}",
        }


def mean_logits(networks: Networks, x: Tensor, states: Any) -> tuple[Tensor, Any]:
    """The mean of the members' logits, and their states after."""
    outs = [network(x, state) for network, state in zip(networks.values(), states or len(networks) * [None])]
    return torch.stack([logits for logits, _ in outs]).mean(0), [state for _, state in outs]
