"""Training: recipes, the loop, checkpoints. Needs torch (extra `train`)."""

from __future__ import annotations

from gatewise.errors import MissingExtra
from gatewise.openmp import wait_passively

try:
    wait_passively()
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise MissingExtra("torch", "train", "training") from error

from gatewise.training.observer import EpochSeen, Observer, Plan, StepSeen
from gatewise.training.recipes import RECIPES, Recipe, recipe
from gatewise.training.train import Interrupted, train

__all__ = ["RECIPES", "EpochSeen", "Interrupted", "Observer", "Plan", "Recipe", "StepSeen", "recipe", "train"]
