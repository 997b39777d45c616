"""The tables of README.md and docs/results.md on what survives, made from results/reliability.json.

What stands beside it is what the peers' own pages say of their files: no figure of theirs was measured here.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.tables import markdown, result

# What happened, how the names of its harnesses begin, and what a peer's users have.
_GROUPS = (
    (
        "a run or a save is killed, meets an error or a full disk, at any operation on its files",
        (
            *("model folder, killed", "model folder, full", "model folder, broken", "model folder, denied"),
            *("model folder, interrupted", "model folder, read", "session, killed", "training, "),
        ),
        "`torch.save` writes over the old file",
    ),
    (
        "a bit of a saved model, session or checkpoint is flipped, or its end is cut off",
        ("model folder, bits", "session, bits", "checkpoint, bits"),
        "safetensors has no sum over its values",
    ),
    (
        "a file is made to do harm, or changed at random",
        ("hostile files", "fuzzed: "),
        "safetensors bounds its header; pickle runs what the file says",
    ),
    (
        "a long call is interrupted; a random call against float64, with gradients",
        ("core, Ctrl-C", "core against"),
        "PyTorch looks at signals between operations, a whole sequence being one",
    ),
)


def reliability() -> str:
    """What happened: how often, how often something was lost, let in or wrong, and what peers have."""
    figures = result("reliability")["figures"]
    rows = []
    for what, beginnings, peers in _GROUPS:
        own = [figure for name, figure in figures.items() if name.startswith(beginnings)]
        tried, failed = (sum(figure[key] for figure in own) for key in ("tried", "failed"))
        rows.append([what, f"{tried:,}", str(failed), peers])
    return markdown(["what happens", "tried", "failed", "beside it"], rows)


def every_harness() -> str:
    """One row for each harness."""
    figures = result("reliability")["figures"]
    rows = [[name, f"{figure['tried']:,}", str(figure["failed"])] for name, figure in figures.items()]
    return markdown(["harness", "tried", "failed"], rows)


BLOCKS: dict[str, Callable[[], str]] = {"reliability": reliability, "every_harness": every_harness}
