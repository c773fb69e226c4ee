"""A model made small: tensors in fewer bytes, fewer words; and what that cost, measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.kernels import readonly_copy
from gatewise.metrics.evaluation import Evaluation, log_probabilities
from gatewise.model.card import CompressionReport
from gatewise.model.files import files_of
from gatewise.model.model import Model
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.storage import folder_size, pack, table_for, unpack
from gatewise.text import TokenEncoding
from gatewise.types import Array

if TYPE_CHECKING:
    from gatewise.data.labelled import Labelled

__all__ = ["compress"]

_BY_WORDS = "embedding.weight"  # the parameter with a row a word


def compress(
    model: Model,
    storage: str | Mapping[str, str] = "int8",
    words: int | None = None,
    data: Labelled | None = None,
    ngrams: int | None = None,
) -> Model:
    """`model` as it is after saving it in `storage` and loading it again, with a note of that on its card.

    storage: as in `Model.save`. words: keep that many of the most frequent words of a `tokens` vocabulary; the others
    become unknown, and n-grams with them go. ngrams: keep that many of those beside the network, the heaviest. data:
    measures accuracy, calibration error and the share of equal verdicts before and after; without
    it the card says that nobody measured. Raises InputError for another vocabulary, and for more words than there are.
    """
    made = model if words is None else _with_words(model, words)
    if ngrams is not None:
        if made.ngrams is None or ngrams < 0:
            raise InputError(f"{ngrams} n-grams cannot be kept: this model has {made.ngrams and len(made.ngrams)}")
        made = replace(made, ngrams=made.ngrams.prune(made.architecture.vocab_size, ngrams) if ngrams else None)
    table = table_for(made.parameters, storage) if isinstance(storage, str) else dict(storage)
    rounded = {name: readonly_copy(array) for name, array in unpack(pack(made.parameters, table), table).items()}
    made = replace(made, parameters=MappingProxyType(rounded), storage=table)
    note = CompressionReport(_described(storage), folder_size(files_of(model.parts())), 0)
    if model.ngrams is not None:
        note = replace(note, ngrams_before=len(model.ngrams), ngrams_after=len(made.ngrams) if made.ngrams else 0)
    if words is not None:
        note = replace(note, words_before=_words_of(model), words_after=_words_of(made))
    if data is not None:
        note, found = _compared(note, model, made, data)
        made = made.measured(found)
    return _with_size(made, note)


def _with_words(model: Model, words: int) -> Model:
    encoding = model.preprocessor.encoding if isinstance(model.preprocessor, TextPreprocessor) else None
    if not isinstance(encoding, TokenEncoding):
        kind = "series" if encoding is None else f"the encoding {quote(encoding.kind)}"
        raise InputError(f"words can be taken out of a 'tokens' vocabulary; this model has {kind}")
    small = encoding.with_words(words)
    parameters: dict[str, Array] = dict(model.parameters)
    parameters[_BY_WORDS] = readonly_copy(parameters[_BY_WORDS][: small.rows])
    arch = replace(model.architecture, vocab_size=small.rows)
    ngrams = None if model.ngrams is None else model.ngrams.prune(small.rows)
    preprocessor = TextPreprocessor(small)
    return replace(
        model, architecture=arch, parameters=MappingProxyType(parameters), preprocessor=preprocessor, ngrams=ngrams
    )


def _words_of(model: Model) -> int:
    return model.architecture.vocab_size - TokenEncoding.specials


def _described(storage: str | Mapping[str, str]) -> str:
    if isinstance(storage, str):
        return storage
    return ", ".join(f"{name} {word}" for name, word in sorted(storage.items())) or "float32"


def _compared(
    note: CompressionReport, before: Model, after: Model, data: Labelled
) -> tuple[CompressionReport, Evaluation]:
    """The note with what changed, and the small model's evaluation."""
    truth = data.labels_among(before.classes)
    if not len(truth):
        raise InputError("there is nothing to measure on: the data set is empty")
    log_p = [log_probabilities(model.logits(data.inputs)) for model in (before, after)]
    one, two = (Evaluation.of(p, truth, before.classes, data.source) for p in log_p)
    note = replace(
        note,
        data=data.source,
        n=one.n,
        accuracy_before=one.accuracy,
        accuracy_after=two.accuracy,
        error_before=one.calibration_error,
        error_after=two.calibration_error,
        equal=float(np.mean(log_p[0].argmax(axis=1) == log_p[1].argmax(axis=1))),
    )
    return note, two


def _with_size(model: Model, note: CompressionReport) -> Model:
    """With the note, which says how large the folder is, itself included: digits settle in a turn or two."""
    for _ in range(10):
        made = replace(model, metadata=replace(model.metadata, compression=note))
        size = folder_size(files_of(made.parts()))
        if size == note.bytes_after:
            return made
        note = replace(note, bytes_after=size)
    raise AssertionError(f"the size of the folder does not settle: {asdict(note)}")
