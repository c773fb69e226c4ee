"""The n-gram model is chosen on held-out rows and fitted on all rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gatewise.training import ngram_selection, recipe
from gatewise.training.ensemble import fit_network_weight
from gatewise.training.ngram_selection import select_ngrams
from gatewise.training.ngrams import NgramFeatures, NgramModel
from gatewise.training.training_data import TrainingData, prepare
from tests.training.callbacks import Recorder
from tests.training.texts import made_reviews


def prepared(n: int = 240, seed: int = 61) -> TrainingData:
    return prepare(made_reviews(n, seed), recipe("fast", vocab_size=90, units=4, embedding_dim=4), 1)


@pytest.mark.parametrize("few_rows", [0, 2_000])
def test_the_model_is_fitted_on_all_rows_and_the_held_out_logits_are_not_its(
    few_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both for one held-out part and for cross-validation: held-out logits are worse than those of the final model."""
    monkeypatch.setattr(ngram_selection, "FEW_ROWS", few_rows)
    training_data, recorder = prepared(), Recorder()
    found = select_ngrams(training_data, recorder)
    assert found is not None
    rows = training_data.validation
    assert found.held_out.shape == (len(rows), 1)
    fitted = found.model.logits([training_data.full_sequences[n] for n in rows])
    sign = np.where(training_data.labels[rows] == 1, 1, -1)
    loss_held_out, loss_fitted = (np.log1p(np.exp(-sign * logits[:, 0])).mean() for logits in (found.held_out, fitted))
    assert loss_fitted < loss_held_out
    assert (
        sum(message.startswith("n-grams, held-out loss of nb, 1- to 3-grams: ") for message in recorder.messages) == 1
    )


def test_the_candidate_with_the_lowest_loss_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    training_data, recorder = prepared(), Recorder()
    found = select_ngrams(training_data, recorder)
    (message,) = recorder.messages
    listed = message.removeprefix("n-grams, held-out loss of ").split("; ")[:-1]
    losses = {name: float(loss) for name, loss in (one.rsplit(": ", 1) for one in listed)}
    assert set(losses) == {"nb, 1- to 3-grams", "tfidf, 1-grams", "tfidf, 1- to 2-grams"}
    best = min(losses, key=losses.__getitem__)
    assert found is not None
    assert (found.model.ngrams.scale is not None) == best.startswith("tfidf")
    only = replace(training_data, recipe=recipe(training_data.recipe, ngrams__scaling="tfidf"))
    again = select_ngrams(only, Recorder())
    assert again is not None
    assert again.model.ngrams.scale is not None


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_a_rare_class_with_class_weights_is_cross_validated(
    class_weight: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All rows are held out once, and 1- to 2-grams alone are tried with the scaling of a support vector machine."""
    monkeypatch.setattr(ngram_selection, "FEW_ROWS", 0)
    reviews = made_reviews(240, 61)
    rows = np.flatnonzero((reviews.labels == 0) | (np.arange(240) % 5 == 0))
    changed = recipe("fast", vocab_size=90, units=4, embedding_dim=4)
    training_data, recorder = prepare(reviews.take(rows), changed, 1, class_weight=class_weight), Recorder()
    found = select_ngrams(training_data, recorder)
    assert found is not None
    assert ("; tfidf, 1-grams: " in recorder.messages[0]) == (class_weight is None)
    assert "; tfidf, 1- to 2-grams: " in recorder.messages[0]
    if class_weight is None:
        assert found.held_out_train is None
        return
    assert found.held_out_train is not None
    assert found.held_out_train.shape == (len(training_data.train), 1)
    fitted = found.model.logits([training_data.full_sequences[n] for n in training_data.train])
    sign = np.where(training_data.labels[training_data.train] == 1, 1, -1)
    held, own = (np.log1p(np.exp(-sign * part[:, 0])).mean() for part in (found.held_out_train, fitted))
    assert own < held


def test_the_support_vector_machine_of_a_rare_class_is_fitted_without_class_weights() -> None:
    reviews = made_reviews(240, 61)
    rows = np.flatnonzero((reviews.labels == 0) | (np.arange(240) % 5 == 0))
    changed = recipe("fast", vocab_size=90, units=4, embedding_dim=4, ngrams__scaling="tfidf")
    models = []
    for class_weight in ("balanced", {reviews.classes[1]: 40.0}):
        training_data = prepare(reviews.take(rows), changed, 1, class_weight=class_weight)
        found = select_ngrams(training_data, Recorder())
        assert found is not None
        models.append(found.model)
    np.testing.assert_array_equal(models[0].ngrams.weight, models[1].ngrams.weight)
    np.testing.assert_array_equal(models[0].bias, models[1].bias)


def test_a_useless_network_gets_no_weight() -> None:
    """Drawn towards 0, unlike the calibrated n-gram model, whose weight stays at 1."""
    rng = np.random.default_rng(3)
    truth = rng.normal(size=(60, 1)) * 2
    targets = (rng.random((60, 1)) < 1 / (1 + np.exp(-truth))).astype(float)
    noise = rng.normal(size=(60, 1)) * 0.5
    found = fit_network_weight(noise, truth, targets)
    assert 0 <= found.network < 0.2
    assert abs(found.ngrams - 1) < 0.35
    opposed = fit_network_weight(-truth, 0.3 * truth, targets)
    assert opposed.network == 0
    assert fit_network_weight(truth, noise, targets).network > 0.2


def test_features_predict_with_some_of_their_n_grams() -> None:
    data = prepared()
    sequences, rows = data.full_sequences, np.arange(len(data.labels))
    features = NgramFeatures.of(sequences, 2, 2)
    targets = data.labels[:, None].astype(np.float64)
    for scaling in ("nb", "tfidf"):
        model = features.fit(rows, targets, np.ones(len(rows)), scaling, l2=4.0)  # type: ignore[arg-type]
        pruned = NgramModel(model.ngrams.take(np.arange(0, len(features.keys), 3)), model.bias)
        np.testing.assert_allclose(features.logits(pruned, rows), pruned.logits(sequences), atol=1e-5)
