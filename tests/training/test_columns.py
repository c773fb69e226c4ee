"""Models that read columns besides texts or series: frames, files, the command line, series, and what is refused."""

import json
import re
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

import gatewise as gw
from gatewise.data import Labelled, Unlabelled, split, with_columns
from gatewise.data.splits import cross_validation_folds
from gatewise.errors import DataError, DataWarning, GatewiseError
from gatewise.explain import METHODS
from gatewise.model.model import Model
from gatewise.serve.view.examples import examples_of
from gatewise.sklearn import LSTMSeriesClassifier, LSTMTextClassifier
from gatewise.training.dense_solver import fit_glm
from gatewise.types import ColumnNames
from tests.cli.conftest import Run
from tests.refusals import assert_refused
from tests.training.targets import targets_of

N = 120
NAMES: dict[str, Any] = {"numeric": ["stars"], "categorical": ["shop"]}
QUICK: dict[str, Any] = {"epochs": 1, "units": 4, "verbose": 0}


def made() -> pd.DataFrame:
    """Reviews whose words tell a part of the label, and whose columns tell more."""
    rng = np.random.default_rng(5)
    good = rng.random(N) < 0.5
    told = rng.random(N) < 0.3
    words = [("good" if g else "bad") if t else "long" for g, t in zip(good, told, strict=True)]
    stars = np.where(rng.random(N) < 0.2, np.nan, np.where(good, 4.0, 2.5) + rng.normal(size=N))
    shop = np.where(
        rng.random(N) < 0.1, [f"only{n}" for n in range(N)], np.where(good ^ (rng.random(N) < 0.3), "A", "B")
    )
    review = [f"a {word} film w{n}" for word, n in zip(words, rng.integers(0, 9, N), strict=True)]
    return pd.DataFrame({"review": review, "stars": stars, "shop": shop, "y": np.where(good, "yes", "no")})


FRAME = made()
SERIES = pd.DataFrame(np.random.default_rng(1).normal(size=(N, 8)).round(3), columns=[f"t{k}" for k in range(8)])
WIDE = SERIES.assign(stars=FRAME.stars, shop=FRAME.shop, y=FRAME.y)
DURATIONS = pd.Series([np.timedelta64(1, "D")] * N, dtype=object)


@cache
def of_texts() -> Model:
    return gw.train(FRAME, text="review", label="y", **NAMES, **QUICK)


@cache
def of_series() -> Model:
    return gw.train(WIDE, text=(), label="y", recipe="lstm", **NAMES, **QUICK)


@pytest.mark.parametrize("model", [of_texts, of_series])
def test_columns_are_a_member_that_is_saved_and_predicts(model: Any, tmp_path: Path) -> None:
    one = model()
    rows = FRAME if one is of_texts() else WIDE.drop(columns="y")
    p = one.predict_proba(rows)
    assert one.weights["columns"] > 0.1
    assert [known.categories for known in one.ensemble.get("columns").schema.categorical] == [("A", "B")]
    assert one.ensemble.get("columns").schema == one.preprocessor.columns
    assert (one.predict(rows) == FRAME.y).mean() > 0.75
    one.save(tmp_path / "model")
    again = gw.load(tmp_path / "model")
    assert again.preprocessor.columns == one.preprocessor.columns
    np.testing.assert_allclose(again.predict_proba(rows), p, atol=1e-6)
    carried = with_columns(FRAME.review, FRAME) if one is of_texts() else with_columns(SERIES.to_numpy(), WIDE)
    np.testing.assert_allclose(one.predict_proba(carried), p, atol=1e-12)
    other = rows.assign(stars=np.nan, shop="never")
    assert np.abs(one.predict_proba(other) - p).max() > 0.05
    assert "numeric: stars; categorical: shop" in one.card()


table_of = partial(pa.Table.from_pandas, preserve_index=False)


class ArrowOnly:
    """A data frame as that of a library that has no more than the Arrow interface, such as a DuckDB relation."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._table = table_of(frame)
        self.columns, self.shape = self._table.column_names, self._table.shape

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self._table.__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize("make", [pd.DataFrame, pl.from_pandas, table_of, ArrowOnly])
def test_frames_of_every_kind(make: Any) -> None:
    wanted = of_texts().predict_proba(FRAME)
    np.testing.assert_allclose(of_texts().predict_proba(make(FRAME)), wanted, atol=1e-12)
    assert of_texts().evaluate(make(FRAME)).accuracy == (of_texts().predict(FRAME) == FRAME.y).mean()
    of_frame = Labelled.from_frame(make(WIDE), text=(), label="y", **NAMES)
    assert of_frame.inputs[3].shape == (8, 1)
    assert of_frame.row_columns[3] == Labelled.from_frame(FRAME, text="review", label="y", **NAMES).row_columns[3]
    assert of_frame.fingerprint() == Labelled.from_frame(WIDE, text=(), label="y", **NAMES).fingerprint()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", [of_texts, of_series])
def test_an_explanation_has_an_exact_part_of_each_column(model: Any, method: str) -> None:
    one = model()
    row = with_columns(FRAME.review, FRAME)[2] if one is of_texts() else with_columns(SERIES.to_numpy(), WIDE)[2]
    found, bare = one.explain(row, method), with_columns([row], {"stars": [None], "shop": ["never"]})[0]
    assert [part.column for part in found.columns] == ["stars", "shop"]
    other = one.explain(bare, method, target=found.target)
    assert [part.value for part in other.columns] == [None, "never"]
    change = sum(part.score for part in found.columns) - sum(part.score for part in other.columns)
    assert found.target_score - other.target_score == pytest.approx(change, abs=1e-5)
    assert found.base_value - other.base_value == pytest.approx(change, abs=1e-5)
    np.testing.assert_allclose(found.scores, other.scores, atol=1e-5)
    assert json.loads(json.dumps(found.as_dict()))["columns"][0]["column"] == "stars"
    assert "= " in str(found)


def test_a_dataset_dict_has_its_validation_set() -> None:
    splits = datasets.DatasetDict(
        {name: datasets.Dataset.from_pandas(part) for name, part in (("train", FRAME[:90]), ("validation", FRAME[90:]))}
    )
    model = gw.train(splits, text="review", label="y", **NAMES, **QUICK)
    assert (model.metadata.n_train, model.metadata.n_validation) == (90, 30)
    np.testing.assert_allclose(model.predict_proba(splits["train"]), model.predict_proba(FRAME[:90]), atol=1e-12)


def test_kept_examples_have_their_columns() -> None:
    model = gw.train(FRAME, text="review", label="y", examples=3, **NAMES, **QUICK)
    for shown, kept in zip(examples_of(model), model.metadata.examples, strict=True):
        row = with_columns(kept.text, {"stars": None, "shop": None, **kept.columns})
        assert shown["predicted"] in (model.predict([row])[0], "undecided")
        assert kept.columns.keys() <= {"stars", "shop"}


def test_replaced_words_keep_the_columns() -> None:
    row = with_columns(FRAME.review, FRAME)[0]
    change = of_texts().intervene(row, words={"film": "thing"})
    assert change.after.sequence.columns == change.before.sequence.columns != ()


def test_the_terms_are_those_of_a_logistic_regression() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(80, 3)) * (rng.random((80, 3)) < 0.5)
    y = rng.integers(0, 3, 80)
    weight, bias = fit_glm(csr_matrix(x), targets_of(np.eye(3)[y]), 1.0)
    peer = LogisticRegression(tol=1e-8, max_iter=2_000).fit(x, y)
    np.testing.assert_allclose(
        x @ (weight - weight.mean(axis=1, keepdims=True)) + bias - bias.mean(), peer.decision_function(x), atol=2e-3
    )


@pytest.mark.parametrize(
    ("task", "label"), [("regression", "stars"), ("multilabel", ["p", "q"]), ("classification", "shop")]
)
def test_every_task(task: str, label: Any) -> None:
    frame = FRAME.assign(p=(FRAME.y == "yes").astype(int), q=(FRAME.shop == "A").astype(int), extra=np.arange(N))
    frame = frame.assign(stars=frame.stars.fillna(3.0), shop=np.where(frame.shop == "A", "A", "B"))
    model = gw.train(frame, text="review", label=label, task=task, numeric="extra", categorical="y", **QUICK)
    assert model.weights["columns"] != 0 or task == "classification"
    assert len(model.predict(frame)) == N


def test_weights_and_a_separate_validation_set() -> None:
    frame = FRAME.assign(w=np.arange(N) % 3, who=FRAME.review.str[-2:])  # of equal texts
    given: dict[str, Any] = {"text": "review", "label": "y", **NAMES, **QUICK}
    model = gw.train(frame, validation=FRAME[:40], sample_weight="w", class_weight="balanced", **given)
    assert model.metadata.n_validation == 40
    assert gw.train(frame, groups="who", **given).metadata.n_train < N
    tuned = gw.tune(frame, trials=1, search={"units": [4, 6]}, text="review", label="y", **NAMES, epochs=1)
    assert tuned.trials[0].loss > 0


def test_estimators() -> None:
    one = LSTMTextClassifier(text="review", **NAMES, epochs=1, units=4, random_state=1).fit(FRAME, FRAME.y)
    assert one.model_.weights["columns"] > 0
    assert one.score(FRAME, FRAME.y) > 0.75
    carried = with_columns(FRAME.review, FRAME)
    np.testing.assert_allclose(one.predict_proba(carried), one.predict_proba(FRAME), atol=1e-12)
    zeros = FRAME.assign(shop=np.where(FRAME.y == "yes", "007", "010"))
    one.fit(zeros, zeros.y, validation=(zeros, zeros.y))
    assert one.score(zeros, zeros.y) > 0.9
    message = "column 'shop' is '7', and the model knows '007', an equal number"
    assert_refused(message, one.predict, zeros.assign(shop=[7] * N))
    two = LSTMSeriesClassifier(recipe="lstm", **NAMES, epochs=1, units=4, random_state=1)
    x = WIDE.drop(columns="y")
    assert two.fit(x, WIDE.y).model_.weights["columns"] > 0
    assert two.predict(x).shape == (N,)


def test_the_command_line(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    table, model = str(tmp_path / "t.csv"), str(tmp_path / "model")
    given = ["--text", "review", "--label", "y", "--numeric", "stars", "--categorical", "shop"]
    run = Run()
    run("train", table, *given, "--epochs", "1", "--set", "units=4", "-o", model)
    wanted = gw.load(model).predict_proba(FRAME)[:, 1]
    found = run.json("predict", "-m", model, "-i", table)["predictions"]
    np.testing.assert_allclose([one["probabilities"]["yes"] for one in found], wanted, atol=1e-6)
    run("predict", "-m", model, "-i", table, "-o", str(tmp_path / "out.csv"))
    np.testing.assert_allclose(pd.read_csv(tmp_path / "out.csv").probability_yes, wanted, atol=1e-4)
    typed = [FRAME.review[0], "--column", f"stars={FRAME.stars[0]}", "--column", f"shop={FRAME.shop[0]}"]
    one = run.json("explain", "-m", model, *typed)
    assert one["probabilities"]["yes"] == pytest.approx(wanted[0], abs=1e-6)
    assert [part["column"] for part in one["columns"]] == ["stars", "shop"]


def test_series_of_a_file(tmp_path: Path) -> None:
    WIDE.to_csv(tmp_path / "wide.csv", index=False)
    long = WIDE.assign(id=range(N)).melt(["id", "stars", "shop", "y"], var_name="time", value_name="x")
    long.assign(time=long.time.str[1:].astype(int)).to_csv(tmp_path / "long.csv", index=False)
    wanted = Labelled.from_frame(WIDE, text=(), label="y", **NAMES)
    wide = gw.data.read_series(tmp_path / "wide.csv", label="y", **NAMES).labelled()
    long_data = gw.data.read_series(tmp_path / "long.csv", label="y", id="id", time="time", **NAMES).labelled()
    for data in (wide, long_data):
        np.testing.assert_allclose(data.inputs, wanted.inputs, atol=1e-6)
        assert repr(data.row_columns) == repr(wanted.row_columns)
    changed = pd.read_csv(tmp_path / "long.csv")
    changed.loc[N, "shop"] = "Z"
    changed.to_csv(tmp_path / "long.csv", index=False)
    with pytest.raises(GatewiseError, match="column 'shop' of series '0' is 'Z', but"):
        gw.data.read_series(tmp_path / "long.csv", label="y", id="id", time="time", **NAMES)


def given(frame: Any = FRAME, **changes: Any) -> Any:
    named = {"text": "review", "label": "y", **NAMES, **QUICK, **changes}
    return lambda: gw.train(frame, **{name: value for name, value in named.items() if value is not None})


def predicted(rows: Any) -> Any:
    return lambda: of_texts().predict(rows)


REFUSED: dict[str, tuple[Any, str]] = {
    "a missing column": (predicted(FRAME.drop(columns="shop")), "no column 'shop'; there are 'review', 'stars', 'y'"),
    "no columns at all": (predicted(["a film"]), "row 0: the model reads the columns stars, shop too"),
    "one of them": (predicted(with_columns(["a"], {"stars": [1]})), "row 0: column 'shop' is missing, which the model"),
    "a text in a numeric column": (
        predicted(FRAME.assign(stars="five")),
        "row 0: column 'stars' must be a number, not 'five'; name it in categorical",
    ),
    "true in a numeric column": (predicted(FRAME.assign(stars=True)), "row 0: column 'stars' must be a number, not"),
    "infinity": (predicted(FRAME.assign(stars=np.inf)), "row 0: column 'stars' must be a finite number, not 'inf'"),
    "a list as a category": (predicted(FRAME.assign(shop=[[1]] * N)), "row 0: column 'shop' must be a text, a num"),
    "a duration": (predicted(FRAME.assign(stars=DURATIONS)), "row 0: column 'stars' must be a number"),
    "a date as a number": (predicted(FRAME.assign(stars=pd.Timestamp(0))), "row 0: column 'stars' must be a number"),
    "an unknown column": (given(numeric=["star"]), "no column 'star'; there are 'review', 'stars', 'shop', 'y'"),
    "a column twice": (given(categorical=["stars"]), "the column 'stars' is named as numeric and as categorical"),
    "the text as a column": (given(categorical="review"), "the column 'review' is named as categorical and as text"),
    "unlabelled texts": (
        given(unlabelled=["a film"] * 9, recipe="few-shot", epochs=None, units=None, pretrained="bundled"),
        "unlabelled texts have no columns stars, shop: leave one of them out",
    ),
    "tagging": (
        lambda: Labelled.of(
            with_columns(["a b"], {"n": [1]}), [["x", "y"]], task="tagging", columns=ColumnNames(numeric=("n",))
        ),
        "numeric and categorical columns are for one label per row",
    ),
    "another number of values": (lambda: with_columns(["a", "b"], {"n": [1]}), "column 'n' has 1 value for 2 rows"),
    "weights as an array": (given(sample_weight=[1.0] * N), "sample_weight of a data frame must be the name of"),
    "the label, in another case": (given(numeric=["Y"]), "'y' is named as numeric and as label"),
    "a name that is no text": (given(numeric=3), "a column is named by a text, not by a number (3)"),
    "a large number": (given(FRAME.assign(stars=1e39)), "must be a finite number of at most 3.40282e+38, not '1e+39'"),
    "letters as values": (lambda: with_columns(["a", "b"], {"x": "ab"}), "'x' must be a value per row, not a text"),
    "one value of a column": (lambda: with_columns(["a", "b"], {"x": 5}), "'x' must be a value per row, not a number"),
    "columns without names": (lambda: with_columns(["a"], [1]), "columns must be a data frame, or values by name"),
    "a frame for one text": (lambda: with_columns("a", FRAME), "columns of one text are a value by name"),
    "a frame as texts": (lambda: with_columns(FRAME, FRAME), "inputs must be n texts or arrays"),
    "columns that nothing reads": (
        lambda: gw.train(with_columns(FRAME.review, FRAME), FRAME.y, **QUICK),
        "the rows carry columns: name those that the model reads in numeric and categorical",
    ),
    "labels and a column": (lambda: gw.train(FRAME.review, FRAME.y, label="y"), "label names a column of a data frame"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_line(name: str) -> None:
    call, message = REFUSED[name]
    assert_refused(re.escape(message), call, error=GatewiseError)


NAMED = [
    (1, "1"),
    (1.0, "1"),
    (" 1 ", "1"),
    ("1.0", "1"),
    (Decimal("7.00"), "7"),
    (-0.0, "0"),
    (2.5, "2.5"),
    (7e-5, "7e-05"),
]
NAMED += [(True, "true"), ("TRUE", "true"), (np.bool_(False), "false"), ("False", "false"), ("tRUE", "tRUE")]
NAMED += [("00501", "00501"), ("2.50", "2.50"), ("1e5", "1e5"), ("NA", "NA"), (None, ""), (" ", ""), (np.nan, np.nan)]
NAMED += [(123456789012345678, "123456789012345678"), (np.int64(-3), "-3"), (pd.NA, np.nan), ("№ 5", "№ 5")]


@pytest.mark.parametrize(("value", "same"), NAMED)
def test_names_of_categories(value: Any, same: str) -> None:
    frame = FRAME.assign(shop=pd.Series([value] * N, dtype=object))
    found = Labelled.from_frame(frame, text="review", label="y", **NAMES).row_columns[0]
    assert repr(found["shop"]) == repr(same)


@pytest.mark.parametrize("values", [FRAME.y.map({"yes": "good", "no": "poor"}), FRAME.y.map({"yes": 4.5, "no": 1.0})])
def test_a_column_that_tells_the_label_is_a_warning(values: Any) -> None:
    names: dict[str, Any] = {"numeric" if values.dtype.kind == "f" else "categorical": ["made"]}
    with pytest.warns(DataWarning, match="the column 'made' is equal to the labels: if it is made from the labels"):
        Labelled.from_frame(FRAME.assign(made=values), text="review", label="y", **names)


def test_columns_are_part_of_the_fingerprint() -> None:
    one, two = (Labelled.from_frame(f, text="review", label="y", **NAMES) for f in (FRAME, FRAME.assign(stars=1.0)))
    assert one.fingerprint() != two.fingerprint()


def test_rows_of_one_text_stay_together_whatever_their_columns() -> None:
    data = Labelled.from_frame(FRAME, text="review", label="y", **NAMES)
    assert len(np.unique(data.keys)) > len(np.unique(data.input_keys)) == FRAME.review.nunique()
    for by in ("row", "group"):
        some, rest = split(data, 0.8, 0, by)
        assert not set(FRAME.review[some]) & set(FRAME.review[rest])
    for some, rest in cross_validation_folds(data, 5, 0):
        assert not set(FRAME.review[some]) & set(FRAME.review[rest])
    assert Unlabelled([*FRAME.review, "a new film"], "texts").without(data).texts == ["a new film"]
    with pytest.raises(DataError, match="all 120 rows must stay together: their texts are equal"):
        split(Labelled.from_frame(FRAME.assign(review="a film"), text="review", label="y", **NAMES), 0.8, 0)


def test_decimal_and_tiny_numbers() -> None:
    exact = FRAME.assign(stars=[None if value != value else Decimal(f"{value:.2f}") for value in FRAME.stars])
    rows, same = (
        Labelled.from_frame(one, text="review", label="y", **NAMES).row_columns
        for one in (exact, FRAME.assign(stars=FRAME.stars.round(2)))
    )
    np.testing.assert_array_equal([row["stars"] for row in rows], [row["stars"] for row in same])
    tiny = gw.train(FRAME.assign(stars=FRAME.stars * 1e-300), text="review", label="y", **NAMES, **QUICK)
    assert np.isfinite(tiny.logits(FRAME[:3])).all()


@pytest.mark.parametrize("value", ["1_000", "\u0663", "1,5", "1e39"])
def test_typed_numbers_are_those_of_files(tmp_path: Path, value: str) -> None:
    of_texts().save(tmp_path / "m")
    typed = ("predict", "-m", tmp_path / "m", "good", "--column", f"stars={value}", "--column", "shop=A")
    (tmp_path / "rows.csv").write_text(f'review,stars,shop\ngood,"{value}",A\n', encoding="utf-8")
    run = Run()
    for found in (run(*typed), run("predict", "-m", tmp_path / "m", "-i", tmp_path / "rows.csv")):
        assert found.exit_code == 2
        assert "number" in found.stderr


@pytest.mark.parametrize("option", ["--numeric", "--categorical"])
def test_sources_without_columns(tmp_path: Path, option: str) -> None:
    for source in ("imdb", tmp_path):
        found = Run()("train", source, option, "stars", "-o", tmp_path / "m")
        assert found.exit_code == 2
        assert f"{option} is for tables, and '" in found.stderr
