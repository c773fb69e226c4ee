"""Recipe fields: every value is checked when it is set, and NumPy's numbers become plain ones."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.training import RECIPES, Recipe, pretrain_recipe, recipe
from gatewise.training.config import read_config
from gatewise.training.fields import fields_of, meanings
from gatewise.training.recipes import changed, setting
from gatewise.training.run import checked_seed


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("epochs", 2.5, "epochs must be a whole number, not 2.5"),
        ("epochs", np.float64(2), "epochs must be a whole number, not 2.0"),
        ("epochs", True, "epochs must be a whole number, not True"),
        ("epochs", np.True_, "epochs must be a whole number, not True"),
        ("epochs", None, "epochs must be a whole number, not None"),
        ("epochs", 0, "epochs must be at least 1, not 0"),
        ("units", "64", "units must be a whole number, not '64'"),
        ("units", [64], r"units must be a whole number, not \[64\]"),
        ("layers", -1, "layers must be at least 1, not -1"),
        ("learning_rate", math.nan, "learning_rate must be above 0, not nan"),
        ("learning_rate", math.inf, "learning_rate must be finite, not inf"),
        ("epsilon", 1e-50, "epsilon must be at least 1e-37, not 1e-50"),  # 0 in float32
        ("learning_rate", False, "learning_rate must be a number, not False"),
        ("learning_rate", 1j, "learning_rate must be a number, not 1j"),
        ("dropout_output", -0.1, "dropout_output must be from 0 to below 1, not -0.1"),
        ("dropout_output", 1, "dropout_output must be from 0 to below 1, not 1.0"),
        ("validation_fraction", 0, "validation_fraction must be between 0 and 1, not 0.0"),
        ("ngram_order", 4, "ngram_order must be from 0 to 3, not 4"),
        ("bidirectional", 1, "bidirectional must be true or false, not 1"),
        ("pooling", "men", r"pooling must be 'last', 'mean', 'max' or 'mean\+max', not 'men'; did you mean 'mean'\?"),
        ("gate", 3, "gate must be 'sigmoid' or 'binary', not 3"),
        (
            "precision",
            "float16",
            "precision must be 'float32', 'bf16' or 'auto', not 'float16'; did you mean 'float32'",
        ),
    ],
)
def test_a_wrong_value_is_one_error(field: str, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^recipe: {message}"):
        recipe("fast", **{field: value})


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
    found = getattr(recipe("fast", **{field: value}), field)
    assert (found, type(found)) == (plain, type(plain))


def test_every_number_has_a_range_and_every_field_a_meaning() -> None:
    known = fields_of(Recipe)
    assert [name for name, field in known.items() if field.type in (int, float) and field.range is None] == []
    assert list(meanings(Recipe)) == list(known)
    assert meanings(Recipe)["units"] == "Hidden units H of each LSTM. A pretrained model's replaces it."


def test_every_value_of_every_recipe_is_read_back_from_its_text() -> None:
    for one in RECIPES.values():
        for name, value in asdict(one).items():
            if name != "name":
                text = str(value).lower() if isinstance(value, bool) else str(value)
                assert setting(name).parsed(text) == value


@pytest.mark.parametrize("text", ["2.5", "two", "", "1e3"])
def test_a_text_that_is_no_whole_number(text: str) -> None:
    with pytest.raises(InputError, match=f"epochs must be a whole number, not '{text}'"):
        setting("epochs").parsed(text)


@pytest.mark.parametrize(
    ("name", "message"),
    [("epoch", "a recipe has no 'epoch'; did you mean 'epochs'?"), ("name", "a recipe has no 'name'")],
)
def test_an_unknown_field_names_the_nearest(name: str, message: str) -> None:
    for call in (lambda: recipe("fast", **{name: 3}), lambda: changed(recipe("fast"), **{name: 3})):
        with pytest.raises(InputError) as caught:
            call()
        assert str(caught.value).startswith(message)


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
def test_the_values_of_a_pretraining_recipe_are_checked_too(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        pretrain_recipe("small", **changes)
    assert str(caught.value).startswith(message)
    assert type(pretrain_recipe("small", units=np.int64(8)).units) is int


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no recipe is called 'tutorail'; there are .*; did you mean 'tutorial'"):
        recipe("tutorail")


def test_a_configuration_file(tmp_path: Path) -> None:
    file = tmp_path / "slow.toml"
    file.write_text(
        'recipe = "tutorial"  # the base\nepochs = 3\nlearning_rate = 1\ncalibrate = true\n', encoding="utf-8"
    )
    name, changes = read_config(file)
    assert (name, changes) == ("tutorial", {"epochs": 3, "learning_rate": 1.0, "calibrate": True})
    assert type(changes["learning_rate"]) is float


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("epoch = 3", "c.toml': a recipe has no 'epoch'; did you mean 'epochs'?"),
        ("epochs = 2.5", "c.toml': epochs must be a whole number, not 2.5"),
        ('recipe = "fats"', "c.toml': no recipe is called 'fats'; there are"),
        ('recipe = ["fast"]', "c.toml': no recipe is called"),
        ("recipe = 3", "c.toml': no recipe is called '3'; there are"),
        ("[training]\nepochs = 3", "c.toml': a recipe has no 'training'"),
        ("epochs = 3\nunits = = 4", "c.toml': not valid TOML: Invalid value (at line 2"),
        ("\udcff", "c.toml': not valid TOML: "),
    ],
)
def test_an_error_in_a_configuration_file_names_file_and_key(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "c.toml").write_text(content, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(InputError) as caught:
        read_config(tmp_path / "c.toml")
    assert message in str(caught.value)


def test_a_missing_configuration_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.toml': cannot be read: No such file"):
        read_config(tmp_path / "none.toml")


def test_seeds() -> None:
    assert (checked_seed(np.int64(7), False), type(checked_seed(np.int64(7), False))) == (7, int)
    drawn = {checked_seed(None, False) for _ in range(4)}
    assert len(drawn) > 1
    for wrong in (-1, True, 2.0, "3", 2**63):
        with pytest.raises(InputError, match=r"seed must be a whole number from 0 to 2\^63 - 1, or None to draw one"):
            checked_seed(wrong, False)
    with pytest.raises(InputError, match="pass the seed that the run began with"):
        checked_seed(None, True)
