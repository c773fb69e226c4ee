"""The `.lstm` file: one model in one file, for the page's LSTM in JavaScript (`page/lstm.js`).

It has the layout of safetensors: the tensors of the LSTM in their stored form (`gatewise.storage.compact`), the words
of the vocabulary by rank as UTF-8 lines, and as metadata what the page needs to know of the model. On a slow connection
the embeddings take longest, so the lesson has them in two files: the model with the embeddings of the most frequent
words, and those of the others.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, cast

import numpy as np

from gatewise.errors import InputError
from gatewise.explain.evaluation import read_history
from gatewise.model import bundled
from gatewise.model.compress import EMBEDDING, truncate_vocab
from gatewise.model.model import Model, load
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.storage.compact import pack
from gatewise.storage.tensors import tensors_to_bytes
from gatewise.text import KerasEncoding
from gatewise.types import Array

FORMAT = 1
_FREQUENT = 2_000  # words whose embeddings are in the first file of the lesson,
_OF_THE_LESSON = (3_798, 7_954)  # and rarer ones of its first text, the tutorial's review


def unsupported(model: Model) -> str:
    """Why the page cannot compute this model by itself, in a few words; empty if it can."""
    arch, own, target = model.architecture, model.preprocessor, model.target
    if not isinstance(own, TextPreprocessor):
        return "it reads series"
    if type(own.encoding) is not KerasEncoding or own.steps is not None:
        steps = "" if own.steps is None else " with a fixed number of steps"
        return f"its texts have the encoding '{own.encoding.kind}'{steps}"
    if len(arch.layers) > 1 or not arch.unidirectional or arch.hidden:
        return "its network is not one LSTM layer in one direction"
    if target.task != "classification" or target.per_step:
        return f"its task is {target.named_task}"
    if any(weight for member, weight in model.ensemble.others):
        return "it has other members than the LSTM"
    return ""


def lesson_files() -> dict[str, bytes]:
    """The tutorial's model as the lesson reads it, by name: the model, and the embeddings of the rarer words. Raises
    ModelFileError if it is missing.
    """
    model = load(bundled.folder(bundled.TUTORIAL))
    tensors, description = _parts(model)
    is_first = np.isin(np.arange(len(tensors[EMBEDDING])), [*range(_FREQUENT), *_OF_THE_LESSON])
    first, rest = (
        {name: one[rows] for name, one in tensors.items() if name.startswith(EMBEDDING)}
        | {f"{EMBEDDING}.ids": np.flatnonzero(rows).astype(np.uint16)}
        for rows in (is_first, ~is_first)
    )
    return {
        "tutorial.lstm": tensors_to_bytes(tensors | first, description),
        "tutorial-rest.lstm": tensors_to_bytes(rest),
    }


def lstm_file(model: Model) -> bytes:
    """The file. Raises InputError for a model that the page cannot compute, see `unsupported`."""
    return tensors_to_bytes(*_parts(model))


def _parts(model: Model) -> tuple[dict[str, Array], dict[str, str]]:
    """The tensors and the metadata."""
    if reason := unsupported(model):
        raise InputError(f"the page cannot compute this model: {reason}")
    encoding = cast("TextPreprocessor", model.preprocessor).encoding
    assert isinstance(encoding, KerasEncoding)
    size = min(encoding.num_words, encoding.vocab_size)  # the other rows of the embedding are never read
    small = truncate_vocab(model, size)
    words = "\n".join(word for word, rank in encoding.index.items() if rank <= size - 4)
    tensors = pack(small.parameters, model.ensemble.lstm.storage)
    tensors["vocabulary"] = np.frombuffer(words.encode(), dtype=np.uint8)
    report = model.metadata.compression
    whole = report.vocab_before if report is not None and report.vocab_before else model.architecture.vocab_size
    description = {"fingerprint": model.fingerprint, "vocabSizeBefore": whole}
    text = json.dumps(_description(small) | description, allow_nan=False, separators=(",", ":"))
    return tensors, {"gatewise.lstm": text}


def _description(model: Model) -> dict[str, Any]:
    """What `Model.info` holds in the page."""
    arch, metadata = model.architecture, model.metadata
    return {
        "format": FORMAT,
        "labels": list(model.classes),
        "outputs": arch.outputs,
        "units": arch.top.units,
        "embeddingDim": arch.embedding_dim,
        "vocabSize": arch.vocab_size,
        "maxLength": arch.max_length,
        "padding": arch.padding,
        "truncation": arch.truncation,
        "pooling": "last" if arch.pooling == "step" else arch.pooling,  # the same in one direction
        "gate": arch.gate,
        "weight": model.ensemble.lstm_weight,
        "shift": model.ensemble.shift.tolist(),
        "parameters": [{"name": name, "count": count} for name, _, count in model.ensemble.summary()],
        "recipe": metadata.recipe,
        "trainingSet": metadata.n_train,
        "validationSet": metadata.n_validation,
        "bestEpoch": metadata.best_epoch,
        "history": read_history(model.history),
        "evaluations": [asdict(one) for one in metadata.evaluations],
    }
