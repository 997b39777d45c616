"""The training problem of a recogniser: utterances of like length side by side, varied, CTC; validation by greedy decoding.

    loss = - sum over utterances of log p(text), p summed over alignments (Graves et al. 2006), per character

With `consistency` c an utterance has two readings, with other masks and other units dropped, and what they say of every step t
is drawn together (CR-CTC, arXiv:2410.05101). With p_t the labels' probabilities in one of R readings, and q_t those in the
next, which teaches and does not learn,

    loss = 1 / R sum over readings of (their loss + c sum_t KL(q_t || p_t))

Several members (`seeds`) have a reading each. With `consistency` they learn from one another to speak at the same steps, without
which the mean of their logits says little.

A row is the number of an utterance and the seed of its variation. With `cut_by` a share of them are runs of words (`cuts`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from congru.nn.network import Network
from congru.runtime.answer import Answer
from congru.runtime.decoding.ctc import CTCGreedy
from congru.tasks.joining import JoinedLearner
from congru.tasks.members import side_by_side
from congru.tasks.speech.arpa import estimate, format_arpa
from congru.tasks.speech.augment import at_speed, mask_bands, mask_times, warped
from congru.tasks.speech.cuts import cuts_of, in_words
from congru.tasks.speech.data import Corpus, prepare, steps_needed
from congru.tasks.speech.frames import SHIFT_SECONDS, Floats
from congru.tasks.speech.front_end import FROM_FILE, FrontEnd, whole
from congru.tasks.speech.network import network_config
from congru.tasks.speech.recognizer import LABELS_FILE, LM_FILE
from congru.tasks.speech.scoring import baseline_texts, error_rates
from congru.tasks.speech.settings import Settings
from congru.tasks.speech.stages import Pipeline
from congru.tasks.speech.utterances import Utterance, speakers_of, total_frames
from congru.tasks.speech.words import text_of, words_of
from congru.train.base import Probe, Sample
from congru.train.networks import Networks

Batch = dict[str, Any]
Heard = list[tuple[str, str, float, int]]  # reference, hypothesis, nats, characters

_NEIGHBOURS = 8  # batches whose utterances are sorted by length together
_SAMPLES = 5
_CUTTING = 1 << 20  # the stream of random numbers of cuts, beside those of readings
_TRIES = 8  # runs of words drawn until one fits
_ANSWER_FRAMES = 150


def make_learner(source: str, /, *, settings: Settings) -> SpeechLearner:
    """Read a folder or table of audio with transcripts, or a .npz file of features."""
    return SpeechLearner(prepare(str(source), settings), settings)


class SpeechLearner(JoinedLearner[Settings]):
    """See :class:`congru.train.base.TaskLearner`."""

    task = "speech"
    metric = "wer"
    minimize = True
    evaluation_batch = 32
    uses = "Writing down speech like that of its training set, from files or, if it reads one way only, from a stream."
    limits = (
        "It writes the characters of its training texts, and knows voices, rooms, microphones and words like theirs."
        " Confidences are not calibrated."
    )
    commands = (
        "congru run MODEL recording.wav",
        "congru run MODEL --stream < recording.wav",
        "congru eval MODEL DATA",
    )

    def __init__(self, corpus: Corpus, settings: Settings) -> None:
        super().__init__(settings)
        self.corpus = corpus
        self.front_end = FrontEnd(
            kind=corpus.reading.kind,
            rate_hz=corpus.reading.rate_hz,
            size=corpus.size,
            running=not settings.bidirectional,
            mean=corpus.mean.tolist(),
            deviation=corpus.deviation.tolist(),
            differences=settings.differences,
            stack=settings.stack,
        )
        references = [one.text for one in corpus.validation]
        texts = [one.text for one in corpus.train]
        self.baselines = {
            name: error_rates(references, heard)["wer"]
            for name, heard in baseline_texts(texts, len(references)).items()
        }
        self._train, self._validation = (
            [whole(self.front_end.norm(), one.frames) for one in part]
            for part in (corpus.train, corpus.validation)
        )
        self._lengths = np.array([len(frames) for frames in self._train])
        self._cuts = [] if settings.cut_by is None else cuts_of(settings.cut_by, self.front_end, corpus.train)

    @cached_property
    def steps_per_epoch(self) -> int:
        """Whole batches; one where there are fewer utterances."""
        return max(1, len(self._train) // self.settings.batch_size)

    def networks(self, cell: str, hidden_size: int) -> dict[str, Any]:
        """One network from steps to labels, or several alike whose logits are averaged."""
        changed = self.settings.model_copy(update={"cell": cell, "hidden_size": hidden_size})
        declaration = network_config(changed, self.front_end.step_size, len(self.corpus.alphabet))
        return side_by_side(declaration, changed.seeds)

    @property
    def num_readings(self) -> int:
        """How often an utterance is read in a step of training."""
        return max(self.settings.seeds, 2 if self.settings.consistency else 1)

    def build_network(self, name: str, declaration: Mapping[str, Any]) -> Network:
        """The recurrent layers stay in float32, where the compiled core has them."""
        return Network(declaration, recurrent_float32=True)

    def rows(self, epoch: int) -> NDArray[np.int64]:
        """[N, 2]: in the first epochs short utterances first, then neighbours of like length, batches in random order."""
        rng, size = self.generator(epoch), self.settings.batch_size
        order = rng.permutation(len(self._train))
        order = np.resize(order, max(size, len(order) // size * size))
        if epoch < self.settings.short_first:
            order = order[np.argsort(self._lengths[order], kind="stable")]
        else:
            chunk = size * _NEIGHBOURS
            parts = [order[k : k + chunk] for k in range(0, len(order), chunk)]
            order = np.concatenate([part[np.argsort(self._lengths[part], kind="stable")] for part in parts])
            order = order.reshape(-1, size)[rng.permutation(len(order) // size)].ravel()
        return np.stack([order, rng.integers(1 << 62, size=len(order))], axis=1)

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """See `collate`; every utterance is varied by its own seed, all first readings before all second ones."""
        texts, frames = zip(*(self.draw(row, seed) for row, seed in rows.tolist()))
        steps = [
            self.vary(text, own, seed, number)
            for number in range(self.num_readings)
            for text, own, seed in zip(texts, frames, rows[:, 1].tolist())
        ]
        return self.collate(steps, texts * self.num_readings)

    def draw(self, row: int, seed: int) -> tuple[str, Floats]:
        """Text and normalised frames of a training utterance, or of a run of its words that fits into its steps."""
        text, frames = self.corpus.train[row].text, self._train[row]
        if not self._cuts:
            return text, frames
        rng = np.random.default_rng((seed, _CUTTING))
        if rng.random() < self.settings.cut_share:
            for _ in range(_TRIES):
                run = self._cuts[row].run(frames, rng)
                if run is not None and steps_needed(run[0]) * self.settings.stack <= len(run[1]):
                    return run
        return text, frames

    def vary(self, text: str, frames: Floats, seed: int, reading: int = 0) -> Floats:
        """The steps [T, I] of normalised frames with another voice, another speed, and masks.

        All readings of a seed have one voice and one speed, each masks of its own.
        """
        settings, rng = self.settings, np.random.default_rng(seed)
        if settings.warp and self.front_end.kind != FROM_FILE:
            frames = warped(frames, self.front_end.kind, settings.warp, self.corpus.deviation, rng)
        if settings.speed:
            frames = self._at_speed(frames, 1 + rng.uniform(-settings.speed, settings.speed), text)
        if reading:
            rng = np.random.default_rng((seed, reading))
        if settings.frequency_masks and self.front_end.kind == "fbank":
            frames = mask_bands(frames, settings.frequency_masks, settings.mask_bands, rng)
        steps = self.after_norm(frames)
        longest = round(settings.mask_seconds / (SHIFT_SECONDS * settings.stack))
        return mask_times(steps, settings.time_masks, longest, rng)

    def _at_speed(self, frames: Floats, factor: float, text: str) -> Floats:
        """As fast as the text allows."""
        least = steps_needed(text) * self.settings.stack
        return at_speed(frames, min(factor, len(frames) / max(1, least)))

    def after_norm(self, frames: Floats) -> Floats:
        """Steps [T, I] of normalised frames."""
        return whole(Pipeline([self.front_end.after_norm()]), frames)

    def collate(self, steps: Sequence[Floats], texts: Sequence[str]) -> Batch:
        """x [B, T + delay, I], lengths [B] with the delay, targets [S] one after the other, their lengths [B]."""
        delay = self.settings.look_ahead
        lengths = np.array([len(one) + delay for one in steps])
        x = np.zeros((len(steps), int(lengths.max()), self.front_end.step_size), np.float32)
        for k, one in enumerate(steps):
            x[k, : len(one)] = one
        targets = [self.corpus.alphabet.encode(text) for text in texts]
        return {
            "x": x,
            "lengths": lengths,
            "targets": np.concatenate(targets).astype(np.int64),
            "target_lengths": np.array([len(target) for target in targets]),
        }

    def readings(self, networks: Networks, batch: Batch) -> Tensor:
        """Log-probabilities [R B, T, V] of all readings, each by one member."""
        count, members = self.num_readings, list(networks.values())
        parts = zip(batch["x"].chunk(count), batch["lengths"].chunk(count))
        outs = [members[k % len(members)](x, lengths=lengths)[0] for k, (x, lengths) in enumerate(parts)]
        return self.log_probabilities(outs)

    def log_probabilities(self, outs: Sequence[Tensor]) -> Tensor:
        """[B, T, V] of logits one below the other: the outputs that come `delay` steps later."""
        return torch.log_softmax(torch.cat(list(outs)).float()[:, self.settings.look_ahead :], -1)

    def nats(self, log_p: Tensor, batch: Batch) -> Tensor:
        """-log p [B] of the texts, from log-probabilities [B, T, V]."""
        lengths = batch["lengths"] - self.settings.look_ahead
        sizes = batch["target_lengths"]
        return F.ctc_loss(
            log_p.transpose(0, 1), batch["targets"], lengths, sizes, reduction="none", zero_infinity=True
        )

    def loss(self, networks: Networks, batch: Batch, carry: Any) -> tuple[Tensor, Tensor, None]:
        """The summed nats of all readings, and the number of characters they read."""
        log_p = self.readings(networks, batch)
        total = self.nats(log_p, batch).sum()
        if self.settings.consistency:
            lengths = batch["lengths"] - self.settings.look_ahead
            total = total + self.settings.consistency * disagreement(log_p, lengths, self.num_readings)
        return total, batch["target_lengths"].sum(), None

    def mean_logits(self, networks: Networks, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The mean [B, T, V] of all members' logits."""
        return torch.stack([member(x, lengths=lengths)[0] for member in networks.values()]).mean(0)

    def validation_rows(self) -> NDArray[np.int64]:
        """The validation utterances, short ones first."""
        return np.argsort([len(frames) for frames in self._validation], kind="stable")

    def evaluate(self, networks: Networks, rows: NDArray[np.int64]) -> Heard:
        """References and hypotheses of some validation utterances."""
        utterances = [self.corpus.validation[row] for row in rows]
        steps = [self.after_norm(self._validation[row]) for row in rows]
        batch = self.tensors(self.collate(steps, [one.text for one in utterances]), networks)
        log_p = self.log_probabilities([self.mean_logits(networks, batch["x"], batch["lengths"])])
        nats = self.nats(log_p, batch)
        return [
            (one.text, self._greedy(own[: len(step)]), float(nat), len(one.text))
            for one, own, nat, step in zip(utterances, log_p.cpu().numpy(), nats, steps)
        ]

    def _greedy(self, log_p: NDArray[np.float32]) -> str:
        tokens = CTCGreedy().feed(np.minimum(log_p.astype(np.float64), 0.0)).tokens
        return text_of(words_of(tokens, self.corpus.alphabet, self.front_end.step_seconds))

    def metrics(self, parts: Sequence[Heard]) -> dict[str, float]:
        """Word and character error rates, and nats per character."""
        heard = [one for part in parts for one in part]
        rates = error_rates([one[0] for one in heard], [one[1] for one in heard])
        return {**rates, "nats": sum(one[2] for one in heard) / sum(one[3] for one in heard)}

    def probe(self) -> Probe:
        """The longest of the first validation utterances, [1, T, I]."""
        steps = [self.after_norm(frames) for frames in self._validation[:8]]
        return Probe(torch.from_numpy(max(steps, key=len)[None]))

    def task_config(self, parts: Sequence[Heard]) -> dict[str, Any]:
        """The front end, how texts are read, and which utterances were kept for validation."""
        reading = self.corpus.reading
        return {
            "front_end": self.front_end.config(),
            "case": reading.case,
            "alphabet": reading.alphabet,
            "speaker": reading.speaker,
            "validation": self.settings.validation,
            "most_frequent": next(iter(baseline_texts([one.text for one in self.corpus.train], 1).values()))[
                0
            ],
        }

    def files(self, parts: Sequence[Heard]) -> dict[str, bytes]:
        """The labels, and the trigrams of the training texts."""
        ngrams = estimate(one.text.split() for one in self.corpus.train)
        return {
            LABELS_FILE: json.dumps(self.corpus.alphabet.labels, ensure_ascii=False).encode(),
            LM_FILE: format_arpa(ngrams).encode(),
        }

    def sample(self, networks: Networks) -> Sample:
        """The first validation utterances: the transcript and what was recognised."""
        rows = self.validation_rows()
        chosen = rows[np.linspace(0, len(rows) - 1, min(_SAMPLES, len(rows))).astype(int)]
        lines = [
            f"said  {reference}\nheard {heard}" for reference, heard, *_ in self.evaluate(networks, chosen)
        ]
        return Sample("\n".join(lines))

    def answer(self, networks: Networks, task_config: Mapping[str, Any]) -> Answer:
        """Log-probabilities of the first frames of a validation utterance."""
        frames = np.ascontiguousarray(self.corpus.validation[0].frames[:_ANSWER_FRAMES])
        steps = self.front_end.steps(frames)
        x = np.concatenate([steps, np.zeros((self.settings.look_ahead, steps.shape[1]), np.float32)])
        out = self.mean_logits(networks, self.tensors(x[None], networks))
        log_p = torch.log_softmax(out[0, self.settings.look_ahead :].double(), -1)
        return Answer({"frames": frames}, {"log_probabilities": log_p.float().cpu().numpy()})

    def describe(self) -> dict[str, Any]:
        """What was read, how it is split, and what is odd about it."""
        corpus, front = self.corpus, self.front_end
        latency = front.delay_seconds + self.settings.look_ahead * front.step_seconds
        summary = {
            "source": corpus.source,
            "split": corpus.split,
            "train": _counted(corpus.train),
            "validation": _counted(corpus.validation),
            "features": f"{front.kind}, {front.step_size} numbers every {1000 * front.step_seconds:.0f} ms",
            "characters": "".join(corpus.alphabet.labels[1:]),
        }
        if self._cuts:
            summary["cut"] = in_words(self._cuts)
        if corpus.num_test:
            summary["test"] = f"{corpus.num_test} utterances, not looked at"
        if front.running:
            summary["latency"] = f"{1000 * latency:.0f} ms from a sound to its character, computing aside"
        return {**summary, **corpus.notes}


def disagreement(log_p: Tensor, lengths: Tensor, readings: int = 2) -> Tensor:
    """sum over rows and steps t of KL(q_t || p_t), in nats: p_t of a reading, q_t of the next one, without a gradient.

    `log_p` [R B, T, V] and `lengths` [R B] hold the rows of all R readings, one reading after the other.
    """
    first, *others = log_p.detach().chunk(readings)
    teacher = torch.cat([*others, first])
    nats = (teacher.exp() * (teacher - log_p)).sum(-1)
    counted = torch.arange(log_p.shape[1], device=log_p.device) < lengths[:, None]
    return nats.masked_fill(~counted, 0.0).sum()


def _counted(utterances: Sequence[Utterance]) -> str:
    minutes = total_frames(utterances) * SHIFT_SECONDS / 60
    speakers = len(speakers_of(utterances))
    who = f" of {speakers} speakers" if speakers else ""
    return f"{len(utterances)} utterances{who}, {minutes:.1f} minutes"
