"""Forecasts of series: an LSTM and linear autoregressions on windows; prediction intervals from held-out windows."""

from pathlib import Path
from typing import Any

from gatewise.model.folder import kind_of, open_folder
from gatewise.types import Precision


def load(path: str | Path | None = None, *, precision: Precision = "float32") -> Any:
    """Open what `Model.save` or `Forecaster.save` wrote, or a repository of it on the Hugging Face Hub,
    "hf://owner/name" or "hf://owner/name@revision"; None opens the bundled sentiment model.

    >>> model = gw.load()  # the bundled sentiment model
    >>> print(*model.predict(["A warm, funny and honest film.", "Two dull hours."]))
    positive negative

    Returns a `Model` or a `Forecaster`. Nothing in the folder is executed and every byte is checked first. The
    parameters are read-only. precision: of the matrix products of the LSTM, see `LSTM`. Raises ModelFileError naming
    the file and the reason, KernelUnavailable for a precision that cannot run.
    """
    folder = open_folder(path)
    if kind_of(folder) == "forecaster":
        from gatewise.forecast.forecaster import Forecaster  # a model does without

        return Forecaster.from_folder(folder, precision)
    from gatewise.model.model import Model  # a forecaster does without

    return Model.from_folder(folder, precision)
