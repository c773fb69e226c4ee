"""Options of a call: held gates, interpolated input rows, no gradient of the weights, recurrent dropout (a mask of the
columns of the recurrent weights)."""

from dataclasses import replace
from typing import Any

import numpy as np

from gatewise.cell import applied_gates, sigmoid
from gatewise.kernels.interface import Kernel
from gatewise.kernels.reference import Reference
from gatewise.ragged import starts_of
from gatewise.types import Array
from tests.kernels.cases import Case, draw, picked, some, without_index
from tests.kernels.close import FORWARD, TOLERANCE, assert_close, saved_of

UNITS = (1, 7, 16, 37)


def _cases() -> list[Case]:
    both = (False, True)
    return [
        draw(units, 8, units, reverse, gate, indexed, longest=30)  # type: ignore[arg-type]
        for units in UNITS
        for reverse in both
        for gate in ("sigmoid", "binary")
        for indexed in both
    ]


def _held(one: Case, dtype: str) -> tuple[Array, Array]:
    """A step holds none of the gates, about a third of them, or all of them."""
    rng = np.random.default_rng(one.units)
    values = rng.integers(0, 2, (3, 4 * one.units)).astype(dtype)
    values[0], values[1, rng.uniform(size=4 * one.units) < 2 / 3] = np.nan, np.nan
    return rng.integers(0, 3, one.lengths.sum()).astype(np.int32), values


def check_held(kernel: Kernel) -> None:
    """Each step has its held gates and computes the others; a row of NaN holds nothing."""
    for one in _cases():
        for dtype in kernel.dtypes:
            _check_held(kernel, one, dtype)


def _check_held(kernel: Kernel, one: Case, dtype: str) -> None:
    what, close = f"{one} {dtype} held", TOLERANCE[dtype] / 2
    rows, values = _held(one, dtype)
    found = one.forward(kernel, dtype, held=(rows, values))
    saved, held = saved_of(found), values[rows]  # (N, 4H)
    h_before, c_before = (np.roll(states, -1 if one.reverse else 1, axis=0) for states in (found.h, found.c))
    for n, (start, length) in enumerate(zip(starts_of(one.lengths), one.lengths, strict=True)):
        if length:
            first, last = start, start + length - 1
            first, last = (last, first) if one.reverse else (first, last)
            h_before[first], c_before[first] = saved.h0[n], saved.c0[n]
            assert np.array_equal(found.h_T[n], found.h[last]), f"{what}: h_T"
    pre = one.pre.astype(dtype) if one.index is None else one.pre.astype(dtype)[one.index]
    free = np.split(pre + h_before @ saved.weight_hh.T, 4, axis=1)
    free = np.concatenate([sigmoid(free[0]), sigmoid(free[1]), np.tanh(free[2]), sigmoid(free[3])], axis=1)
    gates = saved.gates()
    clear = np.isnan(held) & ((one.gate == "sigmoid") | (np.abs(free - 0.5) > close))  # rounding does not decide
    assert np.allclose(gates[clear], applied_gates(free, one.gate)[clear], rtol=0, atol=close), f"{what}: computed"
    assert np.array_equal(gates[~np.isnan(held)], held[~np.isnan(held)]), f"{what}: held"
    i, f, g, o = np.split(gates, 4, axis=1)
    assert np.allclose(found.c, f * c_before + i * g, rtol=0, atol=close), f"{what}: c"
    assert np.allclose(found.h, o * np.tanh(found.c), rtol=0, atol=close), f"{what}: h"
    nothing = one.forward(kernel, dtype, held=(np.zeros_like(rows), values))
    assert np.array_equal(nothing.h, one.forward(kernel, dtype).h), f"{what}: none"


def check_interpolation(kernel: Kernel) -> None:
    """It equals the run on expanded rows; alpha 0 and 1 are exact."""
    for one in _cases():
        rng, batch = np.random.default_rng(one.units), len(one.lengths)
        base, alpha = rng.integers(0, len(one.x), batch).astype(np.int32), rng.uniform(-0.2, 1.2, batch)
        for dtype in kernel.dtypes:
            what, pre = f"{one} {dtype} interpolated", one.pre.astype(dtype)
            own = pre if one.index is None else pre[one.index]
            alphas, bases = (np.repeat(part, one.lengths, axis=0) for part in (alpha[:, None], pre[base]))
            rows: dict[str, Any] = {"pre": (alphas * own + (1 - alphas) * bases).astype(dtype), "index": None}
            given = one.gradients(dtype, "dh dh_T dc_T")
            found = one.forward(kernel, dtype, interpolation=(base, alpha.astype(dtype)))
            wanted = one.forward(kernel, dtype, **rows)
            for name in ("h", "h_T", "c_T"):
                got, want = getattr(found, name), getattr(wanted, name).astype(np.float64)
                assert np.allclose(got, want, rtol=0, atol=TOLERANCE[dtype]), f"{what}: {name}"
            back, expected = (kernel.backward(saved_of(run), **given) for run in (found, wanted))
            summed = expected.dpre
            if one.index is not None:
                summed = np.zeros_like(pre)
                np.add.at(summed, one.index, expected.dpre)
            assert_close(back.dpre, summed.astype(np.float64), TOLERANCE[dtype], f"{what}: dpre")
            assert_close(back.dh0, expected.dh0.astype(np.float64), TOLERANCE[dtype], f"{what}: dh0")
            if one.index is not None:
                for ends, index in ((1, one.index), (0, np.repeat(base, one.lengths))):
                    exact = one.forward(kernel, dtype, interpolation=(base, np.full(batch, ends, dtype)))
                    assert np.array_equal(exact.h, one.forward(kernel, dtype, index=index).h), f"{what}: alpha {ends}"


def check_without_dweight(kernel: Kernel) -> None:
    """Without the gradient of the weights the others have the same bits."""
    one = draw(37, 8, 37, False, "sigmoid", True, longest=30)
    for dtype in kernel.dtypes:
        given = one.gradients(dtype)
        whole, found = (
            kernel.backward(saved_of(one.forward(kernel, dtype)), **given, with_dweight=wanted)
            for wanted in (True, False)
        )
        assert found.dweight_hh is None, "a gradient that was not asked for"
        for name in ("dpre", "dh0", "dc0"):
            assert np.array_equal(getattr(found, name), getattr(whole, name)), f"{dtype} without dweight: {name}"


def check_mask(kernel: Kernel) -> None:
    """Each sequence with its mask is that sequence alone, without one, under weight_hh times the mask."""
    for one in some():
        mask = _mask(one)
        wanted = [_alone(one, b, mask[b]) for b in range(len(one.lengths))]
        for dtype in kernel.dtypes:
            run = one.forward(kernel, dtype, mask=mask.astype(dtype))
            results = {name: getattr(run, name).copy() for name in FORWARD} | {"c": saved_of(run).c.copy()}
            back = kernel.backward(saved_of(run), **one.gradients(dtype))
            results |= {name: getattr(back, name) for name in ("dweight_hh", "dh0", "dc0")}
            for name, array in results.items():
                parts = [part[name] for part in wanted]
                whole = sum(parts) if name == "dweight_hh" else np.concatenate(parts)
                assert_close(array, whole, TOLERANCE[dtype], f"{one} {dtype} masked: {name}")
            dpre = np.zeros_like(one.pre)
            rows = one.index if one.index is not None else np.arange(int(one.lengths.sum()))
            np.add.at(dpre, rows, np.concatenate([part["dpre"] for part in wanted]))
            assert_close(back.dpre, dpre, TOLERANCE[dtype], f"{one} {dtype} masked: dpre")


def _mask(one: Case) -> Array:
    """(B, H) of zeros and of numbers that differ from unit to unit and from sequence to sequence."""
    rng = np.random.default_rng(one.units)
    return np.where(rng.random(one.h0.shape) < 0.3, 0.0, rng.uniform(0.5, 2.0, one.h0.shape))


def _alone(one: Case, b: int, mask: Array) -> dict[str, Array]:
    """What sequence b gives and gets back, by the float64 reference without a mask."""
    alone, _ = picked(without_index(one), [b])
    alone = replace(alone, weight_hh=one.weight_hh * mask)
    run = alone.forward(Reference(), "float64")
    back = alone.backward(Reference(), "float64")
    results = {name: getattr(run, name) for name in FORWARD} | {"c": saved_of(run).c, "dpre": back.dpre}
    return {**results, "dweight_hh": back.dweight_hh * mask, "dh0": back.dh0, "dc0": back.dc0}
