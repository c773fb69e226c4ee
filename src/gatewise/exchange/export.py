"""A model for other libraries: the formats "onnx" and "web" of `Model.export`, `to_keras` and `to_torch`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatewise.errors import InputError
from gatewise.exchange.graph_model import graph_file, graph_of_model, is_graph
from gatewise.exchange.graph_web import graph_inputs
from gatewise.exchange.onnx_export import onnx_file
from gatewise.exchange.web import NOUN, web_files
from gatewise.members import Ensemble
from gatewise.model import ExportReport, Model
from gatewise.model.compress import stored
from gatewise.storage.atomic import write_atomic
from gatewise.storage.export_folder import check_export, write_export

if TYPE_CHECKING:
    from gatewise.nn.graph_module import GraphModule
    from gatewise.nn.network import TorchNetwork


def export_onnx(model: Model, path: str | Path, *, quantize: str = "float32") -> ExportReport:
    """Write an ONNX file that computes the logits and probabilities of a model, after ONNX Runtime has computed the
    same logits for 1,000 random inputs; see `gatewise.exchange.onnx_export` for inputs, outputs and errors.

    quantize: the dtype of the large matrices in the file, "int8" or "float16", as `storage` of `Model.save`; the file
    computes what the model does after such a save (`gatewise.model.compress.stored`). `metadata_props` holds the
    architecture, the classes, and those files of the model folder that are JSON, without examples: `from_onnx` reads a
    model in float32 back.
    """
    plain = replace(model, metadata=replace(model.metadata, examples=()), history_jsonl="", units_json=b"")
    texts = {name: raw.decode() for name, raw in plain.to_files().items() if name.endswith(".json")}
    raw, report = _onnx_file(model, path, quantize, texts)
    write_atomic(path, raw)
    return report


def export_web(model: Model, path: str | Path, *, quantize: str = "float32", overwrite: bool = False) -> ExportReport:
    """Write a folder from which onnxruntime-web predicts in browsers and in Node: the ONNX file of `export_onnx`, the
    vocabulary for @huggingface/tokenizers, and `model.js`, a module with `loadModel` and `predict`.

    overwrite: whether an earlier export there is replaced. Raises InputError for a model whose inputs the module cannot
    read, see `gatewise.exchange.web`; other errors as `export_onnx`.
    """
    target = check_export(path, overwrite, NOUN)
    graph = graph_inputs(model) if is_graph(model) else None
    files = web_files(model.target, model.preprocessor, graph)
    raw, report = _onnx_file(model, path, quantize, {})
    write_export(target, {**files, "model.onnx": raw}, NOUN)
    return report


def _onnx_file(model: Model, path: str | Path, storage: str, texts: Mapping[str, str]) -> tuple[bytes, ExportReport]:
    """The ONNX file with these texts in its metadata."""
    if storage != "float32":
        model = stored(model, storage)
    if is_graph(model):
        return graph_file(model, path, storage)
    series = model.preprocessor if model.channels else None
    return onnx_file(model.explained, path, texts, series, storage)


def to_torch(model: Model, *, network_only: bool = False) -> TorchNetwork | GraphModule:
    """The ensemble of a model as a torch.nn.Module that gives equal logits and runs without gatewise; see
    `gatewise.nn.network.TorchNetwork`. It takes the `steps` of what `preprocessor.encode_batch` returns, padded
    at the end.

    >>> import torch
    >>> module = gw.to_torch(gw.load("tutorial"))
    >>> module(torch.tensor([[4, 12, 7]])).shape
    torch.Size([1, 1])

    A network that is a graph becomes a `gatewise.nn.GraphModule`, which returns the logits for the inputs of the graph
    and needs gatewise.

    network_only: the LSTM alone, without its weight and the other members. Raises InputError for a member without a
    torch module, such as convolutions, and for binary gates; MissingExtra without torch.
    """
    from gatewise.nn.graph_module import GraphModule
    from gatewise.nn.network import TorchNetwork

    if is_graph(model):
        graph = graph_of_model(model)
        return GraphModule(replace(graph, outputs=graph.outputs[:1]))
    return TorchNetwork(_ensemble(model, network_only))


def to_keras(model: Model, *, network_only: bool = False) -> Any:
    """The LSTM of a model as a keras.Model that gives equal logits and runs without gatewise.

    >>> gw.to_keras(model).save("sentiment.keras")  # doctest: +SKIP

    It takes token ids (n, T), at most `max_length` of them: padded with 0 at the end, or with padding "pre" in front as
    by `keras.utils.pad_sequences`; of a model of series the `steps` of what `preprocessor.encode_batch` returns, padded
    at the end with steps of 1e9. A network that is a graph becomes a model with the inputs of the graph, which needs
    gatewise (`gatewise.exchange.graph_to_keras`).

    network_only: the LSTM alone, of a model with other members. Raises InputError for other members unless it is set,
    for binary gates, and without Keras.
    """
    from gatewise.exchange.graph_to_keras import graph_to_keras
    from gatewise.exchange.keras_model import keras_model

    if is_graph(model):
        graph = graph_of_model(model)
        return graph_to_keras(replace(graph, outputs=graph.outputs[:1]))
    ensemble = _ensemble(model, network_only)
    if ensemble.others:
        nouns = " and ".join(member.noun for member, _ in ensemble.others)
        raise InputError(f"to_keras does not convert {nouns}; network_only=True converts the LSTM alone")
    return keras_model(model.architecture, ensemble.folded_parameters())


def _ensemble(model: Model, network_only: bool) -> Ensemble:
    """The members to convert."""
    if network_only:
        return model.ensemble.alone()
    return model.ensemble
