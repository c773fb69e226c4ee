"""The programs in benchmarks/serving run to their end, on few requests; their figures are for a quiet machine.
tests/serve/test_load.py does what `mix` and `classroom` do.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        (["load", "--requests", "60", "--rounds", "1"], {"rates", "batching", "at", "p99_ms", "statuses"}),
        (["memory", "--requests", "200"], {"megabytes", "slope"}),
    ],
)
def test_it_runs(words: list[str], keys: set[str], tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    command = [sys.executable, "-m", "benchmarks.serving", *words, "--reviews", "embedded", "--json", str(found)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert keys <= set(json.loads(found.read_text()))
