"""Progress of `gatewise train` and `pretrain`: the run, a bar on stderr, a line per epoch or measurement."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from gatewise.cli.output import console, layer_table
from gatewise.errors import printable
from gatewise.model.model import Model
from gatewise.model.pretrained import PretrainedLM
from gatewise.training import Callback, EpochLog, PerplexityLog, PretrainRecipe, RunInfo, StepLog


class ProgressPrinter(Callback):
    """Prints a run to `out`. A bar on stderr, if that is a terminal, is erased before each line."""

    def __init__(self, out: Console) -> None:
        self.out = out
        self._best: EpochLog | None = None
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._terminal = sys.stderr.isatty()
        self._pretraining = False

    def log(self, text: str) -> None:
        """Print a message."""
        self._print(printable(text, 500))

    def on_train_begin(self, run: RunInfo) -> None:
        """Print the run and the head of its table."""
        source = printable(run.source, 500)
        self._pretraining = isinstance(run.recipe, PretrainRecipe)
        if isinstance(run.recipe, PretrainRecipe):
            network = f"two LSTMs of {run.recipe.units} units" if run.recipe.units else "word embeddings alone"
            self._print(f"data        {source}")
            self._print(f"train       {run.train:,} texts of {run.words:,} words; vocabulary {run.vocab_size:,}")
            self._print(f"network     {run.recipe.size}: embedding dimension {run.recipe.embedding_dim}, {network}")
            self._print(f"kernel      {run.kernel}")
            self._print("\n   step     loss  perplexity forward  backward  seconds")
            return
        assert run.architecture is not None
        steps = f"{run.steps_per_epoch:,} batches of {run.recipe.batch_size} per epoch"
        self._print(f"data        {source}")
        self._print(f"train       {run.train:,} in {steps}")
        self._print(f"validation  {run.validation:,}, {printable(run.validation_how, 200)}")
        self._print(f"recipe      {run.recipe.name}, kernel {run.kernel}\n")
        self.out.print(layer_table(run.architecture))
        self._print("\n" + _head(run.task == "regression"))

    def on_step_end(self, step: StepLog) -> None:
        """Move the bar."""
        if not self._terminal:
            return
        task = "pretraining" if self._pretraining else f"epoch {step.epoch}/{step.epochs}"
        accuracy = "" if step.accuracy is None else f"accuracy {step.accuracy:.4f}  "
        eta = round(step.eta_seconds)
        state = f"ETA {eta // 60}:{eta % 60:02d}" if step.step < step.steps else "validating"
        if self._bar is None:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=30),
                TextColumn("{task.completed:.0f}/{task.total:.0f}  {task.fields[state]}"),
                console=console(stderr=True),
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._task = self._bar.add_task(task, total=step.steps, state="")
            self._bar.start()
        self._bar.update(self._task, completed=step.step, state=f"loss {step.loss:.4f}  {accuracy}{state}")

    def on_epoch_end(self, epoch: EpochLog) -> None:
        """Print a line of the table, with * for the best epoch so far."""
        if epoch.best:
            self._best = epoch
        self._print(_line(epoch))

    def on_perplexity(self, row: PerplexityLog) -> None:
        """Print a line of the table."""
        forward, backward = (row.perplexity.get(direction, float("nan")) for direction in ("forward", "backward"))
        self._print(f"{row.step:7,}  {row.loss:7.3f}  {forward:18.1f}  {backward:8.1f}  {row.seconds:7.0f}")

    def on_train_end(self, model: Model | PretrainedLM) -> None:
        """Print which epoch is kept, and why."""
        self.close()
        if self._best is not None:
            accuracy, rmse = self._best.val_accuracy, self._best.val_rmse
            score = f"val_rmse {rmse:.4g}" if accuracy is None else f"val_accuracy {accuracy:.4f}"
            why = f"lowest val_loss {self._best.val_loss:.4f}, {score}"
            self._print(f"\nkept epoch {self._best.epoch} ({why})")

    def close(self) -> None:
        """Erase the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _print(self, text: str) -> None:
        self.close()
        self.out.print(text, soft_wrap=True)  # whole lines for a file; a terminal wraps by itself


def _head(regression: bool) -> str:
    if regression:
        return "epoch    loss  val_loss    val_rmse  seconds"
    return "epoch    loss  accuracy  val_loss  val_accuracy  seconds"


def _line(epoch: EpochLog) -> str:
    end = f"{epoch.seconds:7.1f}{'  *' if epoch.best else ''}"
    if epoch.accuracy is None or epoch.val_accuracy is None:
        return f"{epoch.epoch:5}  {epoch.loss:6.4f}    {epoch.val_loss:6.4f}  {epoch.val_rmse:10.4g}  {end}"
    train = f"{epoch.epoch:5}  {epoch.loss:6.4f}    {epoch.accuracy:6.4f}"
    return f"{train}    {epoch.val_loss:6.4f}        {epoch.val_accuracy:6.4f}  {end}"
