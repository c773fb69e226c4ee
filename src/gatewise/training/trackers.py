"""Callbacks that send the history of a run to TensorBoard or MLflow. Both are extras; `history.jsonl` needs neither."""

from __future__ import annotations

from pathlib import Path

from gatewise.errors import required
from gatewise.model.model import Model
from gatewise.model.pretrained import PretrainedLM
from gatewise.training.callback import Callback, EpochLog, PerplexityLog, RunInfo
from gatewise.training.fields import values_of
from gatewise.training.recipes import Recipe

__all__ = ["MLflowCallback", "TensorBoardCallback"]


class TensorBoardCallback(Callback):
    """Writes event files for TensorBoard: `gw.train(..., callbacks=TensorBoardCallback("runs/first"))`, then
    `tensorboard --logdir runs`.

    log_dir: a folder, created if needed. Scalars: loss, accuracy, val_loss, val_accuracy and val_rmse by epoch; of
    pretraining loss and perplexity by step. Raises MissingExtra without TensorBoard (extra `tensorboard`).
    """

    def __init__(self, log_dir: str | Path) -> None:
        summary = required("tensorboard.summary", "tensorboard", "TensorBoardCallback")
        self._writer = summary.Writer(str(log_dir))

    def on_epoch_end(self, epoch: EpochLog) -> None:
        """Write the figures of the epoch."""
        self._write(epoch, epoch.epoch)

    def on_perplexity(self, row: PerplexityLog) -> None:
        """Write the figures of the measurement."""
        self._write(row, row.step)

    def close(self) -> None:
        """Write what is pending."""
        self._writer.close()

    def _write(self, row: EpochLog | PerplexityLog, step: int) -> None:
        for name, value in _figures(row).items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()


class MLflowCallback(Callback):
    """Logs the recipe and the history to the active MLflow run, or to a new one, which it ends:
    `gw.train(..., callbacks=MLflowCallback())`.

    Where MLflow writes is its own setting: `mlflow.set_tracking_uri`, `mlflow.set_experiment`. Parameters: the fields
    of the recipe by `group.field`, its name and the data. Metrics: those of `TensorBoardCallback`, and the figures of
    the finished model as `final_` and their name. Raises MissingExtra without MLflow (extra `mlflow`).
    """

    def __init__(self) -> None:
        self._mlflow = required("mlflow", "mlflow", "MLflowCallback")
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
        self._mlflow.log_metrics(_figures(epoch), step=epoch.epoch)

    def on_perplexity(self, row: PerplexityLog) -> None:
        """Log the figures of the measurement."""
        self._mlflow.log_metrics(_figures(row), step=row.step)

    def on_train_end(self, model: Model | PretrainedLM) -> None:
        """Log the figures of the model."""
        if isinstance(model, Model) and model.metadata.evaluations:
            result = model.metadata.evaluations[-1]
            figures = {"loss": result.loss, "accuracy": result.accuracy, **result.scores}
            self._mlflow.log_metrics({f"final_{name}": value for name, value in figures.items() if value is not None})

    def close(self) -> None:
        """End the run that this callback has begun."""
        if self._own:
            self._mlflow.end_run()
        self._own = self._begun = False


def _figures(row: EpochLog | PerplexityLog) -> dict[str, float]:
    """The numbers of a line of the history by name; a perplexity has one per direction."""
    found = row.as_dict()
    perplexity = found.pop("perplexity", {})
    found |= {f"perplexity_{direction}": value for direction, value in perplexity.items()}
    return {name: value for name, value in found.items() if name not in ("epoch", "step", "best")}
