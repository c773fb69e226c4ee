"""What a network starts from: drawn weights, or those of a base."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gatewise.errors import InputError
from gatewise.model.pretrained import PretrainedLM
from gatewise.network.architecture import Architecture, initial_parameters
from gatewise.training.recipes import RECIPES, Recipe
from gatewise.types import Array

__all__ = ["match_pretrained", "start_parameters"]


def match_pretrained(recipe: Recipe, pretrained: PretrainedLM) -> Recipe:
    """The recipe with the base's vocabulary, embedding and units in place of its own. Raises InputError where it asks
    for a network that a base cannot start.
    """
    named = RECIPES.get(recipe.name)
    units = pretrained.units or recipe.units
    for name, there in (("embedding_dim", pretrained.embedding_dim), ("units", units)):
        wanted = getattr(recipe, name)
        if wanted != there and (named is None or wanted != getattr(named, name)):
            raise InputError(f"the base has {name} {there}; it cannot start a network of {wanted}")
    if recipe.encoding != "tokens" or recipe.gate != "sigmoid" or recipe.padding != "none":
        raise InputError(f"recipe {recipe.name}: a base starts networks on tokens, without pads, with sigmoid gates")
    if pretrained.units and (recipe.layers > 1 or not recipe.bidirectional):
        raise InputError(f"recipe {recipe.name}: a base's LSTMs are one layer in both directions")
    return replace(recipe, vocab_size=pretrained.encoding.rows, embedding_dim=pretrained.embedding_dim, units=units)


def start_parameters(arch: Architecture, pretrained: PretrainedLM | None, seed: int) -> dict[str, Array]:
    """Start values by name: as `initial_parameters` draws them, and where the base has the parameter, the base's."""
    drawn = initial_parameters(arch, np.random.default_rng([seed, 0x5EED]))
    return (
        drawn
        if pretrained is None
        else drawn | {name: pretrained.parameters[name] for name in drawn if name in pretrained.parameters}
    )
