"""Settings that a run would not read are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gatewise.errors import InputError
from gatewise.model.model import Model
from gatewise.training import RECIPES, recipe, train
from gatewise.training.pretrained import Pretrained
from gatewise.training.recipes import check_groups, check_settings, match_pretrained
from tests.training.texts import made_reviews

UNLABELLED = {"unlabelled": True}


@pytest.fixture(scope="module")
def classifier() -> Model:
    return train(made_reviews(60, 3), units=4, embedding_dim=4, vocab_size=80, epochs=1)


@pytest.mark.parametrize(
    ("name", "changes", "given", "says"),
    [
        ("fast", {"probe_l2": 2.0}, {}, "probe_l2 .* there is none"),
        ("finetune", {"student_epochs": 3}, {}, "student_epochs is for unlabelled texts"),
        ("finetune", {"student_weight": 0.5}, {}, "student_weight is for unlabelled texts"),
        ("finetune", {"lsa_components": 9}, {}, "lsa_components is for unlabelled texts"),
        ("finetune", {"max_pseudo_labels": 9}, {}, "max_pseudo_labels is for unlabelled texts"),
        ("finetune", {"teacher": "stacking"}, {}, "teacher is for unlabelled texts"),
        ("best", {"teacher": "stacking"}, UNLABELLED, "teacher is for a student, and student_epochs is 0"),
        ("best", {"max_pseudo_labels": 9}, UNLABELLED, "max_pseudo_labels is for a student"),
        ("finetune", {"ngram_order": 0, "lsa_components": 9}, UNLABELLED, "lsa_components needs an n-gram model"),
        ("finetune", {"ngram_order": 0, "teacher": "stacking"}, UNLABELLED, "teacher 'stacking' needs n-grams and lsa"),
        ("finetune", {"ngram_scaling": "tfidf"}, UNLABELLED, "'tfidf' is for training without unlabelled texts"),
        ("fast", {"ngram_order": 0, "ngram_min_df": 5}, {}, "ngram_min_df is for the n-gram model"),
        ("fast", {"ngram_order": 0, "ngram_l2": 5.0}, {}, "ngram_l2 is for the n-gram model"),
        ("fast", {"ngram_order": 0, "ngram_scaling": "nb"}, {}, "ngram_scaling is for the n-gram model"),
        ("fast", {"ngram_order": 0, "max_ngrams": 5}, {}, "max_ngrams is for the n-gram model"),
        ("tutorial", {"max_ngrams": 5}, {}, "max_ngrams is for the n-gram model"),
        ("series", {"truncation": "middle"}, {}, "truncation is for longer sequences than max_length"),
        ("fast", {"dropout_layer": 0.3}, {}, "dropout_layer is between layers, and there is one"),
        ("tutorial", {"direction_loss": 0.5}, {}, "direction_loss is for two directions"),
        ("tutorial", {"tokenization": "auto"}, {}, "tokenization is for encoding 'tokens'"),
        ("fast", {"validation_fraction": 0.3}, {"validation": True}, "validation_fraction cuts .* are given"),
        ("fast", {"validation_by": "row"}, {"validation": True}, r"validation_by \(split\) cuts .* are given"),
        ("series", {"folds": 3}, {"validation": True}, "folds cuts .* are given"),
    ],
)
def test_a_changed_field_that_nothing_reads_is_refused(
    name: str, changes: dict[str, Any], given: dict[str, Any], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        check_settings(recipe(name, **changes), None, **given)


@pytest.mark.parametrize("name", list(RECIPES))
@pytest.mark.parametrize("given", [{}, {"validation": True}, UNLABELLED])
def test_what_a_recipe_says_itself_is_never_refused(name: str, given: dict[str, Any]) -> None:
    """Nor is a field of a recipe of another name, nor a value that turns something off."""
    check_settings(recipe(name), None, **given)
    check_settings(recipe(name, student_epochs=0, lsa_components=0, ngram_order=0), None, **given)
    check_settings(replace(RECIPES[name], name="mine", probe_l2=3.0, ngram_l2=7.0), None, **given)


def test_what_a_pretrained_classifier_replaces(classifier: Model) -> None:
    """The dense layer of a classifier is mapped to the new classes; there is no probe."""
    start = Pretrained.of(classifier)
    with pytest.raises(InputError, match="probe_l2 is for language models"):
        check_settings(recipe("finetune", probe_l2=2.0), "text", "classification", pretrained=start)
    check_settings(recipe("few-shot"), "text", "classification", pretrained=start)
    with pytest.raises(InputError, match="'tfidf' cannot be added to the n-gram model of the pretrained classifier"):
        check_settings(recipe("finetune", ngram_scaling="tfidf"), "text", "classification", pretrained=start)
    check_settings(recipe("finetune", probe_l2=2.0), "text", "regression", pretrained=start)


def test_a_vocab_size_that_is_set_is_not_replaced(classifier: Model) -> None:
    start = Pretrained.of(classifier)
    there = start.fixed["vocab_size"]
    with pytest.raises(InputError, match=f"the pretrained model has vocab_size {there}; .* with vocab_size 500"):
        match_pretrained(recipe("fast", vocab_size=500), start)
    assert match_pretrained(recipe("fast"), start).vocab_size == there
    assert match_pretrained(recipe("fast", vocab_size=there), start).vocab_size == there
    own = match_pretrained(recipe("fast"), start)
    assert match_pretrained(replace(own, name="mine", vocab_size=500), start).vocab_size == there


def test_groups_with_validation_data_are_refused_for_texts() -> None:
    with pytest.raises(InputError, match="groups cut the validation part"):
        check_groups(True, True, "text", recipe("fast"))
    check_groups(True, False, "text", recipe("fast"))
    check_groups(False, True, "text", recipe("fast"))
    check_groups(True, True, "series", recipe("fast"))


def test_training_checks_its_settings() -> None:
    data, held = made_reviews(60, 3), made_reviews(20, 4)
    with pytest.raises(InputError, match=r"validation_by \(split\) cuts"):
        train(data, validation=held, split="row")
    with pytest.raises(InputError, match="probe_l2"):
        train(data, probe_l2=3.0)
    labels = [data.classes[k] for k in data.labels]
    with pytest.raises(InputError, match="groups cut"):
        train(data.inputs, labels, groups=[k // 2 for k in range(60)], validation=held)
