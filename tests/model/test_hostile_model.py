"""Hostile model folders with a valid manifest are refused or harmless."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatewise.errors import ModelFileError
from gatewise.model.model import Model, load
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.model.pretrained import PretrainedLM, load_pretrained
from gatewise.network.architecture import Architecture, initial_parameters, language_model_shapes
from gatewise.storage import load_folder, save_folder, tensors_to_bytes
from gatewise.text import TokenEncoding

WORDS = ["a film that stays with you", "two hours that never come back"]


@pytest.fixture(scope="module", params=["float32", "int8", "shared rows"])
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    encoding = TokenEncoding.fit(WORDS, min_count=1)
    arch = Architecture("tokens", vocab_size=encoding.vocab_size, embedding_dim=9, units=2)
    parameters = initial_parameters(arch, np.random.default_rng(5))
    if request.param == "shared rows":
        parameters["embedding.weight"][2:] = parameters["embedding.weight"][1]
    path = tmp_path_factory.mktemp("good") / "model"
    Model(arch, parameters, TextPreprocessor(encoding), ("no", "yes"), history='{"epoch": 1}\n').save(
        path, storage=request.param.replace("shared rows", "int8")
    )
    files = dict(load_folder(path).files)
    assert ("distinct_rows" in json.loads(files["config.json"])) == (request.param == "shared rows")
    return files


def with_config(files: dict[str, bytes], change: Callable[[Any], object]) -> dict[str, bytes]:
    config = json.loads(files["config.json"])
    change(config)
    return {**files, "config.json": json.dumps(config).encode()}


def refused(path: Path, files: dict[str, bytes]) -> None:
    save_folder(path, files)
    start = time.process_time()
    with pytest.raises(ModelFileError) as caught:
        load(path)
    assert len(str(caught.value)) < 600
    assert time.process_time() - start < 2, "refused, but too late"


def test_the_good_one_loads(files: dict[str, bytes], tmp_path: Path) -> None:
    assert load(save_folder(tmp_path / "model", files)).predict(WORDS)[0] in ("no", "yes")


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [("units", 0, "units must be at least 1, not 0"), ("layers", 10**6, "at most "), ("gate", 1, "gate must be ")],
)
def test_a_bad_architecture_is_named_once(
    files: dict[str, bytes], tmp_path: Path, key: str, value: object, reason: str
) -> None:
    path = save_folder(tmp_path / "model", with_config(files, lambda c: c["architecture"].update({key: value})))
    with pytest.raises(ModelFileError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}/config.json: architecture: {reason}")


@pytest.mark.parametrize("classes", [[], ["no"]])
def test_a_classifier_without_two_classes(files: dict[str, bytes], tmp_path: Path, classes: list[str]) -> None:
    """One class and one output were loaded, and `predict` looked for a second class."""
    refused(tmp_path / "model", with_config(files, lambda config: config.update(classes=classes)))


FIELDS = ["vocab_size", "embedding_dim", "units", "layers", "outputs", "max_length"]
VALUES: list[object] = [10**7, 10**9, 10**30, -1, 0, 2.0, True, "2", None, [2]]


@pytest.mark.parametrize(("field", "value"), [(f, v) for f in FIELDS for v in VALUES if (f, v) != ("max_length", 0)])
def test_numbers_of_the_architecture(files: dict[str, bytes], tmp_path: Path, field: str, value: object) -> None:
    refused(tmp_path / "model", with_config(files, lambda config: config["architecture"].update({field: value})))


KINDS = [b"\xff\xfe\x00", b"\x80\x04\x95\x00", b"", b"[" * 100_000, b'{"a": 1, "a": 2}']


@pytest.mark.parametrize("raw", KINDS)
@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_files_of_another_kind(files: dict[str, bytes], tmp_path: Path, name: str, raw: bytes) -> None:
    refused(tmp_path / "model", {**files, name: raw})


@pytest.mark.parametrize("raw", KINDS[:2])
def test_a_history_that_is_no_text(files: dict[str, bytes], tmp_path: Path, raw: bytes) -> None:
    refused(tmp_path / "model", {**files, "history.jsonl": raw})


def test_missing_and_other_tensors(files: dict[str, bytes], tmp_path: Path) -> None:
    refused(tmp_path / "a", {**files, "model.safetensors": tensors_to_bytes({"w": np.zeros(3, np.float32)})})
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        refused(tmp_path / name, {key: raw for key, raw in files.items() if key != name})


def test_a_word_that_is_no_text(files: dict[str, bytes], tmp_path: Path) -> None:
    raw = files["tokenizer.json"].replace(b'"film"', b'"fi\\ud800lm"')
    assert raw != files["tokenizer.json"]
    refused(tmp_path / "model", {**files, "tokenizer.json": raw})


TEXT = st.text(st.characters(), max_size=6)  # lone surrogates too
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


def changed(raw: bytes, data: st.DataObject) -> bytes:
    """The JSON in `raw` with any value in one place."""
    tree = json.loads(raw)
    node, places = tree, []
    while isinstance(node, (dict, list)) and node and (not places or data.draw(st.booleans())):
        key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else list(range(len(node)))))
        places.append((node, key))
        node = node[key]
    inside, key = places[-1]
    inside[key] = data.draw(JSON)
    return json.dumps(tree).encode()


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_value_anywhere_in_the_json_files(files: dict[str, bytes], tmp_path: Path, data: st.DataObject) -> None:
    """The model loads and predicts, or is refused with our error. No other exception, whatever stands there."""
    name = data.draw(st.sampled_from(["config.json", "tokenizer.json"]))
    try:
        model = load(save_folder(tmp_path / "model", {**files, name: changed(files[name], data)}))
    except ModelFileError:
        return
    assert len(model.predict_proba(WORDS)) == 2


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_value_in_a_pretrained_model(tmp_path: Path, data: st.DataObject) -> None:
    encoding = TokenEncoding.fit(WORDS, min_count=1)
    shapes = language_model_shapes(encoding.vocab_size, 3, 2)
    weights = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    files = PretrainedLM(encoding, weights, history='{"step": 1}\n').to_files()
    name = data.draw(st.sampled_from(["config.json", "tokenizer.json", "history.jsonl"]))
    try:
        loaded = load_pretrained(save_folder(tmp_path / "lm", {**files, name: changed(files[name], data)}))
    except ModelFileError:
        return
    assert loaded.card()
    assert loaded.summary
