"""Training: recipes, the loop, pretraining, ensembling, checkpoints. Needs SciPy (extra `train`)."""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from gatewise.errors import MissingExtra

if find_spec("scipy") is None or find_spec("threadpoolctl") is None:
    raise MissingExtra("SciPy and threadpoolctl", "train", "training")

if TYPE_CHECKING:
    from gatewise.training.callback import Callback as Callback, EpochLog as EpochLog
    from gatewise.training.callback import RunInfo as RunInfo, StepLog as StepLog
    from gatewise.training.pretrain_recipes import SIZES as SIZES, PretrainRecipe as PretrainRecipe
    from gatewise.training.pretrain_recipes import pretrain_recipe as pretrain_recipe
    from gatewise.training.processes import process_group as process_group
    from gatewise.training.recipes import RECIPES as RECIPES, Recipe as Recipe
    from gatewise.training.recipes import recipe as recipe
    from gatewise.training.run_recipe import default_recipe as default_recipe
    from gatewise.training.run import Interrupted as Interrupted

_HOME = {
    "callback": "Callback EpochLog RunInfo StepLog",
    "pretrain_recipes": "PretrainRecipe SIZES pretrain_recipe",
    "processes": "process_group",
    "recipes": "RECIPES Recipe recipe",
    "run": "Interrupted",
    "run_recipe": "default_recipe",
}
__all__ = sorted(" ".join(_HOME.values()).split())


def __getattr__(name: str) -> Any:
    for module, names in _HOME.items():
        if name in names.split():
            return getattr(import_module(f"gatewise.training.{module}"), name)
    raise AttributeError(f"module 'gatewise.training' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
