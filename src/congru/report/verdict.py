"""Whether a model is worth having, in one sentence: it beats the best simple baseline, or it does not."""

from __future__ import annotations

import math
from collections.abc import Mapping


def verdict(
    metric: str,
    best: float | None,
    baselines: Mapping[str, float],
    minimize: bool,
    *,
    split: str = "validation",
    model: str = "the model",
    windows: str = "",
    best_step: int | None = None,
) -> str:
    """Compare the model's value of a metric with the best of its baselines.

    Args:
        metric: its name, as in the table above the sentence.
        best: the model's value; None where it has none yet.
        baselines: name -> value on the same data.
        minimize: whether less is better.
        split: the data both were measured on.
        model: what the sentence calls the model, for example its cell.
        windows: what of the split was measured, in words, for example "one window".
        best_step: the training step of the model; 0 says that training did not help.

    The difference is a share of the baseline's value.

    >>> verdict("mase", 0.5, {"last value": 0.4}, minimize=True, windows="one window", best_step=0)[:57]
    'On the validation data (one window) training did not help'
    >>> verdict("mase", 0.3, {"last value": 0.4}, minimize=True, best_step=0)[-48:]
    '; what it started from beats last value by 25 %.'

    >>> verdict("bpc", 2.25, {"5-gram": 2.5, "unigram": 4.5}, minimize=True)
    'On the validation data the model beats 5-gram by 10 % (bpc 2.2500 against 2.5000).'
    >>> verdict("accuracy", 0.5, {"majority": 0.6}, minimize=False, split="test", model="the GRU")
    'On the test data the GRU does NOT beat majority (accuracy 0.5000 against 0.6000, 17 % worse): train longer, or use majority.'
    """
    if not baselines:
        return "There is no baseline to compare with."
    if best is None or not math.isfinite(best):
        return f"There is no {metric} of {model} to compare with the baselines."
    name = (min if minimize else max)(baselines, key=lambda key: baselines[key])
    value = baselines[name]
    numbers = f"{metric} {best:.4f} against {value:.4f}"
    where = f"On the {split} data ({windows})" if windows else f"On the {split} data"
    share = share_of(best, value)
    ahead = best < value if minimize else best > value
    if best_step == 0:
        less = (
            f"what it started from beats {name}{f' by {share}' if share else ''}" if ahead else f"use {name}"
        )
        return (
            f"{where} training did not help: the untrained model is the best ({numbers} of {name}); {less}."
        )
    if ahead:
        by = f" by {share}" if share else ""
        return f"{where} {model} beats {name}{by} ({numbers})."
    worse = f", {share} worse" if share and best != value else ""
    return f"{where} {model} does NOT beat {name} ({numbers}{worse}): train longer, or use {name}."


def share_of(value: float, reference: float) -> str:
    """|value - reference| / |reference| in per cent, as a reader says it; "" where the reference is 0.

    >>> share_of(2.25, 2.5), share_of(0.991, 1.0), share_of(0.99999, 1.0), share_of(1.0, 0.0)
    ('10 %', '0.9 %', 'less than 0.1 %', '')
    """
    if reference == 0 or not math.isfinite(reference):
        return ""
    percent = 100 * abs(value - reference) / abs(reference)
    if percent >= 1000:
        return "more than 1000 %"
    if percent < 0.1:
        return "less than 0.1 %"
    return f"{percent:.1f} %" if percent < 9.95 else f"{percent:.0f} %"
