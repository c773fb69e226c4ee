"""Editors complete the public names, which are imported on first use: as Jedi reads them from the source."""

import sys
from pathlib import Path
from typing import Any

import pytest

import gatewise as gw

jedi: Any = pytest.importorskip("jedi")

# The folder of the package, and Python without the packages of this environment: Jedi does not follow the hook of an
# editable installation.
PROJECT = jedi.Project(Path(gw.__file__).parents[1])
ENVIRONMENT = jedi.create_environment(getattr(sys, "_base_executable", sys.executable), safe=False)


def completed(line: str) -> set[str]:
    """The names that may stand at the end of the line."""
    script = jedi.Script(f"import gatewise as gw\n{line}", project=PROJECT, environment=ENVIRONMENT)
    return {name.name for name in script.complete()}


@pytest.mark.process  # Jedi starts an interpreter
def test_the_public_names_and_what_they_return_are_completed() -> None:
    assert completed("gw.") >= set(gw.__all__)
    assert completed("gw.load().") >= {"predict", "explain", "trace", "save"}
    assert completed("gw.load().explain('a film').") >= {"steps", "scores", "residual"}
    assert completed("gw.data.read_") >= {"read_table", "read_series"}
