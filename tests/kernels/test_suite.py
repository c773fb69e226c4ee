"""The kernel test suite on every kernel that runs here, with every instruction set. It must reject every mutant.

Batches of any shape: the attack `numbers` of trust.
"""

from collections.abc import Callable

import numpy as np
import pytest

from gatewise.kernels import LSTMCall, native, unavailable_reason
from gatewise.kernels.interface import Kernel
from gatewise.kernels.reference import Reference
from gatewise.types import Gate
from tests.kernels.mutants import MUTANTS, Mutant
from tests.kernels.suite import CHECKS

Maker = Callable[[], Kernel]


def _kernels() -> list[object]:
    """The reference, and native for each instruction set of this machine, with one thread and with more than cores."""
    reason = unavailable_reason("native")
    if reason is not None:
        skip = pytest.mark.skip(reason=f"native: {reason}")
        return [pytest.param(Reference, id="reference"), pytest.param(Reference, id="native", marks=skip)]
    made = [
        pytest.param(lambda isa=isa, threads=threads: native.Native(isa=isa, threads=threads), id=f"{isa}-{threads}")
        for isa in native.isas()
        for threads in (1, 3)
    ]
    return [pytest.param(Reference, id="reference"), *made]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("make", _kernels())
def test_suite(make: Maker, check: str) -> None:
    CHECKS[check](make())


@pytest.mark.parametrize("gate", ["sigmoid", "binary"])
def test_the_cell_by_hand(gate: Gate) -> None:
    """The example on top of cell.py, and its binary twin: i = [½ > ½] = 0, f = 1, o = 1."""
    arrays = {
        "pre": np.array([[0, 2, 0.5, 1.0]]),
        "index": None,
        "lengths": np.array([1]),
        "weight_hh": np.zeros((4, 1)),
        "h0": np.array([[0.9]]),
        "c0": np.array([[0.4]]),
    }
    run = Reference().forward(LSTMCall(**arrays, gate=gate))
    c, h = (0.5834, 0.3839) if gate == "sigmoid" else (0.4, np.tanh(0.4))
    assert abs(run.c_T[0, 0] - c) < 5e-5
    assert abs(run.h_T[0, 0] - h) < 5e-5


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_suite_rejects(mutant: type[Mutant]) -> None:
    with pytest.raises(AssertionError):
        CHECKS[f"check_{MUTANTS[mutant]}"](mutant())


@pytest.mark.parametrize("check", sorted(set(MUTANTS.values())))
def test_the_unbroken_base_passes(check: str) -> None:
    """Else a mutant could be rejected for its base class and not for its mutation."""
    CHECKS[f"check_{check}"](Mutant())
