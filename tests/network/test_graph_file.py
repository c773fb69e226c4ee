"""A graph survives its file; what a file may not ask for is refused in one line."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest

from gatewise.errors import ModelFileError
from gatewise.network.graph import Graph, Guard
from gatewise.network.graph_file import graph_entry, graph_from
from gatewise.network.size import divided, symbol
from tests.network.test_graph import classifier, inputs, node

T = symbol("T")


def graph() -> Graph:
    nodes = classifier().nodes
    last_two = node("Slice", "logits", "sliced", starts=(T - 1,), ends=(T,), axes=(1,))
    rows = node("Reshape", "logits", "rows", shape=(-1, divided(T + 3, T + 3) * 4))
    return classifier(nodes=(*nodes, last_two, rows), outputs=("sliced", "rows", "last"), guards=(Guard(T, "<=", 9),))


def test_a_graph_survives_its_file() -> None:
    original = graph()
    text = json.dumps(graph_entry(original))
    read = graph_from(json.loads(text), original.constants, "config.json: graph")
    assert read.nodes == original.nodes
    assert read.inputs == original.inputs
    assert read.guards == original.guards
    assert read.types == original.types
    feeds = inputs()
    for name, array in original.run(feeds).items():
        np.testing.assert_array_equal(read.run(feeds)[name], array)


def changed(path: list[Any], value: Any) -> Any:
    entry: Any = copy.deepcopy(graph_entry(graph()))
    place = entry
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return entry


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["nodes", 3, "operation", "type"], "Eval", "the operation 'Eval' is not known here"),
        (["nodes", 3, "operation", "type"], "__class__", "is not known here"),
        (["nodes", 3, "operation"], "Softmax", "must be an object with a type"),
        (["nodes", 3, "operation", "type"], ["Softmax"], "must be an object with a type"),
        (["nodes", 3, "operation", "axis"], "last", "axis must be a whole number"),
        (["nodes", 3, "operation", "path"], "/etc", "unknown key 'path'"),
        (["nodes", 3, "inputs"], ["nowhere"], "which no earlier node computes"),
        (["nodes", 3, "outputs"], ["x"], "two values are called 'x'"),
        (["nodes", 5, "operation", "starts"], ["T T"], "is not a size"),
        (["nodes", 6, "operation", "shape"], [1 << 40, -1], "has no shape"),
        (["nodes", 0, "operation", "cell"], "Mamba", "cell must be"),
        (["nodes", 0, "operation", "activations"], [{"type": "Tanh"}], "has 3 activations"),
        (["nodes", 0, "operation", "activations"], [{"type": "exec"}], "is not known here"),
        (["outputs"], ["nowhere"], "is not computed"),
        (["inputs", "x", "dtype"], "object", "dtype must be"),
        (["inputs", "x", "shape"], ["B", "T", 1 << 40], "Recurrent: weight_ih must be"),
        (["inputs", "unused"], {"dtype": "float", "shape": ["B", 1 << 40]}, "more than 268,435,456 numbers"),
        (["guards"], [{"left": "S", "relation": "<=", "right": 3}], "no input of the size S"),
        (["guards"], [{"left": "T", "relation": "in", "right": 3}], "relation must be"),
        (["version"], 2, "unknown key 'version'"),
    ],
)
def test_what_a_file_may_not_ask_for(path: list[Any], value: Any, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        graph_from(changed(path, value), graph().constants, "config.json: graph")
