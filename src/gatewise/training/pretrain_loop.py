"""The pretraining loop: streams of text, sampled softmax, Adam, validation perplexity, checkpoints.

All random draws follow from the seed: the order of an epoch from (seed, epoch), the candidates and the dropout masks
from (seed, step).

Several processes each read a part of the streams, with their states. They take the same steps, so that their weights
stay equal bit for bit. The masks of dropout are drawn by each for its own streams.
"""

from __future__ import annotations

import math
import statistics
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, TrainingError, counted
from gatewise.network.autograd import RowGradient
from gatewise.network.batch import PAD
from gatewise.network.sampled import Sampler
from gatewise.network.trainable import TABLE
from gatewise.training.callback import Callback, PerplexityLog, StepLog
from gatewise.training.checkpoint import CHECKPOINT_SECONDS, Groups, Progress, parse_checkpoint, write_checkpoint
from gatewise.training.communicator import Communicator
from gatewise.training.gradient_exchange import GradientExchange, StepSum
from gatewise.training.language import DIRECTIONS, LanguageModel, Piece
from gatewise.training.optim import Adam, clipping, gradient_norm, one_cycle
from gatewise.training.recipes import PretrainRecipe
from gatewise.types import Array

Tokens = NDArray[np.int32]
MIN_PIECES = 2  # of an epoch
MEASUREMENTS = 10  # of the validation perplexity in a run, each followed by a checkpoint
VALIDATION_STRIDE = 5  # until the last measurement, which reads all validation texts: with a large vocabulary a minute
TIMED_STEPS = 12  # steps timed before a run of so many minutes; the first third warms up


class Streams:
    """n texts, as (length,) int32 tokens, in `batch` streams of pieces of `steps` tokens.

    An epoch concatenates all texts in a random order, each after a boundary token, cuts the result into B equal
    streams, and reads them T steps at a time: a text that does not end within a piece continues in the next, and so
    does its state (Williams & Peng 1990). For the backward direction the texts are reversed, in another order.
    """

    def __init__(self, texts: Sequence[Tokens], batch: int, steps: int, seed: int) -> None:
        self.texts, self.steps, self.seed = texts, steps, seed
        total = sum(len(text) + 1 for text in texts)
        self.batch = min(batch, total // (MIN_PIECES * steps + 1))
        if self.batch < 1:
            raise InputError(f"{total:,} words of text are too few to pretrain on; {MIN_PIECES * steps + 1} are needed")
        self.pieces = (total // self.batch - 1) // steps  # per epoch

    def epoch(self, number: int, reverse: bool) -> Tokens:
        """(B, pieces x T + 1): the streams of that epoch; the targets of a piece are its tokens shifted by one step."""
        rng = np.random.default_rng([self.seed, number, int(reverse)])
        parts: list[Tokens] = []
        boundary = np.full(1, PAD, dtype=np.int32)
        for place in rng.permutation(len(self.texts)):
            text = self.texts[place]
            parts += [boundary, text[::-1] if reverse else text]
        line = np.concatenate(parts)
        width = self.pieces * self.steps + 1
        return line[: self.batch * (len(line) // self.batch)].reshape(self.batch, -1)[:, :width]


class PretrainLoop:
    """Pretraining on `texts`, validation on `validation`; each a list of (length,) int32 tokens."""

    def __init__(
        self,
        network: LanguageModel,
        recipe: PretrainRecipe,
        texts: Sequence[Tokens],
        validation: Sequence[Tokens],
        seed: int,
        callback: Callback,
        folder: Path | None,
        identity: str,
        communicator: Communicator | None = None,
    ) -> None:
        communicator = communicator or Communicator()
        self.network, self.recipe, self.validation, self.seed = network, recipe, validation, seed
        self.callback, self.folder, self.identity = callback, folder, identity
        self.communicator = communicator
        for array in network.parameters.values():
            communicator.broadcast(array)  # equal seeds give equal bits on equal machines only
        self.exchange = GradientExchange(communicator, network.parameters)
        self.streams = Streams(texts, recipe.batch_size, recipe.bptt, seed)
        if self.streams.batch < communicator.size:
            few = counted(self.streams.batch, "stream")
            raise InputError(f"{few} of text for {communicator.size} processes: give more text or fewer processes")
        self._mine = communicator.part(np.arange(self.streams.batch))
        self.words = sum(len(text) for text in texts)
        counts = np.bincount(np.concatenate(texts), minlength=network.vocab_size)
        counts[PAD] += len(texts)  # the boundary, which is a target too
        self.sampler = Sampler(counts, min(recipe.num_sampled, network.vocab_size))
        self.optimizer = self._adam()
        self._stop, self._stopped = threading.Event(), False  # of this process; of any
        self._saved, self._save = 0.0, False  # when the last checkpoint was written; whether the next one is due
        self.progress: Progress[PerplexityLog] = Progress()
        self.states = self._initial_states()
        self._lines: dict[str, Tokens] = {}
        self._epoch = -1

    @property
    def epochs_done(self) -> float:
        """Passes over the texts so far."""
        return self.progress.step / self.streams.pieces

    def run(self, stop: threading.Event, start: float) -> bool:
        """Train to the end and return True, or until `stop` is set and return False. start: when the minutes began."""
        progress, self._stop = self.progress, stop
        if not progress.steps:
            progress.steps = int(self.communicator.share(b"%d" % self._count_steps(time.perf_counter() - start)))
        began, first, opened = time.perf_counter() - progress.seconds, progress.step, time.perf_counter()
        interval = max(1, -(-progress.steps // MEASUREMENTS))
        self._saved = opened
        self._meet()
        while progress.step < progress.steps:
            if self._stopped:
                self._checkpoint()
                return False
            progress.loss_sum += self._step(progress.step)
            progress.loss_count += 1
            progress.step += 1
            progress.seconds = time.perf_counter() - began
            pace = (time.perf_counter() - opened) / (progress.step - first)
            loss, last = progress.loss_sum / progress.loss_count, progress.step == progress.steps
            self.callback.on_step_end(
                StepLog(
                    epoch=1,
                    epochs=1,
                    step=progress.step,
                    steps=progress.steps,
                    loss=loss,
                    accuracy=None,
                    seconds=progress.seconds,
                    eta_seconds=pace * (progress.steps - progress.step),
                )
            )
            if last or progress.step % interval == 0:
                self._measure(loss, self.validation if last else self.validation[::VALIDATION_STRIDE])
                progress.seconds = time.perf_counter() - began
                self._checkpoint()
            elif self._save:
                self._checkpoint()
            if self.communicator.size == 1:
                self._meet()  # the callback may have set it
        return True

    def _meet(self) -> None:
        """Stop where any of the processes is to stop."""
        self._stopped = bool(self.communicator.meet(self._stop.is_set()).any())

    def restore(self, checkpoint: bytes, folder: Path | str) -> None:
        """Continue from a checkpoint, which was found in `folder`. Raises TrainingError for that of another run."""
        found = parse_checkpoint(checkpoint, folder, self.identity, PerplexityLog, self._groups(), self.optimizer)
        self.progress, groups = found
        self.network.set_state(groups["weights"])
        h, c = ({one: array[self._mine] for one, array in groups[name].items()} for name in "hc")
        self.states = {direction: (h[direction], c[direction]) for direction in DIRECTIONS}
        self._start_epoch(max(0, self.progress.step - 1) // self.streams.pieces, keep_states=True)

    @np.errstate(over="ignore", invalid="ignore")  # the error below says it in one line
    def _step(self, step: int) -> float:
        """One piece of each direction; the mean of their losses."""
        self._start_epoch(step // self.streams.pieces, keep_states=False)
        at = step % self.streams.pieces * self.recipe.bptt
        candidates = self.sampler.sample(np.random.default_rng([self.seed, 2, step]))
        pieces, rank = {}, self.communicator.rank
        for n, direction in enumerate(DIRECTIONS):
            piece = self.communicator.part(self._lines[direction])[:, at : at + self.recipe.bptt + 1]
            tokens, targets = np.ascontiguousarray(piece[:, :-1]), np.ascontiguousarray(piece[:, 1:])
            rng = np.random.default_rng([self.seed, 3 + n, step, *([rank] if rank else [])])
            pieces[direction] = Piece(tokens, targets, self.states[direction], rng)
        read = np.unique(np.concatenate([part.reshape(-1) for p in pieces.values() for part in (p.tokens, p.targets)]))
        self.optimizer.catch_up(TABLE, np.union1d(read.astype(np.int64), candidates))
        loss, gradients, self.states = self.network.backward(pieces, candidates, self.sampler.log_expected)
        save = self.folder is not None and time.perf_counter() - self._saved > CHECKPOINT_SECONDS
        own = StepSum(gradients, loss, stop=self._stop.is_set(), save=save)
        gradients, loss, _, self._stopped, self._save = self.exchange.sum(own, len(self._mine) / self.streams.batch)
        table = gradients[TABLE]
        if self.communicator.size > 1 and isinstance(table, RowGradient):
            self.optimizer.catch_up(TABLE, table.rows)  # that other processes have read
        norm = gradient_norm(gradients)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            what = "loss" if not math.isfinite(loss) else "gradient"
            raise TrainingError(f"the {what} is not finite at step {step + 1}; a lower learning rate helps")
        rate = one_cycle(self.recipe.learning_rate, step, self.progress.steps, self.progress.steps // 10)
        self.optimizer.step(gradients, rate, clipping(norm, self.recipe.grad_clip))
        return loss

    def _count_steps(self, spent: float) -> int:
        """Steps of the run; of its minutes, `spent` seconds are over."""
        recipe = self.recipe
        if recipe.epochs:
            return max(1, round(recipe.epochs * self.streams.pieces))
        self.progress.steps = 1_000_000  # hence a learning rate near zero in the timed steps
        kept = self.network.state()
        times = []
        for step in range(TIMED_STEPS):
            began = time.perf_counter()
            self._step(step)
            times.append(time.perf_counter() - began)
        self.network.set_state(kept)
        self.optimizer = self._adam()
        self.states = self._initial_states()
        self._epoch = -1
        pace = statistics.median(times[TIMED_STEPS // 3 :])
        left = 60 * recipe.minutes - spent - sum(times)
        return max(1, int(0.95 * left / pace))  # a twentieth for measuring and saving

    def _initial_states(self) -> dict[str, tuple[Array, Array]]:
        return {direction: self.network.initial_states(len(self._mine)) for direction in DIRECTIONS}

    def _adam(self) -> Adam:
        return Adam(self.network.parameters, frozenset({TABLE}), beta_1=0.9, beta_2=0.99)

    def _start_epoch(self, epoch: int, *, keep_states: bool) -> None:
        if epoch == self._epoch:
            return
        self._epoch = epoch
        self._lines = {direction: self.streams.epoch(epoch, direction == "backward") for direction in DIRECTIONS}
        if not keep_states:
            self.states = self._initial_states()

    def _measure(self, loss: float, texts: Sequence[Tokens]) -> None:
        progress = self.progress
        self.optimizer.catch_up_all()
        self.communicator.check_same(self.network.parameters, f"after step {progress.step}")
        perplexity = {}
        words = sum(len(text) for text in texts)
        for direction in DIRECTIONS if words else ():
            mine = texts[self.communicator.rank :: self.communicator.size]
            read = [text if direction == "forward" else text[::-1] for text in mine]
            nats = sum(self.network.negative_log_likelihood(direction, np.ascontiguousarray(text)) for text in read)
            nats = float(self.communicator.meet(nats).sum())
            perplexity[direction] = round(math.exp(min(nats / words, 700.0)), 2)
        row = PerplexityLog(progress.step, loss, perplexity, round(progress.seconds, 1))
        progress.history.append(row)
        progress.loss_sum, progress.loss_count = 0.0, 0
        self.callback.on_perplexity(row)

    def _groups(self) -> Groups:
        self.optimizer.catch_up_all()
        whole = self.communicator.whole
        states = {name: {one: whole(self.states[one][n]) for one in DIRECTIONS} for n, name in enumerate("hc")}
        return {"weights": self.network.state(), **states}

    def _checkpoint(self) -> None:
        """In the first process, with the states of all."""
        if not self.progress.step:
            return
        groups = self._groups()
        if self.folder is not None:
            write_checkpoint(self.folder, self.identity, self.progress, groups, self.optimizer)
            self._saved = time.perf_counter()
