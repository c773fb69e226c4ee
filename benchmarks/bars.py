"""The bars: what gatewise wants to reach, by name, and how each figure comes out of the measured times.

A ratio is the median over the turns of the ratios within a turn. `results/summary.json` holds one figure a bar.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from benchmarks.turns import ratio

Cases = Mapping[str, Mapping[str, Any]]  # as full.json has them


@dataclass(frozen=True)
class Bar:
    """name: in the summary. want: the figure to reach, None where a figure is only shown; most: it is an upper limit.
    case: where it is measured. above / below: contenders of it whose times are divided. how: see `figure`.
    """

    name: str
    what: str
    want: float | None
    case: str
    above: str
    below: str
    most: bool = False
    how: Literal["ratio", "share", "first", "idle", "per_step"] = "ratio"
    worth: float = 1.0

    @property
    def unit(self) -> str:
        return "%" if self.how in ("share", "idle") else "x"


RECURRENCE = {100: 2.0, 128: 1.35, 256: 1.25, 512: 1.0}


def _bars() -> list[Bar]:
    tutorial, masked, bucketed = "step_tutorial_2", "step_masked_2", "step_bucketed_2"
    out = [
        Bar("step_vs_torch_padded", "training step, tutorial recipe, against torch.nn.LSTM padded", 10.0, tutorial,
            "torch padded", "gatewise"),
        Bar("step_vs_keras", "the same against Keras 3 on TensorFlow", 18.0, tutorial, "keras", "gatewise"),
        Bar("step_masked_vs_torch_packed", "training step, masked, against PackedSequence", 18.0, masked,
            "torch packed", "gatewise"),
        Bar("step_bucketed_vs_torch", "training steps, batches of similar lengths, against right-padded torch.nn.LSTM",
            2.0, bucketed, "torch bucketed", "gatewise"),
    ]  # fmt: skip
    for units, want in RECURRENCE.items():
        what = f"recurrence alone, H {units}, forward and backward, against torch.nn.LSTM"
        out.append(Bar(f"recurrence_h{units}_vs_torch", what, want, f"recurrence_h{units}_2", "torch", "gatewise"))
    out += [
        Bar("layer_h128_vs_torch", "gatewise.nn.LSTM in the place of torch.nn.LSTM, H 128, forward and backward", None,
            "recurrence_h128_2", "torch", "gatewise.nn.LSTM"),
        Bar("share_of_sgemm_h128_one_thread", "share of the sgemm rate, H 128, forward and backward, one thread", 0.72,
            "recurrence_h128_1", "sgemm", "gatewise", how="share"),
        Bar("one_thread_to_two", "whole training step, one thread to two", 1.85, "one_to_two_step", "1 thread",
            "2 threads"),
        Bar("one_thread_to_two_kernel", "recurrence alone, H 128, one thread to two", 1.85, "one_to_two_kernel",
            "1 thread", "2 threads"),
        Bar("inference_vs_onnxruntime", "inference, 1,000 reviews, against ONNX Runtime", 1.6, "inference_2",
            "onnxruntime", "gatewise"),
        Bar("inference_vs_torch", "the same against torch", None, "inference_2", "torch", "gatewise"),
        Bar("latency_vs_onnxruntime", "latency of one review, one thread, from the ids, against ONNX Runtime", 1.3,
            "latency_1", "onnxruntime", "gatewise"),
        Bar("latency_kernel_and_head_vs_onnxruntime", "the same, kernel and head alone", 1.3, "latency_1",
            "onnxruntime", "gatewise kernel and head"),
        Bar("recurrent_dropout_cost", "training step, masked, with variational dropout over without", 1.1,
            "recurrent_dropout_2", "gatewise dropping", "gatewise", most=True),
    ]  # fmt: skip
    for isa in ("avx2", "portable"):
        ours = f"gatewise {isa}"
        out += [
            Bar(f"{isa}_step_vs_torch_padded", f"{isa}: training step against torch.nn.LSTM padded", 10.0, tutorial,
                "torch padded", ours),
            Bar(f"{isa}_step_vs_keras", f"{isa}: the same against Keras 3", 18.0, tutorial, "keras", ours),
            Bar(f"{isa}_step_masked_vs_torch_packed", f"{isa}: training step, masked, against PackedSequence", 18.0,
                masked, "torch packed", ours),
            Bar(f"{isa}_step_bucketed_vs_torch", f"{isa}: batches of similar lengths, against right-padded torch", 2.0,
                bucketed, "torch bucketed", ours),
            Bar(f"{isa}_inference_vs_onnxruntime", f"{isa}: inference, 1,000 reviews, against ONNX Runtime", 1.6,
                "inference_2", "onnxruntime", ours),
            Bar(f"{isa}_latency_vs_onnxruntime", f"{isa}: latency of one review, against ONNX Runtime", 1.3,
                "latency_1", "onnxruntime", ours),
        ]  # fmt: skip
        for units, want in RECURRENCE.items():
            what = f"{isa}: recurrence alone, H {units}, against torch.nn.LSTM"
            name, case = f"{isa}_recurrence_h{units}_vs_torch", f"recurrence_h{units}_2"
            out.append(Bar(name, what, want, case, "torch", ours))
    return [
        *out,
        Bar("bf16_step_vs_float32", "bf16: training step, tutorial recipe, against gatewise's float32", 1.5, tutorial,
            "gatewise", "gatewise bf16"),
        Bar("bf16_inference_vs_onnxruntime", "bf16: inference, 1,000 reviews, against ONNX Runtime's float32", 2.5,
            "inference_2", "onnxruntime", "gatewise bf16"),
        Bar("time_a_step_10000_over_1000", "time a step at 10,000 steps over that at 1,000", 1.1, "steps",
            "10,000 steps", "1,000 steps", most=True, how="per_step", worth=10),
        Bar("time_a_sequence_256_over_64", "time a sequence at 256 sequences over that at 64", 1.1, "batch",
            "256 sequences", "64 sequences", most=True, how="per_step", worth=4),
        Bar("first_batch_over_median", "first training step of a process over the median of the next fifteen", None,
            "first_batch", "gatewise", "gatewise", most=True, how="first"),
        Bar("tiny_gradients_cost", "gradients below the smallest normal number, over ordinary ones", 1.1, "denormals",
            "tiny gradients", "ordinary", most=True),
        Bar("saturated_gates_cost", "gates at 0 and 1, over ordinary ones", 1.1, "denormals", "saturated gates",
            "ordinary", most=True),
        Bar("tail_idle", "one sequence of 1,000 steps among 63 of 50 to 150: share of the second thread idle", None,
            "tail", "1 thread", "2 threads", most=True, how="idle"),
        Bar("ragged_idle", "64 reviews as they come: share of the second thread idle", None, "ragged", "1 thread",
            "2 threads", most=True, how="idle"),
    ]  # fmt: skip


BARS = _bars()


def figure(bar: Bar, cases: Cases) -> float | None:
    """The measured figure of a bar; None where its case did not run or one of the two could not take part.

    ratio: above / below. share: the work's floating-point operations a second over those of the fastest sgemm of the
    case. first: the first turn over the median of the others. idle: of the second thread, 2 - (one thread's time / two
    threads'), since the first is busy all the time and the work is the same. per_step: the ratio over `worth`.
    """
    case = cases.get(bar.case)
    if case is None:
        return None
    rows = case["contenders"]
    below = _turns(rows, bar.below)
    if bar.how == "share":
        rates = [turns for name in rows if name.startswith("sgemm") and (turns := _turns(rows, name))]
        if not rates or not below:
            return None
        return ratio(min(rates, key=statistics.median), below) * float(case["scale"])
    above = _turns(rows, bar.above)
    if not above or not below:
        return None
    if bar.how == "first":
        return above[0] / statistics.median(above[1:])
    if bar.how == "idle":
        return max(0.0, 2 - ratio(above, below))
    return ratio(above, below) / bar.worth


def _turns(rows: Mapping[str, Any], name: str) -> Sequence[float]:
    turns: Sequence[float] = rows.get(name, {}).get("turns", [])
    return turns


def summary(cases: Cases) -> dict[str, float | None]:
    """One flat object: every bar's name and its figure, to three places."""
    found = {bar.name: figure(bar, cases) for bar in BARS}
    return {name: None if value is None else round(value, 3) for name, value in found.items()}
