"""`gatewise train --ray N`: two workers of Ray Train on this machine, one of which dies; and what can go wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gatewise.model.model import load
from tests.cli.conftest import Run
from tests.cli.test_bad_input import refused
from tests.training.texts import made_reviews


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """rows.csv in the working directory, which the workers see too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    data = made_reviews(120, 3)
    lines = [f"{text},{data.classes[label]}\n" for text, label in zip(data.inputs, data.labels, strict=True)]
    Path("rows.csv").write_text("text,label\n" + "".join(lines))
    return tmp_path


def kill_a_worker_after(checkpoint: Path) -> None:
    """Kill one worker of Ray Train when the checkpoint is there."""
    for _ in range(15_000):
        if checkpoint.exists():
            break
        time.sleep(0.02)
    found = subprocess.run(["pgrep", "-n", "-f", "RayTrainWorker"], capture_output=True, text=True, check=True)
    os.kill(int(found.stdout), signal.SIGKILL)


@pytest.mark.filterwarnings("ignore")  # of Ray itself
def test_two_workers_of_which_one_dies(run: Run, rows: Path) -> None:
    pytest.importorskip("ray.train")
    words = ("train", "rows.csv", "-o", "model", "--epochs", 60, "--set", "patience=0", "--set", "ngrams.order=0")
    killer = threading.Thread(target=kill_a_worker_after, args=(rows / "model.run" / "checkpoint.safetensors",))
    killer.start()
    result = run(*words, "--ray", 2)
    killer.join()
    assert result.exit_code == 0, result.stderr
    assert "kernel native, 2 processes" in result.stdout
    assert "gatewise: a worker died; start 2 of 4, from the checkpoint" in result.stderr
    assert "resuming after step" in result.stdout
    assert result.stdout.count("saved to model") == 1
    assert len(load("model").history.splitlines()) == 60
    assert sorted(os.listdir()) == ["model", "rows.csv"]
    assert "'model' exists: replace it with --overwrite" in refused(run, *words, "--ray", 2)


def test_ctrl_c(rows: Path) -> None:
    pytest.importorskip("ray.train")
    words = ["train", "rows.csv", "-o", "model", "--epochs", "3000", "--set", "patience=0", "--ngram-order", "0"]
    with open("errors", "w") as errors:
        command = [sys.executable, "-m", "gatewise", *words, "--ray", "2"]
        program = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        while program.poll() is None and not Path("model.run/checkpoint.safetensors").exists():
            time.sleep(0.05)
        program.send_signal(signal.SIGINT)
        assert program.wait(300) == 130
    assert Path("errors").read_text() == "gatewise: stopped; --resume continues from the last checkpoint\n"
    assert sorted(os.listdir()) == ["errors", "model.run", "rows.csv"]


@pytest.mark.filterwarnings("ignore")
def test_an_address_where_nothing_listens(run: Run, rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray.train")
    monkeypatch.setenv("RAY_ADDRESS", "nonsense")
    assert "Invalid address format" in refused(run, "train", "rows.csv", "-o", "model", "--ray", 2)
    assert os.listdir() == ["rows.csv"]


def test_without_ray(run: Run, rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    for command in (("train", "rows.csv"), ("pretrain", "rows.csv")):
        message = refused(run, *command, "--ray", 2)
        assert "--ray needs ray: pip install 'gatewise[ray]'" in message
    assert os.listdir() == ["rows.csv"]
