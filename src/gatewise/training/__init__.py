"""Training: recipes, the loop, pretraining, ensembling, checkpoints. Needs SciPy (extra `train`)."""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from gatewise.errors import MissingExtra

if find_spec("scipy") is None or find_spec("threadpoolctl") is None:
    raise MissingExtra("SciPy and threadpoolctl", "train", "training")

from gatewise.training.callback import Callback, EpochLog, RunInfo, StepLog
from gatewise.training.processes import process_group
from gatewise.training.recipes import RECIPES, Recipe, default_recipe, recipe
from gatewise.training.run import Interrupted

if TYPE_CHECKING:
    from gatewise.training.pretrain import SIZES, PretrainRecipe, pretrain_recipe

__all__ = [
    "RECIPES",
    "SIZES",
    "Callback",
    "EpochLog",
    "Interrupted",
    "PretrainRecipe",
    "Recipe",
    "RunInfo",
    "StepLog",
    "default_recipe",
    "pretrain_recipe",
    "process_group",
    "recipe",
]


def __getattr__(name: str) -> Any:
    if name in __all__:  # of pretraining, which few programs need
        return getattr(import_module("gatewise.training.pretrain"), name)
    raise AttributeError(f"module 'gatewise.training' has no attribute {name!r}")
