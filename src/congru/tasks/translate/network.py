"""The two networks of a translator: the encoder reads the source once, the decoder writes token after token.

Encoder, S source tokens x_1 .. x_S:
    m_s     = norm([GRU forward; GRU backward](E_x x))_s        the memory, [S, 2H]
    c       = tanh(C mean_s m_s)                                 the summary, a row
Decoder, y_0 the boundary token:
    a_t     = GRU(E_y y_{t-1} + c, a_{t-1})
    w_ts    = softmax_s(a_t . W m_s);   k_t = sum_s w_ts m_s     attention (Luong et al. 2015, "general")
    b_t     = GRU([a_t; k_t], b_{t-1})
    p(y_t)  = softmax(E_y norm(R [b_t; k_t]) + bias)             the table of the tokens, tied

Attention asks from the lower layer, and nothing of a step's output is fed into the next step's lower layer: in training all
steps of a layer run as one sequence. With `fixed_vector` the encoder is one GRU forward, the summary c = tanh(C m_S) is as
wide as the memory and stands beside every input: [E_y y_{t-1}; c] below, [a_t; c] above, [b_t; c] at the read-out
(Cho et al. 2014, arXiv 1406.1078).
"""

from __future__ import annotations

from typing import Any

from congru.tasks.translate.settings import Settings

ATTENTION = "attend"
SCORES = f"{ATTENTION}.weight"


def network_configs(settings: Settings, num_source: int, num_target: int) -> dict[str, Any]:
    """The declarations of "encoder" and "decoder", see :mod:`congru.runtime.graph`.

    >>> configs = network_configs(Settings(), 100, 120)
    >>> [node["name"] for node in configs["decoder"]["nodes"] if node["type"] in ("gru", "attention")]
    ['below', 'attend', 'above']
    """
    make = (_fixed_encoder, _fixed_decoder) if settings.fixed_vector else (_encoder, _decoder)
    return {"encoder": make[0](settings, num_source), "decoder": make[1](settings, num_target)}


def _norm(settings: Settings, name: str) -> list[dict[str, Any]]:
    return [{"type": "layer_norm", "name": name}] if settings.layer_norm else []


def _vectors(settings: Settings) -> list[dict[str, Any]]:
    """Tokens to vectors, with dropout of whole tokens and of single numbers."""
    return [
        {"type": "embedding", "name": "embed", "size": settings.embedding_size},
        *_norm(settings, "embed_norm"),
        {"type": "dropout", "name": "words", "p": settings.word_dropout, "whole_steps": True},
        {"type": "dropout", "name": "vectors", "p": settings.dropout},
    ]


def _recurrent(settings: Settings, name: str, size: int, **more: Any) -> dict[str, Any]:
    return {"type": settings.cell, "name": name, "hidden_size": size, **more}


def _summary(of: str, size: int) -> list[dict[str, Any]]:
    return [
        {"type": "linear", "name": "project", "of": of, "size": size},
        {"type": "tanh", "name": "summary"},
    ]


def _encoder(settings: Settings, num_tokens: int) -> dict[str, Any]:
    deep: dict[str, Any] = {"num_layers": settings.num_layers, "bidirectional": True}
    if settings.num_layers > 1:
        deep["dropout"] = settings.dropout
    memory = "memory" if settings.layer_norm else "encode"
    return {
        "inputs": {"source": {"tokens": num_tokens}},
        "nodes": [
            *_vectors(settings),
            _recurrent(settings, "encode", settings.hidden_size, **deep),
            *_norm(settings, "memory"),
            {"type": "mean", "name": "pool", "of": memory},
            *_summary("pool", settings.embedding_size),
        ],
        "outputs": [memory, "summary"],
    }


def _fixed_encoder(settings: Settings, num_tokens: int) -> dict[str, Any]:
    deep = {"num_layers": settings.num_layers}
    return {
        "inputs": {"source": {"tokens": num_tokens}},
        "nodes": [
            *_vectors(settings),
            _recurrent(settings, "encode", settings.decoder_size, **deep),
            {"type": "last", "name": "end"},
            *_summary("end", settings.decoder_size),
        ],
        "outputs": ["summary"],
    }


def _readout(settings: Settings, of: list[str], num_tokens: int) -> list[dict[str, Any]]:
    return [
        {"type": "concat", "name": "known", "of": of},
        {"type": "dropout", "name": "known_dropped", "p": settings.dropout},
        {"type": "linear", "name": "readout", "size": settings.embedding_size},
        *_norm(settings, "readout_norm"),
        {"type": "linear", "name": "head", "size": num_tokens, "tied": "embed"},
    ]


def _decoder(settings: Settings, num_tokens: int) -> dict[str, Any]:
    size = settings.decoder_size
    return {
        "inputs": {
            "target": {"tokens": num_tokens},
            "memory": {"features": size, "axes": "memory"},
            "summary": {"features": settings.embedding_size, "axes": "row"},
        },
        "nodes": [
            *_vectors(settings),
            {"type": "add", "name": "inputs", "of": ["vectors", "summary"]},
            _recurrent(settings, "below", size),
            {"type": "attention", "name": ATTENTION, "of": ["below", "memory"], "score": "bilinear"},
            {"type": "concat", "name": "both", "of": ["below", ATTENTION]},
            {"type": "dropout", "name": "both_dropped", "p": settings.dropout},
            _recurrent(settings, "above", size),
            *_readout(settings, ["above", ATTENTION], num_tokens),
        ],
        "outputs": ["head"],
    }


def _fixed_decoder(settings: Settings, num_tokens: int) -> dict[str, Any]:
    size = settings.decoder_size
    return {
        "inputs": {
            "target": {"tokens": num_tokens},
            "summary": {"features": size, "axes": "row"},
        },
        "nodes": [
            *_vectors(settings),
            {"type": "concat", "name": "inputs", "of": ["vectors", "summary"]},
            _recurrent(settings, "below", size),
            {"type": "concat", "name": "both", "of": ["below", "summary"]},
            {"type": "dropout", "name": "both_dropped", "p": settings.dropout},
            _recurrent(settings, "above", size),
            *_readout(settings, ["above", "summary"], num_tokens),
        ],
        "outputs": ["head"],
    }
