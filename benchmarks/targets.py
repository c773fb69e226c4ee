"""Performance targets: the ratios that the project wants to reach, and how each is computed from the measured times."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Cases = Mapping[str, Mapping[str, Any]]  # as in full.json


@dataclass(frozen=True)
class Target:
    """One figure of the summary.

    goal: the value to reach, None for a figure without a goal; is_limit: the goal is an upper limit. case: where it is
    measured. numerator, denominator: the contenders whose times are divided; "sgemm" for the share of the sgemm rate.
    scale: the quotient is divided by it.
    """

    name: str
    description: str
    goal: float | None
    case: str
    numerator: str
    denominator: str
    is_limit: bool = False
    scale: float = 1.0

    @property
    def unit(self) -> str:
        return "%" if self.numerator == "sgemm" else "x"


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
            out.append(Target(name, description, 0.75, case, "sgemm", "gatewise"))
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
            "10,000 steps", "1,000 steps", is_limit=True, scale=10),
        Target("time_per_sequence_256_vs_64", "time per sequence at batch size 256 vs 64", 1.1, "batch_size",
            "256 sequences", "64 sequences", is_limit=True, scale=4),
        Target("denormal_gradients_cost", "denormal gradients vs normal ones", 1.1, "denormals", "denormal gradients",
            "normal", is_limit=True),
        Target("saturated_gates_cost", "gates saturated at 0 and 1 vs normal ones", 1.1, "denormals",
            "saturated gates", "normal", is_limit=True),
    ]  # fmt: skip


TARGETS = _targets()


def figure(target: Target, cases: Cases) -> float | None:
    """The measured value: the median over the rounds of the ratio within a round, which cancels out what slows down a
    whole round. None where the case did not run or one of the two contenders was unavailable. The share of the sgemm
    rate is the case's floating-point operations per second over those of its fastest sgemm.
    """
    case = cases.get(target.case, {"contenders": {}})
    times = {name: row["rounds"] for name, row in case["contenders"].items() if row.get("rounds")}
    products = [rounds for name, rounds in times.items() if name.startswith("sgemm")]
    fastest = min(products, key=statistics.median, default=None)
    numerator = fastest if target.unit == "%" else times.get(target.numerator)
    denominator = times.get(target.denominator)
    if numerator is None or denominator is None:
        return None
    value: float = statistics.median(a / b for a, b in zip(numerator, denominator, strict=True))
    return value * float(case["scale"]) if target.unit == "%" else value / target.scale


def summary(cases: Cases) -> dict[str, float | None]:
    """The figure of every target by name, rounded to three decimal places."""
    figures = {target.name: figure(target, cases) for target in TARGETS}
    return {name: None if value is None else round(value, 3) for name, value in figures.items()}
