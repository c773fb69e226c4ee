"""A model as an ONNX file: the graph, its metadata, and the comparison with ONNX Runtime before anything is written;
and the model of such a file.

Inputs of the graph: `tokens` (batch, steps) int64 or `series` (batch, steps, channels) float32, NaN where a value is
missing, padded at the end with any ids or numbers; `lengths` (batch,) int64, the steps of each sequence. A run with
more of them than there are fails.
Outputs: `logits` (batch, outputs) and `probabilities` (batch, classes) float32, of a regression `values` instead. With
pooling "none" they are (batch, read steps, outputs), and those after the end of a sequence mean nothing.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.errors import GatewiseError, InputError, ModelFileError, quote, required
from gatewise.members import Ensemble, kind_named
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.members.member import PaddedSequences
from gatewise.members.onnx.graph import OPSET, Graph, Value, array_of, ints, scalar, step_mask
from gatewise.members.onnx.lstm import check_exportable
from gatewise.model import ExportReport
from gatewise.network.batch import truncate
from gatewise.network.series import HEIGHT, TIMES
from gatewise.ragged import flat
from gatewise.storage.folder import CONFIG, Folder
from gatewise.storage.strict_json import json_bytes, parse_json
from gatewise.target import ClassificationTarget, Target
from gatewise.types import Array

TOLERANCE = 1e-5  # of a logit, relative to logits above 1
CHECKED = 1_000  # random sequences that both compute before the file is written
_TASKS = ("classification", "multilabel", "regression")  # whose probabilities or numbers the graph computes
LENGTHS = "lengths"
_LONGEST = 100  # steps of most of them


def onnx_file(
    ensemble: Ensemble, path: str | Path, metadata: Mapping[str, str], series: Any = None, storage: str = "float32"
) -> tuple[bytes, ExportReport]:
    """The ONNX file for `path`, with which ONNX Runtime has computed the logits of random sequences; it is not written.

    metadata: more `metadata_props`. series: the `SeriesPreprocessor` of a model of series, whose work is part of the
    graph; None for one of token ids. storage: of the matrices, whose numbers are rounded to it. Raises MissingExtra
    without onnx and onnxruntime, InputError for binary gates, ExportError where the logits differ.
    """
    check_exportable(ensemble.lstm.arch)
    if ensemble.target.each.task not in _TASKS:
        raise InputError(f"the task {quote(ensemble.target.task)} cannot be exported to ONNX")
    if series is None:
        inputs = "token ids (batch, steps) and lengths (batch,); the tokenisation is not part of the graph"
    else:
        inputs = (
            f"series (batch, steps, {series.channels}), NaN for missing values, and lengths (batch,); scaling and "
            "interpolation are part of the graph"
        )
    columns = ensemble.get("columns")
    if columns is not None:
        inputs += f"; numeric and categorical (batch, columns), of {columns.schema}"
    properties = {**metadata, **_metadata(ensemble, inputs)}
    raw: bytes = onnx_model(Graph(storage), ensemble, properties, series).SerializeToString()
    runtime = required("onnxruntime", "onnx", "the check of an ONNX file")
    options = runtime.SessionOptions()
    options.log_severity_level = 4  # its errors are exceptions, too
    session = runtime.InferenceSession(raw, options, providers=["CPUExecutionProvider"])
    error = largest_difference(ensemble, series, lambda feed: session.run(None, feed)[0])
    if not error <= TOLERANCE:
        raise ExportError(
            f"the ONNX file was not written: ONNX Runtime's logits differ by {error:.2g} from the model's, more than "
            f"{TOLERANCE:g}"
        )
    return raw, ExportReport(str(path), len(raw), OPSET, CHECKED, error, inputs, storage)


class ExportError(GatewiseError):
    """An exported model that does not compute what the model computes. Nothing is written."""


def onnx_model(graph: Graph, ensemble: Ensemble, metadata: Mapping[str, str], series: Any) -> Any:
    """The ModelProto of an empty graph to which the ensemble is added, checked by `onnx.checker`."""
    name, dtype, channels = _input(series)
    lengths = _checked_lengths(graph, name)
    target = ensemble.target
    padded = PaddedSequences(name, lengths)
    if series is not None:
        scaled = _scaled(graph, name, lengths, series)
        padded = PaddedSequences(scaled, lengths, scaled, lengths)
        if series.window:
            steps, count = _windows(graph, scaled, lengths, series)
            padded = PaddedSequences(steps, count, scaled, lengths)
    total: Any = ensemble.shift  # float64
    for (member, weight), graph.owner in zip(ensemble, ensemble.member_names(), strict=True):
        if weight:
            logits = graph.add("Mul", member.to_onnx(graph, padded), scalar(weight, np.float64))
            total = graph.add("Add", logits, total)
    logits = graph.cast(total, np.float32)
    outputs: dict[str, Any] = {}
    rows = ["batch", "read_steps"] if ensemble.lstm.arch.per_step else ["batch"]
    if not target.each.has_probabilities:
        outputs[graph.rename(logits, "values")] = (np.float32, [*rows, target.outputs])
    else:
        outputs[graph.rename(logits, "logits")] = (np.float32, [*rows, target.outputs])
        probabilities = graph.rename(_probabilities(graph, logits, target), "probabilities")
        outputs[probabilities] = (np.float32, [*rows, len(target.classes)])
    own = {name: (dtype, ["batch", "steps", *channels]), LENGTHS: (np.int64, ["batch"])}
    return graph.model(own | graph.inputs, outputs, metadata)


def _input(series: Any) -> tuple[str, type, tuple[int, ...]]:
    """Name and dtype of the input, and the axes of a step."""
    if series is None:
        return "tokens", np.int64, ()
    return "series", np.float32, (series.channels,)


def _checked_lengths(graph: Graph, x: str) -> str:
    """The input of the lengths, through a node that fails where one is no number of steps of x: there is no element 1
    of an axis of size 1.
    """
    since = graph.node_count
    below = graph.add("Less", LENGTHS, scalar(0))
    beyond = graph.add("Greater", LENGTHS, graph.size(x, 1))
    wrong = graph.cast(graph.add("Or", below, beyond), np.int64)
    fails = graph.add("ReduceMax", wrong, keepdims=0)
    checked = graph.add("Gather", graph.add("Unsqueeze", LENGTHS, ints(0)), fails, axis=0)
    graph.give_name(checked, "lengths, of at most the steps", since)
    return "lengths, of at most the steps"


def _scaled(graph: Graph, x: str, lengths: str, own: Any) -> str:
    """What `SeriesPreprocessor` makes of series x (B, T, C) float32 of `lengths` (B,): (B, T, C), or C + 1 channels
    with a mask. Steps after the end of a series are 0.
    """
    scaled = graph.add("Sub", graph.cast(x, np.float64), np.array(own.mean))
    scaled = graph.cast(graph.add("Div", scaled, np.array(own.std)), np.float32)
    inside = graph.add("Unsqueeze", step_mask(graph, x, lengths), ints(2))  # (B, T, 1)
    missing = graph.add("IsNaN", scaled)
    known = graph.add("And", graph.add("Not", missing), inside)  # (B, T, C)
    filled = scaled
    if own.missing == "interpolate":
        filled = graph.add("Where", known, scaled, _interpolated(graph, scaled, known))
    filled = graph.add("Where", inside, filled, scalar(0, np.float32))
    if not own.mask:
        return filled
    share = graph.add("ReduceMean", graph.cast(graph.add("And", missing, inside), np.float32), axes=[2], keepdims=1)
    return graph.add("Concat", filled, share, axis=2)


def _windows(graph: Graph, x: str, lengths: str, own: Any) -> tuple[str, str]:
    """What the LSTM reads (B, R, ...) of the windows of series x (B, T, C), and their number (B,)."""
    window = own.window
    count = graph.add("Div", graph.add("Add", lengths, scalar(window - 1)), scalar(window))
    total, channels = graph.size(x, 1), graph.size(x, 2)
    more = graph.add("Mod", graph.add("Neg", total), ints(window))  # steps up to a whole window

    def rows_of(steps: str, value: Value) -> str:  # (B, T, C) as (B, R, window C)
        pads = graph.add("Concat", ints(0, 0, 0, 0), more, ints(0), axis=0)
        padded = graph.add("Pad", steps, pads, value)
        shape = graph.add("Concat", ints(0, -1), graph.add("Mul", channels, ints(window)), axis=0)
        return graph.add("Reshape", padded, shape)

    inside = graph.add("Unsqueeze", step_mask(graph, x, lengths), ints(2))  # (B, T, 1)
    rows = graph.add("Div", graph.add("Add", total, ints(window - 1)), ints(window))
    each = graph.add("Mul", graph.count(rows), scalar(window))  # the first step of a row (R,)
    steps = graph.add("Sub", graph.column(lengths), each)  # from there on (B, R)
    steps = graph.add("Max", graph.add("Min", steps, scalar(window)), scalar(1))
    ends = graph.cast(graph.add("Unsqueeze", graph.add("Add", each, steps), ints(2)), np.float64)  # (B, R, 1)
    steps = graph.cast(graph.add("Unsqueeze", steps, ints(2)), np.float64)

    def mean_of(numbers: str) -> str:  # (B, T, C) float64 as (B, R, C)
        masked = rows_of(graph.add("Where", inside, numbers, scalar(0, np.float64)), scalar(0, np.float64))
        apart = graph.add("Reshape", masked, graph.add("Concat", ints(0, 0, window), channels, axis=0))
        return graph.add("Div", graph.add("ReduceSum", apart, ints(2), keepdims=0), steps)

    def steps_from(sums: str, first: int) -> str:
        """The T rows of sums (B, T + 2 reach, C) from `first` on."""
        return graph.add("Slice", sums, ints(first), graph.add("Add", total, ints(first)), ints(1))

    read = x
    if own.level:
        parts = [mean_of(graph.cast(x, np.float64))]
        reach = 1 << window.bit_length() - 1
        wide = graph.count(graph.add("Add", total, ints(2 * reach)))
        place = graph.add("Unsqueeze", graph.add("Sub", wide, scalar(reach)), ints(0))  # (1, T + 2 reach)
        end = graph.add("Sub", graph.column(lengths), scalar(1))
        # Mirrored at the end and at the start, both of the place itself: a series may be shorter than what is mirrored.
        at_end = graph.add("Sub", graph.add("Add", graph.add("Mul", end, scalar(2)), scalar(1)), place)
        at_start = graph.add("Max", place, graph.add("Sub", scalar(-1), place))
        place = graph.add("Max", graph.add("Min", at_start, graph.add("Min", at_end, end)), scalar(0))
        shape = graph.add("Concat", ints(1, 1), channels, axis=0)
        place = graph.add("Expand", graph.add("Unsqueeze", place, ints(2)), shape)
        sums = graph.cast(graph.add("GatherElements", x, place, axis=1), np.float64)
        for octave in range(window.bit_length() - 1):
            width = 1 << octave
            later = steps_from(sums, reach)
            earlier = steps_from(sums, reach - width)
            change = graph.add("Sub", later, earlier)
            power = graph.add("Div", mean_of(graph.add("Mul", change, change)), scalar(2 * width, np.float64))
            parts.append(graph.add("Sqrt", power))
            # The sums over twice as many steps, for the next octave.
            size = graph.size(sums, 1)
            first = graph.add("Slice", sums, ints(0), graph.add("Sub", size, ints(width)), ints(1))
            second = graph.add("Slice", sums, ints(width), size, ints(1))
            sums = graph.add("Add", first, second)
        read = graph.add("Sub", graph.add("Concat", *parts, axis=2), np.array(own.level))
        read = graph.add("Div", read, np.array(own.spread))
    place = graph.add("Div", ends, scalar(max(own.steps[1], 1), np.float64))
    place = graph.add("Mul", graph.add("Min", place, scalar(1, np.float64)), scalar(TIMES, np.float64))
    apart = graph.add("Abs", graph.add("Sub", place, np.arange(TIMES + 1, dtype=np.float64)))
    time = graph.add("Relu", graph.add("Sub", scalar(1, np.float64), apart))
    time = graph.add("Mul", time, scalar(HEIGHT, np.float64))
    return graph.add("Concat", graph.cast(read, np.float32), graph.cast(time, np.float32), axis=2), count


def _interpolated(graph: Graph, x: str, known: str) -> str:
    """x (B, T, C) interpolated linearly over the steps between known values, nearest outside, 0 where none is known.

    The k-th known step of each channel is written to row k of a table; a step with r known steps up to it lies between
    rows r - 1 and r.
    """
    flags = graph.cast(known, np.int64)
    rank = graph.add("CumSum", flags, scalar(1))  # known steps up to this one
    last = graph.add("Sub", graph.add("ReduceSum", flags, ints(1), keepdims=1), scalar(1))  # (B, 1, C), -1 for none
    steps = graph.add("Unsqueeze", graph.count(graph.size(x, 1)), ints(1))  # (T, 1)
    zeros = graph.add("Mul", flags, scalar(0))
    step = graph.add("Add", zeros, steps)  # (B, T, C)
    table = graph.add("Pad", zeros, ints(0, 0, 0, 0, 1, 0), scalar(0))  # (B, T + 1, C), row T for unknown steps
    place = graph.add("Where", known, graph.add("Sub", rank, scalar(1)), graph.size(x, 1))
    table = graph.add("ScatterElements", table, place, step, axis=1)
    row_before = graph.add("Max", graph.add("Sub", rank, scalar(1)), scalar(0))
    row_after = graph.add("Max", graph.add("Min", rank, last), scalar(0))
    before = graph.add("GatherElements", table, row_before, axis=1)
    after = graph.add("GatherElements", table, row_after, axis=1)
    low = graph.cast(graph.add("GatherElements", x, before, axis=1), np.float64)
    high = graph.cast(graph.add("GatherElements", x, after, axis=1), np.float64)
    width = graph.cast(graph.add("Max", graph.add("Sub", after, before), scalar(1)), np.float64)
    slope = graph.add("Div", graph.add("Sub", high, low), width)
    distance = graph.cast(graph.add("Max", graph.add("Sub", step, before), scalar(0)), np.float64)
    value = graph.cast(graph.add("Add", graph.add("Mul", slope, distance), low), np.float32)
    return graph.add("Where", graph.add("Less", last, scalar(0)), scalar(0, np.float32), value)


def _probabilities(graph: Graph, logits: str, target: Target) -> str:
    """Probabilities (..., K) of logits (..., outputs)."""
    if not isinstance(target.each, ClassificationTarget):
        return graph.add("Sigmoid", logits)
    if target.outputs == 1:  # the logit of the second class
        zero = graph.add("Mul", logits, scalar(0, np.float32))
        logits = graph.add("Concat", zero, logits, axis=-1)
    return graph.add("Softmax", logits, axis=-1)


def _metadata(ensemble: Ensemble, inputs: str) -> dict[str, str]:
    """`metadata_props` of a graph."""
    target = ensemble.target
    facts = {
        "architecture": json.dumps(ensemble.lstm.arch.as_dict()),
        "task": target.task,
        "classes": json.dumps(target.classes, ensure_ascii=False),
        "label_type": target.label_type,
        "thresholds": json.dumps(target.thresholds),
        "inputs": inputs,
        "ensemble": str(ensemble),
    }
    return {f"gatewise.{name}": value for name, value in facts.items()}


def largest_difference(ensemble: Ensemble, series: Any, run: Callable[[dict[str, Array]], Array]) -> float:
    """The largest difference between the logits of ONNX Runtime and of the model over CHECKED random sequences. run:
    the first output of the graph for its inputs by name.
    """
    rng = np.random.default_rng(0)
    arch = ensemble.lstm.arch
    worst = 0.0
    done = 0
    while done < CHECKED:
        sequences = _random_sequences(ensemble, series, rng, CHECKED - done)
        column_feeds, column_values = _columns(ensemble, rng, len(sequences))
        if series is None:
            encoded = [EncodedSequence(sequence) for sequence in sequences]
        else:
            encoded = [series.encoded(sequence) for sequence in sequences]
        if column_values:
            encoded = [replace(each, columns=row) for each, row in zip(encoded, column_values, strict=True)]
        expected = flat(ensemble.logits(encoded)).astype(np.float64)
        logits = run(_feeds(series, sequences) | column_feeds)
        if arch.per_step:  # (B, T, outputs)
            counts = [len(truncate(sequence, arch)) for sequence in sequences]
            logits = np.concatenate([rows[:count] for rows, count in zip(logits, counts, strict=True)])
        error = np.abs(logits - expected) / np.maximum(1, np.abs(expected))
        worst = float(np.maximum(worst, error.max()))  # NaN where a logit is NaN
        done += len(sequences)
    return worst


def _columns(ensemble: Ensemble, rng: np.random.Generator, count: int) -> tuple[dict[str, Array], list[Any]]:
    """Inputs of the graph for the columns of so many rows, and their values; empty for a model that reads none."""
    member = ensemble.get("columns")
    if member is None:
        return {}, []
    from gatewise.members.onnx.columns import feeds, random_values

    rows = random_values(member, rng, count)
    weight = ensemble.weights[ensemble.members.index(member)]
    if not weight:
        return {}, rows  # a member without weight is no part of the graph
    return feeds(member, rows), rows


def _feeds(series: Any, sequences: Sequence[Array]) -> dict[str, Array]:
    """The inputs of the graph for sequences of ids or series."""
    lengths = np.array([len(sequence) for sequence in sequences], dtype=np.int64)
    name, dtype, channels = _input(series)
    padded: Array = np.zeros((len(sequences), int(lengths.max()), *channels), dtype=dtype)
    for row, sequence in zip(padded, sequences, strict=True):
        row[: len(sequence)] = sequence
    return {name: padded, LENGTHS: lengths}


def _random_sequences(ensemble: Ensemble, series: Any, rng: np.random.Generator, most: int) -> list[Array]:
    """1 to 64 sequences, at most `most`, of 1 to _LONGEST steps; or, if the model truncates, two longer ones.

    The longest of a batch sets the time that ONNX Runtime takes, so most batches are of short sequences.
    """
    max_length = ensemble.lstm.arch.max_length
    count = min(int(rng.integers(1, 65)), most)
    if 0 < max_length < 2_000 and rng.integers(8) == 0:
        lengths = max_length + rng.integers(1, 50, min(2, most))
    else:
        longest = int(np.exp(rng.uniform(0, np.log(_LONGEST + 1))))
        lengths = rng.integers(1, longest + 1, count)
    if series is None:
        return [_random_tokens(ensemble, rng, int(length)) for length in lengths]
    return [_random_series(series, rng, int(length)) for length in lengths]


def _random_tokens(ensemble: Ensemble, rng: np.random.Generator, length: int) -> Array:
    """Token ids (length,), half of them from n-grams of the model, if there are any."""
    tokens = rng.integers(0, ensemble.lstm.arch.vocab_size, length)
    for member, _ in ensemble.others:
        known = member.onnx_tokens(rng, length // 2 + 1)
        tokens[: len(known)] = known[:length]
        tokens = np.roll(tokens, rng.integers(length))
    return tokens


def _random_series(own: Any, rng: np.random.Generator, length: int) -> Array:
    """A series (length, C) float32 like the training data; every third one has missing values, where the model takes
    them.
    """
    series = rng.normal(own.mean, own.std, (length, own.channels)).astype(np.float32)
    if own.missing == "interpolate" and rng.integers(3) == 0:
        series[rng.random(series.shape) < rng.uniform(0, 1)] = np.nan
    return series


def own_folder(file: Any, path: str | Path) -> Folder | None:
    """The folder of the model in a ModelProto, read from `path`; None for one of another exporter. Members of weight 0
    are not in the file. Raises ModelFileError for a damaged file, InputError where the LSTM has weight 0.
    """
    where = quote(path, 200)
    properties = {entry.key: entry.value for entry in file.metadata_props}
    files = {name: text.encode() for name, text in properties.items() if name.endswith(".json")}
    if file.producer_name != "gatewise" or CONFIG not in files:
        return None
    constants: dict[str, dict[str, Array]] = {}
    for tensor in file.graph.initializer:
        owner, dot, name = tensor.name.partition(".")
        if dot:
            constants.setdefault(owner, {})[name] = array_of(tensor, where)
    try:
        config: Any = parse_json(files[CONFIG], CONFIG)
        members = []
        for entry in config["members"]:
            kind = entry.pop("kind")
            file_name = entry.pop("file")
            weight = entry.pop("weight")
            if not weight and kind == "lstm":
                raise InputError(
                    f"{where}: the LSTM has weight 0 and is not in the file: load the model folder instead"
                )
            if weight:
                kept = constants.get(file_name.removesuffix(".safetensors"), {})
                entry, files[file_name] = kind_named(kind).file_of_onnx(entry, kept)
                members.append({"kind": kind, "file": file_name, "weight": weight, **entry})
        config["members"] = members
    except (InputError, ModelFileError):
        raise
    except KeyError as error:
        raise ModelFileError(f"{where}: it has no tensor or entry {error}; quantized files are not read") from error
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ModelFileError(f"{where}: the parts of the model do not fit together: {quote(error)}") from error
    return Folder(Path(path), {**files, CONFIG: json_bytes(config)}, "")
