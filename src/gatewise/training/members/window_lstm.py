"""The fit of the LSTM of a forecaster."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Event
from typing import Any

import numpy as np

from gatewise import kernels
from gatewise.data import Labelled
from gatewise.errors import InputError
from gatewise.members.window_lstm import WindowLSTM
from gatewise.model.preprocessor import SeriesPreprocessor, StandardScaler
from gatewise.network.architecture import initial_parameters
from gatewise.network.batch import truncate
from gatewise.network.trainable import Network
from gatewise.training.fields import named_values
from gatewise.training.loop import Loop
from gatewise.training.members.autoregression import TrainingWindows
from gatewise.training.objective import SupervisedObjective
from gatewise.training.recipes import Recipe, check_settings
from gatewise.training.recipes import recipe as named
from gatewise.training.training_data import TargetScaling, TrainingData, plan_series

_UNREAD = ("validation.folds", "validation.split", "optimisation.min_batch_tokens")


def window_recipe(name: str | Recipe | None, changes: Mapping[str, Any]) -> Recipe:
    """The recipe of the LSTM with changed fields; by default "forecast". Raises InputError for an unknown recipe or
    field, and for a changed field that the LSTM of a forecaster does not read.
    """
    values = named_values(Recipe, changes)
    found = named(name or "forecast", **values)
    check_settings(found, "series", "regression")
    unread = [path for path in values if path.startswith("convolutions.") or path in _UNREAD]
    if unread:
        raise InputError(f"{unread[0]} is for classification and regression; the LSTM of a forecaster does not read it")
    return found


def fit_window_lstm(windows: TrainingWindows, recipe: Recipe, seed: int) -> WindowLSTM:
    """The best epoch of the LSTM of this recipe, without other members and without calibration."""
    n, steps = windows.y.shape
    arch = recipe.architecture("channels", windows.x.shape[2], steps)
    cut = 1 + int(np.argmin(np.abs(np.arange(1, n) - (1 - recipe.validation.fraction) * n)))  # the last ones validate
    scaler = StandardScaler.fit(list(windows.x[:cut].astype(np.float32)))
    sequences = [truncate(scaler(window), arch) for window in windows.x.astype(np.float32)]
    data = Labelled(sequences, windows.y, tuple(map(str, range(steps))), np.arange(n), task="regression")
    training_data = TrainingData(
        data,
        plan_series(recipe, [len(one) for one in sequences], cut, own_validation=True)[0],
        SeriesPreprocessor(scaler),
        arch,
        sequences,
        windows.y,
        np.arange(cut),
        np.arange(cut, n),
        sequences,
        target_scaling=TargetScaling.fit(windows.y[:cut]),
        own_validation=True,
    )
    network = Network(
        arch,
        initial_parameters(arch, np.random.default_rng([seed, 0x5EED])),
        dropout=recipe.dropout,
        direction_loss=recipe.optimisation.direction_loss,
        kernel=kernels.for_precision(recipe.kernel_precision),
    )
    loop = Loop(SupervisedObjective(training_data, network, seed))
    loop.run(Event())
    parameters = loop.objective.parameters(loop.result())
    for direction in arch.directions:  # the standardisation becomes a part of the first layer
        name = f"lstm.0.{direction}"
        weight = parameters[f"{name}.weight_ih"] / np.array(scaler.std)
        parameters[f"{name}.bias"] = (parameters[f"{name}.bias"] - weight @ np.array(scaler.mean)).astype(np.float32)
        parameters[f"{name}.weight_ih"] = weight.astype(np.float32)
    return WindowLSTM(arch, parameters, transform=windows.transform, scales=windows.scales)
