"""Series from what a user passes: forms, layout, refused values."""

from typing import Any

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from gatewise.data.inputs import describe_series, one_series, series_of
from gatewise.errors import InputError

RNG = np.random.default_rng(3)


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(columns)


def lists(series: list[Any]) -> list[Any]:
    assert all(s.dtype == np.float32 and s.ndim == 2 for s in series)
    return [s.tolist() for s in series]


@pytest.mark.parametrize(
    ("given", "want"),
    [
        (np.array([[1, 2, 3], [4, 5, 7]]), [[[1], [2], [3]], [[4], [5], [7]]]),
        ([[1, 2, 3], [4, 5]], [[[1], [2], [3]], [[4], [5]]]),
        ([np.array([1.5, 2]), np.array([4.0])], [[[1.5], [2]], [[4]]]),
        ([np.array([[1, 2], [3, 4], [5, 6]]), np.array([[7, 8]])], [[[1, 2], [3, 4], [5, 6]], [[7, 8]]]),
        (np.array([[[1, 2], [3, 4], [5, 6]]]), [[[1, 2], [3, 4], [5, 6]]]),
        ([[[1, 2], [3, 4], [5, 6]]], [[[1, 2], [3, 4], [5, 6]]]),
        (
            [frame(a=[1, 2], b=[3.5, 4]), frame(a=[5], b=[6])],
            [[[1, 3.5], [2, 4]], [[5, 6]]],
        ),
        (frame(t0=[1, 2], t1=[3, 4], t2=[5, 6]), [[[1], [3], [5]], [[2], [4], [6]]]),
        (np.array([np.array([1.0, 2]), np.array([3.0])], dtype=object), [[[1], [2]], [[3]]]),
        (iter([[1, 2]]), [[[1], [2]]]),
    ],
)
def test_every_form_becomes_steps_by_channels(given: Any, want: Any) -> None:
    assert lists(series_of(given)) == want


def test_missing_values_stay_missing() -> None:
    masked = np.ma.array([[1.0, 2, 3], [4, 5, 6]], mask=[[0, 1, 0], [0, 0, 0]])
    for given in (
        masked,
        [[1.0, np.nan, 3], [4, 5, 6]],
        frame(a=[1.0, 4], b=[np.nan, 5], c=[3.0, 6]),
    ):
        found = series_of(given)
        assert np.argwhere(np.isnan(found)).tolist() == [[0, 1, 0]]
    assert describe_series(found) == "1 channel, 3 steps, 1 of 6 values missing"
    assert describe_series([np.ones((2, 3)), np.ones((5, 3))]) == "3 channels, 2 to 5 steps"


def test_layout_transposes_arrays_but_not_frames() -> None:
    values = RNG.normal(size=(4, 3, 7)).astype(np.float32)  # (n, channels, steps)
    found = series_of(values, "channels-first")
    assert all((a == b.T).all() for a, b in zip(found, values, strict=True))
    assert [s.shape for s in series_of(list(values), layout="channels-first")] == [(7, 3)] * 4
    assert [s.shape for s in series_of(values, layout="time-first")] == [(3, 7)] * 4
    assert lists(series_of([frame(a=[1, 2, 3], b=[4, 5, 6])], "channels-first")) == [[[1, 4], [2, 5], [3, 6]]]
    assert lists(series_of([[1, 2, 3]], "channels-first")) == [[[1], [2], [3]]]
    with pytest.raises(InputError, match="layout must be 'time-first' or 'channels-first', not 'time first'"):
        series_of(values, layout="time first")


@pytest.mark.parametrize("shape", [(4, 1, 9), (4, 6, 100), (4, 5, 5)])
def test_an_array_that_may_have_channels_first_is_refused(shape: tuple[int, ...]) -> None:
    for given in (np.ones(shape), list(np.ones(shape))):
        with pytest.raises(InputError, match="may have channels first: pass layout='time-first' for"):
            series_of(given)
        assert series_of(given, layout="time-first")[0].shape == shape[1:]


def test_lists_whose_second_dimension_varies_may_have_channels_first() -> None:
    with pytest.raises(InputError, match="may have channels first"):
        series_of([np.ones((3, 2)), np.ones((3, 1))])
    assert len(series_of([np.ones((2, 3)), np.ones((4, 3))])) == 2
    assert series_of(np.ones((4, 9, 3)))[0].shape == (9, 3)


def test_the_channels_of_a_model_decide() -> None:
    assert [s.shape for s in series_of(np.ones((4, 3, 7)), channels=7)] == [(3, 7)] * 4
    with pytest.raises(InputError, match=r"seems to have channels first \(the model has 3 channels\): pass layout"):
        series_of(np.ones((4, 3, 7)), channels=3)
    with pytest.raises(InputError, match="may have channels first"):
        series_of(np.ones((4, 3, 3)), channels=3)
    with pytest.raises(InputError, match="row 0 has 7 channels, but the model reads 2"):
        series_of(np.ones((4, 3, 7)), channels=2)
    with pytest.raises(InputError, match="row 1 has 2 channels, but row 0 has 3"):
        series_of([np.ones((9, 3)), np.ones((8, 2))])
    with pytest.raises(InputError, match=r"row 0 has 4 channels, but .* reads 2; it seems to have channels first"):
        series_of([np.ones((2, 4))], channels=2)


def test_a_model_takes_one_series() -> None:
    assert lists(series_of(np.array([1, 2, 3]), channels=1)) == [[[1], [2], [3]]]
    assert lists(series_of([1, 2, 3], channels=1)) == [[[1], [2], [3]]]
    assert lists(series_of(np.array([[1, 2], [3, 4], [5, 6]]), channels=2)) == [[[1, 2], [3, 4], [5, 6]]]
    assert lists(series_of(frame(a=[1, 2, 3], b=[4, 5, 6]), channels=2)) == [[[1, 4], [2, 5], [3, 6]]]
    assert len(series_of(np.ones((4, 9)), channels=1)) == 4
    with pytest.raises(InputError, match="got one series of 3 steps"):
        series_of([1, 2, 3])
    for channels in (None, 1):
        with pytest.raises(InputError, match=r"an array \(9, 1\) is 9 series of one step or one series of 9 steps"):
            series_of(np.ones((9, 1)), channels=channels)
        assert len(series_of(np.ones((9, 1)), "time-first", channels)) == 9
    assert one_series([1, 2, 3], 1).tolist() == [[1], [2], [3]]
    assert one_series(np.array([[1], [2]]), 1).tolist() == [[1], [2]]
    assert one_series(np.array([[1, 4], [2, 5], [3, 6]]), 2).shape == (3, 2)
    for given, channels, message in (
        (np.ones((2, 3)), 2, r"\(steps, 2\), got \(2, 3\); it seems to have channels first: transpose it"),
        (np.ones(3), 2, r"\(steps, 2\), got \(3,\)"),
        (np.ones((4, 3, 2)), 2, r"\(steps, 2\), got \(4, 3, 2\)"),
        (np.ones((0, 2)), 2, r"got \(0, 2\)"),
    ):
        with pytest.raises(InputError, match=message):
            one_series(given, channels)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.ones((2, 3), dtype=complex), "series must be real numbers, got complex numbers"),
        ([[1, 2], [3, 1j]], "row 1: series must be real numbers, got complex numbers"),
        (np.ones((2, 3), dtype=bool), "got boolean values"),
        ([[1, 2], ["a", "b"]], "row 1: series must be real numbers, got texts"),
        ([[1, 2], [3, None]], "row 1, step 1: 'None' is not a number; a missing value is NaN"),
        (np.array([[1, 2], [3, True]], dtype=object), "row 1, step 1: 'True' is not a number"),
        (np.array([[1, 2], [np.inf, 3]]), "row 1, step 0: inf is not finite"),
        ([[1, 2], [3, -np.inf]], "row 1, step 1: -inf is not finite"),
        (np.array([[[1, 2], [3, 4], [5, np.inf]]]), "row 0, step 2, channel 1: inf is not finite"),
        ([[1, 2], [1e300, 3]], "row 1, step 0: 1e+300 is too large for float32"),
        ([[1, 2], [10**400, 3]], "row 1, step 0: '1000.* is too large for float32"),
        ([[1, 2], []], "row 1 is an empty series"),
        ([[[1, 2], [3]]], "row 0: neither an array nor equally long lists of numbers"),
        ([np.ones((2, 3, 4))], r"row 0 must be \(steps,\) or \(steps, channels\), got \(2, 3, 4\)"),
        (np.ones((2, 3, 4, 5)), r"got an array \(2, 3, 4, 5\)"),
        ([frame(a=[1, 2], b=["x", "y"])], "column 'b' of the data frame holds"),
        ({"a": [1, 2]}, "not a dict"),
        ("text", "not a str"),
    ],
)
def test_what_is_no_series_is_refused_with_its_place(given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message.replace("+", r"\+")):
        series_of(given)


def test_a_series_in_a_frame_of_each_library() -> None:
    columns = {"a": [1, None, 3], "b": [4.5, 5, 6]}
    table = pa.table(columns)
    for one in (
        pd.DataFrame(columns).astype({"a": "Int64"}),
        pl.DataFrame(columns),
        table,
        table.to_batches()[0],
        datasets.Dataset.from_dict(columns),
    ):
        (found,) = series_of([one])  # one series: the rows are its steps
        np.testing.assert_array_equal(found, np.array([[1, 4.5], [np.nan, 5], [3, 6]], dtype=np.float32))
        np.testing.assert_array_equal(one_series(one, 2), found)
        assert lists(series_of(one))[2] == [[3], [6]]  # three series, one per row
    for wrong, held in (({"b": ["x", "y"]}, "(a text|texts)"), ({"b": [True, False]}, "True and False|boolean")):
        for make in (pd.DataFrame, pa.table):
            with pytest.raises(InputError, match=f"column 'b' of the data frame holds {held}"):
                series_of([make({"a": [1, 2]} | wrong)])
