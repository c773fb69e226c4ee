"""Training: recipes, the loop, checkpoints. Needs torch (extra `train`)."""

from __future__ import annotations

from gatewise.errors import MissingExtra
from gatewise.nn.openmp import wait_passively

try:
    wait_passively()
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise MissingExtra("torch", "train", "training") from error

from gatewise.training.callback import Callback, EpochLog, RunInfo, StepLog
from gatewise.training.pretrain import PretrainInterrupted, pretrain
from gatewise.training.pretrain_callback import Measurement, PretrainCallback
from gatewise.training.pretrain_plan import SIZES, PretrainPlan, plan_for
from gatewise.training.recipe_fields import Recipe
from gatewise.training.recipes import RECIPES, default_recipe, recipe
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
    "PretrainPlan",
    "Recipe",
    "RunInfo",
    "StepLog",
    "default_recipe",
    "plan_for",
    "pretrain",
    "recipe",
    "train",
]
