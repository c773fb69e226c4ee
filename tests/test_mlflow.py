"""gatewise.mlflow: MLflow models that hold the model folder, and runs with what a training reports."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pandas as pd
import pytest

import gatewise as gw
from gatewise.errors import ModelFileError
from gatewise.mlflow import MLflowCallback, load_model, log_model, save_model
from gatewise.model.model import Model
from tests.exchange.random_models import random_inputs, random_model
from tests.refusals import assert_refused
from tests.training.texts import made_reviews

SMALL: dict[str, Any] = {"recipe": "fast", "epochs": 2, "units": 3, "embedding_dim": 4, "ngrams__order": 1}


@pytest.fixture
def mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """MLflow, which writes into a folder."""
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "runs").as_uri())
    yield pytest.importorskip("mlflow")
    sys.modules["mlflow"].end_run()


def predicted(mlflow: Any, where: str, frame: Any, **params: Any) -> Any:
    return mlflow.pyfunc.load_model(where).predict(frame, params=params or None)


def test_a_training_logs_its_figures_and_its_model(mlflow: Any, tmp_path: Path) -> None:
    model = gw.train(made_reviews(80, 0), callbacks=MLflowCallback(), **SMALL)
    [run] = mlflow.search_runs(output_format="list")
    assert run.info.status == "FINISHED"
    assert run.data.params["lstm.units"] == "3"
    assert run.data.metrics["final_macro_F1"] == pytest.approx(model.metadata.evaluations[-1].scores["macro F1"])
    assert not [name for name in run.data.metrics if " " in name]
    uri = f"runs:/{run.info.run_id}/model"
    found = load_model(uri)
    texts = ["a good film", "a bad film, and dull"]
    assert np.array_equal(found.logits(texts), model.logits(texts))
    frame = pd.DataFrame({"other": [1, 2], "text": texts}, index=[7, 9])
    answer = predicted(mlflow, uri, frame)
    assert answer.index.tolist() == [7, 9]
    assert answer["label"].tolist() == model.predict(texts).tolist()
    assert answer["probability"].tolist() == pytest.approx(model.predict_proba(texts).max(axis=1))
    more = predicted(mlflow, uri, frame, probabilities="all", explain=True)
    assert more.columns.tolist()[1:4] == ["probability_negative", "probability_positive", "tokens"]
    folder = Path(mlflow.artifacts.download_artifacts(uri))
    assert {one.name for one in (folder / "data" / "gatewise").iterdir()} >= {"manifest.json", "lstm.safetensors"}
    assert not list(folder.rglob("*.pkl"))
    assert f"gatewise[mlflow]=={gw.__version__}" in (folder / "requirements.txt").read_text()


CASES: list[tuple[Model, str]] = [
    (random_model(inputs="channels", classes=3), "series"),
    (random_model(task="regression"), "text"),
    (random_model(task="multilabel", classes=3), "text"),
]


@pytest.mark.parametrize(("model", "column"), CASES)
def test_a_frame_of_every_kind_of_input_and_output(model: Model, column: str, mlflow: Any, tmp_path: Path) -> None:
    save_model(model, tmp_path / "saved")
    inputs = random_inputs(model, 3)
    frame = pd.DataFrame({column: [one if isinstance(one, str) else one.tolist() for one in inputs]})
    answer = predicted(mlflow, str(tmp_path / "saved"), frame)
    wanted = gw.Scorer(tmp_path / "saved" / "data" / "gatewise", **({"series": column} if model.channels else {}))(
        frame
    )
    pd.testing.assert_frame_equal(answer, wanted.drop(columns=column))
    assert np.array_equal(load_model(str(tmp_path / "saved")).logits(inputs), model.logits(inputs))


def test_the_columns_of_a_row_are_part_of_the_signature(mlflow: Any, tmp_path: Path) -> None:
    texts, shops = ["so so", "it was", "a film"] * 20, ["a", "b", None] * 20
    data = pd.DataFrame({"review": texts, "stars": [1.0, 5, 3] * 20, "shop": shops})
    data["label"] = (data["stars"] > 2).map({True: "good", False: "bad"})
    columns = {"text": "review", "numeric": ["stars"], "categorical": ["shop"], "label": "label"}
    model = gw.train(data, **columns, **SMALL)
    save_model(model, tmp_path / "saved")
    found = mlflow.pyfunc.load_model(str(tmp_path / "saved"))
    assert found.metadata.signature.inputs.input_names() == ["review", "stars", "shop"]
    assert found.predict(data)["label"].tolist() == model.predict(data).tolist()
    whole = data.assign(stars=data["stars"].astype(int))
    assert found.predict(whole)["label"].tolist() == model.predict(data).tolist(), "a column of whole numbers"
    numbers = data.assign(shop=np.arange(len(data)))
    assert found.predict(numbers)["label"].tolist() == model.predict(numbers).tolist()
    with pytest.raises(mlflow.MlflowException, match=r"missing inputs .*stars"):
        found.predict(data[["review"]])


def test_what_is_not_a_model_is_refused(mlflow: Any, tmp_path: Path) -> None:
    assert_refused(r"of gatewise\.Model and of fitted estimators, not of str", log_model, "models/reviews")
    save_model(random_model(), tmp_path / "saved")
    save_model(random_model(classes=3), tmp_path / "other")
    about = tmp_path / "saved" / "MLmodel"
    own = about.read_text()
    for data in ("../other/data/gatewise", str(tmp_path / "other" / "data" / "gatewise")):
        about.write_text(own.replace("data: data/gatewise", f"data: {data}"))
        with pytest.raises(ModelFileError, match="saved': MLmodel names a model folder outside of it"):
            load_model(str(tmp_path / "saved"))
    about.write_text(own.replace("loader_module: gatewise.mlflow", "loader_module: os"))
    assert_refused(r"saved': not a model that gatewise\.mlflow has logged", load_model, str(tmp_path / "saved"))


def test_each_of_two_trainings_has_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = MagicMock(active_run=lambda: None)
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    callback = MLflowCallback(log_model=False)
    for _ in range(2):
        model = gw.train(made_reviews(80, 0), callbacks=callback, **SMALL)
        first, last = model.metadata.evaluations
        assert mlflow.log_metrics.call_args.args[0]["final_loss"] == last.loss != first.loss
    assert mlflow.log_params.call_count == mlflow.start_run.call_count == mlflow.end_run.call_count == 2
