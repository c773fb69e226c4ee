"""Import of gatewise.training: OMP_WAIT_POLICY is set before torch reads it, and an error names the missing package."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import os, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(os.environ.get("OMP_WAIT_POLICY"))
            raise ImportError("blocked")

sys.meta_path.insert(0, Blocker())
try:
    import {module}
except ImportError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize(("module", "purpose"), [("gatewise.training", "training"), ("gatewise.nn", "gatewise.nn")])
@pytest.mark.parametrize(("given", "policy"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_import_without_torch(module: str, purpose: str, given: str | None, policy: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    if given is not None:
        environment["OMP_WAIT_POLICY"] = given
    command = [sys.executable, "-c", SCRIPT.format(module=module)]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.splitlines() == [
        policy,
        f"MissingExtra {purpose} needs torch: pip install 'gatewise[train]'",
    ]
