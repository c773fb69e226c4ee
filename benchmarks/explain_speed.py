"""Measure the time of an explanation, and compare integrated gradients with captum on torch.nn.LSTM.

    python -m benchmarks.explain_speed MODEL... [--data PATH] [--words 238] [--rounds 20] [--reviews 12] [--json FILE]

First, one review of the test half with about `--words` words, without n-grams. torch.nn.LSTM has the same weights, and
padding where the model pads. Both integrated gradients use the same Gauss-Legendre points and the same baseline; the
script stops unless their scores agree to 1e-4. The ratio is that of the fastest rounds.

Then, at equal residual, a random sample of `--reviews` reviews: gatewise with its defaults, and captum with the fewest
points of 4, 8, 16, ... 256 whose residual is at most gatewise's, or below 0.1% of the logit difference. Captum gets
this number as an argument; it cannot determine it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import gatewise as gw
from benchmarks.machine import machine, now
from gatewise.data import imdb
from gatewise.explain import METHODS, IntegratedGradients
from gatewise.explain.attribution.integrated_gradients import Baseline
from gatewise.kernels.threads import threads
from gatewise.network.batch import PAD, truncate


class TorchNetwork(torch.nn.Module):
    """The model with torch.nn.LSTM: embeddings (B, T, D) to logits (B,)."""

    def __init__(self, model: gw.Model, pads: int) -> None:
        super().__init__()
        arch, self.pads, self.pooling = model.architecture, pads, model.architecture.pooling
        self.directions = len(arch.directions)
        parameters = {name: torch.from_numpy(np.array(array)) for name, array in model.parameters.items()}
        self.pad, self.weight, self.bias = (parameters[n] for n in ("embedding.weight", "dense.weight", "dense.bias"))
        self.lstm = torch.nn.LSTM(
            arch.embedding_dim, arch.units, arch.layers, batch_first=True, bidirectional=arch.bidirectional
        )
        for layer, direction, name in arch.lstms():
            suffix = f"_l{layer}" + ("_reverse" if direction == "backward" else "")
            for part in ("weight_ih", "weight_hh"):
                getattr(self.lstm, part + suffix).data = parameters[f"{name}.{part}"]
            getattr(self.lstm, "bias_ih" + suffix).data = parameters[f"{name}.bias"]
            getattr(self.lstm, "bias_hh" + suffix).data.zero_()

    def forward(self, x: Tensor) -> Tensor:
        if self.pads:
            x = torch.cat([self.pad[0].expand(len(x), self.pads, -1), x], dim=1)
        h, (h_T, _) = self.lstm(x)
        parts = [h_T[-self.directions :].transpose(0, 1).flatten(1)] if self.pooling == "last" else []
        parts += [h.mean(dim=1)] if "mean" in self.pooling else []
        parts += [h.amax(dim=1)] if "max" in self.pooling else []
        return (torch.cat(parts, dim=1) @ self.weight.T + self.bias)[:, 0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--data", default="embedded")
    parser.add_argument("--words", type=int, default=238)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--reviews", type=int, default=12)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    splits = imdb(options.data)
    assert splits.test is not None
    torch.set_num_threads(threads())
    out: dict[str, Any] = {"date": now(), "machine": machine(), "threads": threads(), "words": options.words}
    print("| model | method | ms, median | fastest |\n|---|---|---:|---:|")
    for folder in options.models:
        model = replace(gw.load(folder), ngrams=None)  # the LSTM network alone, as in torch.nn.LSTM
        lengths = [len(ids) for ids in model.preprocessor.encode_batch(splits.test.inputs[:2000])]
        text = splits.test.inputs[int(np.abs(np.array(lengths) - options.words).argmin())]
        runs, equal = _runs(model, text)
        taken = _interleaved(runs, options.rounds)
        for name, seconds in taken.items():
            print(f"| {folder.name} | {name} | {1e3 * statistics.median(seconds):.1f} | {1e3 * min(seconds):.1f} |")
        ratio = min(taken[CAPTUM]) / min(taken[FIXED])
        print(f"\n{folder.name}: {ratio:.1f} times as fast as captum; scores agree to {equal:.0e}.\n")
        rows = np.random.default_rng(0).permutation(len(splits.test.inputs))[: options.reviews]
        same = [_at_equal_residual(model, one, options.rounds // 4 + 1) for one in splits.test.take(rows).inputs]
        _print_equal_residual(folder.name, same)
        out[folder.name] = {
            "equal_residual": same,
            "milliseconds": {n: [1e3 * t for t in s] for n, s in taken.items()},
            "ratio": ratio,
            "max_difference": equal,
        }
    if options.json:
        options.json.write_text(json.dumps(out, indent=2) + "\n", encoding="utf-8")


POINTS = 32
FIXED = f"integrated gradients, {POINTS} fixed points"
CAPTUM = f"captum integrated gradients on torch.nn.LSTM, {POINTS} points"
MAX_POINTS = 256


def _captum(model: gw.Model, text: Any) -> tuple[Callable[[int], Tensor], float, float]:
    """captum's integrated gradients (1, T, D) as a function of the number of points; the base value; the difference of
    the logit from it.
    """
    from captum import attr

    arch = model.architecture
    ids = truncate(model.preprocessor.encode_batch([text])[0], arch)
    network = TorchNetwork(model, arch.max_length - len(ids) if arch.padding == "pre" else 0)
    table = torch.from_numpy(np.array(model.parameters["embedding.weight"]))
    x = table[torch.from_numpy(ids).long()][None]
    base = (0 * table[PAD] if _baseline(model) == "zero" else table[PAD]).expand_as(x)
    method = attr.IntegratedGradients(network)

    def run(points: int) -> Tensor:
        scores: Tensor = method.attribute(x, baselines=base, n_steps=points, method="gausslegendre")
        return scores

    with torch.no_grad():
        start, end = float(network(base)[0]), float(network(x)[0])
    return run, start, end - start


def _baseline(model: gw.Model) -> Baseline:
    return "zero" if model.architecture.padding == "pre" else "pad"


def _at_equal_residual(model: gw.Model, text: Any, rounds: int) -> dict[str, float]:
    """One review: time and relative residual of gatewise with its defaults, and of captum at an equal residual."""
    run, _, difference = _captum(model, text)
    ours = model.explain(text, "integrated-gradients")
    left, share, points = abs(ours.residual / difference), float("nan"), 2
    while points < MAX_POINTS and not share <= max(left, 0.001):
        points *= 2
        share = abs(1 - float(run(points).sum()) / difference)
    taken = _interleaved(
        {"ours": lambda: model.explain(text, "integrated-gradients"), "captum": lambda: run(points)}, rounds
    )
    return {
        "words": len(ours.steps),
        "residual": left,
        "ms": 1e3 * min(taken["ours"]),
        "captum points": points,
        "captum residual": share,
        "captum ms": 1e3 * min(taken["captum"]),
    }


def _print_equal_residual(name: str, same: list[dict[str, float]]) -> None:
    print(f"| {name}, words | residual | ms | captum points | captum residual | captum ms | ratio |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for one in sorted(same, key=lambda one: one["words"]):
        ratio = one["captum ms"] / one["ms"]
        print(
            f"| {one['words']:.0f} | {one['residual']:.3%} | {one['ms']:.1f} | {one['captum points']:.0f} "
            f"| {one['captum residual']:.3%} | {one['captum ms']:.1f} | {ratio:.1f} |"
        )
    ours, theirs = (sum(one[key] for one in same) for key in ("ms", "captum ms"))
    print(
        f"\n{name}: at equal residual, over {len(same)} reviews, {theirs / ours:.1f} times as fast as captum "
        f"({ours / len(same):.1f} and {theirs / len(same):.1f} ms per review).\n"
    )


def _runs(model: gw.Model, text: Any) -> tuple[dict[str, Callable[[], Any]], float]:
    method = IntegratedGradients(POINTS, _baseline(model), max_points=POINTS)
    by_points, _, _ = _captum(model, text)

    def captum() -> Tensor:
        return by_points(POINTS)

    ours = model.explain(text, method)
    equal = float(np.abs(ours.scores - captum()[0].sum(dim=1).detach().numpy()).max())
    if equal > 1e-4:
        raise SystemExit(f"gatewise and captum differ by {equal:.1e}")

    def trace_and_explain() -> None:
        example = model.trace(text)
        model.explain(example, "cell-decomposition")
        _ = example.prefix_logits, example.contributions

    lstm, [sequence] = model.ensemble.lstm, model.preprocessor.encode_batch([text])
    _, read = lstm.read(sequence)
    runs: dict[str, Callable[[], Any]] = {"trace, prefix predictions and cell decomposition": trace_and_explain}
    if lstm.arch.bidirectional:
        runs["every prefix as its own sequence"] = lambda: lstm.logits(read[:t] for t in range(len(read) + 1))
    runs |= {name.replace("-", " "): lambda name=name: model.explain(text, name) for name in METHODS}
    runs[FIXED] = lambda: model.explain(text, method)
    return {**runs, CAPTUM: captum}, equal


def _interleaved(runs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for round_number in range(rounds + 1):  # the first round warms up
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            if round_number:
                taken[name].append(time.perf_counter() - began)
    return taken


if __name__ == "__main__":
    main()
