"""gatewise with its default settings, and NumPy's matrix product.

A training step is `gatewise.training.loop.Loop.train_step`, which `gatewise train` calls for each batch: batch from
ids, forward, loss, backward, gradient norm, Adam. The parent process sets GATEWISE_ISA and GATEWISE_KERNEL.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from benchmarks.contenders import base
from benchmarks.contenders.base import Arrays, Settings, Task, Unavailable
from gatewise import __version__, from_torch, kernels
from gatewise.errors import GatewiseError
from gatewise.kernels import native
from gatewise.kernels.call import LSTMCall
from gatewise.kernels.interface import Kernel
from gatewise.kernels.threads import one_blas_thread
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.members.ensemble import Ensemble
from gatewise.members.lstm import LSTM
from gatewise.network.architecture import Architecture
from gatewise.network.autograd import RowGradient
from gatewise.network.batch import Batch
from gatewise.network.forward import forward
from gatewise.network.ops import Ops
from gatewise.network.trainable import Network
from gatewise.target import target_of
from gatewise.training import recipe
from gatewise.training.network_data import NetworkData
from gatewise.training.supervised_loop import SupervisedLoop

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as `gatewise.nn` does before `layer` imports torch


def _kernel() -> Kernel:
    """The kernel that GATEWISE_KERNEL selects."""
    try:
        return kernels.get(os.environ.get("GATEWISE_KERNEL", "native"))
    except GatewiseError as error:
        raise Unavailable(str(error)) from error


def info_of(more: str = "") -> dict[str, str]:
    kernel = _kernel().name
    isa = f", instruction set {native.float32_isa()}" if kernel != "reference" else ""
    return {"gatewise": __version__, "settings": f"kernel {kernel}{isa}{more}"}


def architecture(settings: Settings, arrays: Arrays) -> Architecture:
    return Architecture.stacked(
        inputs="tokens",
        vocab_size=settings["vocab_size"],
        embedding_dim=arrays["embedding.weight"].shape[1],
        units=arrays["weight_hh"].shape[1],
        max_length=settings["length"],
        padding=settings["padding"],
    )


def parameters_of(arch: Architecture, arrays: Arrays) -> Arrays:
    """The parameters by gatewise's names; embedding rows that no id uses are zeros."""
    embedding = np.zeros((arch.vocab_size, arch.embedding_dim), np.float32)
    embedding[: len(arrays["embedding.weight"])] = arrays["embedding.weight"]
    lstm = {f"lstm.0.forward.{name}": arrays[name] for name in ("weight_ih", "weight_hh", "bias")}
    dense = {name: arrays[name] for name in ("dense.weight", "dense.bias")}
    return {"embedding.weight": embedding, **lstm, **dense}


def step(settings: Settings, arrays: Arrays) -> Task:
    """Training steps as in `gatewise train`, which gives NumPy's products one thread. One run is `steps` consecutive
    batches.
    """
    info, arch = info_of(), architecture(settings, arrays)
    chosen = recipe("tutorial", padding=settings["padding"], batch_size=settings["batch_size"])
    reviews, labels = base.reviews_of(arrays), arrays["labels"].astype(np.int64)
    every, trainable_rows = np.arange(len(labels)), np.arange(len(arrays["embedding.weight"]))
    network = Network(arch, parameters_of(arch, arrays), trainable_rows=trainable_rows)
    training_data = NetworkData(
        recipe=chosen,
        architecture=arch,
        target=target_of(("a", "b")),
        sequences=reviews,
        labels=labels,
        train=every,
        validation=every,
    )
    batches = [np.array(rows) for rows in base.batches_of(list(every), settings["batch_size"])]
    loop = SupervisedLoop(training_data, network, 0)
    loop.batches = lambda epoch: batches  # type: ignore[method-assign]

    def train() -> None:
        loop.train_step(loop.progress.step)

    def check() -> Arrays:
        logits = forward(Ops(), network.arrays(), arch, Batch.of([reviews[n] for n in batches[0]], arch))[:, 0]
        train()
        outputs = {"loss": np.array(loop.progress.loss), "logits": logits}
        for name, gradient in network.gradients().items():
            if isinstance(gradient, RowGradient):
                whole = np.zeros_like(network.parameters[name])
                whole[gradient.rows] = gradient.values
                gradient = whole
            outputs[f"d {name.removeprefix('lstm.0.forward.')}"] = gradient
        return outputs

    def run() -> float:
        with one_blas_thread():
            return base.seconds_of_steps(train, settings)

    return Task(run, info, check)


def recurrence(settings: Settings, arrays: Arrays) -> Task:
    """The kernel's forward and backward on arrays, from `pre` and the gradient of h_T."""
    kernel, index, weight_hh = _kernel(), arrays.get("index"), arrays["weight_hh"]
    x = arrays["x"].reshape(-1, 1) if "x" in arrays else np.empty((0, 1))
    if "x" in arrays:  # (B, T, 1): each step has its own row of pre
        pre = x @ arrays["weight_ih"].T + arrays["bias"]
        lengths = np.full(arrays["x"].shape[0], arrays["x"].shape[1], dtype=np.int64)
    else:
        pre, lengths = arrays["pre"], arrays["lengths"].astype(np.int64)
    zeros = np.zeros((len(lengths), weight_hh.shape[1]), np.float32)

    def forward_backward() -> tuple[Any, Any]:
        out = kernel.forward(LSTMCall(pre, index, lengths, weight_hh, zeros, zeros))
        assert out.saved is not None
        return out, kernel.backward(out.saved, None, arrays["dh_T"], zeros)

    def check() -> Arrays:
        out, back = forward_backward()
        gradients = {"d weight_hh": back.dweight_hh, "d weight_ih": back.dpre.T @ x}
        return {"h_T": out.h_T, **gradients, "d bias": back.dpre.sum(axis=0, dtype=np.float64)}

    return Task(lambda: base.seconds_of(forward_backward, warmup=1, repeats=settings["repeats"]), info_of(), check)


def layer(settings: Settings, arrays: Arrays) -> Task:
    """gatewise.nn.LSTM called like torch.nn.LSTM, with input product and autograd."""
    import torch

    from benchmarks.contenders.pytorch import layer_task
    from gatewise import nn

    x, dh = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["dh_T"])
    lstm = nn.LSTM(x.shape[2], dh.shape[1], batch_first=True)
    named = {name: getattr(lstm, f"{name}_l0") for name in ("weight_ih", "weight_hh", "bias")}
    with torch.no_grad():
        for name, parameter in named.items():
            parameter.copy_(torch.from_numpy(arrays[name]))
    return layer_task(lstm, named, x, dh, settings, info_of() | {"settings": "gatewise.nn.LSTM, batch_first=True"})


def opened(settings: Settings, arrays: Arrays) -> Task:
    """The outputs of a network of PyTorch that `gatewise.from_torch` opened, by `Model.predict`."""
    import torch

    from benchmarks.contenders.networks import series_regression

    x = arrays["x"]
    model = from_torch(series_regression(x.shape[2], settings["units"]), torch.from_numpy(x[:2]))
    return base.predict_task(lambda: model.predict(x), settings, info_of(", Model.predict"))


def script(settings: Settings, _: Arrays) -> Task:
    """A training script of PyTorch with gatewise.nn.LSTM in the place of torch.nn.LSTM."""
    from benchmarks.contenders.networks import script_task
    from gatewise import nn

    return script_task(nn.LSTM, settings, info_of() | {"settings": "gatewise.nn.LSTM"})


def inference(settings: Settings, arrays: Arrays) -> Task:
    """Logits of all reviews from their ids by `Ensemble.logits`, without torch."""
    ensemble = _ensemble(settings, arrays)
    reviews = list(map(EncodedSequence, base.reviews_of(arrays)))

    return base.inference_task(lambda: [ensemble.logits(reviews)], settings, info_of(", Ensemble.logits"))


def forward_only(settings: Settings, arrays: Arrays) -> Task:
    """Logits by the forward pass alone, on a prepared batch."""
    lstm, ops = _ensemble(settings, arrays).lstm, Ops(_kernel())
    batch = Batch.of(base.reviews_of(arrays), lstm.arch)
    info = info_of(", network.forward on a prepared batch")
    return base.inference_task(lambda: [forward(ops, lstm.parameters, lstm.arch, batch)], settings, info)


def _ensemble(settings: Settings, arrays: Arrays) -> Ensemble:
    """Of the network alone. The parameters are read-only, as in a model that `load` opened."""
    arch = architecture(settings, arrays)
    parameters = {name: kernels.read_only(array.copy()) for name, array in parameters_of(arch, arrays).items()}
    return Ensemble((LSTM(arch, parameters),), (1.0,), np.zeros(1), target_of(("negative", "positive")))


def numpy_product(settings: Settings, arrays: Arrays) -> Task:
    """NumPy's matrix product (OpenBLAS), for the machine's sgemm rate."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    out = np.empty((int(settings["size"]),) * 2, np.float32)
    name, versions = f"numpy.matmul ({blas['name']})", {"numpy": np.__version__}
    return base.sgemm(settings, base.random_matrix, lambda a, b: np.matmul(a, b, out=out), name, versions)


TASKS = {
    "step": step,
    "recurrence": recurrence,
    "layer": layer,
    "opened": opened,
    "script": script,
    "inference": inference,
    "forward": forward_only,
    "sgemm": numpy_product,
}
