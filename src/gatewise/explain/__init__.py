"""The glass box: what every gate did, accounts of the verdict, and what becomes of it when a person interferes.

`report`, which draws them in a terminal, is a module of its own, so that predicting does not import rich.
"""

from __future__ import annotations

from typing import Any

from gatewise.explain.attribution import METHODS, IntegratedGradients, Method
from gatewise.explain.attribution.attribution import Explanation, explain
from gatewise.explain.attribution.running import RunningVerdict, running_verdict
from gatewise.explain.clamp import Clamp, freeze, silence
from gatewise.explain.gates import CellAccount, Gates, Share
from gatewise.explain.html_repr import HtmlRepr
from gatewise.explain.intervene import Intervention
from gatewise.explain.net import Net
from gatewise.explain.trace import Trace, trace
from gatewise.metrics.evaluation import Faith

__all__ = [
    "METHODS",
    "CellAccount",
    "Clamp",
    "Explanation",
    "Faith",
    "Gates",
    "IntegratedGradients",
    "Intervention",
    "Method",
    "Net",
    "RunningVerdict",
    "Share",
    "Trace",
    "explain",
    "freeze",
    "running_verdict",
    "silence",
    "trace",
]


def _render(result: Any) -> str:
    """A notebook asks for HTML; a prediction does not, and imports no renderer."""
    from gatewise.explain.render.html import result_html

    return result_html(result)


HtmlRepr.render = _render
