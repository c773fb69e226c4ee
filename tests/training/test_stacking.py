"""Stacking as the teacher of the recipe few-shot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.data import Labelled
from gatewise.model.pretrained import PretrainedLM
from gatewise.training import Interrupted, PretrainRecipe, default_recipe, pretrain, recipe, stacking, train
from gatewise.training.lsa import fit_lsa_of
from gatewise.training.pretrained import Pretrained
from gatewise.training.recipes import match_pretrained
from gatewise.training.stack import fit_weights
from gatewise.training.stacking import stacked_predictions
from gatewise.training.training_data import TrainingData, prepare
from tests.training.callbacks import Recorder
from tests.training.texts import made_reviews

RECIPE = PretrainRecipe(
    "test", 8, 10, vocab_size=90, epochs=1, batch_size=8, bptt=11, num_sampled=24, learning_rate=0.02
)
FEW: dict[str, Any] = {"batch_size": 16, "learning_rate": 0.02, "probe_l2": 5.0}


@pytest.fixture(scope="module")
def pretrained() -> PretrainedLM:
    return pretrain([str(text) for text in made_reviews(500, 40).inputs], recipe=RECIPE, seed=2)


def ready(pretrained: PretrainedLM, labels: int, **changes: Any) -> TrainingData:
    return prepare(
        made_reviews(labels, 3),
        match_pretrained(recipe("few-shot", **FEW, **changes), Pretrained.of(pretrained)),
        0,
        Pretrained.of(pretrained).preprocessor,
    )


def encoded(training_data: TrainingData, texts: Any) -> tuple[list[Any], Any]:
    sequences = [np.asarray(s) for s in training_data.preprocessor.encode_batch(texts)]
    return sequences, np.arange(len(sequences))


def predictions(training_data: TrainingData, unlabelled: list[Any], query: Any, seed: int, recorder: Recorder) -> Any:
    lsa = fit_lsa_of(training_data, unlabelled, seed, Recorder())
    return stacked_predictions(training_data, unlabelled, lsa, query, seed, recorder)


def test_probabilities_of_unlabelled_texts(pretrained: PretrainedLM) -> None:
    training_data, fresh, recorder = ready(pretrained, 60), made_reviews(600, 41), Recorder()
    unlabelled, query = encoded(training_data, fresh.inputs)
    found = predictions(training_data, unlabelled, query, 0, recorder)
    assert found.shape == (600, 2)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (found.argmax(axis=1) == fresh.labels).mean() > 0.85
    assert [" n-grams x" in message for message in recorder.messages] == [True]
    assert found.tobytes() == predictions(training_data, unlabelled, query, 0, Recorder()).tobytes()
    some = query[::7]
    of_some = predictions(training_data, unlabelled, some, 0, Recorder())
    np.testing.assert_allclose(of_some, found[some], atol=1e-6)


def test_without_lsa_components_only_ngrams_are_used(pretrained: PretrainedLM) -> None:
    """No n-gram is frequent enough for LSA."""
    training_data, recorder = ready(pretrained, 60), Recorder()
    rare = replace(training_data, full_sequences=[np.asarray([n]) for n in range(60)])
    found = predictions(rare, [np.asarray([70, 71])], np.arange(1), 0, recorder)
    assert found.shape == (1, 2)
    assert np.isfinite(found).all()
    assert [("LSA" in message, "n-grams x" in message) for message in recorder.messages] == [(False, True)]


def test_the_validation_part_is_not_read(pretrained: PretrainedLM) -> None:
    training_data = ready(pretrained, 60)
    unlabelled, query = encoded(training_data, made_reviews(50, 41).inputs)
    labels = training_data.labels.copy()
    labels[training_data.validation] = 1 - labels[training_data.validation]
    texts = list(training_data.full_sequences)
    for n in training_data.validation:
        texts[n] = np.zeros(1, dtype=np.int64)
    other = replace(training_data, labels=labels, full_sequences=texts)
    one, two = (predictions(p, unlabelled, query, 0, Recorder()) for p in (training_data, other))
    assert one.tobytes() == two.tobytes()


def test_equal_texts_are_in_one_fold(pretrained: PretrainedLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text whose copy is in training would be predicted too well."""
    data = made_reviews(30, 3)
    twice = Labelled([*data.inputs, *data.inputs], np.tile(data.labels, 2), data.classes)
    start = Pretrained.of(pretrained)
    matched = match_pretrained(recipe("few-shot", **FEW), start)
    training_data = prepare(twice, matched, 0, start.preprocessor)
    calls: list[tuple[set[int], set[int]]] = []

    def recorded(rows: Any, query: Any) -> Any:
        texts = twice.keys[training_data.train]
        if len(query) and query.max() < len(texts):
            calls.append((set(texts[rows].tolist()), set(texts[query].tolist())))
        return np.zeros((len(query), 1))

    monkeypatch.setattr(stacking, "_classifiers", lambda *_: {"one": recorded})
    unlabelled, query = encoded(training_data, ["a text"])
    predictions(training_data, unlabelled, query, 0, Recorder())
    assert len(calls) == 5
    assert not any(fitted & held for fitted, held in calls)


def test_an_uninformative_classifier_gets_next_to_no_weight() -> None:
    """One classifier is informative, the other is noise; a large penalty draws towards the prior."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, (300, 1)).astype(np.float64)
    logits = np.stack([2 * y - 1 + rng.normal(size=y.shape), rng.normal(size=y.shape)], axis=2)
    weights, shift = fit_weights(logits, y, np.full(2, 0.5), 1.0, l2_shift=1.0)
    assert weights[0] > 1
    assert abs(weights[1]) < 0.3
    assert abs(shift[0]) < 1
    weights, _ = fit_weights(logits, y, np.full(2, 0.5), 1e6, l2_shift=1e6)
    np.testing.assert_allclose(weights, 0.5, atol=1e-2)


def test_three_classes(pretrained: PretrainedLM) -> None:
    data, fresh = made_reviews(90, 3, ("bad", "good", "odd")), made_reviews(200, 41, ("bad", "good", "odd"))
    training_data = prepare(
        data,
        match_pretrained(recipe("few-shot", **FEW), Pretrained.of(pretrained)),
        0,
        Pretrained.of(pretrained).preprocessor,
    )
    unlabelled, query = encoded(training_data, fresh.inputs)
    found = predictions(training_data, unlabelled, query, 0, Recorder())
    assert found.shape == (200, 3)
    assert (found.argmax(axis=1) == fresh.labels).mean() > 0.6


def test_few_labels_choose_the_recipe_and_learn(pretrained: PretrainedLM) -> None:
    assert [default_recipe(*case) for case in [(1_999, True), (2_000, True), (90, False)]] == [
        "few-shot",
        "finetune",
        "fast",
    ]
    recorder, more = Recorder(), [str(text) for text in made_reviews(300, 41).inputs]
    model = train(
        made_reviews(60, 3), pretrained=pretrained, unlabelled=more, callbacks=recorder, max_pseudo_labels=150, **FEW
    )
    assert model.metadata.recipe == "few-shot"
    assert any(message.startswith("stacking on 54 labelled of 354 texts: LSA x ") for message in recorder.messages)
    assert "student: learns from the labels and 150 soft labels of the teacher" in recorder.messages
    assert any(", LSA classifier x " in message for message in recorder.messages), "it joins the n-gram model too"
    assert model.evaluate(made_reviews(300, 7)).accuracy > 0.8


def test_of_many_unlabelled_texts_a_subsample_teaches(
    pretrained: PretrainedLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The teacher has a document vector of each text that gets a soft label."""
    recorder, more = Recorder(), [str(text) for text in made_reviews(300, 41).inputs]
    monkeypatch.setattr("gatewise.training.lsa.MAX_TEXTS", 100)
    train(made_reviews(60, 3), pretrained=pretrained, unlabelled=more, callbacks=recorder, **FEW)
    assert any(message.startswith("stacking on 54 labelled of 154 texts: LSA x ") for message in recorder.messages)
    assert "student: learns from the labels and 100 soft labels of the teacher" in recorder.messages


@pytest.mark.parametrize("missing", ["lsa_components", "ngrams__order"])
def test_without_lsa_or_ngrams_a_network_is_the_teacher(pretrained: PretrainedLM, missing: str) -> None:
    recorder, more = Recorder(), [str(text) for text in made_reviews(40, 41).inputs]
    model = train(
        made_reviews(60, 3), pretrained=pretrained, unlabelled=more, callbacks=recorder, **{missing: 0}, **FEW
    )
    assert (model.ensemble.get("ngrams") is None) == (missing == "ngrams__order")
    assert any(message.startswith("teacher: a network, for ") for message in recorder.messages)
    assert not any("stacking" in message for message in recorder.messages)


def test_interrupted_and_resumed(pretrained: PretrainedLM, tmp_path: Path) -> None:
    data, more = made_reviews(60, 3), [str(text) for text in made_reviews(100, 41).inputs]
    uninterrupted = train(data, pretrained=pretrained, unlabelled=more, **FEW)
    with pytest.raises(Interrupted, match="resume"):
        train(data, pretrained=pretrained, unlabelled=more, out=tmp_path / "m", callbacks=Recorder(4), **FEW)
    recorder = Recorder()
    resumed = train(
        data, pretrained=pretrained, unlabelled=more, out=tmp_path / "m", resume=True, callbacks=recorder, **FEW
    )
    assert not any("stacking" in message for message in recorder.messages), "the run folder has the soft labels"
    for name, array in uninterrupted.parameters.items():
        assert array.tobytes() == resumed.parameters[name].tobytes(), name
