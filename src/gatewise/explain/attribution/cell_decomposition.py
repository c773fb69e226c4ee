r"""The account of the memory cell: what each step wrote, and how much of it the verdict still reads.

The memory is a sum, exactly (`Gates.account`): c_r = c_0 Π f + Σ_t i_t g_t Π_{t<s≤r} f_s. Let S_t be the part of it
that was written up to step t, as it stands at step r: S_t = c_t Π_{t<s≤r} f_s, so S_r = c_r. What the unit shows at r,
h_r = o_r tanh(c_r), then telescopes into one number a step (the second decomposition of Murdoch & Szlam 2017):

    score_t = Σ_units w o_r (tanh S_t - tanh S_{t-1})        start = bias + Σ_units w o_r tanh S_0

Every head here is linear in what its pooling reads, so all of them allow it. Pooling "last" reads at r = T; "max" reads
each unit at the step r where its h is highest; "mean" at every r, each with weight 1/T. Two directions are two sums.
Only the top layer is taken apart: what its steps wrote was made of the layers below. The gates of step t had seen
h_{t-1}, and the order of the sum matters where tanh bends, so exact it is and a cause it is not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gatewise.explain.attribution.channels import idle, parts, told_by_channel
from gatewise.explain.attribution.method import Attribution, Beside, Example, direction_of
from gatewise.explain.gates import kept_after, run_with_activations
from gatewise.explain.net import ExplainedNetwork
from gatewise.types import Array

__all__ = ["Cell"]


class Cell:
    """The telescoping account of the logit from the exact account of the cell."""

    adds_up = True
    beside: Beside = "shared"

    def note(self, net: ExplainedNetwork) -> str:
        below = " into the top layer's memory" if net.arch.layers > 1 else " into the memory"
        return (
            f"What the {net.token_noun} wrote{below} and later forget gates kept, "
            f"as the verdict reads it; with the start "
            "it adds up to the logit, and it is an account of the memory, not a cause."
        )

    def start_note(self, net: ExplainedNetwork) -> str:
        return "the bias, and the state after the pads" if net.arch.padding == "pre" else "the bias"

    def accounts(self, net: ExplainedNetwork, readings: Sequence[Example], channels: bool = False) -> list[Attribution]:
        arch = net.arch
        weight, bias = (np.asarray(net.parameters[f"dense.{part}"], dtype=np.float64) for part in ("weight", "bias"))
        told, found = channels and told_by_channel(arch) and not net.clamps, []
        for reading, (lstms, _, _) in zip(readings, run_with_activations(net, [r.read for r in readings]), strict=True):
            direction = direction_of(arch, reading.predicted)
            by_part = (direction @ weight).reshape(-1, len(arch.directions), arch.units)  # one a part of the pooling
            whole = np.zeros(len(reading.rows) + 1)
            whole[0] = direction @ bias
            shares, still = np.zeros((len(reading.rows), arch.channels)) if told else None, np.zeros(len(reading.rows))
            for d, gates in enumerate(lstms[-len(arch.directions) :]):
                order = gates.reading
                f, o, c, h = (a[order].astype(np.float64) for a in (gates.f, gates.o, gates.c, gates.h))
                c = np.concatenate([gates.c0[None].astype(np.float64), c])  # (T + 1, H)
                counts = np.zeros_like(f)
                for pooling, w in zip(arch.pooling.split("+"), by_part[:, d], strict=True):
                    steps = _TOLD[pooling](f, o, c, h, w)  # (T + 1,)
                    whole[0] += steps[0]
                    whole[1:] += steps[1:][order]
                    if told:
                        counts += _COUNTS[pooling](f, o, c, h, w)
                if shares is not None:
                    shares += parts(net, gates, reading.read, counts, None)[order]
                    still += (counts * idle(net, gates).write).sum(axis=1)[order]
            found.append(Attribution(whole[1:], float(whole[0]), shares, None if shares is None else still))
        return found


def _last(f: Array, o: Array, c: Array, h: Array, w: Array) -> Array:
    """(T + 1,): the start, and each step's share in the order of reading, of w · h_T."""
    told = np.tanh(c * kept_after(f)) @ (w * o[-1])  # (T + 1,)
    return np.diff(told, prepend=0)


def _max(f: Array, o: Array, c: Array, h: Array, w: Array) -> Array:
    """The same of w · max_t h_t."""
    read_at = h.argmax(axis=0)  # (H,), the step at which each unit is read
    units, moment = np.arange(f.shape[1]), np.arange(len(c))[:, None]
    kept = kept_after(np.where(moment[:-1] <= read_at, f, 1))  # what comes later forgets nothing of it
    so_far = c[np.minimum(moment, read_at + 1), units]  # ... and writes nothing to it
    told = np.tanh(so_far * kept) @ (w * o[read_at, units])
    return np.diff(told, prepend=0)


def _mean(f: Array, o: Array, c: Array, h: Array, w: Array) -> Array:
    """The same of w · mean_t h_t: the mean of what `_last` tells at every step. Quadratic in T."""
    told = np.zeros(len(c))
    kept = np.ones_like(c)  # (T + 1, H): of each moment's memory, what is left at step r
    for r in range(len(f)):
        kept[: r + 1] *= f[r]
        so_far = np.tanh(c[: r + 2] * kept[: r + 2]) @ (w * o[r])  # (r + 2,)
        told[0] += so_far[0]
        told[1 : r + 2] += so_far[1:] - so_far[:-1]
    return told / max(len(f), 1)


_TOLD = {"last": _last, "mean": _mean, "max": _max}


def _secant(c: Array, kept: Array) -> Array:
    """How far tanh S rises for each unit of i g that a step wrote: (tanh S_t - tanh S_{t-1}) / (i_t g_t), (T, H)."""
    so_far = c * kept
    wrote = np.diff(so_far, axis=0)  # kept_t i_t g_t
    steep = np.abs(wrote) > 1e-7
    slope = np.divide(np.diff(np.tanh(so_far), axis=0), wrote, out=1 - np.tanh(so_far[1:]) ** 2, where=steep)
    return np.asarray(slope * kept[1:])


def _last_counts(f: Array, o: Array, c: Array, h: Array, w: Array) -> Array:
    """(T, H): what `_last` makes of each unit's i g at each step."""
    return np.asarray(w * o[-1] * _secant(c, kept_after(f)))


def _max_counts(f: Array, o: Array, c: Array, h: Array, w: Array) -> Array:
    read_at = h.argmax(axis=0)
    units, moment = np.arange(f.shape[1]), np.arange(len(c))[:, None]
    kept = kept_after(np.where(moment[:-1] <= read_at, f, 1))
    counts = w * o[read_at, units] * _secant(c, kept)
    return np.where(moment[:-1] <= read_at, counts, 0)


def _mean_counts(f: Array, o: Array, c: Array, h: Array, w: Array) -> Array:
    counts, kept = np.zeros_like(f), np.ones_like(c)
    for r in range(len(f)):
        kept[: r + 1] *= f[r]
        counts[: r + 1] += w * o[r] * _secant(c[: r + 2], kept[: r + 2])
    return counts / max(len(f), 1)


_COUNTS = {"last": _last_counts, "mean": _mean_counts, "max": _max_counts}
