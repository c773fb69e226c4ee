"""Training: recipes, the loop, pretraining, ensembling, checkpoints. Needs torch (extra `train`)."""

from __future__ import annotations

from gatewise.errors import MissingExtra

try:
    import gatewise.nn as _nn  # noqa: F401  # before torch, because it sets OMP_WAIT_POLICY
except MissingExtra as error:
    raise MissingExtra("torch", "train", "training") from error

from gatewise.training.callback import Callback, EpochLog, PerplexityLog, RunInfo, StepLog
from gatewise.training.pretrain import pretrain
from gatewise.training.pretrain_recipes import SIZES, PretrainRecipe, pretrain_recipe
from gatewise.training.recipes import RECIPES, Recipe, default_recipe, recipe
from gatewise.training.run import Interrupted
from gatewise.training.train import train

__all__ = [
    "RECIPES",
    "SIZES",
    "Callback",
    "EpochLog",
    "Interrupted",
    "PerplexityLog",
    "PretrainRecipe",
    "Recipe",
    "RunInfo",
    "StepLog",
    "default_recipe",
    "pretrain",
    "pretrain_recipe",
    "recipe",
    "train",
]
