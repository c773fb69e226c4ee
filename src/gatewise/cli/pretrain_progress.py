"""What `gatewise pretrain` shows while it trains: the plan, a bar on a terminal's stderr, a line a measurement."""

from __future__ import annotations

from rich.console import Console

from gatewise.cli.progress import Bar, clock
from gatewise.errors import printable
from gatewise.model.pretrained import PretrainedLM
from gatewise.training import Measurement, PretrainCallback, PretrainRecipe


class ShownPretraining(PretrainCallback):
    """Draws a run. out: where the lines go. The bar is erased before a line is written, so the two never mix."""

    def __init__(self, out: Console) -> None:
        self.out = out
        self._bar = Bar()

    def note(self, text: str) -> None:
        """A sentence worth showing."""
        self._line(text)

    def started(self, plan: PretrainRecipe, rows: int, texts: int, words: int, kernel: str, source: str) -> None:
        """The plan, and the head of the measurements' table."""
        network = f"two LSTMs of {plan.units} units" if plan.units else "word vectors alone"
        self._line(f"texts    {source}")
        self._line(f"read     {texts:,} texts of {words:,} words; {rows:,} different ones have a vector")
        self._line(f"network  {plan.size}: {plan.embedding_dim} numbers a word, {network}; kernel {kernel}")
        self._line("")
        self._line("   step     loss  perplexity forward  backward  seconds")

    def stepped(self, step: int, steps: int, loss: float, eta_seconds: float) -> None:
        """Move the bar."""
        self._bar.move("pretraining", step, steps, f"loss {loss:.3f}  ETA {clock(eta_seconds)}")

    def measured(self, row: Measurement) -> None:
        """A line of the table."""
        ways = [row.perplexity.get(way, float("nan")) for way in ("forward", "backward")]
        self._line(f"{row.step:7,}  {row.loss:7.3f}  {ways[0]:18.1f}  {ways[1]:8.1f}  {row.seconds:7.0f}")

    def finished(self, pretrained: PretrainedLM) -> None:
        """Nothing more to draw."""
        self.close()

    def close(self) -> None:
        """Take the bar away, if there is one."""
        self._bar.close()

    def _line(self, text: str) -> None:
        self.close()
        self.out.print(printable(text, 500), soft_wrap=True)  # whole: a terminal wraps by itself
