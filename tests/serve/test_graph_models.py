"""Networks of any form are served, also those with several inputs."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.model.model import Model
from gatewise.network.graph import Graph, Guard
from gatewise.network.graph_builder import GraphBuilder
from gatewise.network.operation import ValueType
from gatewise.network.size import symbol
from tests.members.graphs import B, T, recurrent_classifier, several_inputs
from tests.members.test_graph_network import attention_series
from tests.model.test_graph_model import ROWS
from tests.serve.server import ask, post, served

N = symbol("N")


def clipped_ids() -> Graph:
    """Ids (B, T) of any size, which the network clips to the 7 rows of its table."""
    rng = np.random.default_rng(9)
    builder = GraphBuilder()
    ids = builder.input("ids", ValueType("int64", (B, T)))
    rows = builder.add("Clip", ids, builder.constant(np.array(0)), builder.constant(np.array(6)))
    words = builder.add("Gather", builder.constant(rng.normal(size=(7, 3))), rows, axis=0)
    pooled = builder.add("ReduceMean", words, axes=(1,), keepdims=0)
    return builder.graph([builder.add("MatMul", pooled, builder.constant(rng.normal(size=(3, 2))))])


def horizon() -> Graph:
    """A series (B, T, 2), and five known steps (B, N, 2) of which the last one is read, as of a decoder."""
    rng = np.random.default_rng(10)
    builder = GraphBuilder()
    past = builder.input("past", ValueType("float", (B, T, 2)))
    known = builder.input("known", ValueType("float", (B, N, 2)))
    last = builder.add("Gather", known, builder.constant(np.array(4)), axis=1)
    rows = builder.add("Add", builder.add("ReduceMean", past, axes=(1,), keepdims=0), last)
    logits = builder.add("MatMul", rows, builder.constant(rng.normal(size=(2, 3))))
    return builder.graph([logits], (Guard(N, "<=", 9), Guard(5, "<=", N)))


JSON_ROWS = [{name: array.tolist() for name, array in row.items()} for row in ROWS]


@pytest.fixture(scope="module")
def models() -> dict[str, Model]:
    return {
        "several": Model.of_graph(several_inputs(), classes=["no", "yes"]),
        "gru": Model.of_graph(recurrent_classifier("GRU")),
        "rnn": Model.of_graph(recurrent_classifier("RNN")),
        # No network that reads an example of two steps, or of numbers that are not whole, stops a server.
        "long": Model.of_graph(attention_series(guards=(Guard(5, "<=", T),))),
        "whole": Model.of_graph(clipped_ids()),
        "horizon": Model.of_graph(horizon()),
        "words": gw.load("tutorial"),
        "attention": Model.of_graph(attention_series(guards=(Guard(T, "<=", 6),))),
    }


@pytest.fixture(scope="module")
def port(models: dict[str, Model]) -> Iterator[int]:
    with served(models) as found:
        yield found


def test_rows_of_arrays_are_predicted(port: int, models: dict[str, Model]) -> None:
    expected = models["several"].predict_proba(ROWS)
    for body in ({"inputs": JSON_ROWS}, {"arrays": JSON_ROWS[0]}):
        answer = post(port, "/predict", {"model": "several", **body})
        assert answer.status == 200, answer.body
        rows = [list(one["probabilities"].values()) for one in answer.json()["predictions"]]
        np.testing.assert_allclose(rows, expected[: len(rows)], atol=1e-6)


def test_all_outputs_are_in_the_answer_that_wants_them(port: int, models: dict[str, Model]) -> None:
    expected = models["several"].row_outputs(ROWS)
    answer = post(port, "/predict", {"model": "several", "inputs": JSON_ROWS, "outputs": True})
    assert answer.status == 200, answer.body
    for prediction, outputs in zip(answer.json()["predictions"], expected, strict=True):
        assert list(prediction["outputs"]) == list(outputs)
        for name, array in outputs.items():
            np.testing.assert_allclose(prediction["outputs"][name], array, atol=1e-6)
    assert "outputs" not in post(port, "/predict", {"model": "several", "inputs": JSON_ROWS}).json()["predictions"][0]
    explained = post(port, "/explain", {"model": "several", "include": ["outputs"], "arrays": JSON_ROWS[1]}).json()
    assert [(output["name"], output["shape"], output["explained"]) for output in explained["outputs"]] == [
        ("probability", [], True),
        ("numbers2", [2], False),
    ]
    np.testing.assert_allclose(explained["outputs"][1]["values"], expected[1]["numbers2"], atol=1e-6)
    plain = {"text": "a film", "model": "words"}
    for path, body in (("/predict", {"outputs": True}), ("/explain", {"include": ["outputs"]})):
        answer = post(port, path, {**plain, **body})
        assert (answer.status, "a network that is a graph" in str(answer.json())) == (400, True), answer.body


def test_the_examples_of_the_description_are_those_that_a_network_reads(port: int, models: dict[str, Model]) -> None:
    assert [len(models[name].format.example) for name in ("attention", "long")] == [2, 5]
    paths = ask(port, "GET", "/openapi.json").json()["paths"]
    examples = paths["/predict"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    for example in examples.values():
        assert post(port, "/predict", example["value"]).status == 200, example
    for ids in ([[3], [900], [-5]], [[3], [6], [0]]):
        answer = post(port, "/predict", {"model": "whole", "series": ids}).json()["predictions"][0]
        expected = models["whole"].predict_outputs(np.array(ids).T)
        np.testing.assert_allclose(
            list(answer["values"].values()), *(array[0] for array in expected.values()), rtol=1e-5
        )


def test_an_id_that_is_no_row_of_its_table_is_refused_alone(port: int) -> None:
    bad = {**JSON_ROWS[0], "ids": [1, -1, 3]}
    answer = post(port, "/predict", {"model": "several", "inputs": [JSON_ROWS[1], bad]})
    assert answer.status == 400
    assert "row 1: the input ids has the id -1 at [1], and its ids are from 0 to 12" in str(answer.json())
    answer = post(port, "/explain", {"model": "several", "arrays": bad})
    assert (answer.status, "ids are from 0 to 12" in str(answer.json())) == (400, True)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"arrays": {"ids": [1]}}, 400, "must be an object with the inputs ids, numbers, h0"),
        ({"arrays": {**JSON_ROWS[0], "ids": ["1", "2"]}}, 400, "nested lists"),
        ({"arrays": {**JSON_ROWS[0], "ids": [1.5]}}, 400, "must be int64"),
        ({"text": "1 2 3"}, 400, "arrays"),
    ],
)
def test_other_arrays_are_refused(port: int, body: Any, status: int, message: str) -> None:
    answer = post(port, "/predict", {"model": "several", **body})
    assert (answer.status, message in str(answer.json())) == (status, True), answer.body


def test_the_example_of_a_network_of_several_inputs_has_sizes_that_it_reads(
    port: int, models: dict[str, Model]
) -> None:
    example = models["horizon"].format.example
    assert np.shape(example["past"]) == (3, 2)
    assert np.shape(example["known"]) == (5, 2)
    answer = post(port, "/predict", {"model": "horizon", "arrays": example})
    assert answer.status == 200, answer.body


def test_a_length_that_the_network_does_not_read_is_refused_alone(port: int, models: dict[str, Model]) -> None:
    series = [np.ones((7, 3)).tolist(), np.ones((4, 3)).tolist()]
    answer = post(port, "/predict", {"model": "attention", "inputs": series})
    assert answer.status == 400
    assert "must be at most 6, and is 7" in str(answer.json())
    assert post(port, "/predict", {"model": "attention", "inputs": series[1:]}).status == 200


def test_each_network_has_the_parts_of_the_page(port: int) -> None:
    bodies: dict[str, Any] = {
        "several": {"arrays": JSON_ROWS[0]},
        "gru": {"text": "1 2 3 0"},
        "attention": {"series": np.ones((4, 3)).tolist()},
    }
    for name, body in bodies.items():
        include = ["prediction", "prefix", "prefix:all", "attribution"]
        answer = post(port, "/explain", {"model": name, "include": include, **body})
        assert answer.status == 200, answer.body
        assert len(answer.json()["attribution"]["scores"]) in (4, 6)
        assert "cell-decomposition" not in answer.json()["attribution"]["methods"]
        card = ask(port, "GET", f"/model?model={name}").json()
        assert "network" in str(card["members"])
    units = post(
        port, "/explain", {"model": "gru", "include": ["units", "unit:1", "heatmap:z"], **bodies["gru"]}
    ).json()
    assert set("rznh") < set(units["unit"])
    assert units["heatmaps"][0]["shape"] == [5, 4]
    assert units["model"]["layers"] == [
        {"units": 5, "directions": ["forward"], "cell": "GRU", "values": ["r", "z", "n", "h"]}
    ]
    for part in ("units", "heatmap:h", "unit:0"):
        answer = post(port, "/explain", {"model": "attention", "include": [part], **bodies["attention"]})
        assert (answer.status, "no recurrent layer" in str(answer.json())) == (400, True)
    held = [{"gate": "z", "value": 0.5}]
    answer = post(port, "/explain", {"model": "gru", "include": ["prediction"], "changes": held, **bodies["gru"]})
    assert answer.status == 200, answer.body
    answer = post(port, "/explain", {"model": "gru", "changes": [{"gate": "f", "value": 0.5}], **bodies["gru"]})
    assert answer.status == 400
    for gate, status in (("gru", 200), ("rnn", 400)):
        ablated = {"gate": "h", "unit": 2, "value": 0}
        request = {"model": gate, "include": ["prediction", "unit:2"], "changes": [ablated], **bodies["gru"]}
        answer = post(port, "/explain", request)
        assert answer.status == status, answer.body
        if status == 200:
            assert not any(answer.json()["unit"]["h"])
        else:
            assert "a simple RNN has no gates" in str(answer.json())
