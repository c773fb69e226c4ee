"""What a Model does, with networks of any form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import InputError
from gatewise.explain import Clamp
from gatewise.model.model import Model
from gatewise.network.graph import Graph
from gatewise.network.graph_builder import GraphBuilder
from gatewise.network.operation import ValueType
from tests.cli.conftest import Run
from tests.members.graphs import B, T, operation_of_recurrence, recurrent_classifier, several_inputs
from tests.members.test_graph_network import AS_GRAPHS, both

RNG = np.random.default_rng(0)
BATCH: dict[str, Any] = {
    "ids": RNG.integers(0, 13, (3, 6)),
    "numbers": RNG.normal(size=(3, 4)),
    "h0": RNG.normal(size=(1, 3, 5)),
}
ROWS: list[dict[str, Any]] = [
    {"ids": BATCH["ids"][n], "numbers": BATCH["numbers"][n], "h0": BATCH["h0"][:, n]} for n in range(3)
]


@pytest.fixture(scope="module")
def several() -> Model:
    return Model.of_graph(several_inputs(), classes=["no", "yes"])


def test_several_inputs_are_a_dict_of_arrays_or_a_list_of_rows(several: Model) -> None:
    outputs = several.predict_outputs(BATCH)
    assert {name: array.shape for name, array in outputs.items()} == {"probability": (3,), "numbers2": (3, 2)}
    probabilities = several.predict_proba(BATCH)
    np.testing.assert_allclose(probabilities[:, 1], outputs["probability"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(several.predict_proba(ROWS), probabilities, rtol=0, atol=1e-6)
    of_lengths = [{**row, "ids": row["ids"][: n + 2]} for n, row in enumerate(ROWS)]
    for row, alone in zip(several.predict_proba(of_lengths), of_lengths, strict=True):
        np.testing.assert_allclose(several.predict_proba([alone])[0], row, rtol=0, atol=1e-6)
    assert several.predict(ROWS).tolist() == ["yes" if p > 0.5 else "no" for p in outputs["probability"]]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"ids": BATCH["ids"]}, "has the inputs ids, numbers, h0, and gets ids"),
        ({**BATCH, "numbers": BATCH["numbers"][:2]}, "same number of rows: ids 3, numbers 2, h0 3"),
        ({**BATCH, "numbers": BATCH["numbers"][:, :3]}, r"row 0: the input numbers must be float \(4\)"),
        (
            {**BATCH, "ids": BATCH["ids"] + 9},
            r"row \d: the input ids has the id \d+ at .\d., and its ids are from 0 to 12",
        ),
        ({**BATCH, "ids": BATCH["ids"] * 0.5}, r"ids must be int64 \(T\), not float64"),
        ({**BATCH, "numbers": BATCH["numbers"] * np.nan}, "missing value"),
        ("1 2 3", "not a str"),
        ([{**ROWS[0], "h0": np.zeros(5)}], r"h0 must be float \(1, 5\), not float64 \(5,\)"),
        ([{**ROWS[0], "ids": [["a"]]}], "must hold numbers"),
        ([{**ROWS[0], "ids": []}], r"\(0,\)"),
    ],
)
def test_arrays_that_the_network_does_not_read_are_refused(several: Model, inputs: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        several.predict(inputs)


def test_all_outputs_of_each_row_are_those_of_the_batch(several: Model) -> None:
    outputs = several.predict_outputs(BATCH)
    for number, row in enumerate(several.row_outputs(BATCH)):
        assert list(row) == ["probability", "numbers2"]
        for name, array in row.items():
            np.testing.assert_allclose(array, outputs[name][number], rtol=0, atol=1e-6)
    rows = [{**row, "ids": row["ids"][: n + 2]} for n, row in enumerate(ROWS)]
    for row, of_row in zip(rows, several.row_outputs(rows), strict=True):
        alone = several.predict_outputs({name: np.expand_dims(array, name == "h0") for name, array in row.items()})
        for name, array in of_row.items():
            np.testing.assert_allclose(array, alone[name][0], rtol=0, atol=1e-6)
    attention = Model.of_graph(recurrent_classifier())
    of_texts = attention.row_outputs(["3 1 4", "2 7 1 8 2"])
    weights = attention.ensemble.network.output_names[1]
    assert [row[weights].shape for row in of_texts] == [(3, 1), (5, 1)]
    np.testing.assert_allclose(of_texts[1][weights].sum(), 1, rtol=1e-6)
    with pytest.raises(InputError, match="only those of a network that is a graph"):
        gw.load("tutorial").row_outputs(["a film"])


def with_country() -> Graph:
    """Ids (B, T) of 13 words, and the number (B,) of one of 5 countries, whose table has ids from -1 to 3."""
    rng = np.random.default_rng(8)
    builder = GraphBuilder()
    ids = builder.input("ids", ValueType("int64", (B, T)))
    country = builder.input("country", ValueType("int64", (B,)))
    words = builder.add("Gather", builder.constant(rng.normal(size=(13, 3))), ids, axis=0)
    number = builder.add("Add", country, builder.constant(np.array(1)))
    of_country = builder.add("Gather", builder.constant(rng.normal(size=(5, 2))), number, axis=0)
    pooled = builder.add("ReduceMean", words, axes=(1,), keepdims=0)
    both = builder.add("Concat", pooled, of_country, axis=1)
    return builder.graph([builder.add("MatMul", both, builder.constant(rng.normal(size=(5, 3))))])


def test_ids_of_each_input_must_be_rows_of_its_table(tmp_path: Path) -> None:
    model = Model.of_graph(with_country(), classes=["a", "b", "c"])
    model.save(tmp_path / "model")
    rows: list[dict[str, Any]] = [{"ids": [3, 12, 0], "country": -1}, {"ids": [7, 1], "country": 3}]
    for opened in (model, gw.load(tmp_path / "model")):
        assert opened.predict(rows).shape == (2,)
        for call in (opened.predict, opened.logits):
            with pytest.raises(
                InputError, match=r"^row 1: the input country has the id 4, and its ids are from -1 to 3$"
            ):
                call([rows[0], {**rows[1], "country": 4}])
            with pytest.raises(InputError, match=r"^row 1: the input ids has the id -2 at \[1\], and its ids are"):
                call([rows[0], {**rows[1], "ids": [7, -2]}])
        for call in (opened.trace, opened.explain):
            with pytest.raises(InputError, match=r"^the input country has the id -2, and its ids are from -1 to 3$"):
                call({**rows[0], "country": -2})
        batch = {"ids": np.array([[3, 12], [13, 0]]), "country": np.array([-1, 2])}
        with pytest.raises(
            InputError, match=r"^the input ids has the id 13 at \[1, 0\], and its ids are from 0 to 12$"
        ):
            opened.predict_outputs(batch)


def test_a_row_of_arrays_is_explained(several: Model) -> None:
    example = several.trace(ROWS[1])
    assert example.steps == [str(id) for id in ROWS[1]["ids"]]
    assert example.lstms[0].i.shape == (6, 5)
    np.testing.assert_array_equal(example.lstms[0].h0, BATCH["h0"][0, 1].astype(np.float32))
    for method in ("leave-one-out", "integrated-gradients", "prefix-difference"):
        explanation = several.explain(example, method)
        assert np.abs(explanation.scores).max() > 1e-3
        assert explanation.target_score == pytest.approx(
            explanation.base_value + explanation.scores.sum() + explanation.residual
        )


def test_a_saved_model_predicts_the_same(several: Model, tmp_path: Path) -> None:
    several.save(tmp_path / "several")
    opened = gw.load(tmp_path / "several")
    np.testing.assert_array_equal(opened.predict_proba(ROWS), several.predict_proba(ROWS))
    assert opened.fingerprint == several.fingerprint
    for name, array in several.predict_outputs(BATCH).items():
        np.testing.assert_array_equal(opened.predict_outputs(BATCH)[name], array)
    classifier = Model.of_graph(recurrent_classifier(), classes=["a", "b", "c"])
    classifier.save(tmp_path / "classifier", storage="float16")
    difference = gw.load(tmp_path / "classifier").logits(["1 2 3"]) - classifier.logits(["1 2 3"])
    assert 0 < np.abs(difference).max() < 1e-2


def test_the_target_is_that_of_the_activation() -> None:
    graph = recurrent_classifier(classes=2)
    two = Model.of_graph(graph)
    assert (two.task, two.classes) == ("classification", ("0", "1"))
    [expected] = [outputs for name, outputs in two.predict_outputs([[3, 0, 7]]).items() if outputs.shape == (1, 2)]
    np.testing.assert_allclose(two.predict_proba([[3, 0, 7]]), expected, rtol=0, atol=1e-6)
    assert Model.of_graph(several_inputs(), output="numbers2").task == "regression"
    assert Model.of_graph(several_inputs()).task == "classification"
    with pytest.raises(InputError, match="outputs probability, numbers2, not 'nothing'"):
        Model.of_graph(several_inputs(), output="nothing")
    with pytest.raises(InputError, match="softmax over axis 1"):
        Model.of_graph(graph, output=graph.outputs[1])


def per_step() -> Graph:
    """Series (B, T, 2), two GRU layers in both directions, a softmax over four classes for each step."""
    rng = np.random.default_rng(6)
    builder = GraphBuilder()
    x = builder.input("series", ValueType("float", (B, T, 2)))
    for width in (2, 6):
        both = []
        for reverse in (False, True):
            weights = [builder.constant(rng.normal(size=size) * 0.7) for size in ((9, width), (9, 3), (9,))]
            both.append(builder.node(operation_of_recurrence("GRU", reverse), [x, *weights])[0])
        x = builder.add("Concat", *both, axis=2)
    logits = builder.add("MatMul", x, builder.constant(rng.normal(size=(6, 4))))
    return builder.graph([builder.add("Softmax", logits, axis=-1)])


def test_a_network_with_a_prediction_per_step_is_a_tagger() -> None:
    model = Model.of_graph(per_step(), classes=["O", "x", "y", "z"], task="tagging")
    series = [np.random.default_rng(n).normal(size=(n + 3, 2)) for n in range(3)]
    [outputs] = model.predict_outputs(series[2][None]).values()
    np.testing.assert_allclose(model.predict_proba(series)[2], outputs[0], rtol=0, atol=1e-6)
    assert [len(labels) for labels in model.predict(series)] == [3, 4, 5]
    example = model.trace(series[1])
    assert [(layer.cell, layer.directions) for layer in example.network.layers] == [
        ("GRU", ("forward", "backward"))
    ] * 2
    explanation = model.explain(series[1], "integrated-gradients", step=2)
    assert explanation.residual == pytest.approx(0, abs=1e-3)
    replaced = model.explain(series[1], "leave-one-out", step=2)
    assert "replaced by zeros" in replaced.method_note


@pytest.mark.parametrize(("cell", "gate"), [("LSTM", "f"), ("LSTM", "g"), ("GRU", "r"), ("GRU", "z"), ("GRU", "n")])
def test_a_gate_is_held(cell: str, gate: Any) -> None:
    model = Model.of_graph(recurrent_classifier(cell))
    change = model.intervene("3 1 4 1 5", [Clamp(gate, 0.25, unit=2, steps=range(1, 3))])
    before, after = (getattr(example.lstms[0], gate) for example in (change.before, change.after))
    np.testing.assert_allclose(after[1:3, 2], 0.25, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(after[0], before[0])
    np.testing.assert_array_equal(after[1, [0, 1, 3, 4]], before[1, [0, 1, 3, 4]])
    assert np.abs(change.after.logits - change.before.logits).max() > 1e-4
    with pytest.raises(InputError, match="a gate is"):
        model.intervene("3 1", [Clamp("z" if cell == "LSTM" else "o", 0.5)])


def test_gates_that_are_held_at_their_values_change_nothing() -> None:
    for cell in ("LSTM", "GRU"):
        model = Model.of_graph(recurrent_classifier(cell))
        example = model.trace("3 1 4")
        [gates] = example.lstms
        clamps = []
        for gate in gates.names.replace("c", "").replace("h", ""):
            for step in range(3):
                for unit in range(5):
                    value = float(getattr(gates, gate)[step, unit])
                    clamps.append(Clamp(gate, value, unit=unit, steps=range(step, step + 1)))
        change = model.intervene(example, clamps)
        np.testing.assert_allclose(change.after.logits, example.logits, rtol=0, atol=1e-5)


def test_the_command_line_reads_files_of_arrays(several: Model, tmp_path: Path) -> None:
    several.save(tmp_path / "model")
    np.savez(tmp_path / "rows.npz", **BATCH)
    lines = [json.dumps({name: array.tolist() for name, array in row.items()}) for row in ROWS]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    run = Run()
    labels = several.predict(ROWS).tolist()
    for file in ("rows.npz", "rows.jsonl"):
        done = run("predict", "-m", str(tmp_path / "model"), "-i", str(tmp_path / file))
        assert [line.split("\t")[0] for line in done.stdout.splitlines()] == labels
    (tmp_path / "rows.jsonl").write_text(lines[0] + "\n" + '{"ids": [1]}')
    done = run("predict", "-m", str(tmp_path / "model"), "-i", str(tmp_path / "rows.jsonl"))
    assert (done.exit_code, "line 2" in done.stderr) == (2, True)
    done = run("predict", "-m", str(tmp_path / "model"), "1 2 3")
    assert (done.exit_code, "several arrays" in done.stderr) == (2, True)
    for command in ("info", "explain"):
        done = run(command, "-m", str(tmp_path / "model"), *(["-i", str(tmp_path / "rows.npz")] * (command != "info")))
        assert done.exit_code == 0, done.stderr


def test_the_summary_says_why_a_graph_is_no_architecture(several: Model, tmp_path: Path) -> None:
    several.save(tmp_path / "several")
    reason = "not an Architecture of LSTM layers: it has the inputs ids, numbers, h0, and an Architecture reads one"
    card = (tmp_path / "several" / "README.md").read_text()
    info = Run()("info", "-m", str(tmp_path / "several")).stdout
    for text in (repr(several), several._repr_html_(), card, info):
        assert reason in text
        assert "ids: int64 (B, T), numbers: float (B, 4), h0: float (1, B, 5)" in text
        assert "probability: float (B), explained; numbers2: float (B, 2)" in text
    assert "classifies rows of arrays (ids, numbers, h0) into 2 classes: no, yes" in info
    described = Run().json("info", "-m", str(tmp_path / "several"))
    assert described["no_architecture"] in reason
    assert described["output"] == "probability"
    gru = Model.of_graph(recurrent_classifier("GRU"))
    assert "a layer of type GRU" in repr(gru)
    _, network = both(next(iter(AS_GRAPHS.values())))
    plain = Model.of_graph(network.graph)
    assert "not an Architecture" not in repr(plain)
    assert "network:" not in repr(gw.load("tutorial"))


def test_the_report_draws_the_units_of_an_lstm_alone() -> None:
    from gatewise.explain.serialize import report_json

    for cell in ("LSTM", "GRU"):
        model = Model.of_graph(recurrent_classifier(cell))
        example = model.trace("3 1 4")
        view = report_json(model.explain(example), example)
        assert ("heatmaps" in view) == (cell == "LSTM")
        assert len(view["attribution"]["scores"]) == 3


def test_layers_have_the_names_of_the_network_that_was_read(tmp_path: Path) -> None:
    """As the readers of PyTorch and Keras name them: by module and line, and by layer and operation."""
    rng = np.random.default_rng(14)
    builder = GraphBuilder()
    x = builder.input("series", ValueType("float", (B, T, 2)))
    builder.origin = "encoder.lstm (model.py:12)"
    weights = [builder.constant(rng.normal(size=size) * 0.7) for size in ((12, 2), (12, 3), (12,))]
    h = builder.node(operation_of_recurrence("LSTM"), [x, *weights])[0]
    builder.origin = "body (GRU), layer 3 of 4"
    weights = [builder.constant(rng.normal(size=size) * 0.7) for size in ((15, 3), (15, 5), (15,))]
    h = builder.node(operation_of_recurrence("GRU"), [h, *weights])[0]
    pooled = builder.add("ReduceMean", h, axes=(1,), keepdims=0)
    builder.origin = "head (Dense), layer 4 of 4: matmul (Matmul)"
    product = builder.add("MatMul", pooled, builder.constant(rng.normal(size=(5, 2))))
    builder.origin = "head (Dense), layer 4 of 4: add (Add)"
    graph = builder.graph([builder.add("Add", product, builder.constant(rng.normal(size=2)))])
    Model.of_graph(graph).save(tmp_path / "model")
    model = gw.load(tmp_path / "model")
    assert [(layer.name, layer.cell) for layer in model.trace(np.ones((4, 2))).network.layers] == [
        ("encoder.lstm", "LSTM"),
        ("body", "GRU"),
    ]
    assert [name for name, _, _ in model.ensemble.summary()] == ["LSTM encoder.lstm", "GRU body", "Linear head"]
    assert model.ensemble.summary()[-1][2] == 12
    np.savez(tmp_path / "series.npz", series=rng.normal(size=(2, 4, 2)))
    done = Run()(
        "explain", "-m", tmp_path / "model", "-i", tmp_path / "series.npz", "--row", "0", "--clamp", "update=0.5"
    )
    assert "layer 2, forward of body" in " ".join(done.stdout.split()), done.stderr


def test_what_has_no_form_for_rows_of_arrays_says_so(several: Model, tmp_path: Path) -> None:
    several.save(tmp_path / "several")
    with pytest.raises(InputError, match="a table has no columns for the arrays ids, numbers, h0"):
        gw.Scorer(tmp_path / "several")({"text": ["a film"]})
    with pytest.raises(InputError, match="a row has no words to replace"):
        several.intervene(ROWS[0], words={0: "3"})


def test_predict_outputs_is_for_graphs() -> None:
    with pytest.raises(InputError, match="for a network that is a graph"):
        gw.load("tutorial").predict_outputs(np.zeros((1, 3)))
