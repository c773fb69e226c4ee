"""Settings that a run would not read are refused; what set fields imply, and batches of short texts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gatewise.errors import InputError
from gatewise.model.model import Model
from gatewise.training import RECIPES, recipe
from gatewise.training.fields import values_of
from gatewise.training.pretrained import Pretrained
from gatewise.training.recipes import check_settings, match_pretrained
from gatewise.training.train import train
from gatewise.training.training_data import prepare
from tests.training.texts import made_reviews

UNLABELLED = {"unlabelled": True}
TEXT, SERIES = {"kind": "text"}, {"kind": "series"}


@pytest.fixture(scope="module")
def classifier() -> Model:
    return train(made_reviews(60, 3), units=4, embedding_dim=4, vocab_size=80, epochs=1)


@pytest.mark.parametrize(
    ("name", "changes", "given", "says"),
    [
        *(
            ("finetune", change, {}, f"unlabelled.{next(iter(change))} is for unlabelled texts")
            for change in (
                {"student_epochs": 3},
                {"lsa_components": 9},
                {"max_pseudo_labels": 9},
                {"teacher": "stacking"},
            )
        ),
        ("finetune", {"ngrams__scaling": "tfidf"}, UNLABELLED, "'tfidf' cannot be added"),
        ("fast", {"ngrams__order": 0, "ngrams__l2": 5.0}, {}, "ngrams.l2 is for the n-gram model"),
        ("tutorial", {"ngrams__scaling": "tfidf"}, {}, "ngrams.scaling is for the n-gram model"),
        ("fast", {"fraction": 0.3}, {"validation": True}, "validation.fraction cuts .* one is given"),
        ("fast", {"split": "row"}, {"validation": True}, "validation.split cuts .* one is given"),
        ("series", {"folds": 3}, {"validation": True}, "validation.folds cuts .* one is given"),
        ("series", {"vocab_size": 9}, SERIES, "text.vocab_size is for texts"),
        ("series", {"ngrams__order": 2}, SERIES, "ngrams.order is for texts"),
        ("series", {"student_epochs": 2}, SERIES, "unlabelled.student_epochs is for texts"),
        ("fast", {"features": 84}, TEXT, "convolutions.features is for series"),
        ("fast", {"folds": 5}, TEXT, "validation.folds is for series"),
        ("fast", {"ngrams__scaling": "tfidf"}, {"task": "regression"}, "'tfidf' is for classification, not for"),
        ("series", {}, TEXT, "recipe series is for series, and these are texts"),
        ("forecast", {}, TEXT, "recipe forecast is for series, and these are texts"),
    ],
)
def test_a_changed_field_that_nothing_reads_is_refused(
    name: str, changes: dict[str, Any], given: dict[str, Any], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        check_settings(recipe(name, **changes), **{"kind": None, **given})


@pytest.mark.parametrize("name", list(RECIPES))
@pytest.mark.parametrize("given", [{}, {"validation": True}, UNLABELLED])
def test_what_a_recipe_says_itself_is_never_refused(name: str, given: dict[str, Any]) -> None:
    """Nor is a field of a recipe of another name, nor a value that turns something off."""
    check_settings(recipe(name), None, **given)
    check_settings(recipe(name, student_epochs=0, lsa_components=0, ngrams__order=0), None, **given)
    check_settings(replace(recipe(name, probe_l2=3.0, ngrams__l2=7.0), name="mine"), None, **given)


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("series", {"fraction": 0.3}, {"validation.folds": 0}),
        ("series", {"fraction": 0.3, "folds": 3}, {"validation.folds": 3}),
        ("series", {"epochs": 3}, {"optimisation.min_steps": 0}),
        ("finetune", {"epochs": 3}, {"optimisation.min_steps": 300}),
        ("fast", {"batch_size": 8}, {"optimisation.min_batch_tokens": 0}),
    ],
)
def test_what_a_set_field_implies(name: str, changes: dict[str, Any], expected: dict[str, Any]) -> None:
    assert expected.items() <= values_of(recipe(name, **changes)).items()


def test_nothing_is_added_to_the_ngrams_of_a_pretrained_classifier(classifier: Model) -> None:
    start = Pretrained.of(classifier)
    with pytest.raises(InputError, match="'tfidf' cannot be added"):
        check_settings(recipe("finetune", ngrams__scaling="tfidf"), "text", "classification", pretrained=start)


def test_a_vocab_size_that_is_set_is_not_replaced(classifier: Model) -> None:
    start = Pretrained.of(classifier)
    there = start.fixed["text.vocab_size"]
    with pytest.raises(InputError, match=f"has text.vocab_size {there}; .* with text.vocab_size 500"):
        match_pretrained(recipe("fast", vocab_size=500), start)
    own = match_pretrained(recipe("fast"), start)
    for one in (recipe("fast"), recipe("fast", vocab_size=there), replace(recipe(own, vocab_size=500), name="mine")):
        assert match_pretrained(one, start).text.vocab_size == there


def test_groups_with_a_validation_set_are_refused_for_texts() -> None:
    with pytest.raises(InputError, match="groups cut a validation set"):
        check_settings(recipe("fast"), "text", groups=True, validation=True)
    check_settings(recipe("fast"), "text", groups=True)
    check_settings(recipe("series"), "series", groups=True, validation=True)


def test_training_checks_its_settings() -> None:
    data, held = made_reviews(60, 3), made_reviews(20, 4)
    with pytest.raises(InputError, match=r"validation\.split cuts"):
        train(data, validation=held, split="row")
    labels = [data.classes[k] for k in data.labels]
    with pytest.raises(InputError, match="groups cut"):
        train(data.inputs, labels, groups=[k // 2 for k in range(60)], validation=held)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"min_batch_tokens": 0}, 4),
        ({"min_batch_tokens": 400}, 6),  # as many as leave 30 steps
        ({"min_batch_tokens": 0, "batch_size": 50}, 50),
    ],
)
def test_batch_size(changes: dict[str, int], expected: int) -> None:
    start = recipe("fast", vocab_size=90, units=4, embedding_dim=4, batch_size=4)
    assert start.optimisation.min_batch_tokens == 0
    prepared = prepare(made_reviews(200, 3), recipe("fast", **{"batch_size": 4, **changes}), 1)
    assert prepared.recipe.optimisation.batch_size == expected
