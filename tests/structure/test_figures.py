"""Figures in prose are those that a command wrote."""

from __future__ import annotations

import json

from source_tree import ROOT


def test_the_readmes_ratio_is_the_one_that_was_measured() -> None:
    result = json.loads((ROOT / "benchmarks" / "results" / "training_step.json").read_text(encoding="utf-8"))
    ratio = f"{result['training_step_ratio_to_torch_padded']:.1f}"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"is {ratio} times as fast" in readme
    assert f"| {ratio}x |" in readme
