"""`Classes`: the names of what is predicted, and the type of the user's labels."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.types import LabelType, Task

_SHOWN = 20  # classes that a message lists


@dataclass(frozen=True, repr=False)
class Classes(ABC):
    """classes: the names of the K classes or labels, or for regression of the M numbers. label_type: the type of the
    user's labels, whose string form the names are. thresholds: the least probability at which a label is predicted,
    one per class for "multilabel", one for classes[1] of two classes; empty: 0.5. With more classes one per class: the
    predicted class has the largest ratio of probability to threshold. Raises InputError for other values.
    """

    classes: tuple[str, ...]
    label_type: LabelType = "str"
    thresholds: tuple[float, ...] = ()

    task: ClassVar[Task]
    """Its name."""

    def __post_init__(self) -> None:
        if self.label_type not in get_args(LabelType):
            raise InputError(
                f"label_type must be one of {', '.join(get_args(LabelType))}, not {quote(self.label_type)}"
            )
        names = self.classes
        if len(set(names)) != len(names) or not all(isinstance(name, str) and name for name in names):
            raise InputError(f"classes must be distinct names, none empty; got {quote(names)}")

    @property
    def description(self) -> str:
        """The task in words, for titles."""
        return self.task

    def index(self, label: Any) -> int:
        """The index of a class, label or number, given as a label or by its name. Raises InputError for another one."""
        name = str(label.item() if isinstance(label, np.generic) else label)
        if name not in self.classes:
            known = ", ".join(map(quote, self.classes[:_SHOWN])) + (", ..." if len(self.classes) > _SHOWN else "")
            raise InputError(f"there is no class {quote(name)}; the classes are {known}")
        return self.classes.index(name)
