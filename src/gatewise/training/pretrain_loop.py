"""The pretraining loop: streams of text, sampled softmax, Adam, validation perplexity, checkpoints.

All random draws follow from the seed: the order of an epoch from (seed, epoch), the candidates and the dropout masks
from (seed, step).
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

from gatewise.errors import InputError, TrainingError
from gatewise.network.batch import PAD
from gatewise.network.sampled import Sampler
from gatewise.network.trainable import TABLE
from gatewise.training.callback import Callback, PerplexityLog, StepLog
from gatewise.training.checkpoint import Groups, Progress, read_checkpoint, write_checkpoint
from gatewise.training.language import DIRECTIONS, LanguageModel, Piece
from gatewise.training.optim import Adam, clipping, gradient_norm, one_cycle
from gatewise.training.pretrain_recipes import PretrainRecipe

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
    ) -> None:
        self.network, self.recipe, self.validation, self.seed = network, recipe, validation, seed
        self.callback, self.folder, self.identity = callback, folder, identity
        self.streams = Streams(texts, recipe.batch_size, recipe.bptt, seed)
        self.words = sum(len(text) for text in texts)
        counts = np.bincount(np.concatenate(texts), minlength=network.vocab_size)
        counts[PAD] += len(texts)  # the boundary, which is a target too
        self.sampler = Sampler(counts, min(recipe.num_sampled, network.vocab_size))
        self.optimizer = self._adam()
        self.progress: Progress[PerplexityLog] = Progress()
        self.states = {direction: network.initial_states(self.streams.batch) for direction in DIRECTIONS}
        self._lines: dict[str, Tokens] = {}
        self._epoch = -1

    @property
    def epochs_done(self) -> float:
        """Passes over the texts so far."""
        return self.progress.step / self.streams.pieces

    def run(self, stop: threading.Event, start: float) -> bool:
        """Train to the end and return True, or until `stop` is set and return False. start: when the minutes began."""
        progress = self.progress
        if not progress.steps:
            progress.steps = self._count_steps(time.perf_counter() - start)
        began, first, opened = time.perf_counter() - progress.seconds, progress.step, time.perf_counter()
        interval = max(1, -(-progress.steps // MEASUREMENTS))
        while progress.step < progress.steps:
            if stop.is_set():
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
        return True

    def restore(self, folder: Path) -> None:
        """Continue from the checkpoint in `folder`. Raises TrainingError for that of another run."""
        found = read_checkpoint(folder, self.identity, PerplexityLog, self._groups(), self.optimizer)
        self.progress, groups = found
        self.network.set_state(groups["weights"])
        self.states = {direction: (groups["h"][direction], groups["c"][direction]) for direction in DIRECTIONS}
        self._start_epoch(max(0, self.progress.step - 1) // self.streams.pieces, keep_states=True)

    @np.errstate(over="ignore", invalid="ignore")  # the error below says it in one line
    def _step(self, step: int) -> float:
        """One piece of each direction; the mean of their losses."""
        self._start_epoch(step // self.streams.pieces, keep_states=False)
        at = step % self.streams.pieces * self.recipe.bptt
        candidates = self.sampler.sample(np.random.default_rng([self.seed, 2, step]))
        pieces = {}
        for n, direction in enumerate(DIRECTIONS):
            piece = self._lines[direction][:, at : at + self.recipe.bptt + 1]
            tokens, targets = np.ascontiguousarray(piece[:, :-1]), np.ascontiguousarray(piece[:, 1:])
            rng = np.random.default_rng([self.seed, 3 + n, step])
            pieces[direction] = Piece(tokens, targets, self.states[direction], rng)
        read = np.unique(np.concatenate([part.reshape(-1) for p in pieces.values() for part in (p.tokens, p.targets)]))
        self.optimizer.catch_up(TABLE, np.union1d(read.astype(np.int64), candidates))
        loss, gradients, self.states = self.network.backward(pieces, candidates, self.sampler.log_expected)
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
        self.states = {direction: self.network.initial_states(self.streams.batch) for direction in DIRECTIONS}
        self._epoch = -1
        pace = statistics.median(times[TIMED_STEPS // 3 :])
        left = 60 * recipe.minutes - spent - sum(times)
        return max(1, int(0.95 * left / pace))  # a twentieth for measuring and saving

    def _adam(self) -> Adam:
        return Adam(self.network.parameters, frozenset({TABLE}), beta_1=0.9, beta_2=0.99)

    def _start_epoch(self, epoch: int, *, keep_states: bool) -> None:
        if epoch == self._epoch:
            return
        self._epoch = epoch
        self._lines = {direction: self.streams.epoch(epoch, direction == "backward") for direction in DIRECTIONS}
        if not keep_states:
            self.states = {direction: self.network.initial_states(self.streams.batch) for direction in DIRECTIONS}

    def _measure(self, loss: float, texts: Sequence[Tokens]) -> None:
        progress = self.progress
        self.optimizer.catch_up_all()
        perplexity = {}
        words = sum(len(text) for text in texts)
        for direction in DIRECTIONS if words else ():
            read = [text if direction == "forward" else text[::-1] for text in texts]
            nats = sum(self.network.negative_log_likelihood(direction, np.ascontiguousarray(text)) for text in read)
            perplexity[direction] = round(math.exp(min(nats / words, 700.0)), 2)
        row = PerplexityLog(progress.step, loss, perplexity, round(progress.seconds, 1))
        progress.history.append(row)
        progress.loss_sum, progress.loss_count = 0.0, 0
        self.callback.on_perplexity(row)

    def _groups(self) -> Groups:
        self.optimizer.catch_up_all()
        states = {name: {one: self.states[one][n] for one in DIRECTIONS} for n, name in enumerate("hc")}
        return {"weights": self.network.state(), **states}

    def _checkpoint(self) -> None:
        if self.folder is not None and self.progress.step:
            write_checkpoint(self.folder, self.identity, self.progress, self._groups(), self.optimizer)
