"""The pages match the results."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from benchmarks import scale, tables
from benchmarks.accuracy import tables as accuracy
from benchmarks.targets import TARGETS


@pytest.mark.parametrize("module", [tables, accuracy, scale], ids=lambda module: module.__name__)
def test_the_pages_are_up_to_date(module: ModuleType) -> None:
    assert module.main(["--check"]) == 0


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
