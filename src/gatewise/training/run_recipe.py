"""The recipe of a run: the default for its data, with fields changed, and checked against what the run has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from gatewise.errors import InputError
from gatewise.target import StepTarget, target_class
from gatewise.training.fields import values_of, with_values
from gatewise.training.recipes import (
    RECIPES,
    ConvolutionsRecipe,
    Recipe,
    has_small_classes,
    recipe,
)
from gatewise.types import KindName, Task

if TYPE_CHECKING:
    from gatewise.data.labelled import Labelled
    from gatewise.training.pretrained import Pretrained

FEW_ROWS = 2_000  # labelled rows below which `few-shot` is the default with a pretrained model, or `frozen`
FROZEN_ROWS = 5_000  # below which `frozen` is the default with a classifier

_FROZEN = "optimisation.epochs 0 keeps the layers of a pretrained model"
_CUT = ("validation.fraction", "validation.split", "validation.folds")
"""The fields that cut a validation set from the training data."""

_OF_TEXTS = (
    "text",
    "ngrams",
    "unlabelled",
    "lstm.embedding_dim",
    "lstm.padding",
    "lstm.dropout_word",
    "lstm.dropout_embedding",
    "optimisation.embedding_lr_scale",
)
"""The groups and fields that a run on series does not read: it has no tokens, no embeddings and no pads."""

_OF_SERIES = ("series", "convolutions", "validation.folds")
"""The groups and fields that only a run on series reads."""


class Available(TypedDict, total=False):
    """What a run has besides its labelled data: unlabelled texts, rules that label them, a validation set of its own,
    and groups of rows.
    """

    unlabelled: bool
    rules: bool
    validation: bool
    groups: bool


def default_recipe(
    rows: int,
    pretrained: bool,
    kind: KindName = "text",
    task: Task | None = None,
    *,
    frozen_rows: int = 0,
    classes: int = 0,
) -> str:
    """The default recipe for `rows` labelled rows of this kind, task and number of classes, with or without a
    pretrained model. frozen_rows: below which its layers stay.
    """
    if task == "tagging":
        return "tagging"
    if kind == "series":
        return "series"
    if pretrained:
        if rows < frozen_rows:
            return "frozen"
        return "finetune" if rows >= FEW_ROWS else "few-shot"
    if task == "classification" and has_small_classes(classes, rows):
        return "many-classes"
    return "fast"


def recipe_of_run(
    name: str | Recipe | None,
    changes: Mapping[str, Any],
    data: Labelled | None,
    kind: KindName | None = None,
    task: Task | None = None,
    *,
    pretrained: Pretrained | None = None,
    **available: Unpack[Available],
) -> Recipe:
    """The recipe, by default the one for the data, with fields changed. kind, task: before the data are read, if they
    are known. Raises InputError as `recipe` and `check_settings`.
    """
    rows = 0
    classes = 0
    if data is not None:
        rows = len(data)
        classes = len(data.classes)
        kind = data.kind
        task = data.target.task
    # Changed fields and unlabelled texts are for layers that are trained.
    frozen_rows = 0
    if pretrained is not None and pretrained.has_lstm and not changes and not available.get("unlabelled"):
        frozen_rows = FEW_ROWS if pretrained.model is None else FROZEN_ROWS
    default = default_recipe(
        rows, pretrained is not None, kind or "text", task, frozen_rows=frozen_rows, classes=classes
    )
    if name == "lstm" and kind == "series":
        name = replace(RECIPES["series"], name="lstm", convolutions=ConvolutionsRecipe())
    chosen = recipe(name or default, **changes)
    check_settings(chosen, kind, task, pretrained=pretrained, **available)
    # A training gives recipe `frozen` the bundled model.
    if chosen.frozen and chosen.name != "frozen" and pretrained is None:
        raise InputError("optimisation.epochs must be at least 1 without a pretrained model, whose layers would stay")
    return chosen


def check_settings(
    recipe: Recipe,
    kind: KindName | None,
    task: Task | None = None,
    *,
    pretrained: Pretrained | None = None,
    unlabelled: bool = False,
    rules: bool = False,
    validation: bool = False,
    groups: bool = False,
) -> None:
    """Raise InputError for a changed field of a group that a run would not read, and for groups of rows that cut
    nothing. kind, task: of the data, None before it is read; unlabelled, rules, validation, groups: see `Available`.
    """
    if kind == "text" and recipe.name in ("series", "forecast"):
        raise InputError(f"recipe {recipe.name} is for series, and these are texts")
    if task is not None:
        _check_task(recipe, kind, task)
    if groups:
        _check_groups(recipe, kind, validation)
    if rules and not unlabelled:
        raise InputError("rules label unlabelled texts, and there are none")
    if unlabelled:
        _check_unlabelled(recipe, kind, task, rules)
    if recipe.ngrams.scaling == "tfidf" and recipe.ngrams.order:
        _check_tfidf(task, pretrained, unlabelled)
    if recipe.frozen and kind == "series":
        raise InputError(f"{_FROZEN} for one label per text, and these are series")
    _check_changed_fields(recipe, kind, unlabelled, validation)


def _check_task(recipe: Recipe, kind: KindName | None, task: Task) -> None:
    """Raise InputError for a network, or other members, that cannot predict for this task."""
    target = target_class(task)
    try:
        target.check_pooling(recipe.lstm.pooling)
    except InputError as error:
        raise InputError(f"recipe {recipe.name}: {error}") from None
    if not target.per_step:
        if recipe.lstm.crf:
            raise InputError(f"lstm.crf is for a label per step, not for {task}")
        return
    # Every step that has a label must be read. N-grams and convolutions predict a sequence, not a step.
    settings = (recipe.lstm.max_length, recipe.ngrams.order, recipe.convolutions.features, recipe.validation.folds)
    other_words = kind == "text" and recipe.text.tokenization not in target.tokenizations
    if any(settings) or other_words:
        raise InputError(
            f"recipe {recipe.name}: tagging needs max_length 0, no n-grams, no convolutions, no folds, and for "
            "texts tokenization 'spaces' or 'word-features'"
        )
    if recipe.frozen:
        raise InputError(f"{_FROZEN} for one label per text, not per step")


def _check_groups(recipe: Recipe, kind: KindName | None, validation: bool) -> None:
    """Raise InputError for groups that cut neither a validation set nor folds."""
    if validation and kind == "text":
        raise InputError("groups has no effect with validation: pass one of them")
    split = recipe.validation.split
    # The groups of series also keep the folds of a cross-validation apart, which a split by time leaves as they are.
    if split == "row" or (split == "time" and kind == "text"):
        raise InputError(f"groups are for a split by group, and this one is by {split}")


def _check_unlabelled(recipe: Recipe, kind: KindName | None, task: Task | None, rules: bool) -> None:
    """Raise InputError where nothing learns from unlabelled texts."""
    if not recipe.uses_unlabelled and not rules:
        readers = ", ".join(name for name, other in RECIPES.items() if other.uses_unlabelled)
        raise InputError(f"recipe {recipe.name} does not use unlabelled texts; {readers} do, with rules all do")
    if kind == "series":
        raise InputError("only classifiers of texts learn from unlabelled texts, not series")
    if task not in (None, "classification"):
        raise InputError(f"only classifiers of texts learn from unlabelled texts, not {task}")


def _check_tfidf(task: Task | None, pretrained: Pretrained | None, unlabelled: bool) -> None:
    """Raise InputError where n-grams with TF-IDF would have to be added to other n-grams, or predict numbers."""
    if task not in (None, "classification"):
        raise InputError(f"ngrams.scaling 'tfidf' is for classification, not for {task}")
    model = None
    if pretrained is not None and task is not None:
        model = pretrained.classifier(task)
    has_ngrams = model is not None and model.ensemble.get("ngrams") is not None
    if unlabelled or has_ngrams:
        raise InputError("ngrams.scaling 'tfidf' cannot be added to the n-grams of unlabelled texts or of a model")


def _check_changed_fields(recipe: Recipe, kind: KindName | None, unlabelled: bool, validation: bool) -> None:
    """Raise InputError for a field that differs from that of the built-in recipe, and that nothing reads."""
    unread: list[tuple[tuple[str, ...], str]] = []  # groups and fields that nothing reads, and why
    if kind == "series":
        unread.append((_OF_TEXTS, "is for texts, and these are series"))
    if kind == "text":
        unread.append((_OF_SERIES, "is for series, and these are texts"))
    if kind == "arrays":
        unread.append((_OF_TEXTS, "is for texts, and these are rows of arrays"))
        unread.append((_OF_SERIES, "is for series, and these are rows of arrays"))
    if not unlabelled:
        unread.append((("unlabelled",), "is for unlabelled texts, and there are none"))
    if not recipe.ngrams.order:
        unread.append((("ngrams",), "is for the n-gram model, and ngrams.order is 0"))
    if validation:
        unread.append((_CUT, "has no effect with validation: pass one of them"))
    built_in = values_of(RECIPES.get(recipe.name, recipe))
    for name, value in values_of(recipe).items():
        if not value or value == built_in[name]:  # a value that turns something off needs no reader
            continue
        group, _, _ = name.partition(".")
        for names, why in unread:
            if name in names or group in names:
                raise InputError(f"{name} {why}")


def match_pretrained(recipe: Recipe, pretrained: Pretrained) -> Recipe:
    """The recipe with the fields of the pretrained network. Raises InputError where it asks for a network that cannot
    start from the model.
    """
    if recipe.frozen and not pretrained.has_lstm and pretrained.network_kind == "lstm":
        raise InputError(f"the pretrained model has embeddings only, and recipe {recipe.name} trains no LSTM")
    values = values_of(recipe)
    defaults: list[dict[str, Any]] = []
    if recipe.name in RECIPES:
        defaults.append(values_of(RECIPES[recipe.name]))
    if recipe.name == "lstm":  # for series
        defaults.append(values_of(RECIPES["series"]))
    of_network = ["lstm.units", "lstm.layers", "lstm.bidirectional", "lstm.pooling"]
    if pretrained.network_kind != "lstm":
        of_network = [name for name in values if name.startswith("lstm.") and name != "lstm.probe_l2"]
    for name in of_network:
        of_model = pretrained.model is not None and name not in pretrained.fixed
        if of_model and defaults and values[name] not in [default[name] for default in defaults]:
            raise InputError(f"{name} cannot be changed: the network takes the layers of the pretrained model")
    for name, fixed in pretrained.fixed.items():
        if values[name] == fixed:
            continue
        # A tagger and another network never start from each other, whatever the recipe leaves free.
        both = (values[name], fixed)
        of_tagger = name == "lstm.pooling" and "none" in both
        if name == "text.tokenization":
            of_tagger = sum(value in StepTarget.tokenizations for value in both) == 1
        # A value that the recipe does not change gives way silently, where the model leaves the field free.
        unchanged = name == "text.vocab_size"
        if defaults:
            unchanged = values[name] in [default[name] for default in defaults]
        if of_tagger or not (unchanged and name in pretrained.free):
            raise InputError(
                f"the pretrained model has {name} {fixed}; it cannot start a network of recipe {recipe.name} with "
                f"{name} {values[name]}"
            )
    return with_values(recipe, pretrained.fixed)
