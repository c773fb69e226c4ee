"""Fits of members: one file per kind, each with a function from the training data to a `FittedMember`.

A new kind of member is a subclass of `gatewise.members.member.Member` and a module here with its `fit`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatewise.model.card import NearDuplicates
from gatewise.training.callback import Callback
from gatewise.training.run import RunFolder
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
