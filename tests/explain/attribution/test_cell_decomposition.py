"""Cell decomposition: exact for the memory and for the logit, with every pooling."""

import numpy as np
import pytest

from gatewise.members.contributions import feature_weights, has_contributions
from gatewise.types import Array
from tests.explain.random_net import ALL, example_of, explanation_of

LENGTH = 14


@pytest.mark.parametrize("length", [1, LENGTH])
@pytest.mark.parametrize("name", ALL)
def test_the_memory_is_the_sum_of_its_decomposition_and_of_its_changes(name: str, length: int) -> None:
    for gates in example_of(ALL[name], length).lstms:
        attribution = gates.memory_decomposition()
        last, moves = gates.c[gates.reading_order][-1], gates.memory_changes()
        np.testing.assert_allclose(moves.sum(axis=0), last - gates.c0, atol=1e-6)
        assert np.abs(moves).max() > 0.01
        made = attribution.initial + attribution.writes.sum(axis=0)
        scale = np.abs(last).max()
        assert scale > 0.01
        assert np.abs(made - last).max() < 1e-5 * scale
        np.testing.assert_allclose(attribution.residual, last - made, atol=1e-12)
        # By hand, for one unit: what the second step that was read wrote, times all later forget gates.
        if length > 1:
            order = np.arange(len(gates.c))[gates.reading_order]
            second, later = order[1], order[2:]
            written = float(gates.i[second, 1]) * float(gates.g[second, 1])
            for row in later:
                written *= float(gates.f[row, 1])
            assert attribution.writes[second, 1] == pytest.approx(written, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("length", [1, LENGTH])
@pytest.mark.parametrize("name", [name for name, arch in ALL.items() if has_contributions(arch)])
def test_scores_equal_reading_the_memory_with_and_without_each_step(name: str, length: int) -> None:
    """The plain way: at every step that is read, the memory's parts added up one by one, shown through tanh and o."""
    arch, example = ALL[name], example_of(ALL[name], length)
    direction = np.ones(1)
    if arch.outputs > 1:
        direction = np.eye(arch.outputs)[int(example.logits.argmax())] - 1 / arch.outputs
    pooled = example.lstm.features([example.read]).astype(np.float64)[0]
    weights = feature_weights(example.lstm, direction, np.zeros_like(pooled), pooled)
    parts = weights.reshape(-1, len(arch.top.directions) if arch.top.merge == "concat" else 1, arch.top.units)
    parts = np.broadcast_to(parts, (len(parts), len(arch.top.directions), arch.top.units))
    parts = parts / 2 if arch.top.merge == "mean" else parts
    expected = np.zeros(len(example.steps))
    for d, gates in enumerate(example.lstms[-len(arch.top.directions) :]):
        order = np.arange(len(gates.c))[gates.reading_order]
        for pooling, w in zip(arch.pooling.split("+"), parts[:, d], strict=True):
            for unit in range(arch.top.units):
                share = read_at(order, gates.h[:, unit], pooling)
                if pooling == "step":
                    share = {len(order) - 1: 1.0}
                for r, part in share.items():
                    so_far, place = [float(gates.c0[unit])], np.flatnonzero(order == r)[0]
                    for row in order[: place + 1]:
                        so_far = [memory * float(gates.f[row, unit]) for memory in so_far]
                        so_far.append(so_far[-1] + float(gates.i[row, unit]) * float(gates.g[row, unit]))
                    # so_far[t] is what the first t steps wrote, as it stands at r.
                    shown = np.tanh(so_far) * float(gates.o[r, unit])
                    expected[order[: place + 1]] += part * w[unit] * np.diff(shown)
    found = explanation_of(arch, "cell-decomposition", length)
    np.testing.assert_allclose(found.scores, expected, atol=1e-5)
    assert found.adds_up
    assert abs(found.residual) < 3e-6
    assert np.abs(found.scores).max() > 0.001


def read_at(order: Array, h: Array, pooling: str) -> dict[int, float]:
    """The steps at which one unit is read, with their weights."""
    if pooling == "last":
        return {int(order[-1]): 1.0}
    if pooling == "max":
        return {int(order[int(h[order].argmax())]): 1.0}
    return {int(row): 1 / len(order) for row in order}
