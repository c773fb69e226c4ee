"""Learning rates: by step, and by layer: what is pretrained moves less than what is new (Howard & Ruder 2018, 3.2)."""

from __future__ import annotations

import math
from itertools import groupby
from typing import Any

from gatewise.nn import Network
from gatewise.training.recipe_fields import Recipe

__all__ = ["groups", "one_cycle", "rate_at"]


def groups(network: Network, recipe: Recipe) -> list[dict[str, Any]]:
    """Adam's parameter groups, in the order of the network's names; "share": their part of the recipe's rate."""
    share = {"embedding": recipe.rate_embedding, "lstm": 1.0, "dense": 1.0}
    named = [(name, network.weight(name)) for name in network.names]
    return [
        {"params": [weight for _, weight in part], "share": of}
        for of, part in groupby(named, key=lambda pair: share[pair[0].split(".")[0]])
    ]


def rate_at(peak: float, schedule: str, step: int, steps: int) -> float:
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
