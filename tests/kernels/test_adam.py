"""Adam on plain arrays: torch and a literal formula as oracles, sparse against dense, native against NumPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from gatewise.kernels import adam, native
from gatewise.types import Array
from tests.kernels.batches import HERE, needs_native

BETAS = {"beta_1": 0.9, "beta_2": 0.999}
STEPS = 300


@pytest.fixture(params=["reference", *HERE])
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """NumPy, then each instruction set of the extension."""
    run_on(monkeypatch, request.param)
    name: str = request.param
    return name


def run_on(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    if where == "reference":
        monkeypatch.setenv("GATEWISE_KERNEL", "reference")
        return
    monkeypatch.delenv("GATEWISE_KERNEL", raising=False)
    monkeypatch.setenv("GATEWISE_ISA", where)


def arrays(shape: tuple[int, ...], dtype: Any = np.float32, seed: int = 3) -> list[Array]:
    """weight, m and v as after some steps."""
    rng = np.random.default_rng(seed)
    return [a.astype(dtype) for a in (rng.normal(size=shape), rng.normal(size=shape) / 9, rng.random(shape) / 99)]


def schedule(steps: int, dtype: Any = np.float32) -> tuple[Array, Array]:
    """rates and epsilons by step number: the rate rises, then falls."""
    rates, epsilons = np.zeros((2, steps + 1))
    for t in range(1, steps + 1):
        lr = 1e-2 * min(t / 100, 1.0) * (1.0 if t < 200 else 0.3)
        rates[t], epsilons[t] = adam.corrected(lr, 1e-7, **BETAS, step=t, keras=t % 2 == 0)
    return rates.astype(dtype), epsilons.astype(dtype)


def same_bits(one: list[Array], other: list[Array]) -> bool:
    return all(a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))


def test_fifty_steps_are_those_of_torch(where: str) -> None:
    rng = np.random.default_rng(1)
    weight = rng.normal(size=(13, 7)).astype(np.float32)
    m, v = adam.moments(weight)
    tensor = torch.nn.Parameter(torch.from_numpy(weight.copy()))
    options: dict[str, Any] = {"lr": 1e-2, "betas": (0.8, 0.99), "eps": 1e-3, "fused": False}
    torch_adam = torch.optim.Adam([tensor], **options)
    for t in range(1, 51):
        lr = 1e-2 * (1 + math.sin(t))
        torch_adam.param_groups[0]["lr"] = lr
        grad = rng.normal(size=weight.shape).astype(np.float32)
        tensor.grad = torch.from_numpy(grad * np.float32(0.25))
        torch_adam.step()
        rate, epsilon = adam.corrected(lr, 1e-3, 0.8, 0.99, t, keras=False)
        of = {"rate": rate, "epsilon": epsilon, "beta_1": 0.8, "beta_2": 0.99}
        adam.step(weight, grad, m, v, **of, scale=0.25)
    np.testing.assert_allclose(weight, tensor.detach().numpy(), rtol=0, atol=1e-6)
    state = torch_adam.state[tensor]
    np.testing.assert_allclose(m, state["exp_avg"].numpy(), rtol=0, atol=1e-6)
    np.testing.assert_allclose(v, state["exp_avg_sq"].numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-6), (np.float64, 1e-13)])
def test_epsilon_as_in_keras(dtype: Any, tolerance: float, where: str) -> None:
    """keras.optimizers.Adam: alpha = lr √(1 - β₂ᵗ) / (1 - β₁ᵗ); weight -= alpha m / (√v + eps). eps counts here."""
    rng = np.random.default_rng(2)
    weight = rng.normal(size=11)
    ours = [weight.astype(dtype), np.zeros(11, dtype), np.zeros(11, dtype)]
    m = v = np.zeros(11)
    for t in range(1, 51):
        grad = rng.normal(size=11) * 1e-3
        m, v = 0.9 * m + (1 - 0.9) * grad, 0.999 * v + (1 - 0.999) * grad**2
        weight = weight - 1e-2 * math.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-4)
        rate, epsilon = adam.corrected(1e-2, 1e-4, **BETAS, step=t, keras=True)
        adam.step(ours[0], grad.astype(dtype), *ours[1:], rate=rate, epsilon=epsilon, **BETAS)
    np.testing.assert_allclose(ours[0], weight, rtol=0, atol=tolerance)


def dense_run(dtype: Any, shape: tuple[int, int], batches: list[tuple[Array, Array]]) -> list[Array]:
    """`step` with gradients that are 0 in the rows that a batch does not read."""
    table, (rates, epsilons) = arrays(shape, dtype), schedule(len(batches), dtype)
    for t, (rows, grad) in enumerate(batches, 1):
        full = np.zeros(shape, dtype)
        full[rows] = grad
        of = {"rate": rates[t], "epsilon": epsilons[t], "scale": 0.5 + t % 2}
        adam.step(table[0], full, *table[1:], **of, **BETAS)
    return table


def sparse_run(dtype: Any, shape: tuple[int, int], batches: list[tuple[Array, Array]], last_dtype: Any) -> list[Array]:
    """The same by `catch_up` and `step` on the rows of a batch."""
    table, given = arrays(shape, dtype), schedule(len(batches), dtype)
    rates, epsilons = given
    last = np.zeros(shape[0], last_dtype)
    for t, (rows, grad) in enumerate(batches, 1):
        adam.catch_up(table[0], rows, *table[1:], last, t - 1, *given, **BETAS)
        of = {"rate": rates[t], "epsilon": epsilons[t], "scale": 0.5 + t % 2}
        adam.step(table[0], grad, *table[1:], rows, **of, **BETAS)
        last[rows] = t
    adam.catch_up(table[0], None, *table[1:], last, len(batches), *given, **BETAS)
    assert (last == len(batches)).all()
    return table


def batches_of(dtype: Any, shape: tuple[int, int], steps: int = STEPS) -> list[tuple[Array, Array]]:
    """Rows by a distribution in which some are in most batches and others in none; unsorted."""
    rng = np.random.default_rng(7)
    share = 1 / np.arange(1, shape[0] + 1) ** 2
    out = []
    for t in range(steps):
        rows = rng.permutation(np.flatnonzero(rng.random(shape[0]) < share)) if t % 50 else np.zeros(0, np.int64)
        out.append((rows, rng.normal(size=(len(rows), shape[1])).astype(dtype)))
    return out


@pytest.mark.parametrize(("dtype", "last_dtype"), [(np.float32, np.int32), (np.float64, np.int64)])
@pytest.mark.parametrize("columns", [1, 37, 150])
def test_a_sparse_run_has_the_bits_of_a_dense_one(columns: int, dtype: Any, last_dtype: Any, where: str) -> None:
    shape = (40, columns)
    batches = batches_of(dtype, shape)
    dense = dense_run(dtype, shape, batches)
    assert same_bits(dense, sparse_run(dtype, shape, batches, last_dtype))
    assert not same_bits(dense, arrays(shape, dtype)), "it moves"


@pytest.mark.parametrize("beta_2", [0.9, 0.999])
def test_rows_whose_moments_have_vanished(beta_2: float, where: str) -> None:
    """m is 0 from step 900 or so on, v at beta_2 0.9 as well; untouched rows stay."""
    steps, betas = 1200, {"beta_1": 0.9, "beta_2": beta_2}
    rates, epsilons = np.full((2, steps + 1), 1e-3, np.float32)
    table, dense = arrays((5, 9)), arrays((5, 9))
    for run in (table, dense):
        run[1][2] = run[2][2] = 0.0
        run[0][2, :3] = 1e-40, -1e-40, -0.0
        run[1][3, :2] = -0.0, -1e-40
        run[2][3:, :4] = 1e-40
    unread = table[0][2, 3:].copy()
    last = np.full(5, 3, np.int64)
    for t in range(4, steps + 1):
        of = {"rate": rates[t], "epsilon": epsilons[t]}
        adam.step(dense[0], np.zeros((5, 9), np.float32), *dense[1:], **of, **betas)
        if t == 1000:
            adam.catch_up(table[0], None, *table[1:], last, t, rates, epsilons, **betas)
            assert same_bits(dense, table)
            assert same_bits([table[0][2, 3:]], [unread])
    adam.catch_up(table[0], None, *table[1:], last, steps, rates, epsilons, **betas)
    assert same_bits(dense, table)
    assert where == "reference" or not dense[1].any()


@needs_native
def test_the_number_of_threads_and_the_instruction_set_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """In arrays of several pieces, one of them incomplete."""
    rng, found = np.random.default_rng(4), []
    shape = (1501, 37)
    grad, rows = rng.normal(size=shape).astype(np.float32), rng.permutation(1501)[:901]
    given = schedule(20)
    for isa in HERE:
        run_on(monkeypatch, isa)
        for threads in ("1", "2", "3"):
            monkeypatch.setenv("GATEWISE_THREADS", threads)
            table, last = arrays(shape), np.arange(1501) % 7
            adam.step(table[0], grad, *table[1:], rate=1e-3, epsilon=1e-8, scale=0.7, **BETAS)
            adam.catch_up(table[0], rows, *table[1:], last, 20, *given, **BETAS)
            adam.step(table[0], grad[:901], *table[1:], rows, rate=1e-3, epsilon=1e-8, **BETAS)
            norm = np.array(adam.squared_norm([grad, table[0], rng.normal(size=0).astype(np.float32)]))
            found.append([*table, last, norm])
    assert all(same_bits(found[0], other) for other in found[1:])


@needs_native
def test_native_has_the_bits_of_numpy_but_for_denormals(monkeypatch: pytest.MonkeyPatch) -> None:
    batches, found = batches_of(np.float32, (40, 19)), []
    for where in ("reference", *HERE):
        run_on(monkeypatch, where)
        found.append(sparse_run(np.float32, (40, 19), batches, np.int64))
    for native_run in found[1:]:
        for one, other in zip(found[0], native_run, strict=True):
            np.testing.assert_array_equal(*(np.where(abs(a) < 1e-37, 0, a) for a in (one, other)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moments_are_zeros_at_the_position_of_the_weight(dtype: Any) -> None:
    for first in range(7):
        weight = np.ones(40, dtype)[first : first + 30].reshape(5, 6)
        for moment in adam.moments(weight):
            assert (moment.shape, moment.dtype, moment.flags.carray) == ((5, 6), dtype, True)
            assert not moment.any()
            assert (moment.ctypes.data - weight.ctypes.data) % 64 == 0
    assert [moment.shape for moment in adam.moments(np.zeros((0, 3), dtype))] == [(0, 3)] * 2


@needs_native
def test_the_kernel_is_chosen_as_the_recurrence_is(monkeypatch: pytest.MonkeyPatch) -> None:
    extension, _ = native.imported()
    calls: list[str] = []
    monkeypatch.setattr(extension, "sum_of_squares", lambda *given: calls.append(given[0]) or 1.0)
    x = np.ones(3, np.float32)
    for where, expected in (("reference", 3.0), ("portable", 1.0)):
        run_on(monkeypatch, where)
        assert adam.squared_norm([x]) == expected
        monkeypatch.delenv("GATEWISE_KERNEL", raising=False)
    assert adam.squared_norm([x.astype(np.float64)]) == 3.0
    assert calls == ["portable"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_squared_norm(dtype: Any, where: str) -> None:
    rng = np.random.default_rng(5)
    xs = [rng.normal(size=shape).astype(dtype) for shape in ((), (0, 3), (17,), (300, 111))]
    expected = math.fsum(float(x) ** 2 for array in xs for x in array.reshape(-1))
    assert adam.squared_norm(iter(xs)) == pytest.approx(expected, rel=1e-13)
    assert adam.squared_norm([]) == 0.0
    assert adam.squared_norm([np.full(2, 3e38, np.float32)]) == pytest.approx(1.8e77, rel=1e-6)
    for at in ((0, 0), (299, 110), (150, 3)):
        for value, seen in ((np.nan, math.isnan), (np.inf, math.isinf), (-np.inf, math.isinf)):
            xs[3][at] = value
            assert seen(adam.squared_norm(xs))
        xs[3][at] = 0.0


def test_a_gradient_that_is_not_finite_shows(where: str) -> None:
    table = arrays((2, 3))
    grad = np.array([[1, np.nan, 1], [1, np.inf, 1]], np.float32)
    adam.step(table[0], grad, *table[1:], rate=1e-3, epsilon=1e-8, **BETAS)
    assert np.isfinite(table[0][:, [0, 2]]).all()
    assert np.isnan(table[0][:, 1]).all()


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_empty_arrays(shape: tuple[int, int], where: str) -> None:
    table, rows = arrays(shape), np.arange(shape[0])[::-1].copy()
    given = schedule(4)
    adam.step(table[0], table[0].copy(), *table[1:], rate=1e-3, epsilon=1e-8, **BETAS)
    adam.step(table[0], table[0].copy(), *table[1:], rows, rate=1e-3, epsilon=1e-8, **BETAS)
    last = np.zeros(shape[0], np.int32)
    for chosen in (rows[:0], rows, None):
        adam.catch_up(table[0], chosen, *table[1:], last, 4, *given, **BETAS)
        assert (last == (4 if chosen is None or len(chosen) else 0)).all()


@needs_native
def test_threads_that_come_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Far more threads than processors: most get none before the work is done, and their part does not run later."""
    monkeypatch.setenv("GATEWISE_THREADS", "1")
    xs = [arrays((1 << 14, n))[0] for n in (5, 40)]
    expected = [adam.squared_norm([x]) for x in xs]
    monkeypatch.setenv("GATEWISE_THREADS", "24")
    for _ in range(100):
        assert [adam.squared_norm([x]) for x in xs] == expected
