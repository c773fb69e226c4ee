"""Another definition of an LSTM: the cell written out in torch operations, with torch's gradients."""

from typing import Any

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


def unrolled(case: Case) -> dict[str, Array]:
    """The cell in torch operations, a sequence and a step at a time; binary gates through `Step`."""
    names = ("x", "weight_ih", "weight_hh", "bias", "h0", "c0")
    leaves = {name: torch.from_numpy(getattr(case, name).copy()).requires_grad_() for name in names}
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
    loss = sum((tensor * torch.from_numpy(getattr(case, f"d{name}"))).sum() for name, tensor in results.items())
    gradients = torch.autograd.grad(loss, list(leaves.values()))  # type: ignore[arg-type]
    found = results | {f"d{name}": gradient for name, gradient in zip(leaves, gradients, strict=True)}
    return {name: tensor.detach().numpy() for name, tensor in found.items()}
