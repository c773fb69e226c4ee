"""The glass box: what every gate did, accounts of the verdict, and what becomes of it when a person interferes.

`report`, which draws them in a terminal, is a module of its own, so that predicting does not import rich.
"""

from __future__ import annotations

from gatewise.glassbox.accounts import METHODS, IntegratedGradients, Method
from gatewise.glassbox.attribution import Explanation, explain
from gatewise.glassbox.clamp import Clamp, freeze, silence
from gatewise.glassbox.gates import CellAccount, Gates, Share
from gatewise.glassbox.intervene import Intervention
from gatewise.glassbox.net import Net
from gatewise.glassbox.running import RunningVerdict, running_verdict
from gatewise.glassbox.trace import Trace, trace
from gatewise.verdict import Faith

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
