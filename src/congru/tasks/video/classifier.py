"""A trained classifier of clips without torch: probabilities, after every frame where it streams, and early decisions.

p = softmax(logits / temperature); it decides at the first frame t >= first with max p >= threshold (`early`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError, ModelFolderError, SettingsError
from congru.runtime.answer import ANSWER, Arrays
from congru.runtime.decoding.scores import log_softmax
from congru.runtime.model import Model
from congru.runtime.network import Network
from congru.runtime.session import Session
from congru.runtime.tensors import parse_tensors
from congru.tasks.loading import SHARE, Later, Number, fitting, load_model
from congru.tasks.video import early
from congru.tasks.video.baselines import FILE, Neighbours
from congru.tasks.video.clips import Clip, read_clip
from congru.tasks.video.features import Preparation, pad
from congru.tasks.video.frames import Look

LABELS_FILE = "labels.json"
_BATCH = 32

Floats = NDArray[np.float32]


class Moment(NamedTuple):
    """One frame of a stream: its number from 0, the probabilities [K] after it, whether a decision has fallen by now."""

    frame: int
    probabilities: NDArray[np.float64]
    decided: bool


@dataclass(frozen=True)
class Classifier:
    """A network with everything around it."""

    network: Network
    preparation: Preparation
    look: Look
    classes: list[str]
    shape: tuple[int, ...]
    temperature: float
    rule: early.Rule
    config: Mapping[str, Any]

    @classmethod
    def load(cls, path: str | os.PathLike[str], weight_dtype: str = "float32") -> Classifier:
        """Load a model folder or run folder; its whole answer is replayed.

        Raises:
            ModelFolderError: a folder that cannot be loaded, of another task, or that answers differently.
        """
        return cls.of(load_model(path, "video", reply, weight_dtype))

    @classmethod
    @fitting(
        mean=list,
        deviation=list,
        step=list,
        shape=list,
        max_frames=Number(1, 1e6, whole=True),
        temperature=Number(1e-6, 1e6),
        threshold=SHARE,
        first_decision=Later(Number(0, 1e6, whole=True)),
        validation=SHARE,
        fold=Number(0, 1e6, whole=True),
        leave_out=list,
    )
    def of(cls, model: Model) -> Classifier:
        """The classifier of a loaded model."""
        if model.labels is None:
            raise ModelFolderError(
                f"{model.folder} has no {LABELS_FILE}, expected one: copy the folder again"
            )
        return cls.around(model.network, model.labels, model.task_config)

    @classmethod
    def around(cls, network: Network, classes: Sequence[str], config: Mapping[str, Any]) -> Classifier:
        """A network with what its task_config says."""
        if len(classes) != network.output_size:
            raise SettingsError(
                f"classes has {len(classes)} names, expected {network.output_size} as the network's outputs: name them all"
            )
        shape = tuple(config["shape"])
        height, width = shape[1:] if len(shape) == 3 else (1, 1)
        whole = Look(height, width, shape[0] == 3, config["rate"], int(config["max_frames"]))
        look = replace(whole, figure=bool(config.get("figure", False)))  # models made before it lack it
        return cls(
            network=network,
            preparation=Preparation.of(config),
            look=look,
            classes=list(classes),
            shape=shape,
            temperature=float(config["temperature"]),
            rule=early.Rule(float(config["threshold"]), config.get("first_decision", 0)),
            config=config,
        )

    @property
    def streams(self) -> bool:
        """Whether it answers after every frame."""
        return self.network.stream_problem() is None

    def read(self, path: Path) -> Clip:
        """A clip of a file or folder of pictures.

        Raises:
            DataError: see `congru.tasks.video.frames`; or frames of another kind than it has learnt.
        """
        clip = read_clip(path, self.look).clip
        assert clip is not None
        return self.check(clip, str(path))

    def check(self, clip: Clip, name: str) -> Clip:
        """The clip, whose frames must be like those of training.

        Raises:
            DataError: they are not.
        """
        if clip.shape[1:] != self.shape or len(clip) == 0:
            raise DataError(
                f"{name} has frames of shape {clip.shape[1:]}, {len(clip)} of them, expected {self.shape} as in training:"
                " choose another clip"
            )
        return clip

    def step_logits(self, clips: Sequence[Clip]) -> list[Floats]:
        """Logits [T, K] after every frame of each clip, of a model that streams; [1, K] else."""
        out: dict[int, Floats] = {}
        order = sorted(range(len(clips)), key=lambda row: len(clips[row]))
        for begin in range(0, len(order), _BATCH):
            rows = order[begin : begin + _BATCH]
            x, lengths = pad([self.preparation(clips[row]) for row in rows])
            logits, _ = self.network.run(x, lengths=lengths)
            for row, own, length in zip(rows, logits, lengths.tolist()):
                out[row] = own[:length] if logits.ndim == 3 else own[None]
        return [out[row] for row in range(len(clips))]

    def logits(self, clips: Sequence[Clip]) -> Floats:
        """Logits [N, K] at the ends of clips, before the temperature."""
        return np.stack([steps[-1] for steps in self.step_logits(clips)])

    def probabilities(self, clips: Sequence[Clip]) -> NDArray[np.float64]:
        """Probabilities [N, K] of the classes at the ends of clips [T, C, H, W] or [T, I].

        Raises:
            DataError: frames of another shape than in training.
        """
        return self.soften(self.logits([self.check(clip, f"clip {row}") for row, clip in enumerate(clips)]))

    def soften(self, logits: NDArray[Any]) -> NDArray[np.float64]:
        """softmax(logits / temperature) over the last axis."""
        return np.exp(log_softmax(np.asarray(logits, np.float64) / self.temperature))

    def stream(self, frames: Iterable[NDArray[Any]]) -> Iterator[Moment]:
        """The probabilities after every frame [C, H, W] or [I] as it comes.

        Raises:
            SettingsError: the model reads both ways and needs the whole clip.
        """
        if not self.streams:
            raise SettingsError(
                "stream is asked of a model that reads both ways, expected one trained with --streaming: train it so"
            )
        return self._stream(frames)

    def _stream(self, frames: Iterable[NDArray[Any]]) -> Iterator[Moment]:
        session, before, decided = Session(self.network), None, False
        for number, frame in enumerate(frames):
            clip = np.asarray(frame)[None]
            step = self.preparation(self.check(clip, f"frame {number}"), before)[0]
            before = clip
            probabilities = self.soften(session.step(step))
            decided = decided or self.rule.decides(number, probabilities)
            yield Moment(number, probabilities, decided)


def neighbours_of(model: Model) -> Neighbours:
    """The baselines of a model folder.

    Raises:
        ModelFolderError: it lacks them.
    """
    if FILE not in model.files or model.labels is None:
        raise ModelFolderError(f"{model.folder} has no {FILE}, expected one: copy the folder again")
    return Neighbours.from_bytes(model.files[FILE], len(model.labels))


def together(clips: Sequence[Clip]) -> Arrays:
    """Clips one after the other, and their lengths: what a stored answer begins with."""
    return {
        "frames": np.concatenate(list(clips)),
        "lengths": np.array([len(clip) for clip in clips], np.int64),
    }


def apart(inputs: Arrays) -> list[Clip]:
    """The clips of a stored answer."""
    return np.split(inputs["frames"], np.cumsum(inputs["lengths"])[:-1])


def stored_clip(model: Model) -> Clip:
    """The first clip of the model's stored answer."""
    tensors = parse_tensors(model.files[ANSWER])
    return apart({"frames": tensors["input.frames"], "lengths": tensors["input.lengths"]})[0]


def reply(model: Model, inputs: Arrays) -> Arrays:
    """Probabilities after every frame, one clip after the other [sum T, K] (or [N, K]): what training stored."""
    classifier = Classifier.of(model)
    steps = classifier.step_logits(apart(inputs))
    return {"probabilities": classifier.soften(np.concatenate(steps))}
