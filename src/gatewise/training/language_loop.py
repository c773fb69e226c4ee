"""`LanguageLoop`: the training of a language model on streams of text, with a sampled softmax."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, counted
from gatewise.network.distinct_tokens import PAD
from gatewise.network.language_model import DIRECTIONS, LanguageModel, Piece
from gatewise.network.sampled import Sampler
from gatewise.network.trainable import TABLE
from gatewise.training.callback import EpochLog, RunInfo
from gatewise.training.loop import Loop, StepBatch, StepResult
from gatewise.training.optim import Adam, one_cycle
from gatewise.training.pretrain_recipes import PretrainRecipe
from gatewise.types import Array

Tokens = NDArray[np.int32]
MIN_PIECES = 2  # of an epoch
MEASUREMENTS = 10  # of the validation perplexity in a run, each followed by a checkpoint
VALIDATION_STRIDE = 5  # until the last measurement, which reads all validation texts: with a large vocabulary a minute


class Streams:
    """n texts, as (length,) int32 tokens, in `batch` streams of pieces of `steps` tokens.

    An epoch concatenates all texts in a random order, each after a boundary token, cuts the result into B equal
    streams, and reads them T steps at a time: a text that does not end within a piece continues in the next, and so
    does its state (Williams & Peng 1990). For the backward direction the texts are reversed, in another order.
    """

    def __init__(self, texts: Sequence[Tokens], batch: int, steps: int, seed: int) -> None:
        self.texts = texts
        self.steps = steps
        self.seed = seed
        total = sum(len(text) + 1 for text in texts)
        self.batch = min(batch, total // (MIN_PIECES * steps + 1))
        if self.batch < 1:
            raise InputError(f"{total:,} words of text are too few to pretrain on; {MIN_PIECES * steps + 1} are needed")
        self.pieces = (total // self.batch - 1) // steps  # per epoch

    def epoch(self, epoch: int, reverse: bool) -> Tokens:
        """(B, pieces x T + 1): the streams of that epoch; the targets of a piece are its tokens shifted by one step."""
        rng = np.random.default_rng([self.seed, epoch, int(reverse)])
        pieces: list[Tokens] = []
        boundary = np.full(1, PAD, dtype=np.int32)
        for number in rng.permutation(len(self.texts)):
            text = self.texts[number]
            if reverse:
                text = text[::-1]
            pieces += [boundary, text]
        line = np.concatenate(pieces)
        length = len(line) // self.batch  # of a stream
        streams = line[: self.batch * length].reshape(self.batch, length)
        return streams[:, : self.pieces * self.steps + 1]


@dataclass(frozen=True, eq=False, kw_only=True)
class PieceBatch(StepBatch):
    """pieces: by direction, of the streams of this process. candidates: of the sampled softmax, distinct token ids."""

    pieces: dict[str, Piece]
    candidates: NDArray[np.int64]

    @property
    def tokens_read(self) -> NDArray[np.int64]:
        """The distinct tokens whose embeddings the step reads: as inputs, as targets, as candidates."""
        tokens = [piece.tokens.reshape(-1) for piece in self.pieces.values()]
        targets = [piece.targets.reshape(-1) for piece in self.pieces.values()]
        return np.union1d(np.concatenate(tokens + targets).astype(np.int64), self.candidates)


class LanguageLoop(Loop[PieceBatch]):
    """Training of a language model on `texts`, each (length,) int32 tokens: sampled softmax, validation perplexity.

    A batch is a piece of each stream and direction. Each process reads a part of the streams, with their states.
    options: of `Loop`. `steps` is 0 for a recipe with minutes, until it is set.
    """

    network: LanguageModel

    def __init__(
        self,
        network: LanguageModel,
        recipe: PretrainRecipe,
        texts: Sequence[Tokens],
        validation: Sequence[Tokens],
        seed: int,
        source: str = "",
        **options: Any,
    ) -> None:
        super().__init__(network, **options)
        self.recipe = recipe
        self.validation = validation
        self.seed = seed
        self.source = source
        self.streams = Streams(texts, recipe.batch_size, recipe.bptt, seed)
        if self.streams.batch < self.communicator.size:
            streams = counted(self.streams.batch, "stream")
            raise InputError(
                f"{streams} of text for {self.communicator.size} processes: give more text or fewer processes"
            )
        self.steps = 0
        if recipe.epochs:
            self.steps = max(1, round(recipe.epochs * self.streams.pieces))
        self.grad_clip = recipe.grad_clip
        self.carried = self._initial_states()
        self.optimizer = Adam(network.parameters, frozenset({TABLE}), beta_1=0.9, beta_2=0.99)
        counts = np.bincount(np.concatenate(texts), minlength=network.vocab_size)
        counts[PAD] += len(texts)  # the boundary, which is a target too
        self.sampler = Sampler(counts, min(recipe.num_sampled, network.vocab_size))
        self._epoch = -1
        self._streams_of: dict[str, Tokens] = {}  # of this epoch by direction, those of this process

    @property
    def steps_per_epoch(self) -> int:  # type: ignore[override]
        """Callbacks see the whole run as one epoch."""
        return self.steps

    @property
    def interval(self) -> int:  # type: ignore[override]
        """A measurement follows every tenth of the run."""
        return max(1, math.ceil(self.steps / MEASUREMENTS))

    def info(self) -> RunInfo:
        return RunInfo(
            recipe=self.recipe,
            source=self.source,
            train=len(self.streams.texts),
            validation=len(self.validation),
            kernel=self.network.kernel.name,
            steps_per_epoch=self.streams.pieces,
            vocab_size=self.network.vocab_size,
            words=sum(map(len, self.streams.texts)),
        )

    def learning_rate(self, step: int) -> float:
        return one_cycle(self.recipe.learning_rate, step, self.steps, self.steps // 10)

    def batch(self, step: int) -> PieceBatch:
        epoch, number = divmod(step, self.streams.pieces)
        if epoch != self._epoch:
            self._epoch = epoch
            self._streams_of = {direction: self._own_streams(epoch, direction) for direction in DIRECTIONS}
        states = self.carried
        if number == 0:  # an epoch begins with other texts
            states = self._initial_states()
        return PieceBatch(
            step=step,
            share=self._stream_count / self.streams.batch,
            pieces={direction: self._piece(direction, step, number, states) for direction in DIRECTIONS},
            candidates=self.sampler.sample(np.random.default_rng([self.seed, 2, step])),
        )

    def _own_streams(self, epoch: int, direction: str) -> Tokens:
        """The streams of an epoch that this process reads."""
        streams = self.streams.epoch(epoch, reverse=direction == "backward")
        return streams[self.communicator.rank :: self.communicator.size]

    def _piece(self, direction: str, step: int, number: int, states: Mapping[str, Array]) -> Piece:
        """Piece `number` of the epoch: its tokens and targets (b, T), with the states of its streams before it."""
        first = number * self.recipe.bptt
        last = first + self.recipe.bptt
        streams = self._streams_of[direction]
        return Piece(
            tokens=np.ascontiguousarray(streams[:, first:last]),
            targets=np.ascontiguousarray(streams[:, first + 1 : last + 1]),
            states=(states[f"h/{direction}"], states[f"c/{direction}"]),
            rng=self._mask_generator(direction, step),
        )

    def _mask_generator(self, direction: str, step: int) -> np.random.Generator:
        """The generator of the dropout masks of a direction. Each process has its own, as each has other streams."""
        seed = [self.seed, 3 + DIRECTIONS.index(direction), step]
        if self.communicator.rank:
            seed.append(self.communicator.rank)
        return np.random.default_rng(seed)

    def forward_backward(self, batch: PieceBatch) -> StepResult:
        self.optimizer.catch_up(TABLE, batch.tokens_read)
        loss, gradients, states = self.network.forward_backward(
            batch.pieces, batch.candidates, self.sampler.log_expected
        )
        carried = {}
        for direction, (h, c) in states.items():
            carried[f"h/{direction}"] = h
            carried[f"c/{direction}"] = c
        return StepResult(gradients, loss, carried=carried)

    def outputs(self, state: dict[str, Array], rows: Callable[[Array], Array], last: bool) -> Array:
        """Negative log-likelihood in each direction, and number of words, of each text (n, 3)."""
        stride = VALIDATION_STRIDE
        if last:
            stride = 1
        texts = [self.validation[n] for n in rows(np.arange(0, len(self.validation), stride))]
        measured = [(*self._negative_log_likelihoods(text), len(text)) for text in texts]
        return np.array(measured, dtype=np.float64).reshape(-1, 3)

    def _negative_log_likelihoods(self, text: Tokens) -> tuple[float, float]:
        """Of a text (n,), read forward and backward."""
        reversed_text = np.ascontiguousarray(text[::-1])
        return (
            self.network.negative_log_likelihood("forward", text),
            self.network.negative_log_likelihood("backward", reversed_text),
        )

    def score(self, outputs: Array, state: dict[str, Array]) -> EpochLog:
        progress = self.progress
        forward, backward, words = (sum(column) for column in outputs.T.tolist())
        val_loss = progress.loss
        perplexity = {}
        if words:
            # A float64 holds exp(709) at most: the perplexity of a larger loss is that of 700.
            losses = [min(nats / words, 700.0) for nats in (forward, backward)]
            val_loss = statistics.mean(losses)
            perplexity = {
                direction: round(math.exp(loss), 2) for direction, loss in zip(DIRECTIONS, losses, strict=True)
            }
        return EpochLog(
            epoch=len(progress.history) + 1,
            loss=progress.loss,
            accuracy=None,
            val_loss=val_loss,
            val_accuracy=None,
            seconds=round(progress.seconds, 1),
            best=False,
            step=progress.step,
            perplexity=perplexity,
        )

    @property
    def _stream_count(self) -> int:
        """b, the streams that this process reads."""
        return len(range(self.communicator.rank, self.streams.batch, self.communicator.size))

    def _initial_states(self) -> dict[str, Array]:
        """h and c (b, H) of each direction, for the streams of this process."""
        return {
            f"{state}/{direction}": self.network.initial_state(self._stream_count)
            for direction in DIRECTIONS
            for state in ("h", "c")
        }
