"""Calibration against a count by hand, scikit-learn and a plain search; and a model that was calibrated."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from gatewise.data.labelled import Labelled
from gatewise.errors import InputError
from gatewise.metrics.calibration import BINS, calibration_of, temperature_of
from gatewise.metrics.evaluation import Evaluation, log_probabilities
from gatewise.model.calibrate import calibrated
from gatewise.model.card import write_card
from gatewise.model.model import Model
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.network.architecture import Architecture
from gatewise.text import TokenEncoding
from tests.explain.random_net import parameters_of


def drawn(n: int, k: int, seed: int, sureness: float = 1.0) -> tuple[Any, Any]:
    """log p (n, k), and truths (n,) that are drawn with the probabilities of logits `sureness` times as small."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 2, (n, k))
    p = np.exp(z / sureness) / np.exp(z / sureness).sum(axis=1, keepdims=True)
    truth = np.array([rng.choice(k, p=row) for row in p])
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True)), truth


def by_hand(log_p: Any, truth: Any, bins: int) -> tuple[float, list[tuple[int, float, float]]]:
    """Guo et al. 2017, equation 3, one sequence after the other."""
    rows = [(float(np.exp(max(row))), int(np.argmax(row)) == t) for row, t in zip(log_p.tolist(), truth, strict=True)]
    error, seen = 0.0, []
    for m in range(1, bins + 1):
        here = [(c, right) for c, right in rows if (m - 1) / bins < c <= m / bins]
        confidence = sum(c for c, _ in here) / len(here) if here else 0.0
        accuracy = sum(right for _, right in here) / len(here) if here else 0.0
        error += len(here) / len(rows) * abs(accuracy - confidence)
        seen.append((len(here), confidence, accuracy))
    return error, seen


@pytest.mark.parametrize(("n", "k"), [(1, 2), (7, 2), (900, 2), (500, 5), (40, 3)])
def test_the_expected_calibration_error_is_that_of_a_count_by_hand(n: int, k: int) -> None:
    log_p, truth = drawn(n, k, n + k, 1.7)
    error, seen = by_hand(log_p, truth, BINS)
    found = calibration_of(log_p, truth)
    assert found.error == pytest.approx(error, abs=1e-12)
    for one, (count, confidence, accuracy) in zip(found.bins, seen, strict=True):
        assert one.n == count
        assert (one.confidence, one.accuracy) == (pytest.approx(confidence), pytest.approx(accuracy))
    assert sum(one.n for one in found.bins) == n
    if k == 2:
        assert not any(one.n for one in found.bins[:7])


def test_a_confidence_on_an_edge_belongs_to_the_bin_below() -> None:
    with np.errstate(divide="ignore"):
        log_p = np.log(np.array([[0.6, 0.4], [0.4, 0.6], [1.0, 0.0], [0.5, 0.5]]))
    found = calibration_of(log_p, np.array([0, 0, 0, 1]))
    counts = {round(one.high * 15): one.n for one in found.bins if one.n}
    assert counts in ({9: 2, 15: 1, 8: 1}, {10: 2, 15: 1, 8: 1})  # exp(log(0.6)) may lie a rounding above 9/15


@pytest.mark.parametrize("k", [2, 4])
def test_brier_and_log_loss_are_scikit_learns(k: int) -> None:
    log_p, truth = drawn(300, k, k)
    found = Evaluation.of(log_p, truth, tuple("abcd"[:k]), "made up")
    assert found.loss == pytest.approx(log_loss(truth, np.exp(log_p), labels=list(range(k))))
    if k == 2:
        assert found.brier == pytest.approx(brier_score_loss(truth, np.exp(log_p)[:, 1]))
    else:
        one_hot = np.eye(k)[truth]
        assert found.brier == pytest.approx(
            0.5 * np.mean([np.sum((a - b) ** 2) for a, b in zip(np.exp(log_p), one_hot, strict=True)])
        )
    assert found.as_dict()["reliability"][14]["n"] == found.reliability[14].n


@pytest.mark.parametrize("sureness", [0.4, 1.0, 3.0])
@pytest.mark.parametrize("k", [2, 3])
def test_the_temperature_is_the_best_of_a_search(k: int, sureness: float) -> None:
    log_p, truth = drawn(4000, k, 9, sureness)

    def loss(temperature: float) -> float:
        z = log_p / temperature
        z = z - z.max(axis=1, keepdims=True)
        return float(np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), truth]))

    found = temperature_of(log_p, truth)
    assert found == pytest.approx(sureness, rel=0.1)
    assert all(loss(found) <= loss(found * factor) for factor in (0.5, 0.99, 0.9999, 1.0001, 1.01, 2))


def test_where_no_temperature_fits() -> None:
    log_p, _ = drawn(30, 2, 1)
    with pytest.raises(InputError, match="30 sequences: every verdict is right"):
        temperature_of(log_p, log_p.argmax(axis=1))
    with pytest.raises(InputError, match="no better than chance"):
        temperature_of(log_p, log_p.argmin(axis=1))
    with pytest.raises(InputError, match="there is none"):
        temperature_of(log_p[:0], np.zeros(0, dtype=np.int64))


def sure_model(outputs: int) -> tuple[Model, Labelled]:
    """A model that is far too sure of itself, by a temperature of 2.5, and texts that it is often wrong about."""
    rng = np.random.default_rng(outputs)
    words = [f"word{n}" for n in range(30)]
    texts = [" ".join(rng.choice(words, 9)) for _ in range(400)]
    encoding = TokenEncoding.fit(texts, minimum=1)
    arch = Architecture("tokens", encoding.rows, 6, 5, outputs=outputs)
    parameters = parameters_of(arch, 8)
    parameters["dense.weight"] = parameters["dense.weight"] * 12
    parameters["dense.bias"] = parameters["dense.bias"] + 0.7
    classes = ("no", "yes") if outputs == 1 else ("x", "y", "z")
    model = Model(arch, parameters, TextPreprocessor(encoding), classes)
    p = np.exp(log_probabilities(model.logits(texts) / 2.5))
    names = [str(rng.choice(classes, p=row)) for row in p]
    return model, Labelled.of(texts, names, "texts made up")


@pytest.mark.parametrize("outputs", [1, 3])
def test_a_calibrated_model(outputs: int) -> None:
    model, data = sure_model(outputs)
    made = calibrated(model, data)
    note = made.metadata.calibrated
    assert note is not None
    assert (note.n, note.data) == (400, "texts made up")
    told = re.search(r"divided by ([0-9.]+)", note.how)
    assert told is not None
    temperature = float(told[1])
    assert temperature == pytest.approx(2.5, rel=0.3)
    assert note.error_after < 0.6 * note.error_before
    assert note.loss_after < note.loss_before
    np.testing.assert_allclose(made.logits(data.inputs) * temperature, model.logits(data.inputs), rtol=1e-4, atol=1e-4)
    assert made.predict(data.inputs) == model.predict(data.inputs)
    again = made.evaluate(data)
    assert again.loss == pytest.approx(note.loss_after, rel=1e-5)
    assert model.evaluate(data).calibration_error == pytest.approx(note.error_before, rel=1e-5)
    np.testing.assert_allclose(
        made.predict_proba(data.inputs[:5]),
        np.exp(log_probabilities(model.logits(data.inputs[:5]) / temperature)),
        atol=1e-5,
    )
    found = made.explain(data.inputs[0], "cell-decomposition")
    assert found.calibrated
    assert abs(found.residual) < 1e-4, "accounts still add up"
    assert "(calibrated)" in found.probability_note
    assert not model.explain(data.inputs[0], "cell-decomposition").calibrated


def test_what_was_of_the_old_probabilities_leaves_the_card() -> None:
    model, data = sure_model(1)
    known = model.measured(model.evaluate(data)).with_faithfulness(model.preprocessor.encode_batch(data.inputs[:30]))
    assert known.metadata.faithfulness
    assert calibrated(known, data, "the validation part").metadata.calibrated.data == "the validation part"  # type: ignore[union-attr]
    metadata = calibrated(known, data).metadata
    assert (metadata.faithfulness, metadata.measured, metadata.explained_by) == ({}, (), "")
    card = write_card(model.architecture, model.classes, metadata)
    assert "are calibrated on the data named above, and on no other." in card
    assert f"{metadata.calibrated.error_before:.4f} to {metadata.calibrated.error_after:.4f}" in card  # type: ignore[union-attr]
    assert "are not calibrated." in write_card(model.architecture, model.classes, model.metadata)


def test_it_is_kept_in_the_folder(tmp_path: Any) -> None:
    from gatewise.model.model import load

    model, data = sure_model(3)
    made = calibrated(model, data)
    made.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert again.metadata == made.metadata
    np.testing.assert_array_equal(again.logits(data.inputs[:9]), made.logits(data.inputs[:9]))
    assert dataclasses.asdict(again.metadata)["calibrated"]["n"] == 400
