"""The tools that install the wheel, the source archive and the lowest versions of the dependencies."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

from tools import installed
from tools.installed import EXTRAS, lowest

ROOT = Path(__file__).resolve().parents[2]


def test_everything_works_here_but_it_is_not_installed(tmp_path: Path) -> None:
    """All steps pass in this environment, which has the tree's package: that is what the tool must notice."""
    with pytest.raises(AssertionError, match="the tree's own package"):
        installed.use(Path(sys.executable), tmp_path)


def test_a_missing_kernel_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = "import gatewise.kernels as k\nk.unavailable_reason = lambda name: 'not installed'\n"
    monkeypatch.setattr(installed, "USE", missing + installed.USE)
    with pytest.raises(RuntimeError, match="AssertionError: not installed"):
        installed.use(Path(sys.executable), tmp_path)


def test_every_python_of_the_wheels_is_tried() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    built = settings["tool"]["cibuildwheel"]["build"]
    assert {f"cp{version.replace('.', '')}-*" for version in installed.VERSIONS} >= set(built)
    assert "tools/installed.py --here" in settings["tool"]["cibuildwheel"]["test-command"]


def test_each_dependency_has_a_lowest_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = project["dependencies"] + [line for extra in EXTRAS for line in project["optional-dependencies"][extra]]
    found = [line.replace("==", ">=") for line in lowest(EXTRAS)]
    assert len(found) == len(lines)
    assert all(line.startswith(one) for one, line in zip(found, lines, strict=True))
