"""Hostile model folders with a valid manifest are refused or harmless."""

import json
import time
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.errors import ModelFileError
from gatewise.model.model import Model, load
from gatewise.storage.compact import storage_table
from gatewise.storage.folder import save_folder
from gatewise.storage.tensors import tensors_to_bytes
from tests.exchange.random_models import random_inputs, random_model

Files = dict[str, bytes]
Tensors = dict[str, np.ndarray]


def _model(name: str) -> Model:
    if name == "n-grams":
        return random_model(2, linear="ngrams")
    if name == "convolutions":
        return random_model(3, inputs="channels", linear="convolutions", classes=3)
    model = random_model(1, units=9)
    parameters = dict(model.parameters)
    if name == "shared rows":
        parameters["embedding.weight"][2:] = parameters["embedding.weight"][1]
    table = {} if name == "float32" else storage_table(parameters, "int8")
    return model.with_lstm(parameters=parameters, storage=table)


MODELS = {name: _model(name) for name in ("float32", "int8", "shared rows", "n-grams", "convolutions")}
FILES: dict[str, Files] = {
    name: {**model.to_files(), "history.jsonl": b'{"epoch": 1}\n'} for name, model in MODELS.items()
}


def lstm(config: Any) -> Any:
    return config["members"][0]


def second(config: Any) -> Any:
    return config["members"][1]


def architecture(**changes: object) -> Callable[[Any], object]:
    return lambda config: lstm(config)["architecture"].update(changes)


def target(**changes: object) -> Callable[[Any], object]:
    return lambda config: config["target"].update(changes)


def member(**changes: object) -> Callable[[Any], object]:
    """A change of the member that is not the LSTM."""
    return lambda config: second(config).update(changes)


def with_config(files: Files, change: Callable[[Any], object]) -> Files:
    config = json.loads(files["config.json"])
    change(config)
    return {**files, "config.json": json.dumps(config).encode()}


def refused(path: Path, files: Files, words: str = "") -> None:
    """One short line in time, which has these words."""
    save_folder(path, files)
    start = time.process_time()
    with pytest.raises(ModelFileError) as caught:
        load(path)
    message = str(caught.value)
    assert time.process_time() - start < 2, "refused, but too late"
    assert str(path) in message
    assert words in message
    assert len(message) < 600
    assert "\n" not in message


@pytest.mark.parametrize("name", MODELS)
def test_the_good_one_loads(name: str, tmp_path: Path) -> None:
    model = load(save_folder(tmp_path / "model", FILES[name]))
    inputs = random_inputs(model)
    np.testing.assert_allclose(model.logits(inputs), MODELS[name].logits(inputs), atol=0.1)
    assert model.weights == MODELS[name].weights
    assert name in ("int8", "shared rows") or model.fingerprint == MODELS[name].fingerprint
    assert not any(array.flags.writeable for one in model.ensemble.members for array in one.arrays().values())
    assert ("| 1- to 3-grams | (1,) |" in model.card()) == (name == "n-grams")
    assert ("distinct_rows" in lstm(json.loads(FILES[name]["config.json"]))) == (name == "shared rows")


CONFIGS: list[tuple[str, Callable[[Any], object], str]] = [
    # the whole
    ("float32", lambda c: c.update(extra=1), "config.json: the keys must be"),
    ("float32", lambda c: c.pop("shift"), "config.json: the keys must be"),
    ("float32", lambda c: c.update(kind="another"), "kind must be 'model', not 'another'"),
    ("float32", lambda c: c.update(kind={"model": 1}), "kind must be 'model', not '{'model': 1}'"),
    ("float32", lambda c: c.update(format=3), "format '3'; this version of gatewise reads format 2"),
    ("float32", lambda c: c.update(format="2\n"), "this version of gatewise reads format 2"),
    ("float32", lambda c: c.pop("format"), "has format '1'; this version of gatewise reads format 2: train the model"),
    ("float32", target(classes=["x", "x"]), "config.json: target: classes must be distinct"),
    ("float32", target(classes=[]), "0 classes needs 0 outputs"),
    ("float32", target(classes=["no"]), "a classifier needs at least two classes"),
    ("float32", target(classes=["x", "y", "z"]), "needs 3 outputs; the network has 1"),
    ("float32", target(classes="xyz"), "config.json: target: classes"),
    ("float32", target(thresholds=[2.0]), "a threshold must be from 0 to 1"),
    ("float32", target(thresholds=["0.5"]), "thresholds"),
    ("float32", target(thresholds=[0.5, 0.5]), "1 thresholds"),
    ("float32", target(label_type="int"), "not of type int"),
    ("float32", target(task="none"), "task must be "),
    ("float32", lambda c: c.update(preprocessor={"kind": "pickle"}), "pickle"),
    ("float32", lambda c: c.update(preprocessor=[]), "preprocessor"),
    ("float32", lambda c: c["metadata"].update(evaluations=[{"data": "d", "n": "many"}]), "[0]: n must be"),
    ("float32", lambda c: c["metadata"].update(measured=[]), "unknown key 'measured'"),
    # members, weights and shift
    *((("n-grams", lambda c, members=members: c.update(members=members), "members must be a list of 1 to 64"))
      for members in (None, [], {}, 3)),
    ("n-grams", lambda c: c.update(members=c["members"] * 40), "members must be a list of 1 to 64"),
    *(("n-grams", lambda c, entry=entry: c["members"].append(entry), "each member needs kind, file and weight")
      for entry in (None, [], {}, "lstm", {"kind": "ngrams", "file": "ngrams.safetensors"})),
    *(("n-grams", member(kind=kind), "no kind of member is called") for kind in ("pickle", "", None, [], {}, 3)),
    *(("n-grams", member(weight=weight), "weight must be a number") for weight in (1, True, "1", None, [1.0])),
    *(("n-grams", member(file=file), "file a name") for file in (1, None, [])),
    *(("n-grams", member(file=file), "this model folder has no") for file in ("", "../x", "/dev/zero", "x", "a\nb")),
    ("n-grams", member(file="tokenizer.json"), "tokenizer.json"),
    ("n-grams", lambda c: c["members"].append(second(c)), "each member needs a file of its own"),
    ("n-grams", lambda c: c["members"].append({**lstm(c), "file": "README.md"}), "there can be one LSTM only"),
    ("n-grams", lambda c: c["members"].pop(0), "an ensemble needs exactly one LSTM"),
    *(("n-grams", lambda c, shift=shift: c.update(shift=shift), "shift must be")
      for shift in (None, 0.0, [], [0], ["0"], [None], [[0.0]], [0.0, 0.0])),
    # the LSTM
    ("float32", lambda c: lstm(c).update(more=1), "'more' is unknown"),
    ("float32", lambda c: lstm(c).pop("architecture"), "'architecture' is missing"),
    ("float32", architecture(layers=[{"units": 0}]), "config.json: architecture: layers[0]: units must be at least 1"),
    ("float32", architecture(layers=[{"units": 6}] * 33), "config.json: architecture: at most "),
    ("float32", architecture(layers=[{"units": 6, "direction": "up"}]), "layers[0]: direction must be "),
    ("float32", architecture(layers=[{"units": 6, "merge": "sum"}]), "merge 'sum' needs two directions"),
    ("float32", architecture(hidden=[{"units": 6, "activation": "exec"}]), "hidden[0]: activation must be "),
    ("float32", architecture(hidden=[{"units": 10**9}]), "hidden.0.weight"),
    ("float32", architecture(gate=1), "config.json: architecture: gate must be "),
    ("float32", architecture(gate="soft"), "gate must be"),
    ("float32", architecture(colour="red"), "colour"),
    ("float32", architecture(layers=[{"units": 10}]), "shape"),
    ("float32", architecture(vocab_size=29), "shape"),
    ("float32", architecture(inputs="channels"), ""),
    *((kind, architecture(**{field: value}), "")
      for kind, field, value in product(
          ("float32", "int8", "shared rows"),
          ("vocab_size", "embedding_dim", "layers", "hidden", "outputs", "max_length"),
          (10**7, 10**9, 10**30, -1, 0, 2.0, True, "2", None, [2]),
      ) if (field, value) != ("max_length", 0)),
    *(("int8", lambda c, storage=storage: lstm(c).update(storage=storage), "")
      for storage in (
          "int8", [], None, 1, {}, {"embedding.weight": "int8"},  # it is float16
          {"embedding.weight": "int4"}, {"embedding.weight": ["int8"]}, {"secret": "int8"}, {"dense.weight": "int8"},
      )),
    *(("shared rows", lambda c, rows=rows: lstm(c).update(distinct_rows=rows), "")
      for rows in ([], None, {}, *({"embedding.weight": n} for n in (0, 1, 3, 31, 10**9, 2.0, "2")), {"secret": 2})),
    # the others
    *(("n-grams", member(**{field: value}), "")
      for field, value in product(("order", "count"), (10**7, 10**9, 10**30, -1, 0, 2.0, True, "2", None, [2]))),
    *(("n-grams", member(order=order), "a key does not have") for order in (1, 2)),
    ("n-grams", member(more=2), "member 'ngrams': the keys must be"),
    ("n-grams", member(scaled=False), "scaled can only be true"),
    ("n-grams", member(scaled=True), "scale"),
    ("n-grams", lambda c: second(c).pop("order"), "'order' is missing"),
    *(("convolutions", member(dilations=n), "") for n in (0, -1, 5, 4.0, True, "4", None, 10**12)),
    *(("convolutions", member(features=n), "") for n in (0, 671, 673, 672.0, True, "672", None, 10**12)),
    ("convolutions", member(more=1), "member 'convolutions': the keys must be"),
    ("convolutions", member(kind="ngrams"), "member 'ngrams': the keys must be"),
    ("convolutions", lambda c: c["preprocessor"].update(mean=[1.0], std=[1.0]), ""),
]  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_config_that_does_not_fit(name: str, tmp_path: Path) -> None:
    for number, (kind, change, words) in enumerate(CONFIGS):
        if kind == name:
            refused(tmp_path / str(number), with_config(FILES[name], change), words)


@pytest.mark.parametrize("name", MODELS)
def test_missing_files_and_files_of_another_kind(name: str, tmp_path: Path) -> None:
    files = FILES[name]
    read = [file for file in files if file.endswith((".json", ".safetensors"))]
    for number, file in enumerate(read):
        refused(tmp_path / f"missing {number}", {key: raw for key, raw in files.items() if key != file}, file)
        for kind, raw in enumerate([b"\xff\xfe\x00", b"\x80\x04\x95\x00", b"", b"[" * 100_000, b'{"a": 1, "a": 2}']):
            refused(tmp_path / f"{number} {kind}", {**files, file: raw})
    for number, raw in enumerate([b"\xff\xfe\x00", b"\x80\x04\x95\x00"]):
        refused(tmp_path / f"history {number}", {**files, "history.jsonl": raw}, "history.jsonl: not UTF-8")
    if "tokenizer.json" in files:
        raw = files["tokenizer.json"].replace(b'"word1"', b'"wo\\ud800rd1"')
        assert raw != files["tokenizer.json"]
        refused(tmp_path / "a word that is no text", {**files, "tokenizer.json": raw})


def put(name: str, place: Any, value: Any) -> Callable[[Tensors], Mapping[str, np.ndarray]]:
    def change(tensors: Tensors) -> Tensors:
        array = tensors[name].copy()
        array[place] = value
        return {name: array}

    return change


def more(keys: Callable[[np.ndarray], np.ndarray]) -> Callable[[Tensors], Mapping[str, np.ndarray]]:
    """One n-gram more."""
    return lambda t: {"keys": keys(t["keys"]), "weight": np.append(t["weight"], t["weight"][:1], axis=0)}


TENSORS: list[tuple[str, Callable[[Tensors], Mapping[str, np.ndarray]], str]] = [
    ("lstm", lambda t: {"w": np.zeros(3, np.float32)}, "is not part of this model"),
    ("lstm", lambda t: {"dense.bias": t["dense.bias"].astype(np.float64)}, "F64"),
    ("ngrams", lambda t: {"keys": t["keys"][::-1]}, "ascend"),
    ("ngrams", lambda t: {name: np.repeat(array, 2, axis=0) for name, array in t.items()}, "ascend"),
    ("ngrams", put("keys", -1, 2**62), "a token is not below"),
    ("ngrams", put("keys", -1, 2**63 - 1), "a token is not below"),
    ("ngrams", put("keys", 0, 0), "a key does not have"),
    ("ngrams", put("keys", 0, -(2**63)), "a key does not have"),
    ("ngrams", more(lambda k: np.sort(np.append(k, 2**20))), "a token is not below"),
    ("ngrams", more(lambda k: np.append(k, k[-1] // 2**21 * 2**21 + 2**21)), "a token is not below"),
    ("ngrams", lambda t: {"weight": t["weight"].astype(np.float64)}, "F64"),
    ("ngrams", lambda t: {"keys": t["keys"].astype(np.int32)}, "I32"),
    ("ngrams", lambda t: {"weight": t["weight"][:-1]}, "shape"),
    ("ngrams", lambda t: {"weight": t["weight"][:, 0]}, "shape"),
    ("ngrams", lambda t: {"weight": np.repeat(t["weight"], 2, axis=1)}, "shape"),
    ("convolutions", put("dilations", 0, 0), "dilations must be"),
    ("convolutions", put("dilations", 0, 2**31 - 1), "dilations must be"),
    ("convolutions", put("dilations", 1, 2**30), "dilations must be"),
    ("convolutions", put("counts", 0, -3), "counts must be"),
    ("convolutions", put("counts", 0, 0), "counts must be"),
    ("convolutions", put("counts", 0, 4), "convolutions"),
    ("convolutions", put("counts", slice(None), 2**31 - 1), "counts must be"),
    ("convolutions", put("channels", (1, 2, 3), 7), "channels must be 0 or 1"),
    ("convolutions", lambda t: {"weight": t["weight"][:, :2]}, "shape"),
    ("convolutions", lambda t: {"mean": t["mean"].astype(np.float64)}, "F64"),
]


def test_tensors_that_do_not_fit(tmp_path: Path) -> None:
    for number, (kind, change, words) in enumerate(TENSORS):
        files = FILES[{"lstm": "float32", "ngrams": "n-grams"}.get(kind, kind)]
        file = f"{kind}.safetensors"
        tensors = dict(_tensors(kind))
        tensors |= {name: np.ascontiguousarray(array) for name, array in change(tensors).items()}
        changed = {**files, file: tensors_to_bytes(tensors)}
        if kind == "ngrams":  # the count in config.json agrees with the keys
            changed = with_config(changed, member(count=len(tensors["keys"])))
        refused(tmp_path / str(number), changed, words)
    for name, file in (("float32", "lstm.safetensors"), ("n-grams", "ngrams.safetensors")):
        for bits in (b"\x00\x00\xc0\x7f", b"\x00\x00\x80\xff"):  # NaN, -infinity, where the last number stands
            raw = FILES[name][file][:-4] + bits
            refused(tmp_path / f"{name} {bits[3]}", {**FILES[name], file: raw}, "NaN or infinity")


def _tensors(kind: str) -> Tensors:
    if kind == "lstm":
        return dict(MODELS["float32"].parameters)
    return dict(MODELS[{"ngrams": "n-grams"}.get(kind, kind)].ensemble.get(kind).arrays())
