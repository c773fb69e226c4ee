"""Training: recipes, the loop, checkpoints. Needs torch (extra `train`)."""

from __future__ import annotations

from gatewise.training.callback import Callback, EpochLog, RunInfo, StepLog
from gatewise.training.pretrain import PretrainInterrupted, pretrain
from gatewise.training.pretrain_callback import Measurement, PretrainCallback
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
    "Measurement",
    "PretrainCallback",
    "PretrainInterrupted",
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
