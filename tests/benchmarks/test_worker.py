"""A contender in a process of its own, with one that needs no peer: NumPy's product of matrices."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.case import Case, Entry
from benchmarks.measure import Workers, measure
from benchmarks.process import Failed, NotHere, Worker, environment


@pytest.fixture
def worker() -> Worker:
    return Worker("numpy", "openblas", Path(sys.executable), 1, {})


def test_a_worker_loads_runs_and_leaves(worker: Worker) -> None:
    about = worker.load("sgemm", {"size": 32}, {"unused": np.arange(3)})
    assert about["numpy"] == np.__version__
    assert about["settings"].endswith(", 32")
    assert worker.run() > 0
    assert worker.check() == {}
    with pytest.raises(NotHere, match="NumPy takes no part in step"):
        worker.load("step", {}, {})
    worker.close()


def test_an_error_in_a_worker_names_it_and_what_it_said(worker: Worker) -> None:
    with pytest.raises(Failed, match="numpy: KeyError: 'size'"):
        worker.load("sgemm", {}, {})
    worker.close()


def test_a_missing_library_is_a_reason_and_not_an_error() -> None:
    worker = Worker("none", "no_such_contender", Path(sys.executable), 1, {})
    with pytest.raises(NotHere, match="not installed"):
        worker.load("sgemm", {}, {})
    worker.close()


def test_what_the_caller_has_set_does_not_reach_a_contender(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("GATEWISE_ISA", "portable")
    made = environment(3, {"OMP_WAIT_POLICY": "PASSIVE"})
    assert "OPENBLAS_CORETYPE" not in made
    assert "GATEWISE_ISA" not in made
    assert (made["OMP_NUM_THREADS"], made["GATEWISE_THREADS"], made["OMP_WAIT_POLICY"]) == ("3", "3", "PASSIVE")
    assert made["PATH"] == os.environ["PATH"]


def test_a_case_is_measured_with_its_fastest_variant_and_says_who_is_absent(tmp_path: Path) -> None:
    sizes = ({"size": 16}, {"size": 256})  # seconds for the same number of operations: the large one is faster by far
    entries = (
        Entry("fits", "openblas", 1, {"kind": "sgemm"}, variants=sizes),
        Entry("does not", "openblas", 1),
    )
    case = Case("products", "two products", "recurrence", entries, {}, {}, same=False, unit="GFLOP")
    workers, said = Workers(tmp_path), list[str]()
    try:
        found = measure(case, workers, 2, False, said.append).as_dict()["contenders"]
    finally:
        workers.close()
    assert len(found["fits"]["turns"]) == 2
    assert found["fits"]["about"]["settings"].endswith(", 256")
    assert len(found["fits"]["tried"]) == 2
    assert found["does not"] == {"absent": "NumPy takes no part in recurrence"}
    assert said == ["  does not: NumPy takes no part in recurrence"]
