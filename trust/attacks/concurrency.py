"""Many threads, forked children and data loaders that use one model."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

import gatewise as gw
from gatewise.errors import ModelFileError
from gatewise.kernels import LSTMCall
from gatewise.kernels.native import Native
from gatewise.model.model import Model
from tests.exchange.random_models import random_inputs, random_model
from tests.kernels.batches import given
from trust.attack import Attacks, without_native
from trust.attacks.limits import old_and_new
from trust.forked import DONE, Child
from trust.mutate import Rng, choice

ATTACKS = Attacks()
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


@ATTACKS.add("many-threads", 4, 500, prepare=models, memory=0)
def _many_threads(rng: Rng, folder: Path) -> None:
    """Threads that share a model get the predictions of a single thread, bit for bit.

    64 threads call one model at once, with different inputs
    """
    model, batches, wanted = choice(rng, models())
    numbers = rng.integers(0, len(batches), THREADS).tolist()
    together = threading.Barrier(THREADS)

    def predict(number: int) -> bytes:
        together.wait(30)
        return _predicted(model, batches[number])

    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(predict, numbers))
    wrong = [number for number, one in zip(numbers, found, strict=True) if one != wanted[number]]
    assert not wrong, f"{len(wrong)} of {THREADS} predictions differ"


@ATTACKS.add("forked", 4, 500, prepare=models, memory=0)
def _forked(rng: Rng, folder: Path) -> None:
    """A forked child predicts what its parent predicts, also after the parent has started threads.

    three children at once, after a prediction in the parent
    """
    model, batches, wanted = choice(rng, models())
    numbers = rng.integers(0, len(batches), 4).tolist()
    _predicted(model, batches[numbers[0]])  # starts threads

    def work() -> None:
        for number in numbers:
            assert _predicted(model, batches[number]) == wanted[number], "a prediction differs"

    for code, message in [child.wait() for child in [Child(work) for _ in range(3)]]:
        assert code == DONE, f"exit code {code}: {message}"


@ATTACKS.add("data-loader", 1, 200, prepare=models, seconds=120, memory=0)
def _data_loader(rng: Rng, folder: Path) -> None:
    """Workers of torch's DataLoader predict what the parent predicts.

    one to three workers, which call the model
    """
    from torch.utils.data import DataLoader

    model, batches, wanted = choice(rng, models())
    data: Any = range(len(batches))
    predict, workers = (lambda n: (n, _predicted(model, batches[n]))), int(rng.integers(1, 4))
    loader: Any = DataLoader(data, batch_size=None, num_workers=workers, collate_fn=predict)
    wrong = [number for number, found in loader if found != wanted[number]]
    assert not wrong, f"{len(wrong)} predictions differ"


_CALLS = 20  # of which one must pass the checks
_MOST_CALLS = 2_000  # until one passes them


@ATTACKS.add("changing-arrays", 10, 2_000, unavailable=without_native)
def _changing_arrays(rng: Rng, folder: Path) -> None:
    """Arrays that another thread changes during a call never crash the process.

    a thread writes row numbers out of range and other lengths during 20 calls, or up to 2,000 until one is computed
    """
    # Nothing but ValueError may come of it, which the checks in Python (InputError) and in C++ raise; a crash ends the
    # process. A call must pass the checks, else the kernel never runs while its arrays change. On a busy machine the
    # arrays may be wrong at the start of more than 20 calls; where checks refuse everything, 2,000 calls end the try.
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
        for call in range(_MOST_CALLS):
            if passed and call >= _CALLS:
                break
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
    assert passed, "no call passed the checks"


@cache
def two_saved() -> list[tuple[list[Any], Callable[[Any], bytes]]]:
    """Two models and two forecasters, each with what tells one of the two from the other."""
    kinds = list(old_and_new())
    waves = [50 + 9 * np.sin(np.arange(40) / n) for n in (1, 2)]
    forecasters = [gw.Forecaster.fit(one, horizon=3, season=6, epochs=1, min_steps=0, units=3) for one in waves]
    return [
        (kinds, partial(_predicted, batch=random_inputs(kinds[0], 3))),
        (forecasters, lambda one: b"".join(one.to_files().values())),
    ]


@ATTACKS.add("loads-during-saves", 3, 500, prepare=two_saved, memory=0)
def _loads_during_saves(rng: Rng, folder: Path) -> None:
    """A model or forecaster that is loaded while others save to its folder is one of those that were saved, whole.

    one or two processes save two of them to one folder, in turns, while up to four threads load it
    """
    (old, new), known = choice(rng, two_saved())
    wanted = [known(one) for one in (old, new)]
    path, saves, loaders = folder / "m", int(rng.integers(5, 30)), int(rng.integers(1, 5))
    old.save(path)

    def save() -> None:
        for number in range(saves):
            try:
                (new, old)[number % 2].save(path)
            except ModelFileError:  # another process saved meanwhile
                continue

    children = [Child(save) for _ in range(int(rng.integers(1, 3)))]
    done = threading.Event()

    def load() -> None:
        while not done.is_set():
            try:
                assert known(gw.load(path)) in wanted, "a model was loaded that nobody saved"
            except ModelFileError as error:
                if "is being replaced again and again" not in str(error):
                    raise

    with ThreadPoolExecutor(loaders) as pool:
        found = [pool.submit(load) for _ in range(loaders)]
        ends = [child.wait() for child in children]
        done.set()
    for one in found:
        one.result()
    for code, message in ends:
        assert code == DONE, f"a save ended with exit code {code}: {message}"
