"""The pooled state after every step of one direction, and what the dense layer says of pooled states."""

from __future__ import annotations

import numpy as np

from gatewise.explain.net import ExplainedNetwork
from gatewise.network.architecture import Architecture
from gatewise.types import Array

__all__ = ["features_after", "logits_from"]


def features_after(arch: Architecture, h: Array, h0: Array) -> list[Array]:
    """The pooled state of one direction after 0, 1, ... T steps, (T + 1, H) float64 for each part of the pooling.

    h (T, H) in the order of reading, h0 (H,) the state before. Before the first step mean and maximum are 0, as the
    network has it for an empty sequence.
    """
    h, nothing = h.astype(np.float64), np.zeros((1, h.shape[1]))
    if arch.pooling == "last":
        return [np.concatenate([h0[None].astype(np.float64), h])]
    parts = []
    if "mean" in arch.pooling:
        means = np.cumsum(h, axis=0) / np.arange(1, len(h) + 1)[:, None]
        parts.append(np.concatenate([nothing, means]))
    if "max" in arch.pooling:
        parts.append(np.concatenate([nothing, np.maximum.accumulate(h, axis=0)]))
    return parts


def logits_from(net: ExplainedNetwork, features: Array) -> Array:
    """What the dense layer says (n, outputs) of pooled states (n, features), in float64."""
    weight, bias = (np.asarray(net.parameters[f"dense.{part}"], dtype=np.float64) for part in ("weight", "bias"))
    return np.asarray(features @ weight.T + bias)
