"""The training problem of understanding: intent and tags of each sentence, unseen words and swapped slot values.

loss = mean over sentences of -log p(intent, tags), by the conditional random field of crf.py
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
from congru.runtime.decoding.viterbi import bio_allowed
from congru.tasks.assistant import crf
from congru.tasks.assistant.baselines import WordCounts
from congru.tasks.assistant.data import NO_INTENT, AssistantData, swap_values
from congru.tasks.assistant.decision import Decision, Field, decide, learn_threshold, mean_of_members
from congru.tasks.assistant.examples import Example, needed_slots, spans_of
from congru.tasks.assistant.features import pad
from congru.tasks.assistant.formats import OUT_OF_SCOPE
from congru.tasks.assistant.network import network_config
from congru.tasks.assistant.scoring import VOCABULARY, measures, outputs_of
from congru.tasks.assistant.settings import TASK, Settings
from congru.tasks.members import member_name
from congru.train.base import Probe, Sample, TaskLearner
from congru.train.networks import Networks

_FEWEST_STEPS = 5  # of an epoch
_NEIGHBOURS = 20  # batches whose sentences are sorted by length together
_LEAST = 1e-6  # probability of a label that training never shows
FIELD = ("transitions", "start", "coupling")


class UnderstandingLearner(TaskLearner[Settings]):
    """See :class:`congru.train.base.TaskLearner`; a row is an example and the seed of what is drawn for it."""

    task = TASK
    metric = "exact"
    minimize = False
    tie_metric = "nats"
    uses = "Finding what a request wants (its intent) and the values that it names (its slots)."
    limits = (
        "It knows the intents and slots of its training file only, and one intent a sentence. It understands, it does"
        ' not act or write replies. Below a threshold it says "I don\'t know"; confident mistakes remain.'
    )
    commands = ('congru run MODEL "a sentence"', "congru run MODEL", "congru eval MODEL DATA")

    def __init__(self, data: AssistantData, settings: Settings) -> None:
        super().__init__(settings)
        self.data = data
        self.validation_words = f"{len(data.validation):,} sentence{'' if len(data.validation) == 1 else 's'}"
        self._intents = {name: index for index, name in enumerate(data.intents)}
        self._tags = {tag: index for index, tag in enumerate(data.tags)}
        allowed = bio_allowed(data.tags)
        self._allowed = np.concatenate([allowed.transitions, allowed.start[None]])
        counts = WordCounts(data.train)
        words = [example.words for example in data.validation]
        naive = measures(data.validation, [counts.intent(w) for w in words], [counts.path(w) for w in words])
        common = counts.intents.most_common(1)[0][0]
        trivial = measures(data.validation, [common] * len(words), [["O"] * len(w) for w in words])
        self.baselines = {"naive Bayes and word tags": naive["exact"], "most frequent": trivial["exact"]}

    @property
    def steps_per_epoch(self) -> int:
        """Every sentence at least once an epoch; small files are read several times."""
        return max(_FEWEST_STEPS, -(-len(self.data.train) // self.settings.batch_size))

    def networks(self, cell: str, hidden_size: int) -> dict[str, Any]:
        """One network with two outputs."""
        sizes = self.data.vocabulary.sizes
        return {
            "main": network_config(
                self.settings, cell, hidden_size, sizes, len(self.data.tags), len(self.data.intents)
            )
        }

    def weights(self, cell: str, hidden_size: int) -> dict[str, Tensor]:
        """Transitions [K, K], start [K] and coupling [N, K] of the conditional random field, for every member."""
        size, num_intents = len(self.data.tags), len(self.data.intents)
        shapes = {"transitions": (size, size), "start": (size,), "coupling": (num_intents, size)}
        members = range(self.settings.seeds)
        return {member_name(name, k): torch.zeros(shape) for k in members for name, shape in shapes.items()}

    def rows(self, epoch: int) -> NDArray[np.int64]:
        """Examples in random order until the batches are full, neighbours by length together; each with a seed [N, 2]."""
        rng, size, count = self.generator(epoch), self.settings.batch_size, len(self.data.train)
        total = self.steps_per_epoch * size
        order = np.concatenate([rng.permutation(count) for _ in range(-(-total // count))])[:total]
        lengths = np.array([len(example.words) for example in self.data.train])
        chunks = [order[k : k + size * _NEIGHBOURS] for k in range(0, total, size * _NEIGHBOURS)]
        order = np.concatenate([chunk[np.argsort(lengths[chunk], kind="stable")] for chunk in chunks])
        order = order.reshape(-1, size)[rng.permutation(len(order) // size)].ravel()
        return np.stack([order, rng.integers(2**31, size=total)], axis=1)

    def batch(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        """Words [B, T, 8], lengths [B], tags [B, T], intents [B]."""
        words, tags, intents = [], [], []
        vocabulary = self.data.vocabulary
        for index, seed in rows:
            rng, example = np.random.default_rng(seed), self.data.train[index]
            names, path = swap_values(example, self.data.values, self.settings.swap, rng)
            draws = rng.random(len(names))
            amount = self.settings.unseen
            hidden = [bool(draw < vocabulary.hiding(name, amount)) for name, draw in zip(names, draws)]
            words.append(vocabulary.encode(names, hidden, rng))
            tags.append(np.array([self._tags[tag] for tag in _regular(path)], np.int64))
            intents.append(self._intents[example.intent or NO_INTENT])
        padded, lengths = pad(words)
        return padded, lengths, pad(tags)[0], np.array(intents, np.int64)

    def loss(self, networks: Networks, batch: Any, carry: Any) -> tuple[Tensor, int, Any]:
        """Summed nats of intents and tag paths by each member, and how many are summed."""
        words, lengths, tags, intents = batch
        outputs, _ = networks["main"](words, lengths=lengths)
        total = outputs["intent"].new_zeros(())
        for number in range(self.settings.seeds):  # each member learns by itself: their costs are added
            scores, logits = (outputs[member_name(name, number)] for name in ("tags", "intent"))
            field = self._trained_field(networks, number)
            if len(self.data.tags) > 1:
                total = total + crf.joint_nats(scores, logits, tags, intents, lengths, field).sum()
            else:  # nothing to tag: the other weights have no part in it
                nats = F.cross_entropy(logits.float(), intents, reduction="sum")
                total = total + nats + 0.0 * sum([scores.sum(), *(weight.sum() for weight in field[:3])])
        return total, self.settings.seeds * len(intents), None

    def _trained_field(self, networks: Networks, number: int) -> crf.Field:
        transitions, start, coupling = (networks.get_parameter(member_name(name, number)) for name in FIELD)
        return crf.Field(transitions, start, coupling, torch.from_numpy(self._allowed).to(networks.device))

    def validation_rows(self) -> range:
        """The validation examples."""
        return range(len(self.data.validation))

    def evaluate(self, networks: Networks, rows: range) -> list[tuple[str, float, list[str], float]]:
        """Intent, confidence, tags and nats of each sentence."""
        examples = [self.data.validation[row] for row in rows]
        sentences = [example.words for example in examples]
        scores, logits, lengths = self._outputs(networks, sentences)
        field = self._field(networks)
        decision = decide(scores, logits, lengths, field, self.data.intents)
        paths = [[self.data.tags[k] for k in path[: len(w)]] for path, w in zip(decision.paths, sentences)]
        guesses = [self.data.intents[index] for index in decision.intents]
        nats = self._nats(examples, decision, scores, lengths, field)
        return list(zip(guesses, decision.confidence.tolist(), paths, nats.tolist()))

    def _nats(
        self,
        examples: Sequence[Example],
        decision: Decision,
        scores: NDArray[Any],
        lengths: NDArray[np.int64],
        field: Field,
    ) -> NDArray[np.float64]:
        """-log p(intent) - log p(tags | intent) of each sentence; labels that training never shows have probability 1e-6."""
        padded = np.concatenate([decision.probabilities, np.zeros((len(examples), 1))], axis=1)
        numbers = [self._intents.get(example.intent or NO_INTENT, -1) for example in examples]
        nats = -np.log(np.maximum(padded[np.arange(len(examples)), numbers], _LEAST))
        known = [all(tag in self._tags for tag in example.tags) for example in examples]
        gold, _ = pad(
            [
                np.array([self._tags[tag] if ok else 0 for tag in _regular(example.tags)], np.int64)
                for example, ok in zip(examples, known)
            ]
        )
        coupled = field.coupled(scores, np.maximum(numbers, 0))
        tags = field.chain.log_partition(coupled, lengths) - field.chain.score(coupled, gold, lengths)
        return np.asarray(nats + np.where(known, tags, -np.log(_LEAST)), np.float64)

    def metrics(self, parts: Sequence[Any]) -> dict[str, float]:
        """exact, intent and slot_f1 without a threshold, over the sentences in scope; nats a sentence over all."""
        answers = [answer for part in parts for answer in part]
        scores = measures(self.data.validation, [a[0] for a in answers], [a[2] for a in answers])
        return {**scores, "nats": float(np.mean([a[3] for a in answers]))}

    def probe(self) -> Probe:
        """The first validation sentence."""
        return Probe(torch.from_numpy(self.data.vocabulary.encode(self.data.validation[0].words)[None]))

    def sample(self, networks: Networks) -> Sample:
        """What it understands of five validation sentences."""
        rows = range(min(5, len(self.data.validation)))
        lines = []
        for row, (intent, confidence, path, _) in zip(rows, self.evaluate(networks, rows)):
            words = self.data.validation[row].words
            slots = ", ".join(f"{slot}={' '.join(words[a:b])}" for slot, a, b in spans_of(path))
            lines.append(f"{' '.join(words)} -> {intent} {confidence:.2f} {slots}".rstrip())
        return Sample("\n".join(lines))

    def task_config(self, parts: Sequence[Any]) -> dict[str, Any]:
        """Names, the threshold learnt on validation, and the slots that each intent needs."""
        answers = [answer for part in parts for answer in part]
        examples = self.data.validation
        right = [(e.intent or NO_INTENT) == a[0] for e, a in zip(examples, answers)]
        outside = np.array([example.intent == OUT_OF_SCOPE for example in examples], bool)
        confidence = np.array([answer[1] for answer in answers])
        return {
            "intents": self.data.intents,
            "tags": self.data.tags,
            "cut_by_blanks": self.data.cut_by_blanks,
            "threshold": learn_threshold(confidence, np.array(right, bool), outside),
            "needed": needed_slots(self.data.train),
            "validation": self.settings.validation,
        }

    def files(self, parts: Sequence[Any]) -> dict[str, bytes]:
        """The vocabulary."""
        return {VOCABULARY: self.data.vocabulary.to_bytes()}

    def answer(self, networks: Networks, task_config: Mapping[str, Any]) -> Answer:
        """Probabilities, tags and threshold for the first validation sentence."""
        words = self.data.validation[0].words
        stored = np.frombuffer("\n".join(words).encode(), np.uint8).copy()
        return Answer(
            {"words": stored}, outputs_of(self._decide(networks, [words]), task_config["threshold"])
        )

    def describe(self) -> dict[str, Any]:
        """Counts, names and warnings."""
        data = self.data
        return {
            "source": data.source,
            "split": "its own parts, or the same share of every intent",
            "train": len(data.train),
            "validation": len(data.validation),
            "intents": len(data.intents),
            "slots": (len(data.tags) - 1) // 2,
            **({"warnings": data.warnings} if data.warnings else {}),
        }

    def _decide(self, networks: Networks, sentences: Sequence[Sequence[str]]) -> Decision:
        scores, logits, lengths = self._outputs(networks, sentences)
        return decide(scores, logits, lengths, self._field(networks), self.data.intents)

    def _outputs(
        self, networks: Networks, sentences: Sequence[Sequence[str]]
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.int64]]:
        """Tag scores [B, T, K], logits of intents [B, N], lengths [B]."""
        batch, lengths = pad([self.data.vocabulary.encode(words) for words in sentences])
        outputs, _ = networks["main"](self.tensors(batch, networks), lengths=self.tensors(lengths, networks))
        arrays = {name: part.detach().float().cpu().numpy() for name, part in outputs.items()}
        return mean_of_members("tags", arrays), mean_of_members("intent", arrays), lengths

    def _field(self, networks: Networks) -> Field:
        names = [member_name(name, k) for k in range(self.settings.seeds) for name in FIELD]
        weights = {name: networks.get_parameter(name).detach().cpu().numpy() for name in names}
        return Field.of(weights, self.data.tags)


def _regular(tags: Sequence[str]) -> list[str]:
    """The same spans with B- at the beginning of each."""
    path = ["O"] * len(tags)
    for slot, begin, end in spans_of(tags):
        path[begin:end] = [f"B-{slot}", *[f"I-{slot}"] * (end - begin - 1)]
    return path
