"""The runner reports each kind of failure with its try, goes on after it, and continues a run where it stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.trust.planted import ATTACKS as PLANTED
from trust.registry import ATTACKS
from trust.results import Part, append, last_run, next_try, read
from trust.run import Worker, run
from trust.table import PAGE, page


def failures(name: str, tries: int = 8, seed: int = 5) -> dict[int, str]:
    found = run(PLANTED[name], seed, range(tries), "tests.trust.planted")
    return {n: text for n, text in found if text is not None}


def expected(tries: int = 8, seed: int = 5) -> set[int]:
    """The tries that draw less than 0.5."""
    return {n for n in range(tries) if np.random.default_rng([seed, n]).random() < 0.5}


def test_a_try_depends_on_the_seed_and_its_number_only() -> None:
    assert failures("one", 10) == {3: "the third of ten"}
    assert dict(run(PLANTED["one"], 5, [3], "tests.trust.planted")) == {3: "the third of ten"}
    assert failures("one", 10, seed=6) == {}


@pytest.mark.parametrize(
    ("name", "message"), [("crash", "died with signal SIGSEGV"), ("hang", "no answer within 0.5 s")]
)
def test_the_run_goes_on_after_a_crash_and_a_hang(name: str, message: str) -> None:
    found = failures(name, 6)
    assert set(found) == expected(6) != set()
    assert all(message in text for text in found.values())


def test_memory_and_exit_codes_are_reported() -> None:
    assert "MemoryError at worker.py" in failures("memory", 1)[0]
    assert "exit code 7" in failures("leave", 1)[0]


def part(first: int, tries: int, seed: int = 4, code: str = "abc", failed: dict[str, str] | None = None) -> Part:
    return Part("one", seed, first, tries, failed or {}, code, "2026-01-02", 3.5)


def test_a_run_continues_where_it_stopped(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    assert read(file) == []
    for one in (part(0, 500, seed=3), part(0, 10), part(10, 20, failed={"12": "naïve"})):
        append(one, file)
    parts = read(file)
    assert parts[-1] == part(10, 20, failed={"12": "naïve"})
    assert last_run(parts, "one") == parts[1:]
    assert next_try(parts, "one", 100, "abc", None) == (4, 30)
    assert next_try(parts, "one", 100, "abc", 4) == (4, 30)
    assert next_try(parts, "one", 100, "abc", 9) == (9, 0)
    assert next_try(parts, "one", 100, "other commit", 4) == (4, 0)
    assert next_try(parts, "one", 30, "abc", None)[1] == 0
    assert next_try(parts, "other", 30, "abc", 8) == (8, 0)


def test_a_run_that_is_repeated_counts_once() -> None:
    parts = [part(0, 10, failed={"3": "wrong"}), part(10, 20), part(0, 10)]
    assert last_run(parts, "one") == parts[2:]
    assert next_try(parts, "one", 30, "abc", 4) == (4, 10)


def test_a_process_that_ends_between_two_tries_is_a_failure_of_the_next() -> None:
    worker = Worker("tests.trust.planted", "one", 5)
    try:
        assert worker.attempt(0, 60) == (None, True)
        worker._process.kill()
        worker._process.wait()
        failure, alive = worker.attempt(1, 60)
        assert "died with signal SIGKILL" in str(failure)
        assert not alive
    finally:
        worker.stop()


def test_the_table_shows_the_last_run() -> None:
    text = "# Title\n<!-- trust: results -->\nold\n<!-- end -->\nmore\n"
    parts = [part(0, 99, seed=3), part(0, 1000), part(1000, 200, failed={"1012": "wrong"})]
    shown = page(text, parts, [PLANTED["one"], PLANTED["crash"]])
    assert "| a promise | a method | 1,200 | 1 failed, the first in try 1012 | 2026-01-02, abc |" in shown
    assert "`python -m trust one --seed 4`" in shown
    assert "| a promise | a method | 0 | not run yet |" in shown
    assert "old" not in shown
    assert page(shown, parts, [PLANTED["one"], PLANTED["crash"]]) == shown


def test_the_page_shows_the_recorded_results() -> None:
    """`python -m trust --table` writes it."""
    text = PAGE.read_text(encoding="utf-8")
    assert page(text, read()) == text
    assert all(f"`python -m trust {name}" in text for name in ATTACKS)
