"""The pages match the results; options that would measure nothing, or write part of the results, are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as bench
from benchmarks import tables
from benchmarks.accuracy import __main__ as accuracy
from benchmarks.targets import TARGETS


def test_the_pages_are_up_to_date() -> None:
    assert tables.main(["--check"]) == 0


def test_check_fails_for_a_page_that_differs_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page, results = tmp_path / "page.md", (None, dict.fromkeys([target.name for target in TARGETS], 2.5))
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    monkeypatch.setattr(tables, "PAGES", ("page.md",))
    monkeypatch.setattr(tables, "results", lambda: results)
    page.write_text(text := "Text 1.00x.\n<!-- benchmarks: targets -->\nold\n<!-- end -->\n", encoding="utf-8")
    assert tables.main(["--check"]) == 1
    assert "page.md: outdated" in capsys.readouterr().err
    assert page.read_text(encoding="utf-8") == text
    assert tables.main([]) == 0
    assert tables.main(["--check"]) == 0
    assert page.read_text(encoding="utf-8").startswith("Text 1.00x.\n<!-- benchmarks: targets -->\n")
    assert "old" not in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("module", "words", "message"),
    [
        (bench, "--only step_tutorail_2", "no case is called 'step_tutorail_2'"),
        (bench, "--only step_*,latncy_1", "no case is called 'latncy_1'"),
        (bench, "--only=", "no case is called ''"),
        (bench, "--rounds 0", "--rounds: it must be at least 1"),
        (bench, "--update", "--update needs --only"),
        (bench, "--update --only latency_1 --quick", "--update needs --only"),
        (accuracy, "--data none.tar.gz --rows bset", "no row is called bset"),
    ],
)
def test_wrong_options(
    module: Any, words: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "names", lambda: ["step_tutorial_2", "latency_1"])  # all of them take seconds
    monkeypatch.setattr("sys.argv", ["benchmark", *words.split()])
    with pytest.raises(SystemExit, match="2"):
        module.main()
    assert message in capsys.readouterr().err
