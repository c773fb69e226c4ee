"""Folders and pickles whose content is finite and valid, and whose predictions would not be."""

import copy
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import gatewise as gw
import gatewise.sklearn
from gatewise.errors import InputError, ModelFileError
from gatewise.forecast.forecaster import Forecaster
from gatewise.sklearn import LSTMTextClassifier
from gatewise.storage.folder import Folder
from gatewise.storage.tensors import tensors_to_bytes
from tests.misuse.cases import NAMES, TEXTS, fail_with, warned

MEMBER = "autoregression.safetensors"


@cache
def forecaster() -> Forecaster:
    """Of one series, fitted once for all tests."""
    return gw.Forecaster.fit(np.sin(np.arange(60) / 3) + 2, horizon=2, season=1, units=4, epochs=1)


def changed(file: str, **tensors: Callable[[Any], Any]) -> dict[str, bytes]:
    files = forecaster().to_files()
    stored = safetensors.numpy.load(files[file])
    return {**files, file: tensors_to_bytes({**stored, **{name: by(stored[name]) for name, by in tensors.items()}})}


def opened(files: dict[str, bytes]) -> Forecaster:
    return Forecaster.from_folder(Folder(Path("m"), files, ""))


def with_weight(weight: float) -> dict[str, bytes]:
    files = forecaster().to_files()
    config = json.loads(files["config.json"])
    config["members"][1]["weight"] = weight
    return {**files, "config.json": json.dumps(config).encode()}


FORECASTERS: dict[str, tuple[Callable[[], dict[str, bytes]], str]] = {
    "std 0": (lambda: changed(MEMBER, std=np.zeros_like), "std must be above 0"),
    "std below 0": (lambda: changed(MEMBER, std=np.negative), "std must be above 0"),
    "std 1e-320": (lambda: changed(MEMBER, std=lambda one: one * 0 + 1e-320), "the model overflows"),
    "weights of 1e308": (lambda: changed(MEMBER, weight=lambda one: np.sign(one) * 1e308), "the model overflows"),
    "a weight of 1e308": (lambda: with_weight(1e308), "the model overflows"),
    "a negative weight": (lambda: with_weight(-0.5), "weights from 0"),
    "a scale of 0": (
        lambda: changed("forecast.safetensors", scale=np.zeros_like),
        "the errors on the held-out windows",
    ),
    "held-out values of 1e308": (
        lambda: changed(
            "forecast.safetensors", actual=lambda one: one * 0 + 1e308, forecast=lambda one: one * 0 - 1e308
        ),
        "the errors on the held-out windows are not finite",
    ),
}


@pytest.mark.parametrize("case", FORECASTERS)
def test_a_forecaster_of_finite_parameters_that_overflows_is_not_loaded(case: str) -> None:
    damaged, message = FORECASTERS[case]
    files = damaged()
    fail_with(lambda: opened(files), message, ModelFileError)


def test_every_output_of_a_forecaster_is_finite() -> None:
    """Also where it overflows after the first steps, or in the interval or the explanation alone."""
    good = opened(forecaster().to_files())
    assert list(good.predict()["forecast"]) == list(forecaster().predict()["forecast"])
    grows = opened(changed(MEMBER, weight=lambda one: one * 0 + 1e3))
    fail_with(lambda: grows.predict(horizon=300), "overflows", InputError)
    fail_with(lambda: grows.explain(300), "overflows", InputError)
    wide = copy.copy(good)
    edge = np.full_like(wide.held_out.actual, 1.7e308)
    wide.held_out = replace(wide.held_out, actual=edge, forecast=-edge)
    fail_with(lambda: wide.predict(level=80), "the prediction interval overflows", InputError)


def test_an_estimator_that_another_version_pickled(monkeypatch: pytest.MonkeyPatch) -> None:
    made = LSTMTextClassifier(epochs=1, units=4, embedding_dim=4, order=0).fit(TEXTS, NAMES)
    for one in (made, LSTMTextClassifier(units=3)):
        raw = pickle.dumps(one)
        assert not warned(lambda raw=raw: pickle.loads(raw))
        monkeypatch.setattr(gatewise.sklearn, "__version__", "9.9")
        assert "was pickled by gatewise 0" in warned(lambda raw=raw: pickle.loads(raw))[0]
        monkeypatch.undo()
