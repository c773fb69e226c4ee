"""Attribution methods, one file per method: each divides one prediction among the steps by its own definition."""

from __future__ import annotations

from gatewise.explain.attribution.cell_decomposition import CellDecomposition
from gatewise.explain.attribution.integrated_gradients import BASELINES, Baseline, IntegratedGradients
from gatewise.explain.attribution.leave_one_out import LeaveOneOut
from gatewise.explain.attribution.members import attribute, member_notes
from gatewise.explain.attribution.method import Attribution, Method, Part
from gatewise.explain.attribution.prefix_difference import PrefixDifference

__all__ = [
    "BASELINES",
    "METHODS",
    "Attribution",
    "Baseline",
    "CellDecomposition",
    "IntegratedGradients",
    "LeaveOneOut",
    "Method",
    "Part",
    "PrefixDifference",
    "attribute",
    "member_notes",
]

METHODS: dict[str, Method] = {
    "prefix-difference": PrefixDifference(),
    "cell-decomposition": CellDecomposition(),
    "integrated-gradients": IntegratedGradients(),
    "leave-one-out": LeaveOneOut(),
}
