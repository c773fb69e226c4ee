"""`Predictor`: from texts or series to logits, labels, numbers and scores, by a preprocessor and an ensemble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from gatewise.data.schema import OutsideCounts
from gatewise.errors import InputError, warn
from gatewise.members.encoded_batch import Encoded, columns_of, lengths_of
from gatewise.members.ensemble import Ensemble
from gatewise.model.card import ModelMetadata
from gatewise.model.preprocessor import Preprocessor, TextPreprocessor, reader_of_arrays
from gatewise.network.architecture import Architecture
from gatewise.network.batch import describe_truncation
from gatewise.ragged import arrays_of
from gatewise.target import Target, check_logits
from gatewise.types import Array, Task

if TYPE_CHECKING:
    from gatewise.data import Labelled
    from gatewise.metrics import AnyEvaluation
    from gatewise.model.input_format import InputFormat


@dataclass(frozen=True, repr=False)
class Predictor:
    """What `Model` predicts and is evaluated with: its preprocessor makes sequences of texts or series, its ensemble
    predicts from them.
    """

    preprocessor: Preprocessor
    ensemble: Ensemble
    metadata: ModelMetadata = field(default_factory=ModelMetadata)
    _warned: bool = field(init=False, repr=False, compare=False, default=False)  # of a truncated input

    def __post_init__(self) -> None:
        self.ensemble.target.each.check_classes()
        own = self.preprocessor
        for member in self.ensemble.members:
            member.check(own.inputs)
        if isinstance(own, TextPreprocessor) and own.steps is not None and not own.steps.masked:
            self.ensemble.network.check_pads(own.steps.length)

    @property
    def architecture(self) -> Architecture:
        """The shape of the LSTM. Raises InputError for a network that is a graph."""
        return self.ensemble.lstm.arch

    @property
    def parameters(self) -> Mapping[str, Array]:
        """The parameters of the network by name."""
        return self.ensemble.network.parameters

    @property
    def target(self) -> Target:
        """What the model predicts."""
        return self.ensemble.target

    @property
    def task(self) -> Task:
        """What the model predicts: one class, any number of labels, numbers, or a class for each step."""
        return self.target.task

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, of the labels, or of the numbers of a regression. With two classes, the logit is
        that of `classes[1]`.
        """
        return self.target.classes

    @property
    def classes_(self) -> Array:
        """The classes (K,) in the labels' own type, in the order of the columns of `predict_proba`. For regression the
        names of the M numbers.
        """
        return self.target.each.class_labels

    @property
    def channels(self) -> int:
        """The channels of the series that it takes; 0 for texts."""
        return self.preprocessor.channels

    @cached_property
    def format(self) -> InputFormat:
        """How clients of a server write its inputs."""
        network = self.ensemble.network
        return self.preprocessor.format.with_example(network.shortest, network.is_whole, network.example_shapes)

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each member of the ensemble, by its noun: "LSTM", "n-grams", ..."""
        return dict(self.ensemble.weight_rows())

    @cached_property
    def fingerprint(self) -> str:
        """Eight hexadecimal digits over target, members, weights and shift (SHA-256)."""
        return self.ensemble.fingerprint()

    def with_lstm(self, **changes: Any) -> Self:
        """A copy with changed fields of its network: `parameters`, `storage`, `precision`."""
        return replace(self, ensemble=self.ensemble.with_lstm(**changes))

    def with_thresholds(self, thresholds: Sequence[float]) -> Self:
        """A copy with other decision thresholds, see `Target`."""
        target = replace(self.target, thresholds=tuple(thresholds))
        return replace(self, ensemble=replace(self.ensemble, target=target))

    def logits(self, inputs: Any, *, layout: str | None = None, outside: OutsideCounts | None = None) -> Any:
        """Logits (n, outputs) float64 of n inputs; with a prediction per step `Ragged`, with values (N, outputs). The
        composition of the batch changes only the last bits. Inputs, layout and errors as `predict`.

        outside: counts the rows outside of the training data (`Predictor.outside`), where one message is for several
        batches; None: a DataWarning for each column that has some.
        """
        logits = self.ensemble.logits(self._sequences(inputs, layout, outside))
        check_logits(logits)
        return logits

    def transform(self, inputs: Any, *, layout: str | None = None) -> Array:
        """Features (n, d) float32 of n inputs for other estimators: the pooled states, which the LSTM's dense layer
        reads. The other members and the weights do not change them. Inputs, layout and errors as `predict`.

        >>> gw.load("tutorial").transform(["a film", "another film"]).shape  # units of the LSTM
        (2, 100)
        """
        network = self.ensemble.network
        return network.features(network.parts_of(self._sequences(inputs, layout)))

    def outside(self, rows: Encoded = ()) -> OutsideCounts:
        """The counts of rows whose columns are outside of the training data, of encoded rows. The probabilities of a
        calibrated model are calibrated for other rows only.
        """
        counts = OutsideCounts(self.preprocessor.columns)
        if self.preprocessor.columns:
            counts.add(columns_of(rows))
        return counts

    def _count_outside(self, rows: Encoded, outside: OutsideCounts | None) -> None:
        """Count encoded rows that are outside of the training data; None: a DataWarning per column that has some."""
        if not self.preprocessor.columns:
            return
        if outside is not None:
            outside.add(columns_of(rows))
            return
        for message in self.outside(rows).messages():
            warn(message)

    def is_calibrated(self, outside: OutsideCounts) -> bool:
        """Whether the probabilities are calibrated for rows that were counted."""
        return self.metadata.calibrated and not outside.messages()

    def _sequences(self, inputs: Any, layout: str | None = None, outside: OutsideCounts | None = None) -> Encoded:
        """What the members read. A DataWarning, once per model, where the LSTM does not read all of a sequence, and as
        `logits`.
        """
        rows = self.preprocessor.encode_batch(inputs, layout, self.metadata.columns.text)
        network = self.ensemble.network
        network.check_sequences(rows)
        self._count_outside(rows, outside)
        most = network.max_length
        if most and not self._warned and lengths_of(rows).max(initial=0) > most:
            object.__setattr__(self, "_warned", True)
            cut = describe_truncation(lengths_of(rows), self.architecture)
            others = " and ".join(member.noun for member, _ in self.ensemble.others)
            rest = f"; the {others} read all" if others else ""
            warn(f"the network reads the {cut}{rest}")
        return rows

    def predict_proba(self, inputs: Any, *, layout: str | None = None) -> Any:
        """Probabilities (n, K) float64 of n inputs, columns in the order of `classes_`; of a tagger a list of one array
        (T, K) per input.

        >>> gw.load().predict_proba(["A warm, funny and honest film."]).shape
        (1, 2)

        They are calibrated if `metadata.calibrated`, for data like the calibration data: not for rows that a
        DataWarning calls outside of the training data. Errors as `predict`;
        InputError for regression.
        """
        return arrays_of(self.target.probabilities(self.logits(inputs, layout=layout)))

    def predict(self, inputs: Any, *, layout: str | None = None) -> Any:
        """The labels (n,) in their own type; for "multilabel" tuples of labels, for "tagging" lists of one label per
        step, for regression numbers, (n, M) if there are several.

        >>> gw.load().predict(["A warm, funny and honest film."]).tolist()
        ['positive']

        inputs: what `gatewise.train` takes: a list or another container of n texts (see
        `gatewise.data.inputs.convert_inputs`) or of n series (`gatewise.data.inputs.series_of`). A str is one text, and
        one series may be given alone: an array (steps,) for a model of one channel, (steps, channels) for a model of
        several. A data frame has the columns of the training table (`metadata.columns`); other inputs of a model that
        reads numeric and categorical columns carry them (`gatewise.data.with_columns`). layout: see `series_of`.
        Raises InputError for an empty or missing text, a lone surrogate, a series with another number of channels, the
        name of a file, and a container that can be misread, such as a dict, a set or a data frame of several columns.
        """
        return self.target.labels(self.logits(inputs, layout=layout))

    def decision_function(self, inputs: Any, *, layout: str | None = None) -> Any:
        """See `Target.decision`: the logits (n, K), or for two classes (n,). Errors as `predict_proba`."""
        return arrays_of(self.target.decision(self.logits(inputs, layout=layout)))

    def evaluate(self, data: Any, labels: Any = None, *, layout: str | None = None) -> AnyEvaluation:
        """The scores on labelled data: an `Evaluation`, `MultilabelEvaluation`, `RegressionEvaluation` or
        `TaggingEvaluation`, by task.

        >>> gw.load().evaluate(["A warm, funny and honest film.", "Two dull hours."], ["positive", "negative"]).accuracy
        1.0

        data: Labelled, or inputs as `predict` takes them, with `labels` as `gatewise.train` takes them. Raises
        InputError for a class that the model does not have, for an empty data set, and as `predict`.
        """
        data = labelled_for(self, data, labels, layout)
        return self.target.evaluate(self.logits(data.rows), data.labels_among(self.classes), data.source)

    def score(self, inputs: Any, labels: Any, *, layout: str | None = None) -> float:
        """Accuracy, of a tagger over the steps; for "multilabel" the share of rows whose labels are all right, for
        regression R2. Errors as `evaluate`.
        """
        return float(self.evaluate(inputs, labels, layout=layout).score)


def labelled_for(model: Predictor, data: Any, labels: Any = None, layout: str | None = None) -> Labelled:
    """What `Predictor.evaluate` takes, as data for this model. Errors as `evaluate`."""
    from gatewise.data.frames import check_index, is_frame
    from gatewise.data.labelled import Labelled

    check_index(data, {"labels": labels})
    columns, task = model.metadata.columns, model.task
    if labels is None and columns.text and columns.label and not isinstance(data, Labelled) and is_frame(data):
        schema = model.preprocessor.columns
        given: dict[str, Any] = {**schema.names_by_type, "schema": schema, "task": task}
        data = Labelled.from_frame(data, text=columns.text, label=columns.label, **given)
    if isinstance(data, Labelled):
        if labels is not None:
            raise InputError("labels are part of the data already")
        model.target.check_data(data.target)
        return data
    if labels is None:
        raise InputError(f"labels are missing: one for each {model.preprocessor.inputs.nouns.one}")
    classes = model.target.each.column_classes
    reader = reader_of_arrays(model.preprocessor)
    if reader is not None:
        return reader.labelled(data, labels, "the data given", task=task, classes=classes, layout=layout)
    inputs, row_columns = model.preprocessor.rows(data, layout, columns.text)
    layout = "time-first" if model.channels else None  # of the rows, whatever that of the data
    labelled = Labelled.of(
        inputs,
        labels,
        task=task,
        classes=classes,
        layout=layout,
    )
    return replace(labelled, row_columns=row_columns)
