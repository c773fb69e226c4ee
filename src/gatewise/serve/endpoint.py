"""A served model: its name, its queues, and its predictions as JSON."""

import base64
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pydantic_core

from gatewise.data.row_columns import Row
from gatewise.errors import InputError, counted, quote
from gatewise.members.encoded_batch import Encoded, joined_rows, lengths_of
from gatewise.model import Model, Streams
from gatewise.ragged import Ragged
from gatewise.serve.batch_queue import MAX_QUEUED_TOKENS, BatchQueue, Job
from gatewise.serve.http_error import HTTPError, http_error
from gatewise.serve.metrics import Metrics
from gatewise.serve.schemas import PredictRequest, RequestError, with_row
from gatewise.serve.settings import Settings
from gatewise.serve.stream_table import StreamTable
from gatewise.serve.view.view import View
from gatewise.target import Logits, check_logits
from gatewise.types import Array

LONG = 4096  # estimated tokens from which a request goes to the queue for long texts
to_json = partial(pydantic_core.to_json, ensure_ascii=True)
"""Compact JSON of finite numbers, which takes a tenth of the time of Python's json."""


@dataclass(frozen=True)
class Predictions:
    """The predictions of n inputs.

    logits: of the model (n, outputs) float64, per step `Ragged`, all finite. steps: the tokens or
    time steps of each input. outputs: all outputs of the network for each input, where they are wanted. warnings:
    values of columns that are outside of the training data, one sentence each.
    """

    logits: Array | Ragged
    steps: list[int]
    outputs: list[dict[str, Array]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(eq=False)
class Endpoint:
    """A model or a forecaster that is served under a name. rejected: called with the reason when a request is not
    computed. input_kind: what it reads: "text", "series" or "forecast".
    """

    name: str
    rejected: Callable[[str], None]
    input_kind = ""

    def card(self) -> dict[str, Any]:
        """The answer to GET /model."""
        raise NotImplementedError


class ModelEndpoint(Endpoint):
    """One model with two queues. `short` and `long` are single-threaded executors, shared by all models.

    format: how clients write its inputs; input_kind: the name of that, "text", "series" or "arrays". example_row: the
    columns of the example of the format.
    """

    def __init__(
        self, name: str, model: Model, settings: Settings, short: Executor, long: Executor, metrics: Metrics
    ) -> None:
        super().__init__(name, partial(metrics.rejected, name))
        self.model = model
        self.view = View(model)
        self._streams: dict[bool, Streams] = {}  # no stream; of the LSTM alone or of the model
        self._tables: dict[bool, StreamTable] = {}
        self.format = model.format
        self.input_kind = self.format.name
        self.example_row = dict.fromkeys(model.preprocessor.columns.names)  # all missing
        batch = partial(metrics.batch, name)
        self.short, self.long = (BatchQueue(self._compute, executor, settings, batch) for executor in (short, long))
        self._most_inputs = min(settings.max_inputs, settings.queue)  # of a request, all of which may have to wait

    async def predict(
        self, inputs: Sequence[Any], field: str, disconnected: Callable[[], bool], outputs: bool = False
    ) -> Predictions:
        """Probabilities or numbers of texts or series. field: the path of input `{}` in the request, for errors.
        outputs: also all outputs of a network that is a graph.

        Raises HTTPError: 400 for an unreadable input, 413, 429, 504.
        """
        all_inputs = field.removesuffix("[{}]")
        message = f"a request holds 1 to {self._most_inputs} {self.format.nouns.many}, not {len(inputs):,}"
        if not inputs:
            raise HTTPError(400, "empty", message, all_inputs)
        if len(inputs) > self._most_inputs:
            raise HTTPError(413, "too_many", message, all_inputs)
        if outputs and not self.model.ensemble.network.output_names:
            message = "is for a network that is a graph: the outputs of this one have no names"
            raise HTTPError(400, "bad_field", f"outputs {message}", "outputs")
        tokens = self._estimate_tokens(inputs)
        if tokens > MAX_QUEUED_TOKENS:
            message = f"a request holds at most {MAX_QUEUED_TOKENS:,} {self.format.nouns.steps}, not about {tokens:,}"
            raise HTTPError(413, "too_large", message, all_inputs)
        queue = self.short
        if tokens >= LONG:
            queue = self.long
        job = Job(inputs, self.rejected, disconnected, field, tokens, outputs)
        predictions: Predictions = await queue.run(job)
        return predictions

    def inputs_of(self, request: PredictRequest) -> tuple[list[Any], str]:
        """The texts or series (length, channels) of a request, and the path of input `{}`. Raises RequestError."""
        kind = self.input_kind
        present = [name for name in ("text", "series", "arrays", "inputs") if getattr(request, name) is not None]
        if present not in ([kind], ["inputs"]):
            raise RequestError(kind, f"give either {kind} or inputs; the model reads {self.format.nouns.many}")
        if request.inputs is not None:
            field = "inputs[{}]"
            columns_field = "columns[{}]"
            items = request.inputs
        else:
            field = kind
            columns_field = "columns"
            items = [getattr(request, kind)]
        inputs = [self._input_of(item, field.format(n)) for n, item in enumerate(items)]
        schema = self.model.preprocessor.columns
        if not schema and request.columns is None:
            return inputs, field
        rows: list[Any] = request.columns if isinstance(request.columns, list) else [request.columns]
        if len(rows) != len(inputs):
            raise RequestError("columns", "columns must be a list with one object per input")
        complete = [
            with_row(item, row, schema, columns_field.format(n))
            for n, (item, row) in enumerate(zip(inputs, rows, strict=True))
        ]
        return complete, field

    def _input_of(self, item: Any, field: str) -> Any:
        """A text, or a series (length, channels) with NaN where a value is missing."""
        try:
            return self.format.read(item)
        except InputError as error:
            raise RequestError(field, f"{field} {error}") from None

    def open_streams(self, count: int, state: str | None, network_only: bool) -> Streams:
        """`count` streams of the model, or of its LSTM alone: without a step, or in a state in base64. They share the
        packed weights with earlier ones.

        Raises HTTPError for a model that cannot be streamed, and RequestError for a state of something else.
        """
        streams = self._no_streams(network_only).copy()
        if state is None:
            streams.add(count)
            return streams
        try:
            streams.state = base64.b64decode(state, validate=True)
        except ValueError:  # not base64, or not a state
            raise RequestError("state", "state must be the last one of streams of this model") from None
        if len(streams) != count:
            message = f"state must be that of {counted(count, 'stream')}, and it is that of {len(streams):,}"
            raise RequestError("state", message)
        return streams

    def _no_streams(self, network_only: bool) -> Streams:
        if network_only not in self._streams:
            try:
                self._streams[network_only] = self.model.streams(0, network_only=network_only)
            except InputError as error:
                raise HTTPError(400, "no_stream", str(error), "model") from None
        return self._streams[network_only]

    def stream_table(self, network_only: bool) -> StreamTable:
        """The table of the streams of all connections. Errors as `open_streams`."""
        if network_only not in self._tables:
            products = self.model.ensemble.network.products_per_step
            self._tables[network_only] = StreamTable(self._no_streams(network_only), self.stream_predictions, products)
        return self._tables[network_only]

    def stream_predictions(self, streams: Streams, items: Sequence[Any], numbers: Any = None) -> list[dict[str, Any]]:
        """The predictions of streams after the next items, as in `response`. numbers: of the streams that read them;
        all by default. Raises InputError for items that the model does not read, and for predictions that are not
        finite.
        """
        pushed = streams.push(self.format.read_steps(items), numbers)
        return self.answers(self.predictions(pushed.logits, pushed.steps.tolist()))

    def card(self) -> dict[str, Any]:
        """The model as the page shows it."""
        return self.view.card

    def predict_example(self) -> Predictions:
        """The prediction of the example of the format."""
        example = self.format.read(self.format.example)
        if self.example_row:
            example = Row(example, self.example_row)
        sequences = self.model.preprocessor.encode_batch([example])
        return self.predictions(self.model.ensemble.logits(sequences), lengths_of(sequences).tolist())

    def response(self, predictions: Predictions, request_id: str | None = None) -> dict[str, Any]:
        """The response of /predict, by task: `label` or `labels` with `probabilities`, `value`, or `values` by name;
        per step `labels` and lists of `probabilities`, or lists of `values`.
        """
        answers = self.answers(predictions)
        response: dict[str, Any] = {"model": self.name, "n": len(answers), "predictions": answers}
        if predictions.warnings:
            response["warnings"] = predictions.warnings
        if request_id is not None:
            response["id"] = request_id
        return response

    def answers(self, predictions: Predictions) -> list[dict[str, Any]]:
        """The predictions of inputs, or of single steps, as in `response`."""
        answers = self.model.target.answers(predictions.logits)
        answers = [{**answer, "steps": steps} for answer, steps in zip(answers, predictions.steps, strict=True)]
        for answer, outputs in zip(answers, predictions.outputs, strict=False):
            answer["outputs"] = {name: array.tolist() for name, array in outputs.items()}
        return answers

    def _estimate_tokens(self, inputs: Sequence[Any]) -> int:
        """About how many tokens or time steps inputs have, which may carry columns."""
        tokens = 0
        for item in inputs:
            value = item.input if isinstance(item, Row) else item
            tokens += self.format.steps_of(value)
        return tokens

    def _compute(self, jobs: list[Job]) -> None:
        """On the worker thread: run the inputs of all jobs as one ragged batch."""
        batches: list[Encoded] = []
        encoded_jobs: list[tuple[Job, slice]] = []
        count = 0
        for job in jobs:
            try:
                encoded = self.model.preprocessor.encode_batch(job.inputs)
                self.model.ensemble.network.check_sequences(encoded)
            except InputError as error:
                job.outcome = replace(http_error(error), field=self._unreadable(job))
                continue
            encoded_jobs.append((job, slice(count, count + len(encoded))))
            batches.append(encoded)
            count += len(encoded)
        if not count:
            return
        sequences = joined_rows(batches)
        logits = self.model.ensemble.logits(sequences)
        for job, rows in encoded_jobs:
            try:  # job by job: an input that overflows is no error of the other jobs
                predictions = self.predictions(logits[rows], lengths_of(sequences[rows]).tolist())
                outputs: list[dict[str, Array]] = []
                if job.outputs:
                    outputs = self.model.ensemble.network.outputs_of_rows(sequences[rows])
                    check_outputs(outputs)
                warnings = self.model.outside(sequences[rows]).messages()
                job.outcome = replace(predictions, outputs=outputs, warnings=warnings)
            except InputError as error:
                job.outcome = HTTPError(400, "overflow", str(error), job.path.removesuffix("[{}]"))

    def predictions(self, logits: Logits, steps: list[int]) -> Predictions:
        """The predictions of logits (n, outputs). Raises InputError for logits that are not finite: NaN is not JSON."""
        check_logits(logits)
        return Predictions(logits, steps)

    def _unreadable(self, job: Job) -> str:
        """The path of the first input of the job that the model cannot read."""
        for n, item in enumerate(job.inputs):
            try:
                encoded = self.model.preprocessor.encode_batch([item])
                self.model.ensemble.network.check_sequences(encoded)
            except InputError:
                return job.path.format(n)
        return job.path.removesuffix("[{}]")  # they can be read one by one, but not together


def check_outputs(of_rows: Sequence[dict[str, Array]]) -> None:
    """Raise InputError for an output that is not finite: NaN is not JSON."""
    for number, outputs in enumerate(of_rows):
        for name, array in outputs.items():
            if not np.isfinite(array).all():
                raise InputError(f"row {number}: the output {quote(name)} is not finite")
