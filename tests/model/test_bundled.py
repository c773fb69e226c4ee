"""The bundled model, where it is present: small, complete, with a card, and correct on simple sentences."""

from pathlib import Path

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import ModelFileError
from gatewise.model import bundled
from gatewise.model.model import Model
from gatewise.storage.folder import load_folder
from tests.refusals import assert_refused

MOST_BYTES = 9_000_000
GOOD = [
    "A warm, funny and honest film; I would see it again tomorrow.",
    "The best thing I have seen this year: wonderful acting and a story that stays with you.",
    "I loved every minute of it.",
    "Beautifully filmed, superbly played, and moving to the end.",
]
BAD = [
    "Two dull hours, badly acted, and a waste of time.",
    "The worst film of the year: a stupid plot, terrible dialogue, and it never ends.",
    "I hated it and walked out.",
    "Boring, predictable and poorly written. Avoid it.",
]


@pytest.fixture(scope="module")
def model() -> Model:
    if bundled.missing():
        pytest.skip(str(bundled.missing()))
    return gw.load()


def test_it_is_small_and_passes_the_checks_that_any_folder_must(model: Model) -> None:
    load_folder(bundled.FOLDER)
    size = sum(file.stat().st_size for file in bundled.FOLDER.iterdir())
    assert size <= MOST_BYTES
    assert all(np.isfinite(array).all() for array in model.parameters.values())
    assert not any(array.flags.writeable for array in model.parameters.values())


def test_its_card_is_complete(model: Model) -> None:
    metadata, card = model.metadata, (bundled.FOLDER / "README.md").read_text(encoding="utf-8")
    for name in ("gatewise", "recipe", "data", "fingerprint", "n_train", "created", "command", "kernel"):
        assert getattr(metadata, name), f"not on the card: {name}"
    assert metadata.compression.n, "the effect of compression was not measured"
    assert metadata.evaluations
    assert metadata.calibration is not None
    for heading in ("Training", "Evaluation", "Calibration", "Compression", "Limitations"):
        assert f"## {heading}\n" in card
    assert card == model.card()
    assert not [word for word in metadata.command.split() if word.startswith("/")], "a path of one machine"


def test_plain_sentences(model: Model) -> None:
    assert model.classes == ("negative", "positive")
    p = model.predict_proba(GOOD + BAD)[:, 1]
    assert (p[: len(GOOD)] > 0.5).all(), dict(zip(GOOD, p.tolist(), strict=False))
    assert (p[len(GOOD) :] < 0.5).all(), dict(zip(BAD, p[len(GOOD) :].tolist(), strict=True))
    found = model.explain(BAD[0])
    assert np.abs(found.scores).max() > 0.1


def test_a_missing_bundled_model_says_how_to_make_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundled, "FOLDER", tmp_path / "sentiment")
    assert_refused("the bundled model is missing; give a model folder, or make it", gw.load, error=ModelFileError)
    (tmp_path / "sentiment").mkdir()
    assert bundled.missing() is not None, "a folder without a manifest is not a model"
    (tmp_path / "sentiment" / "manifest.json").write_text("{}")
    assert bundled.missing() is None
    assert_refused(r"manifest\.json", gw.load, error=ModelFileError)


def test_the_tutorials_model_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if reason := bundled.missing(bundled.TUTORIAL):
        pytest.skip(reason)
    folder = bundled.folder(bundled.TUTORIAL)
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 1_000_000
    monkeypatch.chdir(tmp_path)
    found = gw.load("tutorial")
    assert (folder / "README.md").read_text(encoding="utf-8") == found.card()
    report = found.metadata.compression
    assert (report.n, report.vocab_before, report.vocab_after) == (25_000, 88_588, 10_000)
    assert found.metadata.command.startswith("gatewise train imdb --recipe tutorial --data aclImdb_v1.tar.gz")
    assert found.predict([*GOOD[:2], *BAD[:2]]).tolist() == ["positive"] * 2 + ["negative"] * 2
    found.save("tutorial")  # a folder here has the name first
    (tmp_path / "tutorial" / "manifest.json").unlink()
    assert_refused("tutorial", gw.load, "tutorial", error=ModelFileError)
