"""`Model`: saved and loaded bit for bit, independent of the batch, strict about invalid input; its Python interface."""

import copy
import dataclasses
import html
import pickle
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise import kernels
from gatewise.data.labelled import Labelled
from gatewise.errors import InputError, ModelFileError
from gatewise.explain import METHODS, Clamp
from gatewise.explain.attribution.faithfulness import measure_sample
from gatewise.members.ngrams import Ngrams
from gatewise.model import evaluation_report, units_report, with_units
from gatewise.model.card import EvalResult, ModelMetadata
from gatewise.model.model import Model
from gatewise.model.series_preprocessor import SeriesPreprocessor
from gatewise.storage.folder import load_folder, save_folder
from gatewise.target import target_of
from gatewise.text import KerasEncoding, TokenEncoding, keras_index
from gatewise.types import Faithfulness
from tests.refusals import assert_refused
from tests.small_models import small_model

TEXTS = ["the film was bad", "a good film, seen twice", "the end", "it was good, was it", "bad bad end"]


def _models() -> dict[str, Model]:
    keras = KerasEncoding(keras_index(TEXTS), 8)
    tokens = TokenEncoding.fit(TEXTS, vocab_size=50, min_count=1)
    scaling = SeriesPreprocessor.fit([np.array([[1, 2, 3], [4, 5, 7]], dtype=np.float32)])
    both: dict[str, Any] = {"units": 9, "bidirectional": True, "pooling": "mean+max"}
    metadata = ModelMetadata(recipe="fast", seed=4)
    return {
        "keras": small_model(keras, units=9, max_length=30, padding="pre"),
        "tokens": small_model(tokens, ("x", "y", "z"), 2, given={"metadata": metadata}, **both),
        "series": small_model(scaling, ("<a>", "b|c", "d"), 3, units=9),
    }


MODELS = _models()
INPUTS: dict[str, list[Any]] = {
    "keras": TEXTS,
    "tokens": TEXTS,
    "series": [np.random.default_rng(n).standard_normal((n + 1, 3)).astype(np.float32) for n in range(6)],
}


@pytest.mark.parametrize("name", MODELS)
def test_saved_and_opened_again(tmp_path: Path, name: str) -> None:
    model = MODELS[name]
    model.save(tmp_path / "m")
    again = gw.load(tmp_path / "m")
    assert (again.architecture, again.classes, again.metadata) == (model.architecture, model.classes, model.metadata)
    np.testing.assert_array_equal(again.logits(INPUTS[name]), model.logits(INPUTS[name]))
    expected = [model.classes[k] for k in model.predict_proba(INPUTS[name]).argmax(axis=1)]
    assert again.predict(INPUTS[name]).tolist() == expected
    assert again.card() == (tmp_path / "m" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", MODELS)
def test_the_same_in_any_company_and_order(name: str) -> None:
    model, inputs = MODELS[name], INPUTS[name]
    together = model.logits(inputs)
    alone = np.concatenate([model.logits([item]) for item in inputs])
    np.testing.assert_allclose(alone, together, atol=1e-5)
    order = np.random.default_rng(0).permutation(len(inputs))
    np.testing.assert_allclose(model.logits([inputs[k] for k in order]), together[order], atol=1e-5)
    assert len(set(np.round(together[:, 0], 4))) > 1, "answers must differ for this test to mean anything"


def test_bad_input_is_named() -> None:
    for name, bad, message in (
        ("keras", ["fine", "  \n"], "row 1 is empty"),
        ("keras", ["a\ud800b"], "row 0"),
        ("tokens", ["\u200b\x00"], "row 0"),
        ("tokens", [b"bytes"], "row 0 is a bytes, not a string"),
        ("series", [np.ones((2, 2))], "row 0 has 2 channels, but the model reads 3"),
        ("series", [np.ones((2, 3)), [[1, 2, np.inf]]], "row 1, step 1, channel 3: inf is not finite"),
    ):
        assert_refused(message, MODELS[name].predict, bad)


def test_the_card_says_what_is_known_and_cannot_be_broken_by_names() -> None:
    metadata = ModelMetadata(
        recipe="fast", data="a [link](x) | <b>", evaluations=(EvalResult("some test", 400, 0.9, 0.3),)
    )
    measured = dataclasses.replace(metadata, faithfulness={"leave-one-out": Faithfulness(0.25, 0.125, 7)})
    for name, steps in (("series", "steps"), ("tokens", "tokens")):
        card = dataclasses.replace(MODELS[name], metadata=measured).card()
        assert f"\n{steps} that the method ranks highest are deleted" in card
    card = dataclasses.replace(MODELS["series"], metadata=metadata).card()
    assert "&lt;a&gt;, b&#124;c, d" in card
    assert "a &#91;link&#93;(x) &#124; &lt;b&gt;" in card
    assert "| some test | 400 | 0.9000 (95% interval 0.8667 to 0.9257) | 0.3000 |" in card
    assert "| epoch |" not in card
    renewed = metadata.with_evaluation(EvalResult("some test", 500, 0.8, 0.4))
    assert [m.n for m in renewed.evaluations] == [500]


def test_deletion_scores_and_units_are_kept_with_the_model(tmp_path: Path) -> None:
    model = MODELS["tokens"]
    data = Labelled.of(TEXTS, ["x", "y", "x", "z", "y"])
    scores, best = measure_sample(model.explained, model.preprocessor.encode_batch(TEXTS))
    metadata = dataclasses.replace(model.metadata, faithfulness=scores, attribution_method=best)
    known = with_units(dataclasses.replace(model, metadata=metadata), data)
    assert set(known.metadata.faithfulness) == set(METHODS)
    assert known.metadata.attribution_method in METHODS
    assert known.explain(TEXTS[0]).method == known.metadata.attribution_method
    assert known.explain(TEXTS[0]).faithfulness == known.metadata.faithfulness[known.metadata.attribution_method]
    known.save(tmp_path / "m")
    again = gw.load(tmp_path / "m")
    assert again.metadata == known.metadata
    assert again.units == known.units
    assert again.units.fingerprint == data.fingerprint()
    assert len(again.units.units) == 18
    assert f"| {known.metadata.attribution_method} (the default) | 5 |" in (tmp_path / "m" / "README.md").read_text()
    assert again.predict(TEXTS).tolist() == model.predict(TEXTS).tolist()


def test_an_example_of_another_model_is_refused() -> None:
    model = MODELS["tokens"]
    example = model.trace(TEXTS[0])
    same = dataclasses.replace(model, metadata=ModelMetadata())
    assert same.explain(example).scores.tolist() == model.explain(TEXTS[0]).scores.tolist()
    for call in (MODELS["keras"].trace, MODELS["keras"].explain, MODELS["keras"].intervene):
        assert_refused("computed by another model", call, example)
    other = model.with_thresholds((0.9,) * len(model.classes))
    assert_refused("computed by another model", other.explain, example)


def test_explanations_use_float32() -> None:
    if reason := kernels.unavailable_reason("bf16"):
        pytest.skip(reason)
    model = MODELS["tokens"]
    fast = model.with_lstm(precision="bf16")
    np.testing.assert_array_equal(fast.explain(TEXTS[0]).scores, model.explain(TEXTS[0]).scores)


def test_a_units_file_that_is_none_is_refused_when_it_is_read(tmp_path: Path) -> None:
    MODELS["keras"].save(tmp_path / "m")
    files = dict(load_folder(tmp_path / "m").files)
    save_folder(tmp_path / "m", {**files, "units.json": b'{"data": 1}'})
    model = gw.load(tmp_path / "m")
    assert model.predict(TEXTS[0])
    with pytest.raises(ModelFileError, match=r"units\.json"):
        _ = model.units


def test_words_are_replaced_and_predicted_as_the_new_text() -> None:
    for name in ("keras", "tokens"):
        model = MODELS[name]
        found = model.intervene("the film was bad", words={"bad": "good", 1 if name == "keras" else 0: "a good"})
        want = "a good film was good"
        np.testing.assert_allclose(found.after.logits, model.logits([want])[0], atol=1e-6)
        assert found.after.steps == model.preprocessor.token_names(want)
        assert found.before.steps == model.preprocessor.token_names("the film was bad")
        shorter = model.intervene("the film was bad", words={"was": ""})
        assert shorter.after.steps == model.preprocessor.token_names("the film bad")
    with pytest.raises(InputError, match="step 1 is not a word: the words are steps 2 to 5"):
        MODELS["keras"].intervene("the film was bad", words={0: "x"})
    assert_refused("a series has no words", MODELS["series"].intervene, INPUTS["series"][3], words={0: "x"})
    held = MODELS["series"].intervene(INPUTS["series"][3], [Clamp("f", 0.0)])
    assert (held.after.lstms[0].f == 0).all()


def test_logits_that_are_not_finite_are_an_error_everywhere(tmp_path: Path) -> None:
    """Finite weights can add up to infinity: the label would be made of NaN."""
    plain, fine, over = MODELS["tokens"], TEXTS[0], "zounds"
    ngrams = Ngrams(1, np.array([2]), np.array([[2.5, -2.5, 0.5]], dtype=np.float32))  # of a word that is unknown
    parts: Any = (plain.architecture, plain.parameters, plain.preprocessor, plain.classes)
    Model.of_network(*parts, members=[(ngrams, 1.7e308)]).save(tmp_path / "m")
    model = gw.load(tmp_path / "m")
    for call in (model.predict, model.predict_proba, model.logits, model.decision_function):
        call([fine])
        assert_refused("row 1: the model overflows: a logit is not finite", call, [fine, over])
    assert_refused("row 0: the model overflows", model.evaluate, [over], ["x"])
    dense = {name: plain.parameters[name].copy() for name in ("dense.weight", "dense.bias")}
    dense["dense.bias"][:] = 3.4e38
    dense["dense.weight"][:] = 3.4e38 * np.array([[1], [-1], [1]])  # one of them adds to the bias
    model = plain.with_lstm(parameters={**plain.parameters, **dense})
    model = replace(model, ensemble=replace(model.ensemble, weights=(1e300,)))
    assert_refused("the model overflows", model.explain, fine)


RNG = np.random.default_rng(11)


def with_target(model: Model, classes: tuple[str, ...], **target: Any) -> Model:
    changed = target_of(classes, **target)
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
    found = model.evaluate(Labelled.of(TEXTS, truth, "five texts"))
    assert (found.n, found.accuracy, found.data) == (5, 0.8, "five texts")
    assert sum(map(sum, found.confusion)) == 5
    assert sum(found.confusion[k][k] for k in range(3)) == 4
    p = model.predict_proba(TEXTS)
    assert found.loss == pytest.approx(-np.mean(np.log([p[n, "xyz".index(c)] for n, c in enumerate(truth)])), rel=1e-9)
    assert model.score(TEXTS, truth) == model.evaluate(TEXTS, truth).accuracy == 0.8
    assert model.evaluate(TEXTS, truth) == model.evaluate(Labelled.of(TEXTS, truth))
    assert model.score(tuple(TEXTS), np.array(truth)) == 0.8
    assert_refused("labels are missing", model.evaluate, TEXTS)
    assert_refused("part of the data already", model.evaluate, Labelled.of(TEXTS, truth), truth)
    assert_refused("has no class 'w'", model.score, TEXTS, ["w", *truth[1:]])
    assert_refused("5 inputs but 4 labels", model.score, TEXTS, truth[1:])


def test_evaluate_by_task() -> None:
    logits = MODELS["tokens"].logits(TEXTS)
    numbers = with_target(MODELS["tokens"], ("a", "b", "c"), task="regression")
    true = logits.astype(np.float64) + RNG.normal(0, 0.01, logits.shape)
    data = Labelled(TEXTS, true, target_of(("a", "b", "c"), "regression"))
    found = numbers.evaluate(data)
    assert found.rmse == pytest.approx(np.sqrt(np.square(logits - true).mean()))
    assert numbers.score(TEXTS, true.tolist()) == found.r2 > 0.9
    assert numbers.classes_.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(numbers.predict(TEXTS), logits.astype(np.float64))
    assert_refused("no probabilities", numbers.predict_proba, TEXTS)
    several = with_target(MODELS["tokens"], ("a", "b", "c"), task="multilabel")
    labels = (logits > 0).astype(np.int64)
    labels[3, 1] = 1 - labels[3, 1]
    scores = several.evaluate(Labelled(TEXTS, labels, target_of(("a", "b", "c"), "multilabel")))
    assert scores.accuracy == 0.8
    assert several.score(TEXTS, labels) == 0.8
    assert several.score(TEXTS, [[name for name, one in zip("abc", row, strict=True) if one] for row in labels]) == 0.8
    assert [len(row) for row in several.predict(TEXTS)] == (logits > 0).sum(axis=1).tolist()


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


def test_the_notebook_card_is_self_contained_and_escaped() -> None:
    name, evaluated = "<script>alert(1)</script>", EvalResult("<img src=x>", 400, 0.9, 0.3)
    metadata = ModelMetadata(recipe="fast", data='a "b" <c>', n_train=31, evaluations=(evaluated,))
    model = replace(with_target(MODELS["series"], (name, "b", "c")), metadata=metadata)
    page = model._repr_html_()
    tags = re.findall(r"<(\w+)([^>]*)>", page)
    assert {tag for tag, _ in tags} == {"div", "strong", "table", "thead", "tbody", "tr", "th", "td"}
    attributes = {attribute for _, given in tags for attribute in re.findall(r"([\w-]+)=", given)}
    assert attributes <= {"class", "dir", "tabindex"}, "nothing is loaded and nothing runs"
    for shown in (name, "<img src=x>", 'a "b" <c>', "accuracy 0.9000", "series classification"):
        assert shown in html.unescape(page)
    assert len(page) < 5_000


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


def test_data_of_another_task_is_refused_in_every_evaluation() -> None:
    numbers = Labelled.of(TEXTS, [0.5, 1.5, 2.5, 3.0, 4.25], task="regression")
    model = MODELS["tokens"]
    for call in (Model.evaluate, evaluation_report, units_report):
        assert_refused(r"trained for classification, .* data are for regression", call, model, numbers)


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
