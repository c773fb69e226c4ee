"""The tool that installs the wheel and the source archive: it uses what is installed, and CI runs it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tools import installed

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
    import tomllib

    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    built = settings["tool"]["cibuildwheel"]["build"]
    assert {f"cp{version.replace('.', '')}-*" for version in installed.VERSIONS} >= set(built)
    assert "tools/installed.py --here" in settings["tool"]["cibuildwheel"]["test-command"]
