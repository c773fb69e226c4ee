"""Recipe fields: their names, their checks, and their values as text and as TOML."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.training import RECIPES, Recipe, pretrain_recipe, recipe
from gatewise.training.fields import Count, field_named, fields_of, meanings, values_of
from gatewise.training.pretrain import PretrainRecipe
from gatewise.training.recipes import read_config
from gatewise.training.run import checked_seed


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("epochs", 2.5, "optimisation.epochs must be a whole number, not 2.5"),
        ("epochs", True, "optimisation.epochs must be a whole number, not True"),
        ("epochs", None, "optimisation.epochs must be a whole number, not None"),
        ("epochs", 0, "optimisation.epochs must be at least 1, not 0"),
        ("units", "64", "lstm.units must be a whole number, not '64'"),
        ("layers", -1, "lstm.layers must be at least 1, not -1"),
        ("learning_rate", math.nan, "optimisation.learning_rate must be above 0, not nan"),
        ("learning_rate", math.inf, "optimisation.learning_rate must be finite, not inf"),
        ("learning_rate", False, "optimisation.learning_rate must be a number, not False"),
        ("learning_rate", 1j, "optimisation.learning_rate must be a number, not 1j"),
        ("dropout_output", -0.1, "lstm.dropout_output must be from 0 to below 1, not -0.1"),
        ("dropout_output", 1, "lstm.dropout_output must be from 0 to below 1, not 1.0"),
        ("fraction", 0, "validation.fraction must be between 0 and 1, not 0.0"),
        ("ngrams__order", 4, "ngrams.order must be from 0 to 3, not 4"),
        ("bidirectional", 1, "lstm.bidirectional must be true or false, not 1"),
        ("pooling", "men", r"lstm.pooling must be 'last', .* or 'mean\+max', not 'men'; did you mean 'mean'"),
        ("gate", 3, "lstm.gate must be 'sigmoid' or 'binary', not 3"),
        ("precision", "fp16", "optimisation.precision must be 'float32', 'bf16' or 'auto', not 'fp16'; did you mean"),
        ("teacher", "reader", "unlabelled.teacher must be 'network' or 'stacking', not 'reader'"),
        ("folds", 1, "a cross-validation needs at least 2 folds"),
    ],
)
def test_a_wrong_value_is_one_error(field: str, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^recipe: {message}"):
        recipe("fast", **{field: value})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"units": 2.5}, "pretraining: units must be a whole number, not 2.5"),
        ({"units": -1}, "pretraining: units must be at least 0, not -1"),
        ({"vocab_size": 2}, "pretraining: vocab_size must be at least 3, not 2"),
        ({"epochs": math.nan}, "pretraining: epochs must be at least 0, not nan"),
        ({"epochs": 0}, "pretraining needs either minutes or epochs"),
        ({"precision": "bf61"}, "pretraining: precision must be 'float32', 'bf16' or 'auto', not 'bf61'; did you mean"),
    ],
)
def test_a_wrong_value_of_a_pretraining_recipe_is_one_error(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        pretrain_recipe("small", **changes)
    assert str(caught.value).startswith(message)


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
    assert len(known) < 40
    assert [name for name, field in known.items() if field.type in (int, float) and not field.range] == []
    assert list(meanings(Recipe)) == ["name", *known]
    assert meanings(Recipe)["lstm.units"] == "Hidden units H of each LSTM. A pretrained model's replaces it."
    assert list(meanings(PretrainRecipe)) == ["size", *fields_of(PretrainRecipe)]
    for one in RECIPES.values():
        for name, value in values_of(one).items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            assert known[name].parsed(text) == value


@pytest.mark.parametrize("name", ["units", "lstm.units", "lstm__units"])
def test_a_field_has_its_path_and_where_it_is_unique_its_bare_name(name: str) -> None:
    assert field_named(Recipe, name).name == "lstm.units"
    assert recipe("fast", **{name: 9}) == recipe(RECIPES["fast"], units=9)
    with pytest.raises(InputError, match=r"lstm\.units is given twice"):
        recipe("fast", **{name: 9, "lstm.units" if name == "units" else "units": 9})


def test_an_ambiguous_name_is_refused_with_its_groups() -> None:
    from dataclasses import make_dataclass

    group = make_dataclass("Group", [("size", Count, 1)], frozen=True)
    both = make_dataclass("Both", [("first", group, group()), ("second", group, group())], frozen=True)
    assert field_named(both, "second.size").name == "second.size"
    with pytest.raises(InputError, match=r"a recipe has more than one 'size': first\.size, second\.size"):
        field_named(both, "size")


@pytest.mark.parametrize("text", ["2.5", "two", "", "1e3"])
def test_a_text_that_is_no_whole_number(text: str) -> None:
    with pytest.raises(InputError, match=f"optimisation.epochs must be a whole number, not '{text}'"):
        field_named(Recipe, "epochs").parsed(text)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("epoch", "a recipe has no 'epoch'; did you mean 'epochs'?"),
        ("lstm.unit", "a recipe has no 'lstm.unit'; did you mean 'lstm.units'?"),
        ("ngram_order", "a recipe has no 'ngram_order'; did you mean 'ngrams.order'?"),
        ("name", "a recipe has no 'name'"),
        ("colour", "a recipe has no 'colour'; gatewise info --recipe fast lists its fields"),
    ],
)
def test_an_unknown_field_names_the_nearest(name: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        recipe("fast", **{name: 3})
    assert str(caught.value).startswith(message)


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no recipe is called 'tutorail'; there are .*; did you mean 'tutorial'"):
        recipe("tutorail")


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
        ('recipe = "fats"', "c.toml': no recipe is called 'fats'; there are"),
        ('recipe = ["fast"]', "c.toml': no recipe is called"),
        ("recipe = 3", "c.toml': no recipe is called '3'; there are"),
        ("[training]\nepochs = 3", "c.toml': a recipe has no 'training.epochs'"),
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
    with pytest.raises(InputError) as caught:
        read_config(tmp_path / "c.toml")
    assert message in str(caught.value)


def test_seeds() -> None:
    assert (checked_seed(np.int64(7), False), type(checked_seed(np.int64(7), False))) == (7, int)
    drawn = {checked_seed(None, False) for _ in range(4)}
    assert len(drawn) > 1
    for wrong in (-1, True, 2.0, "3", 2**63):
        with pytest.raises(InputError, match=r"seed must be (from 0 to 2\^63 - 1, or None|a whole number)"):
            checked_seed(wrong, False)
    with pytest.raises(InputError, match="pass the seed that the run began with"):
        checked_seed(None, True)
