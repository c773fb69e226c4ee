"""Each attack with its short number of tries. `make trust` runs the full number."""

import pytest

from trust.registry import ATTACKS
from trust.run import run

pytestmark = pytest.mark.process

SEED = 1


@pytest.mark.parametrize("name", [name for name, attack in ATTACKS.items() if attack.short])
def test_the_promise_holds(name: str) -> None:
    attack = ATTACKS[name]
    if attack.unavailable():
        pytest.skip(f"{name}: {attack.unavailable()}")
    found = dict(run(attack, SEED, range(attack.short)))
    assert len(found) == attack.short
    failures = [f"python -m trust {name} --seed {SEED} --try {n}: {text}" for n, text in found.items() if text]
    assert not failures, "\n".join(failures)
