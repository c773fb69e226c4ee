"""The callbacks of TensorBoard and MLflow record what the history has."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

import gatewise as gw
from gatewise.errors import MissingExtra
from gatewise.training import pretrain_recipe
from gatewise.training.trackers import MLflowCallback, TensorBoardCallback
from tests.training.texts import made_corpus, made_reviews

SMALL: dict[str, Any] = {"recipe": "fast", "epochs": 2, "units": 3, "embedding_dim": 4, "ngrams__order": 0}


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = accumulator.EventAccumulator(str(folder))
    found.Reload()
    tags = found.Tags()["tensors"]
    util = pytest.importorskip("tensorboard.util.tensor_util")
    return {tag: [(one.step, float(util.make_ndarray(one.tensor_proto))) for one in found.Tensors(tag)] for tag in tags}


def test_tensorboard_has_the_history(tmp_path: Path) -> None:
    model = gw.train(made_reviews(80, 0), callbacks=TensorBoardCallback(tmp_path), **SMALL)
    history = [json.loads(line) for line in model.history.splitlines()]
    found = events(tmp_path)
    for name in ("loss", "accuracy", "val_loss", "val_accuracy", "seconds"):
        assert found[name] == [(row["epoch"], pytest.approx(row[name], rel=1e-5)) for row in history]


def test_tensorboard_has_the_perplexity(tmp_path: Path) -> None:
    callback = TensorBoardCallback(tmp_path)
    model = gw.pretrain(
        made_corpus(80, 0), recipe=pretrain_recipe("small", epochs=1, units=4, embedding_dim=4), callbacks=callback
    )
    history = [json.loads(line) for line in model.history.splitlines()]
    found = events(tmp_path)
    for direction in history[0]["perplexity"]:
        expected = [(row["step"], pytest.approx(row["perplexity"][direction], rel=1e-5)) for row in history]
        assert found[f"perplexity_{direction}"] == expected


def test_mlflow_has_parameters_and_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow = pytest.importorskip("mlflow")
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    model = gw.train(made_reviews(80, 0), callbacks=MLflowCallback(), **SMALL)
    assert mlflow.active_run() is None, "it ends the run that it began"
    with mlflow.start_run():
        gw.train(made_reviews(80, 0), callbacks=MLflowCallback(), **SMALL)
        assert mlflow.active_run() is not None, "it leaves another one open"
    runs = mlflow.search_runs(output_format="list")
    assert len(runs) == 2
    run = runs[-1]
    assert (run.data.params["lstm.units"], run.data.params["recipe"]) == ("3", "fast")
    history = [json.loads(line) for line in model.history.splitlines()]
    assert run.data.metrics["val_loss"] == pytest.approx(history[-1]["val_loss"], rel=1e-6)
    assert run.data.metrics["final_loss"] == pytest.approx(model.metadata.evaluations[-1].loss)


def test_mlflow_has_the_whole_model_and_each_of_two_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = MagicMock(active_run=lambda: None)
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    callback = MLflowCallback()
    for _ in range(2):
        model = gw.train(made_reviews(80, 0), callbacks=callback, **SMALL | {"ngrams__order": 1})
        first, last = model.metadata.evaluations
        assert mlflow.log_metrics.call_args.args[0]["final_loss"] == last.loss != first.loss
    assert mlflow.log_params.call_count == mlflow.start_run.call_count == mlflow.end_run.call_count == 2


@pytest.mark.parametrize(
    ("module", "make"),
    [("tensorboard.summary", lambda: TensorBoardCallback("runs")), ("mlflow", MLflowCallback)],
)
def test_the_message_names_the_extra(module: str, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=rf"pip install 'gatewise\[{module.split('.')[0]}\]'"):
        make()
