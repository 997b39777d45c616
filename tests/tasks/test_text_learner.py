"""The whole way on a tiny text: train through the real loop, load without torch, score, write."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import congru
from congru.nn.network import Network
from congru.tasks.text.learner import TextLearner, make_learner
from congru.tasks.text.network import network_config
from congru.tasks.text.settings import Settings
from congru.tasks.text.streams import make_segments
from congru.train.batches import Batches
from congru.train.networks import Objective
from congru.train.provenance import describe
from congru.train.summary import RunResult

POEM = (
    "The fog comes on little cat feet.\nIt sits looking over harbour and city\n"
    "on silent haunches and then moves on.\n"
)
TINY: dict[str, Any] = {
    "hidden_size": 24,
    "batch_size": 8,
    "chunk": 12,
    "threads": 1,
    "quiet": True,
    "learning_rate": 0.02,
    "precision": "float32",
}


@pytest.fixture(scope="module")
def poem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("poem") / "poem.txt"
    path.write_text(POEM * 12)
    return path


@pytest.fixture(scope="module")
def result(poem: Path) -> RunResult:
    return congru.tasks.text.train(
        poem, **TINY, steps=30, evaluations=3, out=str(poem.parent / "run"), dropout=0.1
    )


def test_thirty_steps_beat_the_unigram(result: RunResult) -> None:
    assert result.status == "finished"
    assert result.steps == 30
    assert result.metric == "nats_per_char"
    assert result.best is not None
    assert result.best < result.baselines["unigram"] - 0.3


def test_the_score_of_the_saved_model_is_the_validation_figure(result: RunResult, poem: Path) -> None:
    assert result.model_folder is not None
    scores = congru.tasks.text.evaluate(result.model_folder, str(poem), quiet=True)
    assert scores["model"]["nats_per_char"] == pytest.approx(result.best, abs=1e-4)
    assert scores["model"]["bits_per_char"] == pytest.approx(result.best / np.log(2), abs=1e-4)
    for name in ("5-gram", "unigram"):
        assert scores[name]["nats_per_char"] == pytest.approx(result.baselines[name], rel=1e-9)


def test_the_folder_runs_without_torch(result: RunResult, poem: Path) -> None:
    code = (
        "import sys, congru\n"
        "model = congru.load(sys.argv[1])\n"
        "session = model.session(seed=1).feed('The ')\n"
        "text = ''.join(session.generate(40, temperature=0.8, top_p=0.9))\n"
        "assert len(text) == 40, text\n"
        "rows = congru.tasks.text.evaluate(sys.argv[1], sys.argv[2], quiet=True)\n"
        "x, labels = congru.tasks.text.inspect_inputs(model, 'The fog')\n"
        "model.run(x)\n"
        "assert 'torch' not in sys.modules\n"
        "print(rows['model']['nats_per_char'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(result.model_folder), str(poem)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(result.best, abs=1e-4)


def test_the_model_folder_says_where_it_comes_from(result: RunResult) -> None:
    assert result.model_folder is not None
    model = congru.load(result.model_folder)
    assert (model.task, model.cell) == ("text", "gru")
    assert model.task_config == {"tokens": "char", "validation": 0.1}
    assert model.num_parameters == result.num_parameters
    card = (result.model_folder / "README.md").read_text()
    assert f"| this model | {result.best:.6g} |" in card
    assert "| 5-gram |" in card
    assert "poem.txt" in card


def batches(learner: TextLearner, epoch: int, rank: int = 0, world_size: int = 1) -> list[torch.Tensor]:
    return list(Batches(learner, rank, world_size).epoch(epoch))


def validation_nats(learner: TextLearner) -> float:
    part = learner.evaluate(learner.module.eval(), learner.validation_rows())
    return learner.metrics([part])["nats_per_char"]


def small(poem: Path, **changes: Any) -> TextLearner:
    return make_learner(str(poem), settings=Settings(**{**TINY, **changes}))


@pytest.mark.parametrize(
    "changes",
    [
        {"cell": "lstm"},
        {"cell": "rnn"},
        {"cell": "mingru"},
        {"num_layers": 2, "dropout": 0.2, "reset_before": True},
        {"tied": True},
        {"tokens": "bpe", "vocab_size": 270, "embedding_size": 5},
        {"precision": "bfloat16"},
        {"precision": "bfloat16", "cell": "lstm"},
        {"precision": "bfloat16", "cell": "rnn"},
        {"precision": "bfloat16", "cell": "mingru"},
    ],
    ids=lambda changes: " ".join(f"{key}={value}" for key, value in changes.items()),
)
def test_every_kind_of_model_learns_and_is_saved(poem: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    out = congru.tasks.text.train(
        poem, **{**TINY, **changes}, steps=12, evaluations=2, out=str(tmp_path / "r")
    )
    first = make_learner(str(poem), settings=Settings(**{**TINY, **changes}))
    with torch.no_grad():
        before = validation_nats(first)
    assert out.best is not None
    assert out.best < before - 0.2
    assert out.model_folder is not None
    scores = congru.tasks.text.evaluate(out.model_folder, str(poem), quiet=True)
    assert scores["model"]["nats_per_char"] == pytest.approx(out.best, abs=1e-4)


def test_the_loss_is_minus_the_log_probability_of_the_next_token(poem: Path) -> None:
    learner = small(poem, dropout=0.0)
    batch = batches(learner, 0)[0]
    total, count, carry = learner.loss(learner.module, batch, None)
    logits, state = learner.module["main"](batch[:, :-1])
    chosen = torch.log_softmax(logits, -1).gather(2, batch[:, 1:, None])
    assert count == chosen.numel()
    assert total.item() == pytest.approx(-chosen.sum().item(), rel=1e-6)
    torch.testing.assert_close(carry[0]["rnn.h"], state["rnn.h"])
    again, _, _ = learner.loss(learner.module, batch, carry)
    assert again.item() != pytest.approx(total.item(), rel=1e-6)  # the state is used


def test_two_processes_see_what_one_sees(poem: Path) -> None:
    learner = small(poem)
    for epoch in (0, 1):
        whole = batches(learner, epoch)
        halves = [batches(learner, epoch, rank, 2) for rank in (0, 1)]
        assert len(whole) == learner.steps_per_epoch
        for batch, *parts in zip(whole, *halves):
            torch.testing.assert_close(batch, torch.cat(parts))
        torch.testing.assert_close(list(Batches(learner).epoch(epoch, start=2)), whole[2:])
    assert not torch.equal(batches(learner, 0)[0], batches(learner, 1)[0])


def test_the_first_weights_follow_the_seed_alone(poem: Path) -> None:
    first = small(poem).module.state_dict()
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    second = small(poem).module.state_dict()
    assert torch.equal(before, torch.random.get_rng_state())  # nothing is drawn from the caller's generator
    other = small(poem, seed=1).module.state_dict()
    for name, weight in first.items():
        assert torch.equal(weight, second[name])
        assert not torch.equal(weight, other[name])


def test_recurrent_weights_start_orthogonal(poem: Path) -> None:
    weight = small(poem).module.get_parameter("main.rnn.weight_hh_l0").detach()
    for block in weight.split(24):
        torch.testing.assert_close(block @ block.T, torch.eye(24), atol=1e-5, rtol=0.0)


def test_a_tied_model_has_one_table(poem: Path) -> None:
    assert "main.head.weight" not in small(poem, tied=True).module.state_dict()
    assert small(poem, tied=True).module.get_parameter("main.embed.weight").shape[1] == 24


def test_the_width_can_be_changed_for_comparisons(poem: Path) -> None:
    learner = small(poem)
    with torch.device("meta"):
        module = learner.build("lstm", 7)
    assert module.get_parameter("main.rnn.weight_hh_l0").shape == (28, 7)


def test_validation_is_exact_and_a_sample_repeats(poem: Path) -> None:
    learner = small(poem)
    with torch.no_grad():
        module = learner.module.eval()
        segments = make_segments(learner.data.ids, learner.data.num_train, 1)
        tokens, counted = segments.piece(0, segments.num_steps)
        logits, _ = module["main"](torch.from_numpy(tokens[:, :-1]))
        chosen = torch.log_softmax(logits, -1).gather(2, torch.from_numpy(tokens[:, 1:, None]))
        nats = -chosen[0, counted[0]].mean().item()
        assert validation_nats(learner) == pytest.approx(nats, abs=1e-5)
        assert learner.sample(module) == learner.sample(module)
        text = poem.read_text()
        assert learner.sample(module).text.startswith(text[int(len(text) * 0.9) :][:30])


def test_no_layer_drops_twice() -> None:
    config = network_config(Settings(num_layers=1, dropout=0.4), 9)
    assert [layer.get("dropout", layer.get("p")) for layer in config["nodes"]] == [None, 0.0, 0.4, None]
    config = network_config(Settings(num_layers=2, dropout=0.4), 9)
    assert [layer.get("dropout", layer.get("p")) for layer in config["nodes"]] == [None, 0.4, 0.4, None]


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
def test_recurrent_dropout_acts_in_training_alone(cell: str) -> None:
    network = Network(
        network_config(Settings(**{**TINY, "cell": cell, "dropout": 0.0, "recurrent_dropout": 0.5}), 9)
    )
    x = torch.arange(9)[None]
    first, second = network(x)[0], network(x)[0]
    assert torch.equal(first[:, 0], second[:, 0])  # the state is zero before the first step
    assert not torch.equal(first[:, 1:], second[:, 1:])
    network.eval()
    assert torch.equal(network(x)[0], network(x)[0])


def test_a_mingru_has_no_recurrent_weights_to_drop() -> None:
    with pytest.raises(ValueError, match=r"recurrent_dropout is 0\.2, expected 0 with cell mingru"):
        Settings(cell="mingru", recurrent_dropout=0.2)


def test_auto_precision_is_bfloat16_where_the_cpu_multiplies_it_faster(
    poem: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = [
        (True, False, "AVX512", "bfloat16"),
        (False, True, "AVX512", "bfloat16"),
        (False, False, "AVX512", "float32"),
        (True, True, "AVX2", "float32"),  # held back by ATEN_CPU_CAPABILITY
    ]
    for amx, bf16, capability, expected in cases:
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda amx=amx: amx)
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda bf16=bf16: bf16)
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda it=capability: it)
        assert small(poem, precision="auto").precision == expected
        assert describe(small(poem, precision="auto"))["precision"] == expected
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        assert small(poem, precision="auto", device="auto").precision == "float32"
        assert small(poem, precision="auto", device="cpu").precision == expected
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        assert small(poem, precision="bfloat16").precision == "bfloat16"


def test_bfloat16_changes_the_loss_a_little(poem: Path) -> None:
    losses = {}
    for precision in ("float32", "bfloat16"):
        learner = small(poem, precision=precision, dropout=0.0)
        objective = Objective(learner.module, learner.loss, learner.precision)
        losses[precision] = objective(batches(learner, 0)[0], None)[0].item()
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=2e-2)
    assert losses["bfloat16"] != losses["float32"]


@pytest.mark.parametrize("changes", [{}, {"tied": True}, {"cell": "lstm", "num_layers": 2}], ids=str)
def test_several_seeds_are_one_network_with_the_mean_of_their_logits(
    poem: Path, changes: dict[str, Any], tmp_path: Path
) -> None:
    learner = small(poem, seeds=3, **changes)
    assert list(learner.module) == ["main", "main2", "main3"]
    result = congru.tasks.text.train(
        poem, **{**TINY, "seeds": 3, **changes}, steps=6, evaluations=2, out=str(tmp_path / "run")
    )
    rows = congru.tasks.text.evaluate(tmp_path / "run", str(poem), segments=1)
    assert rows["model"]["nats_per_char"] == pytest.approx(result.best, abs=2e-3)
    # From a folder again: what was trained, each alone and all together.
    model = congru.load(tmp_path / "run")
    assert list(model.networks) == ["main"]
    tokens = np.arange(9)[None]
    joined = saved_network(small(poem, seeds=3, **changes))
    with torch.no_grad():
        alone = [network(torch.from_numpy(tokens))[0] for network in learner.module.eval().values()]
        together = joined(torch.from_numpy(tokens))[0]
    assert not torch.allclose(alone[0], alone[1])
    torch.testing.assert_close(together, torch.stack(alone).mean(0), rtol=1e-5, atol=1e-5)


def test_members_learn_each_by_itself(poem: Path) -> None:
    learner = small(poem, seeds=2, dropout=0.0)
    batch = torch.from_numpy(learner.batch(learner.rows(0)[:8]))
    both, count, states = learner.loss(learner.module, batch, None)
    target = batch[:, 1:].flatten()
    summed = torch.zeros(())
    for network in learner.module.values():
        summed = summed + F.cross_entropy(network(batch[:, :-1])[0].flatten(0, 1), target, reduction="sum")
    assert torch.equal(both, summed)
    assert count == 2 * target.numel()
    # A second chunk goes on from the members' own states.
    again, _, _ = learner.loss(learner.module, batch, states)
    assert not torch.equal(again, both)


def saved_network(learner: TextLearner) -> torch.nn.Module:
    """What goes into the model folder."""
    (_, network), *others = learner.saved(learner.module.eval()).values()
    assert not others
    return network
