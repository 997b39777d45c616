"""Three tiny tasks that prove the frame of learners; none is shipped. Run as a program it trains one of them:
``python tiny.py NAME --out FOLDER --steps 40 ...``.

* ``Reverse``: an encoder-decoder with attention and beam search says a word backwards: two networks, lengths, padding.
* ``Beeps``: CTC over causal convolutions hears which tones follow each other: variable lengths, an edit distance.
* ``Rules``: two inputs, two heads, a mask of legal moves, and a weight that belongs to no network.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
from cyclopts import App, Parameter
from numpy.typing import NDArray
from torch import Tensor

from congru.runtime.answer import Answer
from congru.runtime.decoding.beam import Hypothesis, beam_search
from congru.runtime.decoding.ctc import CTCGreedy
from congru.runtime.decoding.scores import log_softmax
from congru.runtime.graph import Graph
from congru.runtime.model import Model
from congru.train.base import Probe, Sample, TaskLearner
from congru.train.loop import RunResult, fit
from congru.train.networks import Networks
from congru.train.resolve import resolve
from congru.train.saving import runner
from congru.train.settings import ModelSettings

Ints = NDArray[np.int64]
LETTERS, START, END = 6, 6, 7  # START also pads the source
TONES, FRAMES, BLANK = 3, 24, 0
MOVES, STEPS = 6, 7


class Settings(ModelSettings, title="settings of a tiny task"):
    """Small, for a few seconds of training."""

    hidden_size: int = 16
    batch_size: int = 16
    learning_rate: float = 0.01
    weight_decay: float = 0.0


class Tiny(TaskLearner[Settings]):
    """Made-up rows: their number is their seed."""

    def rows(self, epoch: int) -> range:
        return range(epoch * 320, (epoch + 1) * 320)

    def validation_rows(self) -> range:
        return range(10**6, 10**6 + 40)

    def describe(self) -> dict[str, Any]:
        return {"source": "made up", "train": 320, "validation": 40}


class Reverse(Tiny):
    """source [B, S], lengths [B] -> target [B, S + 1]: the letters backwards and END, padded with -1."""

    task = "reverse"
    metric = "nats"

    def networks(self, cell: str, hidden_size: int) -> dict[str, Any]:
        recurrent = {"type": cell, "hidden_size": hidden_size}
        return {
            "encoder": {
                "inputs": {"source": {"tokens": START + 1}},
                "nodes": [
                    {"type": "embedding", "name": "letter", "size": 8},
                    {**recurrent, "name": "both_ways", "bidirectional": True},
                ],
                "outputs": ["both_ways"],
            },
            "decoder": {
                "inputs": {
                    "target": {"tokens": END + 1},
                    "memory": {"features": 2 * hidden_size, "axes": "memory"},
                },
                "nodes": [
                    {"type": "embedding", "name": "letter", "size": 8, "of": "target"},
                    {**recurrent, "name": "query"},
                    {"type": "attention", "name": "look", "of": ["query", "memory"]},
                    {"type": "concat", "name": "seen", "of": ["query", "look"]},
                    {**recurrent, "name": "writer"},
                    {"type": "linear", "name": "word", "size": END + 1},
                ],
                "outputs": ["word"],
            },
        }

    def batch(self, rows: Sequence[int]) -> dict[str, Ints]:
        words = []
        for row in rows:
            rng = np.random.default_rng(row)
            words.append(rng.integers(0, LETTERS, rng.integers(1, 6)))
        lengths = np.array([len(word) for word in words])
        source = np.full((len(words), lengths.max()), START)
        target = np.full((len(words), lengths.max() + 1), -1)
        for number, word in enumerate(words):
            source[number, : len(word)] = word
            target[number, : len(word) + 1] = [*word[::-1], END]
        return {"source": source, "lengths": lengths, "target": target}

    def loss(self, networks: Networks, batch: Any, carry: Any) -> tuple[Tensor, Tensor, None]:
        memory, _ = networks["encoder"](batch["source"], lengths=batch["lengths"])
        target = batch["target"]
        before = F.pad(target[:, :-1], (1, 0), value=START).clamp(min=0)
        inputs = {"target": before, "memory": memory}
        logits, _ = networks["decoder"](inputs, lengths={"memory": batch["lengths"]})
        total = F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=-1, reduction="sum")
        return total, (target >= 0).sum(), None

    def evaluate(self, networks: Networks, rows: range) -> tuple[float, int, list[bool]]:
        batch = self.batch(rows)
        total, count, _ = self.loss(networks, self.tensors(batch, networks), None)
        runs = {name: runner(networks[name]) for name in networks}
        right = []
        for word, best in zip(batch["target"], decode(runs, self.decoder, batch["source"], batch["lengths"])):
            right.append([*best.tokens, END] == word[word >= 0].tolist())
        return float(total), int(count), right

    def metrics(self, parts: Sequence[tuple[float, int, list[bool]]]) -> dict[str, float]:
        total, count = (sum(part[column] for part in parts) for column in (0, 1))
        right = [word for part in parts for word in part[2]]
        return {"nats": total / count, "accuracy": float(np.mean(right))}

    @property
    def decoder(self) -> Mapping[str, Any]:
        return self.networks(self.settings.cell, self.settings.hidden_size)["decoder"]  # type: ignore[no-any-return]

    def answer(self, networks: Networks, task_config: Mapping[str, Any]) -> Answer:
        batch = self.batch(self.validation_rows()[:3])
        inputs = {name: batch[name] for name in ("source", "lengths")}
        runs = {name: runner(networks[name]) for name in networks}
        return Answer(inputs, scores_of(decode(runs, self.decoder, **inputs)))

    @staticmethod
    def reply(model: Model, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        runs = {name: network.run for name, network in model.networks.items()}
        return scores_of(decode(runs, model.config["networks"]["decoder"], **inputs))


def decode(
    runs: Mapping[str, Any], decoder: Mapping[str, Any], source: Ints, lengths: Ints
) -> list[Hypothesis]:
    """The best word of each source by beam search, from networks in torch or in NumPy."""
    memory, _ = runs["encoder"](source, None, lengths)
    count, beam = len(source), 3
    rows = np.repeat(np.arange(count), beam)

    def step(tokens: Ints, state: Any) -> tuple[Any, Any]:
        out, after = runs["decoder"](
            {"target": tokens[:, None], "memory": memory[rows]}, state, {"memory": lengths[rows]}
        )
        return log_softmax(out[:, 0]), after

    shapes = Graph(decoder).state_shapes.items()
    state = {name: np.zeros((depth, count, size), np.float32) for name, (depth, size) in shapes}
    best = beam_search(step, state, start=START, end=END, max_length=8, num_sentences=count, beam_size=beam)
    return [hypotheses[0] for hypotheses in best]


def scores_of(best: Sequence[Hypothesis]) -> dict[str, NDArray[np.float64]]:
    return {"score": np.array([hypothesis.score for hypothesis in best])}


class Beeps(Tiny):
    """frames [B, FRAMES, 2] of noisy tones, with silence between them -> the tones, 1 .. TONES."""

    task = "beeps"
    metric = "errors"

    def networks(self, cell: str, hidden_size: int) -> dict[str, Any]:
        return {
            "main": {
                "inputs": {"frames": {"features": 2}},
                "nodes": [
                    {"type": "causal_conv", "name": "front", "size": 12, "kernel": 3, "look_ahead": 1},
                    {"type": "relu", "name": "bend"},
                    {"type": cell, "name": "rnn", "hidden_size": hidden_size},
                    {"type": "linear", "name": "head", "size": TONES + 1},
                ],
                "outputs": ["head"],
            }
        }

    def batch(self, rows: Sequence[int]) -> dict[str, Any]:
        frames = np.zeros((len(rows), FRAMES, 2), np.float32)
        tones = np.zeros((len(rows), 4), np.int64)
        counts = np.zeros(len(rows), np.int64)
        for number, row in enumerate(rows):
            rng = np.random.default_rng(row)
            counts[number] = rng.integers(1, 5)
            for index in range(counts[number]):
                tone = tones[number, index] = rng.integers(1, TONES + 1)
                begin = 6 * index + rng.integers(0, 2)
                angle = 2 * np.pi * tone / TONES
                frames[number, begin : begin + rng.integers(2, 4)] = np.cos(angle), np.sin(angle)
            frames[number] += 0.1 * rng.standard_normal((FRAMES, 2))
        return {"frames": frames, "tones": tones, "counts": counts}

    def loss(self, networks: Networks, batch: Any, carry: Any) -> tuple[Tensor, int, None]:
        logits, _ = networks["main"](batch["frames"])
        log_p = logits.float().log_softmax(-1).transpose(0, 1)
        lengths = torch.full((len(batch["counts"]),), FRAMES)
        total = F.ctc_loss(log_p, batch["tones"], lengths, batch["counts"], BLANK, reduction="sum")
        return total, int(batch["counts"].sum()), None

    def evaluate(self, networks: Networks, rows: range) -> tuple[int, int]:
        batch = self.batch(rows)
        logits, _ = networks["main"](self.tensors(batch["frames"], networks))
        wrong = [
            read(row) != tones[:count].tolist()
            for row, tones, count in zip(logits.cpu().numpy(), batch["tones"], batch["counts"])
        ]
        return sum(wrong), len(wrong)

    def metrics(self, parts: Sequence[tuple[int, int]]) -> dict[str, float]:
        return {"errors": sum(part[0] for part in parts) / sum(part[1] for part in parts)}

    def probe(self) -> Probe:
        return Probe(torch.from_numpy(self.batch(range(2))["frames"]))

    def answer(self, networks: Networks, task_config: Mapping[str, Any]) -> Answer:
        frames = self.batch(self.validation_rows()[:4])["frames"]
        logits, _ = networks["main"](self.tensors(frames, networks))
        return Answer({"frames": frames}, {"tones": padded(logits.cpu().numpy())})

    @staticmethod
    def reply(model: Model, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"tones": padded(model.run(inputs["frames"])[0])}


def read(logits: NDArray[Any]) -> list[int]:
    """The tones in the logits [T, TONES + 1] of one row."""
    return [heard.token for heard in CTCGreedy(BLANK).feed(log_softmax(logits)).tokens]


def padded(logits: NDArray[Any]) -> Ints:
    return np.array([[*read(row), *[0] * FRAMES][:8] for row in logits])


class Rules(Tiny):
    """moves [B, T] and a player's taste [B, 2] -> the next move among the legal ones, and the sum of the taste."""

    task = "rules"
    metric = "nats"

    def networks(self, cell: str, hidden_size: int) -> dict[str, Any]:
        return {
            "main": {
                "inputs": {"moves": {"tokens": MOVES}, "taste": {"features": 2, "axes": "row"}},
                "nodes": [
                    {"type": "embedding", "name": "move", "size": 8, "of": "moves"},
                    {"type": "concat", "name": "both", "of": ["move", "taste"]},
                    {"type": cell, "name": "rnn", "hidden_size": hidden_size},
                    {"type": "linear", "name": "next", "size": MOVES},
                    {"type": "last", "name": "end", "of": "rnn"},
                    {"type": "linear", "name": "value", "size": 1},
                ],
                "outputs": ["next", "value"],
            }
        }

    def weights(self, cell: str, hidden_size: int) -> dict[str, Tensor]:
        return {"prior": torch.zeros(MOVES)}

    def batch(self, rows: Sequence[int]) -> dict[str, Any]:
        moves = np.zeros((len(rows), STEPS + 1), np.int64)
        legal = np.zeros((len(rows), STEPS, MOVES), bool)
        taste = np.zeros((len(rows), 2), np.float32)
        for number, row in enumerate(rows):
            rng = np.random.default_rng(row)
            taste[number] = rng.standard_normal(2)
            moves[number] = (rng.integers(MOVES) + np.arange(STEPS + 1) * rng.integers(1, 3)) % MOVES
            legal[number] = rng.random((STEPS, MOVES)) < 0.5
            legal[number, np.arange(STEPS), moves[number, 1:]] = True
        return {"moves": moves, "legal": legal, "taste": taste}

    def loss(self, networks: Networks, batch: Any, carry: Any) -> tuple[Tensor, int, None]:
        out, _ = networks["main"]({"moves": batch["moves"][:, :-1], "taste": batch["taste"]})
        logits = (out["next"] + networks.get_parameter("prior")).masked_fill(~batch["legal"], -torch.inf)
        nats = F.cross_entropy(logits.flatten(0, 1), batch["moves"][:, 1:].flatten(), reduction="sum")
        error = (out["value"][:, 0] - batch["taste"].sum(1)).square().sum()
        return nats + STEPS * error, batch["moves"][:, 1:].numel(), None

    def evaluate(self, networks: Networks, rows: range) -> tuple[float, int]:
        total, count, _ = self.loss(networks, self.tensors(self.batch(rows), networks), None)
        return float(total), count

    def metrics(self, parts: Sequence[tuple[float, int]]) -> dict[str, float]:
        return {"nats": sum(part[0] for part in parts) / sum(part[1] for part in parts)}

    def sample(self, networks: Networks) -> Sample:
        return Sample("", {"board.svg": b"<svg></svg>"})

    def answer(self, networks: Networks, task_config: Mapping[str, Any]) -> Answer:
        batch = self.batch(self.validation_rows()[:4])
        inputs = {
            "moves": batch["moves"][:, :-1],
            "taste": batch["taste"],
            "legal": batch["legal"].astype(np.int64),
        }
        prior = networks.get_parameter("prior").numpy()
        return Answer(inputs, choose(runner(networks["main"]), prior, inputs))

    @staticmethod
    def reply(model: Model, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        return choose(model.network.run, model.task_weights["prior"], inputs)


def choose(run: Any, prior: NDArray[Any], inputs: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """The log-probabilities of the legal moves (0 for the others), and the value."""
    out, _ = run({"moves": inputs["moves"], "taste": inputs["taste"]}, None, None)
    logits = np.where(inputs["legal"] > 0, out["next"] + prior, -1e30)
    return {"log_p": np.where(inputs["legal"] > 0, log_softmax(logits), 0.0), "value": out["value"]}


LEARNERS: dict[str, type[Any]] = {kind.task: kind for kind in (Reverse, Beeps, Rules)}


def run(name: str, **keywords: object) -> RunResult:
    settings, origin = resolve(Settings, keywords)
    return fit(LEARNERS[name](settings), settings, origin=origin)


def main() -> None:
    app = App()

    @app.default
    def train(name: str, *, settings: Annotated[Settings, Parameter(name="*")] = Settings()) -> None:  # noqa: B008
        resolved, origin = resolve(Settings, settings, source="flag")
        fit(LEARNERS[name](resolved), resolved, origin=origin)

    app(result_action="return_value")


if __name__ == "__main__":
    sys.exit(main())
