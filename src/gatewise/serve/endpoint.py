"""A served model: its name, its queues, and the JSON of its predictions."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np

from gatewise.errors import InputError
from gatewise.model.model import Model
from gatewise.serve.batch_queue import (
    LONG,
    MAX_QUEUED_TOKENS,
    BatchObserver,
    BatchQueue,
    Job,
    Predictions,
    estimate_tokens,
)
from gatewise.serve.http_error import HTTPError, without_quotes
from gatewise.serve.settings import Settings
from gatewise.serve.view.view import ViewCache

EXAMPLE_TEXT = "A film to see twice."


class ModelEndpoint:
    """One model with two queues. `short` and `long` are single-threaded executors, shared by all models.

    input_kind: "text" or "series"; input_kinds: its plural.
    """

    def __init__(
        self, name: str, model: Model, settings: Settings, short: Executor, long: Executor, observer: BatchObserver
    ) -> None:
        self.name = name
        self.model = model
        self.views = ViewCache()  # the examples that the page showed last
        self.input_kind = "series" if model.architecture.inputs == "channels" else "text"
        self.input_kinds = "series" if self.input_kind == "series" else "texts"
        self.short = BatchQueue(self._compute, short, settings, observer)
        self.long = BatchQueue(self._compute, long, settings, observer)
        self._most_inputs = settings.most_inputs
        self._names = [json.dumps(name).encode() for name in model.classes]

    @property
    def queue_size(self) -> int:
        """The number of inputs that wait."""
        return self.short.size + self.long.size

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

    @property
    def example(self) -> Any:
        """An input as JSON, for the description of the routes."""
        channels = self.model.channels
        return EXAMPLE_TEXT if self.input_kind == "text" else [[0.5] * channels, [-0.5] * channels]

    def predict_example(self) -> Predictions:
        """The prediction of `example`."""
        inputs = [self.example if self.input_kind == "text" else np.array(self.example, dtype=np.float32)]
        sequences = self.model.preprocessor.encode_batch(inputs)
        return self._predictions(self.model.ensemble.logits(sequences), sequences)

    def to_json(self, found: Predictions, request_id: object = None) -> bytes:
        """The response of /predict, in ASCII: `label` and `probabilities`, for "multilabel" `labels`, for regression
        `value`, or `values` by name. Built by hand: the numbers of one prediction take 2 µs this way.
        """
        task, parts = self.model.task, []
        decided = found.values if task == "regression" else self.model.target.decide(found.values)
        for row, one, steps in zip(found.values.tolist(), decided.tolist(), found.steps, strict=True):
            if task == "regression" and len(row) == 1:
                parts.append(b'{"value":%a,"steps":%d}' % (row[0], steps))
                continue
            numbers = b",".join(b"%b:%a" % (name, x) for name, x in zip(self._names, row, strict=True))
            if task == "regression":
                parts.append(b'{"values":{%b},"steps":%d}' % (numbers, steps))
                continue
            if task == "multilabel":
                names = b",".join(name for name, yes in zip(self._names, one, strict=True) if yes)
                label = b'"labels":[%b]' % names
            else:
                label = b'"label":%b' % self._names[one]
            parts.append(b'{%b,"probabilities":{%b},"steps":%d}' % (label, numbers, steps))
        tail = b"" if request_id is None else b',"id":%b' % json.dumps(request_id).encode()
        head = b'{"model":%b,"n":%d,"predictions":[' % (json.dumps(self.name).encode(), len(parts))
        return b"%b%b]%b}" % (head, b",".join(parts), tail)

    def _compute(self, jobs: list[Job]) -> None:
        """On the worker thread: run the inputs of all jobs as one ragged batch."""
        sequences: list[Any] = []
        encoded_jobs: list[tuple[Job, int]] = []
        for job in jobs:
            try:
                encoded = self.model.preprocessor.encode_batch(job.inputs)
            except InputError as error:
                job.outcome = HTTPError(400, "input", without_quotes(error), self._unreadable(job))
                continue
            sequences += encoded
            encoded_jobs.append((job, len(encoded)))
        if not sequences:
            return
        logits, first = self.model.ensemble.logits(sequences), 0
        for job, count in encoded_jobs:
            rows = slice(first, first + count)
            try:  # of one job, because an input that overflows is no error of the others
                job.outcome = self._predictions(logits[rows], sequences[rows])
            except InputError as error:
                job.outcome = HTTPError(400, "overflow", str(error), job.path.removesuffix("[{}]"))
            first += count

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
