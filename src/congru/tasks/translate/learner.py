"""The training problem of a translator: pairs of like length side by side, smoothed cross-entropy, BLEU of greedy translations.

    loss = - sum over tokens of (1 - s) log p(y_t | y_<t, x) + s / V sum over v of log p(v | y_<t, x)

Every target ends with the boundary token; the decoder reads it shifted by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from congru.errors import DataError
from congru.runtime import network as runtime
from congru.runtime.answer import Answer
from congru.tasks.translate import dictionary
from congru.tasks.translate.data import TranslateData, prepare
from congru.tasks.translate.network import SCORES, network_configs
from congru.tasks.translate.scoring import score
from congru.tasks.translate.settings import Settings
from congru.tasks.translate.tokens import Vocabulary, make_vocabulary
from congru.tasks.translate.translator import SOURCE_FILE, TARGET_FILE, Translator, answer_of
from congru.train.base import Probe, Sample, TaskLearner
from congru.train.networks import Networks

Batch = dict[str, Any]

_IGNORED = -100  # the target of padding
_NEIGHBOURS = 40  # batches whose pairs are sorted by length together
_ANSWERS, _SAMPLES = 4, 4
_SCORE_SCALE = (
    0.1  # of first weights and learning rate of W in a . W m: as if the scores were a tenth as large
)


class Evaluated(NamedTuple):
    """Greedy translations of some validation rows, and their nats under teacher forcing."""

    rows: list[int]
    texts: list[str]
    nats: float
    num_tokens: int


def make_learner(source: str, target: str | None = None, /, *, settings: Settings) -> TranslateLearner:
    """Read two aligned files, or one file of pairs."""
    files = (Path(source),) if target is None else (Path(source), Path(target))
    return TranslateLearner(prepare(files, settings), settings)


class TranslateLearner(TaskLearner[Settings]):
    """See :class:`congru.train.base.TaskLearner`; a row is the number of a training pair."""

    task = "translate"
    metric = "bleu"
    minimize = False
    evaluation_batch = 256
    uses = "Translating sentences like those of its training pairs."
    limits = (
        "It translates one sentence at a time and knows no more than its pairs: other subjects, longer sentences and names are"
        " translated worse, fluently wrong ones included."
    )
    commands = (
        'congru run MODEL "a sentence"',
        "congru eval MODEL SOURCE TARGET",
        'congru inspect MODEL "a sentence"',
    )

    def __init__(self, data: TranslateData, settings: Settings) -> None:
        super().__init__(settings)
        self.data, self.eval_files = data, tuple(map(str, data.files))
        how = (settings.tokens, settings.vocab_size, settings.min_count, settings.lowercase)
        if settings.shared:
            self.source = self.target = make_vocabulary([*data.train.source, *data.train.target], *how)
        else:
            self.source = make_vocabulary(data.train.source, *how)
            self.target = make_vocabulary(data.train.target, *how)
        if not settings.fixed_vector:
            self.rate_factors = {f"decoder.{SCORES}": _SCORE_SCALE}
        self.pairs, self.num_long = _encode(data, self.source, self.target, settings.max_tokens)
        self.held = [
            (_ended(self.source, one), _ended(self.target, references[0]))
            for one, references in zip(data.validation.source, data.validation.references)
        ]
        clean_source = [self.source.clean(text) for text in data.train.source]
        clean_target = [self.target.clean(text) for text in data.train.target]
        self.dictionary = dictionary.fit_dictionary(clean_source, clean_target)
        self.baselines = {
            "word for word": self._bleu(
                [
                    dictionary.word_for_word(self.dictionary, self.source.clean(t))
                    for t in data.validation.source
                ]
            ),
            "source as it is": self._bleu([self.source.clean(text) for text in data.validation.source]),
        }

    def _bleu(self, texts: Sequence[str]) -> float:
        return score(texts, self.references, self.settings.bleu_tokenize).bleu

    @cached_property
    def references(self) -> list[list[str]]:
        """The validation references, cleaned as the model writes."""
        return [[self.target.clean(one) for one in some] for some in self.data.validation.references]

    @cached_property
    def steps_per_epoch(self) -> int:
        """Whole batches; one where there are fewer pairs."""
        return max(1, len(self.pairs) // self.settings.batch_size)

    def networks(self, cell: str, hidden_size: int) -> dict[str, Any]:
        """The encoder and the decoder."""
        changed = self.settings.model_copy(update={"cell": cell, "hidden_size": hidden_size})
        return network_configs(changed, self.source.num_tokens, self.target.num_tokens)

    def build(self, cell: str, hidden_size: int) -> Networks:
        """Both networks; with a shared vocabulary they have one table of vectors."""
        networks = super().build(cell, hidden_size)
        if self.settings.shared:
            table = networks["decoder"].get_parameter("embed.weight")
            networks["encoder"].get_submodule("embed").register_parameter("weight", table)
        return networks

    def start(self, networks: Networks) -> None:
        """First vectors so short that tied outputs begin near equal (layer norm brings them back to length at the input);
        attention that begins near even.
        """
        with torch.no_grad():
            if not self.settings.fixed_vector:
                networks["decoder"].get_parameter(SCORES).mul_(_SCORE_SCALE)
            for name in ("encoder", "decoder"):
                table = networks[name].get_parameter("embed.weight")
                table.normal_(std=self.settings.embedding_size**-0.5)

    def rows(self, epoch: int) -> NDArray[np.int64]:
        """The pairs in random order, then neighbours sorted by length and cut into batches in random order."""
        rng, size = self.generator(epoch), self.settings.batch_size
        order = rng.permutation(len(self.pairs))
        order = np.resize(order, max(size, len(order) // size * size))
        chunk = size * _NEIGHBOURS
        parts = [order[k : k + chunk] for k in range(0, len(order), chunk)]
        arranged = np.concatenate([part[np.lexsort(self.lengths[part].T)] for part in parts])
        return np.asarray(arranged.reshape(-1, size)[rng.permutation(len(arranged) // size)].ravel())

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of source and target of every pair, [N, 2]."""
        return np.array([(len(source), len(target)) for source, target in self.pairs])

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """See `collate`."""
        return self.collate([self.pairs[row] for row in rows])

    def collate(self, pairs: Sequence[tuple[list[int], list[int]]]) -> Batch:
        """source [B, S], its lengths [B], decoder_inputs [B, T] (wanted, one token later), wanted [B, T] (-100 at padding)."""
        source = [one for one, _ in pairs]
        target = [other for _, other in pairs]
        wanted = _padded(target, _IGNORED)
        decoder_inputs = np.concatenate([np.full((len(pairs), 1), self.target.boundary), wanted[:, :-1]], 1)
        return {
            "source": _padded(source, self.source.boundary),
            "lengths": np.array([len(one) for one in source]),
            "decoder_inputs": np.where(decoder_inputs == _IGNORED, self.target.boundary, decoder_inputs),
            "wanted": wanted,
        }

    def logits(self, networks: Networks, batch: Batch) -> Tensor:
        """Scores [B, T, V] of the next token under teacher forcing."""
        out, _ = networks["encoder"](batch["source"], lengths=batch["lengths"])
        inputs = {"target": batch["decoder_inputs"]}
        lengths = {}
        if self.settings.fixed_vector:
            inputs["summary"] = out
        else:
            inputs["memory"] = next(value for name, value in out.items() if name != "summary")
            inputs["summary"] = out["summary"]
            lengths["memory"] = batch["lengths"]
        logits, _ = networks["decoder"](inputs, lengths=lengths)
        scores: Tensor = logits
        return scores

    def loss(self, networks: Networks, batch: Batch, carry: Any) -> tuple[Tensor, Tensor, None]:
        """The summed cross-entropy against smoothed targets, and the number of tokens."""
        wanted = batch["wanted"]
        total = self.nats(self.logits(networks, batch), wanted, self.settings.label_smoothing)
        return total, (wanted != _IGNORED).sum(), None

    @staticmethod
    def nats(logits: Tensor, wanted: Tensor, smoothing: float = 0.0) -> Tensor:
        """The summed cross-entropy of logits [B, T, V] against tokens [B, T]; padding counts for nothing."""
        return F.cross_entropy(
            logits.flatten(0, 1).float(),
            wanted.flatten(),
            ignore_index=_IGNORED,
            label_smoothing=smoothing,
            reduction="sum",
        )

    def validation_rows(self) -> NDArray[np.int64]:
        """The validation sentences, short ones first."""
        return np.argsort([len(source) for source, _ in self.held], kind="stable")

    def evaluate(self, networks: Networks, rows: NDArray[np.int64]) -> Evaluated:
        """Translate some validation sentences, and take the nats of their first references."""
        chosen = [int(row) for row in rows]
        batch = self.tensors(self.collate([self.held[row] for row in chosen]), networks)
        nats = float(self.nats(self.logits(networks, batch), batch["wanted"]))
        translations = self.translator(networks).translate(
            [self.data.validation.source[row] for row in chosen],
            beam_size=1,
            batch_size=self.evaluation_batch,
        )
        count = sum(len(self.held[row][1]) for row in chosen)
        return Evaluated(chosen, [one[0].text for one in translations], nats, count)

    def metrics(self, parts: Sequence[Evaluated]) -> dict[str, float]:
        """BLEU and chrF of the greedy translations, and nats per token."""
        texts = {row: text for part in parts for row, text in zip(part.rows, part.texts)}
        ordered = [texts[row] for row in range(len(self.held))]
        scores = score(ordered, self.references, self.settings.bleu_tokenize).numbers()
        nats, count = (sum(values) for values in zip(*((part.nats, part.num_tokens) for part in parts)))
        return {**scores, "nats": nats / max(count, 1)}

    def probe(self) -> Probe:
        """The longest of the first validation sentences, [1, S], as the encoder reads it."""
        return Probe(torch.tensor([max((source for source, _ in self.held[:8]), key=len)]), "encoder")

    def task_config(self, parts: Sequence[Evaluated]) -> dict[str, Any]:
        """How sentences are cut, how the score is taken, and how pairs were read."""
        settings = self.settings
        return {
            "tokens": settings.tokens,
            "lowercase": settings.lowercase,
            "bleu_tokenize": settings.bleu_tokenize,
            "source_column": settings.source_column,
            "target_column": settings.target_column,
            "source_language": settings.source_language,
            "target_language": settings.target_language,
            "validation": 0.0 if settings.valid else settings.validation,
            "max_validation": settings.max_validation,
            "sample": self.data.validation.source[0],
        }

    def files(self, parts: Sequence[Evaluated]) -> dict[str, bytes]:
        """The vocabularies, and the dictionary of the baseline."""
        return {
            SOURCE_FILE: self.source.file,
            TARGET_FILE: self.target.file,
            dictionary.FILE: dictionary.to_bytes(self.dictionary),
        }

    def translator(self, networks: Networks, task_config: Mapping[str, Any] | None = None) -> Translator:
        """What a user loads, from the weights as they are now."""
        declared = self.networks(self.settings.cell, self.settings.hidden_size)
        made = {
            name: runtime.Network(
                entry,
                {key: value.detach().cpu().numpy() for key, value in networks[name].state_dict().items()},
            )
            for name, entry in declared.items()
        }
        return Translator(made["encoder"], made["decoder"], self.source, self.target, task_config or {}, {})

    def sample(self, networks: Networks) -> Sample:
        """The first validation sentences with their translations."""
        chosen = list(range(min(_SAMPLES, len(self.held))))
        texts = [self.data.validation.source[row] for row in chosen]
        translations = self.translator(networks).translate(texts, beam_size=1)
        parts = [
            f"source       {text}\ntranslation  {best[0].text}\nreference    {self.references[row][0]}"
            for row, text, best in zip(chosen, texts, translations)
        ]
        return Sample("\n\n".join(parts))

    def answer(self, networks: Networks, task_config: Mapping[str, Any]) -> Answer:
        """Log p of the greedy translations of some validation sentences."""
        texts = [" ".join(text.split()) for text in self.data.validation.source[:_ANSWERS]]
        encoded = np.frombuffer("\n".join(texts).encode(), np.uint8)
        return Answer({"texts": encoded}, answer_of(self.translator(networks, task_config), texts))

    def describe(self) -> dict[str, Any]:
        """What was read, how it is split, and what is odd about it."""
        data, settings = self.data, self.settings
        kind = "words" if settings.tokens == "word" else "byte pairs"
        sizes = f"{self.source.num_tokens:,}"
        if not settings.shared:
            sizes += f" and {self.target.num_tokens:,}"
        summary: dict[str, Any] = {
            "source": data.files[0],
            **({"target": data.files[1]} if len(data.files) > 1 else {}),
            "split": data.split,
            "train": f"{len(self.pairs)} pairs, {self.lengths.sum(0).tolist()} tokens",
            "validation": f"{len(data.validation)} sentences",
            "tokens": f"{sizes} {kind}{', shared' if settings.shared else ''}",
            **data.notes,
        }
        if self.num_long:
            summary[f"longer than {settings.max_tokens} tokens"] = (
                f"{self.num_long} pairs, left out of training"
            )
        return summary


def _ended(vocabulary: Vocabulary, text: str) -> list[int]:
    return [*vocabulary.encode(text), vocabulary.boundary]


def _encode(
    data: TranslateData, source: Vocabulary, target: Vocabulary, most: int
) -> tuple[list[tuple[list[int], list[int]]], int]:
    """The training pairs as tokens, and how many were too long."""
    every = [
        (_ended(source, one), _ended(target, other))
        for one, other in zip(data.train.source, data.train.target)
    ]
    kept = [pair for pair in every if max(map(len, pair)) <= most]
    if not kept:
        raise DataError(
            f"max_tokens is {most}, expected enough for some pair (the shortest has"
            f" {min(max(map(len, pair)) for pair in every)}): raise --max-tokens"
        )
    return kept, len(every) - len(kept)


def _padded(rows: Sequence[list[int]], padding: int) -> NDArray[np.int64]:
    ids = np.full((len(rows), max(map(len, rows))), padding, np.int64)
    for row, one in enumerate(rows):
        ids[row, : len(one)] = one
    return ids
