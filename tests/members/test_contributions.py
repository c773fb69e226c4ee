"""The weights of the features through hidden layers: exact between two states; of one layer, averaged gradients."""

from typing import get_args

import numpy as np
import pytest

from gatewise.members.contributions import feature_weights
from gatewise.members.lstm import LSTM
from gatewise.network.architecture import Architecture, Hidden, Layer
from gatewise.network.autograd import RecordingOps, Variable
from gatewise.network.forward import head
from gatewise.network.ops import Ops
from gatewise.types import Activation, Array
from tests.explain.random_net import parameters_of

SCORE = np.array([1.0, -0.5, 0.25])


def net_of(*hidden: Hidden) -> LSTM:
    arch = Architecture("channels", 4, 0, (Layer(5),), hidden=hidden, outputs=3)
    return LSTM(arch, parameters_of(arch, 3))


def score_of(net: LSTM, x: Array) -> Array:
    return np.asarray(head(Ops(), net.parameters, net.arch, x) @ SCORE)


@pytest.mark.parametrize("name", get_args(Activation))
def test_the_score_of_the_end_is_that_of_the_start_and_the_weighted_way(name: Activation) -> None:
    net, rng = net_of(Hidden(6, name), Hidden(4, name, 0.3)), np.random.default_rng(5)
    start, way = rng.normal(0, 1, (20, 5)), rng.normal(0, 2, (20, 5)) * np.logspace(-9, 0, 20)[:, None]
    way[0] = 0
    weights = feature_weights(net, SCORE, start, start + way)
    found = score_of(net, start) + (weights * way).sum(axis=1)
    np.testing.assert_allclose(found, score_of(net, start + way), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", get_args(Activation))
def test_through_one_layer_they_are_the_gradient_averaged_over_the_straight_path(name: Activation) -> None:
    net, rng = net_of(Hidden(6, name, 0.3)), np.random.default_rng(6)
    start, end = rng.normal(0, 2, (2, 5))
    points = 20_000
    path = Variable(start + (np.arange(points)[:, None] + 0.5) / points * (end - start))
    ops = RecordingOps()
    logits = head(ops, {k: a.astype(np.float64) for k, a in net.parameters.items()}, net.arch, path)
    logits.accumulate(np.tile(SCORE / points, (points, 1)))
    ops.backward()
    assert path.grad is not None
    np.testing.assert_allclose(feature_weights(net, SCORE, start, end), path.grad.sum(axis=0), rtol=0, atol=2e-4)
