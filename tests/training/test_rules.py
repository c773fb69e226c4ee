"""Training with rules: their texts are trained on by every member, and validate nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import TrainingError
from gatewise.training import Interrupted, recipe
from gatewise.training.dense_solver import fit_standardised_glm
from gatewise.training.ngram_comparison import choose_tokenization, compare
from gatewise.training.train import train
from gatewise.training.training_data import prepare
from gatewise.types import Array
from tests.refusals import assert_refused
from tests.training.callbacks import Recorder, run_of
from tests.training.texts import RULES, language_model, made_ratings, made_reviews, rated_texts

SMALL: dict[str, Any] = {"units": 6, "embedding_dim": 5, "epochs": 2, "batch_size": 16, "verbose": 0}
NEW = made_reviews(300, 7)


def test_few_labels_and_rules_learn_more_than_few_labels(tmp_path: Path) -> None:
    few, recorder = made_reviews(12, 3), Recorder()
    alone = train(few, **SMALL)
    model = train(few, unlabelled=rated_texts(400, 5), rules=RULES, callbacks=recorder, out=tmp_path / "m", **SMALL)
    assert model.evaluate(NEW).accuracy > max(0.9, alone.evaluate(NEW).accuracy + 0.1)
    assert model.metadata.recipe == "fast"
    assert model.metadata.n_train + model.metadata.n_validation == 12, "of the labelled rows"
    assert recorder.run is not None
    labelled = recorder.run.train - model.metadata.n_train
    assert 250 < labelled < 350
    assert f"rules label {labelled} of 400 texts, with 0 conflicts" in model.metadata.unlabelled
    shown = [str(report) for report in model.metadata.rules]
    assert shown[0].startswith(r"\b[89]/10\b -> positive: coverage 0.0%; coverage of the unlabelled texts ")
    assert {model.metadata.unlabelled, *shown} <= set(recorder.messages)
    assert gw.load(tmp_path / "m").metadata.rules == model.metadata.rules
    assert "| rule 2 | \\b&#91;12&#93;/10\\b -&gt; negative: coverage" in model.card()


def test_without_any_label() -> None:
    data = gw.data.label_by_rules(rated_texts(400, 5), RULES)
    assert not any("/10" in text for text in data.inputs)
    model = train(data, **SMALL)
    assert model.classes == ("negative", "positive")
    assert model.evaluate(NEW).accuracy > 0.9


@pytest.mark.parametrize("tokenization", ["keras", "words", "subwords"])
def test_rule_labelled_rows_are_fitted_and_never_held_out(tokenization: str) -> None:
    few, more = made_reviews(40, 3), gw.data.label_by_rules(["seldom 9/10", "rarely 1/10", "seldom 8/10"], RULES)
    chosen = recipe("fast", tokenization=tokenization, batch_size=2)
    for validation in (None, made_reviews(20, 4)):
        data = prepare(few, chosen, 0, validation=validation, rule_labelled=more)
        n = len(data.data)
        assert data.epoch_rows[-3:].tolist() == data.fitted_rows[-3:].tolist() == [n, n + 1, n + 2]
        assert max(data.train.max(), data.validation.max()) < n
        assert data.labels[n:].tolist() == [1, 0, 1]
        assert data.preprocessor.unknown not in data.full_sequences[n].steps, "the vocabulary has their words"
        found = compare(data)
        assert found is not None
        assert np.isnan(found.held_out[-3:]).all()
        assert np.isfinite(found.held_out[np.searchsorted(found.rows, data.validation)]).all()
        plain = prepare(few, chosen, 0, validation=validation)
        assert (plain.fingerprint, plain.validation.tolist()) == (data.fingerprint, data.validation.tolist())
        assert plain.identity != data.identity


def test_subwords_are_learnt_from_rule_labelled_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatewise.training.ngram_comparison.LEAST_ROWS", 10)
    monkeypatch.setattr("gatewise.training.ngram_comparison.LEAST_UNKNOWN", 0.0)
    few, chosen = made_reviews(40, 3), recipe("fast", batch_size=8)
    more, recorder = gw.data.label_by_rules(rated_texts(60, 5), RULES), Recorder()
    data = prepare(few, chosen, 0, rule_labelled=more)
    found = choose_tokenization(data, chosen, run_of(recorder))
    assert len(found.sequences) == 40 + len(more)
    assert "with subwords" in recorder.messages[0]


WITH: dict[str, dict[str, Any]] = {
    "weights": {"class_weight": "balanced"},
    "groups": {"groups": np.arange(60) // 4},
    "validation": {"validation": made_reviews(30, 8)},
    "lstm": {"recipe": "lstm", "epochs": 4},
    "frozen": {"recipe": "frozen", "pretrained": True},
    "frozen, no folds": {"recipe": "frozen", "pretrained": True, "folds": 0},
    "few-shot": {"pretrained": True, "lsa_components": 6, "learning_rate": 0.02, "probe_l2": 5.0},
    "finetune": {
        "recipe": "finetune",
        "pretrained": True,
        "lsa_components": 6,
        "min_steps": 0,
        "class_weight": "balanced",
    },
}


@pytest.mark.parametrize("name", WITH)
def test_with_other_options(name: str) -> None:
    given, recorder = dict(WITH[name]), Recorder()
    if given.get("pretrained"):
        given["pretrained"] = language_model()
    elif name != "lstm":
        given["ngrams__order"] = 2
    if not given.get("recipe", "").startswith("frozen"):
        given = {"epochs": 1, "batch_size": 16, **given}
    model = train(made_reviews(60, 3), unlabelled=rated_texts(300, 5), rules=RULES, callbacks=recorder, **given)
    assert model.evaluate(NEW).accuracy > 0.85
    assert len(model.metadata.rules) == 2
    if name == "few-shot":
        [stacked] = [line for line in recorder.messages if line.startswith("stacking on ")]
        fitted, texts = (int(stacked.split()[place]) for place in (2, 5))
        assert 250 < fitted < texts == 354


def test_each_cross_validated_fit_has_the_rule_labelled_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    few, more, sizes = made_reviews(20, 3), gw.data.label_by_rules(rated_texts(300, 5), RULES), []
    with_rules, alone = (compare(prepare(few, recipe("fast"), 0, rule_labelled=one)) for one in (more, None))
    assert with_rules is not None
    assert alone is not None
    assert with_rules.loss < alone.loss - 0.1

    def recorded(x: Array, *rest: Any, **options: Any) -> Any:
        sizes.append(len(x))
        return fit_standardised_glm(x, *rest, **options)

    monkeypatch.setattr("gatewise.training.unlabelled.fit_standardised_glm", recorded)
    train(few, unlabelled=rated_texts(300, 5), rules=RULES, pretrained=language_model(), lsa_components=6)
    assert len(sizes) == 7, "the LSA classifier, five folds and all rows"
    assert min(sizes) > len(more) > 200


def test_all_unlabelled_texts_may_have_a_rule(tmp_path: Path) -> None:
    """Then nothing is left for a student; another outcome of the rules is another run."""
    texts = [text for text in rated_texts(100, 5) if "/10" in text]
    options: dict[str, Any] = {"pretrained": language_model(), "unlabelled": texts, "recipe": "finetune", "epochs": 1}
    recorder = Recorder()
    train(made_reviews(60, 3), rules=RULES, callbacks=recorder, min_steps=0, **options)
    assert not any("teacher" in line for line in recorder.messages)
    with pytest.raises(Interrupted):
        train(made_reviews(60, 3), rules=RULES, out=tmp_path / "m", callbacks=Recorder(2), min_steps=0, **options)
    with pytest.raises(TrainingError, match="another run: it differs in data"):
        train(made_reviews(60, 3), rules=RULES[:1], out=tmp_path / "m", resume=True, min_steps=0, **options)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"unlabelled": None}, "rules label unlabelled texts, and there are none"),
        ({"rules": [RULES[0], ("bad", "odd")]}, "rule 2: there is no class 'odd'; the classes are negative, positive"),
        ({"rules": [lambda text: "odd"]}, "rule 1: there is no class 'odd'; the classes are negative, positive"),
        ({"rules": [("unheard", "negative")]}, "rules label 0 of 20 texts, with 0 conflicts: there is nothing to"),
        ({"data": made_ratings(30, 3)}, "only classifiers of texts learn from unlabelled texts, not regression"),
        ({"data": np.ones((30, 4)), "labels": ["a", "b"] * 15}, "only classifiers of texts .*, not series"),
    ],
)
def test_refused_before_training(given: dict[str, Any], message: str) -> None:
    options = {"data": made_reviews(30, 3), "unlabelled": rated_texts(20, 5), "rules": RULES, **SMALL, **given}
    assert_refused(message, train, **options)
