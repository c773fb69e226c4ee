"""Two more opinions on what an LSTM is, both by torch's autograd: torch.nn.LSTM, and a cell written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatewise.types import Array
from tests.kernels.cases import Case, rows_of


class Step(torch.autograd.Function):
    """[s > ½], with the gradient of the identity (straight-through)."""

    @staticmethod
    def forward(ctx: Any, s: Tensor) -> Tensor:
        return (s > 0.5).to(s.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # type: ignore[override]
        return grad


def _leaves(case: Case) -> dict[str, Tensor]:
    names = ("x", "weight_ih", "weight_hh", "bias", "h0", "c0")
    return {name: torch.from_numpy(getattr(case, name).copy()).requires_grad_() for name in names}


def _collected(case: Case, results: dict[str, Tensor], leaves: dict[str, Tensor], used: str) -> dict[str, Array]:
    loss = sum((results[name[1:]] * torch.from_numpy(getattr(case, name))).sum() for name in used.split())
    assert isinstance(loss, Tensor)
    loss.backward()  # type: ignore[no-untyped-call]
    out = {name: tensor.detach().numpy() for name, tensor in results.items()}
    zeros = {name: torch.zeros_like(leaf) for name, leaf in leaves.items()}
    return out | {f"d{name}": (zeros[name] if t.grad is None else t.grad).numpy() for name, t in leaves.items()}


def torch_module(case: Case, used: str = "dh dh_T dc_T") -> dict[str, Array]:
    """torch.nn.LSTM, a sequence at a time, its two biases adding up to ours. Sigmoid gates; no c of every step."""
    leaves = _leaves(case)
    split = torch.from_numpy(np.random.default_rng(7).normal(size=4 * case.units))
    module = torch.nn.LSTM(case.x.shape[1], case.units, batch_first=True, dtype=torch.float64)
    h = torch.zeros((int(case.lengths.sum()), case.units), dtype=torch.float64)
    h_T, c_T = [], []
    for b, rows in enumerate(rows_of(case)):
        h_b, c_b = leaves["h0"][b], leaves["c0"][b]
        if len(rows):
            picked = torch.from_numpy((rows if case.index is None else case.index[rows]).astype(np.int64))
            weights = {"weight_ih_l0": leaves["weight_ih"], "weight_hh_l0": leaves["weight_hh"]}
            biases = {"bias_ih_l0": leaves["bias"] - split, "bias_hh_l0": split}
            inputs = leaves["x"][picked], (h_b[None], c_b[None])
            out, (h_n, c_n) = torch.func.functional_call(module, weights | biases, inputs)
            h = h.index_put((torch.from_numpy(rows.copy()),), out)
            h_b, c_b = h_n[0], c_n[0]
        h_T.append(h_b)
        c_T.append(c_b)
    return _collected(case, {"h": h, "h_T": torch.stack(h_T), "c_T": torch.stack(c_T)}, leaves, used)


def unrolled(case: Case, used: str = "dh dc dh_T dc_T") -> dict[str, Array]:
    """The cell in torch operations, a sequence and a step at a time; binary gates through `Step`."""
    leaves = _leaves(case)
    steps = int(case.lengths.sum())
    h, c = ([torch.zeros(0)] * steps for _ in range(2))
    h_T, c_T = [], []
    acted = Step.apply if case.gate == "binary" else (lambda s: s)
    for b, rows in enumerate(rows_of(case)):
        h_b, c_b = leaves["h0"][b], leaves["c0"][b]
        for row in rows:
            x = leaves["x"][row if case.index is None else int(case.index[row])]
            pre = leaves["weight_ih"] @ x + leaves["weight_hh"] @ h_b + leaves["bias"]
            pre_i, pre_f, pre_g, pre_o = pre.split(case.units)
            i, f, o = (acted(s.sigmoid()) for s in (pre_i, pre_f, pre_o))
            c_b = f * c_b + i * pre_g.tanh()
            h_b = o * c_b.tanh()
            h[row], c[row] = h_b, c_b
        h_T.append(h_b)
        c_T.append(c_b)
    results = {"h": torch.stack(h), "c": torch.stack(c), "h_T": torch.stack(h_T), "c_T": torch.stack(c_T)}
    return _collected(case, results, leaves, used)
