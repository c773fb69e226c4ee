"""`RidgeTargets`: what a ridge regression of features fits, and how its values become logits."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.training.dense_solver import fit_calibration
from gatewise.training.ridge import Ridge
from gatewise.training.training_data import TrainingData
from gatewise.types import Array

PENALTIES = tuple(10.0**exponent for exponent in np.arange(-4, 3.01, 0.5))  # that are compared
# The scale of logits from values of -1 to 1: what the calibration is drawn towards, and its penalty.
SCALE = 3.0
SCALE_L2 = 0.5


class RidgeTargets:
    """What a ridge regression of features fits, and how its values become logits: convolutions, frozen LSTM layers.

    Classes are targets of -1 and 1. `Ridge` gives the values of the rows of each fold from a fit to the others, for
    every penalty without refitting. The penalty with the lowest loss of these values is taken; a scale and a shift turn
    them into logits (Platt 1999).

    rows (n,): those that are fitted; folds: positions among them, the rows of one fold are predicted from all others;
    held (m,): the positions of all folds. targets: of the n rows, with one weight per row. y (n, outputs): their
    values, or for classes -1 and 1; root (n,): the square roots of their weights, of mean square 1.
    """

    def __init__(self, data: TrainingData, rows: NDArray[np.int64], folds: Sequence[NDArray[np.int64]]) -> None:
        self.data = data
        self.rows = rows
        self.folds = folds
        self.held = np.concatenate(folds)
        self._calibration_targets = data.calibration_targets(rows)
        self.targets = self._calibration_targets
        self._logit_shift = np.zeros(self.targets.outputs)
        # One ridge regression has one weight per row, and class weights of multi-label rows are one per label. The fit
        # has the class weights, its calibration does not (docs/log/series.md, "Class weights in the convolutions").
        of_loss = data.targets(rows)
        if data.logit_shift is not None and of_loss.weight.ndim == 1:
            self.targets = of_loss
            self._logit_shift = data.logit_shift
        self.y = self.targets.values
        if not self.targets.loss.has_unit:
            self.y = 2.0 * self.y - 1
        weight = self.targets.weight
        self.root = np.sqrt(np.maximum(weight / weight.mean(), 1e-9))

    def loss(self, values: Array) -> float:
        """Of values (m, outputs) out of fold: the squared error, for classes the cross-entropy after calibration."""
        held = self.targets.take(self.held)
        if held.loss.has_unit:
            losses = np.square(values - held.values).mean(axis=1)
        else:
            _, _, losses = fit_calibration(values[:, :, None], held, prior=np.array([SCALE]), l2=SCALE_L2)
        return held.mean(losses)

    def best(self, ridge: Ridge) -> tuple[float, float, Array]:
        """The lowest loss, its penalty, and its values (m, outputs) out of fold."""
        values = [ridge.out_of_fold(self.y, l2, self.folds)[self.held] for l2 in PENALTIES]
        losses = [self.loss(out_of_fold) for out_of_fold in values]
        n = int(np.argmin(losses))
        return losses[n], PENALTIES[n], values[n]

    def calibration(self, values: Array) -> tuple[Array, Array]:
        """Scale (1,) or (outputs,) and shift (outputs,) that turn values into logits, from those out of fold (m,
        outputs); for a regression into numbers.
        """
        scaling = self.data.target_scaling
        if scaling is not None:
            return scaling.scale, scaling.mean
        # With class weights in the fit, the shift is drawn towards the one that takes them back.
        shift_back = -self._logit_shift
        weights, shift, _ = fit_calibration(
            np.stack([values, np.broadcast_to(shift_back, values.shape)], axis=2),
            self._calibration_targets.take(self.held),
            prior=np.array([SCALE, 1.0]),
            l2=SCALE_L2,
        )
        return weights[:1], shift + weights[1] * shift_back

    def held_out(self, logits: Array, predict: Callable[[list[EncodedSequence]], Array]) -> Array:
        """Logits (n, outputs) of the validation rows: of the fitted ones the logits (m, outputs) out of fold, of the
        others those that `predict` gives for their full sequences.
        """
        validation = self.data.validation
        out_of_fold = np.full(self.y.shape, np.nan)
        out_of_fold[self.held] = logits
        fitted = np.isin(validation, self.rows)
        held_out = np.zeros((len(validation), self.targets.outputs))
        held_out[fitted] = out_of_fold[np.searchsorted(self.rows, validation[fitted])]
        held_out[~fitted] = predict(self.data.full(validation[~fitted]))
        return held_out
