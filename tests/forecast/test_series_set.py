"""The series of a forecaster, from what a user passes."""

from __future__ import annotations

import numpy as np
import pytest

from gatewise.forecast.series import series_set


def test_an_arrow_table_has_one_series_per_column() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    found = series_set(pyarrow.table({"a": [1.0, 2.5, 3.0], "b": [7.0, 5.0, 6.5]}))
    assert found.names == ("a", "b")
    np.testing.assert_array_equal(found.values[1], [[7.0], [5.0], [6.5]])
