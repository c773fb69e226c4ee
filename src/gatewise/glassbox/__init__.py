"""The glass box: what every gate did, and accounts of the verdict.

`report`, which draws both in a terminal, is a module of its own, so that predicting does not import rich.
"""

from __future__ import annotations

from gatewise.glassbox.attribution import METHODS, Explanation, explain
from gatewise.glassbox.trace import Gates, Share, Trace, trace

__all__ = ["METHODS", "Explanation", "Gates", "Share", "Trace", "explain", "trace"]
