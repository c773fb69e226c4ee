"""Windows of time series, what the members of a forecaster read, and forms in which their future is easy to predict.

A window holds the last R values of a series and of its exogenous columns, the series first: (R, C) float64. `Windows`
are several of one length, with the number of the series of each, by which a member finds the scales and parameters of
that series. A `Transform` takes logarithms, standardises, differences against the last season and against the last
value, and undoes all of it for the prediction. It sees no value after the window. Rows of NaN in front of a window
stand for values before the first one of its series.
"""

import math
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, ModelFileError, counted
from gatewise.members.member import Inputs, Member, check_entry
from gatewise.storage.fields import fields_from
from gatewise.storage.tensors import tensors_from_bytes
from gatewise.system.cancel import check_cancelled
from gatewise.types import Array

_BOUND = 6.0  # standard deviations around the mean logarithm at which logarithms are cut
# Points of the integral of an attribution (Gauss-Legendre).
_POINTS = 8
_SMOOTH_POINTS = 3  # where the forecast is the exponential of a line
_PERTURBED = 256  # values that are perturbed at a time
# Steps of the finite differences of an attribution, in standard deviations of the window.
_STEP = 0.01
_SMALL_STEP = 1e-4  # for linear members, in float64: few of these steps cross a bound of a seasonal profile


@dataclass(frozen=True, eq=False)
class Windows:
    """B windows of one length, each with the number of its series.

    values: (B, R, C) float64. series: (B,) integers, the rows of the arrays that a member has per series. Raises
    InputError for other shapes.
    """

    values: Array
    series: NDArray[np.intp]

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or self.series.shape != self.values.shape[:1] or self.series.dtype != np.intp:
            raise InputError(
                f"windows must be (B, R, C) with series (B,) {np.dtype(np.intp)}; got {self.values.shape} and "
                f"{self.series.shape} {self.series.dtype}"
            )

    @classmethod
    def of(cls, values: Array, number: int) -> Self:
        """Windows (B, R, C), or one (R, C), of the series with this number."""
        if values.ndim == 2:
            values = values[None]
        return cls(values, np.full(len(values), number, dtype=np.intp))

    @classmethod
    def concatenated(cls, several: Sequence[Self]) -> Self:
        """The windows of all, which have one length, in order."""
        values = np.concatenate([windows.values for windows in several])
        return cls(values, np.concatenate([windows.series for windows in several]))

    def __len__(self) -> int:
        """B, the number of windows."""
        return len(self.values)

    def __iter__(self) -> Iterator[Array]:
        """The values (R, C) of each window."""
        return iter(self.values)

    def __getitem__(self, rows: Any) -> Self:
        """The windows with these numbers, of a slice or where a mask is true. One number gives one window."""
        numbers = np.atleast_1d(np.arange(len(self))[rows])
        return type(self)(self.values[numbers], self.series[numbers])

    def last(self, steps: int) -> Self:
        """The last `steps` values of each window, or all where there are fewer."""
        return replace(self, values=self.values[:, -steps:])

    def means(self) -> Self:
        """For each window one of the same length, in which every column has its mean over the window."""
        return replace(self, values=np.broadcast_to(self.values.mean(axis=1, keepdims=True), self.values.shape))


class Scales(NamedTuple):
    """Mean and standard deviation of a series and its exogenous columns: (..., C) each. From the values before the
    first held-out window only, or from all values for the final fit.
    """

    mean: Array
    std: Array


@dataclass(frozen=True)
class Transform:
    """One form of the windows.

    log: of the series (not of exogenous columns). season: difference against the value of one season before, the
    seasonal naive forecast; 1: none. level: difference against the last value of the window. length: steps that remain.
    profile: period of the seasonal profile (`seasonal_profile`) of the last `cycles` cycles, which is subtracted; 1:
    none.
    """

    log: bool
    season: int
    level: bool
    length: int
    profile: int = 1
    cycles: int = 0

    def __post_init__(self) -> None:
        if min(self.season, self.length, self.profile) < 1 or self.cycles < 2 * (self.profile > 1):
            raise InputError("season, length and profile must be at least 1, and cycles of a profile at least 2")

    @property
    def history(self) -> int:
        """R, the number of values that a window needs."""
        values = self.length
        if self.season > 1:
            values += self.season
        return max(values, self.profile * self.cycles)

    def scales(self, series: Iterable[Array]) -> Scales:
        """The scales (S, C) of several series with their exogenous columns (n_s, C)."""
        means: list[Array] = []
        stds: list[Array] = []
        for values in series:
            z = np.array(values, dtype=np.float64)
            if self.log:
                z[:, 0] = np.log(z[:, 0])
            std = z.std(axis=0)
            # The mean of equal values may be rounded; squares of small differences may be 0.
            constant = (z.min(axis=0) == z.max(axis=0)) | (std == 0)
            means.append(z.mean(axis=0))
            stds.append(np.where(constant, 1.0, std))
        return Scales(np.stack(means), np.stack(stds))

    def encode(self, windows: Array, scales: Scales, horizon: int) -> tuple[Array, Array]:
        """Values (B, R, C) of windows -> inputs (B, length, C) and the base (B, horizon) that predictions are
        added to. scales: (B, C) each.
        """
        z = np.array(windows[:, -self.history :], dtype=np.float64)
        if self.log:
            low = scales.mean[:, :1] - _BOUND * scales.std[:, :1]
            z[:, :, 0] = np.maximum(np.log(np.maximum(z[:, :, 0], 1e-300)), low)
        z = (z - scales.mean[:, None]) / scales.std[:, None]
        step = np.arange(1, horizon + 1)
        base = np.zeros((len(z), horizon))
        seasons = np.ones(horizon)
        if self.profile > 1:
            profile = seasonal_profile(z[:, -self.profile * self.cycles :, 0], self.profile)
            z[:, :, 0] -= profile[:, np.arange(-z.shape[1], 0) % self.profile]
            base = profile[:, (step - 1) % self.profile]
        if self.season > 1:
            base = base + z[:, z.shape[1] - self.season + (step - 1) % self.season, 0]
            seasons = np.ceil(step / self.season)
            z = z[:, self.season :] - z[:, : -self.season]
        if self.level:
            last = z[:, -1:]
            z = z - last
            base = base + last[:, 0, :1] * seasons
        return z[:, -self.length :], base

    def targets(self, future: Array, base: Array, scales: Scales) -> Array:
        """The targets of a fit: the future values (B, horizon) in the transformed form, less the base."""
        z = future
        if self.log:
            z = np.log(future)
        targets: Array = (z - scales.mean[:, :1]) / scales.std[:, :1] - base
        return targets

    def decode(self, predicted: Array, base: Array, scales: Scales) -> Array:
        """Values (B, horizon) of the series from predictions (B, horizon)."""
        z = predicted + base
        if not self.log:
            return np.asarray(z * scales.std[:, :1] + scales.mean[:, :1])
        # An unstable autoregression would grow without a bound, exponentially in the values.
        return np.asarray(np.exp(np.clip(z, -_BOUND, _BOUND) * scales.std[:, :1] + scales.mean[:, :1]))

    def describe(self) -> str:
        """In words: "logarithms, seasonal differences (12), relative to the last value, windows of 24 steps"."""
        words = []
        if self.log:
            words.append("logarithms")
        if self.season > 1:
            words.append(f"seasonal differences ({self.season})")
        if self.profile > 1:
            words.append(f"seasonal profile ({self.profile})")
        if self.level:
            words.append("relative to the last value")
        words.append(f"windows of {counted(self.length, 'step')}")
        return ", ".join(words)


class WindowMember(Member):
    """A member of a forecaster: its logits are the next `outputs` values of a window.

    scales: (S, C) of the S series. Where an explanation leaves out rows of a window, they have their mean.
    """

    transform: Transform
    scales: Scales
    ragged: ClassVar[bool] = False
    """Whether NaN may stand in front of the values, for a series that is shorter than the window."""
    linear: ClassVar[bool] = True
    """Whether `predict` is linear in the transformed windows."""

    @abstractmethod
    def predict(self, x: Array, series: Array) -> Array:
        """The prediction relative to the base (B, outputs), from transformed windows (B, length, C) of these series
        (B,).
        """

    @property
    def name(self) -> str:
        return f"{self.noun}: {self.transform.describe()}"

    @property
    def inputs(self) -> Inputs:
        """The windows that it reads."""
        return Inputs("windows", self.scales.mean.shape[1])

    def check(self, inputs: Inputs) -> None:
        if inputs != self.inputs:
            raise InputError(f"the {self.noun} reads windows of {self.inputs.size}, not {inputs.size} {inputs.kind}")

    def encode(self, windows: Windows) -> tuple[Array, Array, Scales]:
        """Inputs (B, length, C), base (B, outputs), and the scales of the series of the windows."""
        scales = Scales(self.scales.mean[windows.series], self.scales.std[windows.series])
        values = windows.values
        missing = self.transform.history - values.shape[1]
        if missing > 0:
            values = np.pad(values, ((0, 0), (missing, 0), (0, 0)), constant_values=np.nan)
        x, base = self.transform.encode(values, scales, self.outputs)
        return x, base, scales

    def logits(self, sequences: Iterable[Array]) -> Array:
        """The next values (B, outputs) float64 of `Windows`. Raises InputError for other sequences, which do not say
        of which series they are, and for a series that the member was not fitted to.
        """
        if not isinstance(sequences, Windows):
            raise InputError(f"the {self.noun} reads `Windows`: values with the number of the series of each")
        count = len(self.scales.mean)
        if not len(sequences):
            return np.zeros((0, self.outputs))
        if not 0 <= sequences.series.min() <= sequences.series.max() < count:
            raise InputError(f"windows: the numbers of series must be from 0 to {count - 1}")
        x, base, scales = self.encode(sequences)
        return self.transform.decode(self.predict(x, sequences.series), base, scales)

    def summary(self) -> list[tuple[str, str, int]]:
        count = 0
        for name, array in self.arrays().items():
            if array.dtype.kind == "f" and name not in Scales._fields:
                count += array.size
        return [(f"{self.noun[0].upper()}{self.noun[1:]}", f"({self.outputs},)", count)]

    def entry(self) -> dict[str, Any]:
        return {"transform": asdict(self.transform), "series": len(self.scales.mean)}

    def arrays(self) -> dict[str, Array]:
        return self.scales._asdict()


@dataclass(frozen=True, eq=False)
class StatisticalMember(WindowMember):
    """A member without a network. steps: the values that it predicts. A subclass adds fields: the arrays `shapes`, and
    `options` of config.json, true or false.
    """

    transform: Transform
    scales: Scales
    steps: int
    options: ClassVar[tuple[str, ...]] = ()
    extrapolates: ClassVar[bool] = False
    """Whether it predicts a horizon of any length at once, so that a slow recursion over the window runs only once."""

    @property
    def outputs(self) -> int:
        return self.steps

    @staticmethod
    def shapes(series: int, inputs: int, steps: int) -> dict[str, Any]:
        """The arrays by name, with shapes and dtypes. inputs: numbers of a transformed window."""
        return {}

    def check_arrays(self) -> None:
        """Raise InputError for arrays of a file that no fit gives."""

    def entry(self) -> dict[str, Any]:
        return {**super().entry(), **{name: getattr(self, name) for name in self.options}}

    def arrays(self) -> dict[str, Array]:
        return {**super().arrays(), **{name: getattr(self, name) for name in self.shapes(1, 1, 1)}}

    @classmethod
    def from_file(cls, entry: dict[str, Any], raw: bytes, inputs: Inputs, outputs: int, file: str) -> Self:
        check_entry(entry, ["transform", "series", *cls.options], [], cls.kind)
        transform, scales, arrays = read_windows(
            entry,
            raw,
            inputs,
            file,
            lambda transform: cls.shapes(entry["series"], transform.length * inputs.size, outputs),
        )
        options = {name: entry[name] for name in cls.options}
        for name, option in options.items():
            if not isinstance(option, bool):
                raise InputError(f"config.json: {name} must be true or false")
        member = cls(transform, scales, outputs, **options, **arrays)
        member.check_arrays()
        return member


def read_windows(
    entry: dict[str, Any], raw: bytes, inputs: Inputs, file: str, shapes: Callable[[Transform], dict[str, Any]]
) -> tuple[Transform, Scales, dict[str, Array]]:
    """Transform, scales and further arrays of a window member's file. shapes(transform): of these arrays, with dtypes.
    Raises ModelFileError, and InputError for an entry of config.json.
    """
    transform = fields_from(Transform, entry["transform"], "config.json: transform")
    refusal = "config.json: series must be a whole number from 1, of a member of a forecaster"
    inputs.require("windows", refusal)
    count = entry["series"]
    if type(count) is not int or count < 1:
        raise InputError(refusal)
    scale = ((count, inputs.size), "float64")
    arrays = tensors_from_bytes(raw, {"mean": scale, "std": scale, **shapes(transform)}, file)
    scales = Scales(arrays.pop("mean"), arrays.pop("std"))
    if (scales.std <= 0).any():
        raise ModelFileError(f"{file}: std must be above 0")
    return transform, scales, arrays


def seasonal_profile(z: Array, period: int) -> Array:
    """The mean difference of the values (B, n) from a centred moving average, per phase of the cycles that end with the
    last value: (B, period). 0 for a phase without a value.

    Differences are cut at three median deviations around their median before the mean over the cycles, so that an
    outlier or a level shift hardly changes it.
    """
    differences = around_average(z, period)
    cycles = math.ceil(z.shape[1] / period)
    whole_cycles = np.full((len(z), cycles * period), np.nan)
    start = cycles * period - z.shape[1] + period // 2
    whole_cycles[:, start : start + differences.shape[1]] = differences
    by_cycle = whole_cycles.reshape(len(z), cycles, period)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of phases without a value
        median = np.nanmedian(by_cycle, axis=1, keepdims=True)
        deviation = 1.4826 * np.nanmedian(np.abs(by_cycle - median), axis=(1, 2), keepdims=True)
        cut = np.clip(by_cycle, median - 3 * deviation, median + 3 * deviation)
        profile = np.nan_to_num(np.nanmean(cut, axis=1))
    return np.asarray(profile - profile.mean(axis=1, keepdims=True))


def around_average(z: Array, period: int) -> Array:
    """The values (B, n) from number period // 2 on, less a centred moving average over the period, where it has all its
    values; NaN where one of them is NaN.
    """
    sums = np.cumsum(np.pad(np.nan_to_num(z), ((0, 0), (1, 0))), axis=1)
    counts = np.cumsum(np.pad(~np.isnan(z), ((0, 0), (1, 0))), axis=1)
    is_complete = counts[:, period:] - counts[:, :-period] == period
    # The mean of the values k to k + period - 1, for each k.
    means = np.where(is_complete, sums[:, period:] - sums[:, :-period], np.nan) / period
    if period % 2 == 0:  # the centre of an even number of values lies between two of them
        means = (means[:, 1:] + means[:, :-1]) / 2
    first = period // 2
    return np.asarray(z[:, first : first + means.shape[1]] - means)


def roll_out(member: WindowMember, windows: Windows, horizon: int) -> Array:
    """The next values (B, horizon) of B windows. A member predicts `member.outputs` values at once; then these values
    become part of the window, unless the member extrapolates.

    The exogenous columns of these values are not known: they keep their last value.
    """
    if isinstance(member, StatisticalMember) and member.extrapolates:
        member = replace(member, steps=horizon)
    history = member.transform.history
    windows = windows.last(history)
    predictions: list[Array] = []
    for _ in range(0, horizon, member.outputs):
        check_cancelled()
        predicted = member.logits(windows)
        predictions.append(predicted)
        next_rows = np.repeat(windows.values[:, -1:], predicted.shape[1], axis=1)  # (B, outputs, C)
        next_rows[:, :, 0] = predicted
        longer = np.concatenate([windows.values, next_rows], axis=1)
        windows = replace(windows, values=longer).last(history)
    return np.concatenate(predictions, axis=1)[:, :horizon]


def attributed(member: WindowMember, window: Windows, horizon: int) -> Array:
    """The contribution of each value of one window to the next values: (R, C, horizon).

    Integrated gradients (Sundararajan et al. 2017) from the window of means, with central differences. The
    contributions add up to the prediction minus that of the window of means, up to the error of the integral.
    """
    [values] = window.values
    [means] = window.means().values
    deviation = values.std(axis=0)
    step = _STEP
    if member.linear:
        step = _SMALL_STEP
    delta = step * np.where(deviation > 0, deviation, 1.0)  # (C,)
    nodes, node_weights = np.polynomial.legendre.leggauss(_integral_points(member, horizon))
    out = np.zeros((*values.shape, horizon))
    history = member.transform.history
    base = means[-history:]
    read = values[-history:]
    places = np.argwhere(np.ones_like(read))
    for first in range(0, len(places), _PERTURBED):
        row, column = places[first : first + _PERTURBED].T
        perturbations = np.zeros((len(row), *read.shape))
        perturbations[np.arange(len(row)), row, column] = delta[column]
        gradient = 0.0  # averaged over the path
        for node, node_weight in zip(nodes, node_weights, strict=True):
            point = base + (node + 1) / 2 * (read - base)
            both_sides = np.concatenate([point + perturbations, point - perturbations])
            perturbed = Windows.of(both_sides, int(window.series[0]))
            up, down = np.split(roll_out(member, perturbed, horizon), 2)
            gradient = gradient + node_weight / 2 * (up - down) / 2 / delta[column, None]
        out[row - len(read), column] = (read - base)[row, column, None] * gradient
    return out


def _integral_points(member: WindowMember, horizon: int) -> int:
    """The points of the integral of an attribution. Few are enough where the forecast is linear along the path, or the
    exponential of a line.
    """
    extrapolates = isinstance(member, StatisticalMember) and member.extrapolates
    feeds_back = horizon > member.outputs and not extrapolates
    # Forecasts that are fed back repeat the seasonal profile, so they lie on its bounds, where it is not linear.
    has_bends = member.transform.profile > 1 and feeds_back
    if has_bends or not member.linear:
        return _POINTS
    if member.transform.log:
        return _SMOOTH_POINTS
    return 1
