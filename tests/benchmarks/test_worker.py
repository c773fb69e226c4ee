"""Worker processes, tested with NumPy's matrix product, which needs no other library."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.case import Case, Contender
from benchmarks.measure import WorkerPool, measure
from benchmarks.worker_process import ContenderUnavailable, Worker, WorkerFailed, environment


@pytest.fixture
def worker() -> Worker:
    return Worker("numpy", "openblas", Path(sys.executable), 1, {})


def test_a_worker_loads_runs_and_leaves(worker: Worker) -> None:
    info = worker.load("sgemm", {"size": 32}, {"unused": np.arange(3)})
    assert info["numpy"] == np.__version__
    assert info["settings"].endswith(", 32")
    assert worker.run() > 0
    assert worker.check() == {}
    with pytest.raises(ContenderUnavailable, match="NumPy does not support step"):
        worker.load("step", {}, {})
    worker.close()


def test_an_error_in_a_worker_names_the_contender_and_the_exception(worker: Worker) -> None:
    with pytest.raises(WorkerFailed, match="numpy: KeyError: 'size'"):
        worker.load("sgemm", {}, {})
    worker.close()


def test_a_missing_library_is_a_reason_and_not_an_error() -> None:
    worker = Worker("none", "no_such_contender", Path(sys.executable), 1, {})
    with pytest.raises(ContenderUnavailable, match="not installed"):
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


def test_a_case_is_measured_with_its_fastest_variant_and_logs_unavailable_contenders(tmp_path: Path) -> None:
    sizes = ({"size": 16}, {"size": 256})  # seconds for the same number of operations: the large one is faster by far
    contenders = (
        Contender("fits", "openblas", 1, {"kind": "sgemm"}, variants=sizes),
        Contender("does not", "openblas", 1),
    )
    case = Case("products", "two products", "recurrence", contenders, {}, {}, equivalent=False, unit="GFLOP")
    workers, log = WorkerPool(tmp_path), list[str]()
    try:
        found = measure(case, workers, 2, False, log.append).as_dict()["contenders"]
    finally:
        workers.close()
    assert len(found["fits"]["rounds"]) == 2
    assert found["fits"]["info"]["settings"].endswith(", 256")
    assert len(found["fits"]["variants"]) == 2
    assert found["does not"] == {"unavailable": "NumPy does not support recurrence"}
    assert log == ["  does not: NumPy does not support recurrence"]
