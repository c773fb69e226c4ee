r"""Cell decomposition: what each step wrote into the memory cells, and how much of it the prediction still reads.

The memory is a sum, exactly (`Gates.memory_decomposition`): c_r = c_0 Π f + Σ_t i_t g_t Π_{t<s≤r} f_s. Let S_t be the
part of c_r that was written up to step t: S_t = c_t Π_{t<s≤r} f_s, so S_r = c_r. The output h_r = o_r tanh(c_r) of a
unit then telescopes into one number per step (the second decomposition of Murdoch & Szlam 2017):

    score_t = Σ_units w o_r (tanh S_t - tanh S_{t-1})        base value = bias + Σ_units w o_r tanh S_0

The dense layer is linear in the pooled states, so every pooling allows it; with hidden layers w is their slope between
no input and this one (`members.contributions`). The pooling says at which r it reads each unit
(`network.pooling.Pooling.states_read`): "mean" at every r with the share 1/T. Two directions are two sums.
Only the top layer is decomposed: what its steps wrote depends on the layers below. The gates of step t depend on
h_{t-1}, and the order of the sum matters where tanh bends, so the scores are exact and still no cause.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatewise.explain.attribution.channels import channel_parts, idle
from gatewise.explain.attribution.method import Attribution, Method
from gatewise.explain.example import Example, activations_of
from gatewise.members.contributions import unit_weights
from gatewise.members.ensemble import Ensemble
from gatewise.members.gates import Gates, kept_after
from gatewise.members.prefix import pooled_prefixes
from gatewise.network.forward import head
from gatewise.network.ops import Ops
from gatewise.system.cancel import check_cancelled
from gatewise.types import Array


class CellDecomposition(Method):
    """The logit as a telescoping sum over what each step wrote into the memory."""

    name = "cell-decomposition"
    adds_up = True
    rule = "shared"

    def note(self, ensemble: Ensemble) -> str:
        memory = "the memory"
        if len(ensemble.network.layers) > 1:
            memory = "the top layer's memory"
        noun = ensemble.target.each.score_noun
        return (
            f"The part of the {noun} that comes from what this {ensemble.token_noun} wrote into "
            f"{memory} and later forget gates did not erase; with the base value the scores add up to the "
            f"{noun}, and they describe the memory, not a cause."
        )

    def attribute(self, examples: Sequence[Example], channels: bool = False) -> list[Attribution]:
        return [
            _decompose(example, activations.lstms, channels and example.network.has_channel_parts)
            for example, activations in zip(examples, activations_of(examples), strict=True)
        ]


def _decompose(example: Example, lstms: Sequence[Gates], by_channel: bool) -> Attribution:
    net, top = example.lstm.top_run(lstms, example.step)
    arch = net.arch
    steps = len(example.rows)
    if example.step is not None:
        by_channel = False  # the channels of a step explain the prediction for a whole series
    end = np.stack([[part[-1] for part in pooled_prefixes(arch, gates)] for gates in top], axis=1)
    weights = unit_weights(net, example.lstm_score.weights, np.zeros_like(end), end)  # (parts, directions, H)
    scores = np.zeros(steps + 1)  # the base value first
    scores[0] = example.lstm_score(head(Ops(), net.parameters, arch, np.zeros(arch.features)))
    of_channels = np.zeros((steps, arch.channels))
    baseline_term = np.zeros(steps)
    for d, gates in enumerate(top):
        order = gates.reading_order
        f, o, c, h = (a[order].astype(np.float64) for a in (gates.f, gates.o, gates.c, gates.h))
        c = np.concatenate([gates.c0[None].astype(np.float64), c])  # (T + 1, H)
        ordered = np.zeros(steps)  # the scores of this direction in reading order
        slopes = np.zeros_like(f)  # the score per unit of i g, for each step and unit
        units = np.arange(f.shape[1])
        for pooling, of_units in zip(arch.poolings, weights[:, d], strict=True):
            kept_memory = _KeptMemory(f, c)
            for state in pooling.states_read(h, gates.direction == "backward"):
                check_cancelled()
                memory = kept_memory.read_at(state.steps)
                weight = of_units * state.share * o[state.steps, units]  # of tanh(c_r), (H,)
                so_far = np.tanh(memory.c * memory.kept) @ weight  # (R + 1,)
                read = len(so_far) - 1
                scores[0] += so_far[0]
                ordered[:read] += so_far[1:] - so_far[:-1]
                if by_channel:
                    slopes[:read] += weight * _secant(memory.c, memory.kept) * memory.written
        scores[1:] += ordered[order]
        if by_channel:
            of_channels += channel_parts(net, gates, example.read, slopes, None)[order]
            baseline_term += (slopes * idle(net, gates)[0]).sum(axis=1)[order]
    if not by_channel:
        return Attribution(scores[1:], float(scores[0]))
    return Attribution(scores[1:], float(scores[0]), of_channels, baseline_term)


class _Memory(NamedTuple):
    """The memory of a unit up to the step r at which it is read. c (R + 1, H): after 0, 1, ... R steps, R the last step
    that is read of any unit. kept (R + 1, H): the share of it that is left at r. written (R, H): which steps wrote to
    it, True for all of them.
    """

    c: Array
    kept: Array
    written: Array | Literal[True]


class _KeptMemory:
    """The memory of a direction in reading order. f (T, H), c (T + 1, H)."""

    def __init__(self, f: Array, c: Array) -> None:
        self.f = f
        self.c = c
        self._kept = np.ones_like(c)
        self._next = 0  # the step after the one up to which _kept goes

    def read_at(self, steps: NDArray[np.intp]) -> _Memory:
        """Of units that are read at these steps (H,). The next call changes the arrays."""
        last = int(steps.max())
        f = self.f[: last + 1]
        c = self.c[: last + 2]
        if (steps == last).all():
            if last == self._next:  # the next step after the last one, as of a mean: what is left goes on
                self._kept[: last + 1] *= f[last]
            else:
                self._kept[: last + 2] = kept_after(f)
            self._next = last + 1
            return _Memory(c, self._kept[: last + 2], True)
        # Later steps neither forget nor write.
        moment = np.arange(len(c))[:, None]
        written = moment[:-1] <= steps
        memory = c[np.minimum(moment, steps + 1), np.arange(len(steps))]
        return _Memory(memory, kept_after(np.where(written, f, 1)), written)


def _secant(c: Array, kept: Array) -> Array:
    """The rise of tanh S per unit of i g that a step wrote: (tanh S_t - tanh S_{t-1}) / (i_t g_t), (T, H)."""
    so_far = c * kept
    wrote = np.diff(so_far, axis=0)  # kept_t i_t g_t
    steep = np.abs(wrote) > 1e-7
    slope = np.divide(np.diff(np.tanh(so_far), axis=0), wrote, out=1 - np.tanh(so_far[1:]) ** 2, where=steep)
    return np.asarray(slope * kept[1:])
