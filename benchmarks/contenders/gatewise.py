"""gatewise with its default settings.

A training step is `gatewise.training.loop.Loop._step`, the method that `gatewise train` calls for each batch: batch
from ids, forward, loss, backward, gradient norm, Adam. The parent process sets GATEWISE_ISA and GATEWISE_KERNEL.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.contenders.base import Arrays, Settings, Task, Unavailable, reviews_of, seconds_of, seconds_of_steps
from gatewise import __version__, kernels
from gatewise.errors import GatewiseError
from gatewise.kernels import native
from gatewise.kernels.interface import Kernel, LSTMCall
from gatewise.network.architecture import Architecture

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as `gatewise.nn` does before `Layer` imports torch


def load(kind: str, settings: Settings, arrays: Arrays) -> Task:
    _kernel()
    tasks: dict[str, Any] = {"step": Step, "recurrence": Recurrence, "layer": Layer, "inference": Inference}
    if kind not in tasks:
        raise Unavailable(f"gatewise has no {kind}")
    task: Task = tasks[kind](settings, arrays)
    return task


def _kernel() -> Kernel:
    """The kernel that GATEWISE_KERNEL selects."""
    name = os.environ.get("GATEWISE_KERNEL", "native")
    if name not in kernels.NAMES:
        raise Unavailable(f"kernel {name}: not in this build")
    try:
        return kernels.get(name)
    except GatewiseError as error:
        raise Unavailable(str(error)) from error


def _info(**more: str) -> dict[str, str]:
    kernel = _kernel().name
    isa = f", instruction set {native.isa()}" if kernel != "reference" else ""
    return {"gatewise": __version__, "settings": f"kernel {kernel}{isa}", **more}


def _architecture(settings: Settings, arrays: Arrays) -> Architecture:
    return Architecture.stacked(
        inputs="tokens",
        vocab_size=settings["vocab_size"],
        embedding_dim=arrays["embedding.weight"].shape[1],
        units=arrays["weight_hh"].shape[1],
        max_length=settings["length"],
        padding=settings["padding"],
    )


def _parameters(arch: Architecture, arrays: Arrays) -> Arrays:
    """The parameters by gatewise's names; embedding rows that no id uses are zeros."""
    embedding = np.zeros((arch.vocab_size, arch.embedding_dim), np.float32)
    embedding[: len(arrays["embedding.weight"])] = arrays["embedding.weight"]
    lstm = {f"lstm.0.forward.{name}": arrays[name] for name in ("weight_ih", "weight_hh", "bias")}
    dense = {name: arrays[name] for name in ("dense.weight", "dense.bias")}
    return {"embedding.weight": embedding, **lstm, **dense}


class Step:
    """Training steps as in `gatewise train`, which gives NumPy's products one thread. One run is `steps` consecutive
    batches.
    """

    def __init__(self, settings: Settings, arrays: Arrays) -> None:
        from gatewise.data import Labelled
        from gatewise.errors import InputError
        from gatewise.kernels.threads import one_blas_thread
        from gatewise.model.preprocessor import TextPreprocessor
        from gatewise.network.trainable import Network
        from gatewise.text import KerasEncoding
        from gatewise.training import recipe
        from gatewise.training.loop import Loop
        from gatewise.training.objective import SupervisedObjective
        from gatewise.training.training_data import TrainingData

        self.settings = settings
        self.one_blas_thread = one_blas_thread
        self.arch = _architecture(settings, arrays)
        try:
            chosen = recipe(
                "tutorial",
                padding=settings["padding"],
                batch_size=settings["batch_size"],
                **settings.get("recipe", {}),
            )
        except InputError as error:
            raise Unavailable(f"{str(error).split(';')[0]}: not in this build") from error
        self.reviews, labels = reviews_of(arrays), arrays["labels"].astype(np.int64)
        every, trainable_rows = np.arange(len(labels)), np.arange(len(arrays["embedding.weight"]))
        dropout = chosen.dropout | settings.get("dropout", {})
        network = Network(self.arch, _parameters(self.arch, arrays), trainable_rows=trainable_rows, dropout=dropout)
        training_data = TrainingData(
            data=Labelled.of(["a", "b"], [0, 1]),
            recipe=chosen,
            preprocessor=TextPreprocessor(KerasEncoding({"a": 1})),
            architecture=self.arch,
            sequences=self.reviews,
            full_sequences=self.reviews,
            labels=labels,
            train=every,
            validation=every,
        )
        self.batches = [every[n : n + settings["batch_size"]] for n in range(0, len(every), settings["batch_size"])]
        objective = SupervisedObjective(training_data, network, 0)
        objective.batches = lambda epoch: self.batches  # type: ignore[method-assign]
        self.loop = Loop(objective)

    def check(self) -> Arrays:
        from gatewise.network.autograd import RowGradient
        from gatewise.network.batch import Batch

        network, rows = self.loop.objective.network, self.batches[0]
        logits = network.logits(Batch.of([self.reviews[n] for n in rows], self.arch))[:, 0]
        self._step()
        loss = self.loop.progress.loss
        outputs = {"loss": np.array(loss), "logits": logits}
        for name, gradient in network.gradients().items():
            if isinstance(gradient, RowGradient):
                whole = np.zeros_like(network.parameters[name])
                whole[gradient.rows] = gradient.values
                gradient = whole
            outputs[f"d {name.removeprefix('lstm.0.forward.')}"] = gradient
        return outputs

    def _step(self) -> None:
        self.loop._step(self.loop.progress.step)

    def run(self) -> float:
        with self.one_blas_thread():
            return seconds_of_steps(self._step, self.settings)

    def info(self) -> dict[str, str]:
        return _info()


class Recurrence:
    """The kernel's forward and backward on arrays, from `pre` and the gradient of h_T."""

    def __init__(self, settings: Settings, arrays: Arrays) -> None:
        self.settings, self.arrays = settings, arrays
        self.kernel = _kernel()
        units = arrays["weight_hh"].shape[1]
        if "x" in arrays:  # (B, T, 1): each step has its own row of pre
            self.x = arrays["x"].reshape(-1, 1)
            self.pre = self.x @ arrays["weight_ih"].T + arrays["bias"]
            self.lengths = np.full(arrays["x"].shape[0], arrays["x"].shape[1], dtype=np.int64)
        else:
            self.pre, self.lengths = arrays["pre"], arrays["lengths"].astype(np.int64)
        self.zeros = np.zeros((len(self.lengths), units), np.float32)

    def _forward_backward(self) -> tuple[Any, Any]:
        index, weight_hh = self.arrays.get("index"), self.arrays["weight_hh"]
        out = self.kernel.forward(LSTMCall(self.pre, index, self.lengths, weight_hh, self.zeros, self.zeros))
        assert out.saved is not None
        return out, self.kernel.backward(out.saved, None, self.arrays["dh_T"], self.zeros)

    def check(self) -> Arrays:
        out, back = self._forward_backward()
        d_ih = back.dpre.T @ self.x
        return {
            "h_T": out.h_T,
            "d weight_hh": back.dweight_hh,
            "d weight_ih": d_ih,
            "d bias": back.dpre.sum(axis=0, dtype=np.float64),
        }

    def run(self) -> float:
        return seconds_of(self._forward_backward, warmup=1, repeats=self.settings["repeats"])

    def info(self) -> dict[str, str]:
        return _info()


class Layer:
    """gatewise.nn.LSTM called like torch.nn.LSTM, with input product and autograd."""

    def __init__(self, settings: Settings, arrays: Arrays) -> None:
        import torch

        from gatewise.nn import LSTM

        torch.set_num_threads(settings["threads"])
        self.settings = settings
        self.x, self.dh = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["dh_T"])
        self.lstm = LSTM(1, self.dh.shape[1], batch_first=True)
        self.names = ("weight_ih", "weight_hh", "bias")
        with torch.no_grad():
            for name in self.names:
                getattr(self.lstm, f"{name}_l0").copy_(torch.from_numpy(arrays[name]))

    def _forward_backward(self) -> Any:
        import torch

        self.lstm.zero_grad(set_to_none=True)
        _, (h_n, _) = self.lstm(self.x)
        torch.autograd.backward(h_n, self.dh[None])
        return h_n[0]

    def check(self) -> Arrays:
        h = self._forward_backward()
        grads = {f"d {name}": getattr(self.lstm, f"{name}_l0").grad.numpy() for name in self.names}
        return {"h_T": h.detach().numpy(), **grads}

    def run(self) -> float:
        return seconds_of(self._forward_backward, warmup=1, repeats=self.settings["repeats"])

    def info(self) -> dict[str, str]:
        return _info(settings="gatewise.nn.LSTM, batch_first=True")


class Inference:
    """Logits of all reviews from their ids by `Ensemble.logits`, without torch."""

    def __init__(self, settings: Settings, arrays: Arrays) -> None:
        from gatewise.kernels import read_only
        from gatewise.members.ensemble import Ensemble
        from gatewise.members.lstm import LSTM
        from gatewise.network.batch import Batch
        from gatewise.network.forward import forward
        from gatewise.network.ops import Ops
        from gatewise.target import Target

        self.settings = settings
        arch = _architecture(settings, arrays)
        self.reviews: list[Any] = list(reviews_of(arrays))
        # Read-only, as in a model that `load` opened.
        parameters = {name: read_only(array.copy()) for name, array in _parameters(arch, arrays).items()}
        ensemble = Ensemble((LSTM(arch, parameters),), (1.0,), np.zeros(1), Target(("negative", "positive")))
        self.work: Callable[[], Any] = lambda: ensemble.logits(self.reviews)
        if settings.get("api") == "forward":
            batch, ops = Batch.of(self.reviews, arch), Ops(_kernel())
            self.work = lambda: forward(ops, parameters, arch, batch)

    def check(self) -> Arrays:
        logits: NDArray[np.float32] = self.work()  # (n, 1)
        return {"logits": logits[:, 0]}

    def run(self) -> float:
        return seconds_of(self.work, repeats=self.settings["repeats"])

    def info(self) -> dict[str, str]:
        api = "network.forward on a prepared batch" if self.settings.get("api") == "forward" else "Ensemble.logits"
        info = _info()
        return {**info, "settings": f"{info['settings']}, {api}"}
