"""`RecurrentLayer`: a recurrent layer of a network whose activations can be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

CellName = Literal["LSTM", "GRU", "RNN"]
Direction = Literal["forward", "backward"]


@dataclass(frozen=True)
class RecurrentLayer:
    """units: H of each direction. directions: the orders in which it reads the steps, whose outputs stand side by side
    here, however the network merges them. name: in the network that it comes from, "" where it has none.
    """

    units: int
    directions: tuple[Direction, ...]
    cell: CellName = "LSTM"
    name: str = ""

    @property
    def size(self) -> int:
        """The number of its units, of all directions."""
        return self.units * len(self.directions)
