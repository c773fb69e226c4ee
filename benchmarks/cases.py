"""The cases: contenders, arrays and settings of each. Some compare gatewise with other libraries; others measure it
alone: threads, each kernel, growth with size, and unusual numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.case import BF16_TOLERANCE, ONE_AND_TWO_THREADS, Case, Contender, gatewise, on_both_heaps
from benchmarks.contenders.base import Arrays, padded
from benchmarks.machine import ROOT
from benchmarks.opened_cases import layer_arrays, opened_cases
from benchmarks.reviews import LENGTH, VOCAB_SIZE, Reviews, weights

BATCH = 64
H = 100  # of the kernel alone
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
UNITS = (100, 128, 256, 512)
VARIANTS = ("avx2", "portable", "bf16")
# torch's idle threads spin between parallel regions by default: fastest on an idle machine, far slower on a busy one.
PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE"}
TORCH = on_both_heaps(
    tuple(
        {"batch_first": first, "environment": environment} for environment in ({}, PASSIVE) for first in (True, False)
    )
)
TORCH_PACKED = on_both_heaps(({}, {"environment": PASSIVE}))
# Of inference: as it is written, frozen by torch.jit, and compiled by torch.compile.
TORCH_INFERENCE = tuple(variant | {"how": how} for how in ("eager", "frozen", "compiled") for variant in TORCH)
KERAS = on_both_heaps(
    ({}, {"jit_compile": True}, {"api": "train_on_batch"}, {"api": "train_on_batch", "jit_compile": True})
)
ONNXRUNTIME = on_both_heaps(({"sequence_lens": False}, {"sequence_lens": True}))
OPENVINO_THROUGHPUT = {"hint": "THROUGHPUT"}
OPENVINO_LATENCY = {"hint": "LATENCY"}
SIZES = ({"size": 512}, {"size": 1024}, {"size": 2048})
# Each library's matrix product, in seconds per 10⁹ floating-point operations; the fastest counts.
PRODUCTS = (
    ("torch.mm", "pytorch"),
    ("numpy", "gatewise"),
    ("tf.matmul", "tensorflow"),
    ("onnx MatMul", "onnx_runtime"),
)


def cases(reviews: Reviews) -> list[Case]:
    """All of them, in the order in which they run."""
    out: list[Case] = []
    for threads in (2, 1):
        out += [*_training_steps(reviews, threads), *(_recurrence(units, threads) for units in UNITS)]
        out.append(_inference(reviews, threads))
    served = [_serving(reviews, cpu) for cpu in (False, True)]
    return [*out, _latency(reviews), *_gatewise_alone(reviews), *_kernel_cases(reviews), *served, *opened_cases()]


def names() -> list[str]:
    """The names of all cases; reads no reviews."""
    tiny = Reviews([np.arange(1, 20, dtype=np.int32)] * 6400, np.arange(6400) % 2, 88_588, "none")
    return [case.name for case in cases(tiny)]


def _step_settings(threads: int, padding: str, **changes: Any) -> dict[str, Any]:
    timing = {"warmup_steps": 1, "steps": 2, "per_step": True} | changes
    return {"threads": threads, "padding": padding, "length": LENGTH, "batch_size": BATCH, **timing}


def _training_steps(reviews: Reviews, threads: int) -> list[Case]:
    """Fewer rounds with one thread: no target uses these steps, and they take longest."""
    ours = gatewise(threads, variants=VARIANTS, vocab_size=reviews.vocab_size)
    padded = Contender("torch padded", "pytorch", threads, {"layout": "pre"}, variants=TORCH)
    packed = Contender("torch packed", "pytorch", threads, {"layout": "packed"}, variants=TORCH_PACKED)
    post = Contender("torch post-padded", "pytorch", threads, {"layout": "post"}, variants=TORCH)
    bucketed = Contender("torch bucketed", "pytorch", threads, {"layout": "post"}, variants=TORCH)
    keras = Contender("keras", "tensorflow", threads, variants=KERAS)
    masked = Contender("keras mask_zero", "tensorflow", threads, {"mask_zero": True}, variants=on_both_heaps(({},)))
    arrays, rounds = weights() | reviews.take(reviews.shuffled(8 * BATCH, 0)), 13 if threads > 1 else 7
    return [
        Case(
            f"step_tutorial_{threads}",
            "training step of the tutorial recipe: 64 reviews pre-padded to 1000, no mask",
            "step",
            (*ours, padded, keras),
            _step_settings(threads, "pre"),
            arrays,
            rounds=rounds,
        ),
        Case(
            f"step_masked_{threads}",
            "training step on the same reviews without pads (masked)",
            "step",
            (*ours, packed, post, masked),
            _step_settings(threads, "none"),
            arrays,
            rounds=rounds,
        ),
        Case(  # one run is eight batches, from the shortest to the longest of a pool, to represent an epoch
            f"step_bucketed_{threads}",
            "eight training steps on batches of similar lengths, masked",
            "step",
            (*ours, bucketed),
            _step_settings(threads, "none", steps=8, per_step=False),
            weights() | reviews.take(np.concatenate(reviews.bucketed(8, BATCH, 0))),
            rounds=rounds,
        ),
    ]


def recurrence_arrays(units: int, batch: int, steps: int) -> Arrays:
    """As `layer_arrays`, with one input channel, so that the input product is negligible."""
    return layer_arrays(1, units, batch, steps)


def _recurrence(units: int, threads: int) -> Case:
    steps = 200 if units < 256 else 100 if units < 512 else 50
    products = (Contender(f"sgemm {name}", of, threads, {"kind": "sgemm"}, variants=SIZES) for name, of in PRODUCTS)
    return Case(
        f"recurrence_h{units}_{threads}",
        f"recurrence, forward and backward, H {units}, 64 sequences of {steps} steps",
        "recurrence",
        (
            *gatewise(threads, variants=VARIANTS),
            Contender("gatewise.nn.LSTM", "gatewise", threads, {"kind": "layer"}, variants=on_both_heaps(({},))),
            Contender("torch", "pytorch", threads, variants=TORCH),
            *products,
        ),
        {"threads": threads, "repeats": 2},
        recurrence_arrays(units, BATCH, steps),
        scale=24e-9 * units**2 * BATCH * steps,
        unit="GFLOP",
    )


def _others(threads: int, *hints: dict[str, Any]) -> tuple[Contender, ...]:
    """The other libraries' inference; OpenVINO in float32 and in bfloat16."""
    f32, bf16 = {"precision": "f32"}, {"precision": "bf16"}
    hints = on_both_heaps(hints)
    return (
        Contender("onnxruntime", "onnx_runtime", threads, variants=ONNXRUNTIME),
        Contender("openvino", "openvino", threads, f32, variants=hints),
        Contender("openvino bf16", "openvino", threads, bf16, variants=hints, tolerance=BF16_TOLERANCE),
        Contender("torch", "pytorch", threads, {"layout": "post"}, variants=TORCH_INFERENCE),
    )


def _inference(reviews: Reviews, threads: int) -> Case:
    rows = reviews.shuffled(1000, 1)
    rows = rows[np.argsort(reviews.lengths[rows], kind="stable")]
    return Case(
        f"inference_{threads}",
        "logits of 1,000 reviews from their ids, sorted by length, in batches of 64",
        "inference",
        (
            *gatewise(threads, variants=VARIANTS, vocab_size=reviews.vocab_size),
            *_others(threads, OPENVINO_THROUGHPUT, OPENVINO_LATENCY),
        ),
        {"threads": threads, "padding": "none", "length": LENGTH, "batch_size": BATCH, "repeats": 1},
        weights() | reviews.take(rows),
        scale=float(reviews.lengths[rows].sum()) / 1e6,
        unit="million words",
    )


def _latency(reviews: Reviews) -> Case:
    row = np.argmin(np.abs(reviews.lengths - 238), keepdims=True)
    settings = {"vocab_size": reviews.vocab_size, "kind": "forward"}
    forward = Contender("gatewise forward only", "gatewise", 1, settings, variants=on_both_heaps(({},)))
    return Case(
        "latency_1",
        f"logit of one review of {int(reviews.lengths[row[0]])} ids, one thread; the median of 100 calls",
        "inference",
        (*gatewise(1, variants=VARIANTS, vocab_size=reviews.vocab_size), forward, *_others(1, OPENVINO_LATENCY)),
        {"threads": 1, "padding": "none", "length": LENGTH, "batch_size": 1, "repeats": 100},
        weights() | reviews.take(row),
    )


def _gatewise_alone(reviews: Reviews) -> list[Case]:
    """With one thread and with two."""
    arrays = weights() | reviews.take(reviews.shuffled(8 * BATCH, 0))
    return [
        Case(
            "thread_scaling_step",
            "training step of the tutorial recipe with one and with two threads",
            "step",
            ONE_AND_TWO_THREADS,
            _step_settings(2, "pre") | {"vocab_size": reviews.vocab_size},
            arrays,
            rounds=21,
        ),
        Case(
            "thread_scaling_kernel",
            "recurrence, H 128, 64 sequences of 200 steps, with one and with two threads",
            "recurrence",
            ONE_AND_TWO_THREADS,
            {"repeats": 3},
            recurrence_arrays(128, BATCH, 200),
            rounds=21,
        ),
    ]


def _serving(reviews: Reviews, cpu: bool) -> Case:
    """The weights are random, because speed does not depend on them, and scaled so that predictions differ between
    texts. The recurrent weights stay small: three times as large, they enlarge a rounding error over 900 steps to 0.4
    of a probability.
    """
    src = {"PYTHONPATH": str(ROOT / "src")}  # for the encoding of words
    drawn = {name: array if name == "weight_hh" else 3 * array for name, array in weights().items()}
    return Case(
        f"serving{'_cpu' * cpu}",
        f"/predict of a review, 64 clients: {'processor time of the server' if cpu else 'seconds'} per request",
        "serve",
        (
            Contender("gatewise", "server", 1, {"flags": []}),
            Contender("two kernel threads", "server", 1, {"flags": ["--threads", "2"]}),
            Contender("without batching", "server", 1, {"flags": ["--max-batch", "1"]}),
            Contender(
                "onnxruntime", "onnx_server", 1, environment=src, variants=({"way": "async"}, {"way": "threads"})
            ),
            Contender("onnxruntime, two threads", "onnx_server", 2, {"way": "async"}, src),
        ),
        {"vocab_size": VOCAB_SIZE, "length": LENGTH, "padding": "none", "clients": 64, "requests": 2000, "cpu": cpu},
        drawn | {"words": np.array(reviews.words, dtype=object), "texts": np.array(reviews.texts, dtype=object)},
        warmup=0,
        rounds=5,
        scale=1.0,
        unit="request",
    )


def _kernel_cases(reviews: Reviews) -> list[Case]:
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
