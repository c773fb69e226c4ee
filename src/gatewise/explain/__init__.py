"""The glass box: what every gate did, accounts of the verdict, and what becomes of it when a person interferes.

`report`, which draws them in a terminal, is a module of its own, so that predicting does not import rich.
"""

from __future__ import annotations

from typing import Any

from gatewise.explain.attribution import METHODS, IntegratedGradients, Method
from gatewise.explain.attribution.attribution import Explanation, explain
from gatewise.explain.attribution.running import PrefixPredictions, prefix_predictions
from gatewise.explain.clamp import Clamp, ablate, hold_memory
from gatewise.explain.gates import CellDecomposition, Gates, Share
from gatewise.explain.html_repr import HtmlRepr
from gatewise.explain.intervene import Intervention
from gatewise.explain.net import ExplainedNetwork
from gatewise.explain.trace import Trace, trace
from gatewise.metrics.evaluation import Faithfulness

__all__ = [
    "METHODS",
    "CellDecomposition",
    "Clamp",
    "ExplainedNetwork",
    "Explanation",
    "Faithfulness",
    "Gates",
    "IntegratedGradients",
    "Intervention",
    "Method",
    "PrefixPredictions",
    "Share",
    "Trace",
    "ablate",
    "explain",
    "hold_memory",
    "prefix_predictions",
    "trace",
]


def _render(result: Any) -> str:
    """A notebook asks for HTML; a prediction does not, and imports no renderer."""
    from gatewise.explain.render.html import result_html

    return result_html(result)


HtmlRepr.render = _render
