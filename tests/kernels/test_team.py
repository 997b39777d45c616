"""The core on the threads of torch's OpenMP: the bits of one thread, in the process that joined them and in its children."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from congru.kernels import binding, native_torch

pytestmark = pytest.mark.skipif(binding._CORE is None, reason=f"no C core: {binding._REASON}")

# Enough work for two threads at B = 1 (which split the units) and at B = 16 (which split the rows).
PROGRAM = """
import os, torch
import numpy as np
from congru import nn
from congru.kernels import native_torch
torch.manual_seed(0)
layer, inputs = nn.GRU(24, 96, backend="native"), [torch.randn(300, B, 24) for B in (1, 16)]

def results(threads):
    torch.set_num_threads(threads)
    found = []
    for x in inputs:
        y, h = layer(x.requires_grad_())
        found += [y.detach(), h.detach(), torch.autograd.grad(y.sin().sum(), x)[0]]
    return found

alone = results(1)
assert all(map(torch.equal, results(2), alone)), "two threads"
assert all(map(torch.equal, results(3), alone)), "three threads"
child = os.fork()
if child == 0:  # no large operation of torch itself: those hang after a fork
    with torch.no_grad():
        y = [layer(x)[0].numpy() for x in inputs]
    os._exit(0 if all(map(np.array_equal, y, (part.numpy() for part in alone[::3]))) else 3)
assert os.waitpid(child, 0)[1] == 0, "child"
"""


def test_any_number_of_its_threads_gives_the_same_bits_also_after_fork():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif("OpenMP" not in torch.__config__.parallel_info(), reason="torch is built without OpenMP")
def test_the_runtime_of_torch_is_found():
    assert native_torch.join_team()
