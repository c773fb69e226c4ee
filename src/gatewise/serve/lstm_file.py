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
from gatewise.model import bundled
from gatewise.model.compress import EMBEDDING, truncate_vocab
from gatewise.model.model import Model, load
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.storage.compact import pack
from gatewise.storage.tensors import tensors_to_bytes
from gatewise.text import IndexEncoding, KerasEncoding
from gatewise.types import Array

FORMAT = 2
_FREQUENT = 2_000  # words whose embeddings are in the first file of the lesson,
_OF_THE_LESSON = (3_804, 7_982)  # and rarer ones of its first text, the tutorial's review
_ENCODINGS = ("index", "keras", "spaces", "subwords", "tokens")
_MEMBERS = {  # with what the page reads of their entry in config.json
    "lstm": {"architecture"},
    "ngrams": {"order", "count", "scaled", "characters"},
    "convolutions": {"dilations", "features", "window"},
}


def unsupported(model: Model) -> str:
    """Why the page cannot compute this model by itself, in a few words; empty if it can."""
    own = model.preprocessor
    if isinstance(own, TextPreprocessor):
        if own.encoding.kind not in _ENCODINGS:
            return f"its texts have the encoding '{own.encoding.kind}'"
    elif own.mask_value is not None:
        return "steps of its series are masked by a value"
    others = [one.name for one, _ in model.ensemble if not _MEMBERS.get(one.kind, set()) >= set(one.entry())]
    return f"it has the member '{others[0]}'" if others else ""


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
    """The tensors, and as metadata what `Model.info` holds in the page."""
    if reason := unsupported(model):
        raise InputError(f"the page cannot compute this model: {reason}; gatewise serve shows it")
    report = model.metadata.compression
    whole = report.vocab_before if report is not None and report.vocab_before else model.architecture.vocab_size
    description: dict[str, Any] = {"fingerprint": model.fingerprint, "vocabSizeBefore": whole}
    own = model.preprocessor
    if isinstance(own, TextPreprocessor) and isinstance(own.encoding, KerasEncoding):
        size = min(own.encoding.num_words, own.encoding.vocab_size)  # larger ids never occur
        small = truncate_vocab(model, size)
        encoding = cast("TextPreprocessor", small.preprocessor).encoding
        model = replace(small, preprocessor=replace(own, encoding=encoding))
    tensors = pack(model.parameters, model.ensemble.lstm.storage) | _words(model)
    members = []
    for number, (member, weight) in enumerate(model.ensemble):
        entry = {"kind": member.kind, "name": member.noun, "weight": weight}
        if member is not model.ensemble.lstm:
            entry |= {"prefix": f"member.{number}.", **member.entry()}
            tensors |= {f"member.{number}.{name}": array for name, array in member.arrays().items()}
        members.append(entry)
    metadata, target = model.metadata, model.target
    description |= {
        "format": FORMAT,
        "labels": list(model.classes),
        "task": target.each.task,
        "outputs": target.outputs,
        "architecture": asdict(model.architecture),
        "preprocessor": model.preprocessor.to_files()[0],
        "unknown": model.preprocessor.unknown,
        "shift": model.ensemble.shift.tolist(),
        "parameters": [{"name": name, "count": count} for name, _, count in model.ensemble.summary()],
        "recipe": metadata.recipe,
        "trainingSet": metadata.n_train,
        "validationSet": metadata.n_validation,
        "bestEpoch": metadata.best_epoch,
        "history": model.history,
        "evaluations": [asdict(one) for one in metadata.evaluations],
        "members": members,
    }
    return tensors, {"gatewise.lstm": json.dumps(description, allow_nan=False, separators=(",", ":"))}


def _words(model: Model) -> dict[str, Array]:
    """The vocabulary of a model of texts by id, or with its ids, and the merges of one of subwords."""
    if not isinstance(model.preprocessor, TextPreprocessor):
        return {}
    encoding, found = model.preprocessor.encoding, dict[str, list[str]]()
    if isinstance(encoding, IndexEncoding):
        found["vocabulary"] = [f"{id} {word}" for word, id in encoding.index.items() if id < encoding.vocab_size]
    elif isinstance(encoding, KerasEncoding):
        found["vocabulary"] = list(encoding.index)
    else:
        found["vocabulary"] = list(encoding.ids)
        found["merges"] = [" ".join(merge) for merge in getattr(encoding, "merges", ())]
    return {name: np.frombuffer("\n".join(lines).encode(), dtype=np.uint8) for name, lines in found.items()}
