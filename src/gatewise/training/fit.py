"""From training data to a model: the members are fitted and stacked, the model is measured and gets its card."""

from __future__ import annotations

import json
import pkgutil
import time
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import cast

import numpy as np

from gatewise._version import __version__
from gatewise.losses import log_probabilities
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.members.ensemble import Ensemble
from gatewise.members.network import Network
from gatewise.model.card import ModelMetadata
from gatewise.model.examples import with_examples
from gatewise.model.model import Model
from gatewise.model.reports import with_evaluation
from gatewise.ragged import rows_per_input, shaped_like
from gatewise.storage.folder import Folder
from gatewise.training import members as member_fits
from gatewise.training.calibration import calibration_report, out_of_fold
from gatewise.training.members import Run
from gatewise.training.processes import current
from gatewise.training.run import Interrupted
from gatewise.training.sequence_stack import has_transitions, marginals_out_of_fold, stack_sequences
from gatewise.training.stack import FittedMember, HeldOutTargets, Stack, Threshold, choose_thresholds, stack
from gatewise.training.training_data import TrainingData
from gatewise.types import Array

NETWORKS = ("lstm", "graph")
"""The kinds of networks: a model has one of them."""


def fit_model(data: TrainingData, run: Run) -> tuple[Model, Stack | None]:
    """Fit the members and stack them: the model, with its scores on the validation set and the report on its
    calibration, and the stack. In all processes but the first, the LSTM alone and None. Raises Interrupted.
    """
    try:
        members = fit_members(data, run)
    except Interrupted as stopped:
        if stopped.member is None:  # a callback stopped it
            raise
        raise _interrupted(stopped, data, run) from None
    model = _model(data, run, members[0])
    if current().rank:
        return model, None
    # The plain network of the tutorial is not calibrated.
    if data.recipe.lstm.padding != "none" and len(members) == 1:
        return model, Stack.alone(members[0])
    targets = HeldOutTargets.of(data)
    has_crf = has_transitions(members)
    stacked = stack_sequences(members, data) if has_crf else stack(members, targets)
    model = replace(model, ensemble=stacked.ensemble(members, model.target))
    rows = data.validation
    labels = data.labels[rows]
    validation_name = data.validation_name
    weights = stacked.describe(members)
    name = f"{validation_name}, used to fit the ensemble weights"
    after = model.target.evaluate(shaped_like(stacked.held_out, labels), labels, name)
    model = with_evaluation(model, after)
    run.callback.log(f"ensemble: {weights}; {validation_name}: {model.metadata.evaluations[-1].figures}")
    if not model.target.each.has_probabilities:
        return model, stacked
    predictions = partial(out_of_fold, members, targets, rows_per_input(labels))
    if has_crf:
        predictions = partial(marginals_out_of_fold, members, data)
    report = calibration_report(
        predictions, labels, data.data.groups[rows], model.target, method=weights, data=f"the {validation_name}"
    )
    # The weights are fitted in any case; without a report, or with a reason against it, nothing is claimed.
    model = replace(model, metadata=replace(model.metadata, calibration=report))
    if not model.metadata.calibrated:
        run.callback.log(f"not calibrated: {model.metadata.uncalibrated_reason}")
    return model, stacked


def measure(
    model: Model, data: TrainingData, stacked: Stack, threshold: Threshold | None, examples: int, run: Run
) -> Model:
    """The model with thresholds, the faithfulness of its attributions and examples."""
    chosen = choose_thresholds(data, model.target, stacked, threshold, run.callback)
    labels = data.labels[data.validation]
    if chosen is not None:
        thresholds, use = chosen
        model = model.with_thresholds(thresholds)
        name = f"{data.validation_name}, {use}"
        model = with_evaluation(model, model.target.evaluate(shaped_like(stacked.held_out, labels), labels, name))
    # Deletion scores may take as many steps as the training itself, which on few rows is less than by default. With
    # frozen layers they would take longer than it; the card of the pretrained model has them.
    if model.ensemble.lstm_weight and not data.recipe.frozen:
        from gatewise.explain.attribution.faithfulness import measure_sample

        steps = data.recipe.optimisation.epochs * sum(len(data.sequences[n]) for n in data.train)
        sequences = data.full(data.validation)
        window = data.preprocessor.window
        scores, best = measure_sample(model.explained, sequences, max(10_000, steps), window)
        model = replace(model, metadata=replace(model.metadata, faithfulness=scores, attribution_method=best))
    if examples:
        model = with_examples(model, data.data.take(data.validation), examples)
    return replace(model, metadata=replace(model.metadata, seconds=run.seconds))


def teach(data: TrainingData, sequences: list[Array], run: Run) -> Array | None:
    """The soft labels that a model trained on the data gives to texts (token ids, not truncated)."""
    teacher, stacked = fit_model(data, run)
    if stacked is None:
        return None
    teacher = teacher.with_lstm(kernel=data.recipe.kernel())
    logits = teacher.ensemble.logits(list(map(EncodedSequence, sequences)))
    return np.asarray(np.exp(log_probabilities(logits)), dtype=np.float64)


def fit_members(data: TrainingData, run: Run) -> list[FittedMember]:
    """Fit the members of the recipe and the columns, the network first: `fit(data, run)` of each module of
    `gatewise.training.members`, which returns None where the data allow no such member. All processes fit the network
    together, the first one the others.
    """
    kinds = ["lstm" if run.pretrained is None else run.pretrained.network_kind]
    if not current().rank:
        kinds += _other_kinds(data)
    fitted = [import_module(f"gatewise.training.members.{kind}").fit(data, run) for kind in kinds]
    return [member for member in fitted if member is not None]


def _other_kinds(data: TrainingData) -> list[str]:
    """The kinds with a fit but the networks, in the order of the alphabet, without those that the recipe turns off."""
    sizes = {
        "columns": len(data.preprocessor.columns),
        "convolutions": data.recipe.convolutions.features,
        "ngrams": data.recipe.ngrams.order,
        "step_features": data.preprocessor.inputs.word_features,
    }
    names = sorted(module.name for module in pkgutil.iter_modules(member_fits.__path__))
    return [name for name in names if name not in NETWORKS and sizes.get(name) != 0]


def _model(data: TrainingData, run: Run, lstm: FittedMember) -> Model:
    """The model of the LSTM alone, with its metadata and history."""
    metadata = ModelMetadata(
        gatewise=__version__,
        recipe=data.recipe.name,
        seed=run.seed,
        data=data.source,
        columns=data.data.columns,
        fingerprint=data.fingerprint,
        n_train=len(data.train),
        n_validation=len(data.validation),
        median_length=int(np.median([len(sequence) for sequence in data.full_sequences])),
        validation=data.validation_how,
        seconds=run.seconds,
        created=time.strftime("%Y-%m-%d", time.gmtime()),
        command=run.command,
        pretrained="" if run.pretrained is None else run.pretrained.summary,
        unlabelled=run.unlabelled,
        rules=run.rules,
        near_duplicates=run.near_duplicates,
        **lstm.metadata,
    )
    ensemble = Ensemble.of(cast(Network, lstm.member), data.target)
    return Model(data.preprocessor, ensemble, metadata, lstm.history)


def _interrupted(stopped: Interrupted, data: TrainingData, run: Run) -> Interrupted:
    """What `train` raises after Ctrl-C. Neither half an epoch nor a teacher replaces a model that is there."""
    message = str(stopped)
    model = _model(data, run, stopped.member)
    model = replace(model, metadata=replace(model.metadata, interrupted=message))
    target = run.folder.target
    is_teacher = run.checkpoints != run.folder.folder
    if target is not None and not is_teacher and (model.metadata.epochs or not target.exists()):
        model.save(target)
        message += f"; the model so far is in {target}"
    return Interrupted(message + run.folder.resume_hint, stopped.stop, model)


def shared_model(model: Model) -> Model:
    """The model of the first process, in all of them."""
    communicator = current()
    files: dict[str, bytes] = {}
    if communicator.rank == 0:
        files = model.to_files()
    names = json.loads(communicator.broadcast(json.dumps(list(files)).encode()))
    received = {name: communicator.broadcast(files.get(name, b"")) for name in names}
    if not communicator.rank:
        return model
    return Model.from_folder(Folder(Path("process 0"), received, ""), model.ensemble.network.precision)
