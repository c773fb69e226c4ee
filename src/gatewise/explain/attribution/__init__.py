"""Accounts of a verdict, one file a method: what each step's share of it is, by the method's own rule."""

from __future__ import annotations

from gatewise.explain.attribution.cell_decomposition import Cell
from gatewise.explain.attribution.integrated_gradients import BASELINES, Baseline, IntegratedGradients
from gatewise.explain.attribution.leave_one_out import LeaveOneOut
from gatewise.explain.attribution.method import Account, Beside, Method, Reading, direction_of, read_all
from gatewise.explain.attribution.ngrams import accounts_of, note_beside
from gatewise.explain.attribution.prefix_difference import Running

__all__ = [
    "BASELINES",
    "METHODS",
    "Account",
    "Baseline",
    "Beside",
    "Cell",
    "IntegratedGradients",
    "LeaveOneOut",
    "Method",
    "Reading",
    "Running",
    "accounts_of",
    "direction_of",
    "note_beside",
    "read_all",
]

METHODS: dict[str, Method] = {
    "running": Running(),
    "cell": Cell(),
    "integrated-gradients": IntegratedGradients(),
    "leave-one-out": LeaveOneOut(),
}
