"""A model whose network is a graph, for other libraries: the graph of its logits, and its ONNX file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.errors import InputError, ModelFileError, quote, required
from gatewise.exchange.graph_to_onnx import graph_to_onnx
from gatewise.exchange.onnx_export import TOLERANCE, ExportError
from gatewise.exchange.proof_inputs import Case, CaseMaker
from gatewise.members import Ensemble
from gatewise.members.onnx.graph import OPSET
from gatewise.model import ExportReport, Model, SeriesPreprocessor
from gatewise.network.graph import Graph
from gatewise.network.graph_builder import GraphBuilder
from gatewise.network.operations import operation_of
from gatewise.network.size import Dim
from gatewise.storage.fields import fields_from
from gatewise.storage.strict_json import parse_json
from gatewise.target import ClassificationTarget, Target, TargetConfig

_TASKS = ("classification", "multilabel", "regression")  # whose probabilities or numbers the graph computes
_ROUNDS = 3  # of all sizes that are checked
LOGITS = "logits"
VALUES = "values"  # of a regression
PROBABILITIES = "probabilities"
_TARGET = "gatewise.target"  # in the metadata of a file: what its first output means


def is_graph(model: Model) -> bool:
    """Whether the network of a model is a graph, and no `Architecture`."""
    return model.ensemble.network.kind == "graph"


def graph_of_model(model: Model) -> Graph:
    """The graph of a model: its inputs are those of the network, its outputs logits (B, outputs) and probabilities
    (B, classes), of a regression values; with a prediction per step (B, T, outputs).

    Raises InputError for other members besides the network, and for a preprocessor of series that changes them.
    """
    ensemble = model.ensemble
    network: Any = ensemble.network
    if ensemble.others:
        nouns = " and ".join(member.noun for member, _ in ensemble.others)
        raise InputError(f"a network of this form is exported alone, and the model also has {nouns}")
    preprocessor = model.preprocessor
    if isinstance(preprocessor, SeriesPreprocessor) and _changes_values(preprocessor):
        raise InputError("the preprocessor standardises or fills series, which is not part of the graph of a network")
    graph: Graph = network.form.explained
    builder = GraphBuilder()
    builder.reserved = {LOGITS, VALUES, PROBABILITIES}
    own = {name: name if name not in builder.reserved else f"{name}_of_network" for name in graph.types}
    for name, value_type in graph.inputs.items():
        builder.input(own[name], value_type)
    for name, array in graph.constants.items():
        builder.constant(array, own[name])
    for node in graph.nodes:
        builder.origin = node.origin
        read = [own[name] if name else "" for name in node.inputs]
        builder.node(node.operation, read, [own[name] for name in node.outputs], node.name)
    builder.origin = ""
    logits = _weighted(builder, ensemble, _in_rows(builder, network, own[network.form.logits_name]))
    outputs = _named(builder, ensemble.target, logits)
    return builder.graph(outputs, graph.guards)


def graph_file(model: Model, path: str | Path, storage: str = "float32") -> tuple[bytes, ExportReport]:
    """The ONNX file of the graph, after ONNX Runtime has computed the same logits for random inputs of many sizes; it
    is not written. It holds the network alone: `gatewise.from_onnx` reads it as that of any tool. storage: of
    embeddings and matrices of weights, whose numbers are rounded to it. Raises ExportError where the logits
    differ.
    """
    target = model.ensemble.target
    if target.each.task not in _TASKS:
        raise InputError(f"the task {quote(target.task)} cannot be exported to ONNX")
    graph = graph_of_model(model)
    inputs = "; ".join(f"{name}: {value_type}" for name, value_type in graph.inputs.items())
    facts = {
        "gatewise.task": target.task,
        "gatewise.inputs": inputs,
        _TARGET: json.dumps(TargetConfig.of(target).as_dict()),
    }
    raw: bytes = graph_to_onnx(graph, facts, storage).SerializeToString()
    runtime = required("onnxruntime", "onnx", "the check of an ONNX file")
    options = runtime.SessionOptions()
    options.log_severity_level = 4  # its errors are exceptions, too
    session = runtime.InferenceSession(raw, options, providers=["CPUExecutionProvider"])
    worst = 0.0
    checked = 0
    for case in _random_cases(graph):
        feeds = {name: _typed(array) for name, array in case.inputs.items()}
        [logits] = session.run([graph.outputs[0]], feeds)
        expected = graph.run(feeds)[graph.outputs[0]].astype(np.float64)
        same = (logits == expected) | (np.isnan(logits) & np.isnan(expected))  # also infinite ones
        with np.errstate(invalid="ignore"):
            error = np.where(same, 0, np.abs(logits - expected) / np.maximum(1, np.abs(expected)))
        worst = float(np.maximum(worst, error.max()))  # NaN where only one is
        checked += len(expected)
    if not worst <= TOLERANCE:
        raise ExportError(
            f"the ONNX file was not written: ONNX Runtime's logits differ by {worst:.2g} from the model's, more than "
            f"{TOLERANCE:g}"
        )
    return raw, ExportReport(str(path), len(raw), OPSET, checked, worst, inputs, storage)


def exported_target(file: Any, path: str | Path) -> Target | None:
    """What the first output of a ModelProto means, read from `path`, where `graph_file` made it; else None. Raises
    ModelFileError for damaged metadata.
    """
    properties = {entry.key: entry.value for entry in file.metadata_props}
    if file.producer_name != "gatewise" or _TARGET not in properties:
        return None
    where = f"{quote(path, 200)}: {_TARGET}"
    entry = parse_json(properties[_TARGET].encode(), where)
    try:
        return fields_from(TargetConfig, entry, where).target()
    except InputError as error:
        raise ModelFileError(str(error)) from error


def _random_cases(graph: Graph) -> Iterator[Case]:
    """Random inputs of all sizes that a proof compares, several times."""
    for seed in range(_ROUNDS):
        for case in CaseMaker(graph, np.random.default_rng(seed)).cases():
            if case.name == "random inputs":
                yield case


def _changes_values(series: SeriesPreprocessor) -> bool:
    """Whether it standardises series or fills in what is missing."""
    channels = len(series.mean)
    unchanged = replace(series, mean=(0.0,) * channels, std=(1.0,) * channels, missing="refuse")
    return unchanged != series


def _typed(array: Any) -> Any:
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def _in_rows(builder: GraphBuilder, network: Any, value: str) -> str:
    """The logits as (B, outputs), or (B, T, outputs) where each step has a prediction."""
    axes = network.form.logits_axes
    if axes.batch is None:
        value = builder.add("Unsqueeze", value, axes=(0,))
        axes = axes._replace(batch=0, steps=None if axes.steps is None else axes.steps + 1)
    shape = builder.types[value].shape
    first = [axis for axis in (axes.batch, axes.steps) if axis is not None]
    order = (*first, *(axis for axis in range(len(shape)) if axis not in first))
    if order != tuple(range(len(shape))):
        value = builder.add("Transpose", value, perm=order)
    rows: tuple[Dim, ...] = (*(shape[axis] for axis in first), axes.outputs)
    if builder.types[value].shape != rows:
        value = builder.add("Reshape", value, shape=rows)
    return value


def _weighted(builder: GraphBuilder, ensemble: Ensemble, value: str) -> str:
    """The logits times the weight of the network, plus the shift."""
    [weight] = ensemble.weights
    if weight != 1:
        value = builder.add("Mul", value, builder.constant(np.array(weight)))
    if np.any(ensemble.shift):
        value = builder.add("Add", value, builder.constant(ensemble.shift))
    return value


def _named(builder: GraphBuilder, target: Target, logits: str) -> list[str]:
    """The outputs under their names."""
    if not target.each.has_probabilities:
        return [_called(builder, logits, VALUES)]
    logits = _called(builder, logits, LOGITS)
    if not isinstance(target.each, ClassificationTarget):
        return [logits, _called(builder, builder.add("Sigmoid", logits), PROBABILITIES)]
    both = logits
    if target.outputs == 1:  # the logit of the second class
        zero = builder.add("Mul", logits, builder.constant(np.array(0.0)))
        both = builder.add("Concat", zero, logits, axis=-1)
    return [logits, _called(builder, builder.add("Softmax", both, axis=-1), PROBABILITIES)]


def _called(builder: GraphBuilder, value: str, name: str) -> str:
    return builder.node(operation_of("Identity", {}), (value,), (name,))[0]
