"""What `gatewise train` shows while it trains: the plan, a bar on a terminal's stderr, a line an epoch on stdout."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from gatewise.cli.output import console, layer_table
from gatewise.errors import printable
from gatewise.model.model import Model
from gatewise.training import Callback, EpochLog, RunInfo, StepLog


def clock(seconds: float) -> str:
    """Minutes and seconds, 0:07."""
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}"


class Bar:
    """A bar on a terminal's stderr, which goes before a line is written; nothing where stderr is no terminal."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._wanted = sys.stderr.isatty()

    def move(self, name: str, done: int, total: int, seen: str) -> None:
        """To `done` of `total`, with a few words behind it."""
        if not self._wanted:
            return
        if self._bar is None:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=30),
                TextColumn("{task.completed:.0f}/{task.total:.0f}  {task.fields[seen]}"),
                console=console(stderr=True),
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._task = self._bar.add_task(name, total=total, seen="")
            self._bar.start()
        self._bar.update(self._task, completed=done, seen=seen)

    def close(self) -> None:
        """Take it away, if it is there."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class Shown(Callback):
    """Draws a run. out: where the lines go. The bar is erased before a line is written, so the two never mix."""

    def __init__(self, out: Console) -> None:
        self.out = out
        self.epochs: list[EpochLog] = []
        self._bar = Bar()

    def note(self, text: str) -> None:
        """A sentence worth showing."""
        self.close()
        self._line(printable(text, 500))

    def started(self, plan: RunInfo) -> None:
        """The plan, the network and the head of the epochs' table."""
        self._line(f"data        {printable(plan.source, 500)}")
        self._line(f"train       {plan.train:,} in {plan.batches:,} batches of {plan.recipe.batch_size} an epoch")
        self._line(f"validation  {plan.validation:,}, {printable(plan.validation_how, 200)}")
        self._line(f"recipe      {plan.recipe.name}, kernel {plan.kernel}\n")
        self.out.print(layer_table(plan.architecture))
        self._line("\nepoch    loss  accuracy  val_loss  val_accuracy  seconds")

    def stepped(self, step: StepLog) -> None:
        """Move the bar."""
        seen = f"loss {step.loss:.4f}  accuracy {step.accuracy:.4f}  "
        seen += f"ETA {clock(step.eta_seconds)}" if step.batch < step.batches else "validating"
        self._bar.move(f"epoch {step.epoch}/{step.epochs}", step.batch, step.batches, seen)

    def epoch_ended(self, row: EpochLog) -> None:
        """A line of the table; * where it is the best so far."""
        self.close()
        self.epochs.append(row)
        seen = f"{row.epoch:5}  {row.loss:6.4f}    {row.accuracy:6.4f}"
        validated = f"{row.val_loss:6.4f}        {row.val_accuracy:6.4f}"
        self._line(f"{seen}    {validated}  {row.seconds:7.1f}{'  *' if row.best else ''}")

    def finished(self, model: Model) -> None:
        """Which epoch is kept, and why."""
        self.close()
        kept = next((row for row in reversed(self.epochs) if row.best), None)
        if kept is not None:
            self._line(
                f"\nkept epoch {kept.epoch} (lowest val_loss {kept.val_loss:.4f}, val_accuracy {kept.val_accuracy:.4f})"
            )

    def close(self) -> None:
        """Take the bar away, if there is one."""
        self._bar.close()

    def _line(self, text: str) -> None:
        self.out.print(text, soft_wrap=True)  # whole, for whoever reads it from a file; a terminal wraps by itself
