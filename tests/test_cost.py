"""The markers of `make check` tell what a test starts, and a test that starts more fails."""

from pathlib import Path
from typing import Any

import pytest

from tests.cost import QUICK, ROOT, names_of, pytest_collection_modifyitems

pytest_plugins = ["pytester"]

TESTS = """
import os, socket, subprocess, sys
import pytest
from tests.children import run_child
from tests.training.texts import made_reviews

@pytest.fixture
def child():
    return run_child([sys.executable, "-c", "pass"])

def test_by_a_fixture(child): pass
def test_by_a_name(): subprocess.Popen([sys.executable, "-c", "pass"]).wait()
def test_quick(): pass
@pytest.mark.peers
def test_by_hand(): import torch
def test_that_hides_a_process(): getattr(subprocess, "".join(("ru", "n")))([sys.executable, "-c", "pass"])
def test_that_hides_a_server():
    with socket.socket() as listening: listening.bind(("127.0.0.1", 0))
def test_that_hides_an_import(): __import__("".join(("tor", "ch")))
def test_that_hides_a_training():
    import gatewise
    getattr(gatewise, "".join(("tra", "in")))(made_reviews(90, 1), recipe="lstm", epochs=1, min_steps=0, units=5)
"""


@pytest.fixture
def outcomes(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """For each of TESTS that runs in `make check`: passed, or the marker that it lacks."""
    pytester.makepyfile(test_them=TESTS)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("COLUMNS", "500")  # the reasons are not cut
    done = pytester.runpytest_subprocess("-p", "tests.cost", "-m", QUICK, "-rA", "--tb=line", timeout=300)
    lines = [line.split(maxsplit=2) for line in done.outlines if line.startswith(("PASSED ", "FAILED "))]
    return {
        name.partition("::")[2]: "passed" if state == "PASSED" else " ".join(more).rpartition("mark.")[2].split(" ")[0]
        for state, name, *more in lines
    }


@pytest.mark.process
def test_a_test_without_the_marker_of_what_it_starts_fails(outcomes: dict[str, str]) -> None:
    assert outcomes == {
        "test_quick": "passed",
        "test_that_hides_a_process": "process",
        "test_that_hides_a_server": "process",
        "test_that_hides_an_import": "peers",
        "test_that_hides_a_training": "training",
    }


def _sends() -> None:
    _through_another()


def _through_another() -> None:
    Path("x").touch()


class _Opens:
    def method(self) -> None:
        _through_another()


def test_names_are_those_of_the_helpers_too() -> None:
    for function in (_sends, lambda: _sends(), lambda: [_Opens() for _ in "a"]):
        assert {"Path", "touch"} <= names_of(function)
    assert "touch" not in names_of(test_a_test_without_the_marker_of_what_it_starts_fails)


class _Item:
    def __init__(self, path: str, *markers: str) -> None:
        self.path = Path(path)
        self.markers = [getattr(pytest.mark, name).mark for name in markers]

    def iter_markers(self) -> list[pytest.Mark]:
        return self.markers


def test_the_longest_files_come_first_and_stay_together() -> None:
    first, second = _Item("b.py"), _Item("b.py", "process", "slow")
    several = [_Item("a.py", "training") for _ in range(4)]
    items: Any = [_Item("c.py"), *several, first, second]
    pytest_collection_modifyitems(items)
    assert items[:2] == [first, second]
    assert [item.path.name for item in items[2:]] == ["a.py"] * 4 + ["c.py"]


def test_make_check_leaves_these_markers_out() -> None:
    assert f"QUICK := {QUICK}\n" in (ROOT / "Makefile").read_text(encoding="utf-8")
