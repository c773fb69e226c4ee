"""Explanations of predictions: activations, attributions, interventions, and statistics of units.

Names are imported on first use, so that an explanation loads nothing that it does not need.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gatewise.explain.display import register_html_renderer

if TYPE_CHECKING:
    from gatewise.explain.attribution import METHODS as METHODS, method_named as method_named
    from gatewise.explain.attribution.integrated_gradients import IntegratedGradients as IntegratedGradients
    from gatewise.explain.attribution.method import Method as Method
    from gatewise.explain.example import Example as Example
    from gatewise.explain.explanation import Explanation as Explanation, explain_example as explain_example
    from gatewise.explain.intervene import Intervention as Intervention
    from gatewise.explain.units import UnitsReport as UnitsReport
    from gatewise.members.clamp import Clamp as Clamp, ablate as ablate, hold_memory as hold_memory
    from gatewise.members.gates import Gates as Gates, MemoryDecomposition as MemoryDecomposition, Share as Share
    from gatewise.types import Faithfulness as Faithfulness

_HOME = {
    "explain.attribution": "METHODS method_named",
    "explain.attribution.integrated_gradients": "IntegratedGradients",
    "explain.attribution.method": "Method",
    "explain.example": "Example",
    "explain.explanation": "Explanation explain_example",
    "explain.intervene": "Intervention",
    "explain.units": "UnitsReport",
    "members.clamp": "Clamp ablate hold_memory",
    "members.gates": "Gates MemoryDecomposition Share",
    "types": "Faithfulness",
}
__all__ = " ".join(_HOME.values()).split()


def __getattr__(name: str) -> Any:
    for module, names in _HOME.items():
        if name in names.split():
            return getattr(import_module(f"gatewise.{module}"), name)
    raise AttributeError(f"module 'gatewise.explain' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


def _render_html(result: Any) -> str:
    """The fragment of a notebook. The renderer is imported when a notebook displays the first result."""
    from gatewise.explain.render.html import result_html

    return result_html(result)


register_html_renderer(_render_html)
