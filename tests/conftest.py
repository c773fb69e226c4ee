"""What tests share: the real reviews, which lie beside the repository where they are at all, Keras, and the program."""

from __future__ import annotations

import json
import os
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from gatewise.data import Splits
    from tests.cli.conftest import Run

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def _file(name: str) -> Path:
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"{name} is not in ../shared/data")
    return path


# One thread per process: the tests run in as many processes as there are processors, and threads that share a processor
# wait for each other. Tests of threads say how many.
for name in ("GATEWISE_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")

# Also where the tests run in the background or under nohup, whose processes ignore these signals: a program that was
# started so keeps ignoring them.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):  # not on Windows
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def aclimdb() -> Path:
    """The archive with all reviews in the official layout."""
    return _file("aclImdb_v1.tar.gz")


@pytest.fixture(scope="session")
def published_index() -> dict[str, int]:
    """The word index that Keras publishes: word to rank."""
    index: dict[str, int] = json.loads(_file("imdb_word_index.json").read_text(encoding="utf-8"))
    return index


@pytest.fixture(scope="session")
def reviews(aclimdb: Path) -> Splits:
    """All 50,000 labelled reviews, read once a session."""
    from gatewise.data import imdb

    return imdb(aclimdb)


@pytest.fixture(scope="session")
def keras(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """Keras on torch, with its settings file in a folder of its own."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = pytest.importorskip("keras")
        yield module


@pytest.fixture
def short_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison of an imported network takes few and short inputs, where it is not what is tested: Keras needs
    more than a millisecond for each step.
    """
    from gatewise.exchange import proof_inputs, proof_sizes

    monkeypatch.setattr(proof_sizes, "SIZES", (1, 2, 9))
    monkeypatch.setattr(proof_inputs, "MAGNITUDES", (10.0,))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """The program as a user runs it."""
    from tests.cli.conftest import Run

    for name in ("FORCE_COLOR", "GATEWISE_KERNEL", "GATEWISE_ISA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("GATEWISE_OFFLINE", "1")
    return Run()
