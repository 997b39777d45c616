"""How a clip is shown in the report about the gates: its frames as thumbnails, and the class after each of them.

Where the class is a linear function of the states (their last, or the mean of a whole clip), a frame's share of it is exact.
Else the shares are bits: how much less likely the class would be without what the frame wrote into the states
(`congru.gates.deletion`).
"""

from __future__ import annotations

from collections.abc import Sequence

from congru.gates.deletion import bits_by_step
from congru.gates.predictions import probable
from congru.gates.reading import Prediction, Reading
from congru.gates.record import Record
from congru.gates.weights import Array
from congru.runtime.model import Model
from congru.runtime.network import Network
from congru.tasks.video.network import POOLS
from congru.tasks.video.thumbnails import thumbnail
from congru.tasks.video.use import clip_of


def inspect_reading(model: Model, source: str | None = None) -> Reading:
    """The frames of a clip; see `inspect_inputs` for `source` and what is raised."""
    classifier, clip = clip_of(model, source)

    x, temperature = classifier.preparation(clip)[None], classifier.temperature
    is_linear = _reads_linearly(classifier.network)

    def predict(record: Record) -> Sequence[Prediction]:
        def lost(answers: Sequence[Sequence[int]]) -> Sequence[Array] | None:
            return bits_by_step(record, classifier.network, x, answers, temperature)

        return probable(record, classifier.classes, temperature=temperature, lost=None if is_linear else lost)

    return Reading(
        x,
        [str(number + 1) for number in range(len(clip))],
        step="frame",
        pictures=[thumbnail(clip, number) for number in range(len(clip))],
        outputs=classifier.classes,
        predicts="The class",
        predict=predict,
        adds_up=is_linear,
        of="the score" if is_linear else "bits",
    )


def _reads_linearly(network: Network) -> bool:
    """Whether the output is a linear function of the states: of the last, or of the mean of a whole clip."""
    pools = [placed.node for placed in network.graph.placed if placed.node.type in POOLS.values()]
    return all(pool.type == "mean" and not getattr(pool, "running", False) for pool in pools)
