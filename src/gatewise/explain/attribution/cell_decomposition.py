r"""Cell decomposition: what each step wrote into the memory cells, and how much of it the prediction still reads.

The memory is a sum, exactly (`Gates.memory_decomposition`): c_r = c_0 Π f + Σ_t i_t g_t Π_{t<s≤r} f_s. Let S_t be the
part of c_r that was written up to step t: S_t = c_t Π_{t<s≤r} f_s, so S_r = c_r. The output h_r = o_r tanh(c_r) of a
unit then telescopes into one number per step (the second decomposition of Murdoch & Szlam 2017):

    score_t = Σ_units w o_r (tanh S_t - tanh S_{t-1})        base value = bias + Σ_units w o_r tanh S_0

The dense layer is linear in the pooled states, so every pooling allows it. Pooling "last" reads at r = T; "max" reads
each unit at the step r where its h is largest; "mean" reads at every r with weight 1/T. Two directions are two sums.
Only the top layer is decomposed: what its steps wrote depends on the layers below. The gates of step t depend on
h_{t-1}, and the order of the sum matters where tanh bends, so the scores are exact and still no cause.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gatewise.explain.attribution.channels import channel_parts, has_channel_parts, idle
from gatewise.explain.attribution.method import Attribution, NgramRule
from gatewise.explain.example import Example, activations_of
from gatewise.explain.gates import Gates, kept_after
from gatewise.explain.net import ExplainedNetwork
from gatewise.types import Array


class CellDecomposition:
    """The logit as a telescoping sum over what each step wrote into the memory."""

    adds_up = True
    ngram_rule: NgramRule = "shared"

    def note(self, net: ExplainedNetwork) -> str:
        memory = "the top layer's memory" if net.arch.layers > 1 else "the memory"
        return (
            f"What the {net.token_noun} wrote into {memory} and later forget gates kept, as the prediction reads it; "
            "with the base value the scores add up to the logit, and they describe the memory, not a cause."
        )

    def base_value_note(self, net: ExplainedNetwork) -> str:
        return "the bias, and the state after the pads" if net.arch.padding == "pre" else "the bias"

    def attribute(self, examples: Sequence[Example], channels: bool = False) -> list[Attribution]:
        return [
            _decompose(example, activations.lstms, channels and has_channel_parts(example.net))
            for example, activations in zip(examples, activations_of(examples), strict=True)
        ]


def _decompose(example: Example, lstms: Sequence[Gates], by_channel: bool) -> Attribution:
    net, arch, steps = example.net, example.net.arch, len(example.rows)
    weight, bias = (np.asarray(net.parameters[f"dense.{part}"], dtype=np.float64) for part in ("weight", "bias"))
    logit_weights = example.logit_weights
    weights = (logit_weights @ weight).reshape(-1, len(arch.directions), arch.units)  # one for each part of the pooling
    scores = np.zeros(steps + 1)  # the base value first
    scores[0] = logit_weights @ bias
    parts, baseline_term = np.zeros((steps, arch.channels if by_channel else 0)), np.zeros(steps)
    for d, gates in enumerate(lstms[-len(arch.directions) :]):
        order = gates.reading_order
        f, o, c, h = (a[order].astype(np.float64) for a in (gates.f, gates.o, gates.c, gates.h))
        c = np.concatenate([gates.c0[None].astype(np.float64), c])  # (T + 1, H)
        slopes = np.zeros_like(f)
        for pooling, w in zip(arch.pooling.split("+"), weights[:, d], strict=True):
            found = _SCORES[pooling](f, o, c, h, w)  # (T + 1,)
            scores[0] += found[0]
            scores[1:] += found[1:][order]
            if by_channel:
                slopes += _SLOPES[pooling](f, o, c, h, w)
        if by_channel:
            parts += channel_parts(net, gates, example.read, slopes, None)[order]
            baseline_term += (slopes * idle(net, gates).write).sum(axis=1)[order]
    more = (parts, baseline_term) if by_channel else ()
    return Attribution(scores[1:], float(scores[0]), *more)


def _last(f: Array, o: Array, c: Array, h: Array, w: Array) -> Array:
    """(T + 1,): the base value and each step's score of w · h_T, in reading order."""
    return np.diff(np.tanh(c * kept_after(f)) @ (w * o[-1]), prepend=0)


def _max(f: Array, o: Array, c: Array, h: Array, w: Array) -> Array:
    """(T + 1,): the base value and each step's score of w · max_t h_t, in reading order."""
    read_at = h.argmax(axis=0)  # (H,), the step at which each unit is read
    units, moment = np.arange(f.shape[1]), np.arange(len(c))[:, None]
    kept = kept_after(np.where(moment[:-1] <= read_at, f, 1))  # later steps forget nothing of it
    so_far = c[np.minimum(moment, read_at + 1), units]  # and write nothing to it
    return np.diff(np.tanh(so_far * kept) @ (w * o[read_at, units]), prepend=0)


def _mean(f: Array, o: Array, c: Array, h: Array, w: Array) -> Array:
    """(T + 1,): the base value and each step's score of w · mean_t h_t, in reading order. Quadratic in T."""
    scores = np.zeros(len(c))
    kept = np.ones_like(c)  # (T + 1, H): the share of each step's memory that is left at step r
    for r in range(len(f)):
        kept[: r + 1] *= f[r]
        so_far = np.tanh(c[: r + 2] * kept[: r + 2]) @ (w * o[r])  # (r + 2,)
        scores[0] += so_far[0]
        scores[1 : r + 2] += so_far[1:] - so_far[:-1]
    return scores / max(len(f), 1)


_SCORES = {"last": _last, "mean": _mean, "max": _max}


def _secant(c: Array, kept: Array) -> Array:
    """The rise of tanh S per unit of i g that a step wrote: (tanh S_t - tanh S_{t-1}) / (i_t g_t), (T, H)."""
    so_far = c * kept
    wrote = np.diff(so_far, axis=0)  # kept_t i_t g_t
    steep = np.abs(wrote) > 1e-7
    slope = np.divide(np.diff(np.tanh(so_far), axis=0), wrote, out=1 - np.tanh(so_far[1:]) ** 2, where=steep)
    return np.asarray(slope * kept[1:])


def _last_slopes(f: Array, o: Array, c: Array, h: Array, w: Array) -> Array:
    """(T, H): the score in `_last` per unit of i g, for each unit and step."""
    return np.asarray(w * o[-1] * _secant(c, kept_after(f)))


def _max_slopes(f: Array, o: Array, c: Array, h: Array, w: Array) -> Array:
    read_at = h.argmax(axis=0)
    units, moment = np.arange(f.shape[1]), np.arange(len(c))[:, None]
    kept = kept_after(np.where(moment[:-1] <= read_at, f, 1))
    slopes = w * o[read_at, units] * _secant(c, kept)
    return np.where(moment[:-1] <= read_at, slopes, 0)


def _mean_slopes(f: Array, o: Array, c: Array, h: Array, w: Array) -> Array:
    slopes, kept = np.zeros_like(f), np.ones_like(c)
    for r in range(len(f)):
        kept[: r + 1] *= f[r]
        slopes[: r + 1] += w * o[r] * _secant(c[: r + 2], kept[: r + 2])
    return slopes / max(len(f), 1)


_SLOPES = {"last": _last_slopes, "mean": _mean_slopes, "max": _max_slopes}
