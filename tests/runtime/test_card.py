"""The model card says what was trained, on what, how well beside its baselines, and how to run it."""

from __future__ import annotations

from typing import Any

from congru.runtime.card import write_card
from runtime_models import token_config, vector_config

CONFIG = {"task": "text", "cell": "gru", "networks": {"main": token_config(num_layers=2)}}


def test_a_full_card() -> None:
    training: dict[str, Any] = {
        "metric": "bits_per_character",
        "value": 2.345678901,
        "baselines": {"5-gram": 2.5, "unigram": 4.75},
        "step": 1200,
        "seconds": 61.5,
        "data": {
            "source": "a.txt",
            "files": ["a", "b", "c", "d", "e"],
            "train": {"characters": 90},
            "none": None,
        },
        "settings": {"seed": 1},
    }
    text = write_card(CONFIG, training, uses="To write.", limits="It invents.", run=["congru run MODEL -p x"])
    assert text.startswith("# text: gru\n\nA `gru` network (2 x 6, 606 parameters) trained with congru")
    assert "```sh\ncongru run MODEL -p x\n```" in text
    assert (
        "| validation | bits_per_character |\n|---|---|\n| this model | 2.34568 |\n| 5-gram | 2.5 |" in text
    )
    assert "After 1,200 steps in 61.5 seconds of training." in text
    assert "- source: a.txt\n- files: a; b; c; d; and 1 more\n- train: characters 90\n\n## Settings" in text
    assert "- seed: 1" in text
    assert text.endswith("## Meant for\n\nTo write.\n\n## Limits\n\nIt invents.\n")


def test_a_card_of_little() -> None:
    text = write_card({**CONFIG, "networks": {"main": vector_config()}}, {}, uses="A.", limits="B.")
    assert "No metric was recorded." in text
    assert "## Trained on\n\nNot recorded." in text
    assert 'congru.load("MODEL")' in text
