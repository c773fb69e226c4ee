"""`Model` in Python: own label types, score and evaluate, repr, the notebook card, pickle and copies."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.data.labelled import Labelled
from gatewise.errors import InputError
from gatewise.metrics import MultilabelEvaluation, RegressionEvaluation
from gatewise.model.card import EvalResult, ModelMetadata
from gatewise.model.model import Model
from tests.model.test_model import INPUTS, MODELS, TEXTS

RNG = np.random.default_rng(11)


def with_target(model: Model, classes: tuple[str, ...], **target: Any) -> Model:
    changed = replace(model.target, classes=classes, **target)
    return replace(model, ensemble=replace(model.ensemble, target=changed))


@pytest.mark.parametrize(
    ("label_type", "classes", "dtype"),
    [("int", ("-3", "0", "12"), "i"), ("float", ("0.5", "1.25", "2.0"), "f"), ("str", ("x", "y", "z"), "U")],
)
def test_classes_and_predictions_have_the_labels_own_type(label_type: Any, classes: Any, dtype: str) -> None:
    model = with_target(MODELS["tokens"], classes, label_type=label_type)
    assert model.classes_.tolist() == [{"int": int, "float": float, "str": str}[label_type](name) for name in classes]
    predicted = model.predict(TEXTS)
    assert predicted.dtype.kind == model.classes_.dtype.kind == dtype
    np.testing.assert_array_equal(predicted, model.classes_[model.predict_proba(TEXTS).argmax(axis=1)])


def test_the_decision_function_is_the_logit_of_the_second_class_or_one_logit_per_class() -> None:
    two, three = MODELS["keras"], MODELS["tokens"]
    np.testing.assert_array_equal(two.decision_function(TEXTS), two.logits(TEXTS)[:, 0])
    assert three.decision_function(TEXTS).shape == (5, 3)
    with pytest.raises(InputError, match="no decision function"):
        with_target(three, ("a", "b", "c"), task="regression").decision_function(TEXTS)


def test_evaluate_and_score_take_inputs_with_labels() -> None:
    model = MODELS["tokens"]
    truth = [str(label) for label in model.predict(TEXTS)]
    truth[1] = "y" if truth[1] != "y" else "z"
    assert model.score(TEXTS, truth) == model.evaluate(TEXTS, truth).accuracy == 0.8
    assert model.evaluate(TEXTS, truth) == model.evaluate(Labelled.of(TEXTS, truth))
    assert model.score(tuple(TEXTS), np.array(truth)) == 0.8
    with pytest.raises(InputError, match="labels are missing"):
        model.evaluate(TEXTS)
    with pytest.raises(InputError, match="part of the data already"):
        model.evaluate(Labelled.of(TEXTS, truth), truth)
    with pytest.raises(InputError, match="has no class 'w'"):
        model.score(TEXTS, ["w", *truth[1:]])
    with pytest.raises(InputError, match="5 inputs but 4 labels"):
        model.score(TEXTS, truth[1:])


def test_evaluate_by_task() -> None:
    logits = MODELS["tokens"].logits(TEXTS)
    numbers = with_target(MODELS["tokens"], ("a", "b", "c"), task="regression")
    true = logits.astype(np.float64) + RNG.normal(0, 0.01, logits.shape)
    data = Labelled(TEXTS, true, ("a", "b", "c"), task="regression")
    found = numbers.evaluate(data)
    assert isinstance(found, RegressionEvaluation)
    assert found.rmse == pytest.approx(np.sqrt(np.square(logits - true).mean()))
    assert numbers.score(TEXTS, true.tolist()) == found.r2 > 0.9
    assert numbers.classes_.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(numbers.predict(TEXTS), logits.astype(np.float64))
    with pytest.raises(InputError, match="no probabilities"):
        numbers.predict_proba(TEXTS)
    several = with_target(MODELS["tokens"], ("a", "b", "c"), task="multilabel")
    labels = (logits > 0).astype(np.int64)
    labels[3, 1] = 1 - labels[3, 1]
    scores = several.evaluate(Labelled(TEXTS, labels, ("a", "b", "c"), task="multilabel"))
    assert isinstance(scores, MultilabelEvaluation)
    assert scores.accuracy == 0.8
    assert several.score(TEXTS, labels) == 0.8
    assert several.score(TEXTS, [[name for name, one in zip("abc", row, strict=True) if one] for row in labels]) == 0.8
    assert [len(row) for row in several.predict(TEXTS)] == (logits > 0).sum(axis=1).tolist()


def test_a_series_is_predicted_alone_and_in_a_batch() -> None:
    model, (first, *_), together = MODELS["series"], INPUTS["series"][3:], INPUTS["series"][3:]
    np.testing.assert_allclose(model.predict_proba(first), model.predict_proba(together)[:1], atol=1e-6)
    equal = RNG.standard_normal((4, 7, 3))
    np.testing.assert_allclose(
        model.logits(equal), model.logits(equal.swapaxes(1, 2), layout="channels-first"), atol=1e-6
    )
    with pytest.raises(InputError, match="seems to have channels first"):
        model.predict(equal.swapaxes(1, 2))
    with pytest.raises(InputError, match="layout is for series"):
        MODELS["keras"].predict(TEXTS, layout="time-first")


def test_the_repr_has_six_short_lines() -> None:
    first, layers, weights, training, evaluation, fingerprint = repr(MODELS["tokens"]).splitlines()
    assert first == "Model(text classification: x, y, z)"
    assert layers.startswith("  layers: Embedding, Bidirectional LSTM (9)")
    assert layers.endswith(" parameters")
    assert training.startswith("  training: recipe fast")
    assert evaluation == "  evaluation: not recorded"
    assert weights == "  weights: LSTM 1.00"
    assert fingerprint == "  fingerprint: " + MODELS["tokens"].fingerprint
    many = "\n".join(map(repr, [with_target(MODELS["series"], ("a\nb", "c" * 900, "<d>"), task="multilabel")]))
    assert "series multi-label classification" in many
    assert many.count("\n") == 5
    assert all(len(line) < 180 for line in many.splitlines())
    assert repr(gw.load()).count("parameters") == 1


class _Checker(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert {name for name, _ in attrs} <= {"class", "dir", "tabindex"}, "nothing is loaded and nothing runs"

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_notebook_card_is_self_contained_and_escaped() -> None:
    name, evaluated = "<script>alert(1)</script>", EvalResult("<img src=x>", 400, 0.9, 0.3)
    metadata = ModelMetadata(recipe="fast", data='a "b" <c>', n_train=31, evaluations=(evaluated,))
    model = replace(with_target(MODELS["series"], (name, "b", "c")), metadata=metadata)
    checker = _Checker()
    checker.feed(model._repr_html_())
    assert set(checker.tags) == {"div", "strong", "table", "thead", "tbody", "tr", "th", "td"}
    for shown in (name, "<img src=x>", 'a "b" <c>', "accuracy 0.9000", "series classification"):
        assert shown in checker.text
    assert len(model._repr_html_()) < 5_000


@pytest.mark.parametrize("twin", [copy.deepcopy, copy.copy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_predict_the_same_and_keep_the_cache_of_pad_states_safe(tmp_path: Path, twin: Any) -> None:
    for name in MODELS:
        MODELS[name].save(tmp_path / name)
        model = gw.load(tmp_path / name)
        before = model.logits(INPUTS[name])  # fills the cache
        again = twin(model)
        np.testing.assert_array_equal(again.logits(INPUTS[name]), before)
        assert again.card() == model.card()
        assert not any(array.flags.writeable for array in again.parameters.values())
        assert again.ensemble.lstm is model.ensemble.lstm or again.ensemble.lstm.memo is not model.ensemble.lstm.memo
        again.save(tmp_path / "again")


def test_a_copy_of_a_model_with_writable_parameters_sees_their_changes() -> None:
    model = MODELS["keras"]
    again = copy.deepcopy(model)
    assert again.ensemble.lstm.memo is None
    again.parameters["dense.bias"][...] += 1
    np.testing.assert_allclose(again.logits(TEXTS), model.logits(TEXTS) + 1, atol=1e-5)


def test_data_of_another_task_is_refused_in_every_evaluation() -> None:
    numbers = Labelled.of(TEXTS, [0.5, 1.5, 2.5, 3.0, 4.25], task="regression")
    model = MODELS["tokens"]
    for call in (model.evaluate, model.evaluation_report, model.with_units):
        with pytest.raises(InputError, match=r"trained for classification, .* data are for regression"):
            call(numbers)


def test_numbers_are_matched_by_name() -> None:
    model = with_target(MODELS["tokens"], ("low", "mean", "high"), task="regression")
    found = model.predict(TEXTS)
    swapped = Labelled.of(TEXTS, found[:, [2, 0, 1]], task="regression", classes=("high", "low", "mean"))
    assert model.evaluate(swapped).rmse == pytest.approx(0, abs=1e-6)
    named = Labelled.of(TEXTS, found, task="regression", classes=("a", "b", "c"))
    assert model.evaluate(named).rmse == pytest.approx(0, abs=1e-6)


def test_the_card_states_the_thresholds_of_several_classes_and_small_errors() -> None:
    model = with_target(MODELS["tokens"], ("a", "b", "c"), thresholds=(0.5, 1.0, 0.25))
    assert "largest ratio of probability to threshold. Thresholds: a 0.5, b 1, c 0.25." in model.card()
    small = EvalResult("rows", 9, None, 1.21e-10, scores={"RMSE": 1.1e-5, "R2": 0.5})
    assert small.figures == "RMSE 1.1e-05, R2 0.5000, loss 1.21e-10"
    assert "| 1.1e-05 | 0.5000 | 1.21e-10 |" in replace(model, metadata=ModelMetadata(evaluations=(small,))).card()
