"""Fits of members: one file per kind, each with a function from the training data to a `FittedMember`.

A new kind of member is a subclass of `gatewise.members.member.Member` and a module here with its `fit`.
"""

from __future__ import annotations

import pkgutil
import time
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatewise.model.card import NearDuplicates
from gatewise.training.callback import Callback
from gatewise.training.processes import current
from gatewise.training.run import RunFolder
from gatewise.training.stack import FittedMember
from gatewise.training.training_data import TrainingData
from gatewise.types import RuleReport

if TYPE_CHECKING:
    from gatewise.training.pretrained import Pretrained


@dataclass
class Run:
    """What the steps of a run share besides the data."""

    seed: int
    callback: Callback
    folder: RunFolder
    pretrained: Pretrained | None = None
    checkpoints: Path | None = None
    """Where the LSTM's fit keeps its checkpoint: in `folder.folder`, or for a teacher below it."""
    command: str = ""
    unlabelled: str = ""
    """The source of the unlabelled texts, in a line."""
    rules: tuple[RuleReport, ...] = ()
    """Of the rules that labelled some of them."""
    near_duplicates: NearDuplicates | None = None
    """Of validation rows, among the training rows."""
    ngrams: dict[str, Any] = field(default_factory=dict)
    """N-gram models of unlabelled texts, which join the n-gram member, by name."""
    memo: dict[str, Any] = field(default_factory=dict)
    """What a fit has computed before its turn, by kind."""
    began: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return round(time.perf_counter() - self.began, 1)


def fit_members(data: TrainingData, run: Run) -> list[FittedMember]:
    """Fit the members of the recipe and the columns, the LSTM first: `fit(data, run)` of each module here, which
    returns None where the data allow no such member. All processes fit the LSTM together, the first one the others.
    """
    recipe, columns = data.recipe, len(data.preprocessor.columns)
    sizes = {"ngrams": recipe.ngrams.order, "convolutions": recipe.convolutions.features, "columns": columns}
    others = sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "lstm")
    kinds = ["lstm", *(kind for kind in others if sizes.get(kind) != 0 and not current().rank)]
    found = [import_module(f"{__name__}.{kind}").fit(data, run) for kind in kinds]
    return [one for one in found if one is not None]
