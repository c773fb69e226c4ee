"""POST /forecast: the library's numbers by series, newer values, future columns, attribution; and what it refuses."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gatewise.forecast.forecaster import Forecaster
from gatewise.model.model import Model
from gatewise.serve.forecasts import ForecastEndpoint
from gatewise.serve.schemas import ForecastRequest, RequestError
from tests.forecast.conftest import TINY, frame
from tests.serve.page.conftest import promoted
from tests.serve.server import Answer, ask, post, served

FUTURE = {"shop": ["a"] * 3 + ["b"] * 3, "month": ["2014-01", "2014-02", "2014-03"] * 2, "sale": [0, 1, 0, 0, 0, 1]}


@pytest.fixture(scope="module")
def shops() -> Forecaster:
    """Two series with a column that is known in advance."""
    return promoted()


@pytest.fixture(scope="module")
def port(shops: Forecaster, fitted: Forecaster, models: dict[str, Model]) -> Iterator[int]:
    with served({"sales": fitted, "shops": shops, "reviews": models["reviews"]}, max_body=100_000) as found:
        yield found


@pytest.fixture(scope="module")
def fitted() -> Forecaster:
    return Forecaster.fit(frame(60)["sold"].to_numpy(), horizon=6, **TINY)


def forecast(port: int, **body: Any) -> Answer:
    return post(port, "/forecast", body)


def test_forecasts_are_those_of_the_library(port: int, fitted: Forecaster) -> None:
    found = forecast(port).json()["series"]["series"]
    expected = fitted.predict()
    assert found["time"] == [str(time) for time in range(60, 66)]
    for name in ("forecast", "lo-80", "hi-80"):
        np.testing.assert_allclose(found[name], expected[name])
    answer = forecast(port, horizon=2, level=[50, 95], id="a-7", include=["history", "attribution"], step=2).json()
    assert (answer["model"], answer["horizon"], answer["id"]) == ("sales", 2, "a-7")
    assert list(answer["series"]["series"]) == ["time", "forecast", "lo-50", "hi-50", "lo-95", "hi-95"]
    explained, history, about = fitted.explain(2), answer["history"]["series"], answer["attribution"]["series"]
    assert history["target"] == fitted.series.values[0][:, 0].tolist()
    assert history["time"][-1] == "59"
    np.testing.assert_allclose(about["contributions"]["target"], explained.contributions[:, 0], atol=1e-6)
    assert about["base"] + sum(about["contributions"]["target"]) == pytest.approx(about["forecast"], rel=1e-3)


def test_newer_values_and_columns_known_in_advance(port: int, shops: Forecaster) -> None:
    answer = forecast(port, model="shops", future=FUTURE).json()
    expected = shops.predict(future=pd.DataFrame(FUTURE))
    assert answer["series"]["a"]["month"] == ["2014-01-01", "2014-02-01", "2014-03-01"]
    np.testing.assert_allclose(
        [*answer["series"]["a"]["forecast"], *answer["series"]["b"]["forecast"]], expected["forecast"]
    )
    newer = frame(48, 48, start="2011-01").assign(sale=0)
    newer.loc[[40, 47], ["sold", "sale"]] = [[np.nan, 0], [900.0, 1]]
    coming = pd.DataFrame({"shop": ["a", "b"], "month": pd.Timestamp("2015-01"), "sale": [1, 0]})
    tables = [
        {name: [None if pd.isna(cell) else cell for cell in one[name].tolist()] for name in one}
        for one in (newer.assign(month=newer["month"].astype(str)), coming.assign(month="2015-01"))
    ]
    body = {"values": tables[0], "future": tables[1], "horizon": 1, "series": "a", "include": ["history"]}
    reply = forecast(port, model="shops", **body)
    assert reply.status == 200, reply.body
    expected, answer = shops.predict(1, data=newer, future=coming), reply.json()
    assert list(answer["series"]) == ["a"]
    assert answer["series"]["a"]["month"] == ["2015-01-01"]
    np.testing.assert_allclose(answer["series"]["a"]["forecast"], expected["forecast"][:1])
    assert answer["history"]["a"]["month"][-1] == "2014-12-01"


def test_the_attributions_of_many_series_read_their_values_once(
    shops: Forecaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, frames = ForecastEndpoint("shops", shops, print), list[Any]()
    monkeypatch.setattr(shops, "current", lambda data=None: frames.append(data) or Forecaster.current(shops, data))
    values = frame(48, 48).assign(sale=0, month=lambda rows: rows["month"].astype(str)).to_dict("list")
    body: dict[str, Any] = {"values": values, "future": FUTURE, "include": ["attribution"]}
    made = found.answer(ForecastRequest(**body))["attribution"]
    for name in ("a", "b"):
        assert made[name] == shops.explain(series=name, data=pd.DataFrame(values)).to_json()
    assert sum(one is not None for one in frames) == 2 + 2  # also of the forecasts; the other two are those above


@pytest.mark.parametrize(
    ("body", "status", "code", "field", "message"),
    [
        ({"xyzzy": 1}, 400, "unknown_field", "body", "the fields are"),
        ({"horizon": 0}, 400, "bad_field", "horizon", "greater than or equal to 1"),
        ({"horizon": 10_001}, 400, "bad_field", "horizon", "less than or equal to 10000"),
        ({"level": [100]}, 400, "bad_field", "level[0]", "less than 100"),
        ({"level": []}, 400, "bad_field", "level", "at least 1"),
        ({"include": ["xyzzy"]}, 400, "bad_field", "include[0]", "must be history or attribution"),
        ({"series": ["xyzzy"]}, 400, "bad_field", "series", "series must be a valid string"),
        ({"series": "xyzzy"}, 400, "bad_field", "series", "one of the fitted series"),
        ({"values": {"xyzzy": [[1]]}}, 400, "bad_field", "values", "must be columns by name"),
        ({"values": {}}, 400, "input", "values", "columns of one length"),
        ({"values": {"time": [1, 2], "target": [1]}}, 400, "input", "values", "columns of one length"),
        ({"values": {"xyzzy": [1, 2]}}, 400, "input", "values", "no column"),
        ({"values": {"time": [1, 2], "target": [1, 2]}}, 400, "input", "values", "the forecaster reads the last"),
        ({"values": {"time": [1, 2], "target": [1, "xyzzy"]}}, 400, "input", "values", "row 1: target must be a num"),
        ({"values": {"time": ["x", 2], "target": [1, 2]}}, 400, "input", "values", "neither a number nor a date"),
        ({"values": {"time": [*range(60)], "target": [-1] * 60}}, 400, "input", "values", "a value below 0"),
        ({"future": {"time": [1]}}, 400, "input", "future", "without columns that are known in advance"),
        ({"model": "shops"}, 400, "input", "future", "values of sale of series a end before"),
        ({"model": "shops", "future": {**FUTURE, "sale": [None] * 6}}, 400, "input", "future", "no values of series a"),
        ({"model": "shops", "horizon": 9, "future": FUTURE}, 400, "input", "future", "future has no values of series"),
        ({"model": "reviews"}, 404, "no_such_model", "model", "no forecaster of that name is served; models answer"),
        ({"model": "xyzzy"}, 404, "no_such_model", "model", "no forecaster of that name is served"),
    ],
)
def test_errors(port: int, body: dict[str, Any], status: int, code: str, field: str, message: str) -> None:
    reply = forecast(port, **body)
    assert (reply.status, reply.error["code"], reply.error["field"]) == (status, code, field), reply.body
    assert message in reply.error["message"]
    assert b"xyzzy" not in reply.body


def test_attributions_that_would_take_long(fitted: Forecaster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatewise.serve.forecasts._MOST_PERTURBED", 2 * fitted.series.values[0].size ** 2)
    endpoint = ForecastEndpoint("sales", fitted, lambda code: None)
    for step in (6, 12):
        assert "attribution" in endpoint.answer(ForecastRequest(include=["attribution"], step=step))
    with pytest.raises(
        RequestError, match="1 series would take too long: ask for one at most 12 steps ahead"
    ) as refused:
        endpoint.answer(ForecastRequest(include=["attribution"], step=13))
    assert refused.value.field == "step"


def test_models_and_forecasters_share_a_server(port: int, fitted: Forecaster) -> None:
    assert post(port, "/predict", {"text": "good"}).json()["model"] == "reviews"
    reply = post(port, "/predict", {"text": "good", "model": "sales"})
    assert (reply.status, "no model of that name is served; forecasters" in reply.error["message"]) == (404, True)
    about = ask(port, "GET", "/model").json()
    assert about["models"][:2] == [{"name": name, "inputs": "forecast"} for name in ("sales", "shops")]
    assert (about["served"], about["series"], about["horizon"]) == ("sales", ["series"], 6)
    assert ask(port, "GET", "/model?model=reviews").json()["served"] == "reviews"
    assert ask(port, "GET", "/v2/models").json()["models"] == ["reviews"]
    examples = ask(port, "GET", "/openapi.json").json()["paths"]["/forecast"]["post"]["requestBody"]["content"]
    assert list(examples["application/json"]["examples"]) == ["sales", "shops"]
    assert forecast(port, model="shops", future=FUTURE).status == 200
    metrics = ask(port, "GET", "/metrics").body.decode()
    assert 'gatewise_requests_total{model="shops",route="/forecast",status="200"}' in metrics
    listed = [one["name"] for one in ask(port, "GET", "/v2/repository/index").json()]
    loaded = [post(port, f"/v2/repository/models/{name}/load", {}) for name in listed]
    assert [(one.status, b"--reload" in one.body) for one in loaded] == [(403, True)] * 3
    with served({"only": fitted}) as alone:
        assert forecast(alone).json()["model"] == "only"
        assert post(alone, "/predict", {"text": "good"}).status == 404
        assert ask(alone, "GET", "/openapi.json").status == 200
