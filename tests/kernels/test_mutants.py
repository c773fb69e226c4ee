"""The kernel test suite must reject every mutant, and each of its checks must be able to fail."""

from __future__ import annotations

import pytest

from tests.kernels.mutants import MUTANTS, Mutant
from tests.kernels.suite import CHECKS

PAIRS = [
    pytest.param(one, f"check_{by}", id=f"{one.__name__}-{by}") for one, checks in MUTANTS.items() for by in checks
]


@pytest.mark.parametrize(("mutant", "check"), PAIRS)
def test_the_suite_rejects(mutant: type[Mutant], check: str) -> None:
    with pytest.raises(AssertionError):
        CHECKS[check](mutant())


def test_every_check_can_fail() -> None:
    assert {f"check_{by}" for checks in MUTANTS.values() for by in checks} == set(CHECKS)
    assert len(MUTANTS) == 23


@pytest.mark.parametrize("check", CHECKS)
def test_the_unbroken_base_passes(check: str) -> None:
    """Else a mutant could be rejected for its base class and not for its mutation."""
    CHECKS[check](Mutant())
