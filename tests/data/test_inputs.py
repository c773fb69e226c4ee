"""What a user passes as inputs, texts or series: right, or one InputError that names the row."""

import re
from collections.abc import Callable
from itertools import product
from typing import Any

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from gatewise.data import Labelled
from gatewise.data.inputs import convert_inputs, convert_series, convert_texts, describe_series, one_series, series_of
from gatewise.errors import InputError
from tests.refusals import assert_refused

TEXTS = ["a good film", "dull", "10/10"]

CONTAINERS: dict[str, Callable[[], Any]] = {
    "list": lambda: TEXTS,
    "tuple": lambda: tuple(TEXTS),
    "generator": lambda: (text for text in TEXTS),
    "values of a dict": lambda: dict(enumerate(TEXTS)).values(),
    "array of str": lambda: np.array(TEXTS),
    "array of objects": lambda: np.array(TEXTS, dtype=object),
    "array of StringDType": lambda: np.array(TEXTS, dtype=np.dtypes.StringDType()),
    "array (n, 1)": lambda: np.array(TEXTS)[:, None],
    "pandas Series": lambda: pd.Series(TEXTS, index=[7, 5, 9]),
    "pandas strings": lambda: pd.Series(TEXTS, dtype="string"),
    "pandas categories": lambda: pd.Series(TEXTS, dtype="category"),
    "pandas Index": lambda: pd.Index(TEXTS),
    "polars Series": lambda: pl.Series(TEXTS),
    "PyArrow array": lambda: pa.array(TEXTS),
    "PyArrow chunks": lambda: pa.chunked_array([TEXTS[:1], TEXTS[1:]]),
    "pandas frame": lambda: pd.DataFrame({"text": TEXTS}),
    "polars frame": lambda: pl.DataFrame({"text": TEXTS}),
    "PyArrow table": lambda: pa.table({"text": TEXTS}),
    "PyArrow batch": lambda: pa.record_batch({"text": TEXTS}),
    "datasets.Dataset": lambda: datasets.Dataset.from_dict({"text": TEXTS}),
    "datasets column": lambda: datasets.Dataset.from_dict({"text": TEXTS})["text"],
}


@pytest.mark.parametrize("case", CONTAINERS)
def test_containers_of_texts(case: str) -> None:
    found = convert_inputs(CONTAINERS[case]())
    assert found == TEXTS
    assert all(type(text) is str for text in found)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "a text": (lambda: "a text", "must be a list of texts, not one text"),
    "bytes": (lambda: b"a text", "not bytes"),
    "a number": (lambda: 5, "must be a list of texts or series, not a number (5)"),
    "None": (lambda: None, "not None"),
    "a dict": (lambda: {"a": TEXTS, "b": TEXTS}, "a dict with keys a, b: pass one of its values"),
    "a set": (lambda: set(TEXTS), "a set has no order: pass a list"),
    "pandas columns": (lambda: pd.DataFrame({"a": TEXTS, "b": TEXTS}), "columns a, b: pass one column, for example"),
    "PyArrow columns": (lambda: pa.table({"a": TEXTS, "b": TEXTS}), "for example df['a']"),
    "no column": (lambda: pd.DataFrame(index=[1, 2]), "a data frame with columns : pass one column"),
    "a lazy frame": (lambda: pl.LazyFrame({"a": TEXTS}), "call collect() first"),
    "an array of two columns": (lambda: np.array([TEXTS, TEXTS]), "shape (2, 3): pass one column, (n,)"),
    "an array of bytes": (lambda: np.array([b"x"]), "an array of bytes"),
    "None among texts": (lambda: ["a", None], "row 1 is missing (None)"),
    "NaN": (lambda: ["a", float("nan")], "row 1 is missing (NaN)"),
    "pandas NA": (lambda: pd.Series(["a", pd.NA], dtype="string"), "row 1 is missing (NA)"),
    "a frame with NaN": (lambda: pd.DataFrame({"text": ["a", np.nan]}), "row 1 is missing"),
    "polars null": (lambda: pl.Series(["a", None]), "row 1 is missing (None)"),
    "PyArrow null": (lambda: pa.array([None, "a"]), "row 0 is missing (None)"),
    "numbers": (lambda: [1, 2], "row 0 is a number (1), not a text"),
    "a number among texts": (lambda: pd.Series(["a", 7]), "row 1 is a number (7), not a text"),
    "a column of numbers": (lambda: pd.DataFrame({"x": [1.5, 2.5]}), "row 0 is a number (1.5), not a text"),
    "a NumPy number": (lambda: ["a", np.int64(3)], "row 1 is a number (3), not a text"),
    "a bool": (lambda: ["a", True], "row 1 is True, not a text"),
    "bytes among texts": (lambda: ["a", b"b"], "row 1 is bytes, not a text"),
    "a list among texts": (lambda: ["a", ["b"]], "row 1 is a list, not a text"),
    "a text among series": (lambda: [[1.0], "b"], "row 1 is a text ('b'), not a series of numbers"),
    "lists of texts": (lambda: [["1"], ["2"]], "row 0 is a list, not a text"),
    "NaT": (lambda: ["a", pd.NaT], "row 1 is missing (NaT)"),
    "a single value": (lambda: np.array("a text"), "not a single value"),
    "a dict in a list": (lambda: [{"text": "a"}], "row 0 is a dict, not a text"),
    "sparse numbers": (lambda: pd.DataFrame({"t": pd.arrays.SparseArray([0.0, 1])}), "row 0 is a number (0.0)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_could_be_misread_is_refused(case: str) -> None:
    make, message = REFUSED[case]
    found = assert_refused(re.escape(message), convert_inputs, make(), name="X")
    assert "X" in found or "frame" in found


def test_the_kind_expected_is_the_kind_checked_and_the_list_given_is_not_changed() -> None:
    given = [np.str_("a"), "b"]
    assert convert_inputs(given) is not given
    assert type(given[0]) is np.str_
    assert_refused("row 0 is a list, not a text", convert_texts, [[1.0, 2.0]])
    assert_refused("row 0 is a text", convert_series, TEXTS)


def test_two_columns_of_one_name_are_refused() -> None:
    for frame in (
        pd.DataFrame([["a", "b"]], columns=["text", "text"]),
        pd.DataFrame({1: ["a"], "1": ["b"]}),
        pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"]),
    ):
        assert_refused(r"it has two columns '(text|1)'", convert_inputs, frame)


def test_columns_named_as_the_attributes_of_other_frames() -> None:
    frame = pd.DataFrame({"text": ["a", "b"], "features": ["x", "y"], "column_names": ["y", "x"]})
    data = Labelled.from_frame(frame, text=["features", "column_names"], label="text")
    assert data.inputs == ["x\ny", "y\nx"]
    steps = pd.DataFrame({"select_columns": [1.5, 2], "select": [4, 0.5], "label": ["x", "y"]})
    series = Labelled.from_frame(steps, text=(), label="label").inputs
    assert [row.tolist() for row in series] == [[[1.5], [4]], [[2], [0.5]]]


FRAME = {
    "Title": ["T", "U", "V"],
    "body": TEXTS,
    "stars": [5, 1, 5],
    "price": [2.5, 1.5, 0.5],
    "who": ["b", "a", "b"],
    "day": ["1970-01-02", "1970-01-01", "1970-01-03"],
}


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table, datasets.Dataset.from_dict])
def test_labelled_from_a_frame(make: Callable[[Any], Any]) -> None:
    frame = make(FRAME)
    data = Labelled.from_frame(frame, text=["title", "body"], label="stars", weight="price", group="who", time="day")
    assert data.inputs == ["T\na good film", "U\ndull", "V\n10/10"]
    assert (data.classes, data.target.label_type, data.labels.tolist()) == (("1", "5"), "int", [1, 0, 1])
    assert (data.sample_weight.tolist(), data.groups.tolist()) == ([2.5, 1.5, 0.5], [1, 0, 1])
    assert data.time.tolist() == [86_400, 0, 172_800]
    prices = Labelled.from_frame(frame, text="body", label=["price", "stars"], task="regression")
    assert (prices.classes, prices.labels.tolist()) == (("price", "stars"), [[2.5, 5], [1.5, 1], [0.5, 5]])
    assert Labelled.from_frame(frame, text="body", label="price", task="regression").classes == ("price",)
    assert_refused("no column 'text'; there are 'Title', 'body', 'stars'", Labelled.from_frame, frame, label="stars")
    assert_refused("row 0: column 'stars' is a number", Labelled.from_frame, frame, text="stars", label="who")
    for columns in ({"text": [], "label": []}, {"text": "body", "label": ()}):
        assert_refused("label names no column", Labelled.from_frame, frame, **columns)
    assert_refused("looks like regression", Labelled.from_frame, frame, text="body", label="price")
    with pytest.raises(InputError, match="column 'who': row 0: the time 'b' is neither"):
        Labelled.from_frame(frame, text="body", label="stars", time="who")


def test_a_dataset_has_class_names() -> None:
    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["no", "yes"]),
            "tags": datasets.List(datasets.ClassLabel(names=["x", "y", "z"])),
        }
    )
    rows = {"text": TEXTS, "label": [1, 0, 1], "tags": [[0, 2], [], [1]]}
    dataset = datasets.Dataset.from_dict(rows, features=features)
    data = Labelled.from_frame(dataset)
    assert (data.classes, data.labels.tolist()) == (("no", "yes"), [1, 0, 1])
    tags = Labelled.from_frame(dataset, label="tags")
    assert (tags.task, tags.classes, tags.labels.tolist()) == (
        "multilabel",
        ("x", "y", "z"),
        [[1, 0, 1], [0, 0, 0], [0, 1, 0]],
    )
    unlabelled = datasets.Dataset.from_dict(rows | {"label": [-1, 0, 1]}, features=features)
    assert_refused("labels: row 0 has no label", Labelled.from_frame, unlabelled)
    splits = datasets.DatasetDict({"train": dataset})
    assert_refused("a data frame is needed, not a DatasetDict", Labelled.from_frame, splits)


RNG = np.random.default_rng(3)


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(columns)


def lists(series: list[Any]) -> list[Any]:
    assert all(s.dtype == np.float32 and s.ndim == 2 for s in series)
    return [s.tolist() for s in series]


def test_every_form_becomes_steps_by_channels() -> None:
    for given, want in (
        (np.array([[1, 2, 3], [4, 5, 7]]), [[[1], [2], [3]], [[4], [5], [7]]]),
        ([[1, 2, 3], [4, 5]], [[[1], [2], [3]], [[4], [5]]]),
        ([np.array([1.5, 2]), np.array([4.0])], [[[1.5], [2]], [[4]]]),
        ([np.array([[1, 2], [3, 4], [5, 6]]), np.array([[7, 8]])], [[[1, 2], [3, 4], [5, 6]], [[7, 8]]]),
        (np.array([[[1, 2], [3, 4], [5, 6]]]), [[[1, 2], [3, 4], [5, 6]]]),
        ([[[1, 2], [3, 4], [5, 6]]], [[[1, 2], [3, 4], [5, 6]]]),
        ([frame(a=[1, 2], b=[3.5, 4]), frame(a=[5], b=[6])], [[[1, 3.5], [2, 4]], [[5, 6]]]),
        (frame(t0=[1, 2], t1=[3, 4], t2=[5, 6]), [[[1], [3], [5]], [[2], [4], [6]]]),
        (np.array([np.array([1.0, 2]), np.array([3.0])], dtype=object), [[[1], [2]], [[3]]]),
        (iter([[1, 2]]), [[[1], [2]]]),
        (pa.array([[1.0, 2.0], [3.0]]), [[[1], [2]], [[3]]]),
        (pl.Series([[1, 2], [3]]), [[[1], [2]], [[3]]]),
        ([pd.Series([1, 2]), (3,)], [[[1], [2]], [[3]]]),
    ):
        assert lists(convert_inputs(given)) == want


def test_missing_values_stay_missing() -> None:
    masked = np.ma.array([[1.0, 2, 3], [4, 5, 6]], mask=[[0, 1, 0], [0, 0, 0]])
    for given in (masked, [[1.0, np.nan, 3], [4, 5, 6]], frame(a=[1.0, 4], b=[np.nan, 5], c=[3.0, 6])):
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


def test_an_array_that_may_have_channels_first_is_refused() -> None:
    for shape, as_list in product([(4, 1, 9), (4, 6, 100), (4, 5, 5)], (False, True)):
        given = list(np.ones(shape)) if as_list else np.ones(shape)
        assert_refused("may have channels first: pass layout='time-first' for", series_of, given)
        assert series_of(given, layout="time-first")[0].shape == shape[1:]
    assert_refused("may have channels first", series_of, [np.ones((3, 2)), np.ones((3, 1))])  # the second varies
    assert len(series_of([np.ones((2, 3)), np.ones((4, 3))])) == 2
    assert series_of(np.ones((4, 9, 3)))[0].shape == (9, 3)


def test_the_channels_of_a_model_decide() -> None:
    assert [s.shape for s in series_of(np.ones((4, 3, 7)), channels=7)] == [(3, 7)] * 4
    with pytest.raises(InputError, match=r"seems to have channels first \(the model has 3 channels\): pass layout"):
        series_of(np.ones((4, 3, 7)), channels=3)
    assert_refused("may have channels first", series_of, np.ones((4, 3, 3)), channels=3)
    assert_refused("row 0 has 7 channels, but the model reads 2", series_of, np.ones((4, 3, 7)), channels=2)
    assert_refused("row 1 has 2 channels, but row 0 has 3", series_of, [np.ones((9, 3)), np.ones((8, 2))])
    with pytest.raises(InputError, match=r"row 0 has 4 channels, but .* reads 2; it seems to have channels first"):
        series_of([np.ones((2, 4))], channels=2)


def test_a_model_takes_one_series() -> None:
    assert lists(series_of(np.array([1, 2, 3]), channels=1)) == [[[1], [2], [3]]]
    assert lists(series_of([1, 2, 3], channels=1)) == [[[1], [2], [3]]]
    assert lists(series_of(np.array([[1, 2], [3, 4], [5, 6]]), channels=2)) == [[[1, 2], [3, 4], [5, 6]]]
    assert lists(series_of(frame(a=[1, 2, 3], b=[4, 5, 6]), channels=2)) == [[[1, 4], [2, 5], [3, 6]]]
    assert len(series_of(np.ones((4, 9)), channels=1)) == 4
    assert_refused("got one series of 3 steps", series_of, [1, 2, 3])
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
        assert_refused(message, one_series, given, channels)


def test_what_is_no_series_is_refused_with_its_place() -> None:
    for given, message in (
        (np.ones((2, 3), dtype=complex), "series must be real numbers, got complex numbers"),
        ([[1, 2], [3, 1j]], "row 1: series must be real numbers, got complex numbers"),
        (np.ones((2, 3), dtype=bool), "got boolean values"),
        ([[1, 2], ["a", "b"]], "row 1: series must be real numbers, got texts"),
        ([[1, 2], [3, None]], "row 1, step 2: 'None' is not a number; a missing value is NaN"),
        (np.array([[1, 2], [3, True]], dtype=object), "row 1, step 2: 'True' is not a number"),
        (np.array([[1, 2], [np.inf, 3]]), "row 1, step 1: inf is not finite"),
        ([[1, 2], [3, -np.inf]], "row 1, step 2: -inf is not finite"),
        (np.array([[1, 2], [np.inf, 3]], dtype=np.float16), "row 1, step 1: inf is not finite"),
        (np.array([[[1, 2], [3, 4], [5, np.inf]]]), "row 0, step 3, channel 2: inf is not finite"),
        ([[1, 2], [1e300, 3]], "row 1, step 1: 1e+300 is too large for float32"),
        ([[1, 2], [10**400, 3]], "row 1, step 1: '1000.* is too large for float32"),
        ([[1, 2], []], "row 1 is an empty series"),
        ([[[1, 2], [3]]], "row 0: neither an array nor equally long lists of numbers"),
        ([np.ones((2, 3, 4))], r"row 0 must be \(steps,\) or \(steps, channels\), got \(2, 3, 4\)"),
        (np.ones((2, 3, 4, 5)), r"got an array \(2, 3, 4, 5\)"),
        ([frame(a=[1, 2], b=["x", "y"])], "column 'b' of the data frame holds"),
        ({"a": [1, 2]}, "not a dict"),
        ("text", "not a str"),
    ):
        assert_refused(message.replace("+", r"\+"), series_of, given)


def test_an_array_of_no_series() -> None:
    for shape in ((0, 5), (0, 5, 1), (0, 0), (0, 3, 0)):
        assert series_of(np.zeros(shape), channels=1) == []


def test_half_precision_is_read_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    values = RNG.normal(size=(2, 5, 3)).astype(np.float16)
    for number, series in enumerate(series_of(values)):
        np.testing.assert_array_equal(series, values[number])
    assert not recwarn.list


def test_a_tensor_that_requires_grad_is_refused_with_what_to_write() -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.ones(2, 3, requires_grad=True)
    assert_refused(r"the series: .*tensor\.detach\(\)", series_of, tensor)
    assert_refused(r"row 0: .*tensor\.detach\(\)", series_of, [tensor])


def test_the_place_of_a_value_in_one_series_of_several_channels() -> None:
    values = RNG.normal(size=(5, 2))
    values[3, 1] = np.inf
    message = "^step 4, channel 2: inf is not finite"
    assert_refused(message, series_of, values, channels=2)
    assert_refused(message, series_of, frame(a=values[:, 0], b=values[:, 1]), channels=2)
    assert_refused(message, series_of, values.T, "channels-first", 2)
    assert_refused(f"^row 1, {message[1:]}", series_of, [values.T[:, :3], values.T], "channels-first")
    assert_refused("^the series: inf is not finite", series_of, np.float64(np.inf))


def test_a_frame_has_a_step_per_row_whatever_the_layout() -> None:
    values = RNG.normal(size=(2, 2)).astype(np.float32)
    one = frame(a=values[:, 0], b=values[:, 1])
    for inputs in (one, [one]):
        (series,) = series_of(inputs, "channels-first", 2)
        np.testing.assert_array_equal(series, values)
    values[1, 0] = np.inf
    message = "row 0, step 2, channel 1: inf is not finite"
    assert_refused(message, series_of, [frame(a=values[:, 0], b=values[:, 1])], "channels-first")


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
            assert_refused(f"column 'b' of the data frame holds {held}", series_of, [make({"a": [1, 2]} | wrong)])
