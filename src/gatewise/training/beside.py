"""A training step beside the same step of torch.nn.LSTM: one side of the comparison, in a process of its own.

    python -m gatewise.training.beside SIDE BATCH THREADS OUT

SIDE is one of `SIDES`; BATCH an .npz file with `tokens` (N,), `lengths` (B,) and `labels` (B,). A line of JSON says
when it is ready; the loss and the gradients of its first step are in OUT (.npz) then. After that a line "step" on stdin
asks for one step, answered by its milliseconds, and "sgemm THREADS" for torch's own sgemm. That way two sides can take
turns, each with OpenMP as it likes it best. Both read unmasked pads up to 1000 ("padded"), or no pads at all
("packed"), and start from the same weights.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from gatewise.network.architecture import Architecture, initial_parameters
from gatewise.network.batch import Batch
from gatewise.nn import Network
from gatewise.types import Array

__all__ = ["SIDES", "NnLstm", "main", "sgemm"]

SIDES = ("ours-padded", "torch-padded", "ours-packed", "torch-packed")
ROWS, EMBEDDING, UNITS, LENGTH = 10_000, 32, 100, 1000


class NnLstm(torch.nn.Module):
    """The network as a PyTorch user would write it: embedding, torch.nn.LSTM over padded or packed batches, linear."""

    def __init__(self, arch: Architecture, start: dict[str, Array], packed: bool) -> None:
        super().__init__()
        self.packed = packed
        self.embedding = torch.nn.Embedding(arch.vocab_size, arch.embedding_dim)
        self.lstm = torch.nn.LSTM(arch.embedding_dim, arch.units, batch_first=True)
        self.dense = torch.nn.Linear(arch.units, 1)
        inside = dict(self.lstm.named_parameters())
        self.named: dict[str, Tensor] = {
            "embedding.weight": self.embedding.weight,
            "lstm.0.forward.weight_ih": inside["weight_ih_l0"],
            "lstm.0.forward.weight_hh": inside["weight_hh_l0"],
            "lstm.0.forward.bias": inside["bias_ih_l0"],
            "dense.weight": self.dense.weight,
            "dense.bias": self.dense.bias,
        }
        with torch.no_grad():
            inside["bias_hh_l0"].zero_()
            for name, parameter in self.named.items():
                parameter.copy_(torch.from_numpy(start[name]))

    def forward(self, sequences: list[Array]) -> Tensor:
        """Logits (B, 1)."""
        if self.packed:
            tokens = [torch.from_numpy(one.astype(np.int64)) for one in sequences]
            ids = torch.nn.utils.rnn.pack_sequence(
                tokens, enforce_sorted=False
            )  # before the embedding: that is quicker
            _, (last, _) = self.lstm(ids._replace(data=self.embedding(ids.data)))
            return self.dense(last[0])  # type: ignore[no-any-return]
        padded = np.zeros((len(sequences), LENGTH), dtype=np.int64)
        for row, one in zip(padded, sequences, strict=True):
            row[LENGTH - len(one) :] = one
        h, _ = self.lstm(self.embedding(torch.from_numpy(padded)))
        return self.dense(h[:, -1])  # type: ignore[no-any-return]


def sgemm(threads: int) -> float:
    """GFLOP/s of torch's product of two square float32 matrices, a fifth of a second long."""
    torch.set_num_threads(threads)
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    taken: list[float] = []
    began = time.perf_counter()
    while len(taken) < 4 or time.perf_counter() - began < 0.2:
        start = time.perf_counter()
        torch.mm(a, b)
        taken.append(time.perf_counter() - start)
    return 2 * 1024**3 / float(np.median(taken[1:])) / 1e9


def main() -> None:
    """One side, until stdin ends."""
    side, batch, threads, out = sys.argv[1:]
    torch.set_num_threads(int(threads))
    with np.load(batch, allow_pickle=False) as given:
        sequences = np.split(given["tokens"], np.cumsum(given["lengths"])[:-1])
        labels = torch.from_numpy(given["labels"].astype(np.float32))
    padded = side.endswith("padded")
    arch = Architecture("tokens", ROWS, EMBEDDING, UNITS, max_length=LENGTH, padding="pre" if padded else "none")
    start = initial_parameters(arch, np.random.default_rng(1))
    logits: Callable[[], Tensor]
    named: dict[str, Tensor]
    if side.startswith("torch"):
        theirs = NnLstm(arch, start, not padded)
        logits, named, every = partial(theirs, sequences), theirs.named, list(theirs.parameters())
    else:
        ours = Network(arch, start)
        logits = lambda: ours(Batch.of(sequences, arch))  # noqa: E731
        named, every = {name: ours.weights[name.replace(".", "_")] for name in start}, list(ours.parameters())
    optimizer = torch.optim.Adam(every, eps=1e-7, fused=True)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits()[:, 0], labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return float(loss.detach())

    loss = step()
    gradients = {name: p.grad.numpy() for name, p in named.items() if p.grad is not None}
    np.savez(out, loss=np.array(loss), **gradients)  # type: ignore[arg-type]
    print(json.dumps({"ready": side, "loss": loss, "torch": torch.__version__}), flush=True)
    for line in sys.stdin:
        question, *words = line.split()
        if question == "sgemm":
            print(json.dumps({"gflops": sgemm(int(words[0]))}), flush=True)
            continue
        began = time.perf_counter()
        step()
        print(json.dumps({"ms": 1e3 * (time.perf_counter() - began)}), flush=True)


if __name__ == "__main__":
    main()
