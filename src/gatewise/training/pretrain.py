"""`gatewise.pretrain`: from unlabelled texts to a language model that classifiers start from, in one call."""

import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from gatewise._version import __version__
from gatewise.data.labelled import Unlabelled
from gatewise.errors import InputError, counted, did_you_mean, quote
from gatewise.kernels import for_training
from gatewise.kernels.interface import Kernel
from gatewise.kernels.native import read_only
from gatewise.model.pretrained import PretrainedLM, PretrainedMetadata
from gatewise.network.architecture import initial_value, language_model_shapes
from gatewise.network.batch import PAD
from gatewise.network.language_model import DIRECTIONS, LanguageModel, Piece
from gatewise.network.sampled import Sampler
from gatewise.network.trainable import TABLE
from gatewise.text import TokenEncoding
from gatewise.training.callback import Callback, EpochLog, RunInfo
from gatewise.training.fields import Count, NotNegative, Number, Positive, Probability, check_values, checked_seed
from gatewise.training.loop import Loop, StepBatch, StepResult
from gatewise.training.optim import Adam, one_cycle
from gatewise.training.progress import callback_of
from gatewise.training.run import Interrupted, RunFolder, interruptible, run_identity
from gatewise.types import Array, Precision

Tokens = NDArray[np.int32]
VALIDATION_TEXTS = 300  # or a twentieth of fewer than 6,000 texts
MIN_PIECES = 2  # of an epoch
DEFAULT_MINUTES = 10.0
MEASUREMENTS = 10  # of the validation perplexity in a run, each followed by a checkpoint
VALIDATION_STRIDE = 5  # until the last measurement, which reads all validation texts: with a large vocabulary a minute
TIMED_STEPS = 12  # steps timed before a run of so many minutes; the first third warms up


@dataclass(frozen=True)
class PretrainRecipe:
    """Hyperparameters of a pretraining run. Raises InputError for a value out of range."""

    size: str
    """Name of the size, written to the card."""
    embedding_dim: Count
    """Dimension D of the word embeddings."""
    units: Number
    """Hidden units H of each LSTM, one per direction. 0: word embeddings alone."""
    vocab_size: Annotated[int, "at least 3", lambda value: value >= 3] = 40_000
    """Number of token ids, special tokens included."""
    minutes: NotNegative = 0.0
    """Time limit. Either `minutes` or `epochs` is above 0: the first steps are timed, and as many are made as fit."""
    epochs: NotNegative = 0.0
    """Passes over the texts."""
    batch_size: Count = 64
    """Parallel streams of text per step."""
    bptt: Count = 70
    """Tokens of each stream per step: truncated backpropagation through time (Williams & Peng 1990)."""
    num_sampled: Count = 1024
    """Candidates of the sampled softmax. TensorFlow: `sampled_softmax_loss(num_sampled)`."""
    learning_rate: Positive = 0.003
    """Peak learning rate of Adam in one-cycle."""
    dropout_word: Probability = 0.0
    """Probability of dropping a whole word's embedding. Ten epochs over 2,000 texts gain from 0.1."""
    dropout_output: Probability = 0.0
    """Dropout probability before the decoder. Ten epochs over 2,000 texts gain from 0.1."""
    grad_clip: Positive = 1.0
    """Largest norm of the gradient of all parameters."""
    precision: Literal[Precision, "auto"] = "auto"
    """Precision of the kernel's matrix products. "auto": the fastest one on this processor."""

    def __post_init__(self) -> None:
        check_values(self, "pretraining")
        if (self.minutes > 0) == (self.epochs > 0):
            raise InputError("pretraining needs either minutes or epochs, above 0")

    def kernel(self) -> Kernel:
        """The kernel of the precision. Raises KernelUnavailable."""
        return for_training(self.precision)


SIZES: dict[str, PretrainRecipe] = {
    "embeddings": PretrainRecipe("embeddings", embedding_dim=128, units=0, epochs=2),
    "small": PretrainRecipe("small", embedding_dim=128, units=128, epochs=1),
    "medium": PretrainRecipe("medium", embedding_dim=128, units=256, epochs=1, learning_rate=0.012),
    "large": PretrainRecipe("large", embedding_dim=256, units=512, epochs=1, learning_rate=0.006),
}
# More time is better spent on a larger network than on another pass of a small one, as long as every word is read about
# once (docs/log/accuracy.md). The fewest minutes for which a size is chosen, for 20 million words on two
# cores:
_MIN_MINUTES = {"embeddings": 0.0, "small": 4.0, "medium": 8.0, "large": 20.0}


def pretrain_recipe(size: str | None = None, minutes: float | None = None, **changes: Any) -> PretrainRecipe:
    """The recipe for a size, or the largest size for the minutes (10). Raises InputError for an unknown size, or for
    both minutes and epochs.
    """
    if minutes is not None and "epochs" in changes:
        raise InputError("pretraining needs either minutes or epochs, not both")
    if size is None:
        available = DEFAULT_MINUTES if minutes is None else minutes
        size = _largest_size(available)
        if "epochs" not in changes:
            minutes = available
    if size not in SIZES:
        raise InputError(f"no size is called {quote(size)}; there are {', '.join(SIZES)}{did_you_mean(size, SIZES)}")
    if minutes is not None:
        changes |= {"minutes": minutes, "epochs": 0.0}
    return replace(SIZES[size], **changes)


def _largest_size(minutes: float) -> str:
    """The largest size that so many minutes suffice for; the smallest one for fewer."""
    for name in reversed(_MIN_MINUTES):
        if minutes >= _MIN_MINUTES[name]:
            return name
    return "embeddings"


def pretrain(
    texts: Unlabelled | Iterable[str],
    *,
    recipe: str | PretrainRecipe | None = None,
    minutes: float | None = None,
    seed: int | None = 0,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    callbacks: Callback | Sequence[Callback] | None = None,
    verbose: int | str = "auto",
    command: str = "",
) -> PretrainedLM:
    """Train a language model in both directions on unlabelled texts.

    >>> texts = [f"the {a} film was {b} and {a}" for a in ("long", "short", "new") for b in ("good", "bad")] * 150
    >>> pretrained = gw.pretrain(texts, recipe="embeddings", verbose=0)
    >>> pretrained.embedding_dim
    128

    texts: Unlabelled, or any texts. recipe: a size ("embeddings", "small", "medium", "large") or a PretrainRecipe; by
    default the size that `minutes` (10) allow. With minutes, the first steps are timed, and as many are made as fit.
    seed: fixes initial weights, order, candidates and dropout; None draws one, which the card records. out: the folder
    for the result; the checkpoint stands in `out`.run during training, and `resume` continues from it, bit for bit;
    `overwrite` replaces a model or an unfinished run there. callbacks, verbose: see `gatewise.train`. command: written
    to the card. In a `gatewise.training.process_group`, several processes share each batch, as in `gatewise.train`.

    Raises InputError for too few texts, TrainingError for a loss that is not finite or a run folder in use, Interrupted
    after Ctrl-C.
    """
    if isinstance(recipe, PretrainRecipe) and minutes is not None:
        raise InputError("minutes is for a size; a PretrainRecipe has minutes of its own")
    if not isinstance(recipe, PretrainRecipe):
        recipe = pretrain_recipe(recipe, minutes)
    data = texts if isinstance(texts, Unlabelled) else Unlabelled.of(texts)
    if not len(data):
        raise InputError(f"{data.source}: there is no text to pretrain on")
    seed = checked_seed(seed, resume)
    folder = RunFolder.of(out, resume, overwrite)
    began = time.perf_counter()
    with closing(callback_of(callbacks, verbose)) as callback:
        with folder.entered():
            encoding = TokenEncoding.fit(data.texts, vocab_size=recipe.vocab_size)
            sequences = [np.asarray(s) for s in encoding.encode_batch(data.texts)]
            train, validation = _split(sequences, seed)
            start = _initial_parameters(encoding.vocab_size, recipe, train, np.random.default_rng([seed, 1]))
            new_loop = partial(_new_loop, start, recipe, train, validation, seed, data.source)
            fingerprint = data.fingerprint()
            identity = run_identity(asdict(recipe), seed, fingerprint, recipe.kernel().name)
            loop = new_loop(callback=callback, folder=folder.folder, identity=identity)
            loop.restore(folder.resume)
            if not loop.steps:  # neither of a checkpoint nor of the recipe, which has minutes
                loop.steps = _steps_that_fit(began + 60 * recipe.minutes, new_loop())
            with interruptible() as stop:
                complete = loop.run(stop)
            if not complete:
                raise Interrupted(f"stopped after {loop.progress.position}{folder.resume_hint}", stop)
            trained = {name: read_only(array) for name, array in loop.result().items()}
            metadata = _metadata(loop, fingerprint, command)
            pretrained = PretrainedLM(encoding, trained, metadata, loop.progress.history_lines)
            if folder.target is not None:
                pretrained.save(folder.target)
        callback.on_train_end(pretrained)
    return pretrained


def _split(sequences: Sequence[Tokens], seed: int) -> tuple[list[Tokens], list[Tokens]]:
    """The texts of training and of validation, which are drawn at random. A single text is for training."""
    n_validation = 0
    if len(sequences) > 1:
        n_validation = min(VALIDATION_TEXTS, max(1, len(sequences) // 20))
    order = np.random.default_rng([seed, 0x5EED]).permutation(len(sequences))
    validation = [sequences[n] for n in order[:n_validation]]
    train = [sequences[n] for n in order[n_validation:]]
    return train, validation


def _new_loop(
    start: Mapping[str, Array],
    recipe: PretrainRecipe,
    train: Sequence[Tokens],
    validation: Sequence[Tokens],
    seed: int,
    source: str,
    **options: Any,
) -> "LanguageLoop":
    """A loop from the parameters `start`, which stay as they are. options: of `Loop`."""
    dropout = {"word": recipe.dropout_word, "output": recipe.dropout_output}
    network = LanguageModel(start, recipe.kernel(), dropout=dropout)
    return LanguageLoop(network, recipe, train, validation, seed, source, **options)


def _metadata(loop: "LanguageLoop", fingerprint: str, command: str) -> PretrainedMetadata:
    """What the card says about a finished run."""
    info = loop.info()
    progress = loop.progress
    return PretrainedMetadata(
        gatewise=__version__,
        data=loop.source,
        fingerprint=fingerprint,
        n_train=info.train,
        n_validation=info.validation,
        n_words=info.words,
        seed=loop.seed,
        size=loop.recipe.size,
        epochs=round(progress.step / info.steps_per_epoch, 3),
        seconds=round(progress.seconds, 1),
        perplexity=progress.history[-1].perplexity or {},
        kernel=info.kernel,
        created=time.strftime("%Y-%m-%d", time.gmtime()),
        command=command,
    )


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
        return max(1, -(-self.steps // MEASUREMENTS))

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
        stride = 1 if last else VALIDATION_STRIDE
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


def _steps_that_fit(end: float, loop: LanguageLoop) -> int:
    """The steps until `end`, by the time of a few steps of a loop that is thrown away."""
    loop.steps = TIMED_STEPS
    times = []
    for step in range(TIMED_STEPS):
        began = time.perf_counter()
        loop.train_step(step)
        times.append(time.perf_counter() - began)
    seconds_per_step = statistics.median(times[TIMED_STEPS // 3 :])
    seconds_left = end - time.perf_counter()
    return max(1, int(0.95 * seconds_left / seconds_per_step))  # the remaining twentieth measures and saves


def _initial_parameters(
    rows: int, recipe: PretrainRecipe, sequences: Sequence[Array], rng: np.random.Generator
) -> dict[str, Array]:
    """Embeddings normal with deviation 0.1; weight_ih and decoders Glorot uniform; each gate's block of weight_hh
    orthogonal; biases 0, but 1 for the forget gate; the decoder's bias the log unigram probabilities.
    """
    parameters: dict[str, Array] = {}
    for name, shape in language_model_shapes(rows, recipe.embedding_dim, recipe.units).items():
        if name == "embedding.weight":
            value = 0.1 * rng.standard_normal(shape)
        elif name == "decoder.bias":
            counts = np.bincount(np.concatenate(sequences), minlength=rows).astype(np.float64) + 1
            value = np.log(counts / counts.sum())
        elif name.endswith("weight_hh"):
            value = np.concatenate([initial_value(name, (recipe.units,) * 2, rng) for _ in range(4)])
        else:
            value = initial_value(name, shape, rng)
        parameters[name] = value.astype(np.float32)
    return parameters
