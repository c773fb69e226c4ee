"""The optimizer against Adam as in Keras, in float64: epsilon is added to sqrt(v) itself."""

from __future__ import annotations

import numpy as np

from gatewise.network.architecture import initial_parameters
from gatewise.nn import Network
from gatewise.training import Callback, recipe
from gatewise.training.loop import Loop
from gatewise.training.training_data import prepare
from tests.training.texts import made_reviews


def test_adam_equals_that_of_keras() -> None:
    chosen = recipe("tutorial", units=7, embedding_dim=5, max_length=60, batch_size=16)
    training_data = prepare(made_reviews(160, 40), chosen, 0)
    start = initial_parameters(training_data.architecture, np.random.default_rng(1))
    network = Network(training_data.architecture, start, trainable_rows=training_data.trainable_rows)
    loop = Loop(training_data, network, 0, Callback(), None, "")
    order = loop._order(0)
    weights = {name: value.astype(np.float64) for name, value in network.state().items()}
    m = {name: np.zeros_like(value) for name, value in weights.items()}
    v = {name: np.zeros_like(value) for name, value in weights.items()}
    small = 0
    for t, rows in enumerate(order[:4], start=1):
        loop._step(rows, t - 1, len(order))
        found = network.state()
        for name, weight in weights.items():
            gradient = network.weights[name.replace(".", "_")].grad
            assert gradient is not None
            g = gradient.numpy().astype(np.float64)
            small += int(((np.abs(g) < 1e-6) & (g != 0)).sum())
            m[name] += (g - m[name]) * (1 - 0.9)
            v[name] += (g * g - v[name]) * (1 - 0.999)
            rate = 0.001 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
            weight -= rate * m[name] / (np.sqrt(v[name]) + 1e-7)
            np.testing.assert_allclose(found[name], weight, rtol=0, atol=2e-7, err_msg=f"{name}, step {t}")
    assert small > 50, "gradients near epsilon must occur, or the test proves nothing"
