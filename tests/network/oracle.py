"""A plainly padded network in torch, float64: nothing of gatewise's network code, so that it can judge it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatewise.network.architecture import Architecture
from gatewise.types import Array


def padded_logits(arch: Architecture, weights: dict[str, Tensor], sequences: Sequence[Array]) -> Tensor:
    """Logits (B, outputs): pad, embed, torch.nn.LSTM a layer and direction, pool, dense. Masked unless arch.padding
    is "pre".
    """
    rows = []
    for sequence in sequences:
        if arch.padding == "pre":
            sequence = np.concatenate([np.zeros(arch.max_length - len(sequence), dtype=np.int64), sequence])
        rows.append(_pooled(arch, weights, sequence))
    return torch.stack(rows) @ weights["dense.weight"].T + weights["dense.bias"]


def _pooled(arch: Architecture, weights: dict[str, Tensor], sequence: Array) -> Tensor:
    """One sequence at a time, so that no mask is needed: (features,)."""
    x = torch.from_numpy(np.asarray(sequence, dtype=np.float64 if arch.inputs == "channels" else np.int64))
    if arch.inputs == "tokens":
        x = torch.nn.functional.embedding(x, weights["embedding.weight"])  # (T, D)
    last: list[Tensor] = []
    for layer in range(arch.layers):
        outs, last = [], []
        for direction in arch.directions:
            w_ih, w_hh, bias = (weights[f"lstm.{layer}.{direction}.{k}"] for k in ("weight_ih", "weight_hh", "bias"))
            steps = x.flip(0) if direction == "backward" else x
            zero = torch.zeros(1, 1, arch.units, dtype=torch.float64)
            flat = [w_ih, w_hh, bias, torch.zeros_like(bias)]
            out, h_T, _ = torch._VF.lstm(steps[None], (zero, zero), flat, True, 1, 0.0, True, False, True)
            outs.append(out[0].flip(0) if direction == "backward" else out[0])
            last.append(h_T[0, 0])
        x = torch.cat(outs, dim=1)
    if arch.pooling == "last":
        return torch.cat(last)
    parts = [x.mean(0)] if "mean" in arch.pooling else []
    return torch.cat([*parts, x.amax(0)]) if "max" in arch.pooling else torch.cat(parts)


def random_sequences(arch: Architecture, lengths: Sequence[int], rng: np.random.Generator) -> list[NDArray]:
    if arch.inputs == "channels":
        return [rng.standard_normal((n, arch.vocab_size)).astype(np.float32) for n in lengths]
    return [rng.integers(1, arch.vocab_size, n) for n in lengths]
