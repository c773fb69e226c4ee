"""Exported ONNX files: ONNX Runtime computes what the model computes, whatever the model's shape."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

import gatewise as gw
from gatewise.errors import InputError, ModelFileError
from gatewise.exchange import onnx_export
from gatewise.exchange.onnx_export import ExportError
from gatewise.members.encoded_sequence import EncodedSequence, steps_of
from gatewise.members.ensemble import Ensemble
from gatewise.members.onnx.graph import Graph
from gatewise.model import with_examples
from gatewise.model.compress import stored
from gatewise.model.model import Model
from gatewise.model.series_preprocessor import SeriesPreprocessor
from gatewise.network.architecture import Layer
from gatewise.storage.compact import Unpacked, pack, storage_table
from gatewise.types import Array
from tests.exchange.random_models import CASES, TOKENS, random_inputs, random_model
from tests.refusals import assert_refused

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def run(path: Path, model: Model, inputs: list[Any], fill: float = 0, more: int = 0) -> dict[str, Array]:
    """The outputs of the file by name. fill: what stands behind the end of a sequence. more: further steps of it."""
    series = isinstance(model.preprocessor, SeriesPreprocessor)
    sequences = inputs if series else steps_of(model.preprocessor.encode_batch(inputs))
    lengths = np.array([len(one) for one in sequences], dtype=np.int64)
    padded = np.full((len(inputs), lengths.max() + more, *sequences[0].shape[1:]), fill, np.float32 if series else int)
    for row, one in zip(padded, sequences, strict=True):
        row[: len(one)] = one
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    found = session.run(None, {"series" if series else "tokens": padded, "lengths": lengths})
    return dict(zip(names, found, strict=True))


@pytest.mark.parametrize("name", CASES)
def test_onnx_runtime_computes_the_same(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_export, "CHECKED", 100)
    model, path = random_model(**CASES[name]), tmp_path / "model.onnx"
    report = model.export(path)
    assert report.max_error <= 1e-5
    assert report.bytes == path.stat().st_size
    inputs = random_inputs(model)
    wanted = model.logits(inputs)
    assert np.ptp(wanted, axis=0).min() > 1e-2, "the logits must differ for this test to mean anything"
    fill = np.nan if model.channels else 1  # what stands behind the end must not matter
    for given, more in ((inputs, 0), (inputs, 7), (inputs[:1], 0)):
        found = run(path, model, given, fill, more)
        logits = found["values" if model.task == "regression" else "logits"]
        np.testing.assert_allclose(logits, wanted[: len(given)], rtol=1e-5, atol=1e-5)
        if model.task != "regression":
            np.testing.assert_allclose(found["probabilities"], model.predict_proba(given), atol=1e-5)
        assert len(found) == (1 if model.task == "regression" else 2)
    again = gw.from_onnx(path)
    assert again.fingerprint == model.fingerprint
    np.testing.assert_array_equal(again.logits(inputs), wanted)
    assert again.metadata == model.metadata


@pytest.mark.parametrize("name", ["two layers, both directions", "n-grams", "series and convolutions"])
@pytest.mark.parametrize(("dtype", "share"), [("int8", 0.6), ("float16", 0.4)])
def test_a_quantised_file_computes_the_rounded_model(
    name: str, dtype: str, share: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_export, "CHECKED", 100)
    model = random_model(**{**CASES[name], "units": 40})
    whole = model.export(tmp_path / "whole.onnx")
    report = model.export(tmp_path / "model.onnx", quantize=dtype)
    assert (whole.storage, report.storage) == ("float32", dtype)
    matrices = sum(one.nbytes for key, one in model.parameters.items() if one.ndim == 2 and "dense" not in key)
    assert whole.bytes - report.bytes > share * matrices - 2_000  # of nodes
    inputs = random_inputs(model)
    found, wanted = run(tmp_path / "model.onnx", model, inputs)["logits"], stored(model, dtype).logits(inputs)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    assert 1e-7 < np.abs(wanted - model.logits(inputs)).max() < 0.1
    assert_refused("quantized files are not read", gw.from_onnx, tmp_path / "model.onnx", error=ModelFileError)
    with pytest.raises(InputError, match="storage must be float32, float16 or int8, not 'int4'"):
        model.export(tmp_path / "model.onnx", quantize="int4")


@pytest.mark.parametrize(("dtype", "size"), [("float32", 38_400), ("float16", 3_300), ("int8", 2_400)])
def test_rows_that_are_equal_are_stored_once(dtype: str, size: int) -> None:
    rng = np.random.default_rng(0)
    table = rng.normal(0, 1, (50, 24)).astype(np.float32)[rng.integers(0, 50, 400)]
    rows, graph = rng.integers(0, 400, (3, 5)), Graph(dtype)
    graph.rename(graph.lookup("table", table, "rows"), "found")
    made = graph.model({"rows": (np.int64, rows.shape)}, {"found": (np.float32, (*rows.shape, 24))}, {})
    raw, kinds = made.SerializeToString(), storage_table({"": table}, dtype)
    assert size < len(raw) < size + 1_500
    [found] = onnxruntime.InferenceSession(raw, providers=["CPUExecutionProvider"]).run(None, {"rows": rows})
    assert np.array_equal(found, Unpacked(pack({"": table}, kinds), kinds)[""][rows])


def test_without_pooling_every_step_has_logits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_export, "CHECKED", 100)
    for max_length in (0, 8):
        model = random_model(classes=3, layers=(Layer(5, "both"),), pooling="none", max_length=max_length)
        assert model.export(tmp_path / "model.onnx").max_error <= 1e-5
        inputs = random_inputs(model)
        found, wanted = run(tmp_path / "model.onnx", model, inputs, 1, 7), model.ensemble.lstm.logits
        for row, p, sequence in zip(*found.values(), model.preprocessor.encode_batch(inputs), strict=True):
            logits = wanted([sequence.steps])
            np.testing.assert_allclose(row[: len(logits)], logits, rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(p[: len(logits)], model.target.probabilities(logits), atol=1e-5)


def test_a_thousand_random_inputs_are_compared_and_long_ones_are_among_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    logits = Ensemble.logits

    def watched(ensemble: Ensemble, sequences: Any) -> Array:
        seen.extend(len(one) for one in sequences)
        return logits(ensemble, sequences)

    monkeypatch.setattr(Ensemble, "logits", watched)
    model = random_model(linear="ngrams", max_length=120)
    assert model.export(tmp_path / "model.onnx").checked == 1_000
    assert len(seen) == 1_000
    assert min(seen) == 1
    assert max(seen) > 120


def test_nothing_is_written_where_the_logits_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, logits = random_model(), Ensemble.logits
    for error, message in ((2e-5, "not written: ONNX Runtime's logits differ by 2e-05"), (np.nan, "differ by nan")):
        monkeypatch.setattr(Ensemble, "logits", lambda *both, error=error: logits(*both) + error)
        assert_refused(message, model.export, tmp_path / "model.onnx", error=ExportError)
    assert_refused("gate='binary' cannot be exported", random_model(gate="binary").export, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_the_file_is_checked_and_says_what_it_is(tmp_path: Path) -> None:
    model = random_model(linear="ngrams", classes=3)
    report = model.export(tmp_path / "model.onnx")
    assert "token ids" in report.inputs
    assert "tokenisation is not part of the graph" in report.inputs
    file = onnx.load(tmp_path / "model.onnx")
    onnx.checker.check_model(file, full_check=True)
    assert [(one.domain, one.version) for one in file.opset_import] == [("", 17)]
    shapes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*file.graph.input, *file.graph.output)
    }
    assert shapes == {
        "tokens": ["batch", "steps"],
        "lengths": ["batch"],
        "logits": ["batch", 3],
        "probabilities": ["batch", 3],
    }
    facts = {entry.key: entry.value for entry in file.metadata_props}
    assert json.loads(facts["gatewise.classes"]) == ["class 0", "class 1", "class 2"]
    assert json.loads(facts["gatewise.architecture"])["layers"][0]["units"] == 6
    assert facts["gatewise.inputs"] == report.inputs
    assert facts["gatewise.ensemble"] == "LSTM 0.50, n-grams 0.75"
    assert json.loads(facts["config.json"])["metadata"]["recipe"] == ""
    text = "Word3, word7 and something else"
    ids = Tokenizer.from_str(facts["tokenizer.json"]).encode(text).ids
    assert ids == model.preprocessor.encode_batch([text])[0].steps.tolist()


def test_each_layer_is_one_node_and_each_node_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_export, "CHECKED", 20)
    layers = (Layer(5, "both", "sum"), Layer(4, "backward"), Layer(3, "both"))
    random_model(layers=layers, max_length=20).export(tmp_path / "model.onnx")
    graph = onnx.load(tmp_path / "model.onnx").graph
    directions = [
        attribute.s.decode()
        for node in graph.node
        for attribute in node.attribute
        if node.op_type == "LSTM" and attribute.name == "direction"
    ]
    assert directions == ["bidirectional", "reverse", "bidirectional"]
    read = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    assert all(read.intersection(node.output) for node in graph.node)
    assert {tensor.name for tensor in graph.initializer} <= read


@pytest.mark.parametrize("pooling", ["last", "mean+max", "step"])
def test_lengths_are_checked_by_the_file(pooling: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sequence without a step has the logits that the model gives it; more steps than there are have none."""
    monkeypatch.setattr(onnx_export, "CHECKED", 20)
    model = random_model(pooling=pooling, layers=(Layer(5, "both"),), linear="ngrams", max_length=8)
    model.export(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    ids = np.random.default_rng(1).integers(1, TOKENS.vocab_size, (3, 11))
    logits = session.run(["logits"], {"tokens": ids, "lengths": np.array([11, 0, 4])})[0]
    sequences = [EncodedSequence(ids[0]), EncodedSequence(ids[1, :0]), EncodedSequence(ids[2, :4])]
    np.testing.assert_allclose(logits, model.ensemble.logits(sequences), rtol=1e-5, atol=1e-5)
    for lengths in ([11, 12, 4], [11, -1, 4]):
        with pytest.raises(Exception, match="'lengths, of at most the steps'"):
            session.run(["logits"], {"tokens": ids, "lengths": np.array(lengths)})


def test_examples_stay_out_of_the_file(tmp_path: Path) -> None:
    model = random_model()
    data = gw.data.Labelled.of(["word1 secretive"] * 20, ["class 0", "class 1"] * 10)
    with_examples(model, data).export(tmp_path / "model.onnx")
    assert b"secretive" not in (tmp_path / "model.onnx").read_bytes()


def test_a_file_of_a_compressed_model_is_a_model_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_export, "CHECKED", 20)
    model, texts = gw.load("tutorial"), ["A film to see twice.", "Two dull hours, badly acted."]
    model.export(tmp_path / "model.onnx")
    again = gw.from_onnx(tmp_path / "model.onnx")
    assert (again.target, again.card()) == (model.target, model.card())
    again.save(tmp_path / "again")
    for one in (again, gw.load(tmp_path / "again")):
        np.testing.assert_array_equal(one.logits(texts), model.logits(texts))


def test_a_file_whose_parts_disagree_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_export, "CHECKED", 20)
    model, path = random_model(linear="ngrams"), tmp_path / "model.onnx"
    model.export(path)
    assert_refused(r"classes: .* is a file of gatewise, which says this itself", gw.from_onnx, path, classes=["a", "b"])
    whole = path.read_bytes()

    def changed(name: str, array: Array | None) -> None:
        file = onnx.load_model_from_string(whole)
        [at] = [n for n, one in enumerate(file.graph.initializer) if one.name == name]
        del file.graph.initializer[at]
        if array is not None:
            file.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
        path.write_bytes(file.SerializeToString())

    table = np.zeros((3, 2), np.float32)
    for name, array, message in (
        ("lstm.lstm.0.forward.R", None, r"it has no tensor or entry 'lstm.0.forward.R'"),
        ("lstm.lstm.0.forward.R", table, "W and R: expected"),
        ("lstm.embedding.weight", table, "parameter embedding.weight must have shape"),
        ("lstm.dense.bias", np.array([3.0]), "dense.bias"),
        ("ngrams.keys", np.array([2, 1]), "ngrams.safetensors: "),
        ("ngrams.weight", np.float32(1), "do not fit together"),
    ):
        changed(name, array)
        assert_refused(message, gw.from_onnx, path, error=(InputError, ModelFileError))
    file = onnx.load_model_from_string(whole)
    [config] = [one for one in file.metadata_props if one.key == "config.json"]
    shifted = json.loads(config.value) | {"shift": [0.5]}
    no_kind = {"members": [{"kind": "no", "file": "a", "weight": 1.0}]}
    for value, message in (
        (shifted, "its graph does not compute its model: a logit differs by"),
        ([], "do not fit together"),
        ({}, "it has no tensor or entry 'members'"),
        ({"members": 3}, "do not fit together"),
        ({"members": [3]}, "do not fit together"),
        (no_kind, "no kind of member is called 'no'"),
    ):
        config.value = json.dumps(value)
        path.write_bytes(file.SerializeToString())
        assert_refused(message, gw.from_onnx, path, error=(InputError, ModelFileError))

    def without_node(file: Any) -> None:
        del file.graph.node[3]

    def other_output(file: Any) -> None:
        file.graph.output[0].name = "no"

    def outside(file: Any) -> None:
        [one, *_] = [one for one in file.graph.initializer if "." not in one.name]
        one.data_location = onnx.TensorProto.EXTERNAL
        one.external_data.add(key="location", value="/etc/hostname")

    def other_shape(file: Any) -> None:
        file.graph.node[-3].op_type = "Shape"

    for damage in (without_node, other_output, outside, other_shape):
        file = onnx.load_model_from_string(whole)
        damage(file)
        path.write_bytes(file.SerializeToString())
        assert_refused(
            r"model.onnx': (its graph does not run|.*in another file)", gw.from_onnx, path, error=ModelFileError
        )
    silent = replace(model, ensemble=replace(model.ensemble, weights=(0.0, 1.0)))
    silent.export(path)
    assert_refused("the LSTM has weight 0 and is not in the file", gw.from_onnx, path)
