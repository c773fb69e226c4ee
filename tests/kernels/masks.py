"""Recurrent dropout: a mask scales the columns of the recurrent weights."""

from dataclasses import replace

import numpy as np

from gatewise.kernels.interface import Kernel
from gatewise.kernels.reference import Reference
from gatewise.types import Array
from tests.kernels.cases import Case, picked, some, without_index
from tests.kernels.close import FORWARD, TOLERANCE, assert_close, assert_refused, saved_of


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


def check_mask_arguments(kernel: Kernel) -> None:
    """A mask of another shape or type is refused, by forward, and by backward on changed saved activations."""
    one = some()[0]
    fits = np.ones_like(one.h0, dtype="float32")
    for wrong in (fits[:, :-1], fits[:-1], fits.astype("float64"), np.asfortranarray(fits)):
        saved = replace(saved_of(one.forward(kernel, "float32")), mask=wrong)
        assert_refused(lambda wrong=wrong: one.forward(kernel, "float32", mask=wrong), "mask")
        assert_refused(lambda saved=saved: kernel.backward(saved, **one.gradients("float32")), "mask")


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
