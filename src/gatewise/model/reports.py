"""Reports on a model over labelled data: its evaluation, its units."""

from dataclasses import replace
from typing import Any

from gatewise.data.labelled import Labelled
from gatewise.explain.evaluation import EvaluationReport
from gatewise.explain.units import UnitsReport, units_over
from gatewise.metrics import AnyEvaluation
from gatewise.model.card import EvalResult
from gatewise.model.model import Model
from gatewise.model.predictor import labelled_for
from gatewise.types import Array


def evaluation_report(model: Model, data: Labelled, logits: Array | None = None) -> EvaluationReport:
    """`Model.evaluate` with the most confident mistakes, the score by length and the training history.

    logits: those of the data, if they are known. Errors as `Model.evaluate`.
    """
    data = labelled_for(model, data)
    if logits is None:
        logits = model.logits(data.rows)
    sequences = model.preprocessor.encode_batch(data.rows)
    return EvaluationReport.of(
        model.target,
        logits,
        data.labels_among(model.classes),
        data.inputs,
        [len(sequence) for sequence in sequences],
        data.source,
        model.history,
        model.metadata.best_epoch,
    )


def units_report(model: Model, data: Labelled, **options: Any) -> UnitsReport:
    """The summary of each unit over `data`; `with_units` stores it in a model. options: see
    `gatewise.explain.units.units_over`. Raises InputError for a class that the model does not have.
    """
    data = labelled_for(model, data)
    sequences = model.preprocessor.encode_batch(data.rows)
    names = [model.preprocessor.token_names(item) for item in data.inputs]
    labels = data.labels_among(model.classes)
    fingerprint = data.fingerprint()
    return units_over(model.explained, sequences, names, labels, model.classes, data.source, fingerprint, **options)


def with_units(model: Model, data: Labelled, **options: Any) -> Model:
    """A copy with the report on its units, which `Model.units` reads. Arguments and errors as `units_report`."""
    return replace(model, units_json=units_report(model, data, **options).to_bytes())


def with_evaluation(model: Model, evaluation: AnyEvaluation) -> Model:
    """A copy with one more evaluation in its metadata."""
    return replace(model, metadata=model.metadata.with_evaluation(EvalResult.of(evaluation)))
