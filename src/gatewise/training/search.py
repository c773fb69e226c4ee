"""The values that a search tries: ranges and choices for the fields of a recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from gatewise.errors import InputError
from gatewise.training.recipes import Recipe, changed, setting

if TYPE_CHECKING:
    import optuna

Search = Mapping[str, tuple[float, float] | Sequence[Any]]
"""The values of each field: a tuple (low, high) is a range, on a logarithmic scale from 10 times low; of two whole
numbers it holds whole numbers. Any other sequence lists the values."""


def default_search(recipe: Recipe, kind: Literal["text", "series"], pretrained: bool) -> dict[str, Any]:
    """The fields that `tune` searches by default, and their values."""
    found: dict[str, Any] = {
        "learning_rate": (recipe.learning_rate / 4, recipe.learning_rate * 4),
        "dropout_output": (0.0, 0.6),
    }
    if kind == "text":
        found |= {"dropout_embedding": (0.0, 0.6), "dropout_word": (0.0, 0.3)}
        found |= {"epochs": (max(1, recipe.epochs // 2), 2 * recipe.epochs)}
    else:
        found |= {"batch_size": [8, 16, 32], "layers": [1, 2]}
    if not pretrained:
        found["units"] = sorted({recipe.units // 2 or 1, recipe.units, recipe.units * 2})
    if kind == "text" and recipe.ngram_order:
        found["ngram_l2"] = (0.5, 32.0)
    return found


def check_search(search: Search, recipe: Recipe, fixed: Mapping[str, Any]) -> None:
    """Raise InputError for a search without fields, for a field that a recipe does not have or that is fixed, and for
    values that it cannot take.
    """
    if not search:
        raise InputError("search names no field of the recipe")
    for name, values in search.items():
        field = setting(name)
        if name in fixed:
            raise InputError(f"{name} is set to {fixed[name]}, so it cannot be searched")
        ends = list(values) if isinstance(values, Sequence) and not isinstance(values, str) else []
        if len(ends) < 2:
            raise InputError(f"search: {name} needs a range (low, high) or a list of two values or more")
        for value in ends:
            try:
                changed(recipe, **{name: field.checked(value)})
            except InputError as error:
                raise InputError(f"search: {name}: {error}") from None
        if isinstance(values, tuple) and (len(ends) != 2 or isinstance(ends[0], str | bool) or not ends[0] < ends[1]):
            raise InputError(f"search: {name}: a range is (low, high), two numbers with low below high")


def suggest(trial: optuna.Trial, name: str, values: Any) -> Any:
    """A value of a field for the trial."""
    if not isinstance(values, tuple):
        return trial.suggest_categorical(name, list(values))
    low, high = values
    log = low > 0 and high >= 10 * low
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(name, low, high, log=log)
    return rounded(trial.suggest_float(name, low, high, log=log), low, high)


def rounded(value: float, low: float, high: float) -> float:
    """Three significant digits, so that the settings can be read and typed."""
    return min(max(float(f"{value:.3g}"), low), high)


def holds(values: Any, value: Any) -> bool:
    """Whether the value is one of the values."""
    return values[0] <= value <= values[1] if isinstance(values, tuple) else value in values
