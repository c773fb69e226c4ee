"""Options of tables in train, evaluate and data: tasks, columns, folders, stdin."""

import json
import random
from pathlib import Path

import pytest

import gatewise as gw
from gatewise.data import read_folders
from gatewise.errors import DataError
from tests.cli.conftest import Run
from tests.cli.test_bad_input import refused

TINY = ("--epochs", 1, "--set", "units=4", "--set", "ngrams.order=1")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of small data


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rng = random.Random(3)
    lines = ["title;body;price;topics;news;sport;weight;who;day"]
    for n in range(60):
        good = n % 2
        topics = "news, sport" if n % 3 == 0 else ("news" if good else "")
        text = f"{rng.choice(['fine', 'great'] if good else ['dull', 'weak'])} {n}"
        lines.append(
            f"film {n};{text};{2.5 + 3 * good};{topics};{int('news' in topics)};{int('sport' in topics)};"
            f"{1 + n % 2};{n % 7};2024-01-{n % 28 + 1:02}"
        )
    (tmp_path / "films.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path / "films.csv"


def test_regression(run: Run, table: Path) -> None:
    options = ("--text", "title", "--text", "body", "--label", "price")
    assert "looks like regression: pass task=" in refused(run, "train", "films.csv", *options)
    words = (*options, "--task", "regression", "--weight", "weight", "--group", "who")
    result = run("train", "films.csv", *words, "-o", "m", *TINY)
    assert result.exit_code == 0
    assert "epoch    loss  val_loss    val_rmse  seconds" in result.stdout
    model = gw.load("m")
    assert (model.task, model.classes) == ("regression", ("price",))
    assert "--text title --text body --label price --task regression --weight weight" in model.metadata.command
    assert "fields separated by semicolons" in model.metadata.data
    assert "RMSE" in run("evaluate", "-m", "m", "films.csv", *options).stdout
    assert float(run("predict", "-m", "m", "film 3\nfine 7").stdout) == pytest.approx(
        model.predict(["film 3\nfine 7"])[0], 1e-4
    )
    run("predict", "-m", "m", "-i", "films.csv", "--text", "title", "--text", "body", "-o", "out.jsonl")
    first = json.loads(Path("out.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert list(first)[-1] == "prediction"
    assert isinstance(first["prediction"], float)
    numbers = run.json("data", "films.csv", *options, "--task", "regression")
    assert numbers["train"]["numbers"] == {"price": {"min": 2.5, "mean": 4.0, "max": 5.5}}


def test_multilabel(run: Run, table: Path) -> None:
    words = ("--text", "body", "--label", "topics", "--label-separator", ",")
    assert run("train", "films.csv", *words, "-o", "m", *TINY).exit_code == 0
    assert (gw.load("m").task, gw.load("m").classes) == ("multilabel", ("news", "sport"))
    assert "micro F1" in run("evaluate", "-m", "m", "films.csv", *words).stdout
    columns = ("--text", "body", "--label", "news", "--label", "sport")
    assert "the task must be multilabel" in refused(run, "train", "films.csv", *columns)
    one, two = (
        run.json("data", "films.csv", *options)["train"]["classes"]
        for options in (words, (*columns, "--task", "multilabel"))
    )
    assert one == two
    single = ("--text", "body", "--label", "news", "--task", "multilabel")
    assert "multilabel needs a label separator, or several columns" in refused(run, "train", "films.csv", *single)
    run("predict", "-m", "m", "-i", "films.csv", "--text", "body", "-o", "out.jsonl", "--probabilities", "top")
    rows = [json.loads(line) for line in Path("out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert all(isinstance(row["label"], list) and len(row["label"]) == len(row["probability"]) for row in rows)


@pytest.mark.filterwarnings("ignore::gatewise.errors.DataWarning")
def test_bad_rows_of_validation_data_have_a_list_of_their_own(run: Run, table: Path) -> None:
    good = table.read_text(encoding="utf-8")
    table.write_text(good + "one field\n", encoding="utf-8")
    Path("held.csv").write_text(good.replace("film", "show") + "\n\ntwo;fields\n", encoding="utf-8")
    words = ("films.csv", "--text", "body", "--label", "news", "--validation", "held.csv", "--skip-bad-rows", "bad.csv")
    with pytest.warns(UserWarning, match="1 bad row of 61 skipped: see 'bad") as warned:
        assert run("train", *words, "-o", "m", *TINY).exit_code == 0
    assert sum("bad row" in str(one.message) for one in warned) == 2
    for name, line in (("bad.csv", "films.csv,62,"), ("bad-validation.csv", "held.csv,64,")):
        assert Path(name).read_text(encoding="utf-8").splitlines()[1].startswith(line)


def write_films(root: Path, parts: dict[str, list[str]]) -> None:
    for part, names in parts.items():
        for name in names:
            folder = root / part / name
            folder.mkdir(parents=True, exist_ok=True)
            for n in range(3):
                (folder / f"{n}.txt").write_text(f"a {name} film {part} {n}")


def test_folders_of_train_and_test(run: Run, tmp_path: Path) -> None:
    write_films(tmp_path / "films", {"train": ["good", "bad"], "test": ["good", "bad"]})
    splits = read_folders(tmp_path / "films")
    assert splits.test is not None
    assert splits.train.inputs[0] == "a bad film train 0"
    assert splits.test.inputs[0] == "a bad film test 0"
    found = run.json("data", tmp_path / "films")
    assert [found[part]["n"] for part in ("train", "test")] == [6, 6]
    assert found["note"] == "the folder test of 'films'"
    write_films(tmp_path / "films", {"test": ["odd"]})
    with pytest.raises(DataError, match="the class 'odd' is not in train/"):
        read_folders(tmp_path / "films")
