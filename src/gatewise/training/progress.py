"""Progress of training and pretraining: the run, a bar, a line per epoch or measurement. A callback sends the history
of a run to TensorBoard, which is an extra.

`gatewise.train(..., verbose=...)` follows Keras: "auto" prints in a terminal and in a notebook, 0 nothing, 1 bar and
lines, 2 lines only.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from gatewise.errors import InputError, counted, printable, quote, required
from gatewise.model.model import Model
from gatewise.model.summary import layer_lines
from gatewise.network.architecture import summary
from gatewise.system.console import PlainConsole
from gatewise.training.callback import Callback, EpochLog, RunInfo, StepLog
from gatewise.training.processes import current
from gatewise.training.recipes import Recipe

if TYPE_CHECKING:
    from gatewise.model.pretrained import PretrainedLM


class ProgressPrinter(Callback):
    """Prints a run to `out`. A bar on stderr, if that is a terminal, is erased before each line. bar: whether there is
    one. What cannot be written is left out: a run goes on after its terminal is closed, or the pipe it
    prints into.
    """

    def __init__(self, out: Console, bar: bool = True) -> None:
        self.out = out
        self._best: EpochLog | None = None
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._terminal = bar and sys.stderr.isatty()
        self._pretraining = False

    def log(self, text: str) -> None:
        """Print a message."""
        self._print(printable(text, 500))

    def on_train_begin(self, run: RunInfo) -> None:
        """Print the run and the head of its table."""
        recipe = run.recipe
        facts = {"data": printable(run.source, 500)}
        kernel = run.kernel if run.processes == 1 else f"{run.kernel}, {run.processes} processes"
        self._pretraining = not isinstance(recipe, Recipe)
        if not isinstance(recipe, Recipe):
            network = f"two LSTMs of {recipe.units} units" if recipe.units else "word embeddings alone"
            texts = counted(run.train, "text")
            facts["train"] = f"{texts} of {run.words:,} words; vocabulary {run.vocab_size:,}"
            facts["network"] = f"{recipe.size}: embedding dimension {recipe.embedding_dim}, {network}"
            facts["kernel"] = kernel
            after = ["", "   step     loss  perplexity forward  backward  seconds"]
        else:
            assert run.architecture is not None
            batches = counted(run.steps_per_epoch, "batch", "batches")
            facts["train"] = f"{run.train:,} in {batches} of {recipe.optimisation.batch_size} per epoch"
            facts["validation"] = f"{run.validation:,}, {printable(run.validation_how, 200)}"
            facts["recipe"] = f"{recipe.name}, kernel {kernel}"
            scores = "accuracy  val_loss  val_accuracy" if run.has_accuracy else "val_loss    val_rmse"
            after = ["", *layer_lines(summary(run.architecture)), "", f"epoch    loss  {scores}  seconds"]
        for line in [*(f"{name:10}  {fact}" for name, fact in facts.items()), *after]:
            self._print(line)

    def on_step_end(self, step: StepLog) -> None:
        """Move the bar."""
        if not self._terminal:
            return
        accuracy = "" if step.accuracy is None else f"accuracy {step.accuracy:.4f}  "
        eta = round(step.eta_seconds)
        state = f"ETA {eta // 60}:{eta % 60:02d}" if step.step < step.steps else "validating"
        with suppress(OSError):
            if self._bar is None:
                self._bar = Progress(
                    TextColumn("{task.description}"),
                    BarColumn(bar_width=30),
                    TextColumn("{task.completed:.0f}/{task.total:.0f}  {task.fields[state]}"),
                    console=PlainConsole(stderr=True),
                    transient=True,
                    redirect_stdout=False,
                    redirect_stderr=False,
                )
                task = "pretraining" if self._pretraining else f"epoch {step.epoch}/{step.epochs}"
                self._task = self._bar.add_task(task, total=step.steps, state="")
                self._bar.start()
            self._bar.update(self._task, completed=step.step, state=f"loss {step.loss:.4f}  {accuracy}{state}")

    def on_epoch_end(self, epoch: EpochLog) -> None:
        """Print a line of the table, with * for the best epoch so far."""
        if epoch.perplexity is not None:
            both = (epoch.perplexity.get(direction, float("nan")) for direction in ("forward", "backward"))
            self._print(
                "{:7,}  {:7.3f}  {:18.1f}  {:8.1f}  {:7.0f}".format(epoch.step, epoch.loss, *both, epoch.seconds)
            )
            return
        if epoch.best:
            self._best = epoch
        if epoch.val_rmse is None:
            scores = f"{epoch.accuracy:6.4f}    {epoch.val_loss:6.4f}        {epoch.val_accuracy:6.4f}"
        else:
            scores = f"{epoch.val_loss:6.4f}  {epoch.val_rmse:10.4g}"
        star = "  *" if epoch.best else ""
        self._print(f"{epoch.epoch:5}  {epoch.loss:6.4f}    {scores}  {epoch.seconds:7.1f}{star}")

    def on_train_end(self, model: Model | PretrainedLM) -> None:
        """Print which epoch is kept, and why."""
        self.close()
        if self._best is not None:
            accuracy = self._best.val_accuracy
            score = f"val_rmse {self._best.val_rmse:.4g}" if accuracy is None else f"val_accuracy {accuracy:.4f}"
            self._print(f"\nkept epoch {self._best.epoch} (lowest val_loss {self._best.val_loss:.4f}, {score})")

    def close(self) -> None:
        """Erase the bar."""
        bar = self._bar
        self._bar = None
        if bar is not None:
            with suppress(OSError):
                bar.stop()

    def _print(self, text: str) -> None:
        self.close()
        with suppress(OSError):
            self.out.print(text, soft_wrap=True)  # whole lines for a file; a terminal wraps by itself


class NotebookPrinter(ProgressPrinter):
    """Prints a run below the cell of a notebook, as plain text that is updated in place."""

    def __init__(self) -> None:
        super().__init__(PlainConsole(stderr=True), bar=False)
        self._lines: list[str] = []
        self._display: Any = None
        self._shown = 0.0

    def on_step_end(self, step: StepLog) -> None:
        """Show the step on the last line, five times a second at most."""
        now = time.monotonic()
        if now - self._shown >= 0.2 or step.step == step.steps:
            self._shown = now
            line = f"epoch {step.epoch}/{step.epochs}, step {step.step:,} of {step.steps:,}, loss {step.loss:.4f}"
            self._update([*self._lines, line])

    def _print(self, text: str) -> None:
        self._lines += text.split("\n")
        self._update(self._lines)

    def _update(self, lines: list[str]) -> None:
        content = {"text/plain": "\n".join(lines)}
        if self._display is None:
            display = import_module("IPython.display").display  # not a dependency: every notebook has it
            self._display = display(content, raw=True, display_id=True)
        else:
            self._display.update(content, raw=True)


def callback_of(callbacks: Callback | Sequence[Callback] | None, verbose: int | str) -> Callback:
    """The callbacks as one, with the printer that `verbose` asks for; none in all processes but the first. Raises
    InputError for anything else.
    """
    given: list[Any] = []
    if callbacks is not None:
        given += callbacks if isinstance(callbacks, Sequence) else [callbacks]
    for one in given:
        if not isinstance(one, Callback):
            kind = getattr(one, "__name__", type(one).__name__)
            raise InputError(f"callbacks must be instances of gatewise.training.Callback, not {quote(kind)}")
    if verbose not in ("auto", 0, 1, 2):
        raise InputError(f"verbose must be 'auto', 0, 1 or 2, not {quote(verbose)}")
    if current().rank:
        return Callback()
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    notebook = type(shell).__name__ == "ZMQInteractiveShell"
    if verbose == 1 or verbose == 2 or (verbose == "auto" and (notebook or sys.stderr.isatty())):
        printer = NotebookPrinter() if notebook else ProgressPrinter(PlainConsole(stderr=True), bar=verbose != 2)
        given.append(printer)
    return given[0] if len(given) == 1 else _Each(given)


def _each(name: str) -> Any:
    """A method that calls the method of this name of every callback."""

    def call(self: _Each, *given: Any) -> None:
        for one in self.callbacks:
            getattr(one, name)(*given)

    return call


class _Each(Callback):
    """Several callbacks as one: each is called in turn."""

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self.callbacks = callbacks

    log = _each("log")
    on_train_begin = _each("on_train_begin")
    on_step_end = _each("on_step_end")
    on_epoch_end = _each("on_epoch_end")
    on_train_end = _each("on_train_end")
    close = _each("close")


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
        for name, value in figures_of(epoch).items():
            self._writer.add_scalar(name, value, epoch.step or epoch.epoch)
        self._writer.flush()

    def close(self) -> None:
        """Write what is pending."""
        self._writer.close()


def figures_of(row: EpochLog) -> dict[str, float]:
    """The numbers of a line of the history by name; a perplexity has one per direction."""
    figures = row.as_dict()
    perplexity = figures.pop("perplexity", {})
    figures |= {f"perplexity_{direction}": value for direction, value in perplexity.items()}
    return {name: value for name, value in figures.items() if name not in ("epoch", "step", "best")}
