"""Files of arrays: the rows of networks with several inputs, on the command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import InputError
from gatewise.model.model import Model
from gatewise.network.graph import Graph
from gatewise.network.graph_builder import GraphBuilder
from gatewise.network.operation import ValueType
from tests.cli.conftest import Run
from tests.members.graphs import B, T, operation_of_recurrence, several_inputs
from tests.members.test_graph_network import attention_series
from tests.model.test_graph_model import with_country

RNG = np.random.default_rng(11)
CLASSES = ["a", "b", "c"]
LABELS = ["b", "a", "c", "a", "b"]
BATCH: dict[str, Any] = {"ids": RNG.integers(0, 13, (5, 7)), "country": RNG.integers(-1, 4, 5)}


def tagger() -> Graph:
    """Ids (B, T) of 13 words and numbers (B, T, 2): a softmax over four classes for each step."""
    rng = np.random.default_rng(12)
    builder = GraphBuilder()
    ids = builder.input("ids", ValueType("int64", (B, T)))
    numbers = builder.input("numbers", ValueType("float", (B, T, 2)))
    words = builder.add("Gather", builder.constant(rng.normal(size=(13, 3))), ids, axis=0)
    x = builder.add("Concat", words, numbers, axis=2)
    weights = [builder.constant(rng.normal(size=size) * 0.6) for size in ((16, 5), (16, 4), (16,))]
    h = builder.node(operation_of_recurrence("LSTM"), [x, *weights])[0]
    logits = builder.add("MatMul", h, builder.constant(rng.normal(size=(4, 4))))
    return builder.graph([builder.add("Softmax", logits, axis=-1)])


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.of_graph(with_country(), classes=CLASSES)


@pytest.fixture
def files(model: Model, tmp_path: Path) -> Path:
    """The folder of the model, rows.npz and rows.jsonl, whose rows have different lengths."""
    model.save(tmp_path / "model")
    np.savez(tmp_path / "rows.npz", **BATCH, label=np.array(LABELS), weight=RNG.normal(size=5))
    lines = []
    for number, label in enumerate(LABELS):
        ids = BATCH["ids"][number, : number + 2].tolist()
        country = int(BATCH["country"][number])
        lines.append({"label": label, "ids": ids, "country": country, "note": {"of": number}})
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return tmp_path


def rows_of(files: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (files / "rows.jsonl").read_text().splitlines()]
    return [{name: line[name] for name in ("ids", "country")} for line in lines]


def test_predictions_are_written_to_a_table(model: Model, files: Path) -> None:
    expected = {"rows.npz": model.predict_proba(BATCH), "rows.jsonl": model.predict_proba(rows_of(files))}
    run = Run()
    for name, probabilities in expected.items():
        out = files / f"{name}.csv"
        done = run("predict", "-m", files / "model", "-i", files / name, "-o", out)
        assert done.exit_code == 0, done.stderr
        table = list(csv.DictReader(out.read_text().splitlines()))
        assert [row["row"] for row in table] == list("01234")
        assert [row["label"] for row in table] == LABELS
        assert [row["predicted_label"] for row in table] == [CLASSES[best] for best in probabilities.argmax(axis=1)]
        written = [[float(row[f"probability_{label}"]) for label in CLASSES] for row in table]
        np.testing.assert_allclose(written, probabilities, rtol=0, atol=1e-6)
    done = run("predict", "-m", files / "model", "-i", files / "rows.npz", "-o", f"{files}/out/", "--keep", "weight")
    assert done.exit_code == 0, done.stderr
    assert "weight,label" in (files / "out" / "part-00000-00000.csv").read_text()


def test_rows_with_labels_are_evaluated(model: Model, files: Path) -> None:
    accuracy = np.mean(model.predict(BATCH) == np.array(LABELS))
    assert model.score(BATCH, LABELS) == pytest.approx(accuracy)
    run = Run()
    report = run.json("evaluate", "-m", files / "model", files / "rows.npz")
    assert (report["n"], report["accuracy"]) == (5, pytest.approx(accuracy))
    report = run.json("evaluate", "-m", files / "model", files / "rows.npz", files / "rows.jsonl")
    of_lines = np.mean(model.predict(rows_of(files)) == np.array(LABELS))
    assert (report["n"], report["accuracy"]) == (10, pytest.approx((accuracy + of_lines) / 2))
    done = run("evaluate", "-m", files / "model", files / "rows.npz", "-o", files / "out.jsonl")
    assert done.exit_code == 0, done.stderr
    written = [json.loads(line) for line in (files / "out.jsonl").read_text().splitlines()]
    assert [row["label"] for row in written] == LABELS
    assert [row["predicted_label"] for row in written] == model.predict(BATCH).tolist()
    done = run("explain", "-m", files / "model", "-i", files / "rows.jsonl", "-o", files / "why.jsonl")
    assert done.exit_code == 0, done.stderr
    explained = [json.loads(line) for line in (files / "why.jsonl").read_text().splitlines()]
    for row, line in zip(rows_of(files), explained, strict=True):
        np.testing.assert_allclose(line["attributions"], model.explain(row).scores, rtol=0, atol=1e-9)


def test_training_goes_on_from_the_rows_of_a_file(files: Path) -> None:
    rng = np.random.default_rng(13)
    country = rng.integers(-1, 4, 90)
    arrays = {"ids": rng.integers(0, 13, (90, 6)), "country": country, "label": np.array(CLASSES)[country % 3]}
    np.savez(files / "train.npz", **arrays)
    run = Run()
    options = ("--epochs", "20", "--set", "optimisation.learning_rate=0.02", "-o", files / "tuned")
    command = ("train", files / "train.npz", "--pretrained", files / "model", *options)
    assert run.json(*command)["recipe"] == "few-shot"
    report = run.json("evaluate", "-m", files / "tuned", files / "train.npz")
    assert report["accuracy"] > run.json("evaluate", "-m", files / "model", files / "train.npz")["accuracy"]
    assert "--arrays" not in gw.load(files / "tuned").metadata.command
    refused = run("train", files / "train.npz", "--pretrained", files / "model", "--text", "ids", "-o", files / "other")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert "--text is for texts and series, and the model reads rows of arrays" in refused.stderr


def test_a_tagger_of_several_inputs_is_evaluated(tmp_path: Path) -> None:
    model = Model.of_graph(tagger(), classes=["O", "x", "y", "z"], task="tagging")
    batch = {"ids": RNG.integers(0, 13, (3, 4)), "numbers": RNG.normal(size=(3, 4, 2))}
    truth = RNG.choice(["O", "x", "y", "z"], (3, 4))
    expected = np.mean(np.array(model.predict(batch)) == truth)
    assert model.evaluate(batch, truth.tolist()).accuracy == pytest.approx(expected)
    model.save(tmp_path / "model")
    np.savez(tmp_path / "rows.npz", **batch, tags=truth)
    report = Run().json("evaluate", "-m", tmp_path / "model", tmp_path / "rows.npz", "--label", "tags")
    assert (report["n"], report["accuracy"]) == (12, pytest.approx(expected))
    with pytest.raises(InputError, match="row 1 has 3 labels for 4 steps"):
        model.evaluate(batch, [truth[0].tolist(), truth[1, :3].tolist(), truth[2].tolist()])


def test_all_outputs_are_written(tmp_path: Path) -> None:
    model = Model.of_graph(several_inputs(), classes=["no", "yes"])
    model.save(tmp_path / "model")
    rng = np.random.default_rng(13)
    batch = {"ids": rng.integers(0, 13, (3, 6)), "numbers": rng.normal(size=(3, 4)), "h0": rng.normal(size=(1, 3, 5))}
    np.savez(tmp_path / "rows.npz", **batch)
    expected = model.predict_outputs(batch)
    run = Run()
    arguments = ("predict", "-m", tmp_path / "model", "-i", tmp_path / "rows.npz", "--outputs")
    answers = run.json(*arguments)["predictions"]
    for name, array in expected.items():
        np.testing.assert_allclose([answer["outputs"][name] for answer in answers], array, rtol=1e-5, atol=1e-6)
    assert run(*arguments, "-o", tmp_path / "out.csv").exit_code == 0
    table = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    numbers = [[float(number) for number in row["output_numbers2"].split()] for row in table]
    np.testing.assert_allclose(numbers, expected["numbers2"], rtol=1e-5, atol=1e-6)
    for words, message in (
        (arguments, "--outputs is for --json and -o"),
        (["predict", "a film", "--outputs", "--json"], "--outputs is for a network that is a graph"),
    ):
        done = run(*words)
        assert (done.exit_code, message in done.stderr) == (2, True), done.stderr
    Model.of_graph(tagger(), task="tagging").save(tmp_path / "tagger")
    np.savez(tmp_path / "steps.npz", ids=batch["ids"], numbers=rng.normal(size=(3, 6, 2)))
    arguments = ("predict", "-m", tmp_path / "tagger", "-i", tmp_path / "steps.npz", "--outputs", "-o")
    done = run(*arguments, tmp_path / "tags.csv")
    assert (done.exit_code, "has 2 axes, too many for .csv" in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "tags.csv").exists()
    assert run(*arguments, tmp_path / "tags.jsonl").exit_code == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"country": None},
            "has no array 'country'; the model has the inputs ids, country, and the file has 'ids', 'label'",
        ),
        ({"country": BATCH["country"][:4]}, "the inputs must have the same number of rows: ids 5, country 4"),
        ({"country": BATCH["country"] + 0.5}, "the input country must be int64"),
        ({"extra": np.zeros((4, 2))}, "the array 'extra' (4, 2) is no input of the model (ids, country)"),
        ({"label": None}, "has no labels 'label'; besides the inputs it has nothing else: name them with --label"),
        ({"label": np.array(["a", "b", "q", "a", "c"])}, "q"),
        (
            {"country": np.array([0, 1, -2, 3, 0])},
            "row 2: the input country has the id -2, and its ids are from -1 to 3",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_one_line(files: Path, change: dict[str, Any], message: str) -> None:
    arrays = {**BATCH, "label": np.array(LABELS), **change}
    np.savez(files / "bad.npz", **{name: array for name, array in arrays.items() if array is not None})
    done = Run()("evaluate", "-m", files / "model", files / "bad.npz")
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_other_files_and_options_are_refused(files: Path) -> None:
    run = Run()
    (files / "rows.csv").write_text("ids,country\n1,2\n")
    (files / "bad.jsonl").write_text('{"ids": [1, 2], "country": 0}\n{"ids": [1]}\n')
    for words, message in (
        (["-i", files / "rows.csv"], "reads .npz files with an array for each input, and .jsonl files"),
        (["-i", "-"], "rows of arrays cannot be read from stdin"),
        (["-i", files / "bad.jsonl"], "line 2' has no 'country'; the model has the inputs ids, country"),
        (["-i", files / "rows.npz", "--text", "label"], "--text is for texts and series, and the model reads rows"),
        (["-i", files / "rows.npz", "-o", f"{files}/ray/", "--ray", "local"], "--ray is for texts"),
    ):
        done = run("predict", "-m", files / "model", *words)
        assert (done.exit_code, message in done.stderr) == (2, True), done.stderr
    labelled = gw.load(files / "model")
    with pytest.raises(InputError, match="labels are missing"):
        labelled.evaluate(BATCH)


def test_series_have_the_name_of_the_input_in_a_file(tmp_path: Path) -> None:
    """Three steps of three channels: under the name of the input, the layout is that of the network."""
    graph = attention_series()
    model = Model.of_graph(graph)
    model.save(tmp_path / "model")
    [name] = graph.inputs
    series = RNG.normal(size=(4, 3, 3)).astype(np.float32)
    np.savez(tmp_path / "series.npz", **{name: series})
    done = Run()("predict", "-m", tmp_path / "model", "-i", tmp_path / "series.npz", "--json")
    assert done.exit_code == 0, done.stderr
    expected = model.predict(series, layout="time-first")
    values = [list(next(iter(row.values())).values()) for row in json.loads(done.stdout)["predictions"]]
    np.testing.assert_allclose(values, expected, rtol=1e-6)
