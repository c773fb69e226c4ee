"""torch.nn.LSTM: pre-padded, post-padded on batches of similar length, packed; training steps, recurrence, inference.

Every variant is what a PyTorch user would write. Padding and packing of the ids is not timed here, while
gatewise's step includes it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from benchmarks.contenders.base import (
    Arrays,
    Settings,
    Sgemm,
    Task,
    Unavailable,
    padded,
    reviews_of,
    seconds_of,
    seconds_of_steps,
)


def load(kind: str, settings: Settings, arrays: Arrays) -> Task:
    torch.set_num_threads(settings["threads"])
    if kind == "sgemm":
        return Sgemm(settings, lambda size: torch.randn(size, size), torch.mm, "torch.mm", _versions())
    tasks: dict[str, Any] = {"step": Step, "recurrence": Recurrence, "inference": Inference}
    if kind not in tasks:
        raise Unavailable(f"torch does not support {kind}")
    task: Task = tasks[kind](settings, arrays)
    return task


def _versions(**more: str) -> dict[str, str]:
    return {"torch": torch.__version__, **more}


def _one_bias(lstm: Any) -> None:
    """Fix the second bias at zero, which saves torch work."""
    lstm.bias_hh_l0.zero_().requires_grad_(False)


class Classifier(torch.nn.Module):
    """Embedding, nn.LSTM, linear, with the given weights; bias_hh is zero and not trained."""

    def __init__(self, weights: Arrays, batch_first: bool) -> None:
        super().__init__()
        rows, width = weights["embedding.weight"].shape
        units = weights["weight_hh"].shape[1]
        self.embedding: Any = torch.nn.Embedding(rows, width)
        self.lstm: Any = torch.nn.LSTM(width, units, batch_first=batch_first)
        self.dense: Any = torch.nn.Linear(units, 1)
        self.named: dict[str, Any] = {
            "embedding.weight": self.embedding.weight,
            "weight_ih": self.lstm.weight_ih_l0,
            "weight_hh": self.lstm.weight_hh_l0,
            "bias": self.lstm.bias_ih_l0,
            "dense.weight": self.dense.weight,
            "dense.bias": self.dense.bias,
        }
        with torch.no_grad():
            _one_bias(self.lstm)
            for name, parameter in self.named.items():
                parameter.copy_(torch.from_numpy(weights[name]))

    def forward(self, batch: tuple[Tensor | PackedSequence, Tensor | None]) -> Tensor:
        ids, last = batch
        if isinstance(ids, PackedSequence):
            _, (h_n, _) = self.lstm(ids._replace(data=self.embedding(ids.data)))
            return self.dense(h_n[0])[:, 0]  # type: ignore[no-any-return]
        out, (h_n, _) = self.lstm(self.embedding(ids))
        if last is None:  # pre-padded: the last step is every review's last word
            return self.dense(h_n[0])[:, 0]  # type: ignore[no-any-return]
        every = torch.arange(len(last))
        h = out[every, last] if self.lstm.batch_first else out[last, every]
        return self.dense(h)[:, 0]  # type: ignore[no-any-return]


def _batches(settings: Settings, arrays: Arrays) -> list[tuple[Tensor | PackedSequence, Tensor | None]]:
    """The ids of each batch and the last step of each review; None if that is the last step of the batch."""
    reviews, size = reviews_of(arrays), settings["batch_size"]
    first = settings.get("batch_first", True)
    out: list[tuple[Tensor | PackedSequence, Tensor | None]] = []
    for start in range(0, len(reviews), size):
        taken = reviews[start : start + size]
        lengths = torch.tensor([len(r) for r in taken])
        if settings["layout"] == "pre":
            ids = torch.from_numpy(padded(taken, settings["length"], "pre"))
            out.append((ids if first else ids.T.contiguous(), None))
            continue
        ids = torch.from_numpy(padded(taken, int(lengths.max()), "post"))
        if settings["layout"] == "post":
            out.append((ids if first else ids.T.contiguous(), lengths - 1))
        else:
            out.append((pack_padded_sequence(ids, lengths, batch_first=True, enforce_sorted=False), None))
    return out


class Step:
    """Training steps: forward, loss, backward, fused Adam. One run is `steps` consecutive batches."""

    def __init__(self, settings: Settings, arrays: Arrays) -> None:
        self.settings = settings
        self.network = Classifier(arrays, settings.get("batch_first", True))
        self.batches = _batches(settings, arrays)
        self.labels = torch.from_numpy(arrays["labels"]).float().split(settings["batch_size"])  # type: ignore[no-untyped-call]
        trained = list(self.network.named.values())
        self.network.lstm.bias_hh_l0.requires_grad_(False)
        self.optimizer = torch.optim.Adam(trained, lr=0.001, eps=1e-7, fused=True)
        self.place = 0

    def _loss(self, n: int) -> tuple[Tensor, Tensor]:
        logits = self.network(self.batches[n])
        return torch.nn.functional.binary_cross_entropy_with_logits(logits, self.labels[n]), logits

    def check(self) -> Arrays:
        loss, logits = self._loss(0)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        outputs = {"loss": loss.detach().numpy(), "logits": logits.detach().numpy()}
        for name, parameter in self.network.named.items():
            assert parameter.grad is not None
            outputs[f"d {name}"] = parameter.grad.numpy()
        return outputs

    def run(self) -> float:
        return seconds_of_steps(self._step, self.settings)

    def _step(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        loss, _ = self._loss(self.place)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        loss.item()
        self.place = (self.place + 1) % len(self.batches)

    def info(self) -> dict[str, str]:
        layouts = {"pre": "pre-padded", "post": "post-padded", "packed": "PackedSequence of the ids"}
        axis = "" if self.settings["layout"] == "packed" else f", batch_first={self.network.lstm.batch_first}"
        return _versions(settings=f"nn.LSTM, {layouts[self.settings['layout']]}{axis}, fused Adam")


class Recurrence:
    """nn.LSTM with one input channel, so that the input product is negligible; forward and backward from h_T."""

    def __init__(self, settings: Settings, arrays: Arrays) -> None:
        self.settings = settings
        self.x = torch.from_numpy(arrays["x"])  # (B, T, 1)
        self.dh = torch.from_numpy(arrays["dh_T"])  # (B, H)
        self.first = settings.get("batch_first", True)
        self.lstm: Any = torch.nn.LSTM(1, self.dh.shape[1], batch_first=self.first)
        if not self.first:
            self.x = self.x.transpose(0, 1).contiguous()
        with torch.no_grad():
            _one_bias(self.lstm)
            for name, parameter in self._named().items():
                parameter.copy_(torch.from_numpy(arrays[name]))

    def _named(self) -> dict[str, Tensor]:
        lstm = self.lstm
        return {"weight_ih": lstm.weight_ih_l0, "weight_hh": lstm.weight_hh_l0, "bias": lstm.bias_ih_l0}

    def _forward_backward(self) -> Tensor:
        self.lstm.zero_grad(set_to_none=True)
        _, (h_n, _) = self.lstm(self.x)
        torch.autograd.backward(h_n, self.dh[None])
        return h_n[0]  # type: ignore[no-any-return]

    def check(self) -> Arrays:
        h = self._forward_backward()
        grads = {f"d {name}": p.grad.numpy() for name, p in self._named().items() if p.grad is not None}
        return {"h_T": h.detach().numpy(), **grads}

    def run(self) -> float:
        return seconds_of(self._forward_backward, warmup=1, repeats=self.settings["repeats"])

    def info(self) -> dict[str, str]:
        return _versions(settings=f"nn.LSTM(1, {self.dh.shape[1]}), batch_first={self.first}")


class Inference:
    """Logits of all reviews: batches of similar length, post-padded, torch.inference_mode."""

    def __init__(self, settings: Settings, arrays: Arrays) -> None:
        self.settings = settings
        self.network = Classifier(arrays, settings.get("batch_first", True)).eval()
        self.batches = _batches(settings, arrays)

    @torch.inference_mode()
    def _logits(self) -> list[Tensor]:
        return [self.network(batch) for batch in self.batches]

    def check(self) -> Arrays:
        return {"logits": np.concatenate([part.numpy() for part in self._logits()])}

    def run(self) -> float:
        return seconds_of(self._logits, repeats=self.settings["repeats"])

    def info(self) -> dict[str, str]:
        first = self.network.lstm.batch_first
        return _versions(settings=f"nn.LSTM, post-padded, batch_first={first}, inference_mode")
