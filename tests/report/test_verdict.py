"""The verdict: which baseline, by how much, on which data; never a claim without a comparison."""

from __future__ import annotations

import pytest

from congru.report.verdict import verdict

BASELINES = {"5-gram": 2.5, "unigram": 4.5}


@pytest.mark.parametrize(
    ("best", "minimize", "sentence"),
    [
        (2.2, True, "On the validation data the model beats 5-gram by 12 % (bpc 2.2000 against 2.5000)."),
        (
            2.499,
            True,
            "On the validation data the model beats 5-gram by less than 0.1 % (bpc 2.4990 against 2.5000).",
        ),
        (5.4, False, "On the validation data the model beats unigram by 20 % (bpc 5.4000 against 4.5000)."),
        (
            3.0,
            True,
            "On the validation data the model does NOT beat 5-gram (bpc 3.0000 against 2.5000, 20 % worse): train "
            "longer, or use 5-gram.",
        ),
        (
            2.5,
            True,
            "On the validation data the model does NOT beat 5-gram (bpc 2.5000 against 2.5000): train longer, or use "
            "5-gram.",
        ),
        (None, True, "There is no bpc of the model to compare with the baselines."),
        (float("nan"), True, "There is no bpc of the model to compare with the baselines."),
    ],
)
def test_the_sentence(best: float | None, minimize: bool, sentence: str) -> None:
    assert verdict("bpc", best, BASELINES, minimize) == sentence


def test_the_split_and_the_model_are_named() -> None:
    assert verdict("mase", 0.5, {"zero": 1.0}, True, split="test", model="the GRU").startswith(
        "On the test data the GRU beats zero by 50 %"
    )


def test_a_baseline_of_zero_has_no_share() -> None:
    assert verdict("gain", 0.5, {"none": 0.0}, False).endswith("beats none (gain 0.5000 against 0.0000).")
    assert verdict("gain", -0.5, {"none": 0.0}, False).endswith(
        "(gain -0.5000 against 0.0000): train longer, or use none."
    )
    assert "by 50 %" in verdict("log likelihood", -1.0, {"flat": -2.0}, False)


def test_without_a_baseline_nothing_is_claimed() -> None:
    assert verdict("bpc", 1.0, {}, True) == "There is no baseline to compare with."
