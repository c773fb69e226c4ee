"""A model that is being served: its name, its lanes, and what its answers look like."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np

from gatewise.errors import InputError
from gatewise.explain.view.view import ViewCache
from gatewise.metrics.evaluation import log_probabilities
from gatewise.model.model import Model
from gatewise.serve.batch_queue import LONG, Answer, BatchObserver, BatchQueue, Job, Limits, cost_of
from gatewise.serve.http_error import HTTPError, unquoted
from gatewise.serve.settings import Settings

__all__ = ["ModelEndpoint"]


class ModelEndpoint:
    """One model behind its two lanes. `short` and `long` are single threads, shared by all models."""

    def __init__(
        self, name: str, model: Model, settings: Settings, short: Executor, long: Executor, watch: BatchObserver
    ) -> None:
        self.name = name
        self.model = model
        self.views = ViewCache()  # what the page looked at last
        self.takes = "series" if model.architecture.inputs == "channels" else "text"
        limits = Limits(settings.queue, settings.deadline, settings.max_batch, settings.max_steps)
        self.short = BatchQueue(self._compute, short, limits, watch)
        self.long = BatchQueue(self._compute, long, limits, watch)
        self._most = settings.max_items
        self._heads = [b'{"label":%b,"probabilities":{' % json.dumps(name).encode() for name in model.classes]
        self._names = [json.dumps(name).encode() for name in model.classes]

    async def predict(self, inputs: Sequence[Any], gone: Callable[[], bool]) -> Answer:
        """Probabilities of texts or series. Raises Refusal: 400 for what cannot be read, 413, 429, 504."""
        if not 0 < len(inputs) <= self._most:
            status, code = (413, "too_many") if inputs else (400, "empty")
            raise HTTPError(status, code, f"a request holds 1 to {self._most} {self.takes}s, not {len(inputs):,}")
        cost = cost_of(inputs)
        lane = self.long if cost >= LONG else self.short
        return await lane.run(Job(inputs, cost, gone))

    def warm_up(self) -> None:
        """One prediction, of the smallest input that there is: what is made once is made now."""
        item: Any = "a" if self.takes == "text" else np.zeros((1, self.model.architecture.channels), dtype=np.float32)
        if self.takes == "text" and not self.model.preprocessor.encode_batch(["a"]):
            return
        self.model.predict_proba([item])

    def json_of(self, answer: Answer, request_id: object = None) -> bytes:
        """The answer of /predict, ASCII, so that no name in it can be anything but text. Made by hand: the numbers of
        one answer take 2 µs this way.
        """
        parts = []
        for row, steps in zip(answer.probabilities.tolist(), answer.steps, strict=True):
            numbers = b",".join(b"%b:%a" % (name, p) for name, p in zip(self._names, row, strict=True))
            parts.append(b'%b%b},"steps":%d}' % (self._heads[row.index(max(row))], numbers, steps))
        tail = b"" if request_id is None else b',"id":%b' % json.dumps(request_id).encode()
        head = b'{"model":%b,"n":%d,"predictions":[' % (json.dumps(self.name).encode(), len(parts))
        return b"%b%b]%b}" % (head, b",".join(parts), tail)

    def _compute(self, jobs: list[Job]) -> None:
        """On the worker thread: one ragged batch of all that the jobs hold."""
        sequences: list[Any] = []
        readable: list[tuple[Job, int]] = []
        for job in jobs:
            try:
                encoded = self.model.preprocessor.encode_batch(job.inputs)
            except InputError as error:
                job.outcome = HTTPError(400, "input", unquoted(error))
                continue
            sequences += encoded
            readable.append((job, len(encoded)))
        if not readable:
            return
        found = np.exp(log_probabilities(self.model.logits_of(sequences)))
        first = 0
        for job, count in readable:
            part = slice(first, first + count)
            job.outcome = Answer(found[part], [len(sequence) for sequence in sequences[part]])
            first += count
