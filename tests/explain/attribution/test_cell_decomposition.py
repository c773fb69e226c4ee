"""The account of the cell: exact for the memory, exact for the logit, whatever is pooled."""

from __future__ import annotations

import numpy as np
import pytest

from gatewise.explain import Example, explain, trace
from gatewise.explain.gates import kept_after
from gatewise.network.architecture import Architecture
from gatewise.types import Array
from tests.explain.random_net import ARCHITECTURES, TOKENS, names_of, parameters_of, sequence_of, steps_of

LENGTH = 14
MORE = {
    "binary, both ways, mean and max": Architecture(**TOKENS, gate="binary", bidirectional=True, pooling="mean+max"),
    "two layers, mean": Architecture(**TOKENS, layers=2, pooling="mean"),
}
ALL = {**ARCHITECTURES, **MORE}


def opened(name: str, length: int = LENGTH) -> Example:
    arch = ALL[name]
    return trace(parameters_of(arch, 7), arch, sequence_of(arch, length, 7), steps_of(length))


@pytest.mark.parametrize("length", [1, LENGTH])
@pytest.mark.parametrize("name", ALL)
def test_the_memory_is_the_sum_of_what_was_written_and_kept(name: str, length: int) -> None:
    for gates in opened(name, length).lstms:
        account = gates.memory_decomposition()
        last = gates.c[gates.reading][-1]
        made = account.initial + account.writes.sum(axis=0)
        scale = np.abs(last).max()
        assert scale > 0.01
        assert np.abs(made - last).max() < 1e-5 * scale
        np.testing.assert_allclose(account.residual, last - made, atol=1e-12)
        # By hand, for one unit: what the second step that was read wrote, times all later forget gates.
        if length > 1:
            order = np.arange(len(gates.c))[gates.reading]
            second, later = order[1], order[2:]
            written = float(gates.i[second, 3]) * float(gates.g[second, 3])
            for row in later:
                written *= float(gates.f[row, 3])
            assert account.writes[second, 3] == pytest.approx(written, rel=1e-6, abs=1e-12)


def test_what_is_kept() -> None:
    f = np.array([[0.5, 1.0], [0.25, 0.0], [0.5, 0.5]])
    np.testing.assert_array_equal(kept_after(f), [[0.0625, 0], [0.125, 0], [0.5, 0.5], [1, 1]])


@pytest.mark.parametrize("name", ALL)
def test_moves_are_the_steps_of_the_memory(name: str) -> None:
    for gates in opened(name).lstms:
        moves = gates.memory_changes()
        np.testing.assert_allclose(moves.sum(axis=0), gates.c[gates.reading][-1] - gates.c0, atol=1e-6)
        assert np.abs(moves).max() > 0.01


def told(name: str, length: int = LENGTH) -> tuple[Array, float, float]:
    arch = ALL[name]
    sequence, steps = sequence_of(arch, length, 7), steps_of(length)
    found = explain(parameters_of(arch, 7), arch, sequence, steps, names_of(arch), "cell-decomposition")
    assert found.adds_up
    return found.scores, found.base_value, found.residual


@pytest.mark.parametrize("length", [1, LENGTH])
@pytest.mark.parametrize("name", ALL)
def test_the_logit_is_the_start_and_the_scores(name: str, length: int) -> None:
    scores, _, residual = told(name, length)
    assert abs(residual) < 3e-6
    assert np.abs(scores).max() > 0.001


@pytest.mark.parametrize("name", ALL)
def test_the_scores_are_the_memory_read_with_and_without_each_step(name: str) -> None:
    """The plain way: at every step that is read, the memory's parts added up one by one, shown through tanh and o."""
    arch, seen = ALL[name], opened(name)
    weight = np.asarray(parameters_of(arch, 7)["dense.weight"], dtype=np.float64)
    direction = np.ones(1)
    if arch.outputs > 1:
        direction = np.eye(arch.outputs)[int(seen.logits.argmax())] - 1 / arch.outputs
    parts = (direction @ weight).reshape(-1, len(arch.directions), arch.units)
    want = np.zeros(len(seen.steps))
    for d, gates in enumerate(seen.lstms[-len(arch.directions) :]):
        order = np.arange(len(gates.c))[gates.reading]
        for pooling, w in zip(arch.pooling.split("+"), parts[:, d], strict=True):
            for unit in range(arch.units):
                share = read_at(order, gates.h[:, unit], pooling)
                for r, part in share.items():
                    so_far, place = [float(gates.c0[unit])], np.flatnonzero(order == r)[0]
                    for row in order[: place + 1]:
                        so_far = [memory * float(gates.f[row, unit]) for memory in so_far]
                        so_far.append(so_far[-1] + float(gates.i[row, unit]) * float(gates.g[row, unit]))
                    # so_far[t] is what the first t steps wrote, as it stands at r.
                    shown = np.tanh(so_far) * float(gates.o[r, unit])
                    want[order[: place + 1]] += part * w[unit] * np.diff(shown)
    np.testing.assert_allclose(told(name)[0], want, atol=1e-5)


def read_at(order: Array, h: Array, pooling: str) -> dict[int, float]:
    """The steps at which one unit is read, with their weights."""
    if pooling == "last":
        return {int(order[-1]): 1.0}
    if pooling == "max":
        return {int(order[int(h[order].argmax())]): 1.0}
    return {int(row): 1 / len(order) for row in order}
