"""MLflow: models as MLflow models, and training runs as MLflow runs. It needs the extra `mlflow`.

    info = log_model(model, "sentiment", registered_model_name="sentiment")
    mlflow.pyfunc.load_model(info.model_uri).predict(frame)  # a frame of labels and probabilities
    load_model(info.model_uri).explain("A warm, funny and honest film.")  # the gatewise.Model

An MLflow model holds the model folder as `Model.save` writes it: MLflow loads it with this module, and unpickles
nothing.
"""

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gatewise._version import __version__
from gatewise.data.row_columns import Row
from gatewise.errors import InputError, ModelFileError, quote, required
from gatewise.model import Model, PretrainedLM
from gatewise.model.model import load
from gatewise.scorer import Scorer
from gatewise.training import Callback, EpochLog, Recipe, RunInfo
from gatewise.training.fields import values_of
from gatewise.training.progress import figures_of

__all__ = ["MLflowCallback", "load_model", "log_model", "save_model"]

_TEXT, _SERIES = "A text to predict.", [0.0, 1.0, 0.0]  # of the input example
_ANY = "any"  # MLflow refuses whole numbers for a "double", and numbers for a "string"; the model reads both
_TYPES = {"str": "string", "int": "long", "float": "double", "bool": "boolean"}


def log_model(model: Any, name: str = "model", **options: Any) -> Any:
    """Log a model, or a fitted estimator of `gatewise.sklearn`, to the active MLflow run or to a new one.

    Its signature has the columns that the model reads: those of the table that it was trained on, else "text" or
    "series", and as parameters `probabilities` and `explain`, see `gatewise.Scorer`. The requirement is this
    version of gatewise. options: of `mlflow.pyfunc.log_model`, such as `registered_model_name` or
    `input_example`, which take the place of these. Returns the ModelInfo. Raises InputError for anything but a model.
    """
    return _written("log_model", model, {"name": name, **options})


def save_model(model: Any, path: str | Path, **options: Any) -> None:
    """Write the folder of an MLflow model, without a run; otherwise as `log_model`."""
    _written("save_model", model, {"path": path, **options})


def load_model(uri: str) -> Model:
    """The gatewise.Model of an MLflow model, as "models:/name/1" or "runs:/id/model". Errors as `gatewise.load`."""
    mlflow, models = (required(name, "mlflow", "gatewise.mlflow") for name in ("mlflow.artifacts", "mlflow.models"))
    folder = Path(mlflow.download_artifacts(uri)).resolve()
    flavors: Any = models.Model.load(folder).flavors
    about = flavors.get("python_function") if isinstance(flavors, dict) else None
    if not isinstance(about, dict) or about.get("loader_module") != __name__:
        raise InputError(f"{quote(uri, 200)}: not a model that gatewise.mlflow has logged")
    data = (folder / str(about.get("data", ""))).resolve()
    if not data.is_relative_to(folder):
        raise ModelFileError(f"{quote(uri, 200)}: MLmodel names a model folder outside of it")
    return load(data)


def _written(how: str, model: Any, options: dict[str, Any]) -> Any:
    pyfunc = required("mlflow.pyfunc", "mlflow", "gatewise.mlflow")
    model = getattr(model, "model_", model)
    if not isinstance(model, Model):
        raise InputError(f"MLflow models are of gatewise.Model and of fitted estimators, not of {type(model).__name__}")
    import pandas

    example = pandas.DataFrame({name: [one] for name, (_, one) in _inputs(model).items()})
    own: dict[str, Any] = {"signature": _signature(model), "input_example": example}
    own["pip_requirements"] = [f"gatewise[mlflow]=={__version__}"]
    with TemporaryDirectory() as folder:
        path = Path(folder, "gatewise")
        model.save(path)
        return getattr(pyfunc, how)(loader_module=__name__, data_path=str(path), **{**own, **options})


def _inputs(model: Model) -> dict[str, tuple[str, Any]]:
    """The columns of a frame that the model reads, the text or series first: the type and an example of each."""
    series: list[Any] = _SERIES if model.channels == 1 else [[one] * model.channels for one in _SERIES]
    given = "series" if model.channels else model.metadata.columns.text or "text"
    own = ("double", series) if model.channels else ("string", _TEXT)
    found: dict[str, tuple[str, Any]] = dict.fromkeys([given] if isinstance(given, str) else given, own)
    columns = model.preprocessor.columns.names_by_type
    return found | dict.fromkeys(columns["numeric"], (_ANY, 1.0)) | dict.fromkeys(columns["categorical"], (_ANY, ""))


def _signature(model: Model) -> Any:
    """The columns of input and output, and the parameters of a prediction."""
    models, types = required("mlflow.models", "mlflow", "gatewise.mlflow"), required("mlflow.types", "mlflow", "MLflow")

    def of(name: str, example: Any) -> Any:
        if name == _ANY:
            return types.schema.AnyType()
        nested = isinstance(example, list)
        return types.schema.Array(of(name, example[0])) if nested else types.DataType[name]

    given = _inputs(model)
    inputs = [types.ColSpec(of(*one), name) for name, one in given.items()]
    row = {name: example for name, (_, example) in given.items()}
    logits = model.logits([Row(next(iter(row.values())), row)], outside=model.outside())
    found = model.target.columns(logits, every=False, names=False)
    outputs = [types.ColSpec(of(_TYPES[one.kind], [""] if one.lists else ""), name) for name, one in found.items()]
    params = [types.ParamSpec("probabilities", "string", "top"), types.ParamSpec("explain", "boolean", False)]
    return models.ModelSignature(types.Schema(inputs), types.Schema(outputs), types.ParamSchema(params))


class _Predictor:
    """What MLflow calls: a frame of predictions for a frame of inputs."""

    def __init__(self, path: str) -> None:
        self.path, self.model = path, load(path)

    def predict(self, frame: Any, params: dict[str, Any] | None = None) -> Any:
        """The columns that `Scorer` adds, with the index of the frame."""
        columns = list(_inputs(self.model))
        if absent := [name for name in columns if name not in frame]:
            raise InputError(f"the frame has no column {quote(absent[0])}")
        scorer = Scorer(self.path, series="series" if self.model.channels else None, **(params or {}))
        return scorer(frame[columns]).drop(columns=columns)


_load_pyfunc = _Predictor  # the name that MLflow calls


class MLflowCallback(Callback):
    """Logs the recipe, the history and the model to the active MLflow run, or to a new one, which it ends:
    `gw.train(..., callbacks=MLflowCallback())`.

    Where MLflow writes is its own setting: `mlflow.set_tracking_uri`, `mlflow.set_experiment`. Parameters: the fields
    of the recipe by `group.field`, its name and the data. Metrics: those of `TensorBoardCallback`, and the figures of
    the finished model as `final_` and their name. log_model: whether the model is logged, as by `log_model`. Raises
    MissingExtra without MLflow (extra `mlflow`).
    """

    def __init__(self, log_model: bool = True) -> None:
        self._mlflow = required("mlflow", "mlflow", "MLflowCallback")
        self._log_model = log_model
        self._own = self._begun = False

    def on_train_begin(self, run: RunInfo) -> None:
        """Log the parameters of the first run: a student, which trains second, may have other epochs."""
        if self._begun:
            return
        self._begun = True
        if self._mlflow.active_run() is None:
            self._mlflow.start_run()
            self._own = True
        name = run.recipe.name if isinstance(run.recipe, Recipe) else run.recipe.size
        self._mlflow.log_params({"recipe": name, **values_of(run.recipe), "data": run.source, "train": run.train})

    def on_epoch_end(self, epoch: EpochLog) -> None:
        """Log the figures of the epoch."""
        self._mlflow.log_metrics(figures_of(epoch), step=epoch.step or epoch.epoch)

    def on_train_end(self, model: Model | PretrainedLM) -> None:
        """Log the figures of the model, and the model."""
        if not isinstance(model, Model):
            return
        if model.metadata.evaluations:
            result = model.metadata.evaluations[-1]
            figures = {"loss": result.loss, "accuracy": result.accuracy, **result.scores}
            named = {re.sub(r"[^\w.-]+", "_", f"final_{name}"): value for name, value in figures.items()}
            self._mlflow.log_metrics({name: value for name, value in named.items() if value is not None})
        if self._log_model:
            log_model(model)

    def close(self) -> None:
        """End the run that this callback has begun."""
        if self._own:
            self._mlflow.end_run()
        self._own = self._begun = False
