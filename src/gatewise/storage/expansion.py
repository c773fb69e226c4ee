"""How large a compressed file may become: some hundred bytes can stand for gigabytes."""

import io
import os
from typing import Any

from gatewise.errors import DataError, InputError, quote

OPTION = "GATEWISE_MAX_EXPANSION"
_RATIO = 100  # bytes per byte of the file; texts have 3 to 10
_FREE = 256 << 20  # bytes that any file may have: a million short rows, which can be equal
_ROW = 64  # bytes in memory of a row, at least
_POINTER = 8  # bytes in memory of a value, at least


class Expansion:
    """Counts the bytes of a file in memory. Raises DataError for more than 256 MB and 100 per byte of the file; the
    environment variable GATEWISE_MAX_EXPANSION is another ratio.
    """

    def __init__(self, size: int, where: str) -> None:
        ratio = os.environ.get(OPTION, f"{_RATIO}")
        if not ratio.isascii() or not ratio.isdigit():
            raise InputError(f"{OPTION} must be a whole number, not {quote(ratio)}")
        self.size, self.where, self.count, self.limit = size, where, 0, max(_FREE, int(ratio) * size)

    def add(self, size: int, rows: int = 0) -> None:
        """Count so many bytes, and as many as the rows need."""
        self.count += size + _ROW * rows
        if self.count > self.limit:
            raise DataError(
                f"{self.where}: {self.size:,} bytes that become {self.count:,} or more, as those of a hostile file do: "
                f"if it is right, set {OPTION}={-(-self.count // max(self.size, 1))} or more"
            )

    def rows(self, size: int, most: int) -> int:
        """How many rows are decoded at once, each of which may hold all `size` bytes: as an entry of a dictionary."""
        return min(most, max(1, self.limit // max(size, 1)))


class Expanded(io.RawIOBase):
    """A stream of decompressed bytes that counts them."""

    def __init__(self, inner: Any, expansion: Expansion) -> None:
        self.inner, self.expansion = inner, expansion

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """As `io.RawIOBase`."""
        n: int = self.inner.readinto(buffer)
        self.expansion.add(n)
        return n


def check_parquet(metadata: Any, expansion: Expansion) -> int:
    """Raise DataError where the row groups are too large. metadata: `pyarrow.parquet.FileMetaData`. Returns the bytes
    of the largest row group, in which an entry of a dictionary stands once.
    """
    groups = [metadata.row_group(k) for k in range(metadata.num_row_groups)]
    values = sum(group.column(j).num_values for group in groups for j in range(group.num_columns))  # also of lists
    expansion.add(sum(max(group.total_byte_size, 0) for group in groups) + _POINTER * values, max(metadata.num_rows, 0))
    expansion.count = 0  # what is read is counted again
    return max((group.total_byte_size for group in groups), default=0)


def values_size(array: Any, compute: Any) -> int:
    """Bytes in memory of the values of an Arrow array, at least: of the entry of a dictionary for each row that has
    it. compute: `pyarrow.compute`.
    """
    parts = [array.keys, array.items] if hasattr(array, "keys") else []  # of a map
    if hasattr(array, "flatten") and not parts:
        found = array.flatten()  # the items of lists, or the columns of a struct
        parts = found if isinstance(found, list) else [found]
    if parts:
        return sum(values_size(one, compute) for one in parts)
    size, kind = _POINTER * len(array), str(array.type)
    if hasattr(array, "dictionary"):
        entries = array.dictionary
        if entries.type not in ("string", "large_string", "binary", "large_binary"):
            return size + len(array) * int(entries.nbytes)
        return size + (compute.sum(compute.binary_length(entries).take(array.indices)).as_py() or 0)
    if kind.startswith("run_end_encoded"):
        return size + len(array) * int(array.values.nbytes)
    if kind.endswith("_view"):
        return size + (compute.sum(compute.binary_length(array.cast(kind.removesuffix("_view")))).as_py() or 0)
    return size + int(array.nbytes)
