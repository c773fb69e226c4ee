"""A model whose probabilities mean what they say: its logits divided by one temperature (Guo et al. 2017)."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from gatewise.kernels import readonly_copy
from gatewise.metrics.calibration import temperature_of
from gatewise.metrics.evaluation import Evaluation, log_probabilities
from gatewise.model.card import Calibrated
from gatewise.model.model import Model
from gatewise.network.architecture import LOGIT_PARAMETERS

if TYPE_CHECKING:
    from gatewise.data.labelled import Labelled

__all__ = ["calibrated"]


def calibrated(model: Model, data: Labelled, what: str = "") -> Model:
    """`model` with its logits divided by the temperature that fits `data` best; data that did not train it.

    what: how the card names that data, such as "the validation part"; else it is `data.source`.

    The division goes into the parameters that the logits are linear in, so no verdict changes, accounts add up as
    before, and nothing else needs to know. The card says what was done; deletion scores and measurements, which were of
    the old probabilities, leave it. Raises InputError for classes that the model does not have, and where no
    temperature fits.
    """
    truth = data.labels_among(model.classes)
    logits = model.logits(data.inputs)
    log_p = log_probabilities(logits)
    temperature = temperature_of(log_p, truth)
    parameters = dict(model.parameters)
    for name in LOGIT_PARAMETERS:
        if name in parameters:
            parameters[name] = readonly_copy((parameters[name] / temperature).astype(np.float32))
    before = Evaluation.of(log_p, truth, model.classes, data.source)
    after = Evaluation.of(log_probabilities(logits / temperature), truth, model.classes, data.source)
    found = Calibrated(
        f"Its logits were divided by {temperature:.4f}, which changes no verdict",
        what or data.source,
        before.n,
        before.loss,
        after.loss,
        before.calibration_error,
        after.calibration_error,
    )
    metadata = replace(model.metadata, calibrated=found, measured=(), faithfulness={}, explained_by="")
    ngrams = model.ngrams
    if ngrams is not None:
        ngrams = replace(ngrams, weight=(ngrams.weight / temperature).astype(np.float32))
    made = replace(model, parameters=MappingProxyType(parameters), ngrams=ngrams, metadata=metadata)
    few = data.inputs[:8]
    again = made.logits(few) * temperature
    assert np.allclose(again, logits[: len(few)], rtol=1e-3, atol=1e-3), "the logits are not linear in these parameters"
    return made
