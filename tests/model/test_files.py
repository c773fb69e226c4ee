"""Model folders: with storage dtypes, what is loaded is what was measured; stored folders of every format are read.

A stored folder is named by the format version of its manifest and by what it holds; docs/models.md has the policy.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.model.card import ModelMetadata
from gatewise.model.model import Model, load
from gatewise.model.series_preprocessor import SeriesPreprocessor
from gatewise.storage.compact import Unpacked, pack, storage_table
from gatewise.storage.folder import VERSION, load_folder
from gatewise.text import TokenEncoding
from tests.refusals import assert_refused
from tests.small_models import small_model

TEXTS = ["the film was bad", "a good film, seen twice", "the end", "it was good, was it", "bad bad end"]


def model_of(inputs: str = "tokens") -> tuple[Model, Any]:
    if inputs == "channels":
        series = [np.random.default_rng(n).normal(size=(n + 3, 12)).astype(np.float32) for n in range(4)]
        return small_model(SeriesPreprocessor.fit(series), ("a", "b", "c"), 2, units=9), series
    shape: dict[str, Any] = {"embedding_dim": 10, "units": 9, "bidirectional": True, "pooling": "mean+max"}
    metadata = ModelMetadata(recipe="x", seed=4)
    return small_model(TokenEncoding.fit(TEXTS, min_count=1), given={"metadata": metadata}, **shape), TEXTS


@pytest.mark.parametrize("inputs", ["tokens", "channels"])
@pytest.mark.parametrize("storage", ["float16", "int8", {"lstm.0.forward.weight_hh": "int8"}])
def test_what_is_loaded_is_the_rounded_model_in_float32(tmp_path: Path, inputs: str, storage: Any) -> None:
    model, items = model_of(inputs)
    model.save(tmp_path / "whole")
    model.save(tmp_path / "small", storage=storage)
    again = load(tmp_path / "small")
    table = storage_table(model.parameters, storage) if isinstance(storage, str) else storage
    assert again.ensemble.lstm.storage == table
    assert json.loads((tmp_path / "small" / "config.json").read_text())["members"][0]["storage"] == table
    rounded = Unpacked(pack(model.parameters, table), table)
    for name, array in again.parameters.items():
        assert array.dtype == np.float32
        assert not array.flags.writeable
        np.testing.assert_array_equal(array, rounded[name])
    assert any((rounded[name] != model.parameters[name]).any() for name in table)
    np.testing.assert_allclose(again.logits(items), model.logits(items), atol=0.1)
    np.testing.assert_array_equal(again.logits(items), model.with_lstm(parameters=rounded).logits(items))
    size = [(tmp_path / name / "lstm.safetensors").stat().st_size for name in ("whole", "small")]
    assert size[1] < size[0]


def test_it_stays_as_it_was_kept_and_can_be_kept_otherwise(tmp_path: Path) -> None:
    model, _ = model_of()
    model.save(tmp_path / "a", storage="int8")
    load(tmp_path / "a").save(tmp_path / "b")
    assert load_folder(tmp_path / "a").files == load_folder(tmp_path / "b").files
    load(tmp_path / "a").save(tmp_path / "c", storage="float32")
    assert load(tmp_path / "c").ensemble.lstm.storage == {}
    assert "storage" not in json.loads((tmp_path / "c" / "config.json").read_text())["members"][0]
    np.testing.assert_array_equal(load(tmp_path / "c").logits(TEXTS), load(tmp_path / "a").logits(TEXTS))


@pytest.mark.parametrize("storage", ["int4", "", {"embedding": "int8"}, {"embedding.weight": "zip"}])
def test_a_storage_that_cannot_be_leaves_nothing_behind(tmp_path: Path, storage: Any) -> None:
    assert_refused("storage", model_of()[0].save, tmp_path / "m", storage=storage)
    assert list(tmp_path.iterdir()) == []


FOLDER = Path(__file__).parent / "formats"
EXPECTED: dict[str, Any] = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))
NAMES = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())


def predicted(name: str) -> Any:
    kind = name.partition("-")[2]
    if kind == "language":
        return gw.load_pretrained(FOLDER / name).parameters["embedding.weight"].sum(axis=0)[:4]
    model = gw.load(FOLDER / name)
    if kind == "forecaster":
        return model.predict()["forecast"]
    return model.predict_proba(EXPECTED["texts"] if kind == "text" else np.array(EXPECTED["series"]))


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_folder_predicts_what_it_did(name: str) -> None:
    np.testing.assert_allclose(predicted(name), EXPECTED[name], atol=2e-6)


def test_today_s_format_has_stored_folders() -> None:
    assert {name.partition("-")[2] for name in NAMES if name.startswith(f"{VERSION}-")} == {
        *("forecaster", "language", "series", "text")
    }
