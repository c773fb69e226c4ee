"""Training: recipes, the loop, pretraining, ensembling, checkpoints. Needs SciPy (extra `train`)."""

from __future__ import annotations

from importlib.util import find_spec

from gatewise.errors import MissingExtra

if find_spec("scipy") is None or find_spec("threadpoolctl") is None:
    raise MissingExtra("SciPy and threadpoolctl", "train", "training")

from gatewise.training.callback import Callback, EpochLog, PerplexityLog, RunInfo, StepLog
from gatewise.training.processes import process_group
from gatewise.training.recipes import (
    RECIPES,
    SIZES,
    PretrainRecipe,
    Recipe,
    default_recipe,
    pretrain_recipe,
    recipe,
)
from gatewise.training.run import Interrupted

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
    "pretrain_recipe",
    "process_group",
    "recipe",
]
