"""`gw.Scorer`: batches of each kind in and out, its columns, its errors, and its pickle in other processes."""

import pickle
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import gatewise as gw
from gatewise import scorer as module
from gatewise.errors import DataError, InputError, MissingExtra, ModelFileError
from gatewise.model.series_preprocessor import SeriesPreprocessor
from tests.exchange.random_models import random_inputs, random_model
from tests.refusals import assert_refused
from tests.small_models import small_model

MODEL = random_model(names=("7", "11"), label_type="int")
TEXTS = random_inputs(MODEL, 6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scorer") / "model"
    MODEL.save(path)
    return path


def saved(tmp_path: Path, **options: Any) -> tuple[gw.Model, Path]:
    model = random_model(**options)
    model.save(tmp_path / "model")
    return model, tmp_path / "model"


def batch_of(kind: str, columns: dict[str, list[Any]]) -> Any:
    if kind == "dict":
        return {name: np.array(values) for name, values in columns.items()}
    if kind == "pandas":
        return pd.DataFrame(columns, index=[f"row {n}" for n in range(len(columns["review"]))])
    if kind == "polars":
        return pl.DataFrame(columns, schema_overrides={"review": pl.String})
    return pa.table(columns) if kind == "table" else pa.RecordBatch.from_pydict(columns)


def lists(batch: Any) -> dict[str, list[Any]]:
    if isinstance(batch, dict):
        return {name: list(values) for name, values in batch.items()}
    if isinstance(batch, pl.DataFrame):
        return batch.to_dict(as_series=False)
    found: dict[str, list[Any]] = batch.to_dict("list") if isinstance(batch, pd.DataFrame) else batch.to_pydict()
    return found


@pytest.mark.parametrize("kind", ["table", "record batch", "pandas", "polars", "dict"])
def test_each_kind_comes_back_with_the_columns_of_the_model(folder: Path, kind: str) -> None:
    given = {"id": list(range(6)), "review": TEXTS}
    batch = batch_of(kind, given)
    found = gw.Scorer(folder, text="review")(batch)
    assert type(found) is type(batch)
    columns = lists(found)
    assert list(columns) == ["id", "review", "label", "probability"]
    assert {name: columns[name] for name in given} == given
    assert columns["label"] == MODEL.predict(TEXTS).tolist()
    np.testing.assert_allclose(columns["probability"], MODEL.predict_proba(TEXTS).max(axis=1), rtol=1e-6)
    assert list(lists(batch)) == ["id", "review"], "the batch that was passed is unchanged"
    if kind == "pandas":
        assert found.index.equals(batch.index)
        assert found["label"].dtype == np.int64


@pytest.mark.parametrize("kind", ["table", "record batch", "pandas", "polars", "dict"])
@pytest.mark.parametrize("missing", ["raise", "null"])
def test_a_batch_without_rows_has_the_same_columns_and_types(folder: Path, kind: str, missing: str) -> None:
    scorer = gw.Scorer(folder, text="review", missing=missing)
    some, none = (scorer(batch_of(kind, {"review": texts})) for texts in (TEXTS, []))
    assert list(lists(none)) == ["review", "label", "probability"]
    if kind == "pandas":
        assert none.dtypes[["label", "probability"]].equals(some.dtypes[["label", "probability"]])
    elif kind == "polars":
        assert none.dtypes == some.dtypes == [pl.String, pl.Int64, pl.Float64]
    elif kind != "dict":
        assert none.schema.types[1:] == some.schema.types[1:] == [pa.int64(), pa.float64()]


@pytest.mark.parametrize("kind", ["table", "pandas", "polars", "dict"])
def test_rows_without_a_text(folder: Path, kind: str) -> None:
    texts = ["word1", None, " \n", "word2"]
    batch, scorer = batch_of(kind, {"review": texts}), gw.Scorer(folder, text="review")
    assert_refused(r"row 1: column 'review' is missing \((None|NaN)\): leave such rows out", scorer, batch)
    assert_refused("row 0: column 'review' is blank", scorer, batch_of(kind, {"review": [" "]}))
    columns = lists(gw.Scorer(folder, text="review", missing="null", probabilities="all")(batch))
    assert list(columns) == ["review", "label", "probability_7", "probability_11"]
    assert [columns["label"][row] for row in (0, 3)] == MODEL.predict(["word1", "word2"]).tolist()
    assert all(pd.isna(columns["label"][row]) and pd.isna(columns["probability_7"][row]) for row in (1, 2))


def test_several_text_columns_are_joined(folder: Path) -> None:
    batch = {"title": ["word1", None], "body": ["word2", "word3"]}
    found = gw.Scorer(folder, text=["title", "body"])(batch)
    assert found["label"].tolist() == MODEL.predict(["word1\nword2", "\nword3"]).tolist()
    assert found["title"] == batch["title"]


def test_labels_and_numbers_of_other_tasks(tmp_path: Path) -> None:
    model, folder = saved(tmp_path, classes=3, task="multilabel")
    table = gw.Scorer(folder, text="t")(pa.table({"t": TEXTS}))
    assert table["label"].to_pylist() == [list(labels) for labels in model.predict(TEXTS)]
    assert list(map(len, table["probability"].to_pylist())) == list(map(len, model.predict(TEXTS)))
    arrays = gw.Scorer(folder, text="t")({"t": np.array(TEXTS)})
    assert arrays["label"].tolist() == table["label"].to_pylist()
    for frame in (pd.DataFrame({"t": TEXTS}), pl.DataFrame({"t": TEXTS})):
        assert gw.Scorer(folder, text="t")(frame)["label"].to_list() == table["label"].to_pylist()

    model, folder = saved(tmp_path, classes=2, task="regression")
    table = gw.Scorer(folder, text="t")(pa.table({"t": TEXTS}))
    assert table.column_names == ["t", "prediction_class 0", "prediction_class 1"]
    np.testing.assert_allclose(table["prediction_class 1"].to_numpy(), model.predict(TEXTS)[:, 1], rtol=1e-6)


def test_explanations(folder: Path) -> None:
    batch = pa.table({"review": [TEXTS[0], None, TEXTS[1]]})
    found = gw.Scorer(folder, text="review", explain="leave-one-out", missing="null")(batch)
    assert found.column_names[-3:] == ["tokens", "attributions", "attribution_target"]
    assert found["tokens"][1].as_py() is None
    for row in (0, 2):
        own = MODEL.explain(batch["review"][row].as_py(), "leave-one-out")
        assert found["tokens"][row].as_py() == own.steps
        np.testing.assert_allclose(found["attributions"][row].as_py(), own.scores, atol=1e-6)
        assert found["attribution_target"][row].as_py() == own.target
    named = gw.Scorer(folder, text="review", explain=True)(pa.table({"review": ["reviews.csv"]}))
    assert "tokens" in named.column_names, "a text of a table may be the name of a file"


def test_names_that_are_taken(folder: Path) -> None:
    batch = pa.table({"review": TEXTS, "label": TEXTS})
    found = gw.Scorer(folder, text="review", columns={"label": "predicted_label"})(batch)
    assert found.column_names == ["review", "label", "predicted_label", "probability"]
    for columns, given, message in (
        ({}, batch, r"has a column 'label' already.*columns=\{'label': 'predicted_label'}"),
        ({"label": "probability"}, batch.select(["review"]), "has a column 'probability' already"),
        ({"lable": "x"}, batch, "there is no new column 'lable'; there are label, probability"),
    ):
        assert_refused(message, gw.Scorer(folder, text="review", columns=columns), given)


def test_batches_that_do_not_fit(folder: Path, tmp_path: Path) -> None:
    scorer = gw.Scorer(folder, text="review")
    for batch, message in (
        ({"text": TEXTS}, "no column 'review'; there is 'text'"),
        (pd.DataFrame([["x", "y"]], columns=["review", "review"]), "there are 2 columns 'review'"),
        (pa.table({"review": [1, 2]}), r"row 0: column 'review' is a number \(1\), not a text"),
        ({"review": np.array([["x"]])}, r"column 'review': an array of shape \(1, 1\)"),
        (TEXTS, "a batch must be .* not a list$"),
        (pl.LazyFrame({"review": TEXTS}).collect, "a batch must be .* not a "),
        ({"review": ["x", 5]}, r"row 1: column 'review' is a number \(5\), not a text"),
        ({"review": ["x", True]}, "row 1: column 'review' is True, not a text"),
        ({"review": ["x", float("nan")]}, r"row 1: column 'review' is missing \(NaN\)"),
        ({"review": ["x", "\u200b"]}, "^row 1 has no word"),
        ({"review": ["x"] * 4099 + ["\u200b"]}, "^row 4099 has no word"),
    ):
        assert_refused(message, scorer, batch)
    scorer = gw.Scorer(folder, series="review")
    assert_refused("the model takes text: name its columns with text=, not series=", scorer, {"review": TEXTS})


@pytest.mark.parametrize("kind", ["table", "pandas", "polars", "dict"])
def test_series(tmp_path: Path, kind: str) -> None:
    model, folder = saved(tmp_path, inputs="channels")
    rows = [np.asarray(one) for one in random_inputs(model, 5)]
    batch: Any = {"id": list("abcde"), "curve": [one.tolist() for one in rows]}
    make = {"table": pa.table, "pandas": pd.DataFrame, "polars": pl.DataFrame, "dict": dict}[kind]
    found = gw.Scorer(folder, series="curve")(make(batch))
    np.testing.assert_array_equal(np.asarray(found["label"]), model.predict(rows))
    batch["curve"][2] = None
    labels = lists(gw.Scorer(folder, series="curve", missing="null")(make(batch)))["label"]
    assert pd.isna(labels[2])
    assert labels[:2] == model.predict(rows[:2]).tolist()
    for column, message in (
        (["x"], "row 0: 'x' is not a series of numbers"),
        ([rows[0].tolist(), [[1.0] * 9]], "^row 1"),
    ):
        assert_refused(message, gw.Scorer(folder, series="curve"), {"curve": column})
    scorer = gw.Scorer(folder, text="curve")
    assert_refused("the model takes series: name its columns with series=, not text=", scorer, make(batch))


def test_series_of_one_channel_in_columns(tmp_path: Path) -> None:
    model = small_model(SeriesPreprocessor.fit(list(np.random.default_rng(1).normal(size=(20, 6, 1)))), ("a", "b"))
    model.save(tmp_path / "m")
    values = np.random.default_rng(2).normal(size=(3, 6)).astype(np.float32)
    frame = pl.DataFrame(values, schema=[f"t{n}" for n in range(6)])
    expected = model.predict(values).tolist()
    assert gw.Scorer(tmp_path / "m", series=frame.columns)(frame)["label"].to_list() == expected
    assert gw.Scorer(tmp_path / "m", series="x")({"x": values})["label"].tolist() == expected


def test_options_that_do_not_fit(folder: Path) -> None:
    for options, message in (
        ({"probabilities": "some"}, "probabilities must be top or all"),
        ({"missing": "drop"}, "missing must be raise or null"),
        ({"explain": "shap"}, "explain must be True or one of"),
        ({"text": []}, "at least one text column"),
    ):
        assert_refused(message, gw.Scorer, folder, **options)
    assert_refused("takes the path of a model, not a Model: save it", gw.Scorer, MODEL)


def test_a_pickle_is_small_and_knows_its_model(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    scorer = gw.Scorer("model", text="review")
    scorer({"review": TEXTS})
    assert len(pickle.dumps(scorer)) < 1_000
    monkeypatch.chdir(tmp_path)
    assert pickle.loads(pickle.dumps(scorer))({"review": TEXTS})["label"].tolist() == MODEL.predict(TEXTS).tolist()


def test_a_model_that_was_replaced(tmp_path: Path) -> None:
    _, folder = saved(tmp_path)
    scorer = gw.Scorer(folder, text="review")
    random_model(5).save(folder)
    assert_refused("another one than when the Scorer was made", scorer, {"review": TEXTS}, error=ModelFileError)
    later = gw.Scorer(tmp_path / "later", text="review")  # exists on the workers only
    assert_refused("later", later, {"review": TEXTS}, error=ModelFileError)
    random_model(5).save(tmp_path / "later")
    assert len(later({"review": TEXTS})["label"]) == len(TEXTS)


def test_the_bundled_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatewise.model.bundled.FOLDER", folder)
    assert gw.Scorer(None, text="review")({"review": TEXTS})["label"].tolist() == MODEL.predict(TEXTS).tolist()


def loads_after(scorer: gw.Scorer, batch: Any) -> tuple[list[Any], int]:
    """The labels, and how often this process has loaded a model."""
    return scorer(batch)["label"].tolist(), module._load.cache_info().misses


def test_a_process_pool_loads_the_model_once_per_process(folder: Path) -> None:
    scorer = gw.Scorer(folder, text="review")
    batches = [{"review": np.array([text])} for text in TEXTS]
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        found = list(pool.map(loads_after, [scorer] * len(batches), batches))
        assert_refused("row 0: column 'review' is blank", pool.submit(scorer, {"review": np.array([" "])}).result)
    assert [labels[0] for labels, _ in found] == MODEL.predict(TEXTS).tolist()
    assert [loads for _, loads in found] == [1] * len(batches)


@pytest.mark.parametrize("error", [InputError("a b"), DataError("x"), MissingExtra("ray", "ray", "--ray")])
def test_errors_come_back_from_another_process(error: Exception) -> None:
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back)) == (type(error), str(error))


NO_SERIES: dict[str, tuple[Any, str]] = {
    "dates": ([datetime(2024, 1, 1)] * 4, "row 1: .* is not a number"),
    "NaT": ([1.0, pd.NaT, 2.0], "row 1: .* is not a number"),
    "complex numbers": ([1.0, 2j], "row 1: series must be real numbers, got complex numbers"),
    "complex arrays": (np.array([1.0, 2j]), "row 1: series must be real numbers, got complex numbers"),
    "booleans": ([True, False, True], "row 1: series must be real numbers, got boolean values"),
    "a boolean among numbers": ([1.5, True], "row 1: series must be real numbers, got boolean values"),
    "texts": (["1", "2"], "row 1: .* texts"),
    "a text": ("12", "row 1: '12' is not a series of numbers"),
    "infinity": ([1.0, np.inf], "row 1.* is not finite"),
    "nothing": ([], "row 1: one series must be"),
    "a number": (5, "row 1: '5' is not a series of numbers"),
}


@pytest.mark.parametrize("name", NO_SERIES)
def test_a_series_is_what_predict_takes(name: str, series_folder: Path) -> None:
    cell, message = NO_SERIES[name]
    column = np.empty(2, dtype=object)
    column[0], column[1] = [0.5, -1.0], cell
    assert_refused(message, gw.Scorer(series_folder, series="x"), {"x": column})


@pytest.fixture(scope="module")
def series_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("series") / "model"
    series = list(np.random.default_rng(1).normal(size=(20, 6, 1)))
    small_model(SeriesPreprocessor.fit(series), ("a", "b")).save(path)
    return path


def test_a_missing_number_of_a_series_is_null_or_nan(series_folder: Path) -> None:
    scorer = gw.Scorer(series_folder, series="x", probabilities="all")
    nulls = scorer(pa.table({"x": [[1.0, None, 2.5], [None, 0.5, 1.0]]})).to_pydict()
    nans = scorer({"x": [[1.0, np.nan, 2.5], [np.nan, 0.5, 1.0]]})
    for name in nulls:
        if name != "x":
            assert list(nulls[name]) == list(nans[name])
