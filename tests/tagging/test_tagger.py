"""A label per step, for texts and series: training, prediction, evaluation, attributions, the page's answers."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import InputError
from gatewise.explain import Clamp
from gatewise.explain.attribution import METHODS, method_named
from gatewise.explain.attribution.faithfulness import measure
from gatewise.explain.attribution.integrated_gradients import IntegratedGradients
from gatewise.explain.attribution.method import attribute
from gatewise.explain.example import Example
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.members.ensemble import Ensemble
from gatewise.members.lstm import LSTM
from gatewise.model import evaluation_report, with_units
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.model.series_preprocessor import SeriesPreprocessor
from gatewise.network.architecture import Architecture
from gatewise.scorer import Scorer
from gatewise.serve.schemas import RequestError
from gatewise.serve.view.view import View
from gatewise.target import target_of
from tests.explain.random_net import parameters_of
from tests.refusals import assert_refused
from tests.tagging.conftest import Sentences, made


def test_it_learns_and_is_measured(model: gw.Model) -> None:
    words, labels = made(120, 2)
    found = model.evaluate(words, labels)
    assert found.scores["entity F1"] > 0.95
    assert (found.n, found.sequences) == (sum(map(len, words)), 120)
    assert model.score(words, labels) == found.accuracy > 0.97
    assert model.task == "tagging"
    assert model.metadata.calibration is None
    assert model.metadata.uncalibrated_reason == "26 validation rows, at least 100 are needed"
    assert [one.label.split()[0] in model.classes for one in model.metadata.examples] == [True, True]
    assert "text tagging: B-X, I-X, O" in repr(model)
    card = model.card()
    assert "classifies each word of texts into 3 classes" in card
    assert "| step accuracy | entity F1 | row accuracy | macro F1 |" in card
    report = evaluation_report(model, gw.data.Labelled.of(words, labels, task="tagging")).as_dict()
    assert report["task"] == "tagging"
    assert sum(one["n"] for one in report["by_length"]["ranges"]) == 120
    for mistake in report["mistakes"]:
        assert f"[{words[mistake['row'] - 1][mistake['step'] - 1]}]" in mistake["excerpt"]


def test_predictions_have_one_entry_per_word(model: gw.Model, folder: Path, sentences: Sentences) -> None:
    words = [*sentences[0][:3], ["the", "unheard", "of"]]
    found = model.predict(words)
    texts = [" ".join(one) for one in words]
    assert [list(row) for row in model.predict(texts)] == found
    assert model.predict(texts[0]) == [found[0]]
    assert [len(row) for row in found] == [len(one) for one in words]
    for n, p in enumerate(model.predict_proba(words)):
        assert p.shape == (len(words[n]), 3)
        assert p.sum(axis=1) == pytest.approx(1)
        assert [model.classes[k] for k in p.argmax(axis=1)] == found[n]
    one = model.predict_proba(words[1:2])[0]
    assert model.predict_proba(words)[1] == pytest.approx(one, abs=1e-6), "the other rows of a batch change nothing"
    assert [d.shape for d in model.decision_function(words)] == [(len(one), 3) for one in words]
    scored = Scorer(folder, text="text")({"text": texts})
    assert scored["label"].tolist() == found
    assert [len(row) for row in scored["probability"]] == [len(one) for one in words]
    assert model.predict([]) == []


def test_what_a_tagger_cannot_have_is_refused(sentences: Sentences) -> None:
    for options, message in (
        ({"recipe": "fast"}, "recipe fast: tagging needs pooling='none', not 'mean\\+max'"),
        ({"tokenization": "words"}, "needs max_length 0, no n-grams"),
        ({"ngrams__order": 2}, "needs max_length 0, no n-grams"),
        ({"max_length": 5}, "needs max_length 0, no n-grams"),
        ({"unlabelled": ["a"]}, "does not use unlabelled texts"),
        ({"pretrained": "bundled"}, "cannot start a network of recipe tagging"),
    ):
        assert_refused(message, gw.train, *sentences, task="tagging", verbose=0, **options)
    texts, message = (
        [" ".join(one) for one in sentences[0]],
        "classification needs another pooling than 'none', which is for tagging",
    )
    assert_refused(message, gw.train, texts, ["a", "b"] * 130, recipe="tagging", verbose=0)


def test_data_of_another_kind_is_refused(model: gw.Model, sentences: Sentences) -> None:
    with pytest.raises(InputError, match="trained for tagging, and the labels of the data are for classification"):
        model.evaluate(gw.data.Labelled.of(["the cat", "a dog"], ["B-X", "O"]))
    assert_refused("row 0 has 1 label for 2 words", model.evaluate, [["the", "cat"]], [["B-X"]])
    assert_refused("no class 'B-Y'", model.evaluate, [["the", "cat"]], [["O", "B-Y"]])
    with pytest.raises(InputError, match="units are for classification; the model's task is tagging"):
        with_units(model, gw.data.Labelled.of(*sentences, task="tagging"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([], "row 2: the list of words is empty: leave such rows out"),
        ((), "row 2: the list of words is empty"),
        (np.array([], dtype=object), "row 2: the list of words is empty"),
        (["a", " ", "b"], "row 2: word 2 is empty"),
        (["a", "b", 3], "row 2: word 3 is of type int, not a text"),
        (["a", None], "row 2: word 2 is of type NoneType, not a text"),
    ],
)
def test_a_row_that_is_no_list_of_words_is_named(model: gw.Model, row: Any, message: str) -> None:
    words = [["the", "cat"], ["a", "dog"], row, ["a", "cat"]]
    labels = [["B-X", "O"]] * 4
    assert_refused(f"inputs: {message}", gw.train, words, labels, task="tagging", verbose=0)
    assert_refused(message, model.evaluate, words, labels)
    assert_refused(message, model.predict, words)


def test_a_row_without_labels_is_named() -> None:
    words = [["the", "cat"], ["a", "dog"]]
    assert_refused(
        "labels: row 1 is an empty list: it needs one label per step",
        gw.data.Labelled.of,
        words,
        [["B-X", "O"], []],
        task="tagging",
    )


def test_weights_of_rows_and_classes_count_by_step(sentences: Sentences) -> None:
    weights = np.where(np.arange(260) % 2, 1.0, 0.0)
    changes: dict[str, Any] = {"units": 6, "embedding_dim": 6, "min_steps": 20, "verbose": 0}
    half = gw.train(*sentences, task="tagging", sample_weight=weights, class_weight={"I-X": 3.0}, **changes)
    assert half.target.thresholds
    assert half.metadata.n_train + half.metadata.n_validation == 130
    balanced = gw.train(*sentences, task="tagging", class_weight="balanced", **changes)
    assert len(balanced.predict([["the", "cat"]])[0]) == 2


def test_series_have_a_label_per_step(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    series = [rng.normal(size=(int(rng.integers(8, 15)), 2)) for _ in range(150)]
    labels = [[bool(x > 0) for x in np.cumsum(one[:, 0])] for one in series]
    model = gw.train(series, labels, task="tagging", verbose=0, min_steps=300, out=tmp_path / "model", units=16)
    assert model.score(series, labels) > 0.9
    assert [type(label) for label in model.predict(series[:1])[0]][:1] == [bool]
    assert model.predict(series[0]) == gw.load(tmp_path / "model").predict([series[0]])
    again = gw.train(series, labels, task="tagging", pretrained=model, verbose=0, epochs=1, min_steps=0)
    assert again.architecture.pooling == "none"


def test_numbers_per_step_are_predicted() -> None:
    arch = Architecture.stacked("channels", 1, 0, 5, pooling="none", outputs=2)
    scaling = SeriesPreprocessor((0.5,), (2.0,))
    model = gw.Model.of_network(arch, parameters_of(arch, 1), scaling, ("low", "high"), task="regression")
    found = model.predict([np.zeros((3, 1)), np.ones((5, 1))])
    assert [np.shape(one) for one in found] == [(3, 2), (5, 2)]
    assert model.task == "regression"


TEXT = "saw the cat x1 saw the Dog"


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("inputs", ["tokens", "channels"])
def test_scores_add_up_to_the_logit_of_the_step(inputs: str, bidirectional: bool, layers: int) -> None:
    rng = np.random.default_rng(layers)
    size, depth = (23, 5) if inputs == "tokens" else (2, 0)
    arch = Architecture.stacked(inputs, size, depth, 6, layers, bidirectional, pooling="none", outputs=3)  # type: ignore[arg-type]
    lstm = LSTM(arch, parameters_of(arch, 5), unknown=1)
    sequence = rng.integers(2, 23, 9) if inputs == "tokens" else rng.normal(size=(9, 2))
    example = Example(Ensemble.of(lstm, target_of(("a", "b", "c"), "tagging")), EncodedSequence(sequence)).at_step(3)
    whole = lstm.logits([sequence])
    assert example.step_logits == pytest.approx(whole, abs=1e-6)
    assert example.logits == pytest.approx(whole[3], abs=1e-6)
    for name in ("prefix-difference", "cell-decomposition"):
        [found] = method_named(name).attribute([example])
        assert found.base_value + found.scores.sum() == pytest.approx(example.target_score, abs=1e-5)
        if not bidirectional:
            assert not found.scores[4:].any(), "later steps are not read"
    [found] = IntegratedGradients(points=64).attribute([example])
    assert found.base_value + found.scores.sum() == pytest.approx(example.target_score, abs=1e-3)
    [found] = method_named("leave-one-out").attribute([example])
    changed = np.array(sequence)
    changed[5] = 1 if inputs == "tokens" else 0
    fall = example.score(whole[3]) - example.score(lstm.logits([changed])[3])
    assert found.scores[5] == pytest.approx(fall, abs=1e-5)
    assert example.contributions.sum() == pytest.approx(
        example.target_score - float(example.score(example.prefix_logits[0])), abs=1e-5
    )


def test_the_faithfulness_of_the_methods_is_measured(model: gw.Model) -> None:
    """By replacing the steps of which the label of one step depends most, or all others."""
    assert set(model.metadata.faithfulness) == set(METHODS)
    assert "that the method ranks highest are replaced" in model.card()
    example, method = model.trace(TEXT), method_named("leave-one-out")
    assert example.step == 2
    first = attribute(method, [example])[0].scores.argmax()
    p = example.probabilities.max()
    found = measure(model.explained, [example.sequence], method)
    for which, scores in ((first, found.comprehensiveness), (np.arange(7) != first, found.sufficiency)):
        edited = np.array(example.sequence.steps)
        edited[which] = cast(TextPreprocessor, model.preprocessor).encoding.unknown_step
        after = model.ensemble.target.probabilities(model.explained.logits([EncodedSequence(edited)]))[0]
        assert scores[0, 0] == pytest.approx(p - after[2, model.classes.index("B-X")], abs=1e-6)
    assert found.comprehensiveness.mean() > 0.3


def test_a_model_explains_the_label_of_a_word(model: gw.Model) -> None:
    labels = model.predict([TEXT])[0]
    example = model.trace(TEXT)
    assert (example.step, example.labels) == (labels.index("B-X"), labels)
    found = model.explain(TEXT.split(), step=3)
    assert (found.step, found.prediction, found.target) == (3, "I-X", "I-X")
    assert found.scores[[1, 2, 3]].sum() > np.abs(np.delete(found.scores, [1, 2, 3])).sum(), "the words that decide it"
    assert found.as_dict()["labels"] == labels
    assert model.explain(example.at_step(0)).prediction == "O"
    clamped = model.intervene(example.at_step(3), [Clamp("f", 0.0)])
    assert clamped.after.step == 3
    for step in (-1, 7):
        assert_refused(f"step must be from 0 to 6, not {step}", model.explain, TEXT, step=step)
    assert_refused("step is for a tagger", gw.load().explain, "A film.", step=0)
    alone = replace(model.explained.lstm, unknown=None)
    other = Example(Ensemble.of(alone, model.target), example.sequence)
    assert "replaced by a pad" in method_named("leave-one-out").note(other.ensemble)
    assert len(method_named("leave-one-out").attribute([other])[0].scores) == 7


def test_the_page_shows_the_label_of_each_word(model: gw.Model) -> None:
    parts = ["prediction", "prefix", "attribution", "units", "unit:top", "heatmap:c"]
    found = View(model).explain({"text": TEXT, "include": parts})
    labels = model.predict([TEXT])[0]
    assert found["model"]["per_step"]
    assert (found["prediction"]["step"], found["prediction"]["steps"]) == (2, labels)
    p = model.predict_proba([TEXT])[0][:, model.classes.index("B-X")]
    assert found["prefix"]["probability"][1:] == pytest.approx(p.tolist(), abs=1e-5)
    other = View(model).explain({"text": TEXT, "include": ["prediction"], "step": 3})
    assert (other["prediction"]["label"], other["prediction"]["step"]) == ("I-X", 3)
    with pytest.raises(RequestError, match="step must be from 0 to 6"):
        View(model).explain({"text": TEXT, "step": 9})
