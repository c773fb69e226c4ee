"""`gatewise predict --ray` and `gatewise train --ray N`: two workers on this machine, one of which dies; no Ray."""

from __future__ import annotations

import csv
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from gatewise.model.model import Model, load
from gatewise.scorer import Scorer
from tests.cli.conftest import TEXTS, Run
from tests.cli.test_bad_input import refused
from tests.training.texts import made_reviews

ROWS = [(f"{name}{n:03d}", "" if n == 100 else f"{TEXTS[n % 5]}\n{n}", "007") for name in "ab" for n in range(150)]


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """a.csv and b.csv in the working directory."""
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        with open(f"{name}.csv", "w", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter=";").writerows([("id", "review", "label")])
            csv.writer(file, delimiter=";").writerows(row for row in ROWS if row[0].startswith(name))
    return tmp_path


def words(folder: Path, *more: object) -> tuple[object, ...]:
    files = ("-i", "a.csv", "-i", "b.csv", "--text", "review")
    return ("predict", "-m", folder, *files, "-o", "out/", "--ray", "local", *more)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_killed_worker_loses_no_row(
    run: Run, inputs: Path, keras_model: Model, keras_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    killed = str(inputs / "killed")

    class Dying(Scorer):  # a local class, which Ray sends to the workers by value
        def __call__(self, batch: Any) -> Any:
            if "b020" in batch["id"].to_pylist() and not os.path.exists(killed):
                Path(killed).write_text(str(os.getpid()))
                os.kill(os.getpid(), signal.SIGKILL)
            return super().__call__(batch)

    monkeypatch.setattr("gatewise.cli.bulk_ray.Scorer", Dying)
    monkeypatch.setattr("gatewise.cli.bulk_ray._BLOCK_ROWS", 40)
    monkeypatch.setattr("gatewise.cli.bulk_ray.ROWS_PER_FILE", 120)
    with pytest.warns(UserWarning, match="2 rows have no text: the predictions are null"):
        result = run(*words(keras_folder, "--workers", 2, "--keep", "label", "--keep", "id"))
    assert result.exit_code == 0, result.stderr
    assert Path(killed).read_text() != str(os.getpid())
    files = sorted(Path("out").glob("part-*.parquet"))
    assert f"gatewise: wrote 'out/': 300 rows in {len(files)} files" in result.stderr
    assert [path.name for path in files] == [f"part-{number:05d}.parquet" for number in range(len(files))]
    found = [row for path in files for row in parquet.read_table(path).to_pylist()]
    assert list(found[0]) == ["label", "id", "predicted_label", "probability_negative", "probability_positive"]
    assert [(row["id"], row["label"]) for row in found] == [(row[0], row[2]) for row in ROWS]
    texts = [row[1] or "good" for row in ROWS]
    for row, (_, text, _), label in zip(found, ROWS, keras_model.predict(texts), strict=True):
        assert row["predicted_label"] == (label if text else None)
    assert sorted(path.name for path in inputs.iterdir()) == ["a.csv", "b.csv", "killed", "out"]
    assert "contains predictions; --overwrite replaces" in refused(run, *words(keras_folder))
    assert "'out': cannot be continued: ray is different" in refused(run, *words(keras_folder)[:-2])


def test_an_address_where_nothing_listens(run: Run, inputs: Path, keras_folder: Path) -> None:
    pytest.importorskip("ray")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for address, message in ((f"127.0.0.1:{port}", "cannot be reached"), ("nonsense", "Invalid address format")):
        assert message in refused(run, *words(keras_folder)[:-1], address)
    assert sorted(os.listdir()) == ["a.csv", "b.csv"]


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
def test_training_at_an_address_where_nothing_listens(run: Run, rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray.train")
    monkeypatch.setenv("RAY_ADDRESS", "nonsense")
    assert "Invalid address format" in refused(run, "train", "rows.csv", "-o", "model", "--ray", 2)
    assert os.listdir() == ["rows.csv"]


def test_without_ray(run: Run, inputs: Path, keras_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    for command in (("train", "a.csv", "--ray", 2), ("pretrain", "a.csv", "--ray", 2), words(keras_folder)):
        assert "--ray needs ray: pip install 'gatewise[ray]'" in refused(run, *command)
    assert sorted(os.listdir()) == ["a.csv", "b.csv"]
