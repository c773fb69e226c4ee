"""Arrays of .npz and .npy files from strangers: nothing is unpickled, and the declared sizes are compared with the size
of the file before memory is allocated.
"""

import lzma
import math
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import DataError, quote
from gatewise.storage.streams import open_data, unreadable

_MAX_BYTES = 4 << 30  # of all arrays
# What zipfile and NumPy raise for a damaged file.
_DAMAGED = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    SyntaxError,
    lzma.LZMAError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_numpy(file: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file by name, or the array of an .npy file as X. Raises DataError for a file that is
    missing or damaged, for Python objects, and for arrays that are too large.
    """
    arrays: dict[str, NDArray[Any]] = {}
    try:
        if file.suffix.lower() == ".npy":
            with open_data(file) as opened:
                return {"X": _array(opened, file.stat().st_size, file, file.name)}
        with open_data(file) as opened, zipfile.ZipFile(opened) as bundle:
            if sum(info.file_size for info in bundle.infolist()) > _MAX_BYTES:
                raise DataError(f"{quote(file, 200)}: more than {_MAX_BYTES:,} bytes")
            for info in bundle.infolist():
                with bundle.open(info) as member:
                    arrays[info.filename.removesuffix(".npy")] = _array(member, info.file_size, file, info.filename)
    except FileNotFoundError as error:
        raise unreadable(file, error) from None
    except _DAMAGED as error:
        raise DataError(f"{quote(file, 200)}: not a valid {file.suffix.lower()} file: {error}") from None
    return arrays


def _array(opened: IO[bytes], size: int, file: Path, name: str) -> NDArray[Any]:
    """The array in an .npy file of `size` bytes."""
    version = np.lib.format.read_magic(opened)
    header_readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        shape, _, dtype = header_readers[version](opened)
    except (TypeError, MemoryError):  # of Python's parser, which reads it: an unhashable key, too many levels
        raise ValueError("malformed header") from None
    if dtype.hasobject:
        raise DataError(f"{quote(file, 200)}: {quote(name)} holds Python objects: save numbers or strings")
    if math.prod(shape) * dtype.itemsize + opened.tell() != size:
        raise DataError(f"{quote(file, 200)}: {quote(name)} does not have the size that it declares")
    if size > _MAX_BYTES:
        raise DataError(f"{quote(file, 200)}: more than {_MAX_BYTES:,} bytes")
    opened.seek(0)
    return np.lib.format.read_array(opened, allow_pickle=False)
