"""A served model: its name, its queues, and its predictions as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any

from gatewise.errors import InputError
from gatewise.model.model import Model
from gatewise.serve.batch_queue import LONG, MAX_QUEUED_TOKENS, BatchQueue, Job, Predictions, estimate_tokens
from gatewise.serve.http_error import HTTPError
from gatewise.serve.metrics import Metrics
from gatewise.serve.schemas import PredictRequest, RequestError, as_array
from gatewise.serve.settings import Settings
from gatewise.serve.view.model import ViewCache
from gatewise.types import Array

EXAMPLE_TEXT = "A film to see twice."
_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


def to_json(found: Any) -> bytes:
    """Compact JSON in ASCII, without NaN or infinity."""
    return _ENCODER.encode(found).encode()


class ModelEndpoint:
    """One model with two queues. `short` and `long` are single-threaded executors, shared by all models.

    input_kind: "text" or "series"; input_kinds: its plural. example: an input as JSON.
    """

    def __init__(
        self, name: str, model: Model, settings: Settings, short: Executor, long: Executor, metrics: Metrics
    ) -> None:
        self.name = name
        self.model = model
        self.views = ViewCache()  # the examples that the page showed last
        self.input_kind = "series" if model.architecture.inputs == "channels" else "text"
        self.input_kinds = "series" if self.input_kind == "series" else "texts"
        series = [[0.5] * model.channels, [-0.5] * model.channels]
        self.example: Any = EXAMPLE_TEXT if self.input_kind == "text" else series
        self.rejected = partial(metrics.rejected, name)
        batch = partial(metrics.batch, name)
        self.short, self.long = (
            BatchQueue(self._compute, executor, settings, batch, self.rejected) for executor in (short, long)
        )
        self._most_inputs = settings.most_inputs

    async def predict(self, inputs: Sequence[Any], field: str, disconnected: Callable[[], bool]) -> Predictions:
        """Probabilities or numbers of texts or series. field: the path of input `{}` in the request, for errors.

        Raises HTTPError: 400 for an unreadable input, 413, 429, 504.
        """
        if not 0 < len(inputs) <= self._most_inputs:
            status, code = (413, "too_many") if inputs else (400, "empty")
            message = f"a request holds 1 to {self._most_inputs} {self.input_kinds}, not {len(inputs):,}"
            raise HTTPError(status, code, message, field.removesuffix("[{}]"))
        tokens = estimate_tokens(inputs)
        if tokens > MAX_QUEUED_TOKENS:
            unit = "time steps" if self.input_kind == "series" else "tokens"
            message = f"a request holds at most {MAX_QUEUED_TOKENS:,} {unit}, not about {tokens:,}"
            raise HTTPError(413, "too_large", message, field.removesuffix("[{}]"))
        queue = self.long if tokens >= LONG else self.short
        return await queue.run(Job(inputs, field, tokens, disconnected))

    def inputs_of(self, request: PredictRequest) -> tuple[list[Any], str]:
        """The texts or series (length, channels) of a request, and the path of input `{}`. Raises RequestError."""
        kind = self.input_kind
        given = [name for name in ("text", "series", "inputs") if getattr(request, name) is not None]
        if len(given) != 1 or given[0] not in (kind, "inputs"):
            raise RequestError(kind, f"give either {kind} or inputs; the model reads {self.input_kinds}")
        if request.inputs is None:
            return [self._readable(getattr(request, kind), kind)], kind
        return [self._readable(one, f"inputs[{n}]") for n, one in enumerate(request.inputs)], "inputs[{}]"

    def _readable(self, item: Any, field: str) -> Any:
        if self.input_kind == "text":
            if isinstance(item, str):
                return item
            raise RequestError(field, f"{field} must be a string: the model reads texts")
        return self.series_of(item, field)

    def series_of(self, item: Any, field: str) -> Array:
        """A series (length, channels) of a request, NaN where a value is missing. Raises RequestError."""
        channels = self.model.channels
        try:
            series = None if isinstance(item, str) else as_array(item)
        except ValueError:  # the steps differ
            series = None
        if series is None or series.shape[1:] != (channels,):
            one = " or one number" if channels == 1 else ""
            steps = f"a list of time steps, each a list of {channels} numbers{one}; null is a missing one"
            raise RequestError(field, f"{field} must be {steps}")
        return series

    def predict_example(self) -> Predictions:
        """The prediction of `example`."""
        inputs = [self.example if self.input_kind == "text" else as_array(self.example)]
        sequences = self.model.preprocessor.encode_batch(inputs)
        return self._predictions(self.model.ensemble.logits(sequences), sequences)

    def response(self, found: Predictions, request_id: str | None = None) -> dict[str, Any]:
        """The response of /predict, by task: `label` or `labels` with `probabilities`, `value`, or `values` by name."""
        target, rows = self.model.target, found.values.tolist()
        names, predictions = target.classes, list[dict[str, Any]]()
        decided = rows if target.task == "regression" else target.decide(found.values).tolist()
        for row, one, steps in zip(rows, decided, found.steps, strict=True):
            numbers = dict(zip(names, row, strict=True))
            if target.task == "classification":
                made: dict[str, Any] = {"label": names[one], "probabilities": numbers}
            elif target.task == "multilabel":
                labels = [name for name, yes in zip(names, one, strict=True) if yes]
                made = {"labels": labels, "probabilities": numbers}
            else:
                made = {"value": row[0]} if len(row) == 1 else {"values": numbers}
            predictions.append({**made, "steps": steps})
        identity = {} if request_id is None else {"id": request_id}
        return {"model": self.name, "n": len(predictions), "predictions": predictions, **identity}

    def _compute(self, jobs: list[Job]) -> None:
        """On the worker thread: run the inputs of all jobs as one ragged batch."""
        sequences: list[Any] = []
        encoded_jobs: list[tuple[Job, slice]] = []
        for job in jobs:
            try:
                encoded = self.model.preprocessor.encode_batch(job.inputs)
            except InputError as error:
                job.outcome = HTTPError.of(error, self._unreadable(job))
                continue
            encoded_jobs.append((job, slice(len(sequences), len(sequences) + len(encoded))))
            sequences += encoded
        if not sequences:
            return
        logits = self.model.ensemble.logits(sequences)
        for job, rows in encoded_jobs:
            try:  # of one job, because an input that overflows is no error of the others
                job.outcome = self._predictions(logits[rows], sequences[rows])
            except InputError as error:
                job.outcome = HTTPError(400, "overflow", str(error), job.path.removesuffix("[{}]"))

    def _predictions(self, logits: Any, sequences: Sequence[Any]) -> Predictions:
        """Raises InputError for logits that are not finite: NaN is not JSON."""
        target = self.model.target
        values = target.predicted(logits) if target.task == "regression" else target.probabilities(logits)
        return Predictions(values, [len(sequence) for sequence in sequences])

    def _unreadable(self, job: Job) -> str:
        """The path of the first input of the job that the model cannot read."""
        for n, item in enumerate(job.inputs):
            try:
                self.model.preprocessor.encode_batch([item])
            except InputError:
                return job.path.format(n)
        return job.path.removesuffix("[{}]")  # they can be read one by one, but not together
