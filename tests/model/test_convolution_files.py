"""convolutions.safetensors and its entry in config.json: what is saved is loaded, anything else is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError, ModelFileError
from gatewise.model.model import Model, load
from gatewise.model.preprocessor import SeriesPreprocessor, StandardScaler
from gatewise.network.architecture import Architecture, initial_parameters
from gatewise.storage import load_folder, save_folder, tensors_to_bytes
from tests.members.test_convolutions import change, series, some

CHANNELS, CLASSES = 2, ("a", "b", "c")


@pytest.fixture(scope="module")
def model() -> Model:
    arch = Architecture("channels", CHANNELS, 0, 3, bidirectional=True, pooling="mean+max", outputs=3)
    parameters = initial_parameters(arch, np.random.default_rng(5))
    scaler = StandardScaler.fit([series(60, CHANNELS, seed=2) * 3 + 1])
    return Model(arch, parameters, SeriesPreprocessor(scaler), CLASSES, convolutions=some(CHANNELS, 3))


@pytest.fixture(scope="module")
def files(model: Model, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("good") / "model"
    model.save(path)
    return dict(load_folder(path).files)


def test_a_saved_model_predicts_the_same(model: Model, files: dict[str, bytes], tmp_path: Path) -> None:
    loaded, rows = load(save_folder(tmp_path / "model", files)), [series(n) for n in (30, 7)]
    np.testing.assert_array_equal(loaded.logits(rows), model.logits(rows))
    alone = Model(model.architecture, model.parameters, model.preprocessor, CLASSES)
    encoded = model.preprocessor.encode_batch(rows)
    assert model.convolutions is not None
    expected = alone.logits(rows) + model.convolutions.logits(encoded)
    np.testing.assert_allclose(model.logits(rows), expected, atol=1e-4)
    assert loaded.convolutions is not None
    assert not loaded.convolutions.weight.flags.writeable
    assert "Convolutions (" in loaded.card()


@pytest.mark.parametrize("method", ["prefix-difference", "cell-decomposition", "integrated-gradients"])
def test_explanations_include_the_convolutions(model: Model, method: str) -> None:
    explanation = model.explain(series(25), method)
    assert explanation.linear_scores is not None
    assert abs(explanation.linear_scores).max() > 1e-3
    assert abs(explanation.residual) < (1e-2 if method == "integrated-gradients" else 1e-4)


def test_leaving_steps_out_changes_the_convolutions_too(model: Model) -> None:
    x = series(25)
    explanation = model.explain(x, "leave-one-out")
    without = model.logits([x, np.delete(x, 4, axis=0)]).astype(np.float64)
    scores = without - without.mean(axis=1, keepdims=True)
    k = int(without[0].argmax())
    assert abs(explanation.scores[4] - (scores[0, k] - scores[1, k])) < 1e-4


def with_entry(files: dict[str, bytes], entry: object) -> dict[str, bytes]:
    config = json.loads(files["config.json"])
    config["convolutions"] = entry
    return {**files, "config.json": json.dumps(config).encode()}


def refused(path: Path, files: dict[str, bytes], match: str | None = None) -> None:
    save_folder(path, files)
    with pytest.raises(ModelFileError, match=match) as caught:
        load(path)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "entry",
    [
        None,
        [],
        {},
        {"dilations": 4},
        {"dilations": 4, "features": 672, "more": 1},
        *({"dilations": value, "features": 672} for value in (0, -1, 5, 4.0, True, "4", 10**12)),
        *({"dilations": 4, "features": value} for value in (0, 671, 673, 10**12, None, 672.0)),
    ],
)
def test_other_entries_are_refused(files: dict[str, bytes], tmp_path: Path, entry: object) -> None:
    refused(tmp_path / "model", with_entry(files, entry))


TENSORS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "dilation 0": ("dilations", lambda a: change(a, 0, 0)),
    "huge dilation": ("dilations", lambda a: change(a, 0, 2**31 - 1)),
    "negative count": ("counts", lambda a: change(a, 0, -3)),
    "huge count": ("counts", lambda a: change(a, slice(None), 2**31 - 1)),
    "mask": ("channels", lambda a: change(a, (1, 2, 3), 7)),
    "shape": ("weight", lambda a: a[:, :2]),
    "type": ("mean", lambda a: a.astype(np.float64)),
}


@pytest.mark.parametrize("case", TENSORS)
def test_other_tensors_are_refused(model: Model, files: dict[str, bytes], tmp_path: Path, case: str) -> None:
    assert model.convolutions is not None
    banks = model.convolutions.banks
    names = ("dilations", "counts", "channels", "thresholds")
    tensors = dict(zip(names, banks.arrays, strict=True))
    tensors |= {"mean": model.convolutions.mean, "weight": model.convolutions.weight}
    name, change_tensor = TENSORS[case]
    tensors[name] = np.ascontiguousarray(change_tensor(tensors[name]))
    raw = tensors_to_bytes(tensors)
    refused(tmp_path / "model", {**files, "convolutions.safetensors": raw})


def test_a_missing_file_and_other_bytes_are_refused(files: dict[str, bytes], tmp_path: Path) -> None:
    name = "convolutions.safetensors"
    refused(tmp_path / "a", {key: raw for key, raw in files.items() if key != name}, "convolutions")
    refused(tmp_path / "b", {**files, name: b"\xff\xfe\x00"})


def test_convolutions_of_another_network_are_refused(model: Model) -> None:
    with pytest.raises(InputError, match="convolutions"):
        Model(model.architecture, model.parameters, model.preprocessor, CLASSES, convolutions=some(CHANNELS, 1))
