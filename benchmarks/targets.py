"""Performance targets: the ratios that the project wants to reach, and how each is computed from the measured times."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Cases = Mapping[str, Mapping[str, Any]]  # as in full.json


@dataclass(frozen=True)
class Target:
    """One figure of the summary.

    goal: the value to reach, None for a figure without a goal; is_limit: the goal is an upper limit. case: where it is
    measured. numerator, denominator: the contenders whose times are divided. formula: see `figure`.
    """

    name: str
    description: str
    goal: float | None
    case: str
    numerator: str
    denominator: str
    is_limit: bool = False
    formula: Literal["ratio", "sgemm_share", "first_round", "idle", "scaled"] = "ratio"
    scale: float = 1.0

    @property
    def unit(self) -> str:
        return "%" if self.formula in ("sgemm_share", "idle") else "x"


# Figures with the default instruction set and with others: name, description, goal, goal with AVX2, case, contender.
# The other libraries keep the instruction set that they choose, so only some figures of AVX2 have goals.
COMPARISONS: tuple[tuple[str, str, float, float | None, str, str], ...] = (
    ("step_vs_torch_padded", "training step, tutorial recipe, vs torch.nn.LSTM padded", 10.0, None,
        "step_tutorial_2", "torch padded"),
    ("step_vs_keras", "training step, tutorial recipe, vs Keras 3 on TensorFlow", 12.0, None, "step_tutorial_2",
        "keras"),
    ("step_masked_vs_torch_packed", "training step, masked, vs torch PackedSequence", 18.0, None, "step_masked_2",
        "torch packed"),
    ("step_bucketed_vs_torch", "training steps, batches of similar lengths, vs torch.nn.LSTM post-padded", 2.0, None,
        "step_bucketed_2", "torch bucketed"),
    *(
        (f"recurrence_h{units}_vs_torch", f"recurrence, H {units}, forward and backward, vs torch.nn.LSTM", goal, avx2,
            f"recurrence_h{units}_2", "torch")
        for units, goal, avx2 in ((100, 2.0, 1.5), (128, 2.0, None), (256, 2.0, None), (512, 1.3, 0.9))
    ),
    ("inference_vs_onnxruntime", "inference, 1,000 reviews, vs ONNX Runtime", 1.8, None, "inference_2", "onnxruntime"),
    ("latency_vs_onnxruntime", "latency, one review, one thread, from token ids, vs ONNX Runtime", 1.3, None,
        "latency_1", "onnxruntime"),
)  # fmt: skip


def _targets() -> list[Target]:
    out = [Target(name, what, goal, case, peer, "gatewise") for name, what, goal, _, case, peer in COMPARISONS]
    for units in (128, 512):
        for threads, count in (("1_thread", "one thread"), ("2_threads", "two threads")):
            description = f"share of the sgemm rate, H {units}, forward and backward, {count}"
            name, case = f"sgemm_share_h{units}_{threads}", f"recurrence_h{units}_{threads[0]}"
            out.append(Target(name, description, 0.75, case, "sgemm", "gatewise", formula="sgemm_share"))
    for isa in ("avx2", "portable"):
        for name, what, _, avx2, case, peer in COMPARISONS:
            goal = avx2 if isa == "avx2" else None
            out.append(Target(f"{isa}_{name}", f"{isa}: {what}", goal, case, peer, f"gatewise {isa}"))
    return [
        *out,
        Target("layer_h128_vs_torch", "gatewise.nn.LSTM, H 128, forward and backward, vs torch.nn.LSTM", None,
            "recurrence_h128_2", "torch", "gatewise.nn.LSTM"),
        Target("thread_scaling_step", "training step, speed-up from one thread to two", 1.85, "thread_scaling_step",
            "1 thread", "2 threads"),
        Target("thread_scaling_kernel", "recurrence, H 128, speed-up from one thread to two", 1.85,
            "thread_scaling_kernel", "1 thread", "2 threads"),
        Target("inference_vs_openvino", "inference, 1,000 reviews, vs OpenVINO", 1.8, "inference_2", "openvino",
            "gatewise"),
        Target("inference_vs_torch", "inference, 1,000 reviews, vs torch", None, "inference_2", "torch", "gatewise"),
        Target("latency_vs_openvino", "latency, one review, one thread, from token ids, vs OpenVINO", None,
            "latency_1", "openvino", "gatewise"),
        Target("latency_forward_vs_onnxruntime", "latency, forward pass only, vs ONNX Runtime", 1.3, "latency_1",
            "onnxruntime", "gatewise forward only"),
        Target("bf16_step_vs_float32", "bf16: training step, tutorial recipe, vs gatewise float32", 1.5,
            "step_tutorial_2", "gatewise", "gatewise bf16"),
        Target("bf16_inference_vs_onnxruntime", "bf16: inference, 1,000 reviews, vs ONNX Runtime float32", 2.5,
            "inference_2", "onnxruntime", "gatewise bf16"),
        Target("bf16_inference_vs_openvino", "bf16: inference, 1,000 reviews, vs OpenVINO bf16", 1.8, "inference_2",
            "openvino bf16", "gatewise bf16"),
        Target("bf16_latency_vs_openvino", "bf16: latency of one review, one thread, vs OpenVINO bf16", None,
            "latency_1", "openvino bf16", "gatewise bf16"),
        Target("time_per_step_10000_vs_1000", "time per step at 10,000 steps vs at 1,000", 1.1, "sequence_length",
            "10,000 steps", "1,000 steps", is_limit=True, formula="scaled", scale=10),
        Target("time_per_sequence_256_vs_64", "time per sequence at batch size 256 vs 64", 1.1, "batch_size",
            "256 sequences", "64 sequences", is_limit=True, formula="scaled", scale=4),
        Target("first_step_vs_median", "first training step of a process vs the median of the later ones", None,
            "first_step", "gatewise", "gatewise", is_limit=True, formula="first_round"),
        Target("denormal_gradients_cost", "denormal gradients vs normal ones", 1.1, "denormals", "denormal gradients",
            "normal", is_limit=True),
        Target("saturated_gates_cost", "gates saturated at 0 and 1 vs normal ones", 1.1, "denormals",
            "saturated gates", "normal", is_limit=True),
        Target("one_long_sequence_idle", "one sequence of 1,000 steps among 63 of 50 to 150: second thread idle", None,
            "one_long_sequence", "1 thread", "2 threads", is_limit=True, formula="idle"),
        Target("unsorted_batch_idle", "64 reviews in random order: second thread idle", None, "unsorted_batch",
            "1 thread", "2 threads", is_limit=True, formula="idle"),
    ]  # fmt: skip


TARGETS = _targets()


def figure(target: Target, cases: Cases) -> float | None:
    """The measured value; None where the case did not run or one of the two contenders was unavailable.

    ratio: numerator / denominator. scaled: the same over `scale`. sgemm_share: the case's floating-point operations per
    second over those of its fastest sgemm. first_round: the first round over the median of the others. idle: the share
    of the time in which the second thread is idle, 2 - (time with one thread / time with two).
    """
    case = cases.get(target.case)
    if case is None:
        return None
    rows = case["contenders"]
    denominator = _rounds(rows, target.denominator)
    if target.formula == "sgemm_share":
        rates = [rounds for name in rows if name.startswith("sgemm") and (rounds := _rounds(rows, name))]
        if not rates or not denominator:
            return None
        return ratio(min(rates, key=statistics.median), denominator) * float(case["scale"])
    numerator = _rounds(rows, target.numerator)
    if not numerator or not denominator:
        return None
    if target.formula == "first_round":
        if len(numerator) < 2:
            return None
        return numerator[0] / statistics.median(numerator[1:])
    if target.formula == "idle":
        return max(0.0, 2 - ratio(numerator, denominator))
    return ratio(numerator, denominator) / target.scale


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> float:
    """The median over the rounds of the ratio within a round; what slows down a whole round cancels out."""
    return statistics.median(a / b for a, b in zip(numerator, denominator, strict=True))


def _rounds(rows: Mapping[str, Any], name: str) -> Sequence[float]:
    rounds: Sequence[float] = rows.get(name, {}).get("rounds", [])
    return rounds


def summary(cases: Cases) -> dict[str, float | None]:
    """The figure of every target by name, rounded to three decimal places."""
    figures = {target.name: figure(target, cases) for target in TARGETS}
    return {name: None if value is None else round(value, 3) for name, value in figures.items()}
