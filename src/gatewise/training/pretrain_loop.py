"""The loop of pretraining: pieces of text, sampled softmax, Adam, held-out perplexity, a checkpoint now and then.

Everything that it draws at random comes from the seed: the order of an epoch from (seed, epoch), the candidates from
(seed, step), dropout from torch's generator, whose state is in the checkpoint.
"""

from __future__ import annotations

import json
import math
import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gatewise.errors import TrainingError
from gatewise.network.batch import PAD
from gatewise.nn import LanguageModel
from gatewise.nn.language import DIRECTIONS
from gatewise.nn.sampled import Sampler
from gatewise.storage import tensors_from_bytes, tensors_to_bytes, write_atomic
from gatewise.training.adam import expected_moments, load_state, moments
from gatewise.training.checkpoint import FILE, read_same_run
from gatewise.training.pretrain_callback import Measurement, PretrainCallback, Progress
from gatewise.training.pretrain_recipes import PretrainRecipe
from gatewise.training.rates import one_cycle
from gatewise.training.streams import Streams

__all__ = ["Pretraining"]

Tokens = NDArray[np.int32]
REPORTS = 10  # measurements and checkpoints a run
BETWEEN = 5  # before the last one, of every so manyth held-out text: over a large vocabulary they take a minute
TIMED = 12  # steps that are timed, on a network of the same size, where minutes are given; the first third warms up


class Pretraining:
    """One run over `texts`, measured on `held`; each a list of (length,) int32 tokens."""

    def __init__(
        self,
        network: LanguageModel,
        recipe: PretrainRecipe,
        texts: Sequence[Tokens],
        held: Sequence[Tokens],
        seed: int,
        callback: PretrainCallback,
        folder: Path | None,
        identity: str,
    ) -> None:
        self.network, self.recipe, self.held, self.seed = network, recipe, held, seed
        self.callback, self.folder, self.identity = callback, folder, identity
        self.streams = Streams(texts, recipe.batch_size, recipe.bptt, seed)
        self.words = sum(len(text) for text in texts)
        counts = np.bincount(np.concatenate(texts), minlength=network.vocab_size)
        counts[PAD] += len(texts)  # the boundary, which is a target too
        self.sampler = Sampler(counts, min(recipe.num_sampled, network.vocab_size))
        self.optimizer = self._adam(network)
        self.progress = Progress()
        self.states = {way: network.start(self.streams.batch) for way in DIRECTIONS}
        self._lines: dict[str, Tokens] = {}
        self._epoch = -1

    @property
    def epochs_done(self) -> float:
        """How often the texts have been read."""
        return self.progress.step / self.streams.pieces

    def run(self, stop: threading.Event, began: float) -> bool:
        """Train; True when it came to its end, False when `stop` was set. began: when the minutes started to count."""
        progress = self.progress
        if not progress.steps:
            progress.steps = self._steps(time.perf_counter() - began)
        start = time.perf_counter() - progress.seconds
        first, opened = progress.step, time.perf_counter()
        every = max(1, -(-progress.steps // REPORTS))
        self.network.train()
        while progress.step < progress.steps:
            if stop.is_set():
                self._checkpoint()
                return False
            progress.loss_sum += self._step(progress.step)
            progress.loss_steps += 1
            progress.step += 1
            progress.seconds = time.perf_counter() - start
            pace = (time.perf_counter() - opened) / (progress.step - first)
            mean = progress.loss_sum / progress.loss_steps
            self.callback.stepped(progress.step, progress.steps, mean, pace * (progress.steps - progress.step))
            if progress.step % every == 0 or progress.step == progress.steps:
                self._measure(mean, self.held if progress.step == progress.steps else self.held[::BETWEEN])
                progress.seconds = time.perf_counter() - start
                self._checkpoint()
        return True

    def restore(self, folder: Path) -> None:
        """Go on from the checkpoint in `folder`. Raises TrainingError where it is of another run."""
        raw, found = read_same_run(folder, self.identity)
        history = [Measurement(**row) for row in found.pop("history")]
        self.progress = Progress(**found, history=history)
        weights = self.network.state()
        expected = {f"weights/{name}": (value.shape, "float32") for name, value in weights.items()}
        expected |= expected_moments(weights)
        for way in DIRECTIONS:
            for name, state in zip("hc", self.states[way], strict=True):
                expected[f"{name}/{way}"] = (tuple(state.shape), "float32")
        expected["random"] = (torch.get_rng_state().numpy().shape, "uint8")
        tensors = tensors_from_bytes(raw, expected, FILE)
        with torch.no_grad():
            for name in weights:
                self.network[name].copy_(torch.from_numpy(tensors[f"weights/{name}"]))
        load_state(self.optimizer, list(weights), tensors)
        self.states = {
            way: (torch.from_numpy(tensors[f"h/{way}"].copy()), torch.from_numpy(tensors[f"c/{way}"].copy()))
            for way in DIRECTIONS
        }
        torch.set_rng_state(torch.from_numpy(tensors["random"].copy()))
        self._turn_to(max(0, self.progress.step - 1) // self.streams.pieces, keep_states=True)

    def _step(self, step: int) -> float:
        """One piece of each direction; the mean of their losses."""
        self._turn_to(step // self.streams.pieces, keep_states=False)
        at = step % self.streams.pieces * self.recipe.bptt
        candidates = self.sampler.sample(np.random.default_rng([self.seed, 2, step]))
        self.optimizer.zero_grad(set_to_none=False)
        total = 0.0
        for way in DIRECTIONS:
            piece = self._lines[way][:, at : at + self.recipe.bptt + 1]
            tokens, targets = np.ascontiguousarray(piece[:, :-1]), np.ascontiguousarray(piece[:, 1:])
            h, self.states[way] = self.network.hidden(way, tokens, self.states[way])
            loss = self.network.loss(way, h, targets, candidates, self.sampler.log_expected)
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach()) / len(DIRECTIONS)
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.grad_clip)
        if not (math.isfinite(total) and bool(torch.isfinite(norm))):
            raise TrainingError(f"the loss or its gradient is not finite at step {step + 1}; a lower rate helps")
        for group in self.optimizer.param_groups:
            group["lr"] = one_cycle(self.recipe.learning_rate, step, self.progress.steps, self.progress.steps // 10)
        self.optimizer.step()
        return total

    def _steps(self, spent: float) -> int:
        """How many steps the plan comes to; `spent` seconds of its minutes are gone."""
        recipe = self.recipe
        if recipe.epochs:
            return max(1, round(recipe.epochs * self.streams.pieces))
        self.progress.steps = 1_000_000  # a rate near zero: the timed steps must not count
        kept, random = self.network.state(), torch.get_rng_state()
        times = []
        self.network.train()
        for step in range(TIMED):
            began = time.perf_counter()
            self._step(step)
            times.append(time.perf_counter() - began)
        with torch.no_grad():
            for name, value in kept.items():
                self.network[name].copy_(torch.from_numpy(value))
        torch.set_rng_state(random)
        self.optimizer = self._adam(self.network)
        self.states = {way: self.network.start(self.streams.batch) for way in DIRECTIONS}
        self._epoch = -1
        pace = statistics.median(times[TIMED // 3 :])
        left = 60 * recipe.minutes - spent - sum(times)
        return max(1, int(0.95 * left / pace))  # a twentieth for measuring and saving

    def _adam(self, network: LanguageModel) -> torch.optim.Adam:
        weights = [network[name] for name in network.names]  # in the order of a checkpoint's names
        for weight in weights:
            weight.grad = torch.zeros_like(weight)  # kept from step to step, and added to
        return torch.optim.Adam(weights, lr=self.recipe.learning_rate, betas=(0.9, 0.99), fused=True)

    def _turn_to(self, epoch: int, *, keep_states: bool) -> None:
        if epoch == self._epoch:
            return
        self._epoch = epoch
        self._lines = {way: self.streams.epoch(epoch, way == "backward") for way in DIRECTIONS}
        if not keep_states:
            self.states = {way: self.network.start(self.streams.batch) for way in DIRECTIONS}

    def _measure(self, loss: float, texts: Sequence[Tokens]) -> None:
        progress = self.progress
        self.network.eval()
        perplexity = {}
        words = sum(len(text) for text in texts)
        for way in DIRECTIONS if words else ():
            read = [text if way == "forward" else text[::-1] for text in texts]
            nats = sum(self.network.negative_log_likelihood(way, np.ascontiguousarray(text)) for text in read)
            perplexity[way] = round(math.exp(min(nats / words, 700.0)), 2)
        self.network.train()
        row = Measurement(progress.step, loss, perplexity, round(progress.seconds, 1))
        progress.history.append(row)
        progress.loss_sum, progress.loss_steps = 0.0, 0
        self.callback.measured(row)

    def _checkpoint(self) -> None:
        if self.folder is None or not self.progress.step:
            return
        weights = self.network.state()
        tensors = {f"weights/{name}": value for name, value in weights.items()}
        tensors |= moments(self.optimizer, list(weights))
        for way in DIRECTIONS:
            for name, state in zip("hc", self.states[way], strict=True):
                tensors[f"{name}/{way}"] = state.numpy()
        tensors["random"] = torch.get_rng_state().numpy()
        metadata = {"identity": self.identity, "progress": json.dumps(asdict(self.progress))}
        write_atomic(self.folder / FILE, tensors_to_bytes(tensors, metadata))
