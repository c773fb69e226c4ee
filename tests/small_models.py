"""Small models with random, asymmetric weights, for the tests of what is around a network."""

from functools import cache
from typing import Any

from gatewise.model.model import Model, load
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.model.series_preprocessor import SeriesPreprocessor
from gatewise.network.architecture import Architecture
from gatewise.target import target_of
from gatewise.text import Encoding
from gatewise.types import Task
from tests.explain.random_net import parameters_of


def small_model(
    reads: Encoding | SeriesPreprocessor,
    classes: tuple[str, ...] = ("no", "yes"),
    seed: int = 1,
    *,
    task: Task = "classification",
    given: dict[str, Any] | None = None,
    **shape: Any,
) -> Model:
    """reads: the encoding of its texts, or the preprocessor of its series; given: more of `Model.of_network`; shape: of
    its network, which has 6 units and embeddings of 5 numbers unless it says otherwise; `layers` may be a tuple.
    """
    preprocessor = reads if isinstance(reads, SeriesPreprocessor) else TextPreprocessor(reads)
    inputs, size, *_ = preprocessor.inputs
    plain = {"embedding_dim": 5 if inputs == "tokens" else 0, "outputs": target_of(classes, task).outputs}
    make: Any = Architecture
    if not isinstance(shape.get("layers"), tuple):
        make, plain["units"] = Architecture.stacked, 6
    arch = make(inputs, size, **{**plain, **shape})
    return Model.of_network(arch, parameters_of(arch, seed), preprocessor, classes, task=task, **given or {})


@cache
def bundled_model(name: str) -> Model:
    """A model that is installed with the package: "bundled" or "tutorial"."""
    return load(name)
