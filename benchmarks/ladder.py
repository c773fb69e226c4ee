"""The ladder: the same 64 reviews through the recurrence, forward and backward, by every rung in turn.

Each rung changes one thing: the first walks through every pad, as a padded batch must; the second leaves them out; then
come the C++ build, its instruction sets, a second thread and bfloat16.
"""

from __future__ import annotations

import numpy as np

from benchmarks.case import Case, Entry
from benchmarks.reviews import LENGTH, Reviews, weights
from benchmarks.wire import Arrays

H, BATCH, PAD = 100, 64, 0
_NATIVE = {"GATEWISE_KERNEL": "native"}
RUNGS: tuple[tuple[str, dict[str, str], int], ...] = (
    ("reference, pads and all", {"GATEWISE_KERNEL": "reference"}, 1),
    ("reference, ragged", {"GATEWISE_KERNEL": "reference"}, 1),
    ("native portable", _NATIVE | {"GATEWISE_ISA": "portable"}, 1),
    ("native avx2", _NATIVE | {"GATEWISE_ISA": "avx2"}, 1),
    ("native avx512", _NATIVE | {"GATEWISE_ISA": "avx512"}, 1),
    ("native avx512, two threads", _NATIVE | {"GATEWISE_ISA": "avx512"}, 2),
    ("bf16, two threads", {"GATEWISE_KERNEL": "bf16"}, 2),
)


def ladder(reviews: Reviews) -> Case:
    rows = reviews.shuffled(BATCH, 0)
    ids = [reviews.ids[n][-LENGTH:] for n in rows]
    padded = np.full((BATCH, LENGTH), PAD, dtype=np.int64)
    for row, one in zip(padded, ids, strict=True):
        row[LENGTH - len(one) :] = one
    whole = _arrays(padded.reshape(-1), np.full(BATCH, LENGTH))
    ragged = _arrays(np.concatenate(ids), np.array([len(one) for one in ids]))
    entries = tuple(
        Entry(name, "ours", threads, {}, environment, arrays=ragged if n else whole)
        for n, (name, environment, threads) in enumerate(RUNGS)
    )
    what = f"the recurrence, forward and backward, H {H}, of {BATCH} reviews: from a loop in NumPy to the last rung"
    return Case("ladder", what, "recurrence", entries, {"repeats": 1}, {}, same=False, warm=1, turns=7)


def _arrays(ids: np.ndarray, lengths: np.ndarray) -> Arrays:
    """For the kernel alone: a row of pre for each distinct token, and which one each step takes."""
    rng = np.random.default_rng(0)
    distinct, index = np.unique(ids, return_inverse=True)
    return {
        "pre": rng.standard_normal((len(distinct), 4 * H), dtype=np.float32),
        "index": index.astype(np.int32),
        "lengths": lengths.astype(np.int64),
        "weight_hh": weights(H)["weight_hh"],
        "dh_T": rng.standard_normal((BATCH, H), dtype=np.float32),
    }
