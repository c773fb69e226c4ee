"""Prefix difference: how much the logit changes when each step is read. Exact, and free with one direction."""

from collections.abc import Sequence

import numpy as np

from gatewise.errors import InputError
from gatewise.explain.attribution.method import Attribution, Method
from gatewise.explain.example import Example, activations_of
from gatewise.members.contributions import feature_weights
from gatewise.members.ensemble import Ensemble
from gatewise.members.gates import Gates
from gatewise.members.prefix import pooled_prefixes
from gatewise.types import Array


class PrefixDifference(Method):
    """score_t = target score after t steps - target score after t - 1 steps. The sum telescopes: no residual.

    Maheswaranathan et al. (2019) found that recurrent sentiment classifiers accumulate evidence along a line. With two
    directions "after t steps" is the prediction for the prefix of t steps (`members.prefix`).

    The prediction of a step of a tagger is a sum over the directions: each has read the steps up to it, in its order,
    and score_t is the change of the output of its top layer at step t.
    """

    name = "prefix-difference"
    adds_up = True
    rule = "prefix"

    def note(self, ensemble: Ensemble) -> str:
        how = ""
        if ensemble.network.has_pads:
            how = ", each prefix after the pads of the whole text"
        elif ensemble.network.per_step:
            how = " by a direction of the top layer, on its way to the explained one"
        elif not ensemble.network.is_causal:
            reason = ensemble.network.not_causal
            how = f", each prefix read anew, because the network is not known to be causal ({reason})"
        elif ensemble.network.replaces_steps:
            how = ", on the way through all steps of the network's length"
        noun = ensemble.target.each.score_noun
        return (
            f"The change of the {noun} when the {ensemble.token_noun} is read{how}; with the base value the scores "
            f"add up to the {noun}, and they describe the order of reading, not a cause."
        )

    def attribute(self, examples: Sequence[Example], channels: bool = False) -> list[Attribution]:
        attributions = []
        for example, activations in zip(examples, activations_of(examples), strict=True):
            if example.step is not None:
                attributions.append(_of_step(example))
                continue
            net = example.network
            if len(examples) == 1:
                logits = example.lstm_prefix_logits
            else:  # an example keeps its prefix logits: those of a batch would fill the memory
                logits = net.read_prefix_logits(example.part, activations.lstms)
            prefixes = example.lstm_score(logits)  # (T + 1,)
            of_channels, baseline_term = None, None
            if channels and net.is_causal and net.has_channel_parts:
                of_channels, baseline_term = _by_channel(example, activations.lstms[0])
            attributions.append(Attribution(np.diff(prefixes), float(prefixes[0]), of_channels, baseline_term))
        return attributions


def _of_step(example: Example) -> Attribution:
    """The attribution of the prediction for one step of a tagger."""
    of_units = example.contributions  # (T, H x directions)
    if of_units is None:
        raise InputError("prefix-difference of a tagger needs directions that are not multiplied")
    of_zeros = example.lstm_prefix_logits[0]
    return Attribution(of_units.sum(axis=1), float(example.lstm_score(of_zeros)))


def _by_channel(example: Example, gates: Gates) -> tuple[Array, Array]:
    """Each channel's part of each score (T, C), and the baseline term (T,)."""
    from gatewise.explain.attribution.channels import channel_parts, idle

    net = example.lstm
    h = gates.h.astype(np.float64)
    _, h_idle = idle(net, gates)
    before = pooled_prefixes(net.arch, gates)  # one for each part of the pooling
    pooled = np.concatenate(before, axis=1)
    weights = feature_weights(net, example.lstm_score.weights, pooled[:-1], pooled[1:])  # (T, features)
    of_h = np.zeros_like(h)
    baseline_term = np.zeros(len(h))
    by_part = np.split(weights, len(before), axis=1)  # (T, H) each
    for pooling, weight, prefixes in zip(net.arch.poolings, by_part, before, strict=True):
        idle_states = pooling.replaced(h, h_idle, prefixes)
        of_h += weight * idle_states.share
        baseline_term += ((idle_states.pooled - prefixes[:-1]) * weight).sum(axis=1)
    return channel_parts(net, gates, example.read, None, of_h), baseline_term
