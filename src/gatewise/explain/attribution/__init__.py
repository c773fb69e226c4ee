"""Accounts of a verdict, one file a method: what each step's share of it is, by the method's own rule."""

from __future__ import annotations

from gatewise.explain.attribution.cell_decomposition import Cell
from gatewise.explain.attribution.integrated_gradients import BASELINES, Baseline, IntegratedGradients
from gatewise.explain.attribution.leave_one_out import LeaveOneOut
from gatewise.explain.attribution.method import Attribution, Beside, Example, Method, direction_of, predict_examples
from gatewise.explain.attribution.ngrams import attributions_of, ngrams_note
from gatewise.explain.attribution.prefix_difference import PrefixDifference

__all__ = [
    "BASELINES",
    "METHODS",
    "Attribution",
    "Baseline",
    "Beside",
    "Cell",
    "Example",
    "IntegratedGradients",
    "LeaveOneOut",
    "Method",
    "PrefixDifference",
    "attributions_of",
    "direction_of",
    "ngrams_note",
    "predict_examples",
]

METHODS: dict[str, Method] = {
    "running": PrefixDifference(),
    "cell": Cell(),
    "integrated-gradients": IntegratedGradients(),
    "leave-one-out": LeaveOneOut(),
}
