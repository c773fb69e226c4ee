"""`gatewise predict --ray`: two workers on this machine, one of which dies; no Ray."""

import csv
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from gatewise.model.model import Model
from gatewise.scorer import Scorer
from tests.cli.conftest import TEXTS, Run
from tests.cli.test_bad_input import refused

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


def test_without_ray(run: Run, inputs: Path, keras_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "--ray needs ray: pip install 'gatewise[ray]'" in refused(run, *words(keras_folder))
    assert sorted(os.listdir()) == ["a.csv", "b.csv"]
