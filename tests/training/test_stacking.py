"""Few labels: several readers as one teacher, and the recipe that is made of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.model.pretrained import PretrainedLM
from gatewise.training import Interrupted, PretrainRecipe, default_recipe, pretrain, recipe, train
from gatewise.training.ensemble import weights_of
from gatewise.training.stacking import stacked_predictions
from gatewise.training.start import match_pretrained
from gatewise.training.training_data import TrainingData, prepare
from tests.training.notes import Notes
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
        match_pretrained(recipe("few-shot", **FEW, **changes), pretrained),
        0,
        pretrained.encoding,
    )


def asked(training_data: TrainingData, texts: Any) -> tuple[list[Any], Any]:
    whole = [np.asarray(s) for s in training_data.preprocessor.encode_batch(texts)]
    return whole, np.arange(len(whole))


def test_probabilities_of_texts_without_labels(pretrained: PretrainedLM) -> None:
    training_data, fresh, heard = ready(pretrained, 60), made_reviews(600, 41), Notes()
    whole, every = asked(training_data, fresh.inputs)
    found = stacked_predictions(training_data, whole, every, 0, heard)
    assert found.shape == (600, 2)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (found.argmax(axis=1) == fresh.labels).mean() > 0.85
    assert [" n-grams x" in note for note in heard.notes] == [True]
    assert found.tobytes() == stacked_predictions(training_data, whole, every, 0, Notes()).tobytes()
    some = every[::7]
    of_some = stacked_predictions(training_data, whole, some, 0, Notes())
    np.testing.assert_allclose(of_some, found[some], atol=1e-6)


def test_without_latent_directions_the_others_do(pretrained: PretrainedLM) -> None:
    """Fewer texts than any n-gram must stand in: there is no direction."""
    training_data, heard = ready(pretrained, 60), Notes()
    rare = replace(training_data, whole=[np.asarray([n]) for n in range(60)])
    found = stacked_predictions(rare, [np.asarray([70, 71])], np.arange(1), 0, heard)
    assert found.shape == (1, 2)
    assert np.isfinite(found).all()
    assert [("latent" in note, "n-grams x" in note) for note in heard.notes] == [(False, True)]


def test_the_validation_part_is_not_read(pretrained: PretrainedLM) -> None:
    training_data = ready(pretrained, 60)
    whole, every = asked(training_data, made_reviews(50, 41).inputs)
    labels = training_data.labels.copy()
    labels[training_data.validation] = 1 - labels[training_data.validation]
    texts = list(training_data.whole)
    for n in training_data.validation:
        texts[n] = np.zeros(1, dtype=np.int64)
    other = replace(training_data, labels=labels, whole=texts)
    one, two = (stacked_predictions(p, whole, every, 0, Notes()) for p in (training_data, other))
    assert one.tobytes() == two.tobytes()


def test_who_knows_nothing_is_hardly_heard() -> None:
    """Of two paths, one that tells the class and one that is noise; and the penalty draws towards the start."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, (300, 1)).astype(np.float64)
    logits = np.stack([2 * y - 1 + rng.normal(size=y.shape), rng.normal(size=y.shape)], axis=2)
    heard, shift = weights_of(logits, y, np.full(2, 0.5), 1.0)
    assert heard[0] > 1
    assert abs(heard[1]) < 0.3
    assert abs(shift[0]) < 1
    held, _ = weights_of(logits, y, np.full(2, 0.5), 1e6)
    np.testing.assert_allclose(held, 0.5, atol=1e-2)


def test_three_classes(pretrained: PretrainedLM) -> None:
    data, fresh = made_reviews(90, 3, ("bad", "good", "odd")), made_reviews(200, 41, ("bad", "good", "odd"))
    training_data = prepare(data, match_pretrained(recipe("few-shot", **FEW), pretrained), 0, pretrained.encoding)
    whole, every = asked(training_data, fresh.inputs)
    found = stacked_predictions(training_data, whole, every, 0, Notes())
    assert found.shape == (200, 3)
    assert (found.argmax(axis=1) == fresh.labels).mean() > 0.6


def test_few_labels_choose_the_recipe_and_learn(pretrained: PretrainedLM) -> None:
    assert [default_recipe(*case) for case in [(1_999, True), (2_000, True), (90, False)]] == [
        "few-shot",
        "finetune",
        "fast",
    ]
    heard, more = Notes(), [str(text) for text in made_reviews(300, 41).inputs]
    model = train(
        made_reviews(60, 3), pretrained=pretrained, unlabelled=more, callback=heard, max_pseudo_labels=150, **FEW
    )
    assert model.metadata.recipe == "few-shot"
    assert any(note.startswith("readers of 354 texts, 54 of them labelled: latent x ") for note in heard.notes)
    assert "student, on the labels and on what the teacher says of 150 texts:" in heard.notes
    assert model.evaluate(made_reviews(300, 7)).accuracy > 0.8


@pytest.mark.parametrize("missing", ["lsa_components", "ngram_order"])
def test_without_readers_a_network_is_the_teacher(pretrained: PretrainedLM, missing: str) -> None:
    heard, more = Notes(), [str(text) for text in made_reviews(40, 41).inputs]
    model = train(made_reviews(60, 3), pretrained=pretrained, unlabelled=more, callback=heard, **{missing: 0}, **FEW)
    assert (model.ngrams is None) == (missing == "ngram_order")
    assert any(note.startswith("teacher, which will read") for note in heard.notes)
    assert not any("readers" in note for note in heard.notes)


def test_stopped_and_resumed(pretrained: PretrainedLM, tmp_path: Path) -> None:
    data, more = made_reviews(60, 3), [str(text) for text in made_reviews(100, 41).inputs]
    whole = train(data, pretrained=pretrained, unlabelled=more, **FEW)
    with pytest.raises(Interrupted, match="resume"):
        train(data, pretrained=pretrained, unlabelled=more, out=tmp_path / "m", callback=Notes(4), **FEW)
    heard = Notes()
    resumed = train(
        data, pretrained=pretrained, unlabelled=more, out=tmp_path / "m", resume=True, callback=heard, **FEW
    )
    assert not any("readers" in note for note in heard.notes), "what the teacher said is in the run folder"
    for name, array in whole.parameters.items():
        assert array.tobytes() == resumed.parameters[name].tobytes(), name
