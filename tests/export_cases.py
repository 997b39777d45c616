"""What the tests of exports run over: a small network for every node type and option, and the networks of all tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from congru.export.cases import Case, cases_in
from congru.runtime.folder import save_model
from congru.runtime.golden import make_golden
from congru.runtime.graph import Graph, alone
from congru.runtime.network import Network
from congru.tasks.assistant.network import network_config as understanding
from congru.tasks.assistant.network import policy_config
from congru.tasks.assistant.settings import Settings as AssistantSettings
from congru.tasks.chess.networks import declarations
from congru.tasks.chess.settings import Settings as ChessSettings
from congru.tasks.forecast.network import network_config as forecasting
from congru.tasks.forecast.window import Window
from congru.tasks.music.network import frame_networks
from congru.tasks.music.settings import Settings as MusicSettings
from congru.tasks.sentiment.network import network_config as classifying
from congru.tasks.sentiment.settings import Settings as SentimentSettings
from congru.tasks.speech.network import network_config as recognising
from congru.tasks.speech.settings import Settings as SpeechSettings
from congru.tasks.translate.network import network_configs
from congru.tasks.translate.settings import Settings as TranslateSettings
from congru.tasks.video.network import network_config as watching
from congru.tasks.video.settings import Settings as VideoSettings
from nodes_cases import CASES, joined, one

Networks = dict[str, dict[str, Any]]

OPTIONS: Networks = {
    "gru dreamer": one("gru", hidden_size=8, layer_norm="dreamer"),
    "gru without bias": one("gru", hidden_size=7, num_layers=2, bias=False, learn_h0=True),
    "gru before, norm": one("gru", hidden_size=8, reset_before=True, layer_norm=True, num_heads=2),
    "gru before, plain": one("gru", hidden_size=8, reset_before=True),
    "gru norm both ways": one("gru", hidden_size=8, layer_norm=True, bidirectional=True),
    "lstm norm": one("lstm", hidden_size=8, layer_norm=True, num_heads=2, zoneout=0.2),
    "lstm both ways": one("lstm", hidden_size=8, num_layers=2, bidirectional=True),
    "rnn heads": one("rnn", hidden_size=8, num_heads=2, zoneout=0.2),
    "mingru both ways": one("mingru", hidden_size=8, num_layers=2, bidirectional=True),
    "rows beside a memory": {
        "inputs": {
            "x": {"features": 5},
            "m": {"features": 3, "axes": "memory"},
            "r": {"features": 2, "axes": "row"},
        },
        "nodes": [
            {"type": "concat", "name": "wide", "of": ["r", "m"]},
            {"type": "attention", "name": "node", "of": ["x", "wide"], "score": "dot"},
        ],
        "outputs": ["node"],
    },
    "rows alone": {
        **joined("concat"),
        "inputs": {"x": {"features": 6, "axes": "row"}, "r": {"features": 6, "axes": "row"}},
    },
}
ALL: Networks = {**CASES, **OPTIONS}
STREAMING = [name for name, config in ALL.items() if Graph(config).stream_problem() is None]
TEXT = {
    "inputs": {"text": {"tokens": 11}},
    "nodes": [
        {"type": "embedding", "name": "embed", "size": 5},
        {"type": "gru", "name": "rnn", "hidden_size": 6},
        {"type": "linear", "name": "head", "size": 11},
    ],
    "outputs": ["head"],
}


def task_networks() -> dict[str, Networks]:
    """The networks of every task, streaming where it can; and of three that also read whole sequences."""
    small: dict[str, Any] = {"hidden_size": 6}
    chess = ChessSettings(**small, move_size=4, player_size=3)
    return {
        "text": {"main": TEXT},
        "forecast": {"main": forecasting(Window(horizon=2, input_size=8, segment=1), "gru", 6, 1, 0.1)},
        "sentiment": {
            "main": classifying(SentimentSettings(**small, embedding_size=5, streaming=True), 20, 2)
        },
        "sentiment, whole": {"main": classifying(SentimentSettings(**small, embedding_size=5), 20, 2)},
        "assistant": {"main": policy_config(AssistantSettings(), "gru", 6, 9, 4)},
        "assistant, whole": {
            "main": understanding(AssistantSettings(embedding_size=3), "gru", 6, [20, 8, 9], 5, 3)
        },
        "translate": network_configs(TranslateSettings(**small, embedding_size=5), 20, 22),
        "speech": {"main": recognising(SpeechSettings(**small, conv_size=5), 12, 7)},
        "music": frame_networks(MusicSettings(notes_size=6), "gru", 6),
        "video": {
            "main": watching(
                VideoSettings(**small, channels=(3,), encoder_size=5, streaming=True), (1, 8, 8), 3
            )
        },
        "video, whole": {
            "main": watching(VideoSettings(**small, channels=(3,), encoder_size=5), (1, 8, 8), 3)
        },
        "chess": declarations(chess, "gru", 6, 4),
        "chess, moves only": declarations(ChessSettings(**small, variant="m", player_size=3), "gru", 6, 4),
    }


def random_network(config: dict[str, Any], seed: int = 0, scale: float = 0.5) -> Network:
    """A network with random weights, on NumPy."""
    rng = np.random.default_rng(seed)
    shapes = Graph(config).weight_shapes
    weights = {key: (scale * rng.standard_normal(shape)).astype(np.float32) for key, shape in shapes.items()}
    return Network(config, weights, "numpy")


def cases_of(network: Network, config: dict[str, Any], **sizes: int) -> list[Case]:
    """Golden cases of a network, without a folder."""
    return cases_in(network, make_golden(config, network.run, **sizes))


def without_steps(network: Network, case: Case) -> Case:
    """The case with a first sequence of no steps."""
    lengths = {**case.lengths, "steps": np.array([0, *case.lengths["steps"][1:]])}
    output, after = network.run(alone(case.inputs), None, lengths)
    return Case(case.inputs, lengths, case.state, network.graph.named_outputs(output), dict(after))


def save_networks(
    folder: Path, networks: Networks, task: str = "text", files: dict[str, bytes] | None = None
) -> Path:
    """A model folder of networks with random weights."""
    made = {name: random_network(config) for name, config in networks.items()}
    save_model(
        folder,
        config={
            "task": task,
            "cell": "gru",
            "networks": networks,
            "task_config": {"levels": [80], "validation": 0.5},
        },
        weights={name: dict(network.weights) for name, network in made.items()},
        golden={name: make_golden(networks[name], network.run) for name, network in made.items()},
        files=files or {},
        card="# card\n",
    )
    return folder
