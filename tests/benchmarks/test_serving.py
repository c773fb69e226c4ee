"""The programs in benchmarks/serving run to their end, on few requests; their figures are for a quiet machine.
tests/serve/test_load.py does what `mix` and `classroom` do.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import gatewise as gw

pytest.importorskip("fastapi")
pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]


def test_it_runs(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    command = [sys.executable, "-m", "benchmarks.serving", "load", "--requests", "60", "--rounds", "1"]
    command += ["--reviews", "embedded", "--json", str(found)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert {"rates", "batching"} <= set(json.loads(found.read_text()))


def test_a_wrong_response_is_found_before_anything_is_timed() -> None:
    from benchmarks.serving.load import check

    model, texts = gw.load(), ["A warm film.", "A dull film."]
    probabilities = [dict(zip(model.classes, map(float, row), strict=True)) for row in model.predict_proba(texts)]
    answers = {n: json.dumps({"predictions": [{"probabilities": one}]}).encode() for n, one in enumerate(probabilities)}
    check("server", model, texts, answers)
    difference = abs(probabilities[0]["positive"] - probabilities[1]["positive"])
    assert difference > 0.1
    with pytest.raises(RuntimeError, match=f"server: a probability differs by {difference:.1e} from the offline"):
        check("server", model, texts, {0: answers[1], 1: answers[0]})
    with pytest.raises(RuntimeError, match="server: 1 responses for 2 texts"):
        check("server", model, texts, {0: answers[0]})
