"""Recipes: names, checks and texts of their fields, what set fields imply, and settings that a run would not read."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.model.model import Model
from gatewise.training import RECIPES, Recipe, pretrain_recipe, recipe
from gatewise.training.fields import checked_seed, field_named, fields_of, meanings, values_of
from gatewise.training.pretrain_recipes import PretrainRecipe
from gatewise.training.pretrained import Pretrained
from gatewise.training.recipes import read_config
from gatewise.training.run_recipe import check_settings, match_pretrained
from gatewise.training.train import train
from gatewise.training.training_data import prepare
from tests.refusals import assert_refused
from tests.training.texts import made_reviews

UNLABELLED = {"unlabelled": True}
TEXT, SERIES = {"kind": "text"}, {"kind": "series"}


@pytest.fixture(scope="module")
def classifier() -> Model:
    return train(made_reviews(60, 3), units=4, embedding_dim=4, vocab_size=80, epochs=1)


@pytest.mark.parametrize(
    ("name", "changes", "given", "says"),
    [
        ("finetune", {"student_epochs": 3}, {}, "unlabelled.student_epochs is for unlabelled texts"),
        ("finetune", {"lsa_components": 9}, {}, "unlabelled.lsa_components is for unlabelled texts"),
        ("finetune", {"teacher": "stacking"}, {}, "unlabelled.teacher is for unlabelled texts"),
        ("finetune", {"ngrams__scaling": "tfidf"}, UNLABELLED, "'tfidf' cannot be added"),
        ("fast", {"ngrams__order": 0, "ngrams__l2": 5.0}, {}, "ngrams.l2 is for the n-gram model"),
        ("tutorial", {"ngrams__scaling": "tfidf"}, {}, "ngrams.scaling is for the n-gram model"),
        ("fast", {"fraction": 0.3}, {"validation": True}, "validation.fraction has no effect with validation"),
        ("fast", {"split": "row"}, {"validation": True}, "validation.split has no effect with validation"),
        ("series", {"folds": 3}, {"validation": True}, "validation.folds has no effect with validation"),
        ("series", {"vocab_size": 9}, SERIES, "text.vocab_size is for texts"),
        ("series", {"ngrams__order": 2}, SERIES, "ngrams.order is for texts"),
        ("series", {"student_epochs": 2}, SERIES, "unlabelled.student_epochs is for texts"),
        ("fast", {"features": 84}, TEXT, "convolutions.features is for series"),
        ("fast", {"folds": 5}, TEXT, "validation.folds is for series"),
        ("fast", {"ngrams__scaling": "tfidf"}, {"task": "regression"}, "'tfidf' is for classification, not for"),
        ("series", {}, TEXT, "recipe series is for series, and these are texts"),
        ("forecast", {}, TEXT, "recipe forecast is for series, and these are texts"),
        ("fast", {}, {**TEXT, "groups": True, "validation": True}, "groups has no effect with validation"),
        ("fast", {"split": "row"}, {**TEXT, "groups": True}, "groups are for a split by group, and this one is by row"),
        ("tutorial", {}, {**TEXT, "groups": True}, "groups are for a split by group, and this one is by row"),
        ("fast", {"split": "time"}, {**TEXT, "groups": True}, "groups are for a split by group, and this one is by ti"),
    ],
)
def test_a_changed_field_that_nothing_reads_is_refused(
    name: str, changes: dict[str, Any], given: dict[str, Any], says: str
) -> None:
    assert_refused(says, check_settings, recipe(name, **changes), **{"kind": None, **given})


@pytest.mark.parametrize("name", list(RECIPES))
@pytest.mark.parametrize("given", [{}, {"validation": True}])
def test_what_a_recipe_says_itself_is_never_refused(name: str, given: dict[str, Any]) -> None:
    """Nor is a field of a recipe of another name, nor a value that turns something off."""
    check_settings(recipe(name), None, **given, unlabelled=recipe(name).uses_unlabelled)
    check_settings(recipe(name, student_epochs=0, lsa_components=0, ngrams__order=0), None, **given)
    check_settings(replace(recipe(name, probe_l2=3.0, ngrams__l2=7.0), name="mine"), None, **given)
    check_settings(recipe("series"), "series", groups=True, **given)


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


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("epochs", 2.5, "optimisation.epochs must be a whole number, not 2.5"),
        ("epochs", True, "optimisation.epochs must be a whole number, not True"),
        ("layers", -1, "lstm.layers must be at least 1, not -1"),
        ("learning_rate", math.nan, "optimisation.learning_rate must be above 0, not nan"),
        ("learning_rate", math.inf, "optimisation.learning_rate must be finite, not inf"),
        ("learning_rate", False, "optimisation.learning_rate must be a number, not False"),
        ("dropout_output", -0.1, "lstm.dropout_output must be from 0 to below 1, not -0.1"),
        ("fraction", 0, "validation.fraction must be between 0 and 1, not 0.0"),
        ("ngrams__order", 4, "ngrams.order must be from 0 to 3, not 4"),
        ("bidirectional", 1, "lstm.bidirectional must be true or false, not 1"),
        ("pooling", "men", r"lstm.pooling must be 'last', .* or 'none', not 'men'; did you mean 'mean'"),
        ("precision", "fp16", "optimisation.precision must be 'float32', 'bf16' or 'auto', not 'fp16'; did you mean"),
        ("folds", 1, "a cross-validation needs at least 2 folds"),
    ],
)
def test_a_wrong_value_is_one_error(field: str, value: Any, message: str) -> None:
    assert_refused(f"^recipe: {message}", recipe, "fast", **{field: value})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pretrain_recipe("small", units=2.5), "pretraining: units must be a whole number, not 2.5"),
        (lambda: pretrain_recipe("small", vocab_size=2), "pretraining: vocab_size must be at least 3, not 2"),
        (lambda: pretrain_recipe("small", epochs=0), "pretraining needs either minutes or epochs"),
        (lambda: recipe("fast", **{"lstm.unit": 3}), "a recipe has no 'lstm.unit'; did you mean 'lstm.units'?"),
        (lambda: recipe("fast", ngram_order=3), "a recipe has no 'ngram_order'; did you mean 'ngrams__order'?"),
        (lambda: recipe("fast", colour=3), "a recipe has no 'colour'; gatewise info --recipe fast lists its fields"),
        (lambda: recipe("tutorail"), "no recipe is called 'tutorail'; there are finetune, best, few-shot"),
        (lambda: recipe(3), "no recipe is called '3'; there are"),  # type: ignore[arg-type]
        (lambda: field_named(Recipe, "epochs").parsed("1e3"), "optimisation.epochs must be a whole number, not"),
    ],
)
def test_an_unknown_name_or_value_is_one_error(call: Callable[[], object], message: str) -> None:
    assert_refused("^" + re.escape(message), call)


@pytest.mark.parametrize(
    ("field", "value", "plain"),
    [
        ("units", np.int64(8), 8),
        ("epochs", np.uint8(3), 3),
        ("learning_rate", np.float32(0.25), 0.25),
        ("learning_rate", 1, 1.0),
        ("bidirectional", np.False_, False),
        ("pooling", np.str_("max"), "max"),
    ],
)
def test_numpy_values_are_stored_as_plain_ones(field: str, value: Any, plain: Any) -> None:
    found = values_of(recipe("fast", **{field: value}))[field_named(Recipe, field).name]
    assert (found, type(found)) == (plain, type(plain))


def test_every_field_is_described_and_read_back_from_its_text() -> None:
    known = fields_of(Recipe)
    assert len(known) < 42
    assert [name for name, field in known.items() if field.type in (int, float) and not field.range] == []
    assert list(meanings(Recipe)) == ["name", *known]
    assert meanings(Recipe)["lstm.units"] == "Hidden units H of each LSTM. A pretrained model's replaces it."
    assert list(meanings(PretrainRecipe)) == ["size", *fields_of(PretrainRecipe)]
    for one in RECIPES.values():
        for name, value in values_of(one).items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            assert known[name].parsed(text) == value


@pytest.mark.parametrize("name", ["units", "lstm.units", "lstm__units"])
def test_a_field_has_its_path_and_its_bare_name(name: str) -> None:
    assert field_named(Recipe, name).name == "lstm.units"
    assert recipe("fast", **{name: 9}) == recipe(RECIPES["fast"], units=9)
    with pytest.raises(InputError, match=r"lstm\.units is given twice"):
        recipe("fast", **{name: 9, "lstm.units" if name == "units" else "units": 9})


def test_no_two_groups_have_one_field_name() -> None:
    assert len({path.rpartition(".")[2] for path in fields_of(Recipe)}) == len(fields_of(Recipe))


@pytest.mark.parametrize(
    "content", ["epochs = 3\nlearning_rate = 1\n", "[optimisation]\nepochs = 3\nlearning_rate = 1\n"]
)
def test_a_configuration_file(tmp_path: Path, content: str) -> None:
    file = tmp_path / "slow.toml"
    file.write_text('recipe = "tutorial"  # the base\n' + content, encoding="utf-8")
    options, changes = read_config(file)
    assert (options, changes) == ({"recipe": "tutorial"}, {"optimisation.epochs": 3, "optimisation.learning_rate": 1.0})
    assert type(changes["optimisation.learning_rate"]) is float


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("epoch = 3", "c.toml': a recipe has no 'epoch'; did you mean 'epochs'?"),
        ("epochs = 2.5", "c.toml': optimisation.epochs must be a whole number, not 2.5"),
        ("epochs = 2\n[optimisation]\nepochs = 2", "c.toml': optimisation.epochs is given twice"),
        ('recipe = "tutorail"', "no recipe is called 'tutorail'; there are finetune, best, few-shot"),
        ('recipe = ["fast"]', "c.toml': no recipe is called"),
        ("recipe = 3", "c.toml': no recipe is called '3'; there are"),
        ("[lstm.units]\nsize = 3", "c.toml': lstm.units must be a whole number, not {'size': 3}"),
        ("lstm = 3", "c.toml': a recipe has no 'lstm'"),
        ("epochs = 3\nunits = = 4", "c.toml': not valid TOML: Invalid value (at line 2"),
        ("\udcff", "c.toml': not valid TOML: "),
        (None, "c.toml': cannot be read: No such file"),
    ],
)
def test_an_error_in_a_configuration_file_names_file_and_key(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "c.toml").write_text(content, encoding="utf-8", errors="surrogateescape")
    assert_refused(re.escape(message), read_config, tmp_path / "c.toml")


def test_seeds() -> None:
    assert (checked_seed(np.int64(7), False), type(checked_seed(np.int64(7), False))) == (7, int)
    drawn = {checked_seed(None, False) for _ in range(4)}
    assert len(drawn) > 1
    for wrong in (-1, True, 2.0, "3", 2**63):
        assert_refused(r"seed must be (from 0 to 2\^63 - 1, or None|a whole number)", checked_seed, wrong, False)
    assert_refused("pass the seed that the run began with", checked_seed, None, True)
