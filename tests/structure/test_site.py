"""The site of `make docs`, without a warning."""

import subprocess
import sys
from pathlib import Path

import pytest
from source_tree import ROOT


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(tmp_path)]
    settings = {"GATEWISE_NOTEBOOKS": "false", "NO_MKDOCS_2_WARNING": "1", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.html")}
    assert {"index.html", "lesson.html", "lab.html", "reference/gatewise.html", "notebooks/tutorial.html"} <= names
    assert 'id="gatewise.train"' in (tmp_path / "reference/gatewise.html").read_text(encoding="utf-8")
