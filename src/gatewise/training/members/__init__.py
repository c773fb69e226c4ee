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
    """The rules that labelled some of the unlabelled texts."""
    near_duplicates: NearDuplicates | None = None
    """The validation rows that have a near-duplicate among the training rows."""
    ngrams: dict[str, Any] = field(default_factory=dict)
    """N-gram models of unlabelled texts, which join the n-gram member, by name."""
    memo: dict[str, Any] = field(default_factory=dict)
    """Results that `fit` of a kind reuses, by kind: "ngrams" has the `Comparison` of `choose_tokenization`."""
    began: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return round(time.perf_counter() - self.began, 1)


def fit_members(data: TrainingData, run: Run) -> list[FittedMember]:
    """Fit the members of the recipe and the columns, the LSTM first: `fit(data, run)` of each module here, which
    returns None where the data allow no such member. All processes fit the LSTM together, the first one the others.
    """
    kinds = ["lstm"]
    if not current().rank:
        kinds += _other_kinds(data)
    fitted = [import_module(f"{__name__}.{kind}").fit(data, run) for kind in kinds]
    return [member for member in fitted if member is not None]


def _other_kinds(data: TrainingData) -> list[str]:
    """The modules here but the LSTM's, in the order of the alphabet, without those that the recipe turns off."""
    sizes = {
        "columns": len(data.preprocessor.columns),
        "convolutions": data.recipe.convolutions.features,
        "ngrams": data.recipe.ngrams.order,
    }
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return [name for name in names if name != "lstm" and sizes.get(name) != 0]
