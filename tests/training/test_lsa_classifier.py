"""The LSA classifier as an n-gram model: its logits, what it reads, and what it is good for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.members.ngrams import Ngrams
from gatewise.model.pretrained import PretrainedLM
from gatewise.training import PretrainRecipe, pretrain, recipe, train
from gatewise.training import lsa as lsa_module
from gatewise.training.dense_solver import fit_standardised_glm
from gatewise.training.ensemble import add_ngram_model
from gatewise.training.lsa import LSA_L2, fit_lsa, fit_lsa_classifier, fit_lsa_of
from gatewise.training.ngrams import NgramModel, targets_of
from gatewise.training.pretrained import Pretrained
from gatewise.training.recipes import match_pretrained
from gatewise.training.training_data import TrainingData, prepare
from gatewise.types import Array
from tests.training.callbacks import Recorder
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
    chosen = match_pretrained(recipe("finetune", lsa_components=6), Pretrained.of(pretrained))
    return prepare(made_reviews(labels, 3, classes), chosen, 0, Pretrained.of(pretrained).preprocessor)


def encoded(training_data: TrainingData, texts: Any) -> list[Array]:
    return [np.asarray(s) for s in training_data.preprocessor.encode_batch(texts)]


def classifier_of(training_data: TrainingData, unlabelled: list[Array], seed: int, recorder: Recorder) -> Any:
    lsa = fit_lsa_of(training_data, unlabelled, seed, recorder)
    return None if lsa is None else fit_lsa_classifier(training_data, lsa)


def test_it_is_a_logistic_regression_on_document_vectors(pretrained: PretrainedLM) -> None:
    """Its logits are those of the regression, with the mean norm in place of each text's own."""
    training_data = ready(pretrained, 80)
    unlabelled = encoded(training_data, made_reviews(300, 41).inputs)
    classifier = classifier_of(training_data, unlabelled, 5, Recorder())
    assert classifier is not None
    unknown = training_data.preprocessor.unknown
    assert unknown is not None
    texts = [training_data.full_sequences[row] for row in training_data.train] + unlabelled
    lsa = fit_lsa(texts, 6, exclude=[unknown], seed=5)
    rows = lsa.document_vectors[: len(training_data.train)]
    targets = targets_of(training_data.labels[training_data.train], 2)
    weight, bias = fit_standardised_glm(rows, targets, LSA_L2, shared_scale=True)
    norms = lsa.norms[: len(training_data.train)]
    expected = rows * (norms / norms.mean())[:, None] @ weight.T + bias
    logits = classifier.logits([training_data.full_sequences[row] for row in training_data.train])
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-3)
    assert classifier.ngrams.order == 3


def test_it_classifies_texts_that_share_no_decisive_word_with_labelled_ones(pretrained: PretrainedLM) -> None:
    """Labelled texts contain some decisive words and the test texts others; only in unlabelled texts they co-occur."""
    rng = np.random.default_rng(0)
    sides, rest = (["dull", "clumsy", "tired", "loud"], ["fine", "lovely", "moving", "bright"]), range(6)

    def text(side: int, first: int, last: int) -> str:
        common = [f"word{n}" for n in rng.choice(rest, 3)]
        return " ".join([*rng.choice(sides[side][first:last], 2, replace=False), *common])

    labels, fresh = rng.integers(0, 2, 60), rng.integers(0, 2, 200)
    data = labelled([text(side, 0, 2) for side in labels], labels)
    training_data = prepare(
        data,
        match_pretrained(recipe("finetune", lsa_components=2), Pretrained.of(pretrained)),
        0,
        Pretrained.of(pretrained).preprocessor,
    )
    together = [text(side, 0, 4) for side in rng.integers(0, 2, 600)]
    classifier = classifier_of(training_data, encoded(training_data, together), 0, Recorder())
    assert classifier is not None
    logits = classifier.logits(encoded(training_data, [text(side, 2, 4) for side in fresh]))[:, 0]
    assert ((logits > 0) == fresh).mean() > 0.9


def labelled(texts: list[str], labels: Any) -> Any:
    return replace(made_reviews(len(texts), 0), inputs=texts, labels=np.asarray(labels, dtype=np.int64))


def test_the_validation_part_is_not_read(pretrained: PretrainedLM) -> None:
    training_data = ready(pretrained, 80)
    unlabelled = encoded(training_data, made_reviews(60, 41).inputs)
    labels, texts = training_data.labels.copy(), list(training_data.full_sequences)
    labels[training_data.validation] = 1 - labels[training_data.validation]
    for n in training_data.validation:
        texts[n] = np.zeros(1, dtype=np.int64)
    one, two = (
        classifier_of(p, unlabelled, 0, Recorder())
        for p in (training_data, replace(training_data, labels=labels, full_sequences=texts))
    )
    assert one is not None
    assert two is not None
    assert one.ngrams.weight.tobytes() == two.ngrams.weight.tobytes()
    assert one.bias.tobytes() == two.bias.tobytes()


def test_texts_without_a_common_ngram_give_no_classifier(pretrained: PretrainedLM) -> None:
    training_data = ready(pretrained, 60)
    rare = replace(training_data, full_sequences=[np.asarray([n]) for n in range(60)])
    assert classifier_of(rare, [], 0, Recorder()) is None


def test_many_unlabelled_texts_are_subsampled(pretrained: PretrainedLM, monkeypatch: pytest.MonkeyPatch) -> None:
    training_data, recorder = ready(pretrained, 60), Recorder()
    monkeypatch.setattr(lsa_module, "MAX_TEXTS", 50)
    classifier_of(training_data, encoded(training_data, made_reviews(140, 41).inputs), 0, recorder)
    assert recorder.messages[0].startswith("LSA: 6 components of 101 texts in "), "54 labelled, every third of 140"


def test_the_informative_model_gets_the_weight() -> None:
    """The weighted sum of an informative and an uninformative model is close to the first."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 600)
    sequences = [np.asarray([label, 2 + other]) for label, other in zip(labels, rng.integers(0, 2, 600), strict=True)]
    right, wrong = (
        Ngrams(1, np.arange(first, first + 2), np.array([[-2.0], [2.0]], dtype=np.float32)) for first in (1, 3)
    )
    recorder = Recorder()
    found = add_ngram_model(
        NgramModel(wrong, np.array([0.5])), NgramModel(right, np.zeros(1)), sequences, targets_of(labels, 2), recorder
    )
    assert recorder.messages[0].startswith("n-grams x ")
    assert found.ngrams.keys.tolist() == [1, 2, 3, 4]
    informative, noise = found.ngrams.weight[:2, 0], found.ngrams.weight[2:, 0]
    assert informative[1] - informative[0] > 4
    assert abs(noise[1] - noise[0]) < 1
    logits = found.logits(sequences)
    assert ((logits[:, 0] > 0) == labels).all()


@pytest.mark.parametrize("classes", [("negative", "positive"), ("bad", "good", "odd")])
def test_training_with_unlabelled_texts(pretrained: PretrainedLM, classes: tuple[str, ...]) -> None:
    """Teacher and student both use it; without unlabelled texts, or with lsa_components=0, neither does."""
    data, more = made_reviews(120, 3, classes), [str(text) for text in made_reviews(200, 41, classes).inputs]
    recorder = Recorder()
    model = train(data, recipe="finetune", pretrained=pretrained, unlabelled=more, callbacks=recorder, **SMALL)
    assert [message.split(" in ")[0] for message in recorder.messages if "components of" in message] == [
        "LSA: 6 components of 308 texts"
    ]
    assert sum(message.startswith("n-grams x ") for message in recorder.messages) == 2
    assert model.ensemble.get("ngrams") is not None
    assert model.evaluate(made_reviews(300, 7, classes)).accuracy > 0.85
    for without in ({"unlabelled": None, "lsa_components": 200}, {"unlabelled": more, "lsa_components": 0}):
        quiet = Recorder()
        train(data, recipe="finetune", pretrained=pretrained, callbacks=quiet, **(SMALL | without))
        assert not any("LSA classifier" in message for message in quiet.messages)


def test_a_recipe_without_student_uses_the_lsa_classifier_alone(pretrained: PretrainedLM, tmp_path: Path) -> None:
    """The network is as without unlabelled texts; the n-gram model differs."""
    data, more = made_reviews(120, 3), [str(text) for text in made_reviews(200, 41).inputs]
    how: dict[str, Any] = {"recipe": "finetune", "pretrained": pretrained, "student_epochs": 0} | SMALL
    recorder = Recorder()
    with_lsa = train(data, unlabelled=more, callbacks=recorder, out=tmp_path / "m", **how)
    alone = train(data, **how | {"lsa_components": 200})  # as the recipe says
    assert not any("teacher" in message for message in recorder.messages)
    assert "the texts given" in with_lsa.metadata.unlabelled
    assert any("LSA classifier x" in message for message in recorder.messages)
    assert with_lsa.ensemble.get("ngrams") is not None
    assert alone.ensemble.get("ngrams") is not None
    assert not np.array_equal(with_lsa.ensemble.get("ngrams").weight, alone.ensemble.get("ngrams").weight)
    names = [
        n for n in alone.parameters if not n.startswith("dense")
    ]  # the ensemble weights are folded into the dense layer
    assert all(alone.parameters[n].tobytes() == with_lsa.parameters[n].tobytes() for n in names)
    assert gw.load(tmp_path / "m").logits(data.inputs).tobytes() == with_lsa.logits(data.inputs).tobytes()
