"""The cases that compare gatewise with other libraries: contenders, arrays and settings of each."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import BF16_TOLERANCE, Case, Contender, gatewise, one_and_two_threads
from benchmarks.contenders.base import Arrays
from benchmarks.kernel_cases import kernel_cases
from benchmarks.reviews import LENGTH, Reviews, weights

BATCH = 64
UNITS = (100, 128, 256, 512)
VARIANTS = ("avx2", "portable", "bf16")
# torch's idle threads spin between parallel regions by default: fastest on an idle machine, far slower on a busy one.
PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE"}
TORCH = tuple(
    {"batch_first": first, "environment": environment} for environment in ({}, PASSIVE) for first in (True, False)
)
TORCH_PACKED: tuple[dict[str, Any], ...] = ({}, {"environment": PASSIVE})
KERAS: tuple[dict[str, Any], ...] = (
    {},
    {"jit_compile": True},
    {"api": "train_on_batch"},
    {"api": "train_on_batch", "jit_compile": True},
)
ONNXRUNTIME = ({"sequence_lens": False}, {"sequence_lens": True})
OPENVINO = ({"hint": "THROUGHPUT"}, {"hint": "LATENCY"})
SIZES = ({"size": 512}, {"size": 1024}, {"size": 2048})


def cases(reviews: Reviews) -> list[Case]:
    """All of them, in the order in which they run."""
    out: list[Case] = []
    for threads in (2, 1):
        out += [_step_tutorial(reviews, threads), _step_masked(reviews, threads), _step_bucketed(reviews, threads)]
        out += [_recurrence(units, threads) for units in UNITS]
        out += [_inference(reviews, threads)]
    out.append(_latency(reviews))
    out += [_thread_scaling_step(reviews), _thread_scaling_kernel(), _first_step(reviews)]
    return [*out, *kernel_cases(reviews)]


def names() -> list[str]:
    """The names of all cases; reads no reviews."""
    tiny = Reviews([np.arange(1, 20, dtype=np.int32)] * 6400, np.arange(6400) % 2, 88_588, "none")
    return [case.name for case in cases(tiny)]


def _step_settings(threads: int, padding: str, steps: int = 2, per_step: bool = True) -> dict[str, Any]:
    timing = {"warmup_steps": 1, "steps": steps, "per_step": per_step}
    return {"threads": threads, "padding": padding, "length": LENGTH, "batch_size": BATCH, **timing}


def _rounds(threads: int) -> int:
    """Fewer with one thread: no target uses these steps, and they take longest."""
    return 13 if threads > 1 else 7


def _step_tutorial(reviews: Reviews, threads: int) -> Case:
    return Case(
        name=f"step_tutorial_{threads}",
        description="training step of the tutorial recipe: 64 reviews pre-padded to 1000, no mask",
        kind="step",
        contenders=(
            *gatewise(threads, variants=VARIANTS, vocab_size=reviews.vocab_size),
            Contender("torch padded", "pytorch", threads, {"layout": "pre"}, variants=TORCH),
            Contender("keras", "tensorflow", threads, variants=KERAS),
        ),
        settings=_step_settings(threads, "pre"),
        arrays=weights() | reviews.take(reviews.shuffled(8 * BATCH, 0)),
        rounds=_rounds(threads),
    )


def _step_masked(reviews: Reviews, threads: int) -> Case:
    return Case(
        name=f"step_masked_{threads}",
        description="training step on the same reviews without pads (masked)",
        kind="step",
        contenders=(
            *gatewise(threads, variants=VARIANTS, vocab_size=reviews.vocab_size),
            Contender("torch packed", "pytorch", threads, {"layout": "packed"}, variants=TORCH_PACKED),
            Contender("torch post-padded", "pytorch", threads, {"layout": "post"}, variants=TORCH),
            Contender("keras mask_zero", "tensorflow", threads, {"mask_zero": True}),
        ),
        settings=_step_settings(threads, "none"),
        arrays=weights() | reviews.take(reviews.shuffled(8 * BATCH, 0)),
        rounds=_rounds(threads),
    )


def _step_bucketed(reviews: Reviews, threads: int) -> Case:
    """One run is eight batches, from the shortest to the longest of a pool, to represent an epoch."""
    rows = np.concatenate(reviews.bucketed(8, BATCH, 0))
    return Case(
        name=f"step_bucketed_{threads}",
        description="eight training steps on batches of similar lengths, masked",
        kind="step",
        contenders=(
            *gatewise(threads, variants=VARIANTS, vocab_size=reviews.vocab_size),
            Contender("torch bucketed", "pytorch", threads, {"layout": "post"}, variants=TORCH),
        ),
        settings=_step_settings(threads, "none", steps=8, per_step=False),
        arrays=weights() | reviews.take(rows),
        rounds=_rounds(threads),
    )


def recurrence_arrays(units: int, batch: int, steps: int, seed: int = 0) -> Arrays:
    """Input with one channel: x (B, T, 1), initial weights as in Keras, and the gradient of h_T (B, H)."""
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
        description=f"recurrence, forward and backward, H {units}, 64 sequences of {steps} steps",
        kind="recurrence",
        contenders=(
            *gatewise(threads, variants=VARIANTS),
            Contender("gatewise.nn.LSTM", "gatewise", threads, {"kind": "layer"}),
            Contender("torch", "pytorch", threads, variants=TORCH),
            *sgemm_contenders(threads),
        ),
        settings={"threads": threads, "repeats": 2},
        arrays=recurrence_arrays(units, BATCH, steps),
        scale=24e-9 * units**2 * BATCH * steps,
        unit="GFLOP",
    )


def sgemm_contenders(threads: int) -> tuple[Contender, ...]:
    """Each library's matrix product, in seconds per 10⁹ floating-point operations; the fastest counts."""
    products = [
        ("torch.mm", "pytorch"),
        ("numpy", "openblas"),
        ("tf.matmul", "tensorflow"),
        ("onnx MatMul", "onnx_runtime"),
    ]
    return tuple(
        Contender(f"sgemm {name}", module, threads, {"kind": "sgemm"}, variants=SIZES) for name, module in products
    )


def _openvino(threads: int, variants: tuple[dict[str, Any], ...]) -> tuple[Contender, ...]:
    """OpenVINO in float32 and in bfloat16."""
    f32, bf16 = {"precision": "f32"}, {"precision": "bf16"}
    return (
        Contender("openvino", "openvino", threads, f32, variants=variants),
        Contender("openvino bf16", "openvino", threads, bf16, variants=variants, tolerance=BF16_TOLERANCE),
    )


def _inference(reviews: Reviews, threads: int) -> Case:
    rows = reviews.sorted_by_length(1000, 1)
    return Case(
        name=f"inference_{threads}",
        description="logits of 1,000 reviews from their ids, sorted by length, in batches of 64",
        kind="inference",
        contenders=(
            *gatewise(threads, variants=VARIANTS, vocab_size=reviews.vocab_size),
            Contender("onnxruntime", "onnx_runtime", threads, variants=ONNXRUNTIME),
            *_openvino(threads, OPENVINO),
            Contender("torch", "pytorch", threads, {"layout": "post"}, variants=TORCH),
        ),
        settings={"threads": threads, "padding": "none", "length": LENGTH, "batch_size": BATCH, "repeats": 1},
        arrays=weights() | reviews.take(rows),
        scale=float(reviews.lengths[rows].sum()) / 1e6,
        unit="million words",
    )


def _latency(reviews: Reviews) -> Case:
    row = np.array([reviews.of_length(238)])
    return Case(
        name="latency_1",
        description=f"logit of one review of {int(reviews.lengths[row[0]])} ids, one thread; the median of 100 calls",
        kind="inference",
        contenders=(
            *gatewise(1, variants=VARIANTS, vocab_size=reviews.vocab_size),
            Contender("gatewise forward only", "gatewise", 1, {"vocab_size": reviews.vocab_size, "api": "forward"}),
            Contender("onnxruntime", "onnx_runtime", 1, variants=ONNXRUNTIME),
            *_openvino(1, ({"hint": "LATENCY"},)),
            Contender("torch", "pytorch", 1, {"layout": "post"}, variants=TORCH),
        ),
        settings={"threads": 1, "padding": "none", "length": LENGTH, "batch_size": 1, "repeats": 100},
        arrays=weights() | reviews.take(row),
    )


def _thread_scaling_step(reviews: Reviews) -> Case:
    return Case(
        name="thread_scaling_step",
        description="training step of the tutorial recipe with one and with two threads",
        kind="step",
        contenders=one_and_two_threads(),
        settings=_step_settings(2, "pre") | {"vocab_size": reviews.vocab_size},
        arrays=weights() | reviews.take(reviews.shuffled(8 * BATCH, 0)),
        rounds=21,
    )


def _thread_scaling_kernel() -> Case:
    return Case(
        name="thread_scaling_kernel",
        description="recurrence, H 128, 64 sequences of 200 steps, with one and with two threads",
        kind="recurrence",
        contenders=one_and_two_threads(),
        settings={"repeats": 3},
        arrays=recurrence_arrays(128, BATCH, 200),
        rounds=21,
    )


def _first_step(reviews: Reviews) -> Case:
    """The first round counts, in a new process."""
    return Case(
        name="first_step",
        description="training steps of a new process, masked: the first vs the median of the others",
        kind="step",
        contenders=gatewise(2, vocab_size=reviews.vocab_size),
        settings=_step_settings(2, "none", steps=1) | {"warmup_steps": 0},
        arrays=weights() | reviews.take(reviews.shuffled(8 * BATCH, 0)),
        equivalent=False,
        warmup=0,
        rounds=16,
        fresh_process=True,
    )
