"""`RunningCRF`: a network below a conditional random field that reads n sequences step by step.

After each step it has the probabilities of the labels of that step, given the steps so far: the forward algorithm,
normalised. The scores of the last label (`Transitions.end`) are left out, because more steps may come.

    log p(y_t | x_1..t) = emission[t] + log Σ_y' exp(log p(y' | x_1..t-1) + between[y', y_t]) - log of the sum over y_t
"""

from __future__ import annotations

import numpy as np

from gatewise.members.running_network import RunningNetwork
from gatewise.ragged import Ragged, starts_of
from gatewise.target import StepTarget, Target
from gatewise.target.crf import log_filtered
from gatewise.types import Array, Lengths

_FILTERED = "crf.filtered"
_LEAST_LOG = -700.0  # of a probability: a stored state has no infinity


class RunningCRF(RunningNetwork):
    """network: before its first step. weight, shift (outputs,): from its logits to those of the ensemble. target: with
    transitions. The state is that of the network, and the logarithms (n, K) of the probabilities so far.
    """

    def __init__(self, network: RunningNetwork, weight: float, shift: Array, target: Target) -> None:
        assert isinstance(target, StepTarget)
        assert target.transitions is not None
        super().__init__({**network.arrays, _FILTERED: np.zeros((1, len(target.transitions)))})
        self.most = network.most
        self.why_most = network.why_most
        self._network = network
        self._weight = weight
        self._shift = shift
        self._target = target
        self._transitions = target.transitions

    def read(self, rows: Array, lengths: Lengths) -> None:
        network = self._network.copy()
        network.steps = self.steps
        network.arrays = {name: self.arrays[name] for name in network.arrays}
        filtered = self.arrays[_FILTERED].copy()
        starts = starts_of(lengths)
        for step in range(int(lengths.max(initial=0))):
            numbers = np.flatnonzero(lengths > step)  # of the sequences that have such a step
            reading = network.take(numbers)
            is_first = (reading.steps == 0)[:, None]
            one_each = np.ones(len(numbers), np.intp)
            reading.read(rows[starts[numbers] + step], one_each)
            logits = self._weight * reading.logits() + self._shift
            emissions = self._target.emissions(Ragged(logits, one_each)).values
            of_first = log_filtered(emissions, None, self._transitions)
            of_later = log_filtered(emissions, filtered[numbers], self._transitions)
            filtered[numbers] = np.maximum(np.where(is_first, of_first, of_later), _LEAST_LOG)
            network.put(numbers, reading)
        self.arrays = {**network.arrays, _FILTERED: filtered}
        self.steps = network.steps

    def logits(self) -> Array:
        """Logits (n, outputs) whose probabilities are those of the last step, given the steps so far."""
        filtered = self.arrays[_FILTERED]
        if self._target.outputs == 1:
            return filtered[:, 1:] - filtered[:, :1]
        return filtered
