"""Stored folders of every format that has been released are read, and predict what they predicted when they were saved.

A folder is named by the format version of its manifest and by what it holds; docs/models.md has the policy.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.storage.folder import VERSION

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
