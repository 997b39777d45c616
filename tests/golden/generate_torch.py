"""Golden cases of torch.nn.GRU, LSTM and RNN: two layers, both directions, packed rows, float64."""

from __future__ import annotations

import numpy as np
import torch
from case_file import GoldenCase, about, draw, record_versions, save

B, T, I, H = 3, 5, 3, 4
LENGTHS = np.array([5, 1, 3])
MODULES = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM, "rnn": torch.nn.RNN}
NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def generate(name: str, cell: str, L: int, D: int, lengths: np.ndarray | None) -> None:
    module = MODULES[cell](I, H, L, batch_first=True, bidirectional=D == 2).double()
    with torch.no_grad():
        for seed, parameter in enumerate(module.parameters()):
            parameter.copy_(torch.tensor(draw(seed, *parameter.shape)))
    x = draw(100, B, T, I)
    state = tuple(draw(101 + k, L * D, B, H) for k in range(2 if cell == "lstm" else 1))
    h = tuple(torch.tensor(part).double() for part in state)
    packed = torch.tensor(x).double()
    if lengths is not None:
        packed = torch.nn.utils.rnn.pack_padded_sequence(packed, lengths, True, enforce_sorted=False)
    with torch.no_grad():
        y, final = module(packed, h if cell == "lstm" else h[0])
    if lengths is not None:
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=T)
    final = final if cell == "lstm" else (final,)
    parameters = [part.detach().float().numpy() for part in module.parameters()]
    arrays = [dict(zip(NAMES, parameters[4 * k : 4 * k + 4])) for k in range(L * D)]
    description = about("pytorch", cell, num_layers=L, num_directions=D)
    save(name, GoldenCase(description, x, lengths, state, arrays, y.numpy(), tuple(p.numpy() for p in final)))


if __name__ == "__main__":
    for cell in MODULES:
        generate(f"torch_{cell}", cell, 1, 1, None)
        generate(f"torch_{cell}_stack", cell, 2, 2, None)
        generate(f"torch_{cell}_stack_lengths", cell, 2, 2, LENGTHS)
    record_versions("generate_torch.py", "torch")
