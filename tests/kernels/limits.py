"""Checks of a kernel at its limits: saturation, long sequences, NaN, nothing at all, wrong arguments; the input product
at every odd size.
"""

import warnings
from dataclasses import replace
from functools import cache
from itertools import count
from typing import Any

import numpy as np

from gatewise.kernels.call import LSTMCall
from gatewise.kernels.interface import Kernel
from gatewise.kernels.reference import Reference
from gatewise.types import Array
from tests.kernels.arguments import unaligned
from tests.kernels.cases import Case, case, draw, rows_of, some, want
from tests.kernels.close import BACKWARD, FORWARD, TOLERANCE, assert_close, assert_same, saved_of
from tests.refusals import assert_refused


def check_saturated(kernel: Kernel) -> None:
    """Weights of 1e4, inputs up to 1e30 and infinite ones: the limits of the functions, no NaN, no warning."""
    for seed, reverse in ((0, False), (1, True)):
        one = _saturated(seed, reverse)
        for dtype in kernel.dtypes:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                try:
                    run = one.forward(kernel, dtype)
                    back = kernel.backward(saved_of(run), **one.gradients(dtype))
                except RuntimeWarning as warning:
                    raise AssertionError(f"saturated {dtype}: {warning}") from warning
            assert_same(run, want(one)[0], FORWARD, TOLERANCE[dtype], f"saturated {one} {dtype}")
            for name in BACKWARD:  # the gates' slopes are zero there, so little but dh0 and dc0 is left
                assert np.isfinite(getattr(back, name)).all(), f"saturated {one} {dtype}: {name} not finite"
            assert_close(back.dc0, want(one)[1].dc0, TOLERANCE[dtype], f"saturated {one} {dtype}: dc0")


@cache
def _saturated(seed: int, reverse: bool) -> Case:
    """Drawn until every gate is at one of its ends, so that rounding cannot turn one over."""
    for n in count(100 * seed):
        one = draw(n, 3, 7, reverse, "sigmoid", False)
        x = one.x.copy()
        x[0], x[1], x[2] = 1e26 * x[0], np.inf, -np.inf
        weight_ih = np.abs(one.weight_ih) * 1e4 + 1  # positive, so that infinite inputs do not meet as inf - inf
        one = replace(one, x=x, bias=1e4 * one.bias, weight_ih=weight_ih, weight_hh=1e4 * one.weight_hh)
        i, f, g, o = np.split(saved_of(one.forward(Reference(), "float64")).gates(), 4, axis=1)
        sigmas = np.hstack([i, f, o])
        if (np.minimum(sigmas, 1 - sigmas) < 1e-12).all() and (1 - np.abs(g) < 1e-12).all():
            return one
    raise AssertionError


def check_nan(kernel: Kernel) -> None:
    """A NaN goes where it must (its unit at once, its sequence from then on) and nowhere else; backward likewise."""
    one = draw(3, 3, 7, False, "sigmoid", False)
    b = int(one.lengths.argmax())
    rows = rows_of(one)[b]
    row, others = rows[2], np.setdiff1d(np.arange(len(one.x)), rows)
    for dtype in kernel.dtypes:
        clean = one.forward(kernel, dtype)
        clean_back = one.backward(kernel, dtype)
        for block in range(4):
            pre = one.pre.astype(dtype)
            pre[row, block * 7 + 5] = np.nan
            run = one.forward(kernel, dtype, pre=pre)
            what = f"NaN in gate block {block} {dtype}"
            assert np.isnan(run.h[row, 5]), f"{what}: swallowed"
            assert np.isnan(run.h[rows[3:]]).all(), f"{what}: gone in the next step"
            for name in FORWARD:
                kept = [*others, *rows[:2]] if name == "h" else np.delete(np.arange(3), b)
                _unmoved(getattr(run, name)[kept], getattr(clean, name)[kept], what, name)
            back = kernel.backward(saved_of(run), **one.gradients(dtype))
            for back_to in (back.dpre[row], back.dh0[b]):
                assert np.isnan(back_to).any(), f"{what}: swallowed in backward"
            assert np.isnan(back.dweight_hh).any(), f"{what}: dweight_hh does not show it"
            _unmoved(back.dpre[others], clean_back.dpre[others], what, "dpre")
            _unmoved(np.delete(back.dh0, b, 0), np.delete(clean_back.dh0, b, 0), what, "dh0")
        for state in ("h0", "c0"):
            start = getattr(one, state).astype(dtype)
            start[b, 5] = np.nan
            run = one.forward(kernel, dtype, **{state: start})
            assert np.isnan(run.h[rows[1:]]).all(), f"NaN in {state} {dtype}: swallowed"
            _unmoved(run.h[others], clean.h[others], f"NaN in {state} {dtype}", "h")


def _unmoved(got: Array, clean: Array, what: str, name: str) -> None:
    assert_close(got, clean.astype(np.float64), 1e-6, f"{what}, another sequence: {name}")


def check_empty(kernel: Kernel) -> None:
    """No steps, no sequences: states and their gradients are handed on, all else is zero."""
    for units in (1, 7, 130):
        for batch, indexed in ((2, False), (2, True), (0, False), (0, True)):
            one = draw(9, batch, units, False, "sigmoid", indexed, longest=0)
            one = replace(one, lengths=0 * one.lengths, index=None if not indexed else one.index[:0])
            for dtype in kernel.dtypes:
                run, what = one.forward(kernel, dtype), f"empty {one} {dtype}"
                back = kernel.backward(saved_of(run), **one.gradients(dtype))
                assert run.h.shape == (0, units), f"{what}: h {run.h.shape}"
                assert back.dpre.shape == one.pre.shape, f"{what}: dpre {back.dpre.shape}"
                for gradient in (back.dpre, back.dweight_hh):
                    assert not gradient.any(), f"{what}: gradients from nothing"
                for got, given in ((run.h_T, one.h0), (run.c_T, one.c0), (back.dh0, one.dh_T), (back.dc0, one.dc_T)):
                    assert np.array_equal(got, given.astype(dtype)), f"{what}: states are not handed on"


def check_repeatable(kernel: Kernel) -> None:
    """Twice the same is the same, bit for bit; inputs stay as they are; results are arrays of their own."""
    for one in some():
        for dtype in kernel.dtypes:
            arrays, given = one.arrays(dtype), one.gradients(dtype)
            before = {name: np.copy(array) for name, array in (arrays | given).items() if array is not None}
            runs = [kernel.forward(LSTMCall(**arrays, reverse=one.reverse, gate=one.gate)) for _ in range(2)]
            saved = saved_of(runs[0])
            backs = [kernel.backward(saved.copy(), **given) for _ in range(2)]
            packed = saved.packed_gates.copy()
            states = [getattr(runs[0], name).copy() for name in FORWARD] + [saved.c.copy()]
            backs.append(kernel.backward(saved, **given))
            if not kernel.consumes_saved:
                assert np.array_equal(packed, saved.packed_gates), f"{one}: the saved activations changed"
            after = [getattr(runs[0], name) for name in FORWARD] + [saved.c]
            for old, new in zip(states, after, strict=True):
                assert np.array_equal(old, new), f"{one}: backward changed a result of forward"
            for name in FORWARD:
                assert np.array_equal(getattr(runs[0], name), getattr(runs[1], name)), f"{one} {dtype} twice: {name}"
            for back in backs[1:]:
                for name in BACKWARD:
                    assert np.array_equal(getattr(backs[0], name), getattr(back, name)), f"{one} {dtype} twice: {name}"
            for name, array in before.items():
                assert np.array_equal(array, (arrays | given)[name]), f"{one} {dtype}: {name} was written over"
            results = [*runs[0][:3], saved.c, *backs[2]]
            inputs = [array for array in (arrays | given).values() if array is not None]
            for n, array in enumerate(results):
                assert array.flags.carray, f"{one}: result {n} is not an array of its own"
                for other in (*results[:n], *inputs):
                    assert not np.shares_memory(array, other), f"{one}: result {n} shares memory"


def check_wrong_arguments(kernel: Kernel) -> None:
    """Arguments that do not fit are an InputError in one line that names the array."""
    dtype = kernel.dtypes[0]
    other = "float64" if dtype == "float32" else "float32"
    one = case(3, 7, False, "sigmoid", True)
    good = one.arrays(dtype)
    rows, index = len(good["pre"]), good["index"]
    high, low = index.copy(), index.copy()
    high[3], low[2] = rows, -1
    negative = one.lengths.copy()
    negative[1] -= negative[1] + 1
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("weight_hh", {"weight_hh": good["weight_hh"][:-1]}),
        ("weight_hh", {"weight_hh": good["weight_hh"].ravel()}),
        ("weight_hh", {"weight_hh": np.zeros((0, 0), dtype)}),
        ("pre", {"pre": good["pre"][:, :-1].copy()}),
        ("pre", {"pre": good["pre"][:3].copy(), "index": None}),
        ("pre", {"pre": good["pre"].astype(other)}),
        ("pre", {"pre": np.asfortranarray(good["pre"])}),
        ("index", {"index": high}),
        ("index", {"index": low}),
        ("index", {"index": index[:-1]}),
        ("index", {"index": index.astype(np.int64)}),
        ("lengths", {"lengths": negative}),
        ("lengths", {"lengths": one.lengths.astype(np.int32)}),
        ("lengths", {"lengths": one.lengths[:, None]}),
        ("lengths: sequence 0 has 4611686018427387904 steps", {"lengths": np.full(4, 2**62)}),  # their sum is 0
        ("h0", {"h0": good["h0"][:-1]}),
        ("c0", {"c0": good["c0"].T.copy()}),
        ("c0", {"c0": good["c0"].astype(other)}),
        ("float16", {name: good[name].astype(np.float16) for name in ("pre", "weight_hh", "h0", "c0")}),
        ("gate", {"gate": "hard"}),
    ]
    three, steps = len(one.lengths), int(one.lengths.sum())
    base, alpha = np.zeros(three, np.int32), np.zeros(three, dtype)
    for bad in (base[:-1], base.astype(np.int64), base + np.int32(rows)):
        wrong.append(("base", {"interpolation": (bad, alpha)}))
    for bad in (alpha[:-1], alpha.astype(other)):
        wrong.append(("alpha", {"interpolation": (base, bad)}))
    held, values = np.zeros(steps, np.int32), np.zeros((2, 28), dtype)
    for bad in (held[:-1], held.astype(np.int64), held + np.int32(2)):
        wrong.append(("held index", {"held": (bad, values)}))
    for bad in (values[:, :-1], values.astype(other)):
        wrong.append(("held", {"held": (held, bad)}))
    mask = np.ones_like(good["h0"])
    masks = (mask[:, :-1], mask[:-1], mask.astype(other), np.asfortranarray(mask))
    wrong += [("mask", {"mask": bad}) for bad in masks]
    for name in ("index", "lengths", "weight_hh", "pre"):
        wrong.append((f"{name}.* contiguous|{name} must be C-contiguous and aligned", {name: unaligned(good[name])}))
    for name, changed in wrong:
        assert_refused(name, lambda c=changed: kernel.forward(LSTMCall(**{"gate": "sigmoid", **good, **c})))
    saved, given = saved_of(one.forward(kernel, dtype)), one.gradients(dtype)
    for bad in masks:
        assert_refused("mask", kernel.backward, replace(saved.copy(), mask=bad), **given)
    for name, array in given.items():
        for bad in (array[:-1], array.astype(other), np.asfortranarray(array)):
            assert_refused(name, kernel.backward, saved, **{**given, name: bad})  # which stay usable
    kernel.backward(saved, **given)
    if kernel.consumes_saved:
        assert_refused("read-only", kernel.backward, saved, **given)
    run = one.forward(kernel, dtype, held=(held, values))
    assert_refused("held gates has no backward pass", kernel.backward, saved_of(run), **given)


# U, 4H, D: around the tile's rows (3, 6), vectors (4 to 64 floats) and the rows taken at a time (96); nothing at all.
SHAPES = ((1, 4, 1), (5, 28, 7), (6, 64, 16), (97, 68, 33), (200, 400, 32), (193, 520, 130), (3, 12, 300), (0, 8, 3))


def _drawn(rows: int, outputs: int, inputs: int) -> tuple[Array, Array, Array, Array]:
    rng = np.random.default_rng([rows, outputs, inputs])
    shapes = ((rows, inputs), (outputs, inputs), (outputs,), (rows, outputs))
    x, weight, bias, dpre = (rng.normal(size=shape) for shape in shapes)
    return x, weight, bias, dpre


def check_project(kernel: Kernel) -> None:
    """x weight_ihᵀ + bias."""
    for shape in SHAPES:
        x, weight, bias, _ = _drawn(*shape)
        for dtype in kernel.dtypes:
            got = kernel.project(x.astype(dtype), weight.astype(dtype), bias.astype(dtype))
            assert got.dtype == dtype
            assert_close(got, x @ weight.T + bias, TOLERANCE[dtype], f"project {shape} {dtype}")


def check_project_backward(kernel: Kernel) -> None:
    """dx, dweight_ih and dbias, by the definition: sums over what each number touches."""
    for shape in SHAPES:
        x, weight, _, dpre = _drawn(*shape)
        wanted = (np.einsum("un,nd->ud", dpre, weight), np.einsum("un,ud->nd", dpre, x), np.einsum("un->n", dpre))
        for dtype in kernel.dtypes:
            arrays = x.astype(dtype), weight.astype(dtype), dpre.astype(dtype)
            got = kernel.project_backward(*arrays)
            for name, array, right in zip(("dx", "dweight_ih", "dbias"), got, wanted, strict=True):
                assert array is not None, name
                assert array.dtype == dtype, name
                assert_close(array, right, TOLERANCE[dtype], f"project {shape} {dtype}: {name}")
            dx, dweight_ih, _ = kernel.project_backward(*arrays, with_dx=False)
            assert dx is None, "a dx that was not asked for"
            assert np.array_equal(dweight_ih, got[1]), "dweight_ih differs without dx"


def check_project_arguments(kernel: Kernel) -> None:
    """Arrays that do not fit together are refused by name."""
    good = dict(zip(("x", "weight_ih", "bias"), (a.astype("float32") for a in _drawn(5, 28, 7)[:3]), strict=True))
    wrong: dict[str, dict[str, Any]] = {
        "x: expected": {"x": good["x"][:, :6]},
        "weight_ih: expected": {"weight_ih": good["weight_ih"][0]},
        "bias: expected": {"bias": good["bias"][:-1]},
        "bias is float64": {"bias": good["bias"].astype("float64")},
        "x must be C-contiguous": {"x": np.asfortranarray(good["x"])},
    }
    for message, changed in wrong.items():
        assert_refused(message, kernel.project, **{**good, **changed})
    dpre = np.zeros((5, 27), "float32")
    assert_refused("dpre: expected", kernel.project_backward, good["x"], good["weight_ih"], dpre)
