"""The LSTM of a forecaster: an `LSTM` that reads transformed windows. `gatewise.training.forecast_members` fits it."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from gatewise.errors import InputError
from gatewise.members.lstm import LSTM
from gatewise.members.member import Inputs, Member, check_entry
from gatewise.members.windows import Scales, Transform, WindowMember, read_windows
from gatewise.network.architecture import Architecture, parameter_shapes
from gatewise.ragged import Ragged
from gatewise.types import Array


@dataclass(frozen=True, eq=False)
class WindowLSTM(WindowMember, LSTM):
    """The dense layer of the LSTM predicts all steps at once, as `gatewise.members.autoregression` does.

    transform: what is done to a window before the LSTM reads it. scales: (S, C), of the channels of the S series.
    """

    transform: Transform = field(kw_only=True)
    scales: Scales = field(kw_only=True)
    kind: ClassVar[str] = "window_lstm"
    linear: ClassVar[bool] = False

    @property
    def network(self) -> LSTM:
        """The plain LSTM, whose gates can be read. It reads transformed windows (length, C) float32: standardised
        values relative to the base.
        """
        return LSTM(self.arch, self.parameters, precision=self.precision, kernel=self.kernel, clamps=self.clamps)

    def predict(self, x: Array, series: Array) -> Array:
        count, length, channels = x.shape
        values = x.astype(np.float32).reshape(-1, channels)
        return LSTM.logits(self, Ragged(values, np.full(count, length, dtype=np.intp)))

    summary = LSTM.summary

    def entry(self) -> dict[str, Any]:
        return {"architecture": self.arch.as_dict(), **super().entry()}

    def arrays(self) -> dict[str, Array]:
        return {**super().arrays(), **self.parameters}

    def to_file(self) -> tuple[dict[str, Any], bytes]:
        return Member.to_file(self)

    @classmethod
    def from_file(cls, entry: dict[str, Any], raw: bytes, inputs: Inputs, outputs: int, file: str) -> Self:
        check_entry(entry, ["transform", "series", "architecture"], [], cls.kind)
        arch = Architecture.from_config(entry["architecture"], "config.json: architecture")
        forms = {name: (shape, "float32") for name, shape in parameter_shapes(arch).items()}
        transform, scales, arrays = read_windows(entry, raw, inputs, file, lambda _: forms)
        if arch.channels != inputs.size:
            raise InputError(f"the LSTM reads {arch.vocab_size} {arch.inputs}, the windows have {inputs.size} columns")
        return cls(arch, arrays, transform=transform, scales=scales)
