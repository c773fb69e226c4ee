"""The tool that installs the lowest versions has one for each dependency, and CI runs it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tools.lowest_versions import EXTRAS, SMOKE, SMOKE_EXTRAS, lowest

ROOT = Path(__file__).resolve().parents[2]


def test_each_dependency_has_a_lowest_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = project["dependencies"] + [line for extra in EXTRAS for line in project["optional-dependencies"][extra]]
    found = [line.split("==") for line in lowest(EXTRAS)]
    assert len(found) == len(lines)
    for (name, version), line in zip(found, lines, strict=True):
        assert line.startswith(f"{name}>={version}")


@pytest.mark.parametrize("code", [SMOKE, *SMOKE_EXTRAS.values()], ids=["base", *SMOKE_EXTRAS])
def test_the_code_that_uses_them_compiles(code: str) -> None:
    compile(code, "smoke", "exec")


def test_ci_runs_it() -> None:
    assert "run: python tools/lowest_versions.py" in (ROOT / ".github/workflows/tests.yml").read_text(encoding="utf-8")
