"""Series for `python -m benchmarks.own_data forecast`: of statsmodels, sktime, pydataset, vega_datasets, and made ones.

`packages` is the site-packages folder of an environment with these packages, whose files are read, not imported.
"""

from __future__ import annotations

import csv
import io
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

_SKTIME, _STATSMODELS, _VEGA = "sktime/datasets/data", "statsmodels/datasets", "vega_datasets/_data"


class Set(NamedTuple):
    """frame: id, time, target and the columns `future`, which are known in advance. season: of the peers and of MASE.
    windows: forecasts of `horizon` values that are measured, the last ones.
    """

    frame: pd.DataFrame
    horizon: int
    season: int
    windows: int = 3
    future: tuple[str, ...] = ()


def _one(values: Any, start: str, freq: str, last: int = 100_000) -> pd.DataFrame:
    values = np.asarray(values, dtype=np.float64)
    times = pd.date_range(start, periods=len(values), freq=freq)
    return pd.DataFrame({"id": "1", "time": times, "target": values})[-last:].reset_index(drop=True)


def _many(values: dict[str, Any], start: str, freq: str) -> pd.DataFrame:
    return pd.concat([_one(one, start, freq).assign(id=name) for name, one in values.items()], ignore_index=True)


def sets(packages: Path) -> dict[str, Set]:
    """All sets by name. Raises OSError for a package that is not installed."""

    def column(path: str, name: str) -> list[float]:
        with open(packages / path, newline="", encoding="utf-8-sig") as file:
            return [float(row[name] or "nan") for row in csv.DictReader(file)]

    archive = tarfile.open(packages / "pydataset/resources.tar.gz")  # noqa: SIM115

    def dataset(name: str) -> list[float]:
        file = archive.extractfile(f"resources/rdata/csv/datasets/{name}.csv")
        assert file is not None
        rows = csv.reader(io.TextIOWrapper(file, encoding="utf-8"))
        next(rows)
        return [float(row[2]) for row in rows]

    macro = f"{_STATSMODELS}/macrodata/macrodata.csv"
    employment = pd.read_csv(packages / _VEGA / "us-employment.csv")
    power = pd.read_csv(packages / _VEGA / "iowa-electricity.csv")
    stocks = pd.read_csv(packages / _VEGA / "stocks.csv")
    co2 = pd.Series(column(f"{_STATSMODELS}/co2/co2.csv", "co2")).interpolate()
    return {
        "airline": Set(_one(column(f"{_SKTIME}/Airline/Airline.csv", "Passengers"), "1949", "MS"), 12, 12),
        "lynx": Set(_one(column(f"{_SKTIME}/Lynx/Lynx.csv", "0"), "1821", "YS"), 10, 1),
        "shampoo": Set(_one(column(f"{_SKTIME}/ShampooSales/ShampooSales.csv", "Sales"), "2001", "MS"), 6, 12, 2),
        "scripts": Set(_one(column(f"{_SKTIME}/PBS_dataset/PBS_dataset.csv", "Scripts"), "1991-07", "MS"), 12, 12),
        "solar": Set(_one(column(f"{_SKTIME}/solar/solar.csv", "solar_gen"), "2021-05", "30min"), 48, 48, 2),
        "seatbelts": Set(_one(column(f"{_SKTIME}/seatbelts/seatbelts.csv", "KSI"), "1969", "MS"), 12, 12),
        "consumption": Set(_one(column(f"{_SKTIME}/Uschange/Uschange.csv", "Consumption"), "1970", "QS"), 8, 4),
        "nile": Set(_one(column(f"{_STATSMODELS}/nile/nile.csv", "volume"), "1871", "YS"), 10, 1),
        "sunspots": Set(_one(column(f"{_STATSMODELS}/sunspots/sunspots.csv", "SUNACTIVITY"), "1700", "YS"), 12, 1),
        "gdp": Set(_one(column(macro, "realgdp"), "1959", "QS"), 8, 4),
        "unemployment": Set(_one(column(macro, "unemp"), "1959", "QS"), 8, 4),
        "co2 weekly": Set(_one(co2, "1958-03-29", "W-SAT", 520), 26, 52),
        "equipment": Set(
            _one(column(f"{_STATSMODELS}/elec_equip/elec_equip.csv", "STS.M.I7.W.TOVT.NS0016.4.000"), "1995", "MS"),
            12,
            12,
        ),
        "gas": Set(_one(dataset("UKgas"), "1960", "QS"), 8, 4),
        "earnings": Set(_one(dataset("JohnsonJohnson"), "1960", "QS"), 8, 4),
        "temperature monthly": Set(_one(dataset("nottem"), "1920", "MS"), 12, 12),
        "population": Set(_one(dataset("austres"), "1971-04", "QS"), 8, 4),
        "accidents": Set(_one(dataset("USAccDeaths"), "1973", "MS"), 12, 12, 2),
        "users": Set(_one(dataset("WWWusage"), "2000", "min"), 10, 1),
        "sales": Set(_one(dataset("BJsales"), "2000", "D"), 10, 1),
        "lake": Set(_one(dataset("LakeHuron"), "1875", "YS"), 10, 1),
        "tree rings": Set(_one(dataset("treering")[-400:], "1750", "YS"), 10, 1),
        "discoveries": Set(_one(dataset("discoveries"), "1860", "YS"), 10, 1),
        "electricity hourly": Set(
            _one(column("statsmodels/tsa/stl/tests/results/mstl_elec_vic.csv", "y"), "2012", "h", 1344), 48, 24, 2
        ),
        "temperature hourly": Set(_one(column(f"{_VEGA}/seattle-temps.csv", "temp"), "2010", "h", 1344), 48, 24, 2),
        "temperature daily": Set(_one(column(f"{_VEGA}/seattle-weather.csv", "temp_max"), "2012", "D"), 28, 7),
        "employment": Set(
            _many({name: employment[name] for name in employment.columns[1:23]}, "2006", "MS"), 12, 12, 2
        ),
        "power": Set(
            _many({name: rows["net_generation"] for name, rows in power.groupby("source")}, "2001", "YS"), 4, 1, 2
        ),
        "stocks": Set(
            _many({name: rows["price"][-68:] for name, rows in stocks.groupby("symbol")}, "2004-08", "MS"), 6, 12, 2
        ),
        **made_sets(),
    }


def made_sets() -> dict[str, Set]:
    """Sets with one difficulty each, of which the generator is known."""
    rng = np.random.default_rng(41)

    def wave(n: int, period: float, size: float = 1.0, phase: float = 0.0) -> Any:
        angle = 2 * np.pi * np.arange(n) / period + phase
        return size * (np.sin(angle) + 0.4 * np.cos(2 * angle))

    def noise(n: int, size: float) -> Any:
        return rng.normal(0, size, n)

    shift = 100 + wave(120, 12, 8) + noise(120, 3) + 60 * (np.arange(120) >= 70)
    n = 48 * 28
    week = np.where((np.arange(n) // 48) % 7 >= 5, -12, 0)
    halves = 60 + wave(n, 48, 10) + week + noise(n, 2)
    outliers = 200 + 0.4 * np.arange(144) + wave(144, 12, 20) + noise(144, 5)
    outliers[rng.choice(130, 5, replace=False)] += rng.choice([-1, 1], 5) * 150
    demand = {f"{k}": rng.poisson(4, 200) * (rng.random(200) < 0.05 + 0.03 * k) for k in range(10)}
    short = {
        f"{k}": 50 + 10 * k + wave(24, 12, 8, k) + rng.normal(0, 0.5) * np.arange(24) + noise(24, 2) for k in range(10)
    }
    hundred = {
        f"{k}": 100
        + np.cumsum(noise(200, 1.0))
        + rng.gamma(2, 4) * np.tile(rng.normal(0, 1, 7), 29)[:200]
        + noise(200, 3)
        for k in range(100)
    }
    days = 80 + np.cumsum(noise(260, 0.5)) + np.tile([6.0, 1, -2, -4, -1], 52) + noise(260, 1.5)
    promotion = np.zeros(96)
    promotion[rng.choice(96, 24, replace=False)] = 1
    promoted = 100 + 0.3 * np.arange(96) + wave(96, 12, 6) + 60 * promotion + noise(96, 2)
    return {
        "made: level shift": Set(_one(shift, "2010", "MS"), 12, 12),
        "made: two seasons": Set(_one(halves, "2020-01-06", "30min"), 96, 48, 2),
        "made: outliers": Set(_one(outliers, "2010", "MS"), 12, 12),
        "made: intermittent": Set(_many(demand, "2020", "D"), 14, 7, 2),
        "made: short": Set(_many(short, "2020", "MS"), 6, 12, 1),
        "made: 100 series": Set(_many(hundred, "2020", "D"), 14, 7, 1),
        "made: weekdays": Set(_one(days, "2020-01-06", "B"), 10, 5),
        "made: promotions": Set(_one(promoted, "2012", "MS").assign(promotion=promotion), 12, 12, 3, ("promotion",)),
    }
