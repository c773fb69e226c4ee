"""Series for `python -m benchmarks.own_data forecast`: of statsmodels, sktime, pydataset, vega_datasets, and made ones.

`packages` is the site-packages folder of an environment with these packages, whose files are read, not imported.
`forecast_sets.csv` has the sets of one series. last: how many values at its end are kept, 0 for all; start: the time of
the first one that is kept.
"""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd


class Set(NamedTuple):
    """frame: id, time, target and the columns `future`, which are known in advance. season: of the peers and of MASE.
    windows: forecasts of `horizon` values that are measured, the last ones.
    """

    frame: pd.DataFrame
    horizon: int
    season: int
    windows: int = 3
    future: tuple[str, ...] = ()


def _one(values: Any, start: str, freq: str) -> pd.DataFrame:
    values = np.asarray(values, dtype=np.float64)
    return pd.DataFrame({"id": "1", "time": pd.date_range(start, periods=len(values), freq=freq), "target": values})


def _many(values: dict[str, Any], start: str, freq: str) -> pd.DataFrame:
    return pd.concat([_one(one, start, freq).assign(id=name) for name, one in values.items()], ignore_index=True)


def _values(file: Path, column: str) -> pd.Series[float]:
    """A column of a file, or the third column of a table in an archive of R's data sets."""
    if file.suffix != ".gz":
        return pd.read_csv(file, float_precision="round_trip", encoding="utf-8-sig")[column].interpolate()
    with tarfile.open(file) as archive:
        found = archive.extractfile(f"resources/rdata/csv/datasets/{column}.csv")
        assert found is not None
        return pd.read_csv(found, float_precision="round_trip").iloc[:, 2]


def sets(packages: Path) -> dict[str, Set]:
    """All sets by name. Raises OSError for a package that is not installed."""
    found = {}
    for row in pd.read_csv(Path(__file__).with_suffix(".csv")).itertuples():
        values = _values(packages / row.file, row.column)[-row.last :]
        found[row.name] = Set(_one(values, row.start, row.freq), row.horizon, row.season, row.windows)
    employment, power, stocks = (
        pd.read_csv(packages / "vega_datasets/_data" / f"{name}.csv")
        for name in ("us-employment", "iowa-electricity", "stocks")
    )
    sectors = {name: employment[name] for name in employment.columns[1:23]}
    sources = {name: rows["net_generation"] for name, rows in power.groupby("source")}
    prices = {name: rows["price"][-68:] for name, rows in stocks.groupby("symbol")}
    return {
        **found,
        "employment": Set(_many(sectors, "2006", "MS"), 12, 12, 2),
        "power": Set(_many(sources, "2001", "YS"), 4, 1, 2),
        "stocks": Set(_many(prices, "2004-08", "MS"), 6, 12, 2),
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
