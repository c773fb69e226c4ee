"""Many threads, forked children and data loaders that use one model."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.kernels import LSTMCall, native
from gatewise.kernels.native import Native
from gatewise.model.model import Model
from tests.exchange.random_models import random_inputs, random_model
from tests.kernels.batches import given
from trust.attack import Attack
from trust.forked import DONE, Child
from trust.mutate import Rng, choice

THREADS = 64


@cache
def models() -> list[tuple[Model, list[list[Any]], list[bytes]]]:
    """Models, batches of inputs, and the predictions for each batch."""
    kinds: list[Model] = [
        random_model(1, linear="ngrams", units=40),
        random_model(2, classes=3, bidirectional=True, layers=2),
        random_model(3, inputs="channels", linear="convolutions", classes=3),
    ]
    made = []
    for model in kinds:
        batches = [random_inputs(model, 1 + seed % 7, seed=seed, longest=80) for seed in range(32)]
        made.append((model, batches, [_predicted(model, batch) for batch in batches]))
    return made


def _predicted(model: Model, batch: list[Any]) -> bytes:
    return bytes(np.asarray(model.predict_proba(batch)).tobytes())


def _many_threads(rng: Rng, folder: Path) -> str | None:
    model, batches, wanted = choice(rng, models())
    numbers = rng.integers(0, len(batches), THREADS).tolist()
    together = threading.Barrier(THREADS)

    def predict(number: int) -> bytes:
        together.wait(30)
        return _predicted(model, batches[number])

    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(predict, numbers))
    wrong = [number for number, one in zip(numbers, found, strict=True) if one != wanted[number]]
    return f"{len(wrong)} of {THREADS} predictions differ" if wrong else None


def _forked(rng: Rng, folder: Path) -> str | None:
    model, batches, wanted = choice(rng, models())
    numbers = rng.integers(0, len(batches), 4).tolist()
    _predicted(model, batches[numbers[0]])  # starts threads

    def work() -> None:
        for number in numbers:
            if _predicted(model, batches[number]) != wanted[number]:
                raise AssertionError("a prediction differs")

    children = [Child(work) for _ in range(3)]
    for code, message in [child.wait() for child in children]:
        if code != DONE:
            return f"exit code {code}: {message}"
    return None


class _Predictions:
    """A data set whose items are predictions."""

    def __init__(self, which: int) -> None:
        self.which = which

    def __len__(self) -> int:
        return len(models()[self.which][1])

    def __getitem__(self, number: int) -> tuple[int, bytes]:
        model, batches, _ = models()[self.which]
        return number, _predicted(model, batches[number])


def _data_loader(rng: Rng, folder: Path) -> str | None:
    from torch.utils.data import DataLoader

    which = int(rng.integers(len(models())))
    data: Any = _Predictions(which)
    loader: Any = DataLoader(data, batch_size=None, num_workers=int(rng.integers(1, 4)))
    wrong = [number for number, found in loader if found != models()[which][2][number]]
    return f"{len(wrong)} predictions differ" if wrong else None


def _changing_arrays(rng: Rng, folder: Path) -> str | None:
    """Nothing but ValueError may come of it, which the checks in Python (InputError) and in C++ raise; a crash ends the
    process. Some calls must pass the checks, else none of them runs while its arrays change.
    """
    arrays = given(int(rng.integers(1, 60)), int(rng.integers(2**31)), 20, 60, 6)
    kernel, stop = Native(threads=int(rng.integers(1, 4))), threading.Event()
    bad = [10**6, -1, 2**30, -(2**31)]

    def change() -> None:
        own = np.random.default_rng(1)
        while not stop.is_set():
            name = ("index", "lengths")[own.integers(2)]
            at, before = own.integers(len(arrays[name])), arrays[name].copy()
            arrays[name][at] = bad[own.integers(4)] if name == "index" else before[at] + own.integers(-2, 3)
            if own.random() < 0.1:
                time.sleep(0)  # the checks of the next call see it
            arrays[name][:] = before
            time.sleep(0)

    changer = threading.Thread(target=change)
    changer.start()
    passed = 0
    try:
        for _ in range(20):
            try:
                run = kernel.forward(LSTMCall(**arrays))
                passed += 1
                if run.saved is not None:
                    kernel.backward(run.saved, None, np.zeros_like(run.h_T), np.zeros_like(run.c_T))
            except ValueError:
                pass
    finally:
        stop.set()
        changer.join()
    return None if passed else "no call passed the checks"


MANY_THREADS = Attack(
    "many-threads",
    "Threads that share a model get the predictions of a single thread, bit for bit.",
    f"{THREADS} threads call one model at once, with different inputs",
    4,
    500,
    _many_threads,
    models,
    memory=0,
)
FORKED = Attack(
    "forked",
    "A forked child predicts what its parent predicts, also after the parent has started threads.",
    "three children at once, after a prediction in the parent",
    4,
    500,
    _forked,
    models,
    memory=0,
)
DATA_LOADER = Attack(
    "data-loader",
    "Workers of torch's DataLoader predict what the parent predicts.",
    "one to three workers, whose data set calls the model",
    1,
    200,
    _data_loader,
    models,
    unavailable=lambda: "" if find_spec("torch") else "needs torch",
    seconds=120,
    memory=0,
)
CHANGING_ARRAYS = Attack(
    "changing-arrays",
    "Arrays that another thread changes during a call never crash the process.",
    "a thread writes row numbers out of range and other lengths during twenty calls",
    10,
    2_000,
    _changing_arrays,
    unavailable=lambda: native.unavailable_reason() or "",
)
