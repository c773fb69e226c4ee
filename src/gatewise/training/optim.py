"""Adam's parameter groups and moments, and learning rate schedules."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import torch

from gatewise.nn import Network
from gatewise.training.recipes import Recipe
from gatewise.types import Array


def parameter_groups(network: Network, recipe: Recipe) -> list[dict[str, Any]]:
    """Adam's parameter groups, in the order of the network's names; "lr_scale": factor on the learning rate."""
    scale = {name: recipe.embedding_lr_scale if name.startswith("embedding.") else 1.0 for name in network.names}
    return [
        {"params": [network.weight(name) for name in names], "lr_scale": lr_scale}
        for lr_scale, names in groupby(network.names, key=scale.__getitem__)
    ]


def learning_rate_at(peak: float, schedule: str, step: int, steps: int) -> float:
    """The learning rate of `step` (from 0) out of `steps`."""
    return peak if schedule == "constant" else one_cycle(peak, step, steps, steps // 5)


def one_cycle(peak: float, step: int, steps: int, warmup: int) -> float:
    """The learning rate of `step` (from 0) out of `steps`: up linearly over `warmup` of them, at least one, then down
    to 0 along a cosine (Smith 2018).
    """
    warmup = max(1, warmup)
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def state_arrays(optimizer: torch.optim.Adam, names: Sequence[str]) -> dict[str, Array]:
    """Adam's state as arrays: each parameter's step, exp_avg and exp_avg_sq as `adam/step/NAME` and so on. names: of
    the parameters, in the optimizer's order.
    """
    return {
        f"adam/{key}/{name}": value.detach().numpy()
        for name, parameter in zip(names, _parameters(optimizer), strict=True)
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def state_shapes(weights: Mapping[str, Array]) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and dtype of each array of `state_arrays` after at least one step."""
    shapes: dict[str, tuple[tuple[int, ...], str]] = {}
    for name, value in weights.items():
        shapes[f"adam/step/{name}"] = ((), "float32")
        shapes |= {f"adam/{key}/{name}": (value.shape, "float32") for key in ("exp_avg", "exp_avg_sq")}
    return shapes


def load_state(optimizer: torch.optim.Adam, names: Sequence[str], arrays: Mapping[str, Array]) -> None:
    """Load what `state_arrays` returned; a parameter without any starts anew."""
    for name, parameter in zip(names, _parameters(optimizer), strict=True):
        if f"adam/step/{name}" in arrays:
            optimizer.state[parameter] = {
                key: torch.from_numpy(np.array(arrays[f"adam/{key}/{name}"]))
                for key in ("step", "exp_avg", "exp_avg_sq")
            }


def _parameters(optimizer: torch.optim.Adam) -> list[torch.Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
