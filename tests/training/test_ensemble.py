"""Training with the n-gram model and calibration: what is fitted after the best epoch, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.data.labelled import Labelled
from gatewise.model.model import Model
from gatewise.training import recipe
from gatewise.training.stack import stack
from gatewise.training.train import train
from gatewise.training.training_data import prepare
from tests.members.ngram_keys import tokens_of
from tests.training.callbacks import Recorder
from tests.training.texts import made_reviews

SMALL: dict[str, Any] = {"units": 12, "embedding_dim": 8, "batch_size": 16, "vocab_size": 80, "epochs": 2, "seed": 5}
HALF: dict[str, Any] = {**SMALL, "validation__fraction": 0.5}  # 100 validation rows and more: called calibrated


def network_alone(data: Labelled) -> Model:
    """The network before the ensemble weights and the calibration."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gatewise.training.train.stack", lambda *a, **named: stack(*a, **named | {"calibrate": False}))
        return train(data, ngrams__order=0, **HALF)


def test_ngram_model_is_added_to_the_best_epoch(tmp_path: Path) -> None:
    data, recorder = made_reviews(300, 50), Recorder()
    alone = network_alone(data)
    model = train(data, out=tmp_path / "m", callbacks=recorder, ngrams__order=2, ngrams__scaling="nb", **HALF)
    ngrams = model.ensemble.get("ngrams")
    assert ngrams.order == 2
    assert model.preprocessor.unknown == 1
    assert not any(1 in tokens_of(int(key)) for key in ngrams.keys)
    for name, array in alone.parameters.items():
        np.testing.assert_array_equal(model.parameters[name], array)
    weight = model.ensemble.lstm_weight
    assert model.metadata.calibration is not None
    assert model.metadata.calibration.method.startswith(f"LSTM x {weight:.2f}, n-grams x ")
    assert [message.split(" in ")[0] for message in recorder.messages if "fitted in" in message] == [
        f"{len(model.ensemble.get('ngrams')):,} n-grams of 1 to 2 words fitted"
    ]
    measured = {one.data: one for one in model.metadata.evaluations}
    both = measured["validation set, used to fit the ensemble weights"]
    assert both.loss < measured["validation set, used to choose the epoch"].loss
    rows = prepare(data, recipe("fast", **{k: v for k, v in HALF.items() if k != "seed"}), 5).validation
    seen = model.evaluate(data.take(rows))
    assert (seen.accuracy, seen.loss) == (both.accuracy, pytest.approx(both.loss, rel=1e-5))
    again = gw.load(tmp_path / "m")
    assert again.logits(data.inputs[:9]).tobytes() == model.logits(data.inputs[:9]).tobytes()
    assert "calibrated on the data named above" in again.card()
    assert set(again.metadata.faithfulness) == {
        "prefix-difference",
        "cell-decomposition",
        "integrated-gradients",
        "leave-one-out",
    }


def test_ngram_model_reads_what_truncation_removes() -> None:
    """The decisive word is the first, and the network reads the last five: only the n-gram model sees it."""
    rng = np.random.default_rng(51)
    labels = rng.integers(0, 2, 300)
    rest = [" ".join(rng.choice([f"word{n}" for n in range(30)], 9)) for _ in labels]
    texts = [f"{'bright' if label else 'dull'} {words}" for label, words in zip(labels, rest, strict=True)]
    model = gw.train(texts, labels, max_length=5, truncation="front", ngrams__order=1, **SMALL)
    assert np.mean(model.predict(texts) == labels) > 0.98


def test_calibration_alone_changes_the_weight_and_the_shift_only() -> None:
    data = made_reviews(300, 52)
    alone, model = network_alone(data), train(data, ngrams__order=0, **HALF)
    assert model.ensemble.get("ngrams") is None
    scale, [shift] = model.ensemble.lstm_weight, model.ensemble.shift
    np.testing.assert_array_equal(model.parameters["dense.weight"], alone.parameters["dense.weight"])
    assert model.metadata.calibration is not None
    assert model.metadata.calibration.method.startswith(f"LSTM x {scale:.2f}, shift {shift:+.2f}, fitted on ")
    np.testing.assert_allclose(model.logits(data.inputs), scale * alone.logits(data.inputs) + shift, atol=1e-5)
    rows = prepare(data, recipe("fast", **{k: v for k, v in HALF.items() if k != "seed"}), 5).validation
    validation = data.take(rows)
    assert model.evaluate(validation).loss < alone.evaluate(validation).loss
    mean = float(model.predict_proba(validation.inputs)[:, 1].mean())
    assert abs(mean - validation.labels.mean()) < abs(
        float(alone.predict_proba(validation.inputs)[:, 1].mean()) - validation.labels.mean()
    )


def test_texts_without_a_common_ngram() -> None:
    recorder = Recorder()
    texts = ["aa bb", "cc dd", "ee ff", "gg hh", "ii jj", "kk ll"]
    model = gw.train(
        texts,
        [0, 1, 0, 1, 0, 1],
        ngrams__order=2,
        validation__fraction=0.34,
        tokenization="keras",
        callbacks=recorder,
        **SMALL,
    )
    assert model.ensemble.get("ngrams") is None or len(model.ensemble.get("ngrams"))
    assert any("n-grams" in message and " fitted in " in message for message in recorder.messages)
