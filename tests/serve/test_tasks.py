"""Serving models of regression, of several labels and of columns: what each answers, and what columns are refused."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from gatewise.data import with_columns
from gatewise.model.model import Model
from gatewise.model.series_preprocessor import SeriesPreprocessor
from tests.members.test_columns import NAMES, shop_model
from tests.serve.conftest import TEXTS
from tests.serve.page.conftest import labels_model, number_model
from tests.serve.server import ask, post, served
from tests.small_models import small_model

SERIES = [[1.5], [None], [-0.25], [2.0]]
ROW = {"stars": 4.5, "age": None, "shop": "B", "town": True}
OTHER = {"stars": None, "age": 31, "shop": "never", "town": ""}


@pytest.fixture(scope="module")
def models() -> dict[str, Model]:
    masked = SeriesPreprocessor((0.5, 1.0), (2.0, 3.0), mask=True)
    two = small_model(masked, ("low", "high"), 2, task="regression", units=4)
    return {"price": number_model(), "two": two, "topics": labels_model(), "shop": shop_model(TEXTS)}


@pytest.fixture(scope="module")
def tasks(models: dict[str, Model]) -> Iterator[int]:
    with served(models) as port:
        yield port


def test_a_number_has_no_probability(tasks: int, models: dict[str, Model]) -> None:
    found = post(tasks, "/predict", {"series": SERIES}).json()["predictions"]
    expected = float(models["price"].predict([np.array([1.5, np.nan, -0.25, 2.0])])[0])
    assert found == [{"value": pytest.approx(expected, abs=1e-6), "steps": 4}]
    flat = post(tasks, "/predict", {"inputs": [[1.5, None, -0.25, 2.0], [0, 1]]}).json()["predictions"]
    assert flat[0]["value"] == pytest.approx(expected, abs=1e-6)
    assert flat[1]["steps"] == 2


def test_several_numbers_have_names_and_a_mask_is_no_channel(tasks: int, models: dict[str, Model]) -> None:
    series = [[1, 2], [None, 0.5], [3, None]]
    [found] = post(tasks, "/predict", {"series": series, "model": "two"}).json()["predictions"]
    expected = models["two"].predict([np.array(series, dtype=float)])[0]
    assert found["values"] == pytest.approx(dict(zip(("low", "high"), expected.tolist(), strict=True)), abs=1e-6)
    reply = post(tasks, "/predict", {"series": [[1, 2, 0]], "model": "two"})
    assert (reply.status, reply.json()["error"]["field"]) == (400, "series")


def test_labels_follow_the_thresholds(tasks: int, models: dict[str, Model]) -> None:
    found = post(tasks, "/predict", {"inputs": TEXTS, "model": "topics"}).json()["predictions"]
    assert [tuple(one["labels"]) for one in found] == models["topics"].predict(TEXTS).tolist()
    p = np.array([list(one["probabilities"].values()) for one in found])
    np.testing.assert_allclose(p, models["topics"].predict_proba(TEXTS), atol=1e-6)
    assert len({len(one["labels"]) for one in found}) > 1 or any(one["labels"] for one in found)


def test_open_inference_of_the_tasks(tasks: int, models: dict[str, Model]) -> None:
    about = ask(tasks, "GET", "/v2/models/price").json()
    assert about["outputs"] == [{"name": "value", "datatype": "FP64", "shape": [-1, 1]}]
    tensor = {"name": "series", "shape": [1, 4, 1], "datatype": "FP32", "data": [1.5, None, -0.25, 2.0]}
    [output] = post(tasks, "/v2/models/price/infer", {"inputs": [tensor]}).json()["outputs"]
    [alone] = post(tasks, "/predict", {"series": SERIES}).json()["predictions"]
    assert output["data"] == pytest.approx([alone["value"]])
    texts = {"name": "text", "shape": [len(TEXTS)], "datatype": "BYTES", "data": TEXTS}
    outputs = post(tasks, "/v2/models/topics/infer", {"inputs": [texts]}).json()["outputs"]
    assert [one["name"] for one in outputs] == ["labels", "probabilities"]
    assert outputs[0]["datatype"] == "BOOL"
    decided = models["topics"].target.decide(models["topics"].predict_proba(TEXTS)).astype(bool)
    assert np.array(outputs[0]["data"]).reshape(outputs[0]["shape"]).tolist() == decided.tolist()
    wrong = {"inputs": [texts], "outputs": [{"name": "label"}]}
    assert post(tasks, "/v2/models/topics/infer", wrong).status == 400


def test_explanations_of_the_tasks(tasks: int, models: dict[str, Model]) -> None:
    include = ["prediction", "prefix", "attribution"]
    found = post(tasks, "/explain", {"series": SERIES, "include": include}).json()
    prediction = found["prediction"]
    assert prediction["probability"] is prediction["probabilities"] is None
    assert prediction["score_name"] == "prediction"
    assert prediction["numbers"] == [pytest.approx(prediction["score"])]
    assert found["prefix"]["probability"] is None
    assert found["text"]["values"][1] == [None]
    assert "logit" not in found["attribution"]["note"]
    item: dict[str, Any] = {"text": TEXTS[1], "model": "topics", "include": include}
    chosen = post(tasks, "/explain", {**item, "target": "b"}).json()
    assert (chosen["prediction"]["target"], chosen["attribution"]["target"]) == ("b", "b")
    logits = models["topics"].trace(TEXTS[1]).logits
    assert chosen["prediction"]["score"] == pytest.approx(logits[1], abs=1e-5)
    best = post(tasks, "/explain", item).json()["prediction"]
    assert best["target"] == "abc"[int(np.argmax(best["probabilities"]))]
    for field, value in (("target", "d"), ("against", "a"), ("target", 7)):
        reply = post(tasks, "/explain", {**item, field: value})
        assert (reply.status, reply.json()["error"]["field"]) == (400, field)


def test_the_description_has_the_forms_of_the_tasks(tasks: int) -> None:
    schemas = ask(tasks, "GET", "/openapi.json").json()["components"]["schemas"]
    forms = schemas["PredictResponse"]["properties"]["predictions"]["items"]["anyOf"]
    assert [set(schemas[form["$ref"].rpartition("/")[2]]["properties"]) for form in forms] == [
        {"label", "probabilities", "outputs", "steps"},
        {"labels", "probabilities", "outputs", "steps"},
        {"value", "outputs", "steps"},
        {"values", "outputs", "steps"},
    ]


def of_shop(tasks: int, path: str, **request: Any) -> Any:
    return post(tasks, path, {"model": "shop", **request}).json()


def test_predict_and_explain_read_the_columns(tasks: int, models: dict[str, Model]) -> None:
    rows = [with_columns(text, row) for text, row in zip(TEXTS[:2], (ROW, OTHER), strict=True)]
    wanted = models["shop"].predict_proba(rows)
    answer = of_shop(tasks, "/predict", inputs=TEXTS[:2], columns=[ROW, OTHER])
    found = [list(one["probabilities"].values()) for one in answer["predictions"]]
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    [one] = of_shop(tasks, "/predict", text=TEXTS[1], columns=OTHER)["predictions"]
    np.testing.assert_allclose(list(one["probabilities"].values()), wanted[1], atol=1e-6)
    for text, row, p in zip(TEXTS, (ROW, OTHER), wanted, strict=False):
        explained = of_shop(tasks, "/explain", text=text, columns=row, include=["prediction", "attribution"])
        assert explained["prediction"]["probabilities"] == pytest.approx(p.tolist(), abs=1e-6)
        assert [part["column"] for part in explained["attribution"]["columns"]] == list(NAMES.names)
        assert explained["model"]["columns"] == {"numeric": ["stars", "age"], "categorical": ["shop", "town"]}


def test_rows_outside_of_the_training_data_say_so(tasks: int) -> None:
    far, unknown = {**ROW, "age": 1e6}, {**ROW, "shop": "never"}
    assert "warnings" not in of_shop(tasks, "/predict", text=TEXTS[0], columns={**ROW, "shop": "A", "town": "x"})
    [warning] = of_shop(tasks, "/predict", text=TEXTS[0], columns={**far, "town": "x"})["warnings"]
    assert warning.startswith("column 'age' is beyond the training range, 0 to 81.5, by more than its width, in 100.0%")
    [first] = of_shop(tasks, "/predict", inputs=[TEXTS[0]] * 9, columns=[{**unknown, "town": "x"}] * 9)["warnings"]
    assert first.startswith("column 'shop' has categories that the model does not know, in 100.0% of the rows (9 of 9")
    shown = of_shop(tasks, "/explain", text=TEXTS[0], columns=far, include=["prediction"])
    assert [one["code"] for one in shown["warnings"]].count("outside") == 1
    assert not shown["prediction"]["calibrated"]


@pytest.mark.parametrize(
    ("request_", "field", "message"),
    [
        ({"text": "a film"}, "columns.stars", "is missing: the model reads the columns stars, age, shop, town"),
        ({"text": "a film", "columns": {"stars": 1}}, "columns.age", "is missing"),
        ({"text": "a film", "columns": {**ROW, "stars": "five"}}, "columns.stars", "must be a number"),
        ({"text": "a film", "columns": {**ROW, "age": True}}, "columns.age", "must be a number"),
        ({"text": "a film", "columns": {**ROW, "stars": [1]}}, "columns", "must be values by name"),
        ({"inputs": TEXTS[:2], "columns": [ROW]}, "columns", "with one object per input"),
        ({"inputs": TEXTS[:2], "columns": [ROW, {}]}, "columns[1].stars", "is missing"),
    ],
)
def test_other_columns_are_refused(tasks: int, request_: dict[str, Any], field: str, message: str) -> None:
    reply = post(tasks, "/predict", {"model": "shop", **request_})
    assert reply.status == 400
    assert message in reply.error["message"]
    assert reply.error["field"].startswith(field)


def test_the_examples_have_columns(tasks: int) -> None:
    about = ask(tasks, "GET", "/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"]["content"]
    shown = about["application/json"]["examples"]
    values = [one["value"] for name, one in shown.items() if name.startswith("shop")]
    assert values[0]["columns"] == dict.fromkeys(NAMES.names)
    assert [post(tasks, "/predict", value).status for value in values] == [200, 200]
