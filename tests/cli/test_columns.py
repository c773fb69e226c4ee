"""Columns of tables and files of series: what train took, the other commands take, also without an option."""

import json
import random
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import gatewise as gw
from gatewise.cli import program
from gatewise.data import read_folders
from gatewise.errors import DataError, DataWarning
from gatewise.model.series_preprocessor import SeriesPreprocessor
from gatewise.types import ColumnNames
from tests.cli.conftest import Run
from tests.cli.test_bad_input import refused
from tests.data.files import write, write_folder
from tests.refusals import assert_refused
from tests.small_models import small_model

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of small data

TITLES = [f"a film {n % 7}" for n in range(60)]
TEXTS = pd.DataFrame({"Title": TITLES, "body": ["good", "bad"] * 30, "stars": [5, 1] * 30})
WAVES = np.random.default_rng(0).normal(size=(60, 6)).round(3) + np.arange(60)[:, None] % 2
WIDE = pd.DataFrame(WAVES, columns=[f"t{n}" for n in range(6)]).assign(kind=["a", "b"] * 30, name=range(60))
LONG = pd.DataFrame(
    {"name": np.repeat(range(60), 6), "second": list(range(6)) * 60, "x": WAVES.ravel(), "y": -WAVES.ravel()}
).assign(kind=np.repeat(["a", "b"] * 30, 6))

TRAINED: dict[str, tuple[pd.DataFrame, tuple[str, ...], ColumnNames]] = {
    "text": (
        TEXTS,
        ("--text", "title", "--text", "body", "--label", "stars", "--set", "lstm.units=4"),
        ColumnNames(("Title", "body"), ("stars",)),
    ),
    "wide": (WIDE, ("--series", "--label", "kind", "--id", "name"), ColumnNames((), ("kind",), (), "name")),
    "long": (
        LONG,
        ("--series", "--label", "kind", "--id", "name", "--time", "second"),
        ColumnNames((), ("kind",), ("x", "y"), "name", "second"),
    ),
}
REFUSED = [("text", "body"), ("wide", "name"), ("long", "name"), ("long", "second"), ("long", "y")]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("columns")
    for name, (frame, words, _) in TRAINED.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
        options = () if name == "text" else ("--set", "convolutions.features=0")
        command = ["train", str(folder / f"{name}.csv"), *words, *options, "-o", str(folder / name), "--epochs", "1"]
        done = CliRunner().invoke(program, command, catch_exceptions=False)
        assert done.exit_code == 0, done.stderr
        assert "--text" not in done.stdout.split("next:")[1]
    return folder


@pytest.mark.parametrize("name", TRAINED)
def test_another_table_needs_no_options(models: Path, name: str, run: Run) -> None:
    frame, words, columns = TRAINED[name]
    assert gw.load(models / name).metadata.columns == columns
    assert f"label: {columns.label[0]}" in gw.load(models / name).card()
    table = models / f"{name}-new.csv"
    frame.drop(columns=list(columns.label)).to_csv(table, index=False)
    own = [word for word in words if word != "--series"][: -2 if name == "text" else None]
    options = words[: words.index("--label")] if name == "text" else own[own.index("--id") :]
    plain = run("predict", "-m", models / name, "-i", table)
    assert (plain.exit_code, len(plain.stdout.splitlines())) == (0, 60), plain.stderr
    named = [word for word in options if word not in ("--set", "lstm.units=4")]
    assert run("predict", "-m", models / name, "-i", table, *named).stdout == plain.stdout
    if name == "text":  # a line is a text, whatever the columns of the training table were
        (models / "lines.txt").write_text("a film 1\ngood\n")
        assert len(run("predict", "-m", models / name, "-i", models / "lines.txt").stdout.splitlines()) == 2
        assert len(run("predict", "-m", models / name, "-i", "-", input="a film 1\ngood\n").stdout.splitlines()) == 2
    with_labels = run("predict", "-m", models / name, "-i", models / f"{name}.csv")
    assert with_labels.stdout == plain.stdout
    for command in (("evaluate",), ("explain", "-i")):
        done = run(*command, models / f"{name}.csv", "-m", models / name)
        assert done.exit_code == 0, done.stderr


@pytest.mark.parametrize(("name", "missing"), REFUSED)
def test_a_table_without_a_column_is_refused_by_name(models: Path, name: str, missing: str, run: Run) -> None:
    table = models / f"{name}-without.csv"
    TRAINED[name][0].rename(columns={missing: "other"}).to_csv(table, index=False)
    assert f"no column '{missing}'; there are " in refused(run, "predict", "-m", models / name, "-i", table)


def test_data_frames_and_batches_have_the_columns_too(models: Path) -> None:
    model, frame = gw.load(models / "text"), TEXTS
    want = model.predict([f"{title}\n{body}" for title, body in zip(frame["Title"], frame["body"], strict=True)])
    np.testing.assert_array_equal(model.predict(frame), want)
    assert model.evaluate(frame).accuracy == np.mean(want == frame["stars"].astype(str))
    assert gw.Scorer(models / "text")(frame)["label"].tolist() == want.tolist()
    assert_refused("no column 'body'; there are 'Title', 'stars'", model.predict, frame.drop(columns="body"))


@pytest.mark.parametrize("given", [str, Path])
def test_a_file_given_as_a_text_is_refused_with_the_right_call(models: Path, given: Any) -> None:
    table, model = given(models / "text.csv"), gw.load(models / "text")
    for call in (model.predict, model.predict_proba, lambda one: model.evaluate(one, [1])):
        assert_refused(r"is a file: pass what it holds, gatewise\.data\.read_texts\(\['", call, table)
    assert_refused(r"read_series\('.*wide\.csv'\)\.inputs", gw.load(models / "wide").predict, str(models / "wide.csv"))
    assert_refused(r"is a file: pass what it holds, for example gatewise\.data\.read_table", gw.train, str(table), [1])
    assert len(model.predict([str(table)])) == 1


TINY = ("--epochs", 1, "--set", "units=4", "--set", "ngrams.order=1")


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


def test_folders_of_train_and_test(run: Run, tmp_path: Path) -> None:
    for part, name in product(("train", "test"), ("good", "bad")):
        write_folder(tmp_path / "films" / part / name, {f"{n}.txt": f"a {name} film {part} {n}" for n in range(3)})
    splits = read_folders(tmp_path / "films")
    assert splits.train.inputs[0] == "a bad film train 0"
    assert splits.test.inputs[0] == "a bad film test 0"
    found = run.json("data", tmp_path / "films")
    assert [found[part]["n"] for part in ("train", "test")] == [6, 6]
    assert found["note"] == "the folder test of 'films'"
    write(tmp_path / "films", "test/odd/0.txt", "an odd film")
    assert_refused("the class 'odd' is not in train/", read_folders, tmp_path / "films", error=DataError)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of series of one channel and 6 steps, without remembered columns."""
    path = tmp_path_factory.mktemp("models") / "wide"
    small_model(SeriesPreprocessor.fit(list(WAVES[:, :, None])), ("down", "up"), 5).save(path)
    return path


def test_series_of_another_length_are_reported(run: Run, tmp_path: Path, folder: Path) -> None:
    short = write(tmp_path, "short.csv", "a,b\n1,2\n")
    with pytest.warns(UserWarning, match="the series have 2 steps, those of training 6; name a label or id column"):
        assert run("predict", "-m", folder, "-i", short).exit_code == 0


def test_a_long_table_and_its_ids(run: Run, tmp_path: Path, folder: Path) -> None:
    lines = [f"{name},{t},{WAVES[k, t]}" for k, name in enumerate("pqr") for t in range(6)]
    file = write(tmp_path, "long.csv", "\n".join(["who,t,x", *lines[::-1]]))
    done = run("predict", "-m", folder, "-i", file, "--id", "who", "--time", "t", "-o", tmp_path / "out.csv")
    assert done.exit_code == 0, done.stderr
    assert "wrote" in done.stderr
    assert "out.csv': 3 rows" in done.stderr
    written = (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()
    assert written[0].startswith("who,")
    assert [line.split(",")[0] for line in written[1:]] == ["r", "q", "p"]
    found = gw.load(folder).predict(WAVES[2::-1]).tolist()
    assert [line.split(",")[1] for line in written[1:]] == found


def test_a_ucr_file_without_classes_is_not_misread(run: Run, tmp_path: Path, folder: Path) -> None:
    file = write(tmp_path, "new.tsv", "\n".join("\t".join(map(str, row)) for row in WAVES[:4].tolist()))
    done = run("predict", "-m", folder, "-i", file)
    assert done.exit_code == 2
    assert "the first column is the class, but the model has no class" in done.stderr
    done = run("predict", "-m", folder, "-i", file, "--label", "")
    assert len(done.stdout.splitlines()) == 4


SHOPS = pd.DataFrame(
    {
        "text": [f"a film {n % 97}" for n in range(1500)],
        "Shop": np.where(np.random.default_rng(3).random(1500) < 0.5, "A", "B"),
        "age": np.random.default_rng(4).normal(40, 9, 1500).round(1),
    }
)
FAR = SHOPS.assign(age=SHOPS.age * 1000, Shop="never")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A calibrated model of texts, numbers and categories, and tables in its folder."""
    folder = tmp_path_factory.mktemp("shop")
    SHOPS.assign(label=np.where(SHOPS.Shop == "A", "x", "y")).to_csv(folder / "train.csv", index=False)
    for name, frame in {"same": SHOPS, "far": FAR, "short": SHOPS.drop(columns="Shop")}.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    SHOPS.rename(columns={"Shop": " SHOP", "age": "Age"}).to_csv(folder / "case.csv", index=False)
    SHOPS.assign(age="").to_csv(folder / "empty.csv", index=False)
    options = ("--numeric", "age", "--categorical", "shop", "--epochs", "1", "--set", "units=4", "-o", folder / "model")
    assert Run()("train", folder / "train.csv", *options).exit_code == 0
    return folder


AGE = "column 'age' is beyond the training range, "
SHOP = "column 'Shop' has categories that the model does not know, in 100.0% of the rows (1,500 of 1,500 with a value)"


def test_rows_outside_of_the_training_data_are_not_called_calibrated(shop: Path, tmp_path: Path) -> None:
    run = Run()
    predict = ("predict", "-m", shop / "model", "-i")
    assert "probabilities are calibrated" in run(*predict, shop / "same.csv").stderr
    assert run.json(*predict, shop / "same.csv")["calibrated"] is True
    for words in ((), ("-o", tmp_path / "out.csv"), ("-o", f"{tmp_path}/out/")):
        lines = run(*predict, shop / "far.csv", *words).stderr.splitlines()
        assert "calibrated" not in " ".join(lines)
        warnings = [line for line in lines if "warning" in line]
        assert len(warnings) == 2
        assert warnings[0].startswith(f"gatewise: warning: {AGE}")
        assert warnings[1].startswith(f"gatewise: warning: {SHOP}; in training 0.0%")
    found = run.json(*predict, shop / "far.csv")
    assert (found["calibrated"], [one[: len(AGE)] for one in found["warnings"]]) == (False, [AGE, SHOP[: len(AGE)]])


def test_an_explanation_outside_of_the_training_data_is_not_called_calibrated(shop: Path) -> None:
    model = gw.load(shop / "model")
    near, far = ({"age": age, "Shop": "A"} for age in ("40.5", "4e4"))
    assert model.explain(gw.data.with_columns("a film", near)).calibrated
    with pytest.warns(DataWarning, match="column 'age' is beyond the training range") as warned:
        explanation = model.explain(gw.data.with_columns("a film", far))
    assert Path(warned[0].filename).name == "test_columns.py"
    assert not explanation.calibrated
    assert "calibrated" not in str(explanation)
    typed = ("explain", "-m", shop / "model", "a film", "--column", "Shop=A", "--column")
    assert "(calibrated)" in Run()(*typed, "age=40.5").stdout
    done = Run()(*typed, "age=4e4")
    assert "(calibrated)" not in done.stdout


def test_a_missing_column_and_one_in_another_case(shop: Path) -> None:
    run = Run()
    message = refused(run, "predict", "-m", shop / "model", "-i", shop / "short.csv")
    assert message.endswith("short.csv':1: no column 'Shop'; there are 'text', 'age'")
    same, case = (run("predict", "-m", shop / "model", "-i", shop / f"{name}.csv") for name in ("same", "case"))
    assert (same.exit_code, same.stdout) == (0, case.stdout)
    message = refused(run, "train", shop / "train.csv", "--numeric", "ages", "-o", shop / "never")
    assert message.endswith("no column 'ages'; there are 'text', 'Shop', 'age', 'label'")


def test_a_column_that_is_empty_at_training_is_refused(shop: Path) -> None:
    frame = pd.read_csv(shop / "empty.csv").assign(label=["x", "y"] * 750)
    frame.to_csv(shop / "no ages.csv", index=False)
    message = refused(Run(), "train", shop / "no ages.csv", "--numeric", "age", "-o", shop / "never")
    assert "the column 'age' has no number in any of 1,500 training rows: take it out" in message


def test_a_file_and_its_frame_of_pandas(tmp_path: Path) -> None:
    """Booleans are one value; zeros, names and digits that pandas loses are refused by name."""
    rng = np.random.default_rng(8)
    frame = pd.DataFrame({"text": [f"a film {n % 7}" for n in range(300)], "label": rng.choice(["x", "y"], 300)})
    columns = {"flag": ["true", "false"], "zip": ["00501", "10001"], "region": ["NA", "EU"]}
    for name, values in columns.items():
        frame[name] = rng.choice(values, 300)
    frame.to_csv(tmp_path / "t.csv", index=False)
    refusals = {"zip": "is '501', and the model knows '00501'", "region": "is NaN, and the model knows a category 'NA'"}
    for name in columns:
        path = tmp_path / name
        done = Run()(
            "train", tmp_path / "t.csv", "--categorical", name, "--epochs", "1", "--set", "units=4", "-o", path
        )
        assert done.exit_code == 0
        model = gw.load(path)
        found = Run().json("predict", "-m", path, "-i", tmp_path / "t.csv")["predictions"]
        texts = pd.read_csv(tmp_path / "t.csv", dtype=str, keep_default_na=False)
        wanted = [one["probabilities"]["y"] for one in found]
        assert np.ptp(wanted) > 0
        np.testing.assert_allclose(model.predict_proba(texts)[:, 1], wanted, rtol=0, atol=1e-7)
        if name in refusals:
            assert_refused(f"column '{name}' {refusals[name]}", model.predict, pd.read_csv(tmp_path / "t.csv"))
        else:
            same = model.predict_proba(pd.read_csv(tmp_path / "t.csv"))
            np.testing.assert_array_equal(same, model.predict_proba(texts))
