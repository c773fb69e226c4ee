"""The `.lstm` file: one model in one file, for the model in JavaScript (`page/model/lstm.js`).

It has the layout of safetensors: the tensors of the LSTM in their stored form (`gatewise.storage.compact`), those of
the other members, the words of the vocabulary as UTF-8 lines, and as metadata what the page needs to know of the model.
On a slow connection the embeddings take longest, so the lesson has them in two files: the model with the embeddings of
the most frequent words, and those of the others.
"""

import json
from dataclasses import asdict, replace
from typing import Any, cast

import numpy as np

from gatewise.errors import InputError
from gatewise.model import Model, SeriesPreprocessor, TextPreprocessor, bundled
from gatewise.model.compress import EMBEDDING, truncate_vocab
from gatewise.model.model import load
from gatewise.storage.compact import pack
from gatewise.storage.tensors import tensors_to_bytes
from gatewise.text import IndexEncoding, KerasEncoding
from gatewise.types import Array

FORMAT = 2
_FREQUENT = 2_000  # words whose embeddings are in the first file of the lesson,
_OF_THE_LESSON = (3_804, 7_982)  # and rarer ones of its first text, the tutorial's review
_ENCODINGS = ("index", "keras", "spaces", "subwords", "tokens")
_TASKS = ("classification", "multilabel", "regression")  # whose probabilities and decisions the page computes
_MEMBERS = {  # the kinds that the page computes, with the fields that it reads of their entry in config.json
    "lstm": {"architecture"},
    "ngrams": {"order", "count", "scaled", "characters"},
    "convolutions": {"dilations", "features", "window"},
}


def unsupported(model: Model) -> str:
    """The reason why the page cannot compute this model; empty if it can."""
    preprocessor = model.preprocessor
    if isinstance(preprocessor, TextPreprocessor):
        if preprocessor.encoding.kind not in _ENCODINGS:
            return f"its texts have the encoding '{preprocessor.encoding.kind}'"
    elif isinstance(preprocessor, SeriesPreprocessor) and preprocessor.mask_value is not None:
        return "steps of its series are masked by a value"
    if model.target.each.task not in _TASKS:
        return f"its task is '{model.target.task}'"
    if model.ensemble.transitions is not None:
        return "its labels depend on one another (a conditional random field)"
    if model.ensemble.network.output_names:
        return "its network is a graph, and the page computes LSTM networks of an Architecture alone"
    for member, _ in model.ensemble:
        is_computed = member.kind in _MEMBERS and _MEMBERS[member.kind] >= set(member.entry())
        if not is_computed:
            return f"it has the member '{member.name}'"
    return ""


def lesson_files() -> dict[str, bytes]:
    """The two files of the tutorial's model, by name: the model with the embeddings of the first words, and the
    embeddings of the other words. Raises ModelFileError if the bundled model is missing.
    """
    model = load(bundled.folder(bundled.TUTORIAL))
    tensors, description = _tensors_and_description(model)
    word_ids = np.arange(len(tensors[EMBEDDING]))
    is_first = np.isin(word_ids, [*range(_FREQUENT), *_OF_THE_LESSON])
    return {
        "tutorial.lstm": tensors_to_bytes(tensors | _embeddings_of(tensors, is_first), description),
        "tutorial-rest.lstm": tensors_to_bytes(_embeddings_of(tensors, ~is_first)),
    }


def _embeddings_of(tensors: dict[str, Array], rows: Array) -> dict[str, Array]:
    """The embeddings of some words in their stored form, with the ids of these words. rows: (V,) bool."""
    embeddings = {name: tensor[rows] for name, tensor in tensors.items() if name.startswith(EMBEDDING)}
    embeddings[f"{EMBEDDING}.ids"] = np.flatnonzero(rows).astype(np.uint16)
    return embeddings


def lstm_file(model: Model) -> bytes:
    """The file. Raises InputError for a model that the page cannot compute, see `unsupported`."""
    tensors, description = _tensors_and_description(model)
    return tensors_to_bytes(tensors, description)


def _tensors_and_description(model: Model) -> tuple[dict[str, Array], dict[str, str]]:
    """The tensors, and as metadata what `Model.info` holds in the page."""
    if reason := unsupported(model):
        raise InputError(f"the page cannot compute this model: {reason}; gatewise serve shows it")
    fingerprint = model.fingerprint  # of the model itself: the next lines may replace it by a smaller one
    vocab_size = model.architecture.vocab_size
    compression = model.metadata.compression
    if compression is not None and compression.vocab_before:
        vocab_size = compression.vocab_before
    model = _without_unused_words(model)
    target = model.target
    metadata = model.metadata

    tensors = pack(model.parameters, model.ensemble.lstm.storage) | _words(model)
    members = []
    for number, (member, weight) in enumerate(model.ensemble):
        entry = {"kind": member.kind, "name": member.noun, "weight": weight}
        if member is not model.ensemble.lstm:
            entry |= {"prefix": f"member.{number}.", **member.entry()}
            tensors |= {f"member.{number}.{name}": array for name, array in member.arrays().items()}
        members.append(entry)
    description: dict[str, Any] = {
        "fingerprint": fingerprint,
        "vocabSizeBefore": vocab_size,
        "format": FORMAT,
        "labels": list(model.classes),
        "task": target.each.task,
        "outputs": target.outputs,
        "architecture": model.architecture.as_dict(),
        "preprocessor": model.preprocessor.to_files()[0],
        "unknown": model.preprocessor.unknown,
        "shift": model.ensemble.shift.tolist(),
        "parameters": [{"name": name, "count": count} for name, _, count in model.ensemble.summary()],
        "recipe": metadata.recipe,
        "trainingSet": metadata.n_train,
        "validationSet": metadata.n_validation,
        "bestEpoch": metadata.best_epoch,
        "history": model.history,
        "evaluations": [asdict(evaluation) for evaluation in metadata.evaluations],
        "members": members,
    }
    return tensors, {"gatewise.lstm": json.dumps(description, allow_nan=False, separators=(",", ":"))}


def _without_unused_words(model: Model) -> Model:
    """The model without the embeddings of words that `num_words` of a Keras encoding excludes: their ids never occur.
    The predictions are the same.
    """
    preprocessor = model.preprocessor
    if not isinstance(preprocessor, TextPreprocessor) or not isinstance(preprocessor.encoding, KerasEncoding):
        return model
    size = min(preprocessor.encoding.num_words, preprocessor.encoding.vocab_size)
    small = truncate_vocab(model, size)
    encoding = cast("TextPreprocessor", small.preprocessor).encoding
    return replace(small, preprocessor=replace(preprocessor, encoding=encoding))


def _words(model: Model) -> dict[str, Array]:
    """The vocabulary of a model of texts as UTF-8 lines: words in the order of their ids, or each with its id; and the
    merges of a subword encoding.
    """
    if not isinstance(model.preprocessor, TextPreprocessor):
        return {}
    encoding = model.preprocessor.encoding
    lines_by_name: dict[str, list[str]] = {}
    if isinstance(encoding, IndexEncoding):
        words = [(word, id) for word, id in encoding.index.items() if id < encoding.vocab_size]
        lines_by_name["vocabulary"] = [f"{id} {word}" for word, id in words]
    elif isinstance(encoding, KerasEncoding):
        lines_by_name["vocabulary"] = list(encoding.index)
    else:
        lines_by_name["vocabulary"] = list(encoding.ids)
        lines_by_name["merges"] = [" ".join(merge) for merge in getattr(encoding, "merges", ())]
    return {name: np.frombuffer("\n".join(lines).encode(), dtype=np.uint8) for name, lines in lines_by_name.items()}
