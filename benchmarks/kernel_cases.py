"""Cases that measure gatewise alone: the speed-up of each kernel, scaling with size, and unusual input."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.case import Case, Contender, one_and_two_threads
from benchmarks.contenders.base import Arrays
from benchmarks.reviews import LENGTH, Reviews, weights

H, BATCH, PAD = 100, 64, 0
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
    return [
        _kernels(reviews),
        _sequence_length(),
        _batch_size(),
        _denormals(),
        _one_long_sequence(),
        _unsorted_batch(reviews),
    ]


def _kernels(reviews: Reviews) -> Case:
    ids = [reviews.ids[n][-LENGTH:] for n in reviews.shuffled(BATCH, 0)]
    padded = np.full((BATCH, LENGTH), PAD, dtype=np.int64)
    for row, one in zip(padded, ids, strict=True):
        row[LENGTH - len(one) :] = one
    padded_arrays = _arrays(np.full(BATCH, LENGTH), padded.reshape(-1))
    ragged_arrays = _arrays(np.array([len(one) for one in ids]), np.concatenate(ids))
    contenders = tuple(
        Contender(name, "gatewise", threads, {}, environment, arrays=ragged_arrays if n else padded_arrays)
        for n, (name, environment, threads) in enumerate(KERNELS)
    )
    description = f"recurrence, forward and backward, H {H}, {BATCH} reviews: from NumPy to the fastest kernel"
    return Case(
        "kernels", description, "recurrence", contenders, {"repeats": 1}, {}, equivalent=False, warmup=1, rounds=7
    )


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


def _kernel_case(name: str, description: str, arrays: dict[str, Arrays], threads: int = 2, rounds: int = 9) -> Case:
    """The kernel, forward and backward, on different arrays."""
    contenders = tuple(Contender(key, "gatewise", threads, arrays=each) for key, each in arrays.items())
    return Case(name, description, "recurrence", contenders, {"repeats": 3}, {}, equivalent=False, rounds=rounds)


def _sequence_length() -> Case:
    description = f"recurrence, forward and backward, H {H}, 16 sequences of equal length: time against length"
    return _kernel_case("sequence_length", description, {f"{t:,} steps": _arrays(np.full(16, t)) for t in LENGTHS})


def _batch_size() -> Case:
    description = f"recurrence, forward and backward, H {H}, sequences of 200 steps: time against batch size"
    return _kernel_case("batch_size", description, {f"{b} sequences": _arrays(np.full(b, 200)) for b in BATCH_SIZES})


def _denormals() -> Case:
    """Gradients that start at the smallest normal number and fall below it; inputs that saturate the gates."""
    normal = _arrays(np.full(64, 200))
    return _kernel_case(
        "denormals",
        f"recurrence, forward and backward, H {H}, 64 sequences of 200 steps: normal and extreme numbers",
        {
            "normal": normal,
            "denormal gradients": normal | {"dh_T": normal["dh_T"] * np.float32(1e-38)},
            "saturated gates": normal | {"pre": normal["pre"] * np.float32(30)},
        },
        rounds=15,
    )


def _two_threads(name: str, description: str, lengths: NDArray[np.int64]) -> Case:
    arrays, description = _arrays(lengths), f"recurrence, forward and backward, H {H}: {description}"
    return Case(name, description, "recurrence", one_and_two_threads(), {"repeats": 3}, arrays, equivalent=False)


def _one_long_sequence(longest: int = 1000) -> Case:
    lengths = np.array([longest, *np.random.default_rng(0).integers(50, 150, 63)], dtype=np.int64)
    return _two_threads("one_long_sequence", f"one sequence of {longest} steps among 63 of 50 to 150", lengths)


def _unsorted_batch(reviews: Reviews) -> Case:
    return _two_threads("unsorted_batch", "64 reviews in random order", reviews.lengths[reviews.shuffled(64, 0)])
