"""`gatewise.pretrain`: from unlabelled texts to a language model that classifiers start from, in one call."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from gatewise import kernels
from gatewise._version import __version__
from gatewise.data import Unlabelled
from gatewise.errors import InputError
from gatewise.kernels.threads import threads
from gatewise.model.pretrained import PretrainedLM, PretrainedMetadata
from gatewise.network.architecture import language_model_shapes
from gatewise.text import TokenEncoding
from gatewise.training.callback import Callback, RunInfo
from gatewise.training.checkpoint import run_identity
from gatewise.training.communicator import Communicator
from gatewise.training.language import LanguageModel
from gatewise.training.pretrain_loop import PretrainLoop
from gatewise.training.progress import callback_of
from gatewise.training.recipes import PretrainRecipe, pretrain_recipe
from gatewise.training.run import Interrupted, RunFolder, checked_seed, interruptible
from gatewise.types import Array

VALIDATION_TEXTS = 300  # or a twentieth of fewer than 6,000 texts


def pretrain(
    texts: Unlabelled | Iterable[str],
    *,
    recipe: str | PretrainRecipe | None = None,
    minutes: float | None = None,
    seed: int | None = 0,
    out: str | Path | RunFolder | None = None,
    resume: bool = False,
    overwrite: bool = False,
    callbacks: Callback | Sequence[Callback] | None = None,
    verbose: int | str = "auto",
    command: str = "",
    communicator: Communicator | None = None,
) -> PretrainedLM:
    """Train a language model in both directions on unlabelled texts.

    texts: Unlabelled, or any texts. recipe: a size ("embeddings", "small", "medium", "large") or a PretrainRecipe; by
    default the size that `minutes` (10) allow. With minutes, the first steps are timed, and as many are made as fit.
    seed: fixes initial weights, order, candidates and dropout; None draws one, which the card records. out: the folder
    for the result; the checkpoint stands in `out`.run during training, and `resume` continues from it, bit for bit;
    `overwrite` replaces a model or an unfinished run there. callbacks, verbose, communicator: see
    `gatewise.train`. command: written to the card.

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
    communicator = communicator or Communicator()
    folder = RunFolder.of(out, resume, overwrite, communicator.rank)
    start = time.perf_counter()
    with closing(Callback() if communicator.rank else callback_of(callbacks, verbose)) as callback:
        with folder.entered():
            encoding = TokenEncoding.fit(data.texts, vocab_size=recipe.vocab_size)
            sequences = [np.asarray(s) for s in encoding.encode_batch(data.texts)]
            order = np.random.default_rng([seed, 0x5EED]).permutation(len(sequences))
            held_out = min(VALIDATION_TEXTS, max(1, len(sequences) // 20)) if len(sequences) > 1 else 0
            validation, train = ([sequences[n] for n in part] for part in np.split(order, [held_out]))
            kernel = kernels.for_precision(recipe.kernel_precision)
            network = LanguageModel(
                _initial_parameters(encoding.vocab_size, recipe, train, np.random.default_rng([seed, 1])),
                kernel,
                dropout_word=recipe.dropout_word,
                dropout_output=recipe.dropout_output,
            )
            fingerprint = data.fingerprint()
            identity = run_identity(asdict(recipe), seed, fingerprint, kernel.name, threads(), communicator)
            where = folder.folder
            loop = PretrainLoop(network, recipe, train, validation, seed, callback, where, identity, communicator)
            folder.restore(loop, callback, where)
            info = RunInfo(recipe, data.source, len(train), held_out, kernel.name, loop.streams.pieces)
            callback.on_train_begin(
                replace(info, vocab_size=encoding.vocab_size, words=loop.words, processes=communicator.size)
            )
            with interruptible() as stop:
                complete = loop.run(stop, start)
            if not complete:
                raise Interrupted(f"stopped after {loop.progress.position}{folder.resume_hint}", stop)
            metadata = PretrainedMetadata(
                gatewise=__version__,
                data=data.source,
                fingerprint=fingerprint,
                n_train=len(train),
                n_validation=held_out,
                n_words=loop.words,
                seed=seed,
                size=recipe.size,
                epochs=round(loop.epochs_done, 3),
                seconds=round(loop.progress.seconds, 1),
                perplexity=loop.progress.history[-1].perplexity if loop.progress.history else {},
                kernel=kernel.name,
                created=time.strftime("%Y-%m-%d", time.gmtime()),
                command=command,
            )
            loop.optimizer.catch_up_all()
            parameters = network.state()
            for array in parameters.values():
                array.flags.writeable = False
            pretrained = PretrainedLM(encoding, parameters, metadata, loop.progress.history_lines)
            if folder.target is not None:
                pretrained.save(folder.target)
        callback.on_train_end(pretrained)
    return pretrained


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
        elif name.endswith("bias"):
            value = np.zeros(shape)
            value[recipe.units : 2 * recipe.units] = 1
        elif name.endswith("weight_hh"):
            value = np.concatenate([_orthogonal(recipe.units, rng) for _ in range(4)])
        else:
            limit = np.sqrt(6 / (shape[0] + shape[1]))
            value = rng.uniform(-limit, limit, shape)
        parameters[name] = value.astype(np.float32)
    return parameters


def _orthogonal(units: int, rng: np.random.Generator) -> Array:
    q, r = np.linalg.qr(rng.standard_normal((units, units)))
    signs: Array = np.sign(np.diagonal(r))
    return q * signs
