"""Class weights, sample weights and thresholds: what they change, and what they do not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.data import Labelled
from gatewise.target import target_of
from gatewise.target.thresholds import best_threshold
from gatewise.training import recipe
from gatewise.training.stack import Stack, choose_thresholds
from gatewise.training.suspect_labels import suspect_labels
from gatewise.training.train import train
from gatewise.training.training_data import class_weights, loss_weight, prepare
from tests.refusals import assert_refused
from tests.training.callbacks import Recorder
from tests.training.texts import made_rare

SMALL: dict[str, Any] = {"units": 8, "embedding_dim": 8, "batch_size": 16, "vocab_size": 80, "epochs": 3, "seed": 4}


def made_topics(n: int, seed: int) -> Labelled:
    """Multi-label texts: each of three topics has its words; some texts have no topic."""
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for _ in range(n):
        has = rng.random(3) < [0.5, 0.25, 0.1]
        words = [f"word{w}" for w in rng.integers(0, 30, 8)]
        for k in np.flatnonzero(has):
            words += [f"topic{k}x{w}" for w in rng.integers(0, 4, 2)]
        texts.append(" ".join(rng.permutation(words)))
        labels.append([name for name, one in zip("abc", has, strict=True) if one])
    return Labelled.of(texts, labels, "made topics", task="multilabel")


def test_balanced_weights_equal_scikit_learn() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    data = made_rare(300, 1)
    train_rows = np.arange(0, 300, 2)
    found = class_weights(data, train_rows, "balanced")
    np.testing.assert_allclose(found, compute_class_weight("balanced", classes=np.arange(2), y=data.labels[train_rows]))
    weights = loss_weight(data, train_rows, found)
    assert weights[train_rows].mean() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(class_weights(data, train_rows, {"rare": 7}), [7, 1])
    numbers = Labelled.of(["a b", "c d"] * 4, [0.0, 1.0] * 4, task="classification")
    np.testing.assert_allclose(class_weights(numbers, np.arange(8), {1: 5}), [1, 5])  # type: ignore[arg-type]
    topics = made_topics(200, 2)
    balanced = class_weights(topics, np.arange(200), "balanced")
    np.testing.assert_allclose(balanced, (topics.labels == 0).sum(axis=0) / topics.labels.sum(axis=0))


def test_class_weights_raise_the_recall_and_leave_the_probabilities_calibrated() -> None:
    data, fresh, recorder = made_rare(1500, 3), made_rare(1000, 4), Recorder()
    plain = train(data, **SMALL)
    weighted = train(data, class_weight="balanced", callbacks=recorder, **SMALL)
    assert plain.target.thresholds == ()
    one, two = plain.evaluate(fresh), weighted.evaluate(fresh)
    assert two.recall[0] > one.recall[0]
    assert two.f1[0] >= one.f1[0] - 0.02
    share = float(np.mean(fresh.labels == 0))
    assert weighted.predict_proba(fresh.inputs)[:, 0].mean() == pytest.approx(share, abs=0.03)
    assert two.calibration_error < 0.05
    assert any("threshold for 'usual'" in message for message in recorder.messages)
    mine = train(data, class_weight={"rare": 5.0}, threshold=0.9, **SMALL)
    assert mine.target.thresholds == (0.9,)
    usual = mine.predict_proba(fresh.inputs)[:, 1] >= 0.9
    assert (mine.predict(fresh.inputs) == np.where(usual, "usual", "rare")).all()


@pytest.mark.parametrize("weights", [[1.0, 6.0], [2.0, 0.5, 9.0]])
def test_the_thresholds_of_a_weight_per_class_are_those_of_its_cost(weights: list[float]) -> None:
    p = np.random.default_rng(7).dirichlet(np.ones(len(weights)), 200)
    target = target_of(tuple("abc"[: len(weights)]))
    target = replace(target, thresholds=target.cost_thresholds(np.array(weights)))
    np.testing.assert_array_equal(target.decide(p), (p * weights).argmax(axis=1))


@pytest.mark.parametrize("options", [{"class_weight": {"rare": 9.0}}, {"threshold": 0.02}])
def test_the_card_has_the_scores_with_the_thresholds(options: dict[str, Any]) -> None:
    data, validation = made_rare(300, 15), made_rare(200, 16)
    model = train(data, validation=validation, **options, **SMALL | {"ngrams__scaling": "nb"})
    last, measured = model.metadata.evaluations[-1], model.evaluate(validation)
    assert last.data == "validation set, with its thresholds"
    assert last.accuracy == pytest.approx(measured.accuracy)
    assert last.accuracy != model.metadata.evaluations[-2].accuracy
    assert last.scores["macro F1"] == pytest.approx(measured.scores["macro F1"])


def test_thresholds_are_saved(tmp_path: Path) -> None:
    data = made_rare(400, 5)
    model = train(data, threshold="f1", out=tmp_path / "m", **SMALL)
    again = gw.load(tmp_path / "m")
    assert again.target.thresholds == model.target.thresholds != ()
    last = again.metadata.evaluations[-1]
    assert last.data == "validation set, used to choose the thresholds"
    assert last.scores["macro F1"] > 0.5
    fitted = again.metadata.evaluations[-2]
    assert fitted.data == "validation set, used to fit the ensemble weights"
    assert last.loss == pytest.approx(fitted.loss), "both from logits of n-grams that were fitted without these rows"
    assert (again.predict(data.inputs) == model.predict(data.inputs)).all()


def test_the_best_threshold_is_the_highest_f1() -> None:
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(7)
    p = rng.random(300) ** 2
    y = (rng.random(300) < p).astype(np.int64)
    w = rng.integers(1, 4, 300).astype(float)
    best = best_threshold(p, y, w, share=1.0)
    scores = [f1_score(y, p >= t, sample_weight=w) for t in p]
    assert f1_score(y, p >= best, sample_weight=w) == pytest.approx(max(scores))
    doubled = best_threshold(np.repeat(p, w.astype(int)), np.repeat(y, w.astype(int)), np.ones(int(w.sum())), share=1.0)
    assert doubled == pytest.approx(best)
    assert best_threshold(p, np.zeros(300, dtype=np.int64), w) == 0.5
    assert best_threshold(np.full(9, 0.3), np.ones(9, dtype=np.int64), np.ones(9)) == 0.5


def test_training_rows_that_were_held_out_choose_the_threshold_too() -> None:
    """The threshold separates the held-out logits of the training rows, which are shifted against the others."""
    data = made_rare(400, 14)
    training_data = prepare(data, recipe("fast", vocab_size=80, units=4, embedding_dim=4), 4, class_weight="balanced")
    rows, rare = training_data.validation, data.classes.index("rare")
    sign = np.where(data.labels == rare, 1.0, -1.0)[:, None] * (1 if rare == 1 else -1)
    alone, both = (
        choose_thresholds(
            training_data,
            training_data.target,
            Stack(np.ones(1), np.zeros(1), 2 * sign[rows], of_train),
            None,
            Recorder(),
        )[0]
        for of_train in (None, 2 * sign[training_data.train] + 4)
    )
    assert alone == pytest.approx((0.5,))
    assert both[0] > 0.9


def test_multilabel(tmp_path: Path) -> None:
    data, fresh = made_topics(700, 10), made_topics(300, 11)
    model = train(data, out=tmp_path / "m", **SMALL)
    assert (model.task, model.classes, model.architecture.outputs) == ("multilabel", ("a", "b", "c"), 3)
    assert len(model.target.thresholds) == 3
    found = model.evaluate(fresh)
    assert found.micro_f1 > 0.9
    assert min(found.f1) > 0.8
    assert model.predict_proba(fresh.inputs).mean(axis=0) == pytest.approx(fresh.labels.mean(axis=0), abs=0.05)
    again = gw.load(tmp_path / "m")
    assert again.predict(fresh.inputs[:20]).tolist() == model.predict(fresh.inputs[:20]).tolist()
    assert "micro F1" in again.card()
    weighted = train(data, class_weight="balanced", threshold=0.5, **SMALL)
    assert weighted.target.thresholds == (0.5,) * 3
    assert weighted.predict_proba(fresh.inputs).mean(axis=0) == pytest.approx(fresh.labels.mean(axis=0), abs=0.05)


@pytest.mark.parametrize("task", ["classification", "multilabel"])
def test_sample_weights_decide_between_contradicting_labels(task: Any) -> None:
    """They are (n,), class weights of multi-label rows (n, K)."""
    rng = np.random.default_rng(15)
    texts = [" ".join(f"word{w}" for w in rng.integers(0, 20, 4)) for _ in range(400)]
    labels: Any = ["left", "right"] * 200 if task == "classification" else [["left", "all"], ["right", "all"]] * 200
    heavy = np.where(np.arange(400) % 2 == 1, 9.0, 1.0)
    model = gw.train(texts, labels, task=task, sample_weight=heavy, **SMALL)
    found = dict(zip(model.classes, model.predict_proba(texts).mean(axis=0), strict=True))
    expected = {"left": 0.1, "right": 0.9} | ({"all": 1.0} if task == "multilabel" else {})
    assert found == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("class_weight", [None, {"rare": 6.0}])
def test_only_ratios_of_sample_weights_matter(class_weight: Any) -> None:
    """Few validation rows of the rare class: the n-grams are those of a support vector machine, with a penalty."""
    data = made_rare(300, 17)
    weight = np.random.default_rng(18).uniform(0.5, 3, 300)
    models = []
    for factor in (1.0, 1024.0):  # a power of two, which rounds nothing
        rows = replace(data, sample_weight=factor * weight)
        models.append(train(rows, class_weight=class_weight, ngrams__scaling="tfidf", **SMALL))
    one, other = (model.ensemble.get("ngrams").weight for model in models)
    assert one.any()
    assert one.tobytes() == other.tobytes()


def test_a_row_of_weight_0_counts_as_absent_in_a_validation_set_and_among_suspects() -> None:
    data = made_rare(150, 23)
    other = made_rare(160, 24)
    weight = np.where(np.random.default_rng(25).random(160) < 0.2, 2.5, 0.0)
    rows = np.flatnonzero(weight)
    with_zeros = replace(other, sample_weight=weight)
    models = [train(data, validation=validation, **SMALL) for validation in (with_zeros, other.take(rows))]
    assert models[0].metadata.n_validation == len(rows) < 50
    # Sums over other numbers of rows may be rounded in another way.
    for found, expected in zip(models[0].metadata.evaluations, models[1].metadata.evaluations, strict=True):
        assert found.loss == pytest.approx(expected.loss, rel=1e-12)
        errors = [(result.calibration_error or 0.0) for result in (found, expected)]
        assert errors[0] == pytest.approx(errors[1], rel=1e-12)
        without = [replace(result, loss=0.0, calibration_error=None) for result in (found, expected)]
        assert without[0] == without[1]
    assert models[0].ensemble.weights == pytest.approx(models[1].ensemble.weights, rel=1e-9)
    suspects = suspect_labels(with_zeros)
    few = suspect_labels(with_zeros.take(rows))
    assert suspects == [suspect._replace(row=int(rows[suspect.row])) for suspect in few] != []


def test_suspect_labels_depend_on_ratios_of_sample_weights_alone() -> None:
    data = made_rare(200, 19)
    weight = np.random.default_rng(20).uniform(0.5, 3, 200)
    suspects = [suspect_labels(replace(data, sample_weight=factor * weight)) for factor in (1.0, 1024.0)]
    assert suspects[0] == suspects[1] != []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_weight": "even"}, "must be 'balanced'"),
        ({"class_weight": {"other": 2}}, "no class 'other'"),
        ({"class_weight": {"rare": 0}}, "above 0"),
        ({"class_weight": {"rare": "x"}}, "not a number"),
        ({"class_weight": 3}, "must be 'balanced' or a mapping"),
        ({"threshold": "best"}, "must be 'f1'"),
        ({"threshold": 1.5}, "from 0 to 1"),
        ({"threshold": (0.5, 0.5)}, "1 thresholds"),
        ({"sample_weight": [1.0]}, "part of the data already"),
        ({"class_weight": "balanced", "task": "regression"}, "a regression has none"),
        ({"threshold": 0.5, "task": "regression"}, "a regression has none"),
    ],
)
def test_refused(options: dict[str, Any], message: str) -> None:
    data = made_rare(60, 12)
    given = (data.inputs, np.arange(60) * 0.5) if "task" in options else (data,)
    assert_refused(message, train, *given, **options)
