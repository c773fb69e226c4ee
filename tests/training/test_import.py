"""Imports without an extra: the error names the package, and OMP_WAIT_POLICY is set before torch reads it."""

import os
import subprocess
import sys

import pytest

TORCH = """
import os, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(os.environ.get("OMP_WAIT_POLICY"))
            raise ImportError("blocked")

sys.meta_path.insert(0, Blocker())
try:
    import gatewise.nn
except ImportError as error:
    print(type(error).__name__, error)
"""
SCIPY = """
import sys

sys.modules[sys.argv[1]] = None
try:
    import gatewise.training
except ImportError as error:
    print(type(error).__name__, error)
"""


def printed(code: str, *arguments: str, environment: dict[str, str] | None = None) -> list[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.parametrize(("given", "policy"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_the_layer_without_torch(given: str | None, policy: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    if given is not None:
        environment["OMP_WAIT_POLICY"] = given
    error = "MissingExtra gatewise.nn needs torch: pip install 'gatewise[torch]'"
    assert printed(TORCH, environment=environment) == [policy, error]


@pytest.mark.parametrize("package", ["scipy", "threadpoolctl"])
def test_training_without_its_extra(package: str) -> None:
    error = "MissingExtra training needs SciPy and threadpoolctl: pip install 'gatewise[train]'"
    assert printed(SCIPY, package) == [error]
