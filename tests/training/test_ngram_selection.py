"""The n-gram model is chosen on held-out rows and fitted on all rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gatewise.training import ngram_selection, recipe
from gatewise.training.ensemble import fit_network_weight
from gatewise.training.ngram_selection import select_ngrams
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
    only = replace(training_data, recipe=replace(training_data.recipe, ngram_scaling="tfidf"))
    again = select_ngrams(only, Recorder())
    assert again is not None
    assert again.model.ngrams.scale is not None


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
