"""What the dense layer would say if the reading stopped early, from a trace; and how far each unit moved it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gatewise.explain.attribution.pooled import features_after
from gatewise.explain.attribution.running import backward_after, prefix_logits
from gatewise.explain.gates import Gates
from gatewise.explain.net import ExplainedNetwork, run_all
from gatewise.network.architecture import Architecture
from gatewise.types import Array

__all__ = ["logits_after", "unit_moves"]


def logits_after(net: ExplainedNetwork, read: Array, lstms: Sequence[Gates]) -> Array:
    """The running verdict (T + 1, outputs) float64 from the trace of a sequence (T, ...): the logits if it had stopped
    after 0, 1, ... T steps.

    With one direction it is all there; with two the backward direction is run, see `explain.attribution.running`. With
    padding "pre" the logits are read from the state of this run, that is behind the same number of pads.
    """
    if not net.arch.bidirectional:
        return prefix_logits(net, features_after(net.arch, lstms[-1].h, lstms[-1].h0), ())
    if net.clamps or net.arch.layers > 1:
        return run_all(net, (read[:t] for t in range(len(read) + 1)))
    return prefix_logits(net, features_after(net.arch, lstms[0].h, lstms[0].h0), backward_after(net, read))


def unit_moves(arch: Architecture, weight: Array, top: Sequence[Gates]) -> Array:
    """How far each unit of the top layer moved the margin at each step: (T, H x directions) float64.

    weight (features,): the margin as a function of the pooled features. Each direction's moves are those of its own
    order of reading. Whatever the pooling, all of them together lead from the start to the logit.
    """
    parts = weight.astype(np.float64).reshape(-1, len(top), arch.units)  # (parts of the pooling, directions, H)
    moves = []
    for d, gates in enumerate(top):
        after = features_after(arch, gates.h[gates.reading], gates.h0)
        moved = sum(np.diff(part, axis=0) * w for part, w in zip(after, parts[:, d], strict=True))
        moves.append(np.asarray(moved)[gates.reading])
    return np.concatenate(moves, axis=1)
