"""The cases of the suite, from the reviews to arrays and settings: what each contender is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.also import also
from benchmarks.case import Case, Entry, gatewise
from benchmarks.ladder import ladder
from benchmarks.reviews import LENGTH, Reviews, weights
from benchmarks.wire import Arrays

BATCH = 64
UNITS = (100, 128, 256, 512)
FORCED = ("avx2", "portable")
# How torch's idle threads wait: by default they spin between its many parallel regions, which is quickest where nobody
# else wants the core, and slower by far where somebody does.
PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE"}
TORCH = tuple({"batch_first": first, "environment": waits} for waits in ({}, PASSIVE) for first in (True, False))
TORCH_PACKED: tuple[dict[str, Any], ...] = ({}, {"environment": PASSIVE})
KERAS: tuple[dict[str, Any], ...] = (
    {},
    {"jit_compile": True},
    {"how": "train_on_batch"},
    {"how": "train_on_batch", "jit_compile": True},
)
SIZES = ({"size": 512}, {"size": 1024}, {"size": 2048})


def cases(reviews: Reviews) -> list[Case]:
    """All of them, in the order in which they run."""
    out: list[Case] = []
    for threads in (2, 1):
        out += [_step_tutorial(reviews, threads), _step_masked(reviews, threads), _step_bucketed(reviews, threads)]
        out += [_recurrence(units, threads) for units in UNITS]
        out += [_inference(reviews, threads)]
    out += [_latency(reviews), _recurrent_dropout(reviews), _one_to_two_step(reviews), _one_to_two_kernel()]
    return [*out, ladder(reviews), *also(reviews)]


def names() -> list[str]:
    """The names of all cases, without reading any review."""
    tiny = Reviews([np.arange(1, 20, dtype=np.int32)] * 6400, np.arange(6400) % 2, 88_588, "none")
    return [case.name for case in cases(tiny)]


def _step_settings(threads: int, padding: str, per_run: int = 2, each: bool = True) -> dict[str, Any]:
    how = {"lead": 1, "per_run": per_run, "each": each}
    return {"threads": threads, "padding": padding, "length": LENGTH, "batch": BATCH, **how}


def _turns(threads: int) -> int:
    """No bar is on one thread's steps, and they take longest."""
    return 13 if threads > 1 else 7


def _step_tutorial(reviews: Reviews, threads: int) -> Case:
    return Case(
        name=f"step_tutorial_{threads}",
        what="whole training step of the tutorial's recipe: 64 reviews padded in front to 1000, no mask",
        kind="step",
        entries=(
            *gatewise(threads, forced=(*FORCED, "bf16"), rows=reviews.rows),
            Entry("torch padded", "pytorch", threads, {"layout": "front"}, variants=TORCH),
            Entry("keras", "tensorflow", threads, variants=KERAS),
        ),
        settings=_step_settings(threads, "pre"),
        arrays=weights() | reviews.take(reviews.shuffled(8 * BATCH, 0)),
        turns=_turns(threads),
    )


def _step_masked(reviews: Reviews, threads: int) -> Case:
    return Case(
        name=f"step_masked_{threads}",
        what="whole training step, the same reviews without pads: masked",
        kind="step",
        entries=(
            *gatewise(threads, forced=(*FORCED, "bf16"), rows=reviews.rows),
            Entry("torch packed", "pytorch", threads, {"layout": "packed"}, variants=TORCH_PACKED),
            Entry("torch padded behind", "pytorch", threads, {"layout": "behind"}, variants=TORCH),
            Entry("keras mask_zero", "tensorflow", threads, {"mask_zero": True}),
        ),
        settings=_step_settings(threads, "none"),
        arrays=weights() | reviews.take(reviews.shuffled(8 * BATCH, 0)),
        turns=_turns(threads),
    )


def _step_bucketed(reviews: Reviews, threads: int) -> Case:
    """One run is eight batches, from the shortest to the longest of a pool: none alone stands for an epoch."""
    rows = np.concatenate(reviews.bucketed(8, BATCH, 0))
    return Case(
        name=f"step_bucketed_{threads}",
        what="eight training steps on batches of similar lengths, masked",
        kind="step",
        entries=(
            *gatewise(threads, forced=(*FORCED, "bf16"), rows=reviews.rows),
            Entry("torch bucketed", "pytorch", threads, {"layout": "behind"}, variants=TORCH),
        ),
        settings=_step_settings(threads, "none", per_run=8, each=False),
        arrays=weights() | reviews.take(rows),
        turns=_turns(threads),
    )


def recurrence_arrays(units: int, batch: int, steps: int, seed: int = 0) -> Arrays:
    """One input a step: x (B, T, 1), weights as Keras starts them, and the gradient of h_T (B, H)."""
    rng = np.random.default_rng(seed)
    arrays = weights(units)
    return {
        "x": rng.standard_normal((batch, steps, 1), dtype=np.float32),
        "weight_ih": rng.uniform(-0.1, 0.1, (4 * units, 1)).astype(np.float32),
        "weight_hh": arrays["weight_hh"],
        "bias": arrays["bias"],
        "dh_T": rng.standard_normal((batch, units), dtype=np.float32),
    }


def _recurrence(units: int, threads: int) -> Case:
    steps = 200 if units < 256 else 100 if units < 512 else 50
    return Case(
        name=f"recurrence_h{units}_{threads}",
        what=f"the recurrence alone, forward and backward, H {units}, 64 sequences of {steps} steps",
        kind="recurrence",
        entries=(
            *gatewise(threads, forced=(*FORCED, "bf16")),
            Entry("gatewise.nn.LSTM", "ours", threads, {"kind": "layer"}),
            Entry("torch", "pytorch", threads, variants=TORCH),
            # Not the same work: the yardstick, in seconds for 10⁹ floating-point operations.
            *yardsticks(threads),
        ),
        settings={"threads": threads, "repeats": 2},
        arrays=recurrence_arrays(units, BATCH, steps),
        scale=24e-9 * units**2 * BATCH * steps,
        unit="GFLOP",
    )


def yardsticks(threads: int) -> tuple[Entry, ...]:
    """Every library's own product of matrices: the machine's rate is the best of them."""
    made = [
        ("torch.mm", "pytorch"),
        ("numpy", "openblas"),
        ("tf.matmul", "tensorflow"),
        ("onnx MatMul", "onnx_runtime"),
    ]
    return tuple(Entry(f"sgemm {name}", module, threads, {"kind": "sgemm"}, variants=SIZES) for name, module in made)


def _inference(reviews: Reviews, threads: int) -> Case:
    rows = reviews.sorted_by_length(1000, 1)
    return Case(
        name=f"inference_{threads}",
        what="logits of 1,000 reviews from their ids, sorted by length, in batches of 64",
        kind="inference",
        entries=(
            *gatewise(threads, forced=(*FORCED, "bf16"), rows=reviews.rows),
            Entry(
                "onnxruntime",
                "onnx_runtime",
                threads,
                variants=({"sequence_lens": False}, {"sequence_lens": True}),
            ),
            Entry("torch", "pytorch", threads, {"layout": "behind"}, variants=TORCH),
        ),
        settings={"threads": threads, "padding": "none", "length": LENGTH, "batch": BATCH, "repeats": 1},
        arrays=weights() | reviews.take(rows),
        scale=float(reviews.lengths[rows].sum()) / 1e6,
        unit="million words",
    )


def _latency(reviews: Reviews) -> Case:
    row = np.array([reviews.of_length(238)])
    return Case(
        name="latency_1",
        what=f"logit of one review of {int(reviews.lengths[row[0]])} ids, one thread; the median of 100 calls",
        kind="inference",
        entries=(
            *gatewise(1, forced=(*FORCED, "bf16"), rows=reviews.rows),
            Entry("gatewise kernel and head", "ours", 1, {"rows": reviews.rows, "how": "network"}),
            Entry("onnxruntime", "onnx_runtime", 1, variants=({"sequence_lens": False}, {"sequence_lens": True})),
            Entry("torch", "pytorch", 1, {"layout": "behind"}, variants=TORCH),
        ),
        settings={"threads": 1, "padding": "none", "length": LENGTH, "batch": 1, "repeats": 100},
        arrays=weights() | reviews.take(row),
    )


def _recurrent_dropout(reviews: Reviews) -> Case:
    """Not the same function: one of them drops."""
    entries = (
        Entry("gatewise", "ours", 2, {"rows": reviews.rows}),
        Entry("gatewise dropping", "ours", 2, {"rows": reviews.rows, "recipe": {"dropout_recurrent": 0.25}}),
    )
    return Case(
        name="recurrent_dropout_2",
        what="whole training step, masked, without and with variational dropout of the state",
        kind="step",
        entries=entries,
        settings=_step_settings(2, "none"),
        arrays=weights() | reviews.take(reviews.shuffled(8 * BATCH, 0)),
        same=False,
        turns=31,
    )


def _one_to_two(name: str, what: str, kind: str, arrays: Arrays, settings: Callable[[int], dict[str, Any]]) -> Case:
    entries = tuple(Entry(f"{n} thread{'s' * (n > 1)}", "ours", n, settings(n)) for n in (1, 2))
    return Case(name, what, kind, entries, {}, arrays, turns=21)


def _one_to_two_step(reviews: Reviews) -> Case:
    arrays = weights() | reviews.take(reviews.shuffled(8 * BATCH, 0))
    what = "whole training step of the tutorial's recipe, on one thread and on two"
    return _one_to_two(
        "one_to_two_step", what, "step", arrays, lambda n: _step_settings(n, "pre") | {"rows": reviews.rows}
    )


def _one_to_two_kernel() -> Case:
    what = "the recurrence alone, H 128, 64 sequences of 200 steps, on one thread and on two"
    return _one_to_two(
        "one_to_two_kernel",
        what,
        "recurrence",
        recurrence_arrays(128, BATCH, 200),
        lambda n: {"threads": n, "repeats": 3},
    )
