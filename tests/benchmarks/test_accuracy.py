"""The accuracy rows on a few made reviews: they run end to end and measure what they say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")

import gatewise as gw
from benchmarks.accuracy import __main__ as program
from benchmarks.accuracy.data import Reviews
from benchmarks.accuracy.rows import ROWS, measured
from tests.training.texts import made_reviews


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Reviews:
    """An archive's folder of made reviews."""
    root = tmp_path_factory.mktemp("made") / "aclImdb"
    for half, seed in (("train", 1), ("test", 2)):
        data = made_reviews(80, seed)
        for label, name in ((1, "pos"), (0, "neg")):
            folder = root / half / name
            folder.mkdir(parents=True)
            rows = np.flatnonzero(data.labels == label)
            for number, row in enumerate(rows):
                (folder / f"{number}_7.txt").write_text(data.inputs[row])
            urls = "".join(f"http://www.imdb.com/title/tt{1000 * seed + number // 3}/\n" for number in range(len(rows)))
            (root / half / f"urls_{name}.txt").write_text(urls)
    unsup = root / "train" / "unsup"
    unsup.mkdir()
    for number, text in enumerate(made_reviews(60, 3).inputs):
        (unsup / f"{number}_0.txt").write_text(text)
    return Reviews(root)


def test_a_row_trains_measures_and_keeps_its_model(made: Reviews, tmp_path: Path) -> None:
    row = next(row for row in ROWS if row.name == "fast")
    found = row.run(made, 3, tmp_path, tmp_path / "fast-3")
    kept = gw.load(tmp_path / "fast-3")
    assert kept.metadata.command.endswith("--rows fast --seeds 3")
    assert found["accuracy"] == kept.evaluate(made.test).accuracy
    expected = {"loss", "calibration_error", "network_accuracy", "ngrams_accuracy", "seconds", "train_seconds"}
    assert expected <= set(found)


def test_few_labels_from_another_pretrained_model_are_kept_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "RESULTS", tmp_path / "accuracy.json")
    one = {"labels": 100, "sample": 0, "pretrained_size": "large", "pretrained_epochs": 2, "pretrained_seed": 0}
    kept = [one | {"gatewise": 0.9}, one | {"pretrained_epochs": 3, "gatewise": 0.91}]
    for figures in (one | {"gatewise": 0.8}, kept[1], kept[0]):
        program._save_few_labels(figures)
    assert sorted(program._results()["few_labels"], key=str) == sorted(kept, key=str)


def test_each_part_alone_is_calibrated_anew(made: Reviews) -> None:
    """A wrong dense bias lowers the accuracy of the ensemble, not that of its parts."""
    model = gw.train(
        made.train, units=8, embedding_dim=8, vocab_size=80, epochs=20, ngram_order=1, learning_rate=0.02, batch_size=8
    )
    wrong = dict(model.parameters)
    wrong["dense.bias"] = wrong["dense.bias"] + np.float32(8)
    one, other = (measured(m, made.test, made.train) for m in (model, replace(model, parameters=wrong)))
    assert other["accuracy"] < one["accuracy"] - 0.1
    assert other["network_accuracy"] == pytest.approx(one["network_accuracy"], abs=1e-9)
    assert other["network_accuracy"] > other["accuracy"]
    assert other["ngrams_accuracy"] == one["ngrams_accuracy"] > 0.8
