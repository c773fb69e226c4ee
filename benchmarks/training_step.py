"""One whole training step of the tutorial's recipe: gatewise beside torch.nn.LSTM on padded batches.

Both have the same weights and read the same 64 real reviews, padded in front to 1000 and not masked; a step is forward,
loss, backward and Adam. That both compute the same loss and the same gradients is checked before anything is timed.
Then the two take turns, and medians of the pairs are printed, and written as JSON.

    python benchmarks/training_step.py [--data PATH] [--pairs 9] [--threads 2] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gatewise import __version__, kernels
from gatewise.architecture import Architecture, initial_parameters
from gatewise.batch import Batch
from gatewise.cell import Array
from gatewise.data import imdb
from gatewise.nn import Network
from gatewise.text import KerasEncoding, keras_index
from gatewise.training import recipe

BATCH, LEARNING_RATE, EPSILON = 64, 0.001, 1e-7


class Padded(torch.nn.Module):
    """The same network as a PyTorch user would write it: embedding, nn.LSTM over padded batches, linear."""

    def __init__(self, arch: Architecture, start: dict[str, Array]) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(arch.rows, arch.embedding)
        self.lstm = torch.nn.LSTM(arch.embedding, arch.units, batch_first=True)
        self.dense = torch.nn.Linear(arch.units, 1)
        named = {
            "embedding.weight": self.embedding.weight,
            "lstm.0.forward.weight_ih": self.lstm.weight_ih_l0,
            "lstm.0.forward.weight_hh": self.lstm.weight_hh_l0,
            "lstm.0.forward.bias": self.lstm.bias_ih_l0,
            "dense.weight": self.dense.weight,
            "dense.bias": self.dense.bias,
        }
        with torch.no_grad():
            self.lstm.bias_hh_l0.zero_()
            for name, parameter in named.items():
                parameter.copy_(torch.from_numpy(start[name]))
        self.named = named

    def forward(self, ids: Tensor) -> Tensor:
        out, _ = self.lstm(self.embedding(ids))
        logits: Tensor = self.dense(out[:, -1])
        return logits


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    os.environ["GATEWISE_THREADS"] = str(options.threads)
    arch, start, sequences, labels = _prepared(options.data, options.pairs + 2)
    active = np.unique(np.concatenate([[0], *sequences]))
    ours, theirs = Network(arch, start, active=active), Padded(arch, start)

    def our_loss(n: int) -> Tensor:
        rows = sequences[n * BATCH : (n + 1) * BATCH]
        return _loss(ours(Batch.of(rows, arch)), labels[n * BATCH : (n + 1) * BATCH])

    def their_loss(n: int) -> Tensor:
        padded = np.zeros((BATCH, arch.length), dtype=np.int64)
        for row, ids in zip(padded, sequences[n * BATCH : (n + 1) * BATCH], strict=True):
            row[arch.length - len(ids) :] = ids
        return _loss(theirs(torch.from_numpy(padded)), labels[n * BATCH : (n + 1) * BATCH])

    worst = _check(ours, theirs, our_loss(0), their_loss(0), active)
    print(f"same loss, same gradients: largest relative difference {worst:.1e}")
    steps = [_stepper(ours, our_loss), _stepper(theirs, their_loss)]
    times: list[list[float]] = [[], []]
    for n in range(options.pairs + 1):
        for which, step in enumerate(steps):
            began = time.perf_counter()
            step(n + 1)
            if n:  # the first pair warms up
                times[which].append(1000 * (time.perf_counter() - began))
    medians = [statistics.median(t) for t in times]
    ratio = statistics.median(b / a for a, b in zip(*times, strict=True))
    print(f"gatewise ({kernels.get().name}): {medians[0]:.1f} ms a step, torch.nn.LSTM padded: {medians[1]:.1f} ms")
    print(f"ratio, median of {options.pairs} pairs: {ratio:.1f} ({options.threads} threads)")
    if options.json:
        result = {
            "training_step_ratio_to_torch_padded": round(ratio, 2),
            "gatewise_ms": round(medians[0], 2),
            "torch_padded_ms": round(medians[1], 2),
            "pairs": options.pairs,
            "threads": options.threads,
            "largest_relative_difference": worst,
            "versions": {"gatewise": __version__, "torch": torch.__version__, "python": platform.python_version()},
            "machine": _machine(),
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
        }
        Path(options.json).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def _machine() -> str:
    """The processor's name where the system tells it, and its kind."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return f"{name or platform.processor() or 'unknown'}, {platform.machine()}, {platform.system()}"


def _loss(logits: Tensor, target: Tensor) -> Tensor:
    return torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 0], target)


def _stepper(network: torch.nn.Module, loss_of: Callable[[int], Tensor]) -> Callable[[int], None]:
    """A step with torch's fused Adam, over all of the network's parameters."""
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, eps=EPSILON, fused=True)

    def step(n: int) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss_of(n).backward()
        optimizer.step()

    return step


def _check(ours: Network, theirs: Padded, our_loss: Tensor, their_loss: Tensor, active: Array) -> float:
    """The largest difference of loss and gradients, relative to the largest number of each; fails beyond 1e-4."""
    our_loss.backward()
    their_loss.backward()
    worst = abs(float(our_loss.detach()) / float(their_loss.detach()) - 1)
    for name, parameter in theirs.named.items():
        wanted, found = parameter.grad, ours.weights[name.replace(".", "_")].grad
        assert wanted is not None
        assert found is not None
        wanted = wanted[torch.from_numpy(active)] if name == "embedding.weight" else wanted
        worst = max(worst, float((found - wanted).abs().max() / wanted.abs().max()))
    if worst > 1e-4:
        raise SystemExit(f"the two do not compute the same: {worst:.1e}; nothing was timed")
    return worst


def _prepared(data: str | None, batches: int) -> tuple[Architecture, dict[str, Array], list[Array], Tensor]:
    reviews = imdb(data).train
    encoding = KerasEncoding(keras_index(reviews.inputs), recipe("tutorial").words)
    arch = recipe("tutorial").architecture("tokens", encoding.rows, 2)
    rows = np.random.default_rng(0).permutation(len(reviews.inputs))[: batches * BATCH]
    sequences = [ids[-arch.length :] for ids in encoding.encode_all([reviews.inputs[n] for n in rows])]
    labels = torch.from_numpy(reviews.labels[rows]).float()
    return arch, initial_parameters(arch, np.random.default_rng(1)), sequences, labels


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="embedded", help="the IMDB archive or its folder")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", help="write the result to this file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
