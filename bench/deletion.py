"""Do exact shares find the words that a prediction stands on? A deletion test on SST-2, beside other attributions.

A small GRU learns the sentiment of sentences, once with a linear read-out of the mean of its states, once of its
last state. Each method gives every word of a validation sentence a share in the margin (predicted class minus the
other). The words ranked highest, a tenth, a fifth and three tenths of them, are removed, the model reads what is
left, and the margin that was lost is the score: higher is better. `drop` is the mean lost margin in units of the
mean margin, `flipped` the part of the predictions that changed; `size` ranks by |share|, `signed` by the share.
Correctness first: shares, start and bias must add up to the output.

    CONGRU_DATA=FOLDER python -m bench.deletion [--seeds 0 1 2]

Peers: gradient x input and integrated gradients over the word vectors (Sundararajan et al. 2017, captum, 50
steps from zeros), occlusion (each word removed alone: N + 1 readings, what the test itself rewards), random order.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from captum.attr import InputXGradient, IntegratedGradients
from torch import Tensor, nn

import congru
from bench.record import ROOT, spread, write_result

SHARES = (0.1, 0.2, 0.3)
READOUTS = ("mean", "last")
EMBEDDING, HIDDEN, EPOCHS, BATCH = 64, 64, 10, 64
DRAWS = 5  # random orders per sentence
COMPLETE = 1e-5

Sentences = list[list[int]]
Attribution = Callable[["Classifier", Tensor, Tensor], np.ndarray]


class Classifier(nn.Module):
    """Word vectors, one GRU, a linear read-out of the mean or the last of its states: [B, T] -> [B, 2]."""

    def __init__(self, num_words: int, readout: str) -> None:
        super().__init__()
        self.readout = readout
        self.embed = nn.Embedding(num_words, EMBEDDING)
        self.rnn = congru.nn.GRU(EMBEDDING, HIDDEN, batch_first=True)
        self.head = nn.Linear(HIDDEN, 2)
        self.dropout = nn.Dropout(0.5)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        return self.read(self.dropout(self.embed(tokens)), lengths)

    def read(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        """From word vectors [B, T, E]; what gradients are taken by."""
        y, _ = self.rnn(vectors, lengths=lengths)
        if self.readout == "mean":
            pooled = y.sum(1) / lengths[:, None]
        else:
            pooled = y.gather(1, (lengths - 1)[:, None, None].expand(-1, 1, HIDDEN))[:, 0]
        return self.head(self.dropout(pooled))


def load(path: Path, words: dict[str, int] | None = None) -> tuple[Sentences, Tensor, dict[str, int]]:
    """Sentences as word numbers, labels [N], and the words by number; 0 is every word seen once or never."""
    rows = [line.rsplit("\t", 1) for line in path.read_text(encoding="utf-8").splitlines()]
    texts = [text.split() for text, _ in rows]
    if words is None:
        counts = Counter(word for text in texts for word in text)
        words = {word: number for number, (word, count) in enumerate(counts.most_common(), 1) if count > 1}
    numbers = [[words.get(word, 0) for word in text] for text in texts]
    return numbers, torch.tensor([int(label) for _, label in rows]), words


def padded(sentences: Sentences) -> tuple[Tensor, Tensor]:
    """Tokens [B, T] padded with 0, lengths [B]."""
    lengths = torch.tensor([len(sentence) for sentence in sentences])
    tokens = torch.zeros(len(sentences), int(lengths.max()), dtype=torch.int64)
    for row, sentence in enumerate(sentences):
        tokens[row, : len(sentence)] = torch.tensor(sentence)
    return tokens, lengths


def train(sentences: Sentences, labels: Tensor, num_words: int, readout: str, seed: int) -> Classifier:
    """A fixed number of epochs: nothing is chosen by looking at the validation part."""
    torch.manual_seed(seed)
    model = Classifier(num_words, readout)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(sentences)).split(BATCH):
            tokens, lengths = padded([sentences[row] for row in rows])
            loss = F.cross_entropy(model(tokens, lengths), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    return model.eval()


def margins(logits: Tensor, predicted: Tensor) -> Tensor:
    """The logit of the predicted class minus that of the other, [B]."""
    return logits.gather(1, predicted[:, None])[:, 0] - logits.gather(1, 1 - predicted[:, None])[:, 0]


def read(model: Classifier, sentences: Sentences) -> Tensor:
    """Logits [N, 2]."""
    with torch.no_grad():
        return torch.cat(
            [model(*padded(sentences[begin : begin + 256])) for begin in range(0, len(sentences), 256)]
        )


def exact_shares(model: Classifier, sentences: Sentences) -> list[np.ndarray]:
    """C_k of the margin, from the trace; refuses where they do not add up."""
    signed_shares = []
    for begin in range(0, len(sentences), 128):
        tokens, lengths = padded(sentences[begin : begin + 128])
        trace = congru.inspect(model, tokens, lengths=lengths)
        for row, length in enumerate(lengths.tolist()):
            shares = trace.memories(row=row)
            missing = shares.contributions.sum(axis=0) + shares.start + shares.bias - trace.output[row]
            if np.abs(missing).max() > COMPLETE * max(1.0, float(np.abs(trace.output[row]).max())):
                raise SystemExit(f"shares miss the output by {np.abs(missing).max():.1e}")
            sign = 1 if shares.output[1] > shares.output[0] else -1
            signed_shares.append(sign * (shares.contributions[:length, 1] - shares.contributions[:length, 0]))
    return signed_shares


def trust(model: Classifier, sentences: Sentences) -> float:
    """The median trust share of the predicted class."""
    tokens, lengths = padded(sentences)
    trace = congru.inspect(model, tokens, lengths=lengths)
    return float(np.nanmedian([trace.memory(row=row).share for row in range(len(sentences))]))


def by_gradient(model: Classifier, sentences: Sentences, attribution: Any) -> list[np.ndarray]:
    """Shares of a captum method over the word vectors, summed over each vector's entries."""
    predicted = read(model, sentences).argmax(1)
    shares = []
    for begin in range(0, len(sentences), 64):
        tokens, lengths = padded(sentences[begin : begin + 64])
        vectors = model.embed(tokens).detach()
        parts = attribution(vectors, (lengths, predicted[begin : begin + 64])).sum(-1).detach().numpy()
        shares += [part[:length] for part, length in zip(parts, lengths.tolist())]
    return shares


def without(sentences: Sentences, scores: list[np.ndarray], share: float) -> Sentences:
    """Each sentence without its highest ranked words: that share of them, at least one, never all."""
    left = []
    for sentence, score in zip(sentences, scores):
        count = min(max(1, round(share * len(sentence))), len(sentence) - 1)
        gone = set(np.argsort(-score, kind="stable")[:count].tolist())
        left.append([word for index, word in enumerate(sentence) if index not in gone])
    return left


def occlusion(model: Classifier, sentences: Sentences) -> list[np.ndarray]:
    """How much of the margin each word alone takes with it."""
    predicted = read(model, sentences).argmax(1)
    whole = margins(read(model, sentences), predicted)
    losses = []
    for row, sentence in enumerate(sentences):
        others = [sentence[:index] + sentence[index + 1 :] for index in range(len(sentence))]
        left = margins(read(model, others), predicted[row].expand(len(others)))
        losses.append((whole[row] - left).numpy())
    return losses


def scores_of(model: Classifier, sentences: Sentences, seed: int) -> dict[str, list[list[np.ndarray]]]:
    """What every method says of every word, by name; more than one list where it is drawn."""

    def margin(vectors: Tensor, lengths: Tensor, predicted: Tensor) -> Tensor:
        return margins(model.read(vectors, lengths), predicted)

    def product(vectors: Tensor, arguments: Any) -> Tensor:
        return InputXGradient(margin).attribute(vectors.requires_grad_(), additional_forward_args=arguments)

    def integrated(vectors: Tensor, arguments: Any) -> Tensor:
        return IntegratedGradients(margin).attribute(
            vectors, additional_forward_args=arguments, n_steps=50, internal_batch_size=1600
        )

    random = np.random.default_rng(seed)
    return {
        "exact shares": [exact_shares(model, sentences)],
        "gradient x input": [by_gradient(model, sentences, product)],
        "integrated gradients": [by_gradient(model, sentences, integrated)],
        "occlusion": [occlusion(model, sentences)],
        "random": [[random.random(len(sentence)) for sentence in sentences] for _ in range(DRAWS)],
    }


def measure(data: Path, readout: str, seed: int) -> dict[str, float]:
    """One model: its accuracy, how far its shares are trusted, and what each method's removals do."""
    sentences, labels, words = load(data / "train.tsv")
    model = train(sentences, labels, len(words) + 1, readout, seed)
    looked_at, truth, _ = load(data / "dev.tsv", words)
    keep = [row for row, sentence in enumerate(looked_at) if len(sentence) > 1]
    looked_at, truth = [looked_at[row] for row in keep], truth[keep]
    logits = read(model, looked_at)
    predicted = logits.argmax(1)
    whole = margins(logits, predicted)
    figures = {
        "accuracy": float((predicted == truth).float().mean()),
        "trust share": trust(model, looked_at[:100]),
    }
    for name, lists in scores_of(model, looked_at, seed).items():
        for ranking, rank in (("size", np.abs), ("signed", lambda score: score)):
            for share in SHARES:
                left = [
                    margins(read(model, without(looked_at, [rank(s) for s in scores], share)), predicted)
                    for scores in lists
                ]
                lost = torch.stack(left)
                key = f"{ranking}, {share:g}, {name}"
                figures[f"drop, {key}"] = float((whole - lost).mean() / whole.mean())
                figures[f"flipped, {key}"] = float((lost < 0).float().mean())
    return {f"{readout}, {name}": value for name, value in figures.items()}


def main() -> None:
    """Measure, and write results/deletion.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    seeds = parser.parse_args().seeds
    data = Path(os.environ.get("CONGRU_DATA", "."), "sentiment", "sst2")
    if not data.is_dir():
        raise SystemExit(f"{data} is missing: set CONGRU_DATA to the folder that holds sentiment/sst2")
    torch.set_num_threads(1)
    runs = []
    for seed in seeds:
        measured = [measure(data, readout, seed) for readout in READOUTS]
        runs.append({name: value for figures in measured for name, value in figures.items()})
    spreads = {name: spread([run[name] for run in runs]) for name in runs[0]}
    for name, values in spreads.items():
        print(f"{name:<56} {values['median']:.3f} ({values['min']:.3f} to {values['max']:.3f})")
    target = write_result(
        "deletion",
        f"python -m bench.deletion --seeds {' '.join(map(str, seeds))}",
        {name: values["median"] for name, values in spreads.items()},
        repetitions=len(runs),
        spreads=spreads,
        packages=("captum",),
    )
    print(f"wrote {target.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
