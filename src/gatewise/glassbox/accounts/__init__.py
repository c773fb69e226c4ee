"""Accounts of a verdict, one file a method: what each step's share of it is, by the method's own rule."""

from __future__ import annotations

from gatewise.glassbox.accounts.account import Account, Beside, Method, Reading, direction_of, read_all
from gatewise.glassbox.accounts.beside import accounts_of, note_beside
from gatewise.glassbox.accounts.cell import Cell
from gatewise.glassbox.accounts.integrated import BASELINES, Baseline, IntegratedGradients
from gatewise.glassbox.accounts.leave_one_out import LeaveOneOut
from gatewise.glassbox.accounts.running import Running

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
