"""A served model that reads numeric and categorical columns: /predict, /explain, and what is refused."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from gatewise.data import with_columns
from gatewise.model.model import Model
from tests.members.test_columns import NAMES, shop_model
from tests.serve.conftest import TEXTS
from tests.serve.server import ask, post, serving

ROW = {"stars": 4.5, "age": None, "shop": "B", "town": True}
OTHER = {"stars": None, "age": 31, "shop": "never", "town": ""}


@pytest.fixture(scope="module")
def model() -> Model:
    return shop_model(TEXTS)


@pytest.fixture(scope="module")
def port(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("served") / "shop"
    model.save(folder)
    with serving(folder) as found:
        yield found.port


def test_predict_and_explain_read_the_columns(port: int, model: Model) -> None:
    rows = [with_columns(text, row) for text, row in zip(TEXTS[:2], (ROW, OTHER), strict=True)]
    wanted = model.predict_proba(rows)
    answer = post(port, "/predict", {"inputs": TEXTS[:2], "columns": [ROW, OTHER]}).json()
    found = [list(one["probabilities"].values()) for one in answer["predictions"]]
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    one = post(port, "/predict", {"text": TEXTS[1], "columns": OTHER}).json()["predictions"][0]
    np.testing.assert_allclose(list(one["probabilities"].values()), wanted[1], atol=1e-6)
    for row, p in ((ROW, wanted[0]), (OTHER, model.predict_proba([with_columns(TEXTS[0], OTHER)])[0])):
        request = {"text": TEXTS[0], "columns": row, "include": ["prediction", "attribution"]}
        explained = post(port, "/explain", request).json()
        assert explained["prediction"]["probabilities"] == pytest.approx(p.tolist(), abs=1e-6)
        assert [part["column"] for part in explained["attribution"]["columns"]] == list(NAMES.names)
        assert explained["model"]["columns"] == {"numeric": ["stars", "age"], "categorical": ["shop", "town"]}


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "none": ({"text": "a film"}, "columns.stars", "is missing: the model reads the columns stars, age, shop, town"),
    "one is missing": ({"text": "a film", "columns": {"stars": 1}}, "columns.age", "is missing"),
    "a text as a number": ({"text": "a film", "columns": {**ROW, "stars": "5"}}, "columns.stars", "must be a number"),
    "true as a number": ({"text": "a film", "columns": {**ROW, "age": True}}, "columns.age", "must be a number"),
    "a list": ({"text": "a film", "columns": {**ROW, "stars": [1]}}, "columns", "must be values by name"),
    "another number": ({"inputs": TEXTS[:2], "columns": [ROW]}, "columns", "with one object per input"),
    "of the second": ({"inputs": TEXTS[:2], "columns": [ROW, {}]}, "columns[1].stars", "is missing"),
}


@pytest.mark.parametrize("name", BAD)
def test_other_columns_are_refused(port: int, name: str) -> None:
    request, field, message = BAD[name]
    answer = post(port, "/predict", request)
    assert answer.status == 400
    error = answer.json()["error"]
    assert message in error["message"]
    assert error["field"].startswith(field)


def test_the_schema_has_an_example(port: int) -> None:
    examples = ask(port, "GET", "/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"]["content"]
    values = [one["value"] for one in examples["application/json"]["examples"].values()]
    assert values[0]["columns"] == dict.fromkeys(NAMES.names)
    assert post(port, "/predict", values[0]).status == 200
    assert post(port, "/predict", values[1]).status == 200
