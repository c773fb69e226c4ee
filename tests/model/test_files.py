"""Model folders: with storage dtypes, what is loaded is what was measured; stored folders of every format are read.

A stored folder is named by the format version of its manifest and by what it holds; docs/models.md has the policy.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.model.model import load
from gatewise.storage.compact import Unpacked, pack, storage_table
from gatewise.storage.folder import VERSION, load_folder
from tests.model.test_model import INPUTS, MODELS, TEXTS
from tests.refusals import assert_refused


@pytest.mark.parametrize("name", ["tokens", "series"])
@pytest.mark.parametrize("storage", ["float16", "int8", {"lstm.0.forward.weight_hh": "int8"}])
def test_what_is_loaded_is_the_rounded_model_in_float32(tmp_path: Path, name: str, storage: Any) -> None:
    model, items = MODELS[name], INPUTS[name]
    model.save(tmp_path / "whole")
    model.save(tmp_path / "small", storage=storage)
    again = load(tmp_path / "small")
    table = storage_table(model.parameters, storage) if isinstance(storage, str) else storage
    assert again.ensemble.lstm.storage == table
    assert json.loads((tmp_path / "small" / "config.json").read_text())["members"][0]["storage"] == table
    rounded = Unpacked(pack(model.parameters, table), table)
    for key, array in again.parameters.items():
        assert array.dtype == np.float32
        assert not array.flags.writeable
        np.testing.assert_array_equal(array, rounded[key])
    assert any((rounded[key] != model.parameters[key]).any() for key in table)
    np.testing.assert_allclose(again.logits(items), model.logits(items), atol=0.1)
    np.testing.assert_array_equal(again.logits(items), model.with_lstm(parameters=rounded).logits(items))
    size = [(tmp_path / folder / "lstm.safetensors").stat().st_size for folder in ("whole", "small")]
    assert size[1] < size[0]


def test_it_stays_as_it_was_kept_and_can_be_kept_otherwise(tmp_path: Path) -> None:
    MODELS["tokens"].save(tmp_path / "a", storage="int8")
    load(tmp_path / "a").save(tmp_path / "b")
    assert load_folder(tmp_path / "a").files == load_folder(tmp_path / "b").files
    load(tmp_path / "a").save(tmp_path / "c", storage="float32")
    assert load(tmp_path / "c").ensemble.lstm.storage == {}
    assert "storage" not in json.loads((tmp_path / "c" / "config.json").read_text())["members"][0]
    np.testing.assert_array_equal(load(tmp_path / "c").logits(TEXTS), load(tmp_path / "a").logits(TEXTS))


@pytest.mark.parametrize("storage", ["int4", "", {"embedding": "int8"}, {"embedding.weight": "zip"}])
def test_a_storage_that_cannot_be_leaves_nothing_behind(tmp_path: Path, storage: Any) -> None:
    assert_refused("storage", MODELS["tokens"].save, tmp_path / "m", storage=storage)
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
    assert {f"{VERSION}-{kind}" for kind in ("forecaster", "language", "series", "text")} <= set(NAMES)
