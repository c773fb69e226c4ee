"""The cases of networks that were written for PyTorch: `Model.predict` of opened ones, and training with
`gatewise.nn.LSTM` in the place of `torch.nn.LSTM`, the layer alone and whole scripts.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from benchmarks.case import Case, Contender, on_both_heaps
from benchmarks.contenders.base import Arrays, Settings
from benchmarks.reviews import weights

UNITS = (16, 64, 128, 256, 512)
BATCH_SIZES = (1, 32, 256)
STEPS = (20, 100, 500)
CHANNELS = 4
LAYER_UNITS = (64, 100, 128, 256, 512)
LAYER_BATCH_SIZES = (1, 8, 32, 64)
LAYER_STEPS = (35, 100, 400)
SCRIPTS = {
    "word_language_model": "PyTorch's word_language_model, 2 layers of 200 units, 20 sequences of 35 words",
    "packed_sentiment": "sentiment, 2 bidirectional layers of 128 units, 64 packed texts of 20 to 250 words",
    "forecaster": "forecaster, 2 layers of 64 units, 32 windows of 96 steps and 7 channels",
}
_OPERATIONS = 1e9  # of one run: small sizes repeat the call, at most 50 times


def opened_cases() -> list[Case]:
    """All of them, with one thread."""
    return [
        *(_predict(*cell) for cell in product(UNITS, BATCH_SIZES, STEPS)),
        *(_layer(*cell) for cell in product(LAYER_UNITS, LAYER_BATCH_SIZES, LAYER_STEPS)),
        *(_script(name, text) for name, text in SCRIPTS.items()),
    ]


def layer_arrays(channels: int, units: int, batch: int, steps: int) -> Arrays:
    """x (B, T, C), initial weights as in Keras, and the gradient of h_T (B, H)."""
    rng = np.random.default_rng(0)
    arrays = weights(units)
    return {
        "x": rng.standard_normal((batch, steps, channels), dtype=np.float32),
        "weight_ih": rng.uniform(-0.1, 0.1, (4 * units, channels)).astype(np.float32),
        "weight_hh": arrays["weight_hh"],
        "bias": arrays["bias"],
        "dh_T": rng.standard_normal((batch, units), dtype=np.float32),
    }


def _torch(name: str, how: str) -> Contender:
    return Contender(name, "pytorch", 1, {"how": how}, variants=on_both_heaps(({},)))


def _predict(units: int, batch: int, steps: int) -> Case:
    """`Model.predict` of a series network, at one size.

    torch.compile is no contender: it does not compile nn.LSTM unless the experimental torch._dynamo.config.allow_rnn is
    set ("Dynamo does not support RNN, GRU, or LSTM", as TORCH_LOGS=graph_breaks prints), so it would be "torch" again.
    tests/benchmarks/test_benchmarks.py fails where a torch compiles it.
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


def _layer(units: int, batch: int, steps: int) -> Case:
    """A training step of the layer at one size, with as many input channels as units."""
    repeats = max(1, min(50, round(_OPERATIONS / (48.0 * units**2 * batch * steps))))
    heaps: tuple[Settings, ...] = on_both_heaps(({},))
    ours = Contender("gatewise", "gatewise", 1, {"kind": "layer"}, variants=heaps)
    return Case(
        f"layer_h{units}_b{batch}_t{steps}",
        f"nn.LSTM, forward and backward, H {units}, {batch} sequences of {steps} steps",
        "recurrence",
        (ours, Contender("torch", "pytorch", 1, variants=heaps)),
        {"repeats": repeats},
        layer_arrays(units, units, batch, steps),
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
