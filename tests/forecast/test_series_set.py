"""The series of a forecaster, from what a user passes."""

from __future__ import annotations

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.forecast.series import series_set


def test_an_arrow_table_has_one_series_per_column() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    found = series_set(pyarrow.table({"a": [1.0, 2.5, 3.0], "b": [7.0, 5.0, 6.5]}))
    assert found.names == ("a", "b")
    np.testing.assert_array_equal(found.values[1], [[7.0], [5.0], [6.5]])


def test_steps_that_differ_by_rounding_are_one() -> None:
    y = {"a": np.arange(9.0), "b": np.arange(80.0)}
    found = series_set(y, times={"a": 1e6 + np.arange(9) / 3, "b": 1e6 + np.arange(80) / 3})
    assert found.step is not None
    assert found.step.number == pytest.approx(1 / 3, rel=1e-12)  # of the longer series
    with pytest.raises(InputError, match=r"different steps between times: 1 and 1\.001"):
        series_set(y, times={"a": np.arange(9.0), "b": 1.001 * np.arange(80)})
    with pytest.raises(InputError, match="every series needs times, or none"):
        series_set(y, times={"a": None, "b": np.arange(80)})


def test_two_names_that_are_one_as_text_are_refused() -> None:
    pandas = pytest.importorskip("pandas")
    y = np.arange(9.0)
    for names in ([1, "1"], ["1", "1"]):
        frame = pandas.DataFrame(np.stack([y, y], axis=1), columns=names)
        for given in ((frame,), (y, frame)):
            with pytest.raises(InputError, match="2 names are '1' as text; every name must differ"):
                series_set(*given)
    with pytest.raises(InputError, match="2 names are '1' as text"):
        series_set({1: y}, times={1: y, "1": y})
