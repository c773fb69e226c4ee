"""`gatewise.load`: whatever a folder holds, as the object that was saved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from gatewise.extensions import FOLDER_KINDS
from gatewise.model.folder import kind_of, open_folder
from gatewise.types import Precision

if TYPE_CHECKING:
    from gatewise.model.model import Model


@overload
def load(path: None = None, *, precision: Precision = "float32") -> Model: ...


@overload
def load(path: str | Path | None, *, precision: Precision = "float32") -> Any: ...


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
    kind = kind_of(folder)
    if kind is not None and kind in FOLDER_KINDS:
        return FOLDER_KINDS[kind](folder, precision)
    from gatewise.model.model import Model  # a forecaster does without

    return Model.from_folder(folder, precision)
