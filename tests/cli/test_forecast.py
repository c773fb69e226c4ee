"""gatewise forecast: a table in, forecasts with intervals out; a saved forecaster with newer values."""

import csv
import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

import gatewise as gw
from tests.cli.conftest import Run
from tests.cli.test_bad_input import refused
from tests.forecast.conftest import seasonal


def table(path: Path, rows: list[str], header: str = "month,passengers") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def months(n: int, first: int = 1990) -> list[str]:
    return [f"{first + k // 12}-{k % 12 + 1:02d}" for k in range(n)]


@pytest.mark.training
def test_forecast_of_one_series(run: Run, tmp_path: Path) -> None:
    rows = [f"{month},{value:.3f}" for month, value in zip(months(72), seasonal(72), strict=True)]
    file = table(tmp_path / "data.csv", rows)
    done = run("forecast", file, "--horizon", 6, "--level", 80, "--level", 95, "--save", tmp_path / "saved")
    assert done.exit_code == 0, done.stderr
    found = list(csv.reader(done.stdout.splitlines()))
    assert found[0] == ["month", "forecast", "lo-80", "hi-80", "lo-95", "hi-95"]
    assert [row[0] for row in found[1:]] == [f"1996-0{k}" for k in range(1, 7)]
    numbers = np.array([[float(cell) for cell in row[1:]] for row in found[1:]])
    assert (numbers[:, 1] < numbers[:, 0]).all()
    assert (numbers[:, 0] < numbers[:, 2]).all()
    np.testing.assert_allclose(numbers[:, 0], gw.load(tmp_path / "saved").predict()["forecast"], rtol=1e-4)
    lines = done.stderr.splitlines()
    assert "season 12; 19 held-out windows of 6 steps" in lines[0]
    assert "gatewise        MASE" in lines[1]
    assert "seasonal naive  MASE" in lines[2]
    members = lines.index("gatewise: the forecast is a weighted sum of the forecasts of these members:")
    assert "  LSTM: " in lines[members + 1]
    for words in (("predict", "-i", file), ("explain", "-i", file), ("evaluate", file)):
        message = refused(run, *words, "-m", tmp_path / "saved")
        assert "saved is a forecaster, made by `gatewise forecast`" in message
    described = run("info", "-m", tmp_path / "saved")
    assert "19 held-out windows, which overlap and count as 6.3, for a level of 95%" in lines.pop()
    assert [line.removeprefix("gatewise: ") for line in lines] == described.stdout.splitlines()[3 : 3 + len(lines)]
    assert run.json("info", "-m", tmp_path / "saved")["seasons"] == [12]

    # Newer values: the forecaster is not fitted again.
    newer = table(tmp_path / "new.csv", [*rows, "1996-01,105", "1996-02,107"])
    done = run("forecast", "-m", tmp_path / "saved", "-i", newer, "--horizon", 2, "-o", tmp_path / "next.parquet")
    assert done.exit_code == 0, done.stderr
    import pandas as pd

    assert pd.read_parquet(tmp_path / "next.parquet")["month"].tolist() == ["1996-03", "1996-04"]
    for words, message in (
        (("-m", tmp_path / "saved", "-i", newer, "--season", 4), "--season is for a fit; the forecaster of -m"),
        (("-m", tmp_path / "saved"), "name one table"),
        (("-i", newer), "name one table"),
        ((), "name one table"),
    ):
        assert message in refused(run, "forecast", *words)


def test_several_series_to_a_file_and_as_json(run: Run, tmp_path: Path, keras_folder: Path) -> None:
    rows = [f"a,{n},{value:.3f},{n % 5},{n % 2}" for n, value in enumerate(seasonal(60))]
    rows += [f"b,{n},{value:.3f},{n % 7},{n % 2}" for n, value in enumerate(seasonal(48, seed=1))]
    rows += [f"a,{n},,,1" for n in (60, 61, 62)] + [f"b,{n},,,0" for n in (48, 49, 50)]  # the future
    file = table(tmp_path / "data.csv", rows, "shop,day,sold,price,sale")
    options = shlex.split("--time day --target sold --id shop --past price --future sale --horizon 3 --season 12")
    (tmp_path / "out.csv").write_text("mine")
    shutil.copytree(keras_folder, tmp_path / "saved")
    outputs = ("-o", tmp_path / "out.csv", "--save", tmp_path / "saved", "--overwrite")
    done = run("forecast", file, *options, *outputs)
    assert done.exit_code == 0, done.stderr
    assert gw.load(tmp_path / "saved").horizon == 3
    written = list(csv.DictReader((tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()))
    want = [("a", str(day)) for day in range(60, 63)] + [("b", str(day)) for day in range(48, 51)]
    assert [(row["shop"], row["day"]) for row in written] == want
    done = run("forecast", "-m", tmp_path / "saved", "-i", file, "--json", "-o", tmp_path / "again.csv")
    found = json.loads(done.stdout)
    assert (tmp_path / "again.csv").is_file()
    assert found["seasons"] == [12]
    assert found["series"]["b"]["day"] == ["48", "49", "50"]
    assert float(written[3]["forecast"]) == pytest.approx(found["series"]["b"]["forecast"][0], rel=1e-4)
    assert set(found["held_out"]) == {"windows", "steps", "gatewise", "seasonal_naive"}
    assert set(found["held_out"]["gatewise"]) == {"mase", "mape", "rmse"}
    assert sum(one["weight"] for one in found["members"]) == pytest.approx(1)


def test_a_bad_table_is_one_line(run: Run, tmp_path: Path) -> None:
    for rows, message in (
        (["1990-01,1", "1990-01,2"], "data.csv': the time 1990-01-01 occurs twice: name the column of the series"),
        (["1990-01,1", "1990-02,many"], "data.csv':3: 'passengers' must be a number, not 'many'"),
    ):
        file = table(tmp_path / "data.csv", rows)
        assert message in refused(run, "forecast", file, "--time", "month", "--target", "passengers")
