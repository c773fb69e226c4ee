"""`gatewise.pretrain`: from unlabelled texts to a language model that classifiers start from, in one call."""

import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gatewise._version import __version__
from gatewise.data.labelled import Unlabelled
from gatewise.errors import InputError
from gatewise.kernels.native import read_only
from gatewise.model.pretrained import PretrainedLM, PretrainedMetadata
from gatewise.network.architecture import initial_value, language_model_shapes
from gatewise.network.language_model import LanguageModel
from gatewise.text import TokenEncoding
from gatewise.training.callback import Callback
from gatewise.training.fields import checked_seed
from gatewise.training.language_loop import LanguageLoop, Tokens
from gatewise.training.pretrain_recipes import PretrainRecipe, pretrain_recipe
from gatewise.training.progress import callback_of
from gatewise.training.run import Interrupted, RunFolder, interruptible, run_identity
from gatewise.types import Array

VALIDATION_TEXTS = 300  # or a twentieth of fewer than 6,000 texts
TIMED_STEPS = 12  # steps timed before a run of so many minutes; the first third warms up


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
            sequences = list(encoding.encode_batch(data.texts))
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
) -> LanguageLoop:
    """A loop from the parameters `start`, which stay as they are. options: of `Loop`."""
    dropout = {"word": recipe.dropout_word, "output": recipe.dropout_output}
    network = LanguageModel(start, recipe.kernel(), dropout=dropout)
    return LanguageLoop(network, recipe, train, validation, seed, source, **options)


def _metadata(loop: LanguageLoop, fingerprint: str, command: str) -> PretrainedMetadata:
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
