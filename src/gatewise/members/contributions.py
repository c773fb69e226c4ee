"""The contributions of the units of the top layer, and of the pooled features, to the target score.

score (outputs,): the weights of the logits in the target score. With hidden layers the weights of the features are
slopes between two states of the features, see `feature_weights`, so that contributions add up exactly.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from gatewise.errors import InputError
from gatewise.members.gates import Gates
from gatewise.members.prefix import pooled_prefixes
from gatewise.network.activations import ACTIVATIONS
from gatewise.network.architecture import Architecture
from gatewise.network.ops import Ops
from gatewise.types import Array

_SMALL = 1e-6  # two values of a hidden unit that are closer have the slope at their middle


class NetworkOfArchitecture(Protocol):
    """What is read of an `LSTM` here."""

    @property
    def arch(self) -> Architecture: ...

    @property
    def parameters(self) -> Mapping[str, Array]: ...


def has_contributions(arch: Architecture) -> bool:
    """Whether each unit of the top layer has a part of its own in the features. It has none in a product of two
    directions, and in the maximum of a sum. Pooling "none" has no features of the whole sequence.
    """
    merge = arch.top.merge_mode
    if arch.per_step or merge.share is None:
        return False
    return not merge.by_unit or all(pooling.is_linear for pooling in arch.poolings)


def unit_contributions(net: NetworkOfArchitecture, score: Array, top: Sequence[Gates]) -> Array:
    """The change of the target score by each unit of the top layer at each step: (T, H x directions) float64.

    The steps of each direction are in its own reading order. For each pooling the contributions sum to the logit minus
    the base value.
    """
    prefixes = np.stack([pooled_prefixes(net.arch, gates) for gates in top], axis=1)  # (parts, directions, T + 1, H)
    weights = unit_weights(net, score, prefixes[..., 0, :], prefixes[..., -1, :])
    changes = np.einsum("pdth,pdh->dth", np.diff(prefixes, axis=2), weights)  # each direction in its reading order
    in_order = [change[gates.reading_order] for change, gates in zip(changes, top, strict=True)]
    return np.concatenate(in_order, axis=1)


def unit_weights(net: NetworkOfArchitecture, score: Array, start: Array, end: Array) -> Array:
    """The weight of each unit of the top layer in the target score between two pooled states (parts of the pooling,
    directions, H), as `feature_weights`, in their shape. Raises InputError where they have none, see
    `has_contributions`.
    """
    merge = net.arch.top.merge_mode
    if not has_contributions(net.arch):
        raise InputError(
            f"the units of the top layer have no part of their own in the prediction: its directions are merged by "
            f"{net.arch.top.merge!r} before pooling {net.arch.pooling!r}; other methods explain this network"
        )
    if not merge.by_unit:
        return feature_weights(net, score, start.reshape(-1), end.reshape(-1)).reshape(start.shape)
    share = merge.share
    assert share is not None
    merged_start = share * start.sum(axis=1).reshape(-1)
    merged_end = share * end.sum(axis=1).reshape(-1)
    weights = share * feature_weights(net, score, merged_start, merged_end)
    return np.repeat(weights.reshape(len(start), 1, -1), start.shape[1], axis=1)


def feature_weights(net: NetworkOfArchitecture, score: Array, start: Array, end: Array) -> Array:
    """Weights w (..., features) float64 so that the target score of the features `end` (..., features) is that of
    `start` plus w · (end - start).

    Without hidden layers they are the weights of the output layer. The slope of each hidden unit is that of the line
    between its two values (the rescale rule of DeepLIFT, Shrikumar et al. 2017), which for one hidden layer is the
    gradient averaged over the straight path from `start` to `end`.
    """
    ops = Ops()
    layers: list[tuple[Array, Array]] = []  # the weight of each hidden layer, and the slopes of its units
    for number, hidden in enumerate(net.arch.hidden):
        weight = net.parameters[f"hidden.{number}.weight"].astype(np.float64)
        bias = net.parameters[f"hidden.{number}.bias"].astype(np.float64)
        z_start = start @ weight.T + bias
        z_end = end @ weight.T + bias
        start = ops.activate(z_start, hidden.activation, hidden.negative_slope)
        end = ops.activate(z_end, hidden.activation, hidden.negative_slope)
        # Where z hardly changes, the slope of the line between the two values is that of the activation.
        middle = (z_start + z_end) / 2
        activated = ops.activate(middle, hidden.activation, hidden.negative_slope)
        _, slope_of = ACTIVATIONS[hidden.activation][:2]
        slopes = slope_of(middle, activated, hidden.negative_slope)
        rise = z_end - z_start
        slopes = np.divide(end - start, rise, out=slopes, where=np.abs(rise) > _SMALL)
        layers.append((weight, slopes))
    weights = np.broadcast_to(score @ net.parameters["dense.weight"].astype(np.float64), start.shape)
    for weight, slopes in reversed(layers):
        weights = (weights * slopes) @ weight
    return np.asarray(weights)
