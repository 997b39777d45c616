"""`congru eval MODEL DATA`: the scores of a trained model on data, beside its baselines, without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from congru.cli.run import call_task

app = App(name="eval", help="Score a trained model on data, beside its baselines.", help_flags=[])


@app.default
def evaluate(
    model: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    /,
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
) -> int:
    """Score a trained model on data; its task gives the flags: `congru eval MODEL --help`.

    Parameters
    ----------
    model:
        A model folder, or the run folder that holds one.
    """
    return call_task(app, "eval", "evaluate", model, tokens)
