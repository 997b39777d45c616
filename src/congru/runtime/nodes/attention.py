"""Attention over a memory with lengths of its own: the steps of a decoder look at the states of an encoder.

In the graph it reads a recurrent node and feeds a later one, so that training runs all steps at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from congru.runtime.cells import Array
from congru.runtime.dense import dense
from congru.runtime.nodes.node import Compute, Node, Shapes, Spec, Weights, choice, whole
from congru.runtime.run import Run
from congru.runtime.softmax import softmax


@dataclass(frozen=True, kw_only=True)
class Attention(Node, type="attention"):
    """w_t = softmax_s(score(q_t, m_s));  out_t = sum_s w_ts m_s, over the positions s that are not padding.

    score: "dot" q . m; "bilinear" q . W m (Luong et al. 2015, "general"); "additive" v . tanh(A q + B m) (Bahdanau et al.
    2015), `size` features wide. Its inputs are the query [T, B, Q] and the memory [B, S, M]; the weights [T, B, S] go to
    `run.pictures`.
    """

    score: str = choice("bilinear", "dot", "bilinear", "additive")
    size: int = whole(128)
    num_inputs: ClassVar[tuple[int, int | None]] = (2, 2)

    def infer(self, *x: Spec) -> Spec:
        """[T, B, M]."""
        query, memory = x
        self.need(
            query.axes == "steps" and query.tokens is None, query, "a query of features, one per step, first"
        )
        self.need(memory.axes == "memory" and memory.tokens is None, memory, "a memory of features, second")
        if self.score == "dot":
            self.need(
                query.size == memory.size, query, f"{memory.features} features as the memory, for score 'dot'"
            )
        return query._replace(size=memory.size)

    def weights(self, *x: Spec) -> Shapes:
        """bilinear: weight [Q, M]; additive: query_weight [size, Q], memory_weight [size, M], score_weight [size]."""
        query, memory = x
        if self.score == "bilinear":
            return {"weight": (query.features, memory.features)}
        if self.score == "additive":
            return {
                "query_weight": (self.size, query.features),
                "memory_weight": (self.size, memory.features),
                "score_weight": (self.size,),
            }
        return {}

    def build(self, weights: Weights, *x: Spec, **how: Any) -> Compute:
        """One product per step and row, so that neither chunks nor other rows change a bit."""
        source = x[1].source
        backend = how.get("backend", "numpy")
        weights_of = softmax(backend)
        products = {name: dense(w, None, backend) for name, w in weights.items() if w.ndim == 2}
        if self.score == "bilinear":  # the query is turned, the memory stays as it is
            products["weight"] = dense(np.ascontiguousarray(weights["weight"].T), None, backend)

        def scores(q: Array, memory: Array) -> Array:
            if self.score == "additive":
                keys = products["memory_weight"](memory)
                asked = products["query_weight"](q)[:, :, None]
                added: Array = (np.tanh(asked + keys) * weights["score_weight"]).sum(axis=-1)
                return added
            turned = products["weight"](q) if self.score == "bilinear" else q
            result: Array = np.matmul(turned[:, :, None], memory.swapaxes(1, 2))[:, :, 0]
            return result

        def attend(run: Run, q: Array, memory: Array) -> Array:
            s = scores(q, memory)
            counts = run.memory_lengths.get(source)
            if counts is not None:
                s = np.where(np.arange(memory.shape[1]) < counts[:, None], s, np.float32(-np.inf))
            w = weights_of(s)
            if run.pictures is not None:
                run.pictures[self.name] = w
            out: Array = np.matmul(w[:, :, None], memory)[:, :, 0]
            return out

        return attend
