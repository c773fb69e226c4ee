"""A running average of the weights (Polyak & Juditsky 1992): steadier than the last step's, at one pass over them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from gatewise.cell import Array
from gatewise.nn import Network

__all__ = ["Average"]


class Average:
    """decay: what is kept of the average at each step; at the start less, so that the first weights are soon forgotten
    ((1 + n) / (10 + n) after n steps).
    """

    def __init__(self, network: Network, decay: float) -> None:
        self.network, self.decay = network, decay
        self._state = {name: torch.from_numpy(array) for name, array in network.state().items()}

    @torch.no_grad()
    def add(self, step: int) -> None:
        """Take in the weights after step `step` (from 0)."""
        kept = min(self.decay, (2 + step) / (11 + step))
        for name, value in self._state.items():
            value.lerp_(self.network.weight(name), 1 - kept)

    def state(self) -> dict[str, Array]:
        """The averages, as copies, by name."""
        return {name: value.numpy().copy() for name, value in self._state.items()}

    def set_state(self, state: Mapping[str, Array]) -> None:
        """Put back what `state` gave."""
        self._state = {name: torch.from_numpy(np.array(array)) for name, array in state.items()}
