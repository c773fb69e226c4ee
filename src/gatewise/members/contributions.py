"""How much the units of the top layer, and the pooled features, change the target score.

score (outputs,): the weights of the logits in the target score. With hidden layers the weights of the features are
slopes between two states of the features, see `feature_weights`, so that contributions add up exactly.
"""

from collections.abc import Sequence

import numpy as np

from gatewise.errors import InputError
from gatewise.members.gates import Gates
from gatewise.members.lstm import LSTM
from gatewise.members.prefix import pooled_prefixes
from gatewise.network.activations import ACTIVATIONS
from gatewise.network.architecture import Architecture
from gatewise.network.ops import Ops
from gatewise.types import Array

_SMALL = 1e-6  # two values of a hidden unit that are closer have the slope at their middle


def has_contributions(arch: Architecture) -> bool:
    """Whether the units of the top layer have parts of their own in the features: not in a product of two directions,
    or in the maximum of a sum. Pooling "none" has no features of the whole sequence.
    """
    merge = arch.top.merge
    return arch.pooling != "none" and (merge == "concat" or (merge != "product" and "max" not in arch.pooling))


def unit_contributions(net: LSTM, score: Array, top: Sequence[Gates]) -> Array:
    """How much each unit of the top layer changes the target score at each step: (T, H x directions) float64.

    The steps of each direction are in its own reading order. For each pooling the contributions sum to the logit minus
    the base value.
    """
    prefixes = np.stack([pooled_prefixes(net.arch, gates) for gates in top], axis=1)  # (parts, directions, T + 1, H)
    weights = unit_weights(net, score, prefixes[..., 0, :], prefixes[..., -1, :])
    changes = np.einsum("pdth,pdh->dth", np.diff(prefixes, axis=2), weights)
    return np.concatenate([one[gates.reading_order] for one, gates in zip(changes, top, strict=True)], axis=1)


def unit_weights(net: LSTM, score: Array, start: Array, end: Array) -> Array:
    """The weight of each unit of the top layer in the target score between two pooled states (parts of the pooling,
    directions, H), as `feature_weights`, in their shape. Raises InputError where they have none, see
    `has_contributions`.
    """
    merge = net.arch.top.merge
    if not has_contributions(net.arch):
        raise InputError(
            f"the units of the top layer have no part of their own in the prediction: its directions are merged by "
            f"{merge!r} before pooling {net.arch.pooling!r}; other methods explain this network"
        )
    if merge == "concat":
        return feature_weights(net, score, start.reshape(-1), end.reshape(-1)).reshape(start.shape)
    share = 0.5 if merge == "mean" else 1.0
    merged = [share * states.sum(axis=1).reshape(-1) for states in (start, end)]
    weights = share * feature_weights(net, score, *merged)
    return np.repeat(weights.reshape(len(start), 1, -1), start.shape[1], axis=1)


def feature_weights(net: LSTM, score: Array, start: Array, end: Array) -> Array:
    """Weights w (..., features) float64 so that the target score of the features `end` (..., features) is that of
    `start` plus w · (end - start).

    Without hidden layers they are the weights of the output layer. The slope of each hidden unit is that of the line
    between its two values (the rescale rule of DeepLIFT, Shrikumar et al. 2017), which for one hidden layer is the
    gradient averaged over the straight path from `start` to `end`.
    """
    low, high, layers, ops = start, end, [], Ops()
    for number, hidden in enumerate(net.arch.hidden):
        weight, bias = (net.parameters[f"hidden.{number}.{part}"].astype(np.float64) for part in ("weight", "bias"))
        before = low @ weight.T + bias, high @ weight.T + bias
        low, high = (ops.activate(z, hidden.activation, hidden.negative_slope) for z in before)
        middle = (before[0] + before[1]) / 2
        slopes = ACTIVATIONS[hidden.activation][1](
            middle, ops.activate(middle, hidden.activation, hidden.negative_slope), hidden.negative_slope
        )
        rise = before[1] - before[0]
        layers.append((weight, np.divide(high - low, rise, out=slopes, where=np.abs(rise) > _SMALL)))
    found = np.broadcast_to(
        score @ net.parameters["dense.weight"].astype(np.float64), (*start.shape[:-1], low.shape[-1])
    )
    for weight, slopes in reversed(layers):
        found = (found * slopes) @ weight
    return np.asarray(found)
