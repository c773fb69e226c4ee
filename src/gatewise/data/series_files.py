"""Readers of time series.

A series is (length, channels) float32, time first; lengths may differ. The UCR/UEA archives have channels first; the
readers transpose them.
"""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from gatewise.data.files import decode, fail, read_bytes
from gatewise.data.labelled import Labelled
from gatewise.data.labels import class_order, label_rows
from gatewise.data.series import Series
from gatewise.errors import DataError, quote
from gatewise.kernels.ragged import starts_of

_MAX_NPZ = 4 << 30  # bytes of all arrays


def read_ts(path: str | Path) -> Labelled:
    """A .ts file of the UCR/UEA archives (as aeon and sktime read it), lengths equal or not.

    `:` separates channels, `,` steps, and the class is last. The classes are those of @classLabel, so that the training
    and test file of a set agree. Raises DataError with the line for missing values, time stamps, channels of different
    lengths, a class that is not listed, and an invalid number.
    """
    file = Path(path).expanduser()
    text = decode(read_bytes(file), quote(file, 200), "utf-8-sig")
    listed: list[str] | None = None
    inputs: list[Series] = []
    names: list[str] = []
    in_data = False
    for number, full in enumerate(io.StringIO(text, newline=None), start=1):  # lines end in \n, \r\n or \r
        line = full.strip()
        if not line or line[0] in "#%":
            continue
        if in_data:
            if listed is None:
                fail(file, number, "'@classLabel true' with the classes is missing before '@data'")
            *channels, name = line.split(":")
            name = name.strip()
            if name not in listed:
                fail(file, number, f"class {quote(name)} is not among those of @classLabel")
            inputs.append(_steps(file, number, channels, inputs[0].shape[1] if inputs else None))
            names.append(name)
            continue
        key, *values = line.split()
        key = key.lower()
        if key == "@data":
            in_data = True
        elif not key.startswith("@"):
            fail(file, number, f"neither a comment nor an @ line before '@data': {quote(line)}")
        elif key == "@classlabel" and values and values[0].lower() == "true":
            listed = values[1:]
        elif key == "@timestamps" and values and values[0].lower() == "true":
            fail(file, number, "time stamps are not supported")
        elif key == "@targetlabel" and values and values[0].lower() == "true":
            fail(file, number, "the set has target numbers, not classes")
    if not inputs or listed is None:
        raise DataError(f"{quote(file, 200)}: has no series after '@data'")
    classes = class_order(listed)
    source = f"{len(inputs):,} series of {quote(file.name)}, {inputs[0].shape[1]} channels, {len(classes)} classes"
    return Labelled(inputs, label_rows(names, classes), classes, source=source)


def _steps(file: Path, line: int, channels: list[str], expected: int | None) -> Series:
    if not channels or (expected is not None and len(channels) != expected):
        fail(file, line, f"{len(channels)} channels, expected {expected or 'one or more'}")
    rows = []
    for place, channel in enumerate(channels, start=1):
        try:
            with np.errstate(over="ignore"):
                rows.append(np.array(channel.split(","), dtype=np.float32))
        except ValueError:
            what = "a missing value" if "?" in channel else f"an invalid number, {quote(channel, 40)}"
            fail(file, line, f"channel {place} has {what}")
        if not np.isfinite(rows[-1]).all():
            fail(file, line, f"channel {place} has a value that is not finite")
        if len(rows[-1]) != len(rows[0]):
            fail(file, line, f"channel {place} has {len(rows[-1])} steps, channel 1 has {len(rows[0])}")
    return np.ascontiguousarray(np.stack(rows, axis=1))  # (length, channels)


def read_npz(path: str | Path) -> Labelled:
    """An .npz file with `labels (n,)`, whole numbers or strings, and the series in one of two forms.

    Series of equal length: `inputs (n, length, channels)` or `(n, length)`. Series of different lengths: concatenated
    `values (N, channels)` and `lengths (n,)` with sum N. Pickled objects are refused, and sizes are checked before
    anything is read. Raises DataError with the file and the array.
    """
    file = Path(path).expanduser()
    arrays = _arrays(file)

    def refuse(message: str) -> NoReturn:
        raise DataError(f"{quote(file, 200)}: {message}")

    if "labels" not in arrays or not ({"inputs"} <= set(arrays) or {"values", "lengths"} <= set(arrays)):
        refuse(f"must have labels, and inputs or values with lengths; it has {', '.join(map(quote, sorted(arrays)))}")
    labels = arrays["labels"]
    if labels.ndim != 1 or labels.dtype.kind not in "iuUb":
        refuse(f"labels must be (n,) whole numbers or strings, got {labels.shape} {labels.dtype}")
    name = "inputs" if "inputs" in arrays else "values"
    values = arrays[name]
    if values.dtype.kind not in "fiu" or values.ndim not in ((2, 3) if name == "inputs" else (2,)):
        refuse(f"{name} must be numbers, {'(n, length, channels)' if name == 'inputs' else '(N, channels)'}")
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    if not np.isfinite(values).all():
        refuse(f"{name} has a value that is not finite")
    if name == "inputs":
        inputs: list[Series] = list(values if values.ndim == 3 else values[:, :, None])
    else:
        lengths = arrays["lengths"]
        if lengths.dtype.kind not in "iu" or lengths.ndim != 1 or (lengths < 0).any() or lengths.sum() != len(values):
            refuse(f"lengths must be (n,) whole numbers with the sum {len(values)}, the rows of values")
        starts = starts_of(lengths)
        inputs = [values[start : start + length] for start, length in zip(starts, lengths, strict=True)]
    names = [str(label) for label in labels.tolist()]
    if len(names) != len(inputs) or not inputs or not all(names):
        refuse(f"{len(inputs)} series and {len(names)} labels; want equal numbers, at least one, and no empty label")
    classes = class_order(names)
    source = f"{len(inputs):,} series of {quote(file.name)}, {inputs[0].shape[1]} channels, {len(classes)} classes"
    return Labelled(inputs, label_rows(names, classes), classes, source=source)


def _arrays(file: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file. Declared sizes are compared with the actual ones before memory is allocated."""
    arrays: dict[str, NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(file) as bundle:
            if sum(info.file_size for info in bundle.infolist()) > _MAX_NPZ:
                raise DataError(f"{quote(file, 200)}: more than {_MAX_NPZ:,} bytes")
            for info in bundle.infolist():
                with bundle.open(info) as member:
                    version = np.lib.format.read_magic(member)
                    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
                    shape, _, dtype = read[version](member)
                    if dtype.hasobject or math.prod(shape) * dtype.itemsize + member.tell() != info.file_size:
                        raise DataError(
                            f"{quote(file, 200)}: {quote(info.filename)} does not have the size that it declares"
                        )
                with bundle.open(info) as member:
                    arrays[info.filename.removesuffix(".npy")] = np.lib.format.read_array(member, allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"{quote(file, 200)}: not found") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{quote(file, 200)}: not a valid .npz file: {error}") from None
    return arrays
