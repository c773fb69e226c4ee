"""Training: recipes, the loop, checkpoints. Needs torch (extra `train`)."""

from __future__ import annotations

from gatewise.errors import MissingExtra
from gatewise.nn.openmp import wait_passively

try:
    wait_passively()
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise MissingExtra("torch", "train", "training") from error

from gatewise.training.callback import EpochSeen, Observer, Plan, StepSeen
from gatewise.training.pretrain import PretrainInterrupted, pretrain
from gatewise.training.pretrain_callback import Measurement, PretrainObserver
from gatewise.training.pretrain_plan import SIZES, PretrainPlan, plan_for
from gatewise.training.recipe_fields import Recipe
from gatewise.training.recipes import RECIPES, default_recipe, recipe
from gatewise.training.run import Interrupted
from gatewise.training.train import train

__all__ = [
    "RECIPES",
    "SIZES",
    "EpochSeen",
    "Interrupted",
    "Measurement",
    "Observer",
    "Plan",
    "PretrainInterrupted",
    "PretrainObserver",
    "PretrainPlan",
    "Recipe",
    "StepSeen",
    "default_recipe",
    "plan_for",
    "pretrain",
    "recipe",
    "train",
]
