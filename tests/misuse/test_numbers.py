"""Numbers of series that float32 would round away."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gatewise.data import Labelled
from gatewise.data.read import read_series
from gatewise.errors import GatewiseError
from tests.misuse.cases import KINDS, WAVES, fail_with

OFFSET = WAVES + 1e8
CHANNELS = np.stack([WAVES, OFFSET], axis=2)

ROUNDED: dict[str, tuple[Any, str]] = {
    "an offset of 1e8": (OFFSET, "channel 0: values near 1e+08 differ by about 1.02, and float32 keeps 8 apart"),
    "below 0": (-OFFSET, "channel 0: values near 1e+08"),
    "1e12": (WAVES * 100 + 1e12, "float32 keeps 6.55e+04 apart: subtract an offset from this channel first"),
    "seconds since 1970": (np.floor(WAVES * 10) + 1_700_000_000, "channel 0: values near 1.7e+09"),
    "whole numbers": ((WAVES * 5).astype(np.int64) + 10**9, "channel 0: values near 1e+09"),
    "the second channel": (CHANNELS, "channel 1: values near 1e+08"),
    "lists": (OFFSET.tolist(), "channel 0: values near 1e+08"),
    "a frame": (pd.DataFrame(OFFSET, columns=[f"t{k}" for k in range(12)]), "channel 0: values near 1e+08"),
    "series of any length": ([row[: 4 + n % 8] for n, row in enumerate(OFFSET)], "channel 0: values near 1e+08"),
    "small and close": (1 + WAVES * 1e-8, "channel 0: values near 1 differ by about"),
    "missing values": (np.where(WAVES > 1, np.nan, OFFSET), "channel 0: values near 1e+08"),
}


@pytest.mark.parametrize("case", ROUNDED)
def test_differences_that_float32_rounds_away(case: str) -> None:
    inputs, message = ROUNDED[case]
    layout = "time-first" if getattr(inputs, "ndim", 2) == 3 else None
    fail_with(lambda: Labelled.of(inputs, KINDS, layout=layout), message)


KEPT: dict[str, Any] = {
    "1e8 and large differences": WAVES * 1e5 + 1e8,
    "constant": np.full_like(WAVES, 1e8 + 0.3),
    "constant, and computed": np.full_like(WAVES, 0.1) + np.tile([0.2, 0.3 - 0.1], 6) - 0.2,
    "years": np.floor(WAVES) + 2024,
    "levels that differ": np.repeat([[0.0], [1e8]], 30, axis=0) + WAVES,
    "large and few": np.array([[1e30, 2e30], [3e30, 1e30]] * 30),
}


@pytest.mark.parametrize("case", KEPT)
def test_numbers_whose_differences_are_kept(case: str) -> None:
    found = Labelled.of(KEPT[case], KINDS)
    assert all(one.dtype == np.float32 for one in found.inputs)
    np.testing.assert_array_equal(np.stack(found.inputs)[:, :, 0], KEPT[case].astype(np.float32))


def test_in_files(tmp_path: Path) -> None:
    """Of a table, and of arrays."""
    table, arrays = tmp_path / "a.csv", tmp_path / "a.npz"
    pd.DataFrame(OFFSET, columns=[f"t{k}" for k in range(12)]).assign(label=KINDS).to_csv(table, index=False)
    np.savez(arrays, X=OFFSET, y=KINDS)
    for path in (table, arrays):
        fail_with(lambda path=path: read_series(path).labelled(), "channel 0: values near 1e+08", GatewiseError)
