"""Recipes: everything about a training run that is not the data, by name.

`tutorial` is the tutorial's run, number for number. `fast` is the default for everything else; from a base `tuned` is,
or `few` for few labels; `best` takes longest. A recipe is data: change a field with `recipe("fast", units=128)`.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from gatewise.errors import InputError, quote
from gatewise.training.recipe_fields import Recipe

__all__ = ["RECIPES", "default_recipe", "recipe"]

FEW = 2_000  # labelled rows below which readers of n-grams are a better teacher than a network

# From a base, whose encoding, embedding and units take the place of those here.
_TUNED = Recipe(
    name="tuned",
    encoding="tokens",
    words=40_000,
    embedding=128,
    units=256,
    bidirectional=True,
    pooling="mean+max",
    length=400,
    cut="middle",
    drop_embedding=0.2,
    drop_output=0.4,
    epochs=2,
    least_steps=300,
    batch=32,
    learning_rate=0.0015,
    beta2=0.99,
    schedule="one-cycle",
    clip=1.0,
    rate_embedding=0.5,
    student_epochs=1,
    latent=200,
    ngrams=3,
    calibrate=True,
    validation=0.1,
    precision="auto",
)

RECIPES: dict[str, Recipe] = {
    "tuned": _TUNED,
    # The same, and right where its inputs move against it. A student is then no better than such a teacher.
    "best": replace(_TUNED, name="best", epochs=3, adversarial=0.01, student_epochs=0),
    # Where there are few labels.
    "few": replace(
        _TUNED,
        name="few",
        drop_word=0.1,
        epochs=1,
        least_steps=0,
        head=500.0,
        latent=20,
        teacher="readers",
        student_most=10_000,
    ),
    "tutorial": Recipe(
        name="tutorial",
        encoding="keras",
        words=10_000,
        embedding=32,
        units=100,
        length=1000,
        padding="pre",
        validation_by="row",  # as the tutorial cuts it; docs/tutorial.md says what that hides
        grouped=False,
    ),
    "fast": Recipe(
        name="fast",
        encoding="tokens",
        words=30_000,
        embedding=64,
        units=64,
        bidirectional=True,
        pooling="mean+max",
        length=400,
        cut="middle",
        drop_word=0.2,
        drop_embedding=0.5,
        drop_output=0.5,
        epochs=4,
        batch=32,
        learning_rate=0.004,
        schedule="one-cycle",
        clip=1.0,
        validation=0.1,
        ngrams=3,
        calibrate=True,
    ),
}


def default_recipe(rows: int, based: bool) -> str:
    """The recipe for `rows` labelled rows where none is asked for: "fast", or from a base "tuned", or "few" of them."""
    if not based:
        return "fast"
    return "few" if rows < FEW else "tuned"


def recipe(name: str, **changes: Any) -> Recipe:
    """The recipe `name` with fields changed. Raises InputError that lists the names, or the fields."""
    if name not in RECIPES:
        raise InputError(f"no recipe is called {quote(name)}; there are {', '.join(RECIPES)}")
    unknown = set(changes) - {f.name for f in fields(Recipe)}
    if unknown:
        raise InputError(f"a recipe has no {quote(min(unknown))}; it has {', '.join(f.name for f in fields(Recipe))}")
    return replace(RECIPES[name], **changes)
