"""Cases that measure gatewise alone: the speed-up of each kernel, scaling with size, and unusual input."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.case import Case, Contender
from benchmarks.contenders.base import Arrays, padded
from benchmarks.reviews import LENGTH, Reviews, weights

H, BATCH = 100, 64
LENGTHS = (1000, 2000, 5000, 10_000)
BATCH_SIZES = (16, 32, 64, 128, 256)

# Each kernel changes one thing: the first computes every pad, as a padded batch must; the second leaves them out; then
# follow the C++ build, its instruction sets, a second thread and bfloat16. Name, environment, threads.
_NATIVE = {"GATEWISE_KERNEL": "native"}
KERNELS: tuple[tuple[str, dict[str, str], int], ...] = (
    ("reference, padded", {"GATEWISE_KERNEL": "reference"}, 1),
    ("reference, ragged", {"GATEWISE_KERNEL": "reference"}, 1),
    ("native portable", _NATIVE | {"GATEWISE_ISA": "portable"}, 1),
    ("native avx2", _NATIVE | {"GATEWISE_ISA": "avx2"}, 1),
    ("native avx512", _NATIVE | {"GATEWISE_ISA": "avx512"}, 1),
    ("native avx512, two threads", _NATIVE | {"GATEWISE_ISA": "avx512"}, 2),
    ("bf16, two threads", {"GATEWISE_KERNEL": "bf16"}, 2),
)


def kernel_cases(reviews: Reviews) -> list[Case]:
    """All of them, in the order in which they run."""
    rows = reviews.shuffled(BATCH, 0)
    ids = [reviews.ids[n][-LENGTH:] for n in rows]
    every_pad = _arrays(np.full(BATCH, LENGTH), padded(ids, LENGTH, "pre").reshape(-1))
    ragged = _arrays(np.array([len(one) for one in ids]), np.concatenate(ids))
    kernels = tuple(
        Contender(name, "gatewise", threads, {}, environment, arrays=ragged if n else every_pad)
        for n, (name, environment, threads) in enumerate(KERNELS)
    )
    # Gradients that start at the smallest normal number and fall below it; inputs that saturate the gates.
    normal = _arrays(np.full(64, 200))
    extreme = {
        "normal": normal,
        "denormal gradients": normal | {"dh_T": normal["dh_T"] * np.float32(1e-38)},
        "saturated gates": normal | {"pre": normal["pre"] * np.float32(30)},
    }
    lengths = {f"{t:,} steps": _arrays(np.full(16, t)) for t in LENGTHS}
    sizes = {f"{b} sequences": _arrays(np.full(b, 200)) for b in BATCH_SIZES}
    return [
        _case("kernels", f"{BATCH} reviews: from NumPy to the fastest kernel", kernels, repeats=1, warmup=1, rounds=7),
        _case("sequence_length", "16 sequences of equal length: time against length", _each(lengths), rounds=9),
        _case("batch_size", "sequences of 200 steps: time against batch size", _each(sizes), rounds=9),
        _case("denormals", "64 sequences of 200 steps: normal and extreme numbers", _each(extreme)),
    ]


def _case(
    name: str,
    description: str,
    contenders: tuple[Contender, ...],
    repeats: int = 3,
    **options: Any,
) -> Case:
    """The kernel, forward and backward."""
    description = f"recurrence, forward and backward, H {H}, {description}"
    settings = {"repeats": repeats}
    return Case(name, description, "recurrence", contenders, settings, {}, equivalent=False, **options)


def _each(arrays: dict[str, Arrays]) -> tuple[Contender, ...]:
    """The kernel on different arrays, with two threads."""
    return tuple(Contender(name, "gatewise", 2, arrays=one) for name, one in arrays.items())


def _arrays(lengths: NDArray[np.int64], ids: NDArray[np.int64] | None = None) -> Arrays:
    """Input of the kernel alone: one random row of pre per unique token, and each step's row; by default 500 tokens."""
    rng = np.random.default_rng(0)
    unique, index = np.unique(rng.integers(0, 500, lengths.sum()) if ids is None else ids, return_inverse=True)
    return {
        "pre": rng.standard_normal((len(unique), 4 * H), dtype=np.float32),
        "index": index.astype(np.int32),
        "lengths": lengths.astype(np.int64),
        "weight_hh": weights(H)["weight_hh"],
        "dh_T": rng.standard_normal((len(lengths), H), dtype=np.float32),
    }
