"""Explanations of predictions: activations, attributions, interventions, and statistics of units.

The renderers (`render`, `view`) are modules of their own, so that an explanation imports no rich and no page.
"""

from __future__ import annotations

from typing import Any

from gatewise.explain.attribution import METHODS, IntegratedGradients, Method
from gatewise.explain.example import Example, trace
from gatewise.explain.explanation import Explanation, explain
from gatewise.explain.html_repr import HtmlRepr
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
    "explain",
    "hold_memory",
    "trace",
]


def _render(result: Any) -> str:
    """The HTML of a result for a notebook. The import is lazy: a prediction imports no renderer."""
    from gatewise.explain.render.html import result_html

    return result_html(result)


HtmlRepr.render = _render
