"""The computation behind a queue: one job's error is no error of the jobs in the same batch."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gatewise.kernels.ragged import Ragged
from gatewise.members.ngrams import Ngrams, keys_of
from gatewise.model.model import Model
from gatewise.serve import endpoint as module
from gatewise.serve.batch_queue import Job, Predictions
from gatewise.serve.endpoint import ModelEndpoint
from gatewise.serve.http_error import HTTPError
from gatewise.serve.settings import Settings
from tests.serve.test_batch_queue import Work


@pytest.mark.parametrize(
    ("name", "inputs", "status", "message"),
    [
        ("reviews", ["good"] * 5, 413, "a request holds 1 to 4 texts, not 5"),
        ("reviews", ["good " * 40], 413, "a request holds at most 30 tokens, not about 41"),
        ("gestures", [np.zeros((31, 2))], 413, "a request holds at most 30 time steps, not about 31"),
        ("reviews", ["good"] * 4, None, ""),
    ],
)
def test_a_request_that_never_fits_into_the_queue_is_413(
    models: dict[str, Model],
    name: str,
    inputs: list[Any],
    status: int | None,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A 429 would tell its client to send it again, forever."""
    monkeypatch.setattr(module, "MAX_QUEUED_TOKENS", 30)
    with ThreadPoolExecutor(1) as executor:
        endpoint = ModelEndpoint("m", models[name], Settings(("m",), queue=4), executor, executor, Work())
        predict = endpoint.predict(inputs, "inputs[{}]", lambda: False)
        if status is None:
            assert len(asyncio.run(predict).steps) == 4
            return
        with pytest.raises(HTTPError) as error:
            asyncio.run(predict)
    assert (error.value.status, error.value.field) == (status, "inputs")
    assert message in error.value.message


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_an_input_that_overflows_is_its_own_clients_error(models: dict[str, Model], task: str) -> None:
    """The response would contain NaN, which is not JSON."""
    model = models["tokens"]
    [keys] = [keys for keys, _ in keys_of(Ragged.of(model.preprocessor.encode_batch(["bad end"])), 1)]
    ngrams = Ngrams(1, np.sort(keys), np.full((2, 3), 3.4e38, np.float32))
    target = replace(model.target, task=task)
    ensemble = replace(model.ensemble, members=(model.ensemble.lstm, ngrams), weights=(1.0, 1e300), target=target)
    model = replace(model, ensemble=ensemble)

    async def computed() -> list[Job]:
        jobs = [Job(["good film"], "text", 2, lambda: False), Job(["it", "a bad end"], "inputs[{}]", 4, lambda: False)]
        with ThreadPoolExecutor(1) as executor:
            ModelEndpoint("m", model, Settings(("m",)), executor, executor, Work())._compute(jobs)
        return jobs

    fine, overflows = asyncio.run(computed())
    assert isinstance(fine.outcome, Predictions)
    assert np.isfinite(fine.outcome.values).all()
    assert isinstance(overflows.outcome, HTTPError)
    assert (overflows.outcome.status, overflows.outcome.code) == (400, "overflow")
    assert "input 1: the model overflows" in overflows.outcome.message
