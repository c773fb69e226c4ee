"""Learning rates by layer: what is pretrained moves less than what is new (Howard & Ruder 2018, section 3.2)."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from gatewise.nn import Network
from gatewise.training.recipes import Recipe

__all__ = ["groups"]


def groups(network: Network, recipe: Recipe) -> list[dict[str, Any]]:
    """Adam's parameter groups, in the order of the network's names; "share": their part of the recipe's rate."""
    share = {"embedding": recipe.rate_embedding, "lstm": recipe.rate_lstm, "dense": 1.0}
    named = [(name, network.weight(name)) for name in network.names]
    return [
        {"params": [weight for _, weight in part], "share": of}
        for of, part in groupby(named, key=lambda pair: share[pair[0].split(".")[0]])
    ]
