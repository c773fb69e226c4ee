"""`Model.export`: a model in the format of another library, by the function that `EXPORT_FORMATS` names."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gatewise.errors import InputError, did_you_mean, quote
from gatewise.extensions import EXPORT_FORMATS


@dataclass(frozen=True)
class ExportReport:
    """What was written. bytes: of the file with the graph. max_error: the largest difference of a logit from that of
    the other library, relative to logits above 1, over `checked` random sequences. inputs: what the graph takes, and
    what stays outside it, in one line. storage: the dtype of the large matrices in the file.
    """

    path: str
    bytes: int
    opset: int
    checked: int
    max_error: float
    inputs: str
    storage: str


def exporter_of(path: str | Path, format: str | None = None) -> Callable[..., ExportReport]:
    """The function that writes a model as `format`, by default that of the ending of the path. Raises InputError for an
    unknown one.
    """
    known = ", ".join(EXPORT_FORMATS)
    if format is None:
        format = Path(path).suffix.removeprefix(".")
        if format not in EXPORT_FORMATS:
            raise InputError(f"the name {quote(path, 200)} does not end in a format: give format, one of {known}")
    if format not in EXPORT_FORMATS:
        guess = did_you_mean(format, EXPORT_FORMATS)
        raise InputError(f"no format is called {quote(format)}; there are {known}{guess}")
    return EXPORT_FORMATS[format]
