"""A model folder is read once, so that what is loaded is what its fingerprint names.

Whatever is saved there meanwhile: the attack `loads-during-saves` of trust.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import gatewise as gw
from gatewise.storage.folder import MANIFEST, _with_manifest
from gatewise.system.files import OpenFolder
from gatewise.training import PretrainRecipe
from tests.cli.conftest import Run
from tests.exchange.random_models import random_inputs, random_model
from tests.training.texts import made_corpus

MODEL = random_model()
TEXTS = random_inputs(MODEL, 3)
MODEL_SHA256 = hashlib.sha256(_with_manifest(MODEL.to_files())[MANIFEST]).hexdigest()


def save_model(path: Path) -> None:
    MODEL.save(path)


def save_forecaster(path: Path) -> None:
    gw.Forecaster.fit(np.sin(np.arange(60) / 3), horizon=2, season=1, units=4, epochs=1).save(path)


def save_pretrained(path: Path) -> None:
    recipe = PretrainRecipe("test", embedding_dim=8, units=8, epochs=1, batch_size=8, bptt=11, num_sampled=8)
    gw.pretrain(made_corpus(100, 5), recipe=recipe, out=path, verbose=0)


def command(*words: str) -> Callable[[Path], object]:
    """A command with the model in a folder, on a table."""

    def run(path: Path) -> None:
        rows = [{"text": text, "label": name} for text, name in zip(TEXTS, MODEL.predict(TEXTS).tolist(), strict=True)]
        (path.parent / "in.csv").write_text(pd.DataFrame(rows).to_csv(index=False))
        done = Run()(*(word.format(path.parent) for word in words), "-m", path)
        assert done.exit_code == 0, done.output

    return run


@pytest.mark.training
@pytest.mark.parametrize(
    ("save", "load"),
    [
        (save_model, gw.load),
        (save_forecaster, gw.load),
        (save_pretrained, gw.load_pretrained),
        (save_model, lambda path: gw.Scorer(path)({"text": TEXTS})),
        (save_model, lambda path: gw.Scorer(path, fingerprint=MODEL_SHA256)({"text": TEXTS})),
        (save_model, command("info")),
        (save_model, command("evaluate", "{}/in.csv")),
        (save_model, command("explain", TEXTS[0])),
        (save_model, command("predict", "-i", "{}/in.csv", "-o", "{}/out.csv")),
        (save_model, command("predict", "-i", "{}/in.csv", "-o", "{}/out/")),
    ],
)
def test_each_file_is_opened_once(
    tmp_path: Path, save: Callable[[Path], None], load: Callable[[Any], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "it")
    opened: Counter[str] = Counter()
    real = OpenFolder.open

    def count(self: OpenFolder, name: str) -> int:
        opened[name] += 1
        return real(self, name)

    monkeypatch.setattr(OpenFolder, "open", count)
    load(tmp_path / "it")
    assert opened == Counter(os.listdir(tmp_path / "it"))
    if (state := tmp_path / "out" / "_gatewise.json").exists():
        assert json.loads(state.read_text())["model"] == MODEL_SHA256
