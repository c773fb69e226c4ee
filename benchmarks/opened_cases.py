"""The cases of networks that were written for PyTorch: `Model.predict` of opened ones, and training scripts in which
`gatewise.nn.LSTM` takes the place of `torch.nn.LSTM`.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from benchmarks.case import Case, Contender, on_both_heaps
from benchmarks.contenders.base import Settings

UNITS = (16, 64, 128, 256, 512)
BATCH_SIZES = (1, 32, 256)
STEPS = (20, 100, 500)
CHANNELS = 4
SCRIPTS = {
    "word_language_model": "PyTorch's word_language_model, 2 layers of 200 units, 20 sequences of 35 words",
    "packed_sentiment": "sentiment, 2 bidirectional layers of 128 units, 64 packed texts of 20 to 250 words",
    "forecaster": "forecaster, 2 layers of 64 units, 32 windows of 96 steps and 7 channels",
}
_OPERATIONS = 1e9  # of one run: small sizes repeat the call, at most 50 times


def opened_cases() -> list[Case]:
    """All of them, with one thread."""
    cells = product(UNITS, BATCH_SIZES, STEPS)
    return [*(_predict(*cell) for cell in cells), *(_script(name, text) for name, text in SCRIPTS.items())]


def _torch(name: str, how: str) -> Contender:
    return Contender(name, "pytorch", 1, {"how": how}, variants=on_both_heaps(({},)))


def _predict(units: int, batch: int, steps: int) -> Case:
    """`Model.predict` of a series network, at one size. torch.compile runs torch's own operator for nn.LSTM, so it has
    no case of its own here: `inference` tries it.
    """
    x = np.random.default_rng(0).standard_normal((batch, steps, CHANNELS), dtype=np.float32)
    repeats = max(1, min(50, round(_OPERATIONS / (8.0 * units**2 * batch * steps))))
    return Case(
        f"predict_h{units}_b{batch}_t{steps}",
        f"predict of an opened network, H {units}, {batch} series of {steps} steps",
        "opened",
        (
            Contender("gatewise", "gatewise", 1, variants=on_both_heaps(({},))),
            _torch("torch", "eager"),
            _torch("torch frozen", "frozen"),
        ),
        {"units": units, "repeats": repeats},
        {"x": x},
        rounds=7,
    )


def _script(name: str, description: str) -> Case:
    heaps: tuple[Settings, ...] = on_both_heaps(({},))
    return Case(
        f"script_{name}",
        f"training step, {description}",
        "script",
        (Contender("gatewise", "gatewise", 1, variants=heaps), Contender("torch", "pytorch", 1, variants=heaps)),
        {"script": name, "repeats": 3},
        {},
        rounds=9,
    )
