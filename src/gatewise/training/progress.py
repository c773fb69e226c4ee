"""Progress of training and pretraining: the run, a bar, a line per epoch or measurement. A callback sends the history
of a run to TensorBoard, which is an extra.

`gatewise.train(..., verbose=...)` follows Keras: "auto" prints in a terminal and in a notebook, 0 nothing, 1 bar and
lines, 2 lines only.
"""

from __future__ import annotations

import math
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
from gatewise.system.console import PlainConsole
from gatewise.training.callback import Callback, EpochLog, RunInfo, StepLog
from gatewise.training.processes import current
from gatewise.training.recipes import Recipe

if TYPE_CHECKING:
    from gatewise.model.pretrained import PretrainedLM
    from gatewise.training.pretrain_recipes import PretrainRecipe


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
        self._pretraining = not isinstance(recipe, Recipe)
        if isinstance(recipe, Recipe):
            facts = _training_facts(run, recipe)
            table_head = _training_table_head(run)
        else:
            facts = _pretraining_facts(run, recipe)
            table_head = ["   step     loss  perplexity forward  backward  seconds"]
        for name, fact in facts.items():
            self._print(f"{name:10}  {fact}")
        for line in ["", *table_head]:
            self._print(line)

    def on_step_end(self, step: StepLog) -> None:
        """Move the bar."""
        if not self._terminal:
            return
        figures = f"loss {step.loss:.4f}"
        if step.accuracy is not None:
            figures += f"  accuracy {step.accuracy:.4f}"
        state = "validating"
        if step.step < step.steps:
            minutes, seconds = divmod(round(step.eta_seconds), 60)
            state = f"ETA {minutes}:{seconds:02d}"
        with suppress(OSError):
            if self._bar is None:
                self._start_bar(step)
            assert self._bar is not None
            self._bar.update(self._task, completed=step.step, state=f"{figures}  {state}")

    def _start_bar(self, step: StepLog) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.completed:.0f}/{task.total:.0f}  {task.fields[state]}"),
            console=PlainConsole(stderr=True),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        description = f"epoch {step.epoch}/{step.epochs}"
        if self._pretraining:
            description = "pretraining"
        self._task = self._bar.add_task(description, total=step.steps, state="")
        self._bar.start()

    def on_epoch_end(self, epoch: EpochLog) -> None:
        """Print a line of the table, with * for the best epoch so far."""
        if epoch.perplexity is not None:
            forward = epoch.perplexity.get("forward", math.nan)
            backward = epoch.perplexity.get("backward", math.nan)
            self._print(f"{epoch.step:7,}  {epoch.loss:7.3f}  {forward:18.1f}  {backward:8.1f}  {epoch.seconds:7.0f}")
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
        best = self._best
        if best is None:
            return
        if best.val_accuracy is None:
            score = f"val_rmse {best.val_rmse:.4g}"
        else:
            score = f"val_accuracy {best.val_accuracy:.4f}"
        self._print(f"\nkept epoch {best.epoch} (lowest val_loss {best.val_loss:.4f}, {score})")

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


def _training_facts(run: RunInfo, recipe: Recipe) -> dict[str, str]:
    batches = counted(run.steps_per_epoch, "batch", "batches")
    return {
        "data": printable(run.source, 500),
        "train": f"{run.train:,} in {batches} of {recipe.optimisation.batch_size} per epoch",
        "validation": f"{run.validation:,}, {printable(run.validation_how, 200)}",
        "recipe": f"{recipe.name}, kernel {_kernel(run)}",
    }


def _training_table_head(run: RunInfo) -> list[str]:
    """The layers of the network, and the names of the columns."""
    scores = "val_loss    val_rmse"
    if run.has_accuracy:
        scores = "accuracy  val_loss  val_accuracy"
    return [*layer_lines(run.layers), "", f"epoch    loss  {scores}  seconds"]


def _pretraining_facts(run: RunInfo, recipe: PretrainRecipe) -> dict[str, str]:
    network = "word embeddings alone"
    if recipe.units:
        network = f"two LSTMs of {recipe.units} units"
    return {
        "data": printable(run.source, 500),
        "train": f"{counted(run.train, 'text')} of {run.words:,} words; vocabulary {run.vocab_size:,}",
        "network": f"{recipe.size}: embedding dimension {recipe.embedding_dim}, {network}",
        "kernel": _kernel(run),
    }


def _kernel(run: RunInfo) -> str:
    if run.processes == 1:
        return run.kernel
    return f"{run.kernel}, {run.processes} processes"


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
    chosen: list[Callback] = []
    if isinstance(callbacks, Sequence):
        chosen += callbacks
    elif callbacks is not None:
        chosen.append(callbacks)
    for callback in chosen:
        if not isinstance(callback, Callback):
            kind = getattr(callback, "__name__", type(callback).__name__)
            raise InputError(f"callbacks must be instances of gatewise.training.Callback, not {quote(kind)}")
    if verbose not in ("auto", 0, 1, 2):
        raise InputError(f"verbose must be 'auto', 0, 1 or 2, not {quote(verbose)}")
    if current().rank:
        return Callback()
    printer = _printer_of(verbose)
    if printer is not None:
        chosen.append(printer)
    if len(chosen) == 1:
        return chosen[0]
    return CallbackList(chosen)


def _printer_of(verbose: int | str) -> ProgressPrinter | None:
    """What prints the run. "auto": in a terminal and in a notebook."""
    in_notebook = False
    if "IPython" in sys.modules:
        shell = sys.modules["IPython"].get_ipython()
        in_notebook = type(shell).__name__ == "ZMQInteractiveShell"
    if verbose == "auto":
        prints = in_notebook or sys.stderr.isatty()
    else:
        prints = verbose != 0
    if not prints:
        return None
    if in_notebook:
        return NotebookPrinter()
    return ProgressPrinter(PlainConsole(stderr=True), bar=verbose != 2)


class CallbackList(Callback):
    """Several callbacks as one: each is called in turn."""

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self.callbacks = callbacks

    def log(self, text: str) -> None:
        """A message of one line."""
        for callback in self.callbacks:
            callback.log(text)

    def on_train_begin(self, run: RunInfo) -> None:
        """Before the first step."""
        for callback in self.callbacks:
            callback.on_train_begin(run)

    def on_step_end(self, step: StepLog) -> None:
        """After each step."""
        for callback in self.callbacks:
            callback.on_step_end(step)

    def on_epoch_end(self, epoch: EpochLog) -> None:
        """After each validation."""
        for callback in self.callbacks:
            callback.on_epoch_end(epoch)

    def on_train_end(self, model: Model | PretrainedLM) -> None:
        """After the run."""
        for callback in self.callbacks:
            callback.on_train_end(model)

    def close(self) -> None:
        """At the very end."""
        for callback in self.callbacks:
            callback.close()


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
