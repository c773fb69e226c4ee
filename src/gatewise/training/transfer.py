"""What a pretrained classifier knows of the new classes: its dense layer and its n-gram model, mapped to them.

A logistic regression on the training part, which the classifier has never seen, maps the logits z (its outputs) of its
network, and those of its n-gram model, to the new logits (outputs),

    logits = W z + b        W (outputs, its outputs), L2 penalty on W

so equal, reversed, finer and unrelated classes need no names in common: W is near 0 where z says nothing of them. W is
folded into the dense layer, as which training starts, and into the n-gram weights, which join the ensemble.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gatewise.members.ngrams import Ngrams
from gatewise.model.model import Model
from gatewise.network.architecture import parameter_shapes
from gatewise.network.forward import features_of
from gatewise.network.ops import NumpyOps
from gatewise.training.dense_solver import fit_standardised_glm
from gatewise.training.linear_probe import MAX_ROWS
from gatewise.training.ngrams import NgramModel
from gatewise.training.pretrained import Pretrained
from gatewise.training.training_data import TrainingData
from gatewise.types import Array

L2 = 1.0


def transfer_weights(training_data: TrainingData, pretrained: Pretrained) -> dict[str, Array] | None:
    """The parameters of the classifier with its dense layer mapped to the new classes; None unless both are about
    classes.
    """
    model = _classifier(training_data, pretrained)
    if model is None:
        return None
    rows = training_data.train[:: -(-len(training_data.train) // MAX_ROWS)]
    sequences = [training_data.sequences[n] for n in rows]
    states = features_of(model.parameters, training_data.architecture, sequences, NumpyOps())
    weight, bias = (model.parameters[f"dense.{name}"].astype(np.float64) for name in ("weight", "bias"))
    targets = training_data.targets(rows)
    to_new, shift = fit_standardised_glm(states @ weight.T + bias, targets, L2)
    return {
        **{name: model.parameters[name] for name in parameter_shapes(training_data.architecture)},
        "dense.weight": (to_new @ weight).astype(np.float32),
        "dense.bias": (to_new @ bias + shift).astype(np.float32),
    }


def transfer_ngrams(training_data: TrainingData, pretrained: Pretrained) -> NgramModel | None:
    """The n-gram model of the classifier, mapped to the new classes; None if it has none, or one with a norm, which
    cannot be added to another.
    """
    model = _classifier(training_data, pretrained)
    ngrams: Ngrams | None = None if model is None else model.ensemble.get("ngrams")
    if ngrams is None or not len(ngrams) or ngrams.scale is not None:
        return None
    rows = training_data.train
    logits = ngrams.logits([training_data.full_sequences[n] for n in rows])
    targets = training_data.targets(rows)
    to_new, shift = fit_standardised_glm(logits, targets, L2)
    weight = (ngrams.weight @ to_new.T).astype(np.float32)
    return NgramModel(replace(ngrams, weight=weight), shift.astype(np.float64))


def _classifier(training_data: TrainingData, pretrained: Pretrained) -> Model | None:
    model = pretrained.model
    both = model is not None and model.task == "classification" == training_data.data.task
    return model if both else None
