"""torch's own cases for its recurrent layers and cells, from the installed torch, run on ours."""

from __future__ import annotations

import copy
import functools
import re

import pytest
import torch

from congru import nn
from congru.errors import CongruError

OURS = {
    torch.nn.GRU: nn.GRU,
    torch.nn.LSTM: nn.LSTM,
    torch.nn.RNN: nn.RNN,
    torch.nn.GRUCell: nn.GRUCell,
    torch.nn.LSTMCell: nn.LSTMCell,
    torch.nn.RNNCell: nn.RNNCell,
}
every_kind = pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__name__)

# What differs on purpose: a part of torch's message -> what ours raises, and why.
DIFFERENCES = {
    # Wrong types of arguments are wrong values here: one class, `SettingsError`, for every setting.
    "should be of type bool, got: int": (ValueError, "bias, batch_first or bidirectional is"),
    "should be of type bool, got: str": (ValueError, "bias, batch_first or bidirectional is"),
    "should be of type int, got": (ValueError, "size is"),
    # RNNCell(10, 20, 'relu') puts the nonlinearity in the place of bias: torch takes the text for True, we refuse it.
    "positional nonlinearity": (ValueError, "bias is"),
}


@functools.cache
def cases():
    """torch's description of each kind; imported by the first test, as collecting the others takes seconds less so."""
    from torch.testing._internal.common_modules import module_db

    return {info.module_cls: info for info in module_db if info.module_cls in OURS}


def samples(kind, training, dtype=torch.float64, requires_grad=True):
    info = cases()[kind]
    return info.module_inputs_func(
        info, device="cpu", dtype=dtype, requires_grad=requires_grad, training=training
    )


def pair(kind, sample, training, dtype=torch.float64):
    """torch's module and ours with the same weights."""
    args, keywords = sample.constructor_input.args, sample.constructor_input.kwargs
    theirs = kind(*args, **keywords, dtype=dtype)
    ours = OURS[kind](*args, **keywords, dtype=dtype)
    ours.load_state_dict(theirs.state_dict())
    return theirs.train(training), ours.train(training)


def tensors(results):
    if isinstance(results, torch.Tensor):
        return [results]
    return [part for result in results for part in tensors(result)]


def run(module, sample):
    inputs = copy.deepcopy(sample.forward_input)
    results = tensors(module(*inputs.args, **inputs.kwargs))
    starts = [part for part in tensors(inputs.args) if part.requires_grad]
    loss = sum(part.sin().sum() for part in results)
    return results, torch.autograd.grad(loss, [*starts, *module.parameters()])


@pytest.mark.parametrize("training", [True, False])
@every_kind
def test_values_and_gradients_are_those_of_torch(kind, training):
    torch.manual_seed(0)
    seen = 0
    for sample in samples(kind, training):
        if sample.constructor_input.kwargs.get("proj_size"):
            with pytest.raises(
                ValueError, match="proj_size is 2, expected 0: congru computes no projections"
            ):
                OURS[kind](*sample.constructor_input.args, **sample.constructor_input.kwargs)
            continue
        theirs, ours = pair(kind, sample, training)
        for a, b in zip(run(ours, sample), run(theirs, sample), strict=True):
            for one, other in zip(a, b, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-13)
        # torch's own reference: the same sample with a batch axis.
        args, keywords = sample.forward_input.args, sample.forward_input.kwargs
        for one, other in zip(
            tensors(ours(*args, **keywords)), tensors(sample.reference_fn(ours, *args, **keywords))
        ):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-13)
        seen += 1
    assert seen >= 2


@every_kind
def test_packed_sequences_too(kind):
    if kind not in (torch.nn.GRU, torch.nn.RNN):
        pytest.skip("torch has such cases for GRU and RNN")
    info = cases()[kind]
    sampled = info.module_inputs_func(
        info, device="cpu", dtype=torch.float64, requires_grad=False, training=True, with_packed_sequence=True
    )
    packed = [s for s in sampled if isinstance(s.forward_input.args[0], torch.nn.utils.rnn.PackedSequence)]
    assert packed
    for sample in packed:
        theirs, ours = pair(kind, sample, True)
        (y, h), (expected, last) = (module(sample.forward_input.args[0]) for module in (ours, theirs))
        assert torch.equal(y.batch_sizes, expected.batch_sizes)
        torch.testing.assert_close(y.data, expected.data, rtol=1e-12, atol=1e-13)
        torch.testing.assert_close(h, last, rtol=1e-12, atol=1e-13)


@every_kind
def test_wrong_calls_are_refused_as_torch_refuses_them(kind):
    """An error of the class that torch raises, in one line; where ours is another, `DIFFERENCES` has the reason."""
    from torch.testing._internal.common_modules import ModuleErrorEnum as errors

    info = cases()[kind]
    seen = 0
    for case in info.module_error_inputs_func(
        info, device="cpu", dtype=torch.float32, requires_grad=False, training=True
    ):
        sample = case.module_error_input
        args, keywords = sample.constructor_input.args, sample.constructor_input.kwargs
        key = "positional nonlinearity" if args[2:] in (("relu",), ("tanh",)) else case.error_regex
        other = next((value for part, value in DIFFERENCES.items() if part in key), None)
        expected = other[0] if other else case.error_type

        def call(args=args, keywords=keywords, sample=sample, case=case, other=other):
            module = OURS[kind](*args, **keywords)
            if case.error_on is errors.FORWARD_ERROR:
                module(*sample.forward_input.args, **sample.forward_input.kwargs)

        with pytest.raises(expected) as caught:
            call()
        assert isinstance(caught.value, CongruError), (kind, case.error_regex)
        assert re.fullmatch(r"[^\n]+ (is|has) [^\n]+, expected [^\n]+: [^\n]+", str(caught.value))
        seen += 1
    assert seen >= 4
