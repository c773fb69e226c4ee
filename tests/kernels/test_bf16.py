"""precision="bf16": what is multiplied is rounded to bfloat16, and nothing else; refused with a reason elsewhere."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gatewise import kernels
from gatewise.cell import Step, step_backward, step_forward
from gatewise.errors import KernelUnavailable
from gatewise.kernels import native
from gatewise.ragged import starts_of
from gatewise.training import recipe
from gatewise.types import Array
from tests.kernels.cases import Case, draw
from tests.kernels.close import BACKWARD, FORWARD, saved_of
from tests.refusals import assert_refused

REASON = kernels.unavailable_reason("bf16")
here = pytest.mark.skipif(REASON is not None, reason=f"bf16: {REASON}")

ISAS = native.isas_bf16()
UNITS = (1, 2, 7, 16, 17, 33, 100, 130)


def rounded(x: Array) -> Array:
    """To the nearest bfloat16, ties to even: the upper 16 bits of a float32."""
    bits = x.astype(np.float32).view(np.uint32).astype(np.uint64)
    up = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    return up.astype(np.uint32).view(np.float32).astype(np.float64)


def emulated(one: Case, mask: Array | None) -> dict[str, Array]:
    """The float64 recurrence with its three products' operands rounded, a sequence after the other."""
    weight, rows = rounded(one.weight_hh), one.index if one.index is not None else np.arange(int(one.lengths.sum()))
    results: dict[str, Any] = {name: np.zeros_like(one.h0) for name in ("h_T", "c_T", "dh0", "dc0")}
    results |= {"h": np.zeros((len(rows), one.units)), "dpre": np.zeros_like(one.pre)}
    results["dweight_hh"] = np.zeros_like(one.weight_hh)
    for b, start in enumerate(starts_of(one.lengths)):
        keep = np.ones(one.units) if mask is None else mask[b]
        order = start + np.arange(int(one.lengths[b]))
        order = order[::-1] if one.reverse else order
        h, c, steps = one.h0[b : b + 1], one.c0[b : b + 1], []
        for row in order:
            fed = rounded(h * keep)
            step = step_forward(one.pre[rows[row]][None], fed, c, weight)
            steps.append((row, step, fed, c))
            h, c = step.h, step.c
            results["h"][row] = h
        results["h_T"][b], results["c_T"][b] = h, c
        dh, dc = one.dh_T[b : b + 1], one.dc_T[b : b + 1]
        for row, step, fed, before in reversed(steps):
            dpre, _, dc = step_backward(Step(*step), before, dh + one.dh[row], dc + one.dc[row], weight)
            dh = (rounded(dpre) @ weight) * keep
            # Steps that share a row of pre add up their rounded gradients.
            results["dpre"][rows[row]] += dpre[0] if one.index is None else rounded(dpre)[0]
            results["dweight_hh"] += rounded(dpre).T @ fed
        results["dh0"][b], results["dc0"][b] = dh, dc
    return results


@here
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("units", UNITS)
def test_operands_are_rounded_and_nothing_else(units: int, threads: int, indexed: bool, masked: bool, isa: str) -> None:
    one = draw(units, 9, units, indexed, "sigmoid", indexed, longest=5)
    kernel = native.Native(isa=isa, threads=threads, precision="bf16")
    mask = np.random.default_rng(units).uniform(0.5, 1.5, one.h0.shape) if masked else None
    single = None if mask is None else mask.astype(np.float32)
    run = one.forward(kernel, "float32", mask=single)
    results = {name: getattr(run, name).copy() for name in FORWARD}
    back = kernel.backward(saved_of(run), **one.gradients("float32"))
    results |= {name: getattr(back, name) for name in BACKWARD}
    for name, wanted in emulated(one, mask).items():
        error = np.abs(results[name] - wanted).max() / np.abs(wanted).max()
        # A number next to the middle between two bfloat16 may be rounded the other way: 2^-9 of a product. AMX, which
        # sums in another order, meets one more of them in these cases. That they are few is the tighter half.
        assert error < (1e-3 if isa == "amx" else 4e-4), f"{name}: {error:.1e}"
        assert np.median(np.abs(results[name] - wanted)) < 2e-6 * np.abs(wanted).max(), name
        if units >= 16:  # and rounding is there: float32 alone would be this near to the unrounded result
            exact = native.Native(threads=1)
            plain = one.forward(exact, "float32", mask=single)
            unrounded = {key: getattr(plain, key).copy() for key in FORWARD}
            unrounded |= exact.backward(saved_of(plain), **one.gradients("float32"))._asdict()
            assert np.abs(results[name] - unrounded[name]).max() / np.abs(wanted).max() > 2 * error, name


@here
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("shape", [(1, 1, 4), (2, 31, 28), (97, 40, 132), (200, 130, 68), (129, 64, 512)])
def test_so_are_those_of_the_input_product(shape: tuple[int, int, int], threads: int, isa: str) -> None:
    rows, inputs, outputs = shape
    rng = np.random.default_rng(rows)
    x, weight, bias, dy = (
        rng.standard_normal(size).astype(np.float32)
        for size in ((rows, inputs), (outputs, inputs), (outputs,), (rows, outputs))
    )
    kernel = native.Native(isa=isa, threads=threads, precision="bf16")
    got = {"y": kernel.project(x, weight, bias)}
    got |= dict(zip(("dx", "dweight", "dbias"), kernel.project_backward(x, weight, dy), strict=True))
    wanted = {"y": rounded(x) @ rounded(weight).T + bias, "dx": rounded(dy) @ rounded(weight)}
    wanted |= {"dweight": rounded(dy).T @ rounded(x), "dbias": dy.astype(np.float64).sum(axis=0)}
    for name, array in wanted.items():
        assert np.abs(got[name] - array).max() <= 2e-6 * max(np.abs(array).max(), 1.0), name


@here
def test_saved_gates_have_the_lanes_of_the_float32_build() -> None:
    one = draw(3, 4, 20, False, "sigmoid", False)
    run = one.forward(native.Native(precision="bf16"), "float32")
    assert saved_of(run).packed_gates.shape[2:] == (4, native.Native(isa="avx512").lanes(20))
    assert kernels.get("bf16").name == "bf16"


def test_it_is_never_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATEWISE_KERNEL", raising=False)
    assert kernels.get().name != "bf16"
    assert kernels.for_precision("float32").name != "bf16"


def with_builds(patch: pytest.MonkeyPatch, builds: list[str], forced: str | None = None, pays: bool = True) -> None:
    """An extension with these builds for bfloat16. forced: the value of GATEWISE_ISA."""
    here = {"bf16": lambda: builds, "isas": lambda: ["avx2", "portable"], "vector_bf16_pays": lambda: pays}
    patch.setattr(native, "imported", lambda: (SimpleNamespace(**here), ""))
    patch.delenv("GATEWISE_ISA", raising=False)
    if forced is not None:
        patch.setenv("GATEWISE_ISA", forced)


BOTH = ["amx_bf16", "avx512_bf16"]
NO_AMX = "cannot run here on amx: it can on avx512"


def test_the_best_that_is_here_unless_another_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for builds, forced, isa, found in (
        ([], None, None, "no AVX512_BF16"),
        (BOTH[1:], None, None, "avx512_bf16"),
        (BOTH[1:], None, "avx512", "avx512_bf16"),
        (BOTH[1:], None, "amx", NO_AMX),
        (BOTH[1:], "amx", None, NO_AMX),
        (BOTH, None, None, "amx_bf16"),
        (BOTH, None, "avx512", "avx512_bf16"),
        (BOTH, "avx512", None, "avx512_bf16"),
        (BOTH, None, "avx2", "amx and avx512, not for 'avx2'"),
        (BOTH, "portable", None, "amx and avx512, not for 'portable'"),
    ):
        with_builds(monkeypatch, builds, forced)
        if found in BOTH:
            assert native.Native(precision="bf16", isa=isa)._isa == found
        else:
            assert_refused(found, native.Native, precision="bf16", isa=isa, error=KernelUnavailable)


def test_auto_is_the_faster_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for builds, pays, forced, want in (
        ([], True, None, "float32"),
        (["avx512_bf16"], True, None, "bf16"),
        (["avx512_bf16"], False, None, "float32"),
        (["amx_bf16", "avx512_bf16"], False, None, "bf16"),
        (["amx_bf16", "avx512_bf16"], False, "avx512", "float32"),
        (["amx_bf16", "avx512_bf16"], True, "avx2", "float32"),
        (["avx512_bf16"], True, "amx", "float32"),
    ):
        with_builds(monkeypatch, builds, forced, pays)
        assert kernels.fastest_precision() == want
        monkeypatch.setattr("gatewise.kernels.for_precision", str)
        assert recipe("finetune").kernel() == want


def test_a_precision_that_is_none_is_refused() -> None:
    for ask in (lambda: native.Native(precision="fp8"), lambda: kernels.for_precision("half")):  # type: ignore[arg-type]
        assert_refused("precision must be 'float32' or 'bf16'", ask)
