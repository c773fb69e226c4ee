"""Compression, units and faithfulness of regression and multi-label models."""

from __future__ import annotations

from typing import Any

import pytest

from gatewise.data import Labelled
from gatewise.errors import InputError
from gatewise.model.compress import compress
from gatewise.training import train
from tests.training.test_regression import made_ratings
from tests.training.test_weights import made_topics

SMALL: dict[str, Any] = {"units": 8, "embedding_dim": 8, "batch_size": 16, "vocab_size": 80, "seed": 3, "epochs": 1}


@pytest.mark.parametrize("data", [made_ratings(120, 1), made_topics(120, 2)], ids=lambda data: data.task)
def test_compression_is_measured_by_task(data: Labelled) -> None:
    model = train(data, **SMALL)
    small = compress(model, "int8", data=data, max_ngrams=30)
    report = small.metadata.compression
    assert report is not None
    assert report.n == 120
    assert small.metadata.evaluations[-1].scores == small.evaluate(data).scores
    if data.task == "regression":
        assert report.rmse_after == pytest.approx(small.evaluate(data).rmse)
        assert report.rmse_after != report.rmse_before
        assert "| RMSE |" in small.card()
    else:
        assert report.accuracy_after == small.evaluate(data).accuracy
        assert 0 < report.agreement <= 1
        assert "| agreement of the predictions | |" in small.card()
    assert set(model.metadata.faithfulness) == {
        "prefix-difference",
        "cell-decomposition",
        "integrated-gradients",
        "leave-one-out",
    }


def test_units_of_a_regression() -> None:
    data = made_ratings(60, 3)
    model = train(data, **SMALL)
    with pytest.raises(InputError, match="for classification"):
        model.with_units(data)
