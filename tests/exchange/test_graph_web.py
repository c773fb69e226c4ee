"""Web models of networks that are graphs: ONNX Runtime computes the predictions from the feeds of the module."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.model.model import Model
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.network.graph import Graph, Guard
from gatewise.network.graph_builder import GraphBuilder
from gatewise.network.operation import ValueType
from gatewise.text import TokenEncoding
from tests.exchange.test_web import answers_in_node
from tests.members.graphs import B, T, operation_of_recurrence, recurrent_classifier, several_inputs
from tests.members.test_graph_network import attention_series
from tests.model.test_graph_model import with_country

runtime = pytest.importorskip("onnxruntime")

STUBS = """
    const ort = {
        Tensor: function (type, data, dims) { Object.assign(this, { type, data: Array.from(data, String), dims }); },
        InferenceSession: { create: async () => ({ run: async (feeds) => {
            seen.push(feeds);
            return { [given.output]: { data: Float32Array.from([0.25, 0.75, 0.5, 0.5]), dims: [2, 2] } };
        } }) },
    };
    class Tokenizer { encode(text) { return { ids: text.split(" ").map((word) => Number(word.slice(1))) }; } }
"""
DTYPES = {"float32": np.float32, "int64": np.int64, "int32": np.int32, "bool": np.bool_}


def channels_first() -> Graph:
    """Series (2, B, T) of two channels, and the number of steps of each (B,): a GRU, the mean of its steps."""
    rng = np.random.default_rng(31)
    builder = GraphBuilder()
    series = builder.input("series", ValueType("float", (2, B, T)))
    lengths = builder.input("lengths", ValueType("int64", (B,)))
    x = builder.add("Transpose", series, perm=(1, 2, 0))
    weights = [builder.constant(rng.normal(size=size) * 0.7) for size in ((9, 2), (9, 3), (9,))]
    h = builder.node(operation_of_recurrence("GRU"), [x, *weights])[0]
    total = builder.add("ReduceSum", h, axes=(1,), keepdims=0)
    count = builder.add("Unsqueeze", builder.add("Cast", lengths, to="float"), axes=(1,))
    mean = builder.add("Div", total, count)
    return builder.graph([builder.add("MatMul", mean, builder.constant(rng.normal(size=(3, 2))))])


RNG = np.random.default_rng(32)
SEVERAL = [
    {"ids": RNG.integers(0, 13, length), "numbers": RNG.normal(size=4), "h0": RNG.normal(size=(1, 5))}
    for length in (4, 7)
]
WORDS = TextPreprocessor(TokenEncoding.of_words(["", "", *(f"w{id}" for id in range(2, 19))]))
CASES: dict[str, tuple[Any, list[Any], list[Any]]] = {
    "ids": (lambda: Model.of_graph(recurrent_classifier()), ["3 1 4", "2 7 1 8 2"], [[3, 1, 4], [2, 7, 1, 8, 2]]),
    "words": (lambda: Model.of_graph(recurrent_classifier(), WORDS), ["w3 w18 w4", "w2 w7"], []),
    "several": (lambda: Model.of_graph(several_inputs(), classes=["no", "yes"]), SEVERAL, SEVERAL),
    "series": (lambda: Model.of_graph(attention_series()), [RNG.normal(size=(5, 3)), RNG.normal(size=(2, 3))], []),
    "channels first": (
        lambda: Model.of_graph(channels_first(), lengths="lengths"),
        [RNG.normal(size=(4, 2)), RNG.normal(size=(7, 2))],
        [],
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("quantize", ["float32", "int8"])
def test_the_feeds_of_the_module_give_the_predictions(name: str, quantize: str, tmp_path: Path) -> None:
    make, inputs, written = CASES[name]
    model: Model = make()
    model.export(tmp_path / "web", "web", quantize=quantize)
    rows = written or inputs
    output = "values" if model.task == "regression" else "probabilities"
    given = {"output": output, "inputs": [json.loads(json.dumps(rows, default=lambda array: array.tolist()))]}
    found = answers_in_node(tmp_path / "web", given, STUBS)
    assert [list(next(reversed(answer.values()))) for answer in found["answers"][0]], found
    session = runtime.InferenceSession(str(tmp_path / "web" / "model.onnx"), providers=["CPUExecutionProvider"])
    tolerance = 1e-5 if quantize == "float32" else 0.1
    predicted = model.predict(inputs) if model.task == "regression" else model.predict_proba(inputs)
    for feeds, expected in zip(found["seen"], predicted, strict=True):
        tensors = {
            key: np.array(list(map(float, feed["data"]))).astype(DTYPES[feed["type"]]).reshape(feed["dims"])
            for key, feed in feeds.items()
        }
        [computed] = session.run([output], tensors)
        np.testing.assert_allclose(computed[0], expected, rtol=0, atol=tolerance)


def answers(model: Model, folder: Path, *rows: Any) -> list[Any]:
    model.export(folder, "web")
    given = {"output": "probabilities", "inputs": [[row] for row in rows]}
    found: list[Any] = answers_in_node(folder, given, STUBS)["answers"]
    return found


def test_what_the_network_does_not_read_is_refused_by_the_module(tmp_path: Path) -> None:
    row = {name: array.tolist() for name, array in SEVERAL[0].items()}
    model = Model.of_graph(several_inputs(), classes=["no", "yes"])
    rows = [
        {**row, "ids": [1, -1]},
        {**row, "ids": [1, 13]},
        {**row, "ids": [1.5]},
        {**row, "numbers": [1, 2, 3]},
        {**row, "h0": [[1, 2], [3]]},
        {"ids": [1]},
        [1, 2],
    ]
    assert answers(model, tmp_path / "several", *rows) == [
        "input 1: ids has -1, and its numbers are from 0 to 12",
        "input 1: ids has 13, and its numbers are from 0 to 12",
        "input 1: ids takes whole numbers",
        "input 1: numbers must have the sizes 4, and has 3",
        "input 1: h0 must be numbers in nested lists of equal lengths",
        "input 1 must be an object with the inputs ids, numbers, h0",
        "input 1 must be an object with the inputs ids, numbers, h0",
    ]
    guarded = Model.of_graph(attention_series(guards=(Guard(3, "<=", T),)))
    [message] = answers(guarded, tmp_path / "guarded", [[1, 2, 3], [4, 5, 6]])
    assert message.endswith("the network was read for inputs with 3 <= T, and this one has T = 2")
    [message] = answers(Model.of_graph(attention_series()), tmp_path / "series", [[1, None, 3]])
    assert "must be numbers in nested lists" in message


def test_ids_that_the_module_cannot_check_are_refused() -> None:
    model = Model.of_graph(with_country(), classes=["a", "b", "c"])
    with pytest.raises(InputError, match="which the network computes before it looks them up"):
        model.export("never", "web")
    halves = attention_series(guards=(Guard(T // 2, "==", 2),))
    with pytest.raises(InputError, match="whose module computes no sizes"):
        Model.of_graph(halves).export("never", "web")
