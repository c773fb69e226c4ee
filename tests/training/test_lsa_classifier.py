"""The line through latent directions as n-grams: the same line, what it may read, and what it is for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.model.pretrained import PretrainedLM
from gatewise.network.ngrams import Ngrams
from gatewise.training import PretrainRecipe, pretrain, recipe, train
from gatewise.training import lsa_classifier as latent_line_module
from gatewise.training.linear_probe import fit_linear_probe
from gatewise.training.lsa import LATENT_L2, latent
from gatewise.training.lsa_classifier import fit_lsa_classifier, joined
from gatewise.training.ngrams import FittedNgrams, targets_of
from gatewise.training.start import match_pretrained
from gatewise.training.training_data import TrainingData, prepare
from gatewise.types import Array
from tests.training.notes import Notes
from tests.training.texts import made_reviews

RECIPE = PretrainRecipe(
    "test", 8, 10, vocab_size=90, epochs=1, batch_size=8, bptt=11, num_sampled=24, learning_rate=0.02
)
SMALL: dict[str, Any] = {
    "epochs": 1,
    "min_steps": 0,
    "batch_size": 16,
    "learning_rate": 0.02,
    "lsa_components": 6,
    "seed": 1,
}


@pytest.fixture(scope="module")
def pretrained() -> PretrainedLM:
    return pretrain([str(text) for text in made_reviews(500, 40).inputs], recipe=RECIPE, seed=2)


def ready(pretrained: PretrainedLM, labels: int, classes: tuple[str, ...] = ("negative", "positive")) -> TrainingData:
    chosen = match_pretrained(recipe("finetune", lsa_components=6), pretrained)
    return prepare(made_reviews(labels, 3, classes), chosen, 0, pretrained.encoding)


def encoded(training_data: TrainingData, texts: Any) -> list[Array]:
    return [np.asarray(s) for s in training_data.preprocessor.encode_batch(texts)]


def test_it_is_the_line_through_the_coordinates(pretrained: PretrainedLM) -> None:
    """Its n-grams and its bias say of a text what the coordinates do, once every text has the mean length."""
    training_data = ready(pretrained, 80)
    whole = encoded(training_data, made_reviews(300, 41).inputs)
    line = fit_lsa_classifier(training_data, whole, 5, Notes())
    assert line is not None
    unknown = training_data.preprocessor.unknown
    assert unknown is not None
    texts = [training_data.whole[row] for row in training_data.train] + whole
    found = latent(texts, 6, 3, 10, without=[unknown], seed=5)
    rows = found.coordinates[: len(training_data.train)]
    targets = targets_of(training_data.labels[training_data.train], 2)
    weight, bias = fit_linear_probe(rows, targets, LATENT_L2, shared_scale=True)
    length = found.length[: len(training_data.train)]
    want = rows * (length / length.mean())[:, None] @ weight.T + bias
    said = line.ngrams.logits([training_data.whole[row] for row in training_data.train]) + line.bias
    np.testing.assert_allclose(said, want, rtol=1e-3, atol=1e-3)
    assert line.ngrams.order == 3


def test_it_tells_texts_that_no_label_is_like(pretrained: PretrainedLM) -> None:
    """Of the words that tell, the labelled texts hold some and the asked ones others: only texts without labels, where
    they stand together, know that they mean the same.
    """
    rng = np.random.default_rng(0)
    sides, rest = (["dull", "clumsy", "tired", "loud"], ["fine", "lovely", "moving", "bright"]), range(6)

    def text(side: int, first: int, last: int) -> str:
        common = [f"word{n}" for n in rng.choice(rest, 3)]
        return " ".join([*rng.choice(sides[side][first:last], 2, replace=False), *common])

    labels, fresh = rng.integers(0, 2, 60), rng.integers(0, 2, 200)
    data = labelled([text(side, 0, 2) for side in labels], labels)
    training_data = prepare(
        data, match_pretrained(recipe("finetune", lsa_components=2), pretrained), 0, pretrained.encoding
    )
    together = [text(side, 0, 4) for side in rng.integers(0, 2, 600)]
    line = fit_lsa_classifier(training_data, encoded(training_data, together), 0, Notes())
    assert line is not None
    said = line.ngrams.logits(encoded(training_data, [text(side, 2, 4) for side in fresh]))[:, 0] + line.bias
    assert ((said > 0) == fresh).mean() > 0.9


def labelled(texts: list[str], labels: Any) -> Any:
    return replace(made_reviews(len(texts), 0), inputs=texts, labels=np.asarray(labels, dtype=np.int64))


def test_the_validation_part_is_not_read(pretrained: PretrainedLM) -> None:
    training_data = ready(pretrained, 80)
    whole = encoded(training_data, made_reviews(60, 41).inputs)
    labels, texts = training_data.labels.copy(), list(training_data.whole)
    labels[training_data.validation] = 1 - labels[training_data.validation]
    for n in training_data.validation:
        texts[n] = np.zeros(1, dtype=np.int64)
    one, two = (
        fit_lsa_classifier(p, whole, 0, Notes())
        for p in (training_data, replace(training_data, labels=labels, whole=texts))
    )
    assert one is not None
    assert two is not None
    assert one.ngrams.weight.tobytes() == two.ngrams.weight.tobytes()
    assert one.bias.tobytes() == two.bias.tobytes()


def test_texts_that_share_no_ngram_have_no_line(pretrained: PretrainedLM) -> None:
    training_data = ready(pretrained, 60)
    rare = replace(training_data, whole=[np.asarray([n]) for n in range(60)])
    assert fit_lsa_classifier(rare, [], 0, Notes()) is None


def test_a_part_of_very_many_texts(pretrained: PretrainedLM, monkeypatch: pytest.MonkeyPatch) -> None:
    training_data, heard = ready(pretrained, 60), Notes()
    monkeypatch.setattr(latent_line_module, "READ", 50)
    fit_lsa_classifier(training_data, encoded(training_data, made_reviews(140, 41).inputs), 0, heard)
    assert heard.notes[0].startswith("6 latent directions of 101 texts in "), "54 labelled, every third of 140"


def test_who_is_right_is_heard() -> None:
    """Of n-grams that tell the class and some that tell nothing, the sum is nearly the first."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 600)
    kept = [np.asarray([label, 2 + other]) for label, other in zip(labels, rng.integers(0, 2, 600), strict=True)]
    right, wrong = (
        Ngrams(1, np.arange(first, first + 2), np.array([[-2.0], [2.0]], dtype=np.float32)) for first in (1, 3)
    )
    heard = Notes()
    found = joined(
        FittedNgrams(wrong, np.array([0.5])), FittedNgrams(right, np.zeros(1)), kept, targets_of(labels, 2), heard
    )
    assert heard.notes[0].startswith("n-grams x ")
    assert found.ngrams.keys.tolist() == [1, 2, 3, 4]
    told, noise = found.ngrams.weight[:2, 0], found.ngrams.weight[2:, 0]
    assert told[1] - told[0] > 4
    assert abs(noise[1] - noise[0]) < 1
    said = found.ngrams.logits(kept) + found.bias
    assert ((said[:, 0] > 0) == labels).all()


@pytest.mark.parametrize("classes", [("negative", "positive"), ("bad", "good", "odd")])
def test_trained_with_texts_without_labels(pretrained: PretrainedLM, classes: tuple[str, ...]) -> None:
    """Teacher and student both hear it; without such texts, or with latent=0, nobody does."""
    data, more = made_reviews(120, 3, classes), [str(text) for text in made_reviews(200, 41, classes).inputs]
    heard = Notes()
    model = train(data, recipe="finetune", pretrained=pretrained, unlabelled=more, callback=heard, **SMALL)
    assert [note.split(" in ")[0] for note in heard.notes if "directions of" in note] == [
        "6 latent directions of 308 texts"
    ]
    assert sum(note.startswith("n-grams x ") for note in heard.notes) == 2
    assert model.ngrams is not None
    assert model.evaluate(made_reviews(300, 7, classes)).accuracy > 0.85
    for without in ({"unlabelled": None}, {"unlabelled": more, "lsa_components": 0}):
        quiet = Notes()
        train(data, recipe="finetune", pretrained=pretrained, callback=quiet, **(SMALL | without))
        assert not any("latent directions" in note for note in quiet.notes)


def test_a_recipe_without_a_student_has_the_line_alone(pretrained: PretrainedLM, tmp_path: Path) -> None:
    """One network, the same as without such texts; the n-grams beside it say something else."""
    data, more = made_reviews(120, 3), [str(text) for text in made_reviews(200, 41).inputs]
    how: dict[str, Any] = {"recipe": "finetune", "pretrained": pretrained, "student_epochs": 0} | SMALL
    heard = Notes()
    with_line = train(data, unlabelled=more, callback=heard, out=tmp_path / "m", **how)
    alone = train(data, **how)
    assert not any("teacher" in note for note in heard.notes)
    assert "the texts given" in with_line.metadata.unlabelled
    assert any("latent directions x" in note for note in heard.notes)
    assert with_line.ngrams is not None
    assert alone.ngrams is not None
    assert not np.array_equal(with_line.ngrams.weight, alone.ngrams.weight)
    moved = [n for n in alone.parameters if not n.startswith("dense")]  # the weighing is folded into the dense layer
    assert all(alone.parameters[n].tobytes() == with_line.parameters[n].tobytes() for n in moved)
    assert gw.load(tmp_path / "m").logits(data.inputs).tobytes() == with_line.logits(data.inputs).tobytes()
