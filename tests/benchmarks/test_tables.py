"""The pages match the results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import tables
from benchmarks.targets import TARGETS, summary

PAGE = """Text with {braces} and 1.00x.

- a point
  <!-- benchmarks: sentence -->
  old text
  <!-- end -->

<!-- benchmarks: targets -->
<!-- end -->
"""


def full() -> dict[str, object]:
    rows = {"gatewise": [0.02, 0.021], "torch padded": [0.23, 0.2415], "keras": [0.2, 0.2]}
    contenders = {
        name: {"seconds": t[0], "rounds": t, "threads": 2, "info": {"settings": "s", "v": "1"}}
        for name, t in rows.items()
    }
    case = {"description": "w", "contenders": contenders}
    head = {"date": "2026-01-02 03:04 UTC", "command": "c", "commit": "r", "minutes": 1, "data": "d"}
    return {**head, "machine": {"processor": "p", "cores": 2}, "cases": {"step_tutorial_2": case}}


def test_the_pages_are_up_to_date() -> None:
    assert tables.main(["--check"]) == 0


def test_every_table_renders_and_the_text_around_it_stays() -> None:
    measured = full()
    page = tables.rendered(PAGE, measured, summary(measured["cases"]))  # type: ignore[arg-type]
    assert page.startswith("Text with {braces} and 1.00x.\n\n- a point\n  <!-- benchmarks: sentence -->\n  A training")
    assert "is 11.5 times as fast as with `torch.nn.LSTM` on padded batches" in page
    assert "old text" not in page
    assert "| 11.50x | at least 10.00x | met |" in page
    assert "| 9.76x | at least 12.00x | **missed** |" in page
    assert tables.rendered(page, measured, summary(measured["cases"])) == page  # type: ignore[arg-type]
    for name in tables._TABLES:
        whole = f"<!-- benchmarks: {name} -->\n<!-- end -->"
        assert tables.rendered(whole, measured, summary({})).count("\n") >= 2  # type: ignore[arg-type]


def test_the_page_lists_the_cases_that_other_processes_disturbed() -> None:
    measured = full()
    first = measured["cases"]["step_tutorial_2"]  # type: ignore[index]
    measured["cases"] = {"a": first | {"other_load": 0.04}, "b": first | {"other_load": 0.87}, "c": first}
    page = tables.rendered("<!-- benchmarks: environment -->\n<!-- end -->", measured, {})
    assert "Processors that other processes used during a case: `b` (0.87)." in page
    assert "`a`" not in page


def test_a_difference_of_0_is_shown_and_a_missing_one_is_not() -> None:
    measured = full()
    contenders = measured["cases"]["step_tutorial_2"]["contenders"]  # type: ignore[index]
    for name, difference in (("gatewise", 0.0), ("keras", 0.0)):
        contenders[name]["max_relative_difference"] = difference
    page = tables.rendered("<!-- benchmarks: times -->\n<!-- end -->", measured, {})
    ends = {line.split(" | ")[1]: line.split(" | ")[-1] for line in page.splitlines() if "step_tutorial_2" in line}
    assert ends == {"gatewise": " |", "torch padded": " |", "keras": "0 |"}


def test_the_readme_names_the_command_of_the_results() -> None:
    page = tables.rendered("<!-- benchmarks: readme -->\n<!-- end -->", full(), {})
    assert "2026-01-02 03:04 UTC. Command: `c`." in page


def test_before_the_first_run_the_page_says_so() -> None:
    page = tables.rendered(PAGE, None, {})
    assert page.count("Not measured yet") == 2


def test_a_marker_that_names_no_table_is_an_error() -> None:
    with pytest.raises(KeyError, match="nothing"):
        tables.rendered("<!-- benchmarks: nothing -->\n<!-- end -->", full(), {})


def test_check_fails_for_a_page_that_differs_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    monkeypatch.setattr(tables, "PAGES", ("page.md",))
    monkeypatch.setattr(tables, "results", lambda: (full(), dict.fromkeys([b.name for b in TARGETS], 2.5)))
    (tmp_path / "page.md").write_text(PAGE, encoding="utf-8")
    assert tables.main(["--check"]) == 1
    assert "page.md: outdated" in capsys.readouterr().err
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == PAGE
    assert tables.main([]) == 0
    assert tables.main(["--check"]) == 0
    assert "2.50x" in (tmp_path / "page.md").read_text(encoding="utf-8")


def test_results_are_both_there_or_none(tmp_path: Path) -> None:
    assert tables.results(tmp_path) == (None, {})
    (tmp_path / "full.json").write_text(json.dumps(full()), encoding="utf-8")
    assert tables.results(tmp_path) == (None, {})
    (tmp_path / "summary.json").write_text("{}", encoding="utf-8")
    assert tables.results(tmp_path) == (full(), {})
