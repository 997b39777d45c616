"""Text models in the explorer: characters or byte pairs, and how the text goes on."""

from __future__ import annotations

from typing import Any

import numpy as np

from congru.errors import DataError
from congru.gates.reading import Reading
from congru.runtime.decoding.sampling import Sampling, probabilities, sample
from congru.runtime.decoding.stops import StopText
from congru.serve.edits import Edited
from congru.serve.explorer import MOST_STEPS, SHOWN, Explored, shown
from congru.serve.library import Shelf
from congru.serve.protocol import WhatIfBody
from congru.serve.source import Source
from congru.serve.subjects.subject import choices
from congru.tasks.text.inspection import name_of_step
from congru.tasks.text.use import inspect_inputs


class TextSubject:
    """Tokens are steps; the last `MOST_STEPS` of a long text are read."""

    def source(self, shelf: Shelf, text: str | None) -> Source:
        """The tokens of a text; without one the model reads what it wrote itself."""
        model = shelf.model()
        if text is None:
            x, _ = inspect_inputs(model)
            ids = x[0].tolist()
        else:
            assert model.tokenizer is not None
            ids = model.tokenizer.encode(text)
        if not ids:
            raise DataError("text is empty, expected at least one character: write some")
        cut = max(0, len(ids) - MOST_STEPS)
        ids = ids[cut:]
        assert model.tokenizer is not None
        labels = [shown(model.tokenizer.decode([index])) for index in ids]
        step = name_of_step(model.tokenizer, model.network.output_size)
        x = np.array([ids], np.int64)
        return Source(x, labels, ids, cut, Reading(x, labels, step=step, predicts=f"The next {step}"))

    def outcome(self, explored: Explored, edited: Edited, body: WhatIfBody) -> dict[str, Any]:
        """The continuation, drawn with the same random numbers whatever was edited, and the likeliest next tokens."""
        model = explored.model
        tokenizer = model.tokenizer
        assert tokenizer is not None
        session, sampling = model.session(body.seed), Sampling(body.temperature).check()
        session.state = edited.state
        logits = next(iter(edited.outputs.values()))[-1]
        p = probabilities(logits, Sampling())
        best = np.argsort(-p, kind="stable")[:SHOWN].tolist()
        text, pieces = StopText(tokenizer, []), list[str]()
        for _ in range(body.n):
            token = sample(logits, sampling, session.rng)
            pieces.append(text.push(token))
            logits = session.step(token)
        pieces.append(text.flush())
        told = choices((shown(tokenizer.decode([k])), p[k]) for k in best)
        return {"kind": "text", "text": "".join(pieces), "next": told["items"]}
