"""Training from a pretrained language model, with and without unlabelled texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import InputError, TrainingError
from gatewise.model.pretrained import PretrainedLM
from gatewise.training import Interrupted, PretrainRecipe, pretrain, train
from tests.training.callbacks import Recorder
from tests.training.texts import made_reviews

RECIPE = PretrainRecipe(
    "test", 8, 10, vocab_size=90, epochs=1, batch_size=8, bptt=11, num_sampled=24, learning_rate=0.02
)
OPTIONS: dict[str, Any] = {
    "recipe": "finetune",
    "epochs": 2,
    "min_steps": 40,
    "batch_size": 16,
    "ngram_order": 2,
    "learning_rate": 0.02,
    "student_epochs": 2,
}


@pytest.fixture(scope="module")
def pretrained() -> PretrainedLM:
    return pretrain([str(text) for text in made_reviews(500, 40).inputs], recipe=RECIPE, seed=2)


def test_it_starts_from_the_pretrained_weights(pretrained: PretrainedLM) -> None:
    data = made_reviews(120, 3)
    model = train(
        data, pretrained=pretrained, learning_rate=1e-9, epochs=1, ngram_order=0, calibrate=False, recipe="finetune"
    )
    assert model.metadata.recipe == "finetune"
    assert "language model" in model.metadata.pretrained
    assert model.preprocessor.to_files() == (pretrained.encoding.to_files())
    for name in model.parameters:
        if name in pretrained.parameters:
            np.testing.assert_allclose(model.parameters[name], pretrained.parameters[name], atol=1e-6)


def test_the_dense_layer_starts_as_a_linear_probe(pretrained: PretrainedLM) -> None:
    """With a learning rate near zero the dense layer stays as it starts: linear probe or random."""
    still: dict[str, Any] = {
        "recipe": "finetune",
        "learning_rate": 1e-9,
        "epochs": 1,
        "min_steps": 0,
        "ngram_order": 0,
        "calibrate": False,
    }
    data = made_reviews(400, 3)
    fitted, drawn = (
        train(data, pretrained=pretrained, probe_l2=head, **still).evaluate(data).accuracy for head in (1.0, 0.0)
    )
    assert fitted > max(0.7, drawn + 0.1)


@pytest.mark.parametrize("recipe", ["finetune", "best"])
def test_it_learns_with_unlabelled_texts_and_saves_the_same_model(
    pretrained: PretrainedLM, tmp_path: Path, recipe: str
) -> None:
    more = [str(text) for text in made_reviews(200, 41).inputs]
    how = OPTIONS | {"recipe": recipe}
    model = train(made_reviews(200, 3), pretrained=pretrained, unlabelled=more, out=tmp_path / "m", **how)
    assert model.metadata.recipe == recipe
    fresh = made_reviews(200, 4)
    assert model.evaluate(fresh).accuracy > 0.85
    assert "the texts given" in model.metadata.unlabelled
    loaded = gw.load(tmp_path / "m")
    np.testing.assert_array_equal(loaded.logits(fresh.inputs), model.logits(fresh.inputs))
    assert not (tmp_path / "m.run").exists()


@pytest.mark.parametrize("recipe", ["finetune", "best"])
@pytest.mark.parametrize("step", [3, 52, 70])
def test_interrupted_and_resumed(pretrained: PretrainedLM, tmp_path: Path, step: int, recipe: str) -> None:
    data, more = made_reviews(200, 3), [str(text) for text in made_reviews(60, 41).inputs]
    how = OPTIONS | {"recipe": recipe}
    uninterrupted = train(data, pretrained=pretrained, unlabelled=more, **how)
    with pytest.raises(Interrupted, match="resume"):
        train(data, pretrained=pretrained, unlabelled=more, out=tmp_path / "m", callback=Recorder(step), **how)
    resumed = train(data, pretrained=pretrained, unlabelled=more, out=tmp_path / "m", resume=True, **how)
    for name, array in uninterrupted.parameters.items():
        assert array.tobytes() == resumed.parameters[name].tobytes(), name


def test_another_pretrained_model_or_other_texts_are_not_resumed(pretrained: PretrainedLM, tmp_path: Path) -> None:
    data, more = made_reviews(200, 3), [str(text) for text in made_reviews(60, 41).inputs]
    with pytest.raises(Interrupted):
        train(data, pretrained=pretrained, unlabelled=more, out=tmp_path / "m", callback=Recorder(70), **OPTIONS)
    with pytest.raises(TrainingError, match="teacher of another run"):
        train(data, pretrained=pretrained, unlabelled=more[1:], out=tmp_path / "m", resume=True, **OPTIONS)


def test_min_steps_adds_epochs(pretrained: PretrainedLM) -> None:
    model = train(made_reviews(40, 8), pretrained=pretrained, **(OPTIONS | {"ngram_order": 0}))
    assert model.metadata.epochs == 14  # 36 to train on are 3 batches of 16


def test_pretrained_embeddings_leave_the_units_free() -> None:
    texts = [str(text) for text in made_reviews(500, 40).inputs]
    vectors = pretrain(
        texts, recipe=PretrainRecipe("v", 8, 0, vocab_size=90, epochs=1, batch_size=8, bptt=11, num_sampled=24)
    )
    model = train(made_reviews(100, 3), pretrained=vectors, units=7, epochs=1, ngram_order=0)
    assert (model.architecture.units, model.architecture.embedding_dim) == (7, 8)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"units": 12}, "units 10"),
        ({"recipe": "tutorial"}, "pretrained model"),
        ({"bidirectional": False}, "both directions"),
        ({"gate": "binary"}, "sigmoid"),
        ({"unlabelled": ["a text"], "student_epochs": 0, "lsa_components": 0}, "cannot use unlabelled texts"),
    ],
)
def test_what_a_pretrained_model_cannot_start(pretrained: PretrainedLM, options: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        train(made_reviews(60, 3), pretrained=pretrained, **options)


def test_series_have_no_pretrained_model(pretrained: PretrainedLM) -> None:
    with pytest.raises(InputError, match="series"):
        train([np.full((4, 2), float(k)) for k in range(20)], [0, 1] * 10, pretrained=pretrained, ngram_order=0)


@pytest.mark.parametrize("recipe", ["finetune", "best"])
def test_series_refuse_unlabelled_texts(recipe: str) -> None:
    series = [np.full((4, 2), float(k)) for k in range(20)]
    with pytest.raises(InputError, match="series cannot learn from unlabelled texts"):
        train(series, [0, 1] * 10, recipe=recipe, unlabelled=["a text"], units=4)


def test_labelled_texts_are_left_out_of_the_unlabelled_ones(pretrained: PretrainedLM) -> None:
    """The validation part above all: it chooses the epoch and the ensemble weights, so nothing may train on it."""
    data = made_reviews(120, 3)
    texts = [str(text) for text in data.inputs]
    fresh = [str(text) for text in made_reviews(30, 77).inputs]
    mixed = train(data, pretrained=pretrained, unlabelled=[*texts, *fresh, texts[0].upper()], **OPTIONS)
    alone = train(data, pretrained=pretrained, unlabelled=fresh, **OPTIONS)
    for name, array in alone.parameters.items():
        np.testing.assert_array_equal(array, mixed.parameters[name])
    assert "30 of them not among the labelled texts" in mixed.metadata.unlabelled
    with pytest.raises(InputError, match="every unlabelled text"):
        train(data, pretrained=pretrained, unlabelled=texts[:50], **OPTIONS)
