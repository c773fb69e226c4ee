"""Compression of a model: storage dtypes, a smaller vocabulary, shared embeddings, fewer n-grams; and the measured
effect.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, cast

import numpy as np

from gatewise.data.labelled import Labelled
from gatewise.errors import InputError, quote
from gatewise.kernels import read_only
from gatewise.members.ngrams import Ngrams
from gatewise.metrics import AnyEvaluation, RegressionEvaluation
from gatewise.model.card import CompressionReport
from gatewise.model.model import Model
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.model.reports import with_evaluation
from gatewise.storage.compact import Unpacked, distinct_limits, pack, storage_table
from gatewise.storage.folder import folder_size

EMBEDDING = "embedding.weight"  # (vocab_size, D)
_BLOCK = 1024  # words whose distances are computed together


def compress(
    model: Model,
    storage: str | Mapping[str, str] = "int8",
    vocab_size: int | None = None,
    data: Labelled | None = None,
    max_ngrams: int | None = None,
    distinct_embeddings: int | None = None,
) -> Model:
    """A copy of `model` as it is after saving with `storage` and loading again, with a `CompressionReport`.

    storage: as in `Model.save`. vocab_size: truncate a vocabulary of words to this size, most frequent words first, the
    padding and other special entries included; other words become unknown and n-grams with them are removed.
    distinct_embeddings: keep the embeddings of this many entries of a `tokens` vocabulary, counted in the same way;
    every other word takes the nearest of them (Euclidean distance), which the file stores once. max_ngrams: keep the
    n-grams with the largest weights. data: measures accuracy, calibration error and agreement before and after; without
    it the report says that they were not measured. Raises InputError for a vocabulary of another kind, a larger
    vocab_size, a number of embeddings that the file cannot store, and embeddings stored as float32.
    """
    small = model if vocab_size is None else truncate_vocab(model, vocab_size)
    changes: dict[str, Any] = {}  # fields of the report
    before: Ngrams | None = model.ensemble.get("ngrams")
    if max_ngrams is not None:
        ngrams: Ngrams | None = small.ensemble.get("ngrams")
        if ngrams is None or max_ngrams < 0:
            count = 0 if ngrams is None else len(ngrams)
            raise InputError(f"max_ngrams {max_ngrams}: cannot keep that many, this model has {count} n-grams")
        kept = ngrams.prune(small.architecture.vocab_size, max_ngrams) if max_ngrams else None
        small = replace(small, ensemble=small.ensemble.with_member("ngrams", kept))
    table = storage_table(small.ensemble.network.compressible, storage) if isinstance(storage, str) else dict(storage)
    if distinct_embeddings is not None:
        small = _share_embeddings(small, distinct_embeddings)
        if model.ensemble.network.embedding_name not in table:
            raise InputError("distinct_embeddings needs embeddings stored as float16 or int8, not float32")
    small = stored(small, table)
    if before is not None:
        changes |= {"ngrams_before": len(before), "ngrams_after": len(small.ensemble.get("ngrams") or ())}
    if vocab_size is not None:
        changes |= {"vocab_before": model.ensemble.network.inputs.size, "vocab_after": vocab_size}
    if distinct_embeddings is not None:
        name = model.ensemble.network.embedding_name
        distinct = [len(np.unique(one.parameters[name], axis=0)) for one in (model, small)]
        changes |= {"embeddings_before": distinct[0], "embeddings_after": distinct[1]}
    if data is not None:
        measured, evaluation = _measure(model, small, data)
        changes |= measured
        small = with_evaluation(small, evaluation)
    kinds = ", ".join(f"{name} {dtype}" for name, dtype in sorted(table.items())) or "float32"
    described = storage if isinstance(storage, str) else kinds
    return _with_report(small, CompressionReport(described, folder_size(model.to_files()), 0, **changes))


def stored(model: Model, storage: str | Mapping[str, str]) -> Model:
    """The model as it is after saving with `storage` and loading again. Errors as `Model.save`."""
    table = storage_table(model.ensemble.network.compressible, storage) if isinstance(storage, str) else dict(storage)
    packed = Unpacked(pack(model.parameters, table), table)
    return model.with_lstm(parameters=packed, storage=table)


def _encoding_of(model: Model, option: str, *kinds: str) -> Any:
    """The encoding of the model, whose vocabulary is sorted by frequency: one of these kinds."""
    encoding = model.preprocessor.encoding if isinstance(model.preprocessor, TextPreprocessor) else None
    if encoding is None or encoding.kind not in kinds:
        kind = (
            f"is for {model.preprocessor.format.nouns.many}"
            if encoding is None
            else f"has the encoding {quote(encoding.kind)}"
        )
        needed = " or ".join(f"'{one}'" for one in kinds)
        raise InputError(f"{option} needs a model with a {needed} vocabulary; this model {kind}")
    return encoding


def _share_embeddings(model: Model, count: int) -> Model:
    first = _encoding_of(model, "distinct_embeddings", "tokens", "subwords").unknown + 1  # the first word
    name = model.ensemble.network.embedding_name
    weight = model.parameters[name]
    least, most = distinct_limits(len(weight))
    least = max(least, first + 1)
    if not least <= count <= most:
        raise InputError(f"distinct_embeddings must be {least:,} to {most:,} for this model, got {count:,}")
    kept, shared = weight[first:count], np.array(weight)
    half_squares = np.einsum("nd,nd->n", kept, kept) / 2
    for start in range(count, len(weight), _BLOCK):
        block = weight[start : start + _BLOCK]
        # |a - b|² / 2 without |a|² / 2, which is the same for every b
        shared[start : start + _BLOCK] = kept[(half_squares - block @ kept.T).argmin(axis=1)]
    return model.with_lstm(parameters=MappingProxyType({**model.parameters, name: read_only(shared)}))


def truncate_vocab(model: Model, vocab_size: int) -> Model:
    """The model with the first `vocab_size` entries of its vocabulary, see `compress`."""
    encoding = _encoding_of(model, "vocab_size", "tokens", "subwords", "keras", "spaces", "word-features")
    preprocessor = replace(cast(TextPreprocessor, model.preprocessor), encoding=encoding.truncate_vocab(vocab_size))
    members = tuple(member.truncate_vocab(vocab_size) for member in model.ensemble.members)
    return replace(model, preprocessor=preprocessor, ensemble=replace(model.ensemble, members=members))


def _measure(before: Model, after: Model, data: Labelled) -> tuple[dict[str, Any], AnyEvaluation]:
    """The measured effect, as fields of a report, and the evaluation of the compressed model."""
    if not len(data):
        raise InputError("cannot measure the effect of compression: the data set is empty")
    one, two = before.evaluate(data), after.evaluate(data)
    found: dict[str, Any] = {"data": data.source, "n": one.n}
    if isinstance(two, RegressionEvaluation):
        return found | {"rmse_before": one.loss**0.5, "rmse_after": two.loss**0.5}, two
    predicted = [
        model.target.each.predicted(model.logits(data.rows)).reshape(len(data), -1) for model in (before, after)
    ]
    for name in ("accuracy", "calibration_error"):
        found |= {f"{name}_before": getattr(one, name), f"{name}_after": getattr(two, name)}
    return found | {"agreement": float(np.mean((predicted[0] == predicted[1]).all(axis=1)))}, two


def _with_report(model: Model, report: CompressionReport) -> Model:
    """The model with the report. The folder size in it counts its own digits, so it is found by iteration."""
    for _ in range(10):
        result = replace(model, metadata=replace(model.metadata, compression=report))
        size = folder_size(result.to_files())
        if size == report.bytes_after:
            return result
        report = replace(report, bytes_after=size)
    raise AssertionError(f"the size of the folder does not converge: {report}")
