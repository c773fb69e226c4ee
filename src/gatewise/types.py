"""Types that all packages share."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
"""An array of any floating-point dtype; the docstring of the function that takes or returns it gives the shape."""

Index = NDArray[np.int32]
"""Row numbers, as the kernels read them."""

Lengths = NDArray[np.intp]
"""Steps of each sequence of a batch (B,): int64, and int32 in Pyodide, whose NumPy counts with 32 bits."""

Gate = Literal["sigmoid", "binary"]
"""Activation of the gates i, f and o: the logistic sigmoid, or exactly 0 or 1 (Li et al. 2018)."""

Activation = Literal[
    "linear", "relu", "leaky_relu", "tanh", "sigmoid", "hard_sigmoid",
    "gelu", "elu", "selu", "silu", "softplus", "softsign",
]  # fmt: skip
"""Activation of a dense layer, by its name in Keras (`gatewise.network.activations`)."""

Precision = Literal["float32", "bf16"]
"""Number format in which a kernel multiplies."""

Task = Literal["classification", "multilabel", "regression", "tagging"]
"""What a model predicts: one class, any number of labels, numbers, or one class for each step of an input."""


KindName = Literal["text", "series", "arrays"]
"""What the rows of a data set are: texts, series, or arrays by name of a network with several inputs."""


class InputNouns(NamedTuple):
    """What a model reads, in words: one input and several, one step and several, what lengths are counted in, and what
    no prediction says.
    """

    one: str
    many: str
    step: str
    steps: str
    length: str
    limitation: str


TEXTS = InputNouns(
    one="text",
    many="texts",
    step="word",
    steps="tokens",
    length="words separated by spaces",
    limitation="A prediction is a statement about a text, not about its author.",
)
SERIES = InputNouns(
    one="series",
    many="series",
    step="step",
    steps="steps",
    length="steps",
    limitation="It extrapolates to no other range, rate or device.",
)
ROWS = InputNouns(
    one="row",
    many="rows of arrays",
    step="step",
    steps="steps",
    length="steps",
    limitation="A prediction holds for arrays like those that the network was trained on.",
)
NOUNS = {"text": TEXTS, "series": SERIES, "tokens": TEXTS, "channels": SERIES, "windows": SERIES}
"""Of the inputs of a user, by kind, and of what the members of a model read."""

LabelType = Literal["str", "int", "float", "bool"]
"""The type of a user's labels."""


@dataclass(frozen=True)
class ColumnNames:
    """The columns of the tables that a model was trained on: where it finds its inputs in other tables.

    text: joined by a newline. values: the channels of a table with one step of a series per row. label: not needed to
    predict, but of no use as a value. id, time: those of series. numeric, categorical: what the model reads besides the
    text or series. All are empty for a model that was trained on others than tables.
    """

    text: tuple[str, ...] = ()
    label: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    id: str | None = None
    time: str | None = None
    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()

    def __str__(self) -> str:
        """In one line, for the model card: "text: title, body; label: stars"."""
        named = {"text": self.text, "label": self.label, "values": self.values}
        named |= {"numeric": self.numeric, "categorical": self.categorical}
        parts = [f"{what}: {', '.join(names)}" for what, names in named.items() if names]
        parts += [f"{what}: {name}" for what, name in (("id", self.id), ("time", self.time)) if name]
        return "; ".join(parts)


NO_COLUMNS = ColumnNames()
"""Of a model that was trained on texts or arrays."""


@dataclass(frozen=True)
class Faithfulness:
    """Faithfulness of an attribution method on n sequences (`gatewise.explain.attribution.faithfulness`).

    comprehensiveness: the drop of the predicted class's probability when the highest-ranked steps are deleted; higher
    is better. sufficiency: the drop when only those steps are kept; lower is better. Both are means over deleting 1, 5,
    10, 20 and 50% of the steps.
    """

    comprehensiveness: float
    sufficiency: float
    n: int


@dataclass(frozen=True)
class RuleReport:
    """A rule of weak supervision (`gatewise.data.rules`) on the labelled texts and on the unlabelled ones.

    rule: its pattern and label, or the name of its function. coverage: the share of the labelled texts for which it
    votes; agreement: of these, the share whose label it gives, None where there are none; unlabelled_coverage: the
    share of the unlabelled texts for which it votes.
    """

    rule: str
    coverage: float
    agreement: float | None
    unlabelled_coverage: float

    def __str__(self) -> str:
        agreement = "" if self.agreement is None else f", agreement {self.agreement:.1%}"
        measured = f"coverage {self.coverage:.1%}{agreement}"
        return f"{self.rule}: {measured}; coverage of the unlabelled texts {self.unlabelled_coverage:.1%}"
