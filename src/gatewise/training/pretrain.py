"""`gatewise.pretrain`: from texts without labels to a base that classifiers start from, in one call."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import numpy as np

from gatewise import kernels
from gatewise._version import __version__
from gatewise.data import Unlabelled
from gatewise.errors import GatewiseError, InputError
from gatewise.kernels.threads import threads
from gatewise.model.pretrained import PretrainedLM, PretrainedMetadata, pretrained_shapes
from gatewise.nn import LanguageModel
from gatewise.storage import check_target, locked
from gatewise.text import TokenEncoding
from gatewise.training.checkpoint import FILE, run_identity
from gatewise.training.pretrain_callback import PretrainCallback
from gatewise.training.pretrain_loop import Pretraining
from gatewise.training.pretrain_recipes import PretrainRecipe, pretrain_recipe
from gatewise.training.scope import interruptible, one_torch_thread, seeded
from gatewise.types import Array

__all__ = ["PretrainInterrupted", "pretrain"]

HELD_OUT = 300  # texts, or a twentieth of few


class PretrainInterrupted(GatewiseError):
    """Pretraining was stopped by hand; its checkpoint stands in the run folder, if there is one."""


def pretrain(
    texts: Unlabelled | Iterable[str],
    *,
    recipe: str | PretrainRecipe | None = None,
    minutes: float | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    callback: PretrainCallback | None = None,
    command: str = "",
) -> PretrainedLM:
    """Train a language model in both directions on texts without labels.

    texts: Unlabelled, or any texts. recipe: a size ("embeddings", "small", "medium", "large") or a PretrainRecipe; by
    default the size that `minutes` (10) allow. With minutes, the first steps are timed, and as many are made as fit.
    seed: fixes initial weights, order, candidates and dropout. out: the folder for the result; the checkpoint stands
    in `out`.run during training, and `resume` continues from it, bit for bit. Raises InputError for too few texts,
    TrainingError for a loss that is not finite or a run folder in use, PretrainInterrupted after Ctrl-C.
    """
    recipe = recipe if isinstance(recipe, PretrainRecipe) else pretrain_recipe(recipe, minutes)
    data = texts if isinstance(texts, Unlabelled) else Unlabelled.of(texts)
    callback = callback or PretrainCallback()
    target = None if out is None else check_target(out)
    if resume and target is None:
        raise InputError("resume needs `out`, the folder that the run was started with")
    began = time.perf_counter()
    run = None if target is None else target.with_name(target.name + ".run")
    if run is not None:
        run.mkdir(parents=True, exist_ok=True)
    with locked(run) if run is not None else nullcontext(), seeded(seed), one_torch_thread():
        encoding = TokenEncoding.fit(data.texts, size=recipe.vocab_size)
        sequences = [np.asarray(s) for s in encoding.encode_batch(data.texts)]
        order = np.random.default_rng([seed, 0x5EED]).permutation(len(sequences))
        held = min(HELD_OUT, max(1, len(sequences) // 20)) if len(sequences) > 1 else 0
        kernel = _kernel(recipe)
        texts_read = [sequences[n] for n in order[held:]]
        parameters = _start(encoding.rows, recipe, texts_read, np.random.default_rng([seed, 1]))
        network = LanguageModel(
            parameters, dropout_word=recipe.dropout_word, dropout_output=recipe.dropout_output, kernel=kernel
        )
        fingerprint = data.fingerprint()
        loop = Pretraining(
            network,
            recipe,
            texts_read,
            [sequences[n] for n in order[:held]],
            seed,
            callback,
            run,
            run_identity(asdict(recipe), seed, fingerprint, kernel, threads()),
        )
        if run is not None and resume and (run / FILE).exists():
            loop.restore(run)
            callback.note(f"resuming after step {loop.progress.step:,} of {loop.progress.steps:,}")
        elif run is not None and resume:
            callback.note(f"there is no checkpoint in {run}: starting from the beginning")
        callback.started(recipe, encoding.rows, len(order) - held, loop.words, kernel, data.source)
        with interruptible() as stop:
            complete = loop.run(stop, began)
        if not complete:
            onward = ", and --resume goes on" if target is not None else ""
            raise PretrainInterrupted(f"stopped at step {loop.progress.step:,} of {loop.progress.steps:,}{onward}")
        metadata = PretrainedMetadata(
            gatewise=__version__,
            texts=data.source,
            fingerprint=fingerprint,
            count=len(order) - held,
            held_out=held,
            words=loop.words,
            seed=seed,
            size=recipe.size,
            epochs=round(loop.epochs_done, 3),
            seconds=round(loop.progress.seconds, 1),
            perplexity=loop.progress.history[-1].perplexity if loop.progress.history else {},
            kernel=kernel,
            made=time.strftime("%Y-%m-%d", time.gmtime()),
            command=command,
        )
    history = "".join(json.dumps(asdict(row)) + "\n" for row in loop.progress.history)
    state = network.state()
    for array in state.values():
        array.flags.writeable = False
    pretrained = PretrainedLM(encoding, state, metadata, history)
    if target is not None:
        pretrained.save(target)
    if run is not None:
        shutil.rmtree(run)
    callback.finished(pretrained)
    return pretrained


def _kernel(recipe: PretrainRecipe) -> str:
    precision = kernels.fastest_precision() if recipe.precision == "auto" else recipe.precision
    return kernels.for_precision("bf16" if precision == "bf16" else "float32").name


def _start(rows: int, recipe: PretrainRecipe, sequences: Sequence[Array], rng: np.random.Generator) -> dict[str, Array]:
    """Embeddings normal with deviation 0.1; weight_ih and decoders Glorot uniform; each gate's block of weight_hh
    orthogonal; biases 0, but 1 for the forget gate; the output bias the log of each word's share, so that the first
    guess is the unigram's.
    """
    parameters: dict[str, Array] = {}
    for name, shape in pretrained_shapes(rows, recipe.embedding_dim, recipe.units).items():
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
