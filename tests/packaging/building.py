"""Builds wheels and source archives, away from the tree."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.children import run_child

ROOT = Path(__file__).resolve().parents[2]


def run(command: Sequence[str | Path], **options: Any) -> str:
    """Standard output; on failure the test shows all output of the command."""
    done = run_child(command, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return str(done.stdout)


def build(kind: str, out: Path, *options: str | Path, **environment: str) -> Path:
    """Build from the tree as it is, with the tools of this environment, into `out`; build.txt there has its output.
    The objects that an install of the tree has compiled are used again.
    """
    command = [sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "-o", out, *options]
    with open(out / "build.txt", "w", encoding="utf-8") as shown:
        done = run_child([*command, ROOT], env={**os.environ, **environment}, stdout=shown, stderr=shown)
    assert done.returncode == 0, (out / "build.txt").read_text(encoding="utf-8")
    (made,) = out.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return made
