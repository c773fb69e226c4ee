"""`gatewise bench`: its output, and that an incorrect kernel is not timed. No test asserts a speed."""

import json
from typing import Any

import numpy as np
import pytest

from gatewise import kernels
from gatewise.cli.bench import check
from gatewise.errors import GatewiseError
from gatewise.kernels import native
from gatewise.kernels.reference import Reference
from tests.cli.conftest import Run
from tests.kernels.batches import needs_native
from tests.refusals import assert_refused


@needs_native
def test_quick_json(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWISE_THREADS", "2")
    result = run("bench", "--quick", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert (found["kernel"], found["isa"], found["threads"], found["quick"]) == (
        "native",
        native.float32_isa(),
        2,
        True,
    )
    assert [(row["units"], row["threads"]) for row in found["results"]] == [(100, 1), (100, 2)]
    for row in found["results"]:
        for name, flops in (("forward", 8), ("forward_backward", 24)):
            rate = flops * 100**2 * row["steps"] / row[f"{name}_ms"] / 1e6
            assert row[f"{name}_gflops"] == pytest.approx(rate)
    assert 0 < found["max_relative_error"] < 1e-5


class _WrongGradient(Reference):
    """A kernel whose gradient of the initial state is off by a factor."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def backward(self, *arguments: Any) -> Any:
        back = super().backward(*arguments)
        return back._replace(dh0=back.dh0 * np.float32(self.factor))


def test_an_incorrect_kernel_is_not_timed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check(Reference()) < 1e-5
    for factor in (1.001, np.nan):
        assert_refused("nothing was timed", check, _WrongGradient(factor), error=GatewiseError)
    monkeypatch.setattr(kernels, "get", lambda: _WrongGradient(1.001))
    result = run("bench", "--quick", "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "nothing was timed" in result.stderr
