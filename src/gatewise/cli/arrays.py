"""The rows of a model with several inputs, from files: .npz with an array for each input, or .jsonl with an object for
each row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatewise.errors import DataError, InputError, quote
from gatewise.storage.numpy_files import read_numpy
from gatewise.storage.strict_json import parse_json

if TYPE_CHECKING:
    from gatewise.model.model import Model


def array_rows(model: Model, files: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of files. Raises InputError for a file of another kind, and naming the file and the row for arrays that
    the model does not read.
    """
    names = ", ".join(model.preprocessor.inputs.further)
    for file in files:
        path = Path(file)
        suffix = path.suffix.lower()
        if suffix == ".npz":
            rows = iter(_rows(model, read_numpy(path), file))
        elif suffix == ".jsonl":
            rows = _json_rows(model, path)
        else:
            raise InputError(
                f"{quote(file, 200)}: a model with further inputs ({names}) reads .npz files with an array for each "
                "input, and .jsonl files with an object for each row"
            )
        yield from rows


def _json_rows(model: Model, path: Path) -> Iterator[dict[str, Any]]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise DataError(f"{quote(str(path), 200)} cannot be read: {error.strerror}") from None
    for number, line in enumerate(lines, start=1):
        where = f"{path}: line {number}"
        try:
            row = model.preprocessor.format.read(parse_json(line, where, error=DataError))
        except InputError as error:
            raise InputError(f"{quote(where, 200)} {error}") from None
        yield from _rows(model, [row], where)


def _rows(model: Model, inputs: Any, where: str) -> list[dict[str, Any]]:
    try:
        rows, _ = model.preprocessor.rows(inputs)
    except InputError as error:
        raise InputError(f"{quote(where, 200)}: {error}") from None
    return rows
