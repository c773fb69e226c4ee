"""Training, prediction and evaluation of a label per step, for texts and series."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import InputError
from gatewise.metrics import TaggingEvaluation
from gatewise.model.series_preprocessor import SeriesPreprocessor
from gatewise.network.architecture import Architecture
from gatewise.scorer import Scorer
from tests.explain.random_net import parameters_of
from tests.tagging.conftest import Sentences, made


def test_it_learns_and_is_measured(model: gw.Model) -> None:
    words, labels = made(120, 2)
    found = model.evaluate(words, labels)
    assert isinstance(found, TaggingEvaluation)
    assert found.scores["entity F1"] > 0.95
    assert (found.n, found.sequences) == (sum(map(len, words)), 120)
    assert model.score(words, labels) == found.accuracy > 0.97
    assert model.task == "tagging"
    assert model.metadata.calibration is not None
    assert [one.label.split()[0] in model.classes for one in model.metadata.examples] == [True, True]
    assert "text tagging: B-X, I-X, O" in repr(model)
    card = model.card()
    assert "classifies each word of texts into 3 classes" in card
    assert "| step accuracy | entity F1 | macro F1 |" in card
    report = model.evaluation_report(gw.data.Labelled.of(words, labels, task="tagging")).as_dict()
    assert report["task"] == "tagging"
    assert sum(one["n"] for one in report["by_length"]["ranges"]) == 120
    for mistake in report["mistakes"]:
        assert f"[{words[mistake['row'] - 1][mistake['step'] - 1]}]" in mistake["excerpt"]


def test_predictions_have_one_entry_per_word(model: gw.Model, folder: Path, sentences: Sentences) -> None:
    words = [*sentences[0][:3], ["the", "unheard", "of"]]
    found = model.predict(words)
    texts = [" ".join(one) for one in words]
    assert [list(row) for row in model.predict(texts)] == found.tolist()
    assert model.predict(texts[0]).tolist() == [found[0]]
    assert [len(row) for row in found] == [len(one) for one in words]
    for n, p in enumerate(model.predict_proba(words)):
        assert p.shape == (len(words[n]), 3)
        assert p.sum(axis=1) == pytest.approx(1)
        assert [model.classes[k] for k in p.argmax(axis=1)] == found[n]
    one = model.predict_proba(words[1:2])[0]
    assert model.predict_proba(words)[1] == pytest.approx(one, abs=1e-6), "the other rows of a batch change nothing"
    assert [d.shape for d in model.decision_function(words)] == [(len(one), 3) for one in words]
    scored = Scorer(folder, text="text")({"text": texts})
    assert scored["label"].tolist() == found.tolist()
    assert [len(row) for row in scored["probability"]] == [len(one) for one in words]
    assert model.predict([]).tolist() == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recipe": "fast"}, "recipe fast: lstm.pooling is mean\\+max; a label per step needs pooling 'none'"),
        ({"tokenization": "words"}, "needs max_length 0, no other members"),
        ({"ngrams__order": 2}, "needs max_length 0, no other members"),
        ({"max_length": 5}, "needs max_length 0, no other members"),
        ({"unlabelled": ["a"]}, "does not use unlabelled texts"),
        ({"pretrained": "bundled"}, "cannot start a network of recipe tagging"),
    ],
)
def test_what_a_tagger_cannot_have_is_refused(sentences: Sentences, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        gw.train(*sentences, task="tagging", verbose=0, **options)


def test_other_tasks_need_pooling(sentences: Sentences) -> None:
    with pytest.raises(InputError, match="only the task tagging, a label per step, has pooling 'none'"):
        gw.train([" ".join(one) for one in sentences[0]], ["a", "b"] * 130, recipe="tagging", verbose=0)


def test_data_of_another_kind_is_refused(model: gw.Model, sentences: Sentences) -> None:
    with pytest.raises(InputError, match="trained for tagging, and the labels of the data are for classification"):
        model.evaluate(gw.data.Labelled.of(["the cat", "a dog"], ["B-X", "O"]))
    with pytest.raises(InputError, match="row 0 has 1 label for 2 words"):
        model.evaluate([["the", "cat"]], [["B-X"]])
    with pytest.raises(InputError, match="no class 'B-Y'"):
        model.evaluate([["the", "cat"]], [["O", "B-Y"]])
    with pytest.raises(InputError, match="units are for classification; the model's task is tagging"):
        model.with_units(gw.data.Labelled.of(*sentences, task="tagging"))


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
    assert model.predict(series[0]).tolist() == gw.load(tmp_path / "model").predict([series[0]]).tolist()
    again = gw.train(series, labels, task="tagging", pretrained=model, verbose=0, epochs=1, min_steps=0)
    assert again.architecture.pooling == "none"


def test_numbers_per_step_are_predicted() -> None:
    arch = Architecture.stacked("channels", 1, 0, 5, pooling="none", outputs=2)
    scaling = SeriesPreprocessor((0.5,), (2.0,))
    model = gw.Model.of_network(arch, parameters_of(arch, 1), scaling, ("low", "high"), task="regression")
    found = model.predict([np.zeros((3, 1)), np.ones((5, 1))])
    assert [np.shape(one) for one in found] == [(3, 2), (5, 2)]
    assert model.task == "regression"


def test_a_tagger_of_one_direction_is_streamed_and_exported(sentences: Sentences, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"bidirectional": False, "units": 6, "embedding_dim": 6, "min_steps": 20, "verbose": 0}
    model = gw.train(*sentences, task="tagging", **changes)
    text = " ".join(sentences[0][0])
    stream, labels, logits = model.stream(), model.predict(text)[0], model.logits(text)[0]
    for step, word in enumerate(sentences[0][0]):
        found = stream.push(word)
        assert found.label == labels[step]
        assert found.logits == pytest.approx(logits[step], abs=1e-5)
    pytest.importorskip("onnxruntime")
    assert model.to_onnx(tmp_path / "tagger.onnx").max_error < 1e-5
