"""No line of a training step allocates a megabyte: buffers are reused from step to step.

tracemalloc reports the memory of Python and of NumPy's own arrays. The kernel's results and the arrays of
`gatewise.kernels.memory` come from the arena of the extension, which tracemalloc does not see; that the arena uses its
blocks again is shown by its size after a step. BLAS and the system's allocator below the extension are not covered,
nor validation, checkpoints and the preparation of data, nor steps of two threads. The batches are small, but every
array over their steps, distinct tokens or sampled candidates is larger than a megabyte.
"""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

import numpy as np
import pytest

import gatewise
from gatewise.data.labelled import Labelled
from gatewise.kernels import get, memory, native
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.network.architecture import initial_parameters, language_model_shapes
from gatewise.network.batch import Batch
from gatewise.network.trainable import Network
from gatewise.text import KerasEncoding
from gatewise.training import Callback, pretrain_recipe, recipe
from gatewise.training.language import LanguageModel
from gatewise.training.loop import Loop
from gatewise.training.pretrain_loop import PretrainLoop
from gatewise.training.training_data import TrainingData
from tests.kernels.batches import needs_native

pytestmark = needs_native
PACKAGE = str(Path(gatewise.__file__).parent)
LIMIT = 1 << 20  # bytes
Step = Callable[[int], object]


class Trained(NamedTuple):
    """A recipe with changes, and a batch of texts of `words` words each, out of `vocabulary`."""

    recipe: str
    changes: dict[str, Any]
    words: int
    vocabulary: int


TRAINED = {
    "tutorial": Trained("tutorial", {}, 312, 10_000),
    "fast": Trained("fast", {}, 250, 8_000),
    "fast, two layers": Trained("fast", {"layers": 2}, 250, 8_000),
    "finetune": Trained("finetune", {"units": 512, "embedding_dim": 256}, 60, 3_000),
    "best": Trained("best", {"units": 64, "embedding_dim": 128}, 200, 6_000),
}
PRETRAINED = {  # size, changes and vocabulary
    "pretrain": ("large", {"bptt": 20, "num_sampled": 1_200}, 8_000),
    "pretrain, embeddings": ("embeddings", {"bptt": 40, "num_sampled": 2_400}, 12_000),
}


def lines_that_allocate(step: Callable[[], object]) -> list[str]:
    """The lines of gatewise that run in `step` and allocate LIMIT at once, as often as they do."""
    found: list[tuple[CodeType | None, int]] = []
    before: int = 0
    line: tuple[CodeType | None, int] = None, 0

    def next_line(frame: FrameType | None) -> None:
        nonlocal before, line
        if tracemalloc.get_traced_memory()[1] - before >= LIMIT:
            found.append(line)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        line = (None, 0) if frame is None else (frame.f_code, frame.f_lineno)  # text would be an allocation

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        next_line(frame.f_back if event == "return" else frame)
        return trace

    outer = sys.gettrace()
    tracemalloc.start()
    sys.settrace(trace)
    try:
        step()
    finally:
        sys.settrace(outer)
        tracemalloc.stop()
    return [f"{code.co_filename if code else '?'}:{number}" for code, number in found]


def trained(case: Trained) -> Step:
    """The step of a recipe, always on the same batch."""
    settings = recipe(case.recipe, **case.changes)
    rng, rows = np.random.default_rng(7), np.arange(settings.batch_size)
    data = TrainingData(
        data=Labelled.of(["x", "y"], ["bad", "good"]),
        recipe=settings,
        preprocessor=TextPreprocessor(KerasEncoding({"x": 1})),
        architecture=settings.architecture("tokens", case.vocabulary, 1),
        sequences=list(rng.integers(1, case.vocabulary, (len(rows), case.words))),
        labels=rng.integers(0, 2, len(rows)),
        train=rows,
        validation=rows,
        trainable_rows=np.arange(case.vocabulary),
    )
    start = initial_parameters(data.architecture, rng)
    network = Network(
        data.architecture, start, trainable_rows=data.trainable_rows, dropout=settings.dropout, kernel=get("native")
    )
    batch = Batch.of(data.sequences, data.architecture)
    assert batch.distinct is not None
    assert len(batch.distinct) * settings.embedding_dim * 4 > LIMIT
    assert batch.lengths.sum() * settings.units * 4 > LIMIT
    loop = Loop(data, network, 0, Callback(), None, "")
    return lambda number: loop._step(rows, number, 10)


def pretrained(size: str, changes: dict[str, Any], vocabulary: int) -> Step:
    """The step of a pretraining."""
    settings = pretrain_recipe(size, **changes)
    rng = np.random.default_rng(7)
    parameters = {
        name: 0.1 * rng.standard_normal(shape, dtype=np.float32)
        for name, shape in language_model_shapes(vocabulary, settings.embedding_dim, settings.units).items()
    }
    dropout = {"dropout_word": settings.dropout_word, "dropout_output": settings.dropout_output}
    network = LanguageModel(parameters, get("native"), **dropout)
    texts = [rng.integers(1, vocabulary, 99).astype(np.int32) for _ in range(200)]
    loop = PretrainLoop(network, settings, texts, [], 0, Callback(), None, "")
    loop.progress.steps = 10
    tokens = loop.streams.epoch(0, False)[:, : settings.bptt]
    for rows in (np.unique(tokens), loop.sampler.sample(rng)):
        assert len(rows) * settings.embedding_dim * 4 > LIMIT
    return loop._step


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWISE_THREADS", "1")


@pytest.mark.parametrize("name", [*TRAINED, *PRETRAINED])
def test_a_step_allocates_no_megabyte(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    step = trained(TRAINED[name]) if name in TRAINED else pretrained(*PRETRAINED[name])
    step(0)
    assert lines_that_allocate(lambda: step(1)) == []
    monkeypatch.setattr(memory, "SMALLEST", sys.maxsize)  # NumPy's own arrays, which must be found
    assert lines_that_allocate(lambda: step(2))


@pytest.mark.parametrize("name", ["fast, two layers", "best"])
def test_the_arena_uses_its_blocks_again(name: str) -> None:
    step, extension, sizes = trained(TRAINED[name]), native._extension(), []
    extension.set_cache_limit(0)
    extension.set_cache_limit(1 << 30)
    for number in range(8):  # the first steps find what other tests of the process have left, and fill the gaps
        step(number)
        sizes.append(extension.cached_bytes())
    assert len(set(sizes[4:])) == 1, sizes
