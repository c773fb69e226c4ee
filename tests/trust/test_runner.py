"""The runner reports each kind of failure with its try and goes on after it; the table shows the recorded results."""

import importlib
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.trust.failing_attacks import ATTACKS, FAILS
from trust import registry
from trust.__main__ import main, named
from trust.attack import ROOT
from trust.results import Part, append, last_run, next_try, read, table
from trust.run import run

pytestmark = pytest.mark.process


@pytest.mark.parametrize("name", FAILS)
def test_the_tries_that_fail_are_those_of_their_seed_and_number(name: str) -> None:
    found = {n: text for n, text in run(ATTACKS[name], 5, range(1, 4)) if text is not None}
    assert set(found) == {n for n in range(1, 4) if np.random.default_rng([5, n]).random() < 0.5} != set()
    assert all(FAILS[name][1] in text for text in found.values())


def test_a_child_process_finds_each_attack_in_its_module() -> None:
    """In `make test`, an attack without a short form runs in no child process."""
    for name, attack in registry.ATTACKS.items():
        assert importlib.import_module(attack.module).ATTACKS[name] is attack


def test_what_becomes_of_the_tries_is_counted(tmp_path: Path) -> None:
    notes: Counter[str] = Counter()
    assert not any(failure for _, failure in run(ATTACKS["counted"], 5, range(6), notes))
    refused = sum(np.random.default_rng([5, n]).random() < 0.5 for n in range(6))
    assert 0 < notes["refused"] == refused < 6
    assert notes["opens"] == 6 - refused
    file = tmp_path / "results.jsonl"
    append(replace(part(0, 6), notes=dict(notes)), file)
    assert read(file)[0].notes == notes


def test_a_try_that_is_repeated_says_what_became_of_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(registry.ATTACKS, "counted", ATTACKS["counted"])
    for number in range(4):
        monkeypatch.setattr("sys.argv", ["trust", "counted", "--seed", "5", "--try", str(number)])
        assert main() == 0
        refused = np.random.default_rng([5, number]).random() < 0.5
        assert capsys.readouterr().out == f"held: {'refused' if refused else 'opens'}\n"


def test_a_group_of_attacks_is_named_by_what_their_names_begin_with() -> None:
    assert {"imports-onnx", "imports-onnx-graph"} <= set(named("imports"))
    assert named("imports-onnx-graph") == ["imports-onnx-graph"]
    assert named("imports-onnx") == ["imports-onnx"]
    assert named("fuzz") == named("fuzz-*")
    assert not named("import")


def part(first: int, tries: int, seed: int = 4, failed: dict[str, str] | None = None) -> Part:
    return Part("draws", seed, first, tries, failed or {}, "abc", "2026-01-02", 3.5)


def test_a_run_continues_where_it_stopped_and_the_table_shows_it(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    for one in (part(0, 500, seed=3), part(0, 10), part(10, 20, failed={"12": "naïve"})):
        append(one, file)
    parts = read(file)
    assert last_run(parts, "draws") == parts[1:] == [part(0, 10), part(10, 20, failed={"12": "naïve"})]
    assert next_try(parts, "draws", 100, "abc", None) == (4, 30)
    assert next_try(parts, "draws", 100, "abc", 9) == (9, 0)
    assert next_try(parts, "draws", 100, "other commit", 4) == (4, 0)
    shown = table(parts, [ATTACKS["draws"], ATTACKS["crash"]])
    assert "| a promise | a method | 30 | 1 failed, the first in try 12 | 2026-01-02, abc |" in shown
    assert "| a promise | a method | 0 | not run yet |" in shown


def test_a_result_names_no_folder_of_the_machine(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    append(part(0, 10, failed={"3": f'File "{ROOT / "src" / "gatewise" / "cell.py"}", line 5'}), file)
    assert read(file)[0].failures["3"] == f'File "{Path("src", "gatewise", "cell.py")}", line 5'


def test_the_table_has_every_attack_once() -> None:
    lines = table(read(), registry.ATTACKS.values()).splitlines()[2:]
    assert len(lines) == len(registry.ATTACKS)
    for line, (name, attack) in zip(lines, registry.ATTACKS.items(), strict=True):
        assert line.startswith(f"| {attack.promise} | ")
        assert re.search(rf"`python -m trust {name}[ `]", line)
