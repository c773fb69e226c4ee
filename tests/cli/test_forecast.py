"""gatewise forecast: a table in, forecasts with intervals out, the seasonal naive forecast always beside them."""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import DataError
from gatewise.forecast.series import read_forecast_table
from tests.cli.conftest import Run
from tests.cli.test_bad_input import refused
from tests.forecast.conftest import seasonal


def table(path: Path, rows: list[str], header: str = "month,passengers") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def months(n: int, first: int = 1990) -> list[str]:
    return [f"{first + k // 12}-{k % 12 + 1:02d}" for k in range(n)]


def test_forecast_of_one_series(run: Run, tmp_path: Path) -> None:
    rows = [f"{month},{value:.3f}" for month, value in zip(months(72), seasonal(72), strict=True)]
    file = table(tmp_path / "data.csv", rows)
    options = ("--time", "Month", "--value", "passengers", "--horizon", 6)
    done = run("forecast", file, *options, "--save", tmp_path / "saved")
    assert done.exit_code == 0, done.stderr
    found = list(csv.reader(done.stdout.splitlines()))
    assert found[0] == ["month", "passengers", "lower 80%", "upper 80%", "seasonal naive"]
    assert [row[0] for row in found[1:]] == [f"1996-0{k}" for k in range(1, 7)]
    numbers = np.array([[float(cell) for cell in row[1:]] for row in found[1:]])
    assert (numbers[:, 1] < numbers[:, 0]).all()
    assert (numbers[:, 0] < numbers[:, 2]).all()
    np.testing.assert_allclose(numbers[:, 3], seasonal(72)[60:66], rtol=1e-4)
    np.testing.assert_allclose(numbers[:, 0], gw.load(tmp_path / "saved").predict(), rtol=1e-4)
    lines = done.stderr.splitlines()
    assert "season 12; 12 held-out windows of 6 steps" in lines[0]
    assert "gatewise        MASE" in lines[1]
    assert "seasonal naive  MASE" in lines[2]
    assert "MAPE" in lines[2]
    assert "RMSE" in lines[2]
    assert lines[3] == "gatewise: the forecast is a weighted sum of the forecasts of these models:"
    assert lines[4].startswith("gatewise:   0.0")
    assert "  LSTM: " in lines[4]
    assert all("  autoregression: " in line for line in lines[5:])
    for words in (("predict", "-i", file), ("explain", "-i", file), ("evaluate", file), ("serve",)):
        message = refused(run, *words, "-m", tmp_path / "saved")
        assert "saved is a forecaster, made by `gatewise forecast`" in message
    described = run("info", "-m", tmp_path / "saved")
    assert [line.removeprefix("gatewise: ") for line in lines] == described.stdout.splitlines()[3 : 3 + len(lines)]
    found = run.json("info", "-m", tmp_path / "saved")
    assert [f"gatewise:   {one['weight']:.2f}  {one['name']}" for one in found["members"]] == lines[4:]


def test_several_series_to_a_file_and_as_json(run: Run, tmp_path: Path, keras_folder: Path) -> None:
    rows = [f"a,{n},{value:.3f},{n % 5}" for n, value in enumerate(seasonal(60))]
    rows += [f"b,{n},{value:.3f},{n % 7}" for n, value in enumerate(seasonal(48, seed=1))]
    file = table(tmp_path / "data.csv", rows, "shop,day,sold,price")
    options = shlex.split("--time day --value sold --id shop --exogenous price --horizon 3 --season 12")
    (tmp_path / "out.csv").write_text("mine")
    shutil.copytree(keras_folder, tmp_path / "saved")
    outputs = ("-o", tmp_path / "out.csv", "--save", tmp_path / "saved", "--overwrite")
    done = run("forecast", file, *options, *outputs, "--json")
    assert done.exit_code == 0, done.stderr
    assert gw.load(tmp_path / "saved").horizon == 3
    found = json.loads(done.stdout)
    assert found["season"] == 12
    assert found["series"]["b"]["times"] == ["48", "49", "50"]
    written = list(csv.DictReader((tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()))
    want = [("a", str(day)) for day in range(60, 63)] + [("b", str(day)) for day in range(48, 51)]
    assert [(row["shop"], row["day"]) for row in written] == want
    assert float(written[3]["sold"]) == pytest.approx(found["series"]["b"]["forecast"][0], rel=1e-4)
    assert set(found["held_out"]) == {"windows", "steps", "gatewise", "seasonal_naive"}
    assert set(found["held_out"]["gatewise"]) == {"mase", "mape", "rmse"}
    assert sum(one["weight"] for one in found["members"]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["1990-01,1", "1990-02,2", "1990-04,3", "1990-05,4"], "1990-03-01 is missing"),
        (["1990-01,1", "1990-01,2"], "the time 1990-01-01 occurs twice"),
        (["1990-02,1", "1990-01,2"], "sort the rows by time$"),
        (["1990-01,1", "1990-02,2", "1990-01,3"], "sort the rows by time; --id names the column of the series"),
        (["1990-01,1", "1990-02,"], r"data\.csv':3: 'passengers' is missing"),
        (
            ["0001-01-01T00:00+05:00,1", "0001-01-02T00:00+05:00,2"],
            r"data\.csv': the series: the time 0001-01-01T00:00:00.* in UTC",
        ),
        (["1990-01,1", "1990-02,many"], ":3: 'passengers' must be a number, not 'many'"),
        (["1990-01,1", "02/1990,2"], ":3: the time '02/1990' is neither a number nor a date"),
        ([f"{month},1" for month in months(9)], "9 values, too few"),
        ([], "has no row|is empty|no row"),
    ],
)
def test_a_bad_table_is_one_line(run: Run, tmp_path: Path, rows: list[str], message: str) -> None:
    file = table(tmp_path / "data.csv", rows)
    assert re.search(message, refused(run, "forecast", file, "--time", "month", "--value", "passengers"))


def test_0_and_false_name_series(tmp_path: Path) -> None:
    rows = [{"shop": shop, "day": n, "sold": n} for shop in (0, False, " b ") for n in (1, 2)]
    file = tmp_path / "data.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert read_forecast_table(file, time="day", value="sold", id="shop").series.names == ("0", "False", "b")
    for missing in (None, " "):
        file.write_text(json.dumps({"shop": missing, "day": 1, "sold": 1}), encoding="utf-8")
        with pytest.raises(DataError, match=r"data\.jsonl':1: 'shop' is empty"):
            read_forecast_table(file, time="day", value="sold", id="shop")


def test_a_missing_number_names_no_series(tmp_path: Path) -> None:
    """pandas writes a column of whole numbers with a missing one as floats with NaN."""
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "data.parquet"
    parquet.write_table(pyarrow.table({"shop": [0.0, float("nan")], "day": [1, 2], "sold": [1, 2]}), file)
    with pytest.raises(DataError, match=r"data\.parquet':2: 'shop' is empty"):
        read_forecast_table(file, time="day", value="sold", id="shop")


def test_options_are_checked_before_anything_is_read_or_fitted(
    run: Run, tmp_path: Path, keras_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("out.csv").write_text("mine")
    Path("notes").mkdir()
    Path("notes/a.txt").write_text("mine")
    Path("folder.csv").mkdir()
    shutil.copytree(keras_folder, "model")
    month, both = "none.csv --time month", "none.csv --time month --value passengers"
    for words, message in (
        (month, "Missing option '--value'"),
        (f"{both} --level 1", "Invalid value for '--level': 1.0 is not in the range 0<x<1"),
        (f"{both} -o out.xlsx", "must end in one of .csv"),
        (f"{both.replace('none', 'out')} -o out.csv", "the output is the input"),
        (f"{both} -o none/out.csv", "'none': not a folder"),
        (f"{both} -o out.csv", "'out.csv': exists already; --overwrite replaces it"),
        (f"{both} -o folder.csv --overwrite", "'folder.csv': is a folder"),
        (f"{both} --save model", "'model': exists already; --overwrite replaces it"),
        (f"{both} --save notes", "'notes' contains files and is not a gatewise model; it was not changed"),
        (f"{both} --save notes --overwrite", "'notes' contains files and is not a gatewise model; it was not changed"),
        (f"{both} --save out.csv --overwrite", "'out.csv' exists and is not a folder; it was not changed"),
        (f"{both} -o out.csv --save model --overwrite", "'none.csv': not found"),
    ):
        done = run("forecast", *shlex.split(words))
        assert (done.exit_code, message in done.stderr) == (2, True), done.stderr
    assert Path("out.csv").read_text() == "mine"
    file = table(tmp_path / "data.csv", ["1990-01,1"], "month,value")
    assert "no column 'passengers'" in refused(run, "forecast", file, *shlex.split("--time month --value passengers"))
