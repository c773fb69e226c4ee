"""The recipe of one run: the default for its data, checked against what the run has, matched to a pretrained model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from gatewise.errors import InputError
from gatewise.training.fields import values_of, with_values
from gatewise.training.recipes import RECIPES, ConvolutionsRecipe, Recipe, recipe
from gatewise.types import Task

if TYPE_CHECKING:
    from gatewise.training.pretrained import Pretrained

FEW_ROWS = 2_000  # labelled rows below which `few-shot` is the default with a pretrained model, or `frozen`
FROZEN_ROWS = 5_000  # below which `frozen` is the default with a classifier
_LSTM_OF_SERIES = replace(RECIPES["series"], name="lstm", convolutions=ConvolutionsRecipe())


def default_recipe(
    rows: int,
    pretrained: bool,
    kind: Literal["text", "series"] = "text",
    task: Task | None = None,
    *,
    frozen_rows: int = 0,
) -> str:
    """The default recipe for `rows` labelled rows of this kind and task, with or without a pretrained model.
    frozen_rows: below which its layers stay.
    """
    if task == "tagging":
        return "tagging"
    if kind == "series":
        return "series"
    if not pretrained:
        return "fast"
    if rows < frozen_rows:
        return "frozen"
    return "finetune" if rows >= FEW_ROWS else "few-shot"


def recipe_of_run(
    name: str | Recipe | None,
    changes: Mapping[str, Any],
    rows: int,
    kind: Literal["text", "series"] | None,
    task: Task | None = None,
    **given: Any,
) -> Recipe:
    """The recipe, by default the one for `rows` rows of this kind, with fields changed. Raises InputError as `recipe`
    and `check_settings`, for which kind, task and given are.
    """
    start = given.get("pretrained")
    most = 0
    if start is not None and start.has_lstm and not changes and not given.get("unlabelled"):
        most = FEW_ROWS if start.model is None else FROZEN_ROWS
    default = default_recipe(rows, start is not None, kind or "text", task, frozen_rows=most)
    found = recipe(_LSTM_OF_SERIES if name == "lstm" and kind == "series" else name or default, **changes)
    check_settings(found, kind, task, **given)
    if found.frozen and start is None:
        raise InputError("optimisation.epochs must be at least 1 without a pretrained model, whose layers would stay")
    return found


def check_settings(
    recipe: Recipe,
    kind: Literal["text", "series"] | None,
    task: Task | None = None,
    *,
    pretrained: Pretrained | None = None,
    unlabelled: bool = False,
    validation: bool = False,
    groups: bool = False,
) -> None:
    """Raise InputError for a changed field of a group that a run would not read, and for groups of rows that cut
    nothing. kind, task: of the data, None before it is read; unlabelled, validation, groups: whether there are
    unlabelled texts, a validation set of its own, and groups of rows.
    """
    if kind == "text" and recipe.name in ("series", "forecast"):
        raise InputError(f"recipe {recipe.name} is for series, and these are texts")
    if task is not None and (task == "tagging") != (recipe.lstm.pooling == "none"):
        needed = "a label per step needs" if task == "tagging" else "only the task tagging, a label per step, has"
        raise InputError(f"recipe {recipe.name}: lstm.pooling is {recipe.lstm.pooling}; {needed} pooling 'none'")
    if task == "tagging":
        settings = recipe.lstm.max_length, recipe.ngrams.order, recipe.convolutions.features, recipe.validation.folds
        if any(settings) or (kind == "text" and recipe.text.tokenization != "spaces"):
            needed = "max_length 0, no other members than the LSTM, no folds, and for texts tokenization 'spaces'"
            raise InputError(f"recipe {recipe.name}: a label per step needs {needed}")
    split = recipe.validation.split
    if groups and validation and kind == "text":
        raise InputError("groups cut a validation set from the data, and one is given")
    if groups and (split == "row" or (split == "time" and kind == "text")):
        raise InputError(f"groups are for a split by group, and this one is by {split}")
    if unlabelled and not recipe.uses_unlabelled:
        others = ", ".join(name for name, one in RECIPES.items() if one.uses_unlabelled)
        raise InputError(f"recipe {recipe.name} does not use unlabelled texts; {others} do")
    if unlabelled and (kind == "series" or task not in (None, "classification")):
        what = "series" if kind == "series" else task
        raise InputError(f"only classifiers of texts learn from unlabelled texts, not {what}")
    if recipe.ngrams.scaling == "tfidf" and recipe.ngrams.order:
        if task not in (None, "classification"):
            raise InputError(f"ngrams.scaling 'tfidf' is for classification, not for {task}")
        model = None if pretrained is None or task is None else pretrained.classifier(task)
        if unlabelled or (model is not None and model.ensemble.get("ngrams") is not None):
            raise InputError("ngrams.scaling 'tfidf' cannot be added to the n-grams of unlabelled texts or of a model")
    if recipe.frozen and (kind == "series" or task == "tagging"):
        of = "one label per text, and these are series" if kind == "series" else "one label per text, not per step"
        raise InputError(f"optimisation.epochs 0 keeps the layers of a pretrained model for {of}")
    cut = "validation.fraction validation.split validation.folds"
    unread = [  # these groups and fields where the first value is true
        (kind == "series", "text ngrams unlabelled", "is for texts, and these are series"),
        (kind == "text", "series convolutions validation.folds", "is for series, and these are texts"),
        (not unlabelled, "unlabelled", "is for unlabelled texts, and there are none"),
        (not recipe.ngrams.order, "ngrams", "is for the n-gram model, and ngrams.order is 0"),
        (validation, cut, "cuts a validation set from the data, and one is given"),
    ]
    named = values_of(RECIPES.get(recipe.name, recipe))
    for name, value in values_of(recipe).items():
        for nothing_reads, readers, why in unread:
            # A value that turns something off needs no reader.
            if (
                nothing_reads
                and value
                and value != named[name]
                and {name, name.partition(".")[0]} & set(readers.split())
            ):
                raise InputError(f"{name} {why}")


def match_pretrained(recipe: Recipe, pretrained: Pretrained) -> Recipe:
    """The recipe with the fields of the pretrained network. Raises InputError where it asks for a network that cannot
    start from the model.
    """
    if recipe.frozen and not pretrained.has_lstm:
        raise InputError(f"the pretrained model has embeddings only, and recipe {recipe.name} trains no LSTM")
    named, values = RECIPES.get(recipe.name), values_of(recipe)
    for name in ("lstm.units", "lstm.layers", "lstm.bidirectional", "lstm.pooling"):
        own = pretrained.model is not None and name not in pretrained.fixed
        if own and named is not None and values[name] != values_of(named)[name]:
            raise InputError(f"{name} cannot be changed: the network takes the layers of the pretrained model")
    for name, there in pretrained.fixed.items():
        tagging = name in ("lstm.pooling", "text.tokenization") and {"none", "spaces"} & {values[name], there}
        unchanged = name == "text.vocab_size" if named is None else values[name] == values_of(named)[name]
        if values[name] != there and (tagging or not (unchanged and name in pretrained.free)):
            raise InputError(
                f"the pretrained model has {name} {there}; it cannot start a network of recipe {recipe.name} with "
                f"{name} {values[name]}"
            )
    return with_values(recipe, pretrained.fixed)
