"""`gatewise evaluate` and `info` of regression, multi-label and many classes; the HTML report as a file."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gatewise.model.preprocessor import SeriesPreprocessor
from gatewise.text import TokenEncoding
from tests.cli.conftest import TEXTS, Run
from tests.cli.test_bad_input import refused
from tests.small_models import small_model


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """number: series of one channel; labels: three per row; many: 30 classes."""
    encoding = TokenEncoding.fit(TEXTS, vocab_size=50, min_count=1)
    models = {
        "number": small_model(SeriesPreprocessor((0.5,), (2.0,)), ("price",), task="regression", units=5),
        "labels": small_model(encoding, ("a", "b", "c"), 2, task="multilabel", units=4),
        "many": small_model(encoding, tuple(f"class {k}" for k in range(30)), 3, units=4),
    }
    home = tmp_path_factory.mktemp("tasks")
    for name, model in models.items():
        model.save(home / name)
    return {name: home / name for name in models}


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, list[str]]:
    """The data of each model as arguments of the command."""
    rng = np.random.default_rng(2)
    rows = [[*(f"{x:.3f}" for x in rng.normal(0, 2, 6)), f"{rng.normal(9, 3):.3f}"] for _ in range(12)]
    rows[3][2] = ""
    number = tmp_path / "number.csv"
    number.write_text("".join(f"{','.join(row)}\n" for row in [[*"uvwxyz", "price"], *rows]))
    labels = tmp_path / "labels.csv"
    labels.write_text("text,label\n" + "".join(f"{text},{'a|c' if n % 2 else 'b'}\n" for n, text in enumerate(TEXTS)))
    many = tmp_path / "many.csv"
    many.write_text("text,label\n" + "".join(f"{text},class {n * 7 % 30}\n" for n, text in enumerate(TEXTS)))
    return {
        "number": [str(number), "--label", "price"],
        "labels": [str(labels), "--label-separator", "|"],
        "many": [str(many)],
    }


TASKS: dict[str, tuple[str, list[str], list[str], str]] = {  # task, what is shown and hidden, the sentence of `info`
    "number": (
        "regression",
        ["RMSE", "MAE", "R2", "Largest errors"],
        ["accuracy", "probab", "class"],
        "This model predicts a number from series of 1 channel: price.",
    ),
    "labels": (
        "multilabel",
        ["micro F1", "macro F1", "subset", "Most confident mistakes"],
        ["confusions", "AUC"],
        "This model assigns any number of 3 labels to texts: a, b, c.",
    ),
    "many": (
        "classification",
        ["accuracy", "AUC", "Top confusions", "class 28"],
        ["true \\ predicted"],
        "This model classifies texts into 30 classes: class 0, class 1,",
    ),
}


@pytest.mark.parametrize("name", TASKS)
def test_each_task_has_its_scores_and_its_sentence(
    run: Run,
    folders: dict[str, Path],
    tables: dict[str, list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    task, shown, hidden, sentence = TASKS[name]
    monkeypatch.setenv("COLUMNS", "80")
    page = tmp_path / "report.html"
    result = run("evaluate", "-m", folders[name], *tables[name], "--html", page)
    assert result.exit_code == 0, result.stderr
    scores = result.stdout.split("\n", 1)[1]  # without the line on the data
    assert [word for word in shown if word not in scores] == []
    assert [word for word in hidden if word in scores] == []
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert page.read_text(encoding="utf-8").count("<table") >= 2
    seen = run.json("evaluate", "-m", folders[name], *tables[name])
    assert seen["task"] == task
    assert sentence in run("info", "-m", folders[name]).stdout
    assert run.json("info", "-m", folders[name])["task"] == task
    assert seen["mistakes"]
    assert sum(one["n"] for one in seen["by_length"]["ranges"]) == seen["n"]


def test_many_numbers_as_classes_are_evaluated_as_the_model_was_trained(
    run: Run, folders: dict[str, Path], tmp_path: Path
) -> None:
    import gatewise as gw

    model = gw.load(folders["many"])
    target = replace(model.target, classes=tuple(map(str, range(30))), label_type="int")
    replace(model, ensemble=replace(model.ensemble, target=target)).save(tmp_path / "model")
    table = tmp_path / "new.csv"
    table.write_text("text,label\n" + "".join(f"a good film {k},{k}\n" for k in range(30)))
    result = run("evaluate", "-m", tmp_path / "model", table, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["n"] == 30
    table.write_text("text,label\na good film,0.25\na bad film,1.5\n")
    assert "the model has no class '0.25'" in run("evaluate", "-m", tmp_path / "model", table).stderr


def test_series_of_other_channels_are_refused_with_the_file(run: Run, folders: dict[str, Path], tmp_path: Path) -> None:
    wide = tmp_path / "two.npy"
    np.save(wide, np.zeros((3, 9, 2)))
    for command in ("explain", "predict"):
        assert "two.npy': the series have 2 channels, the model reads 1" in refused(
            run, command, "-m", folders["number"], "-i", wide, "--layout", "time-first"
        )


@pytest.mark.parametrize("source", ["table", "folder", "series"])
def test_data_with_one_class_is_evaluated(
    run: Run, keras_folder: Path, series_folder: Path, tmp_path: Path, source: str
) -> None:
    """The classes are the model's; the area under the ROC curve is not defined."""
    words: tuple[object, ...] = ("-m", keras_folder, tmp_path)
    if source == "folder":
        (tmp_path / "positive").mkdir()
        for n, text in enumerate(TEXTS):
            (tmp_path / "positive" / f"{n}.txt").write_text(text)
    elif source == "table":
        words = ("-m", keras_folder, tmp_path / "new.csv")
        (tmp_path / "new.csv").write_text("text,label\n" + "".join(f"{text},positive\n" for text in TEXTS))
    else:
        words = ("-m", series_folder, tmp_path / "new.csv", "--time", "t", "--id", "i")
        rows = "".join(f"{n},{t},{n * t % 3},{t},b\n" for n in range(5) for t in range(4))
        (tmp_path / "new.csv").write_text("i,t,u,v,label\n" + rows)
    done = run("evaluate", *words)
    assert done.exit_code == 0, done.stderr
    assert "not defined: the data has one class" in done.stdout
    found = run.json("evaluate", *words)
    assert (found["n"], found["auc"]) == (5, None)
    assert run("evaluate", *words, "--html", tmp_path / "report.html").exit_code == 0
