"""Options that would measure nothing, or write part of the results over all of them, are refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as bench
from benchmarks import data_parallel
from benchmarks.accuracy import __main__ as accuracy
from benchmarks.own_data import imbalance


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names of some cases: all of them take seconds, because their arrays are made."""
    monkeypatch.setattr(bench, "names", lambda: ["step_tutorial_2", "step_masked_2", "latency_1"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--only step_tutorail_2", "no case is called 'step_tutorail_2'"),
        ("--only step_*,latncy_1", "no case is called 'latncy_1'"),
        ("--only=", "no case is called ''"),
        ("--rounds 0", "--rounds: it must be at least 1"),
        ("--update", "--update needs --only"),
        ("--update --only latency_1 --quick", "--update needs --only"),
    ],
)
def test_options_of_the_benchmark(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        bench._options(words.split())
    assert message in capsys.readouterr().err


def test_patterns_that_match_are_accepted() -> None:
    options = bench._options(["--only", "step_*, latency_1", "--update", "--rounds", "1"])
    assert (options.only, options.update, options.rounds) == ("step_*, latency_1", True, 1)


def test_an_unknown_class_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        imbalance.main(["--only", "r8:earning", "--dry-run"])
    assert "r8:earning does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("cases", ["tutorial", "tutorial,finetune,pretrain"])
def test_a_run_of_some_cases_keeps_the_results_of_all(
    cases: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "results.json"
    file.write_text("{}", encoding="utf-8")
    runs: dict[str, Any] = {"RESULTS": file, "_run": lambda *_, **__: {"step": 0.1, "exchange": 0.01}}
    for name, value in runs.items():
        monkeypatch.setattr(data_parallel, name, value)
    monkeypatch.setattr("sys.argv", ["data_parallel", "--cases", cases, "--rounds", "1"])
    data_parallel.main()
    found = json.loads(file.read_text(encoding="utf-8"))
    assert list(found.get("cases", {})) == ([] if cases == "tutorial" else list(data_parallel.CASES))


def test_an_unknown_case_of_data_parallel_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["data_parallel", "--cases", "tutorail"])
    with pytest.raises(SystemExit, match="2"):
        data_parallel.main()
    assert "no case is called 'tutorail'" in capsys.readouterr().err


def test_few_labels_take_one_seed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    words = "--data none.tar.gz --few-labels --seeds 0 1"
    monkeypatch.setattr(sys, "argv", ["python -m benchmarks.accuracy", *words.split()])
    with pytest.raises(SystemExit, match="2"):
        accuracy.main()
    assert "with --few-labels one seed" in capsys.readouterr().err
