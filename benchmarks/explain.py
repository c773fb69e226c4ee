"""The cost of explanations, compared with captum on torch.nn.LSTM: the table of docs/explain.md.

    python -m benchmarks.explain MODEL [MODEL ...] [--data PATH] [--words 238] [--turns 20] [--reviews 12] [--json FILE]

One review of about that many words (the closest of the test half), on the threads that the process may use, without
n-grams. torch.nn.LSTM gets the same weights, padded where the model pads. Both integrated gradients use the same
Gauss-Legendre points and baseline; the benchmark stops unless their scores agree to 1e-4. Runs alternate; the ratio is
that of the fastest runs, which other work disturbs least.

Then at the same residual instead of the same points, over `--reviews` of the test half, drawn by a fixed seed: gatewise
with its defaults, and captum with the fewest points of 4, 8, 16, ... 256 that leave no larger residual, or less than
0.1% of logit - base value. Captum is given that number; it has no way to find it.
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
from gatewise.explain.attribution import Baseline
from gatewise.explain.net import run_all
from gatewise.kernels.threads import threads
from gatewise.network.batch import PAD, cut


class Plain(torch.nn.Module):
    """Embeddings (B, T, D) to the logit, by torch.nn.LSTM."""

    def __init__(self, model: gw.Model, pads: int) -> None:
        super().__init__()
        arch, self.pads, self.pooling = model.architecture, pads, model.architecture.pooling
        self.directions = len(arch.directions)
        held = {name: torch.from_numpy(np.array(array)) for name, array in model.parameters.items()}
        self.pad, self.weight, self.bias = (held[n] for n in ("embedding.weight", "dense.weight", "dense.bias"))
        self.lstm = torch.nn.LSTM(
            arch.embedding_dim, arch.units, arch.layers, batch_first=True, bidirectional=arch.bidirectional
        )
        for layer, direction, name in arch.lstms():
            suffix = f"_l{layer}" + ("_reverse" if direction == "backward" else "")
            for part in ("weight_ih", "weight_hh"):
                getattr(self.lstm, part + suffix).data = held[f"{name}.{part}"]
            getattr(self.lstm, "bias_ih" + suffix).data = held[f"{name}.bias"]
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
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--reviews", type=int, default=12)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    splits = imdb(options.data)
    assert splits.test is not None
    torch.set_num_threads(threads())
    out: dict[str, Any] = {"date": now(), "machine": machine(), "threads": threads(), "words": options.words}
    print("| model | what | ms, median | fastest |\n|---|---|---:|---:|")
    for folder in options.models:
        model = replace(gw.load(folder), ngrams=None)  # the network alone: that is what torch.nn.LSTM can hold
        lengths = [len(ids) for ids in model.preprocessor.encode_batch(splits.test.inputs[:2000])]
        text = splits.test.inputs[int(np.abs(np.array(lengths) - options.words).argmin())]
        runs, equal = _runs(model, text)
        taken = _in_turns(runs, options.turns)
        for name, seconds in taken.items():
            print(f"| {folder.name} | {name} | {1e3 * statistics.median(seconds):.1f} | {1e3 * min(seconds):.1f} |")
        ratio = min(taken[CAPTUM]) / min(taken[FIXED])
        print(f"\n{folder.name}: {ratio:.1f} times as fast as captum; scores agree to {equal:.0e}.\n")
        rows = np.random.default_rng(0).permutation(len(splits.test.inputs))[: options.reviews]
        same = [_at_one_residual(model, one, options.turns // 4 + 1) for one in splits.test.take(rows).inputs]
        _print_same(folder.name, same)
        out[folder.name] = {
            "same residual": same,
            "milliseconds": {n: [1e3 * t for t in s] for n, s in taken.items()},
            "ratio": ratio,
            "equal": equal,
        }
    if options.json:
        options.json.write_text(json.dumps(out, indent=2) + "\n", encoding="utf-8")


POINTS = 32
FIXED = f"integrated gradients, {POINTS} points and no more"
CAPTUM = f"captum's integrated gradients on torch.nn.LSTM, {POINTS} points"
MOST_POINTS = 256


def _captum(model: gw.Model, text: Any) -> tuple[Callable[[int], Tensor], float, float]:
    """captum's integrated gradients (1, T, D) of a text by the number of points; the logit's start and its way."""
    from captum import attr

    arch = model.architecture
    ids = cut(model.preprocessor.encode_batch([text])[0], arch)
    plain = Plain(model, arch.max_length - len(ids) if arch.padding == "pre" else 0)
    table = torch.from_numpy(np.array(model.parameters["embedding.weight"]))
    x = table[torch.from_numpy(ids).long()][None]
    base = (0 * table[PAD] if _kind(model) == "zero" else table[PAD]).expand_as(x)
    theirs = attr.IntegratedGradients(plain)

    def run(points: int) -> Tensor:
        found: Tensor = theirs.attribute(x, baselines=base, n_steps=points, method="gausslegendre")
        return found

    with torch.no_grad():
        start, end = float(plain(base)[0]), float(plain(x)[0])
    return run, start, end - start


def _kind(model: gw.Model) -> Baseline:
    return "zero" if model.architecture.padding == "pre" else "pad"


def _at_one_residual(model: gw.Model, text: Any, turns: int) -> dict[str, float]:
    """One review: milliseconds and residual, as a share of the way, of ours by default and of captum's at as much."""
    run, _, way = _captum(model, text)
    ours = model.explain(text, "integrated-gradients")
    left, share, points = abs(ours.residual / way), float("nan"), 2
    while points < MOST_POINTS and not share <= max(left, 0.001):
        points *= 2
        share = abs(1 - float(run(points).sum()) / way)
    taken = _in_turns(
        {"ours": lambda: model.explain(text, "integrated-gradients"), "captum": lambda: run(points)}, turns
    )
    return {
        "words": len(ours.steps),
        "residual": left,
        "ms": 1e3 * min(taken["ours"]),
        "captum points": points,
        "captum residual": share,
        "captum ms": 1e3 * min(taken["captum"]),
    }


def _print_same(name: str, same: list[dict[str, float]]) -> None:
    print(f"| {name}, words | residual | ms | captum's points | its residual | its ms | ratio |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for one in sorted(same, key=lambda one: one["words"]):
        ratio = one["captum ms"] / one["ms"]
        print(
            f"| {one['words']:.0f} | {one['residual']:.3%} | {one['ms']:.1f} | {one['captum points']:.0f} "
            f"| {one['captum residual']:.3%} | {one['captum ms']:.1f} | {ratio:.1f} |"
        )
    ours, theirs = (sum(one[key] for one in same) for key in ("ms", "captum ms"))
    print(
        f"\n{name}: at the same residual, over {len(same)} reviews, {theirs / ours:.1f} times as fast as captum "
        f"({ours / len(same):.1f} and {theirs / len(same):.1f} ms a review).\n"
    )


def _runs(model: gw.Model, text: Any) -> tuple[dict[str, Callable[[], Any]], float]:
    method = IntegratedGradients(POINTS, _kind(model), max_points=POINTS)
    by_points, _, _ = _captum(model, text)

    def captum() -> Tensor:
        return by_points(POINTS)

    ours = model.explain(text, method)
    equal = float(np.abs(ours.scores - captum()[0].sum(dim=1).detach().numpy()).max())
    if equal > 1e-4:
        raise SystemExit(f"the two differ by {equal:.1e}")

    def read_all() -> None:
        example = model.trace(text)
        model.explain(example, "cell-decomposition")
        _ = example.prefix_logits, example.contributions

    net, read = model.net, cut(model.preprocessor.encode_batch([text])[0], model.architecture)
    runs: dict[str, Callable[[], Any]] = {"trace, prefix predictions and cell decomposition": read_all}
    if net.arch.bidirectional:
        runs["each prefix by itself"] = lambda: run_all(net, (read[:t] for t in range(len(read) + 1)))
    runs |= {name.replace("-", " "): lambda name=name: model.explain(text, name) for name in METHODS}
    runs[FIXED] = lambda: model.explain(text, method)
    return {**runs, CAPTUM: captum}, equal


def _in_turns(runs: dict[str, Callable[[], Any]], turns: int) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(turns + 1):  # the first one warms up
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            if turn:
                taken[name].append(time.perf_counter() - began)
    return taken


if __name__ == "__main__":
    main()
