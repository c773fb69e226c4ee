"""`Model`, a trained model: preprocessor, ensemble and metadata. Texts or series in, labels or numbers out.

>>> import gatewise as gw
>>> model = gw.load("models/tutorial")  # doctest: +SKIP
>>> model.predict(["A warm, funny and honest film."])  # doctest: +SKIP
array(['positive'], dtype='<U8')

Prediction needs NumPy and a kernel, not torch. `gatewise.explain` is imported on first use, so that a prediction does
not wait for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.members.ensemble import Ensemble
from gatewise.members.lstm import LSTM
from gatewise.members.member import Member
from gatewise.model.card import ModelMetadata, write_card
from gatewise.model.folder import FORMAT, HISTORY, config_of, errors_of, open_folder
from gatewise.model.predictor import Predictor
from gatewise.model.preprocessor import Preprocessor, TextPreprocessor, preprocessor_from
from gatewise.network.architecture import Architecture
from gatewise.storage.compact import storage_table
from gatewise.storage.fields import fields_from
from gatewise.storage.folder import CONFIG, Folder, save_folder
from gatewise.storage.strict_json import json_bytes
from gatewise.target import TargetConfig, target_of
from gatewise.target.of_outputs import target_of_outputs
from gatewise.types import Array, LabelType, Precision, Task

if TYPE_CHECKING:
    from gatewise.data.schema import OutsideCounts
    from gatewise.explain import Clamp, Example, Explanation, Intervention, Method
    from gatewise.explain.units import UnitsReport
    from gatewise.members.graph_network import GraphNetwork
    from gatewise.model.export import ExportReport
    from gatewise.model.stream import Stream
    from gatewise.model.streams import Streams
    from gatewise.network.graph import Graph

_UNITS_FILE = "units.json"
_CONFIG_KEYS = {"format", "kind", "target", "preprocessor", "members", "shift", "metadata"}


@dataclass(frozen=True, repr=False)
class Model(Predictor):
    """A trained model: its preprocessor makes sequences of texts or series, its ensemble predicts from them.

    >>> model = gw.load("tutorial")
    >>> model.task, model.classes, model.architecture.top.units
    ('classification', ('negative', 'positive'), 100)

    history_jsonl: what `history` reads. units_json: what `units` reads. Explanations compute in float32, whatever
    the precision of the predictions (`load`).
    """

    history_jsonl: str = ""
    units_json: bytes = b""
    manifest_sha256: str = field(init=False, repr=False, compare=False, default="")  # of the folder that `load` read

    @classmethod
    def of_network(
        cls,
        arch: Architecture,
        parameters: Mapping[str, Array],
        preprocessor: Preprocessor,
        classes: Sequence[str],
        metadata: ModelMetadata | None = None,
        history_jsonl: str = "",
        *,
        members: Sequence[tuple[Member, float]] = (),
        task: Task = "classification",
        label_type: LabelType = "str",
        thresholds: tuple[float, ...] = (),
    ) -> Model:
        """A model of an LSTM with weight 1. parameters: see `LSTM`; task, label_type, thresholds: see `Target`;
        members: further members with their weights. Raises InputError where these do not fit together.
        """
        lstm = LSTM(arch, parameters)
        target = target_of(classes, task, label_type, thresholds, per_step=arch.per_step)
        others, weights = [member for member, _ in members], [weight for _, weight in members]
        ensemble = Ensemble((lstm, *others), (1.0, *weights), np.zeros(target.outputs), target)
        return cls(preprocessor, ensemble, metadata or ModelMetadata(), history_jsonl)

    @classmethod
    def of_graph(
        cls,
        graph: Graph,
        preprocessor: Preprocessor | None = None,
        *,
        output: str | None = None,
        classes: Sequence[Any] | None = None,
        task: Task | None = None,
        lengths: str = "",
        metadata: ModelMetadata | None = None,
    ) -> Model:
        """A model of a network of any form. output: the name of the one that is predicted and explained, None for the
        first; `predict_outputs` returns all. classes, task: as of `gatewise.from_keras`. lengths: the name of an input
        that holds the number of steps of each sequence, which the model fills in.

        preprocessor: None for the one of the inputs: of a single one token ids or series as they are, of several
        `ArraysPreprocessor`. Raises InputError where these do not fit together.
        """
        from gatewise.members.graph_logits import logits_of, with_difference
        from gatewise.members.graph_network import GraphNetwork

        name = graph.outputs[0] if output is None else output
        if name not in graph.outputs:
            raise InputError(f"the network has the outputs {', '.join(graph.outputs)}, not {quote(name)}")
        logits = logits_of(graph, name)
        network = GraphNetwork.of(logits.graph, name, logits.name, lengths)
        target = target_of_outputs(logits.activation, network.outputs, network.per_step, classes, task)
        if (target.outputs, network.outputs) == (1, 2):
            logits = with_difference(logits.graph, logits.name)
            network = GraphNetwork.of(logits.graph, name, logits.name, lengths)
        if preprocessor is None:
            preprocessor = _preprocessor_of(network)
        return cls(preprocessor, Ensemble.of(network, target), metadata or ModelMetadata())

    def predict_outputs(self, inputs: Any) -> dict[str, Array]:
        """All outputs of a network that is a graph, by name, as the network itself returns them.

        inputs: arrays by name, in the layout and with the axes of the network; a network with one input also takes the
        array alone. Raises InputError for another model, and for arrays that the network does not read.
        """
        network = self.ensemble.network
        if not isinstance(inputs, Mapping):
            inputs = {network.input_names[0]: inputs}
        return network.outputs_of({name: np.asarray(array) for name, array in inputs.items()})

    def row_outputs(self, inputs: Any, *, layout: str | None = None) -> list[dict[str, Array]]:
        """All outputs of a network that is a graph, by name, for each of n inputs as `predict` takes them; the arrays
        have no axis for the batch. Errors as `predict`, and InputError for another model.
        """
        return self.ensemble.network.outputs_of_rows(self._sequences(inputs, layout))

    @cached_property
    def explained(self) -> Ensemble:
        """The ensemble as explanations run it: in float32, with the token of unknown words."""
        return self.ensemble.with_lstm(precision="float32", unknown=self.preprocessor.unknown)

    def trace(self, item: Any) -> Example:
        """One text or series with the gates and states of every unit at every step, the prefix predictions and more.

        >>> example = gw.load("tutorial").trace("a boring film")
        >>> example.lstms[0].f.shape, example.prefix_logits.shape  # forget gates (T, H); logits after 0 to T words
        ((4, 100), (5, 1))

        Each part is computed when it is first read, and kept: pass the example to `explain` and `intervene` in place of
        the item, and they do not run the network again. Errors as `predict_proba`; InputError for an example of another
        model.
        """
        from gatewise.explain.example import Example

        if isinstance(item, Example):
            other, own = item.ensemble, self.ensemble
            same = other.network.parameters is own.network.parameters and other.target == own.target
            if not same or [one for one, _ in other.others] != [one for one, _ in own.others]:
                raise InputError("the example was computed by another model: pass its text or series")
            return item
        if not self.channels:
            from gatewise.data.inputs import refuse_file

            refuse_file(item)
        return self.example(item)

    def example(self, item: Any, outside: OutsideCounts | None = None) -> Example:
        """As `trace`, of an item that is known to be a text or series: a text of a table may be the name of a file.
        outside: as of `logits`.
        """
        from gatewise.explain.example import Example

        encoded = self.preprocessor.encode(item)
        self.ensemble.network.check_sequences([encoded.sequence])
        self._count_outside([encoded.sequence], outside)
        return Example(self.explained, encoded.sequence, encoded.names, encoded.spans, item=encoded.item)

    def stream(self, state: bytes | None = None, *, network_only: bool = False) -> Stream:
        """A text or series that arrives step by step: `push` each word or step for the prediction so far.

        state: of an earlier stream, to continue from it. network_only: the LSTM alone, without its weight and the other
        members. Raises InputError for what cannot be streamed, with the reason: a bidirectional LSTM, a graph that is
        not causal, pads that never stop changing the state, and other members with a weight.
        """
        from gatewise.model.stream import Stream

        stream = Stream(self.streams(network_only=network_only))
        if state is not None:
            stream.state = state
        return stream

    def streams(self, count: int = 1, state: bytes | None = None, *, network_only: bool = False) -> Streams:
        """Texts or series that arrive step by step, `count` at a time: `push` the next step of all for the predictions
        so far. They run as one batch; streams are added and removed.

        state: of earlier streams, to continue from it, with as many as it has. The rest as `stream`.
        """
        from gatewise.model.streams import Streams

        ensemble = self.ensemble
        if network_only:
            ensemble = ensemble.alone()
        streams = Streams(self.preprocessor, ensemble, count)
        if state is not None:
            streams.state = state
        return streams

    def explain(
        self,
        item: Any,
        method: str | Method | None = None,
        *,
        target: Any = None,
        against: Any = None,
        step: int | None = None,
    ) -> Explanation:
        """How much each word (or step) contributed to the prediction for an item, or for an example from `trace`.

        >>> explanation = gw.load().explain("Two dull hours, badly acted.")
        >>> print(explanation.steps[explanation.scores.argmin()])
        badly

        method: a name of `gatewise.explain.METHODS` or a Method; None for the one that measured best on this model.
        target: the class, label or number that is explained, as a label or its name; None for the predicted one.
        against: a class to compare with, in place of the mean of all. step: of a tagger, the step whose label is
        explained, from 0; None for that of the example, by default the first one whose label is not "O". Errors as
        `predict_proba`; InputError for an unknown method or class.
        """
        from gatewise.explain.explanation import explain_example

        m = self.metadata
        example = self.trace(item)
        calibrated = self.is_calibrated(self.outside([example.sequence]))
        example = example if step is None else example.at_step(step)
        if target is not None or against is not None:
            places = (None if name is None else self.target.index(name) for name in (target, against))
            example = example.with_score(self.target.each.score(example.logits, *places))
        return explain_example(example, method, m.faithfulness, m.attribution_method, calibrated)

    def intervene(
        self, item: Any, clamps: Iterable[Clamp] = (), words: Mapping[int | str, str] | None = None
    ) -> Intervention:
        """The prediction for an item, or for an example from `trace`, without and with clamps and replaced words.

        >>> from gatewise.explain import Clamp
        >>> change = gw.load("tutorial").intervene("a boring film", [Clamp("f", 0.5)], {"boring": "good"})
        >>> change.changes
        ("'boring' at step 3 = 'good'", 'forget gate = 0.5')

        words: new words by step (from 0, after truncation) or by old word, which is replaced at each occurrence. Raises
        InputError for a clamp that does not fit and for a step or word that does not exist.
        """
        from gatewise.explain.intervene import intervene, word_places

        example = self.trace(item)
        if not words:
            return intervene(example, clamps)
        if not isinstance(self.preprocessor, TextPreprocessor):
            noun = self.preprocessor.format.nouns.one
            raise InputError(f"a {noun} has no words to replace: change its numbers and trace it")
        places = word_places(example, words)
        ids, names = self.preprocessor.replace_tokens(example.item, places)
        edited = replace(example.sequence, steps=ids), names
        changes = [f"'{example.names[place]}' at step {place + 1} = '{word}'" for place, word in places.items()]
        return intervene(example, clamps, edited, changes)

    @cached_property
    def history(self) -> list[dict[str, float]]:
        """A row per epoch of training, the numbers by name, as `pandas.DataFrame(model.history)` reads them. Raises
        InputError for a history that is not JSON lines.

        >>> row = gw.load("tutorial").history[1]
        >>> row["epoch"], round(row["val_accuracy"], 3), row["best"]
        (2, 0.883, True)
        """
        from gatewise.explain.evaluation import read_history

        return read_history(self.history_jsonl)

    @cached_property
    def units(self) -> UnitsReport | None:
        """The summary of each unit over a data set; None unless `with_units` computed one. Raises ModelFileError for
        any other file.
        """
        from gatewise.explain.units import UnitsReport

        return UnitsReport.from_bytes(self.units_json) if self.units_json else None

    def __repr__(self) -> str:
        from gatewise.model.summary import model_text

        return model_text(self.ensemble, self.metadata)

    def _repr_html_(self) -> str:
        from gatewise.model.summary import model_html

        return model_html(self.ensemble, self.metadata)

    def card(self) -> str:
        """The model card, Markdown."""
        return write_card(self.ensemble, self.metadata, self.channels or None)

    def save(self, path: str | Path, storage: str | Mapping[str, str] | None = None) -> None:
        """Write the model folder, completely or not at all. Raises ModelFileError naming the path and the reason.

        storage: "float32", "float16" or "int8" for the large tensors, or a mapping from tensor name to "float16" or
        "int8" (see `gatewise.storage.compact`); None keeps the dtypes of the folder that the model was loaded from.
        `load` converts back to float32. Raises InputError for a dtype that a tensor cannot have.
        """
        if isinstance(storage, str):
            storage = storage_table(self.ensemble.network.compressible, storage)
        model = self if storage is None else self.with_lstm(storage=storage)
        save_folder(path, model.to_files())

    def export(self, path: str | Path, format: str | None = None, **options: Any) -> ExportReport:
        """Write the model in the format of another library, after that library has computed the same logits for random
        inputs. Returns what was written and how much the logits differ.

        >>> gw.load("tutorial").export("sentiment.onnx", quantize="int8")  # doctest: +SKIP

        format: "onnx", a file for ONNX Runtime and others; "web", a folder for browsers and Node; None: that of the
        ending of the path. options: those of the format, see `gatewise.exchange.export_onnx` and `export_web`. Raises
        InputError for an unknown format and for what it cannot express, MissingExtra without its library.
        """
        from gatewise.model.export import exporter_of

        export = exporter_of(path, format)
        return export(self, path, **options)

    @classmethod
    def from_folder(cls, folder: Folder, precision: Precision = "float32") -> Model:
        """The model in a folder that `save` wrote. Raises ModelFileError that names its path."""
        with errors_of(folder):
            config = config_of(folder, "model", _CONFIG_KEYS)
            target = fields_from(TargetConfig, config["target"], f"{CONFIG}: target").target()
            preprocessor = preprocessor_from(config["preprocessor"], folder.read)
            ensemble = Ensemble.from_files(config, target, preprocessor.inputs, folder.read)
            if precision != "float32":
                ensemble = ensemble.with_lstm(precision=precision)
            metadata = fields_from(ModelMetadata, config["metadata"], f"{CONFIG}: metadata")
            history, units = folder.files.get(HISTORY, b"").decode(), folder.files.get(_UNITS_FILE, b"")
            model = cls(preprocessor, ensemble, metadata, history, units)
        object.__setattr__(model, "manifest_sha256", folder.fingerprint)
        return model

    def to_files(self) -> dict[str, bytes]:
        """The files of the model folder by name. Raises InputError for a storage dtype that a tensor cannot have."""
        ensemble, members = self.ensemble.to_files()
        preprocessor, vocabulary = self.preprocessor.to_files()
        config = {
            "format": FORMAT,
            "kind": "model",
            "target": TargetConfig.of(self.target).as_dict(),
            "preprocessor": preprocessor,
            **ensemble,
            "metadata": asdict(self.metadata),
        }
        optional = {HISTORY: self.history_jsonl.encode(), _UNITS_FILE: self.units_json}
        return {
            CONFIG: json_bytes(config),
            "README.md": self.card().encode(),
            **members,
            **vocabulary,
            **{name: raw for name, raw in optional.items() if raw},
        }


def _preprocessor_of(network: GraphNetwork) -> Preprocessor:
    """The preprocessor of the inputs of a network that come as they are."""
    if network.inputs.further:
        from gatewise.model.arrays_preprocessor import ArraysPreprocessor

        return ArraysPreprocessor.of(network)
    if network.channels:
        from gatewise.model.series_preprocessor import SeriesPreprocessor

        return SeriesPreprocessor((0.0,) * network.channels, (1.0,) * network.channels, missing="refuse")
    from gatewise.text import IndexEncoding

    return TextPreprocessor(IndexEncoding(network.inputs.size))


def load(path: str | Path | None = None, *, precision: Precision = "float32") -> Model:
    """Open a model folder, or a model on the Hugging Face Hub, "hf://owner/name" or "hf://owner/name@revision"; None
    and "bundled" open the bundled sentiment model, "tutorial" that of the lesson unless a folder here has the name.

    Nothing in the folder is executed and every byte is checked first. The parameters are read-only. precision: see
    `LSTM`. Raises ModelFileError naming the file and the reason, KernelUnavailable for a precision that cannot run.
    """
    return Model.from_folder(open_folder(path), precision)
