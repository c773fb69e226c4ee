"""The limit of what a compressed file may become in memory: a hundred bytes can stand for gigabytes."""

import io
import math
import os
from typing import Any

from gatewise.errors import DataError, InputError, quote

OPTION = "GATEWISE_MAX_EXPANSION"
_RATIO = 100  # bytes in memory per byte of the file; texts have 3 to 10
_FREE = 256 << 20  # bytes in memory that every file may take: a million short rows may be equal
_ROW = 64  # bytes in memory that a row takes at least
_POINTER = 8  # bytes in memory that a value takes at least


class Expansion:
    """Counts the bytes that a file takes in memory. size: bytes of the file. where: the file in messages.

    Raises DataError for more than 256 MB if it is also more than 100 bytes per byte of the file. The environment
    variable GATEWISE_MAX_EXPANSION sets another ratio.
    """

    def __init__(self, size: int, where: str) -> None:
        ratio = os.environ.get(OPTION, f"{_RATIO}")
        if not ratio.isascii() or not ratio.isdigit():
            raise InputError(f"{OPTION} must be a whole number, not {quote(ratio)}")
        self.size = size
        self.where = where
        self.count = 0
        self.limit = max(_FREE, int(ratio) * size)

    def add(self, size: int, rows: int = 0) -> None:
        """Count `size` bytes, and the bytes that so many rows take."""
        self.count += size + _ROW * rows
        if self.count > self.limit:
            needed = math.ceil(self.count / max(self.size, 1))
            raise DataError(
                f"{self.where}: {self.size:,} bytes that become {self.count:,} or more, as those of a hostile file do: "
                f"if it is right, set {OPTION}={needed} or more"
            )

    def rows(self, size: int, most: int) -> int:
        """The number of rows that are decoded at once, at most `most`. Each row may take all `size` bytes, for example
        where it is an entry of a dictionary.
        """
        fitting = self.limit // max(size, 1)
        return min(most, max(1, fitting))


class Expanded(io.RawIOBase):
    """A stream of decompressed bytes that counts them."""

    def __init__(self, inner: Any, expansion: Expansion) -> None:
        self.inner = inner
        self.expansion = expansion

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """As `io.RawIOBase`."""
        n: int = self.inner.readinto(buffer)
        self.expansion.add(n)
        return n


def check_parquet(metadata: Any, expansion: Expansion) -> int:
    """Raise DataError where the row groups declare too many bytes. metadata: `pyarrow.parquet.FileMetaData`. Returns
    the bytes of the largest row group, which holds each entry of a dictionary once.
    """
    groups = [metadata.row_group(k) for k in range(metadata.num_row_groups)]
    values = sum(group.column(j).num_values for group in groups for j in range(group.num_columns))  # also of lists
    size = sum(max(group.total_byte_size, 0) for group in groups)
    expansion.add(size + _POINTER * values, max(metadata.num_rows, 0))
    expansion.count = 0  # the rows are counted again when they are read
    return max((group.total_byte_size for group in groups), default=0)


def values_size(array: Any, compute: Any) -> int:
    """The bytes that the values of an Arrow array take in memory, at least. An entry of a dictionary counts once per
    row that has it: each row gets a copy. compute: `pyarrow.compute`.
    """
    children = _children(array)
    if children:
        return sum(values_size(child, compute) for child in children)
    pointers = _POINTER * len(array)
    type = str(array.type)
    if hasattr(array, "dictionary"):
        entries = array.dictionary
        if entries.type not in ("string", "large_string", "binary", "large_binary"):
            return pointers + len(array) * int(entries.nbytes)  # the size of one entry is not known
        lengths = compute.binary_length(entries).take(array.indices)
        return pointers + (compute.sum(lengths).as_py() or 0)
    if type.startswith("run_end_encoded"):
        return pointers + len(array) * int(array.values.nbytes)
    if type.endswith("_view"):
        lengths = compute.binary_length(array.cast(type.removesuffix("_view")))
        return pointers + (compute.sum(lengths).as_py() or 0)
    return pointers + int(array.nbytes)


def _children(array: Any) -> list[Any]:
    """The arrays in a nested array: keys and items of a map, items of lists, columns of a struct. Others have none."""
    if hasattr(array, "keys"):
        return [array.keys, array.items]
    if not hasattr(array, "flatten"):
        return []
    flat = array.flatten()
    if isinstance(flat, list):
        return flat
    return [flat]
