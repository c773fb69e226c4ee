"""The kernel test suite on every kernel that runs here, with every instruction set. It must reject every mutant.

Batches of any shape: the attack `numbers` of trust.
"""

from collections.abc import Callable

import pytest

from gatewise.kernels import native, unavailable_reason
from gatewise.kernels.interface import Kernel
from gatewise.kernels.reference import Reference
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


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_suite_rejects(mutant: type[Mutant]) -> None:
    """For its mutation: its base class passes."""
    check = CHECKS[f"check_{MUTANTS[mutant]}"]
    check(Mutant())
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check(mutant())
