"""A model remembers the columns that it was trained on: other tables need no options, and are refused by name."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import gatewise as gw
from gatewise.cli import program
from gatewise.errors import InputError
from gatewise.types import ColumnNames
from tests.cli.conftest import Run
from tests.cli.test_bad_input import refused

pytestmark = pytest.mark.filterwarnings("ignore::gatewise.errors.DataWarning")

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
    with pytest.raises(InputError, match="no column 'body'; there are 'Title', 'stars'"):
        model.predict(frame.drop(columns="body"))


@pytest.mark.parametrize("given", [str, Path])
def test_a_file_given_as_a_text_is_refused_with_the_right_call(models: Path, given: Any) -> None:
    table, model = given(models / "text.csv"), gw.load(models / "text")
    for call in (model.predict, model.predict_proba, lambda one: model.evaluate(one, [1])):
        with pytest.raises(InputError, match=r"is a file: pass what it holds, gatewise\.data\.read_texts\(\['"):
            call(table)
    with pytest.raises(InputError, match=r"read_series\('.*wide\.csv'\)\.inputs"):
        gw.load(models / "wide").predict(str(models / "wide.csv"))
    with pytest.raises(InputError, match=r"is a file: pass what it holds, for example gatewise\.data\.read_table"):
        gw.train(str(table), [1])
    assert len(model.predict([str(table)])) == 1
