"""Options that would measure nothing, or write part of the results over all of them, are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as bench
from benchmarks import data_parallel
from benchmarks.accuracy import __main__ as accuracy
from benchmarks.own_data import imbalance


@pytest.mark.parametrize(
    ("module", "words", "message"),
    [
        (bench, "--only step_tutorail_2", "no case is called 'step_tutorail_2'"),
        (bench, "--only step_*,latncy_1", "no case is called 'latncy_1'"),
        (bench, "--only=", "no case is called ''"),
        (bench, "--rounds 0", "--rounds: it must be at least 1"),
        (bench, "--update", "--update needs --only"),
        (bench, "--update --only latency_1 --quick", "--update needs --only"),
        (imbalance, "--only r8:earning --dry-run", "r8:earning does not exist"),
        (data_parallel, "--cases tutorail", "no case is called 'tutorail'"),
        (accuracy, "--data none.tar.gz --few-labels --seeds 0 1", "with --few-labels one seed"),
    ],
)
def test_wrong_options(
    module: Any, words: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "names", lambda: ["step_tutorial_2", "latency_1"])  # all of them take seconds
    monkeypatch.setattr("sys.argv", ["benchmark", *words.split()])
    with pytest.raises(SystemExit, match="2"):
        module.main(*([words.split()] if module is imbalance else []))
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("cases", ["tutorial", "tutorial,finetune,pretrain"])
def test_a_run_of_some_cases_keeps_the_results_of_all(
    cases: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "results.json"
    file.write_text("{}", encoding="utf-8")
    monkeypatch.setattr(data_parallel, "RESULTS", file)
    monkeypatch.setattr(data_parallel, "_run", lambda *_, **__: {"step": 0.1, "exchange": 0.01})
    monkeypatch.setattr("sys.argv", ["data_parallel", "--cases", cases, "--rounds", "1"])
    data_parallel.main()
    found = json.loads(file.read_text(encoding="utf-8"))
    assert list(found.get("cases", {})) == ([] if cases == "tutorial" else list(data_parallel.CASES))
