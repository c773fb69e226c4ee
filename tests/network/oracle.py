"""A plainly padded network in torch: nothing of gatewise's network code, so that it can judge it."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from gatewise.network.architecture import Architecture
from gatewise.network.autograd import RowGradient
from gatewise.network.trainable import Gradients
from gatewise.types import Array
from tests.kernels.oracles import Step

MERGES: dict[str, Callable[[Tensor], Tensor]] = {  # of two directions, (2, T, H)
    "concat": lambda both: torch.cat([*both], dim=1),
    "sum": lambda both: both.sum(0),
    "mean": lambda both: both.mean(0),
    "product": lambda both: both.prod(0),
}


def padded_logits(arch: Architecture, weights: dict[str, Tensor], sequences: Sequence[Array | Tensor]) -> Tensor:
    """Logits (B or N, outputs): truncate, pad, embed, torch.nn.LSTM a layer and direction, merge, pool, dense
    layers. Masked unless arch.padding is "pre".
    """
    rows = []
    for sequence in map(torch.as_tensor, sequences):
        if 0 < arch.max_length < len(sequence):
            first = arch.max_length // 3 if arch.truncation == "middle" else 0
            sequence = torch.cat([sequence[:first], sequence[len(sequence) - arch.max_length + first :]])
        if arch.padding == "pre":
            sequence = torch.cat([torch.zeros(arch.max_length - len(sequence), dtype=torch.int64), sequence])
        rows.append(_pooled(arch, weights, sequence))
    x = torch.cat(rows) if arch.pooling == "none" else torch.stack(rows)
    for number, hidden in enumerate(arch.hidden):
        x = x @ weights[f"hidden.{number}.weight"].T + weights[f"hidden.{number}.bias"]
        if hidden.activation == "leaky_relu":
            x = torch.nn.functional.leaky_relu(x, hidden.negative_slope)
        elif hidden.activation == "hard_sigmoid":  # the gradient of torch's own is that of float32
            x = torch.nn.functional.relu6(x + 3) / 6
        elif hidden.activation != "linear":
            x = getattr(torch.nn.functional, hidden.activation)(x)
    return x @ weights["dense.weight"].T + weights["dense.bias"]


def _pooled(arch: Architecture, weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """One sequence at a time, so that no mask is needed: (features,)."""
    if arch.inputs == "tokens":
        x = torch.nn.functional.embedding(x, weights["embedding.weight"])  # (T, D)
    x = x.to(weights["dense.bias"].dtype)
    last: list[Tensor] = []
    for layer in range(len(arch.layers)):
        outs, last = [], []
        for direction in arch.layers[layer].directions:
            w_ih, w_hh, bias = (weights[f"lstm.{layer}.{direction}.{k}"] for k in ("weight_ih", "weight_hh", "bias"))
            steps = x.flip(0) if direction == "backward" else x
            run = torch_lstm if arch.gate == "sigmoid" else _binary_lstm
            out = run(steps, w_ih, w_hh, bias)
            outs.append(out.flip(0) if direction == "backward" else out)
            last.append(out[-1])
        merge = MERGES[arch.layers[layer].merge]
        x = merge(torch.stack(outs)) if len(outs) > 1 else outs[0]
    if arch.pooling == "last":
        return merge(torch.stack(last)[:, None])[0] if len(last) > 1 else last[0]
    if arch.pooling in ("step", "none"):
        return x[-1] if arch.pooling == "step" else x
    parts = [x.mean(0)] if "mean" in arch.pooling else []
    return torch.cat([*parts, x.amax(0)]) if "max" in arch.pooling else torch.cat(parts)


def torch_lstm(x: Tensor, weight_ih: Tensor, weight_hh: Tensor, bias: Tensor) -> Tensor:
    """h (T, H) of x (T, D), from the zero state."""
    zero = x.new_zeros(1, 1, weight_hh.shape[1])
    flat = [weight_ih, weight_hh, bias, torch.zeros_like(bias)]
    out: Tensor = torch._VF.lstm(x[None], (zero, zero), flat, True, 1, 0.0, True, False, True)[0][0]
    return out


def _binary_lstm(x: Tensor, weight_ih: Tensor, weight_hh: Tensor, bias: Tensor) -> Tensor:
    """As `torch_lstm` with gates of 0 or 1, whose gradient is straight-through."""
    h = c = x.new_zeros(weight_hh.shape[1])
    out = []
    for one in x:
        i, f, g, o = (weight_ih @ one + weight_hh @ h + bias).chunk(4)
        i, f, o = (Step.apply(gate.sigmoid()) for gate in (i, f, o))
        c = f * c + i * g.tanh()
        h = o * c.tanh()
        out.append(h)
    return torch.stack(out)


def dense(gradients: Gradients, parameters: dict[str, Array]) -> dict[str, Array]:
    """Copies of the gradients, those of some rows as arrays of the parameter's shape."""
    found: dict[str, Array] = {}
    for name, gradient in gradients.items():
        if isinstance(gradient, RowGradient):
            assert (np.diff(gradient.rows) > 0).all()
            whole = np.zeros_like(parameters[name])
            whole[gradient.rows] = gradient.values
            gradient = whole
        found[name] = gradient.copy()
    return found
