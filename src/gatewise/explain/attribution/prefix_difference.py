"""The running logit: how far the verdict moved when each step was read. Exact, and in one direction free."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gatewise.explain.attribution.channels import idle, parts, told_by_channel
from gatewise.explain.attribution.method import Attribution, Beside, Example, direction_of
from gatewise.explain.attribution.pooled import features_after
from gatewise.explain.attribution.readout import logits_after
from gatewise.explain.gates import Gates, run_with_activations
from gatewise.explain.net import ExplainedNetwork
from gatewise.metrics.evaluation import target_score
from gatewise.types import Array

__all__ = ["PrefixDifference"]


class PrefixDifference:
    """score_t = margin after t steps - margin after t - 1: the sum telescopes, so nothing is left over.

    That the reading of a recurrent classifier of sentiment is a count of evidence along a line is what Maheswaranathan
    et al. (2019) found. With two directions "after t steps" is a sequence that ends there (`attribution.running`).
    """

    adds_up = True
    beside: Beside = "running"

    def note(self, net: ExplainedNetwork) -> str:
        behind = ", read from the state of this run behind its own pads" if net.arch.padding == "pre" else ""
        return (
            f"How far the running verdict moved when the {net.token_noun} was read{behind}; "
            f"with the start it adds up to "
            "the logit, and it is an account of the reading, not a cause."
        )

    def start_note(self, net: ExplainedNetwork) -> str:
        return "the bias, and the state after the pads" if net.arch.padding == "pre" else "the bias"

    def accounts(self, net: ExplainedNetwork, readings: Sequence[Example], channels: bool = False) -> list[Attribution]:
        reads = [reading.read for reading in readings]
        found = []
        for reading, (lstms, _, _) in zip(readings, run_with_activations(net, reads), strict=True):
            after = target_score(logits_after(net, reading.read, lstms), reading.predicted)  # (T + 1,)
            told = channels and told_by_channel(net.arch) and not net.arch.bidirectional and not net.clamps
            shares = _by_channel(net, reading, lstms[0]) if told else (None, None)
            found.append(Attribution(np.diff(after), float(after[0]), *shares))
        return found


def _by_channel(net: ExplainedNetwork, reading: Example, gates: Gates) -> tuple[Array, Array]:
    """Each channel's part of each step's move (T, C), and what the step would have done without them (T,)."""
    weight = direction_of(net.arch, reading.predicted) @ net.parameters["dense.weight"].astype(np.float64)
    h, h_idle = gates.h.astype(np.float64), idle(net, gates).h
    before = features_after(net.arch, gates.h, gates.h0)  # one a part of the pooling
    of_h, moved = np.zeros_like(h), np.zeros(len(h))
    for pooling, w, was in zip(net.arch.pooling.split("+"), weight.reshape(-1, net.arch.units), before, strict=True):
        if pooling == "max":
            largest = np.concatenate([np.full((1, h.shape[1]), -np.inf), was[1:-1]])  # no step: no maximum yet
            now, then = np.maximum(largest, h), np.maximum(largest, h_idle)
            # Of what h moved from idle, the share that reaches the maximum.
            reaches = np.divide(now - then, h - h_idle, out=np.zeros_like(h), where=h != h_idle)
        else:
            count = np.arange(1, len(h) + 1)[:, None] if pooling == "mean" else np.ones((len(h), 1))
            reaches = np.broadcast_to(1 / count, h.shape)
            then = was[1:] + (h_idle - h) / count
        of_h += w * reaches
        moved += (then - was[:-1]) @ w
    return parts(net, gates, reading.read, None, of_h), moved
