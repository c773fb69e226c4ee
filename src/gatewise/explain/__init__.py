"""Explanations of predictions: activations, attributions, interventions, and statistics of units.

Names are imported on first use, so that an explanation loads nothing that it does not need.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatewise.explain.attribution import METHODS, method_named
    from gatewise.explain.attribution.integrated_gradients import IntegratedGradients
    from gatewise.explain.attribution.method import Method
    from gatewise.explain.example import Example
    from gatewise.explain.explanation import Explanation
    from gatewise.explain.intervene import Intervention
    from gatewise.members.clamp import Clamp, ablate, hold_memory
    from gatewise.members.gates import Gates, MemoryDecomposition, Share
    from gatewise.types import Faithfulness

__all__ = [
    "METHODS",
    "Clamp",
    "Example",
    "Explanation",
    "Faithfulness",
    "Gates",
    "IntegratedGradients",
    "Intervention",
    "MemoryDecomposition",
    "Method",
    "Share",
    "ablate",
    "hold_memory",
    "method_named",
]

_HOMES = (
    *("explain.attribution", "explain.example", "explain.explanation", "explain.intervene", "members.clamp"),
    *("members.gates", "types", "explain.attribution.method", "explain.attribution.integrated_gradients"),
)


def __getattr__(name: str) -> Any:
    if name in __all__:
        for home in _HOMES:
            if hasattr(module := import_module(f"gatewise.{home}"), name):
                return getattr(module, name)
    raise AttributeError(f"module 'gatewise.explain' has no attribute {name!r}")
