"""What a task gives to be trained, and what the frame makes of it.

A task subclasses :class:`TaskLearner` and says which networks it trains, which rows an epoch has, how rows become a
batch, what a batch costs and how good the networks are. The frame and the loop do the rest: first weights, precision,
slicing over processes, batches ahead of time, averaged and frozen weights, checkpoints, samples, the model folder.

The smallest learner:

    class Sums(TaskLearner[ModelSettings]):
        task, metric = "sums", "mse"

        def networks(self, cell, hidden_size):
            return {"main": {"inputs": {...}, "nodes": [...], "outputs": [...]}}
        def rows(self, epoch):
            return self.generator(epoch).permutation(1000)
        def batch(self, rows):
            return self.x[rows], self.y[rows]
        def loss(self, networks, batch, carry):
            x, y = batch
            error = networks["main"](x)[0] - y
            return error.square().sum(), error.numel(), None
        def validation_rows(self):
            return range(1000, 1200)
        def evaluate(self, networks, rows):
            total, count, _ = self.loss(networks, self.tensors(self.batch(rows), networks), None)
            return float(total), count
        def metrics(self, parts):
            return {"mse": sum(total for total, _ in parts) / sum(count for _, count in parts)}
        def describe(self):
            return {"source": "made up", "train": 1000, "validation": 200}
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import Self

from congru.kernels.native import has_fast_bfloat16
from congru.nn.network import Network
from congru.runtime.answer import Answer
from congru.train.nests import to_tensors, tree_map
from congru.train.networks import Networks, freeze, start_weights
from congru.train.settings import ModelSettings
from congru.train.sizing import Size

Settings = TypeVar("Settings", bound=ModelSettings)


class Rows(Protocol):
    """Rows in an order: a list, a range or an array, along its first axis."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> Any: ...


class Sample(NamedTuple):
    """A piece of output to look at: text for the screen, and files by name (``tune.mid``) for ``samples/``."""

    text: str
    files: Mapping[str, bytes] = {}


class Probe(NamedTuple):
    """A small fixed input of one network, whose gates ``--monitor`` follows: one argument, or a tuple of them."""

    input: Any
    network: str = "main"


class TaskLearner(ABC, Generic[Settings]):
    """A task's training problem. Everything is fixed after construction.

    Rules that make ``--resume``, workers and several processes exact:

    * ``rows`` depends on the seed and the epoch only; ``batch`` on its rows only. What is drawn at random for a row
      (a crop, a noise) is drawn in ``rows``, as a part of the row; :meth:`generator` gives the numbers.
    * ``loss`` reaches parameters through ``networks`` only.
    * ``evaluate``, ``sample`` and ``answer`` see the networks in evaluation mode, without gradients, with their
      averaged weights where there is an average; what they draw at random does not reach the training.
    """

    task: ClassVar[str]
    """Name of the task: its folder's, for example ``"text"``."""
    metric: str
    """The validation metric that chooses the best model: a key of what :meth:`metrics` returns."""
    minimize: bool = True
    """True where a smaller metric is better."""
    tie_metric: str | None = None
    """A metric whose smaller value decides where ``metric`` is equal; without one the earlier model stays."""
    baselines: Mapping[str, float] = {}
    """Name of each trivial baseline -> its value of ``metric`` on the same validation data."""
    evaluation_batch: int = 1024
    """Validation rows that :meth:`evaluate` gets at a time, at most."""
    frozen: tuple[str, ...] = ()
    """Patterns of the parameters that never move (``main.embed.*``), beside those of ``--freeze``."""
    rate_factors: Mapping[str, float] = {}
    """Pattern of parameter names -> factor on the learning rate, for example ``{"encoder.*": 0.1}``."""
    teachers: tuple[str, ...] = ()
    """Networks that only help to train, such as a head for a side task: they are not saved in the model folder."""
    uses: str = "Not said."
    """A sentence of the model card: what the model is meant for."""
    limits: str = "Not said."
    """Sentences of the model card: what it cannot do."""
    validation_words: str = ""
    """What of the validation part is measured, for the verdict: for example ``one window``; "" for what `describe` says."""
    sizes: Sequence[Size] = ()
    """The sizes of which a budget in minutes takes one, from the largest to the smallest, where the user names none."""
    run_flags: tuple[str, ...] = ()
    """What `congru run MODEL` needs beside the model."""
    eval_files: tuple[str, ...] = ()
    """What `congru eval MODEL` reads of these data, where that is more than the source that `describe` names."""
    commands: tuple[str, ...] = ("congru run MODEL",)
    """Lines of the model card; MODEL stands for its folder."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    # What a task must give

    @abstractmethod
    def networks(self, cell: str, hidden_size: int) -> dict[str, Any]:
        """The networks by name (one alone is called "main"), each a declaration for :class:`congru.nn.Network`."""

    @abstractmethod
    def rows(self, epoch: int) -> Rows:
        """The rows of an epoch in the order of training: numbers, or whatever says what a row is.

        The same on each process. At least ``steps_per_epoch * batch_size`` of them; those beyond are not used.
        Streams that are read side by side stand side by side, so that the carried state of row k of a batch goes on
        in row k of the next.
        """

    @abstractmethod
    def batch(self, rows: Any) -> Any:
        """The rows as a tensor, an array, or any nesting of tuples, lists and dicts of them; needs no torch device.

        It may run in a worker process.
        """

    @abstractmethod
    def loss(self, networks: Networks, batch: Any, carry: Any) -> tuple[Tensor, Any, Any]:
        """The loss of a batch as sum, count, and the state to carry over.

        The gradient is that of the sums over the counts, both over all processes; a count of zero is taken as one.
        ``carry`` is None in the first batch of an epoch, else what the last call returned, detached (truncated
        back-propagation). A task without streams returns None.
        """

    @abstractmethod
    def validation_rows(self) -> Rows:
        """All validation rows; the processes share them."""

    @abstractmethod
    def evaluate(self, networks: Networks, rows: Any) -> Any:
        """What the metrics need of some validation rows: sums, or answers. Made of plain values and arrays."""

    @abstractmethod
    def metrics(self, parts: Sequence[Any]) -> dict[str, float]:
        """The validation metrics from what :meth:`evaluate` returned for all rows, in their order."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Data summary for the screen and ``data.json``: plain JSON values, no arrays; asked for several times.

        Known keys: ``source`` (the path as the user gave it; the frame adds the sha256 of its files), ``split``
        (the rule in words), ``train`` and ``validation`` (counts). Others are shown as they are.
        """

    # What a task may give

    @cached_property
    def steps_per_epoch(self) -> int:
        """Steps of every epoch, the same on each process."""
        return len(self.rows(0)) // self.settings.batch_size

    def resized(self, settings: Settings) -> Self:
        """The same problem with the settings of another of :attr:`sizes`; the data is not read again."""
        raise NotImplementedError(f"{type(self).__name__} lists sizes and does not say how to take one")

    def weights(self, cell: str, hidden_size: int) -> dict[str, Tensor]:
        """First values of weights that belong to no network, such as the transitions of a CRF."""
        return {}

    def start(self, networks: Networks) -> None:
        """Set first weights of its own, for example from another model; random numbers come from the seed."""

    def sample(self, networks: Networks) -> Sample | None:
        """A short piece of output to look at."""
        return None

    def probe(self) -> Probe | None:
        """The input whose gates ``--monitor`` follows."""
        return None

    def task_config(self, parts: Sequence[Any]) -> dict[str, Any]:
        """What the task needs to prepare inputs and read outputs; ``parts`` as in :meth:`metrics`, to calibrate on."""
        return {}

    def files(self, parts: Sequence[Any]) -> dict[str, bytes]:
        """Side files of the model folder by name, for example ``tokenizer.json``."""
        return {}

    def answer(self, networks: Networks, task_config: Mapping[str, Any]) -> Answer | None:
        """A small input, and what ``use`` must answer to it from the saved folder, decoding and calibration included.

        The task's ``use`` replays it whenever it loads the folder.
        """
        return None

    def saved(self, networks: Networks) -> dict[str, tuple[Any, nn.Module]]:
        """The networks of the model folder by name, each with its declaration: those trained, without the teachers."""
        declared = self.networks(self.settings.cell, self.settings.hidden_size)
        return {
            name: (entry, networks[name]) for name, entry in declared.items() if name not in self.teachers
        }

    def build_network(self, name: str, declaration: Mapping[str, Any]) -> nn.Module:
        """One network in torch."""
        return Network(declaration)

    # What the frame makes of it

    @cached_property
    def module(self) -> Networks:
        """The networks that are trained, on the CPU at first; their first weights follow the seed alone."""
        settings = self.settings
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            networks = self.build(settings.cell, settings.hidden_size)
            start_weights(networks, settings)
            self.start(networks)
        freeze(networks, (*self.frozen, *settings.freeze))
        return networks

    def build(self, cell: str, hidden_size: int) -> Networks:
        """The networks with another cell and width, to count their parameters; also under the meta device."""
        networks = {
            name: self.build_network(name, declaration)
            for name, declaration in self.networks(cell, hidden_size).items()
        }
        return Networks(networks, self.weights(cell, hidden_size))

    @cached_property
    def precision(self) -> str:
        """The precision of matrix products in training: what was asked for, or what is fast here."""
        settings = self.settings
        if settings.precision != "auto":
            return settings.precision
        on_cpu = settings.device == "cpu" or (settings.device == "auto" and not torch.cuda.is_available())
        return "bfloat16" if on_cpu and has_fast_bfloat16() else "float32"

    def generator(self, epoch: int) -> np.random.Generator:
        """The random numbers of an epoch, from the seed."""
        return np.random.default_rng((self.settings.seed, epoch))

    def tensors(self, batch: Any, networks: Networks) -> Any:
        """A batch as tensors where the networks are."""
        return tree_map(lambda tensor: tensor.to(networks.device), to_tensors(batch))

    def __getstate__(self) -> dict[str, Any]:
        """Without the networks: a worker process needs rows and batches only."""
        return {name: value for name, value in self.__dict__.items() if name != "module"}


AnyLearner: TypeAlias = TaskLearner[Any]
