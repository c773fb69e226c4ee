"""torch.nn.LSTM: pre-padded, post-padded on batches of similar length, packed; training steps, recurrence, inference.

Every variant is what a PyTorch user would write. Padding and packing of the ids is not timed here, while
gatewise's step includes it. The parent process sets OMP_NUM_THREADS, from which torch has its number of threads.
"""

from __future__ import annotations

import shutil
from functools import partial
from itertools import cycle
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from benchmarks.contenders import base
from benchmarks.contenders.base import Arrays, Settings, Task, padded, seconds_of, seconds_of_steps
from benchmarks.contenders.networks import script_task, series_regression

Batch = tuple[Tensor | PackedSequence, Tensor | None]  # the ids, and the last step of each review where they differ


def _info(settings: str) -> dict[str, str]:
    return {"torch": torch.__version__, "settings": settings}


def _named(lstm: Any, weights: Arrays, more: dict[str, Any]) -> dict[str, Any]:
    """The trained parameters of an LSTM and of other layers by name, with the given weights. The second bias is fixed
    at zero, which saves torch work.
    """
    named = {"weight_ih": lstm.weight_ih_l0, "weight_hh": lstm.weight_hh_l0, "bias": lstm.bias_ih_l0, **more}
    with torch.no_grad():
        lstm.bias_hh_l0.zero_().requires_grad_(False)
        for name, parameter in named.items():
            parameter.copy_(torch.from_numpy(weights[name]))
    return named


class Classifier(torch.nn.Module):
    """Embedding, nn.LSTM, linear, with the given weights."""

    def __init__(self, weights: Arrays, batch_first: bool) -> None:
        super().__init__()
        rows, width = weights["embedding.weight"].shape
        units = weights["weight_hh"].shape[1]
        self.embedding: Any = torch.nn.Embedding(rows, width)
        self.lstm: Any = torch.nn.LSTM(width, units, batch_first=batch_first)
        self.dense: Any = torch.nn.Linear(units, 1)
        dense = {"dense.weight": self.dense.weight, "dense.bias": self.dense.bias}
        self.named = _named(self.lstm, weights, {"embedding.weight": self.embedding.weight, **dense})

    def forward(self, batch: Batch) -> Tensor:
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


def _batches(settings: Settings, arrays: Arrays) -> list[Batch]:
    first, out = settings.get("batch_first", True), list[Batch]()
    for reviews in base.batches_of(base.reviews_of(arrays), settings["batch_size"]):
        lengths = torch.tensor([len(r) for r in reviews])
        pre = settings["layout"] == "pre"
        ids = torch.from_numpy(
            padded(reviews, settings["length"] if pre else int(lengths.max()), "pre" if pre else "post")
        )
        if settings["layout"] == "packed":
            out.append((pack_padded_sequence(ids, lengths, batch_first=True, enforce_sorted=False), None))
        else:
            out.append((ids if first else ids.T.contiguous(), None if pre else lengths - 1))
    return out


def step(settings: Settings, arrays: Arrays) -> Task:
    """Training steps: forward, loss, backward, fused Adam. One run is `steps` consecutive batches."""
    network = Classifier(arrays, settings.get("batch_first", True))
    labels = torch.from_numpy(arrays["labels"]).float().split(settings["batch_size"])  # type: ignore[no-untyped-call]
    batches = list(zip(_batches(settings, arrays), labels, strict=True))
    optimizer = torch.optim.Adam(list(network.named.values()), lr=0.001, eps=1e-7, fused=True)
    following = cycle(batches)

    def backward(batch: Batch, labels: Tensor) -> tuple[Tensor, Tensor]:
        optimizer.zero_grad(set_to_none=True)
        logits = network(batch)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss, logits

    def train() -> None:
        loss, _ = backward(*next(following))
        optimizer.step()
        loss.item()

    def check() -> Arrays:
        loss, logits = backward(*batches[0])
        outputs = {"loss": loss.detach().numpy(), "logits": logits.detach().numpy()}
        return outputs | {f"d {name}": parameter.grad.numpy() for name, parameter in network.named.items()}

    layout = {"pre": "pre-padded", "post": "post-padded", "packed": "PackedSequence of the ids"}[settings["layout"]]
    axis = "" if settings["layout"] == "packed" else f", batch_first={network.lstm.batch_first}"
    return Task(partial(seconds_of_steps, train, settings), _info(f"nn.LSTM, {layout}{axis}, fused Adam"), check)


def recurrence(settings: Settings, arrays: Arrays) -> Task:
    """nn.LSTM, forward and backward from the gradient of h_T."""
    x, dh = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["dh_T"])  # (B, T, C), (B, H)
    first = settings.get("batch_first", True)
    if not first:
        x = x.transpose(0, 1).contiguous()
    lstm: Any = torch.nn.LSTM(x.shape[2], dh.shape[1], batch_first=first)
    named = _named(lstm, arrays, {})
    return layer_task(lstm, named, x, dh, settings, _info(f"nn.LSTM({x.shape[2]}, {dh.shape[1]}), batch_first={first}"))


def layer_task(
    lstm: Any, named: dict[str, Any], x: Tensor, dh: Tensor, settings: Settings, info: dict[str, str]
) -> Task:
    """Forward and backward of a layer that is called like torch.nn.LSTM. named: its parameters."""

    def forward_backward() -> Tensor:
        lstm.zero_grad(set_to_none=True)
        _, (h_n, _) = lstm(x)
        torch.autograd.backward(h_n, dh[None])
        return h_n[0]  # type: ignore[no-any-return]

    def check() -> Arrays:
        h = forward_backward()
        return {"h_T": h.detach().numpy(), **{f"d {name}": one.grad.numpy() for name, one in named.items()}}

    return Task(partial(seconds_of, forward_backward, warmup=1, repeats=settings["repeats"]), info, check)


def inference(settings: Settings, arrays: Arrays) -> Task:
    """Logits of all reviews: batches of similar length, post-padded, torch.inference_mode."""
    first = settings.get("batch_first", True)
    how = settings.get("how", "eager")
    batches = _batches(settings, arrays)
    network = _prepared(Classifier(arrays, first).eval(), how, batches[0])

    @torch.inference_mode()
    def logits() -> list[Any]:
        return [network(batch)[:, None].numpy() for batch in batches]

    info = _info(f"nn.LSTM, post-padded, batch_first={first}, inference_mode, {how}")
    return base.inference_task(logits, settings, info)


def opened(settings: Settings, arrays: Arrays) -> Task:
    """The outputs of the network that gatewise opens, for an array (B, T, C), torch.inference_mode."""
    how = settings["how"]
    batch = torch.from_numpy(arrays["x"])
    network = _prepared(series_regression(batch.shape[2], settings["units"]), how, batch)

    @torch.inference_mode()
    def predict() -> NDArray[np.float32]:
        return network(torch.from_numpy(arrays["x"]))[:, 0].numpy()  # type: ignore[no-any-return]

    return base.predict_task(predict, settings, _info(f"inference_mode, {how}"))


def script(settings: Settings, _: Arrays) -> Task:
    """A training script with torch.nn.LSTM."""
    return script_task(torch.nn.LSTM, settings, _info("torch.nn.LSTM"))


def _prepared(network: torch.nn.Module, how: str, batch: Any) -> Any:
    """The network as it is ("eager"), traced and frozen by torch.jit ("frozen"), or by torch.compile ("compiled")."""
    if how == "frozen":
        with torch.inference_mode():
            return torch.jit.freeze(torch.jit.trace(network, (batch,)))  # type: ignore[no-untyped-call]
    if how == "compiled":
        if shutil.which("g++") is None:
            raise base.Unavailable("torch.compile needs a C++ compiler")
        return torch.compile(network, dynamic=True)
    return network


def product(settings: Settings, arrays: Arrays) -> Task:
    """torch.mm (MKL)."""
    return base.sgemm(settings, lambda size: torch.randn(size, size), torch.mm, "torch.mm", _info(""))


TASKS = {
    "step": step,
    "recurrence": recurrence,
    "inference": inference,
    "opened": opened,
    "script": script,
    "sgemm": product,
}
