"""Adam, and its moments as arrays by name: what a checkpoint keeps of an optimizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from gatewise.types import Array

__all__ = ["expected_moments", "load_state", "moments"]


def moments(optimizer: torch.optim.Adam, names: Sequence[str]) -> dict[str, Array]:
    """Each parameter's step, exp_avg and exp_avg_sq as `adam/step/NAME` and so on; names: of the parameters, in the
    optimizer's order.
    """
    found: dict[str, Array] = {}
    for name, parameter in zip(names, _parameters(optimizer), strict=True):
        for key, value in optimizer.state.get(parameter, {}).items():
            found[f"adam/{key}/{name}"] = value.detach().numpy()
    return found


def expected_moments(weights: Mapping[str, Array]) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and dtype of what `moments` gives once there was a step."""
    expected: dict[str, tuple[tuple[int, ...], str]] = {}
    for name, value in weights.items():
        expected[f"adam/step/{name}"] = ((), "float32")
        expected |= {f"adam/{key}/{name}": (value.shape, "float32") for key in ("exp_avg", "exp_avg_sq")}
    return expected


def load_state(optimizer: torch.optim.Adam, names: Sequence[str], tensors: Mapping[str, Array]) -> None:
    """Give the optimizer the moments that `moments` found; a parameter without any starts anew."""
    for name, parameter in zip(names, _parameters(optimizer), strict=True):
        if f"adam/step/{name}" in tensors:
            kept = {key: np.array(tensors[f"adam/{key}/{name}"]) for key in ("step", "exp_avg", "exp_avg_sq")}
            optimizer.state[parameter] = {key: torch.from_numpy(value) for key, value in kept.items()}


def _parameters(optimizer: torch.optim.Adam) -> list[torch.Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
