"""Learning rates: by step; and the embedding's own part: what is pretrained may move less (Howard & Ruder 2018)."""

from __future__ import annotations

import math
from itertools import groupby
from typing import Any

from gatewise.nn import Network
from gatewise.training.recipes import Recipe

__all__ = ["groups", "learning_rate_at", "one_cycle"]


def groups(network: Network, recipe: Recipe) -> list[dict[str, Any]]:
    """Adam's parameter groups, in the order of the network's names; "share": their part of the recipe's rate."""
    share = {name: recipe.embedding_lr_scale if name.startswith("embedding.") else 1.0 for name in network.names}
    return [
        {"params": [network.weight(name) for name in part], "share": of}
        for of, part in groupby(network.names, key=share.__getitem__)
    ]


def learning_rate_at(peak: float, schedule: str, step: int, steps: int) -> float:
    """The learning rate of `step` (from 0) out of `steps`."""
    return peak if schedule == "constant" else one_cycle(peak, step, steps, steps // 5)


def one_cycle(peak: float, step: int, steps: int, rise: int) -> float:
    """The learning rate of `step` (from 0) out of `steps`: up over `rise` of them, at least one, then down to nothing
    along a cosine (Smith 2018).
    """
    rise = max(1, rise)
    if step < rise:
        return peak * (step + 1) / rise
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))
