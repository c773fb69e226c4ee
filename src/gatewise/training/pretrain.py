"""`gatewise.pretrain`: from unlabelled texts to a language model that classifiers start from, in one call."""

import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
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
from gatewise.training.loop import Loop, Result
from gatewise.training.optim import Adam, one_cycle
from gatewise.training.progress import callback_of
from gatewise.training.run import Interrupted, RunFolder, interruptible, run_identity
from gatewise.types import Array, Precision

Tokens = NDArray[np.int32]
VALIDATION_TEXTS = 300  # or a twentieth of fewer than 6,000 texts
MIN_PIECES = 2  # of an epoch
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
        available = 10.0 if minutes is None else minutes
        size = next(name for name in reversed(_MIN_MINUTES) if available >= _MIN_MINUTES[name] or name == "embeddings")
        minutes = available if "epochs" not in changes else minutes
    if size not in SIZES:
        raise InputError(f"no size is called {quote(size)}; there are {', '.join(SIZES)}{did_you_mean(size, SIZES)}")
    if minutes is not None:
        changes |= {"minutes": minutes, "epochs": 0.0}
    return replace(SIZES[size], **changes)


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
    recipe = recipe if isinstance(recipe, PretrainRecipe) else pretrain_recipe(recipe, minutes)
    data = texts if isinstance(texts, Unlabelled) else Unlabelled.of(texts)
    if not len(data):
        raise InputError(f"{data.source}: there is no text to pretrain on")
    seed = checked_seed(seed, resume)
    folder = RunFolder.of(out, resume, overwrite)
    start = time.perf_counter()
    with closing(callback_of(callbacks, verbose)) as callback:
        with folder.entered():
            encoding = TokenEncoding.fit(data.texts, vocab_size=recipe.vocab_size)
            sequences = [np.asarray(s) for s in encoding.encode_batch(data.texts)]
            order = np.random.default_rng([seed, 0x5EED]).permutation(len(sequences))
            held_out = min(VALIDATION_TEXTS, max(1, len(sequences) // 20)) if len(sequences) > 1 else 0
            validation, train = ([sequences[n] for n in part] for part in np.split(order, [held_out]))
            kernel = recipe.kernel()
            parameters = _initial_parameters(encoding.vocab_size, recipe, train, np.random.default_rng([seed, 1]))

            def loop_of(**options: Any) -> LanguageLoop:
                dropout = {"word": recipe.dropout_word, "output": recipe.dropout_output}
                network = LanguageModel(parameters, kernel, dropout=dropout)
                return LanguageLoop(network, recipe, train, validation, seed, data.source, **options)

            fingerprint = data.fingerprint()
            identity = run_identity(asdict(recipe), seed, fingerprint, kernel.name)
            loop = loop_of(callback=callback, folder=folder.folder, identity=identity)
            loop.restore(folder.resume)
            if not loop.steps:
                loop.steps = _steps_that_fit(60 * recipe.minutes + start, loop_of())
            with interruptible() as stop:
                complete = loop.run(stop)
            if not complete:
                raise Interrupted(f"stopped after {loop.progress.position}{folder.resume_hint}", stop)
            progress = loop.progress
            metadata = PretrainedMetadata(
                gatewise=__version__,
                data=data.source,
                fingerprint=fingerprint,
                n_train=len(train),
                n_validation=held_out,
                n_words=loop.info().words,
                seed=seed,
                size=recipe.size,
                epochs=round(progress.step / loop.info().steps_per_epoch, 3),
                seconds=round(progress.seconds, 1),
                perplexity=progress.history[-1].perplexity or {},
                kernel=kernel.name,
                created=time.strftime("%Y-%m-%d", time.gmtime()),
                command=command,
            )
            trained = {name: read_only(array) for name, array in loop.result().items()}
            pretrained = PretrainedLM(encoding, trained, metadata, progress.history_lines)
            if folder.target is not None:
                pretrained.save(folder.target)
        callback.on_train_end(pretrained)
    return pretrained


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


class LanguageLoop(Loop):
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
        self.recipe, self.validation, self.seed, self.source = recipe, validation, seed, source
        self.streams, size = Streams(texts, recipe.batch_size, recipe.bptt, seed), self.communicator.size
        if self.streams.batch < size:
            few = counted(self.streams.batch, "stream")
            raise InputError(f"{few} of text for {size} processes: give more text or fewer processes")
        self.steps = max(1, round(recipe.epochs * self.streams.pieces)) if recipe.epochs else 0
        self.grad_clip, self.carried = recipe.grad_clip, self._initial_states()
        self.optimizer = Adam(network.parameters, frozenset({TABLE}), beta_1=0.9, beta_2=0.99)
        counts = np.bincount(np.concatenate(texts), minlength=network.vocab_size)
        counts[PAD] += len(texts)  # the boundary, which is a target too
        self.sampler = Sampler(counts, min(recipe.num_sampled, network.vocab_size))
        self._epoch, self._lines = -1, dict[str, Tokens]()

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

    def backward(self, step: int) -> Result:
        epoch, at = divmod(step, self.streams.pieces)
        rank, size = self.communicator.rank, self.communicator.size
        if epoch != self._epoch:
            lines = (self.streams.epoch(epoch, one == "backward")[rank::size] for one in DIRECTIONS)
            self._epoch, self._lines = epoch, dict(zip(DIRECTIONS, lines, strict=True))
        before = self.carried if at else self._initial_states()
        candidates = self.sampler.sample(np.random.default_rng([self.seed, 2, step]))
        pieces = {}
        for n, direction in enumerate(DIRECTIONS):
            piece = self._lines[direction][:, at * self.recipe.bptt : (at + 1) * self.recipe.bptt + 1]
            tokens, targets = np.ascontiguousarray(piece[:, :-1]), np.ascontiguousarray(piece[:, 1:])
            rng = np.random.default_rng([self.seed, 3 + n, step, *([rank] if rank else [])])
            pieces[direction] = Piece(tokens, targets, (before[f"h/{direction}"], before[f"c/{direction}"]), rng)
        read = np.unique(np.concatenate([part.reshape(-1) for p in pieces.values() for part in (p.tokens, p.targets)]))
        self.optimizer.catch_up(TABLE, np.union1d(read.astype(np.int64), candidates))
        loss, gradients, states = self.network.backward(pieces, candidates, self.sampler.log_expected)
        carried = {f"{name}/{one}": states[one][n] for n, name in enumerate("hc") for one in DIRECTIONS}
        return Result(gradients, loss, len(self._lines["forward"]) / self.streams.batch, carried=carried)

    def outputs(self, state: dict[str, Array], rows: Callable[[Array], Array], last: bool) -> Array:
        """Negative log-likelihood in each direction, and number of words, of each text (n, 3)."""
        every, found = np.arange(0, len(self.validation), 1 if last else VALIDATION_STRIDE), []
        for text in (self.validation[n] for n in rows(every)):
            read = {"forward": text, "backward": np.ascontiguousarray(text[::-1])}
            found.append([*(self.network.negative_log_likelihood(one, read[one]) for one in DIRECTIONS), len(text)])
        return np.array(found, dtype=np.float64).reshape(-1, 3)

    def score(self, outputs: Array, state: dict[str, Array]) -> EpochLog:
        progress = self.progress
        *nats, words = (sum(column) for column in outputs.T.tolist())
        of_each = [min(n / words, 700.0) for n in nats if words]
        perplexity = {one: round(math.exp(n), 2) for one, n in zip(DIRECTIONS, of_each, strict=False)}
        return EpochLog(
            epoch=len(progress.history) + 1,
            loss=progress.loss,
            accuracy=None,
            val_loss=statistics.mean(of_each or [progress.loss]),
            val_accuracy=None,
            seconds=round(progress.seconds, 1),
            best=False,
            step=progress.step,
            perplexity=perplexity,
        )

    def _initial_states(self) -> dict[str, Array]:
        """h and c of each direction, for the streams of this process (b, H)."""
        streams = len(range(self.communicator.rank, self.streams.batch, self.communicator.size))
        return {f"{name}/{one}": self.network.initial_state(streams) for one in DIRECTIONS for name in "hc"}


def _steps_that_fit(end: float, loop: LanguageLoop) -> int:
    """The steps until `end`, by the time of a few steps of a loop that is thrown away."""
    loop.steps, times = TIMED_STEPS, []
    for step in range(TIMED_STEPS):
        began = time.perf_counter()
        loop._step(step)
        times.append(time.perf_counter() - began)
    left = end - time.perf_counter()
    return max(1, int(0.95 * left / statistics.median(times[TIMED_STEPS // 3 :])))  # the rest measures and saves


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
