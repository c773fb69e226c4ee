"""Worker processes, tested with NumPy's matrix product, which needs no other library."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.worker_process import ContenderUnavailable, Worker, WorkerFailed


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
