"""The folder of a forecaster: the model folder of its LSTM, with two more files.

    forecaster.json          horizon, season, transforms, names and times of the series
    forecaster.safetensors   weights of the autoregressions, scales, last values, held-out windows (float64)

Nothing in it is executed, and every byte is checked against the manifest.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.data.times import Time, parse_time, show_time, zone_of
from gatewise.errors import InputError, ModelFileError, quote
from gatewise.forecast.fitted import Fitted
from gatewise.forecast.held_out import HeldOut
from gatewise.forecast.members import MAX_HORIZON, Autoregression, NetworkMember
from gatewise.forecast.series import SeriesSet
from gatewise.forecast.steps import Steps
from gatewise.forecast.transform import Scales, Transform
from gatewise.model.model import Model, load
from gatewise.storage import (
    fields_from,
    json_bytes,
    load_folder,
    parse_json,
    tensors_from_bytes,
    tensors_to_bytes,
)
from gatewise.types import Array

_CONFIG, _TENSORS = "forecaster.json", "forecaster.safetensors"


@dataclass(frozen=True)
class _Config:
    """forecaster.json. times: the last time of each series as text, empty without times. zones: the names of their time
    zones, such as Europe/Berlin; "" for none or a fixed offset. step_seconds, step_number: the step between times where
    it is neither months nor absent.
    """

    horizon: int
    season: int
    steps: int
    columns: int
    names: tuple[str, ...]
    single: bool
    origins: int
    held_out_steps: int
    network_weight: float
    network: Transform
    linear: tuple[Transform, ...]
    times: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    numeric: bool = False
    step_months: int = 0
    step_month_end: bool = False
    step_seconds: float = 0.0
    step_utc: bool = False
    step_number: float = 0.0

    def __post_init__(self) -> None:
        # A size of 0 would make arrays of no bytes, whose other sizes could be any number.
        sizes = (self.horizon, self.season, self.steps, self.columns, self.origins, self.held_out_steps)
        if min(*sizes, len(self.names)) < 1 or self.horizon > MAX_HORIZON:
            raise InputError(f"sizes must be at least 1, and horizon at most {MAX_HORIZON:,}")
        if len(set(self.names)) < len(self.names) or (self.single and len(self.names) > 1):
            raise InputError("names must differ, and a single series has one")
        if len(self.times) not in (0, len(self.names)) or len(self.zones) != len(self.times):
            raise InputError("every series needs a time and a zone, or none does")
        if not 0 <= self.network_weight <= 1:
            raise InputError("network_weight must be from 0 to 1")


def files_of(horizon: int, fitted: Fitted) -> dict[str, bytes]:
    """The files of the folder by name."""
    series, step = fitted.series, fitted.series.step
    delta = None if step is None else step.delta
    config = _Config(
        horizon=horizon,
        season=fitted.season,
        steps=fitted.network.steps,
        columns=series.columns,
        names=series.names,
        single=series.single,
        origins=fitted.held_out.actual.shape[1],
        held_out_steps=fitted.held_out.steps,
        network_weight=fitted.network_weight,
        network=fitted.network.transform,
        linear=tuple(one.transform for one in fitted.linear),
        times=tuple(show_time(time) for time in series.last or ()),
        zones=tuple(_zone(time) for time in series.last or ()),
        numeric=bool(series.last) and isinstance((series.last or [0.0])[0], float),
        step_months=0 if step is None else step.months,
        step_month_end=step is not None and step.month_end,
        step_utc=step is not None and step.utc,
        step_seconds=delta.total_seconds() if isinstance(delta, timedelta) else 0.0,
        step_number=float(delta) if isinstance(delta, float | int) else 0.0,
    )
    tensors: dict[str, Array] = {
        "weights": fitted.weights,
        "last": np.stack(series.values),
        "held_out.actual": fitted.held_out.actual,
        "held_out.forecast": fitted.held_out.forecast,
        "held_out.naive": fitted.held_out.naive,
        "held_out.scale": fitted.held_out.scale,
        "network.mean": fitted.network.scales.mean,
        "network.std": fitted.network.scales.std,
    }
    for number, member in enumerate(fitted.linear):
        for name, array in (
            ("mean", member.scales.mean),
            ("std", member.scales.std),
            ("weight", member.weight),
            ("bias", member.bias),
        ):
            tensors[f"linear.{number}.{name}"] = array
    files = {_CONFIG: json_bytes(asdict(config)), _TENSORS: tensors_to_bytes(tensors)}
    return {**fitted.network.model.to_files(), **files}


def fitted_from(path: str | Path) -> tuple[int, Fitted]:
    """The horizon and the fitted forecaster in a folder. Raises ModelFileError naming the file and the reason."""
    folder = load_folder(path)
    if _CONFIG not in folder.files:
        raise ModelFileError(f"{path} is not a forecaster: gatewise forecast --save writes one")
    config = fields_from(_Config, parse_json(folder.read(_CONFIG), _CONFIG), _CONFIG)
    try:
        tensors = tensors_from_bytes(folder.read(_TENSORS), _shapes(config), _TENSORS)
        network = NetworkMember(config.network, config.steps, _scales(tensors, "network"), _model(path, config))
        linear = tuple(
            Autoregression(
                transform,
                config.steps,
                _scales(tensors, f"linear.{number}"),
                tensors[f"linear.{number}.weight"],
                tensors[f"linear.{number}.bias"],
            )
            for number, transform in enumerate(config.linear)
        )
        held = HeldOut(*(tensors[f"held_out.{name}"] for name in ("actual", "forecast", "naive", "scale")))
        series = SeriesSet(config.names, list(tensors["last"]), *_times(config), config.single)
        series.check_times(config.horizon)
        weights, share = tensors["weights"], config.network_weight
        return config.horizon, Fitted(config.season, linear, weights, network, share, held, series)
    except InputError as error:
        raise ModelFileError(f"{path}/{_CONFIG}: {error}") from error


def _model(path: str | Path, config: _Config) -> Model:
    """The LSTM in the folder. Raises InputError if it does not predict `steps` numbers from windows of `columns`."""
    model = load(path)
    found = model.task, len(model.classes), model.channels
    if found != ("regression", config.steps, config.columns):
        raise InputError(
            f"steps and columns must be those of the model: {found[0]}, {found[1]} outputs, {found[2]} channels"
        )
    return model


def _zone(time: Time) -> str:
    return getattr(time.tzinfo, "key", None) or "" if isinstance(time, datetime) else ""


def _times(config: _Config) -> tuple[list[Time] | None, Steps | None]:
    """The last time of each series and the step between times. Raises InputError for what `files_of` never writes."""
    if not config.times:
        return None, None
    found = []
    for text, zone in zip(config.times, config.zones, strict=True):
        time = parse_time(text)
        aware = isinstance(time, datetime) and time.tzinfo is not None
        if isinstance(time, float) != config.numeric or ((zone or config.step_utc) and not aware):
            raise InputError(f"times: {quote(text, 40)} does not fit numeric, zones and step_utc")
        found.append(time.astimezone(zone_of(zone)) if zone and isinstance(time, datetime) else time)
    delta: timedelta | float = config.step_number
    months = 0 if config.numeric else config.step_months
    try:
        if not config.numeric:
            delta = timedelta(seconds=config.step_seconds)
    except OverflowError:
        raise InputError("step_seconds is too large") from None
    if months < 0 or (months == 0 and (not delta or min(config.step_number, config.step_seconds) < 0)):
        raise InputError("the step between times must be above 0")
    if months:
        return found, Steps(months, month_end=config.step_month_end, utc=config.step_utc)
    return found, Steps(delta=delta, utc=config.step_utc)


def _shapes(config: _Config) -> dict[str, tuple[tuple[int, ...], str]]:
    s, c = len(config.names), config.columns
    history = max([config.season, *(one.history for one in (config.network, *config.linear))])
    windows = (s, config.origins, config.held_out_steps)
    found: dict[str, Any] = {
        "weights": (len(config.linear),),
        "last": (s, history, c),
        "held_out.actual": windows,
        "held_out.forecast": windows,
        "held_out.naive": windows,
        "held_out.scale": (s,),
        "network.mean": (s, c),
        "network.std": (s, c),
    }
    for number, transform in enumerate(config.linear):
        found[f"linear.{number}.mean"] = found[f"linear.{number}.std"] = (s, c)
        found[f"linear.{number}.weight"] = (transform.length * c, config.steps)
        found[f"linear.{number}.bias"] = (config.steps,)
    return {name: (shape, "float64") for name, shape in found.items()}


def _scales(tensors: dict[str, Array], name: str) -> Scales:
    return Scales(tensors[f"{name}.mean"], tensors[f"{name}.std"])
