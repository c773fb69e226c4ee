"""Files of series in train, evaluate, predict and explain: what train took, the others take."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from tests.cli.conftest import Run

TINY: dict[str, Any] = {"epochs": 2, "units": 3, "batch_size": 8, "recipe": "fast"}
RNG = np.random.default_rng(8)


def rows(n: int = 40, steps: int = 9) -> tuple[np.ndarray[Any, Any], list[str]]:
    values = RNG.normal(size=(n, steps)).round(3)
    labels = ["up" if k % 2 else "down" for k in range(n)]
    values[1::2] += np.linspace(0, 3, steps).round(3)
    return values, labels


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    values, labels = rows()
    path = tmp_path_factory.mktemp("models") / "wide"
    gw.train(values, labels, **TINY).save(path)
    return path


def test_series_of_another_length_are_reported(run: Run, tmp_path: Path, folder: Path) -> None:
    short = write(tmp_path / "short.csv", ["a,b", "1,2"])
    with pytest.warns(UserWarning, match="the series have 2 steps, those of training 9; name a label or id column"):
        assert run("predict", "-m", folder, "-i", short).exit_code == 0


def test_a_long_table_and_its_ids(run: Run, tmp_path: Path, folder: Path) -> None:
    values, _ = rows(3)
    lines = [f"{name},{t},{values[k, t]}" for k, name in enumerate("pqr") for t in range(9)]
    file = write(tmp_path / "long.csv", ["who,t,x", *lines[::-1]])
    done = run("predict", "-m", folder, "-i", file, "--id", "who", "--time", "t", "-o", tmp_path / "out.csv")
    assert done.exit_code == 0, done.stderr
    assert "wrote" in done.stderr
    assert "out.csv': 3 rows" in done.stderr
    written = (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()
    assert written[0].startswith("who,")
    assert [line.split(",")[0] for line in written[1:]] == ["r", "q", "p"]
    found = gw.load(folder).predict(values[::-1]).tolist()
    assert [line.split(",")[1] for line in written[1:]] == found


def test_a_ucr_file_without_classes_is_not_misread(run: Run, tmp_path: Path, folder: Path) -> None:
    values, _ = rows(4)
    file = write(tmp_path / "new.tsv", ["\t".join(map(str, row)) for row in values.tolist()])
    done = run("predict", "-m", folder, "-i", file)
    assert done.exit_code == 2
    assert "the first column is the class, but the model has no class" in done.stderr
    done = run("predict", "-m", folder, "-i", file, "--label", "")
    assert len(done.stdout.splitlines()) == 4
