"""The accuracy rows on a few made reviews: they run end to end and measure what they say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")

import gatewise as gw
from benchmarks.accuracy import __main__ as program
from benchmarks.accuracy import tables
from benchmarks.accuracy.ablation import ABLATIONS
from benchmarks.accuracy.data import Reviews
from benchmarks.accuracy.rows import ROWS, linear, measured, pretrained_for
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


@pytest.mark.parametrize("kind", ["tfidf", "nb"])
def test_the_linear_models_learn(made: Reviews, kind: str) -> None:
    assert linear(made.train, made.test, kind) > 0.8


def test_few_labels_are_balanced_and_differ_by_draw(made: Reviews) -> None:
    one, other = made.few(20, 0), made.few(20, 1)
    assert one.labels.sum() == other.labels.sum() == 10
    assert one.fingerprint() != other.fingerprint()
    assert made.few(20, 0).fingerprint() == one.fingerprint()


def test_pretraining_runs_once(made: Reviews, tmp_path: Path) -> None:
    changes = {"embedding_dim": 8, "units": 8, "vocab_size": 80, "batch_size": 4, "bptt": 9}
    first, _ = pretrained_for(made, 1, tmp_path, "small", **changes)
    again, seconds = pretrained_for(made, 1, tmp_path, "small", **changes)
    assert seconds == first.metadata.seconds
    assert first.metadata.n_words == again.metadata.n_words
    assert len(list(tmp_path.iterdir())) == 1


def test_the_rows_have_names_of_their_own() -> None:
    every = [row.name for row in (*ROWS, *ABLATIONS)]
    assert len(set(every)) == len(every)


def test_a_row_trains_measures_and_keeps_its_model(made: Reviews, tmp_path: Path) -> None:
    row = next(row for row in ROWS if row.name == "fast")
    found = row.run(made, 3, tmp_path, tmp_path / "fast-3")
    kept = gw.load(tmp_path / "fast-3")
    assert kept.metadata.command.endswith("--rows fast --seeds 3")
    assert found["accuracy"] == kept.evaluate(made.test).accuracy
    assert set(found) >= {
        "loss",
        "calibration_error",
        "network_accuracy",
        "ngrams_accuracy",
        "seconds",
        "train_seconds",
    }


def test_the_pages_are_up_to_date() -> None:
    assert tables.main(["--check"]) == 0


def test_tables_render_the_results() -> None:
    where = {"machine": {"processor": "p", "cores": 2}, "versions": {"numpy": "1"}, "date": "2026-01-02 03:04 UTC"}
    seeds = {"0": {"accuracy": 0.9, "seconds": 60.0, **where}, "1": {"accuracy": 0.92, "seconds": 120.0, **where}}
    other = where | {"machine": {"processor": "q", "cores": 1}}
    few = [
        {"labels": 100, "sample": k, "gatewise": 0.8, "tfidf": 0.7, "nb": 0.6 + k / 10, "seconds": 9.0, **at}
        for k, at in enumerate((where, other))
    ]
    few = [one | {"pretrained_size": "large", "pretrained_epochs": 2, "pretrained_seed": 0} for one in few]
    few += [few[0] | {"pretrained_size": "small", "gatewise": 0.7}]
    results = {"rows": {"fast": seeds}, "few_labels": few}
    page = "".join(f"<!-- accuracy: {name} -->\n<!-- end -->\n" for name in ("rows", "few-labels", "environment"))
    found = tables.rendered(page, results)
    assert (
        "| `fast` | recipe `fast`, the default: LSTM and n-gram model | 0.9100 (0.9000, 0.9200) |  |  | 1.5 |" in found
    )
    assert "| 100 | `large`, 2 epochs, seed 0 | 2 | 0.8000 | 0.7000 | 0.6500 | +10.0 points | 9 |" in found
    assert "| 100 | `small`, 2 epochs, seed 0 | 1 | 0.7000 | 0.7000 | 0.6000 | +0.0 points | 9 |" in found
    assert "\np, 2 cores; q, 1 core; 2026-01-02; numpy 1.\n" in found
    assert "| `best` |" in found
    assert "not measured yet" in found
    assert tables.rendered(found, results) == found


def test_few_labels_from_another_pretrained_model_are_kept_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "RESULTS", tmp_path / "accuracy.json")
    one = {"labels": 100, "sample": 0, "pretrained_size": "large", "pretrained_epochs": 2, "pretrained_seed": 0}
    kept = [one | {"gatewise": 0.9}, one | {"pretrained_epochs": 3, "gatewise": 0.91}]
    for figures in (one | {"gatewise": 0.8}, kept[1], kept[0]):
        program._save_few_labels(figures)
    assert sorted(program._results()["few_labels"], key=str) == sorted(kept, key=str)


def test_minutes_on_different_threads_are_listed_by_seed() -> None:
    seeds = {str(n): {"accuracy": 0.9, "seconds": 60.0 * (n + 2), "threads": 1 + n} for n in (0, 1)}
    found = tables.rendered("<!-- accuracy: rows -->\n<!-- end -->\n", {"rows": {"fast": seeds}})
    assert "|  |  | 2; 3 | 1; 2 |" in found


def test_a_change_is_compared_over_common_seeds() -> None:
    def row(**accuracy: float) -> dict[str, dict[str, float]]:
        return {
            seed[1:]: {
                "accuracy": of,
                "network_accuracy": of - 0.01,
                "loss": 1 - of,
                "train_seconds": 90.0,
                "threads": 1,
            }
            for seed, of in accuracy.items()
        }

    rows = {"large": row(s0=0.91, s2=0.93), "large-dropout-word": row(s2=0.92), "large-no-dropout-output": row(s1=0.8)}
    found = tables.rendered("<!-- accuracy: ablation -->\n<!-- end -->\n", {"rows": rows})
    assert "| none (`large`) | 0.9300 |  | 0.9200 |  | 0.0700 | 1.5 on 1 |" in found
    assert "(`large-dropout-word`) | 0.9200 | -1.00 | 0.9100 | -1.00 | 0.0800 | 1.5 on 1 |" in found
    assert "large-no-dropout-output" not in found
    assert "Not measured yet: " in tables.rendered(found, {"rows": {"large": rows["large"]}})


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
