"""How large a compressed file may become: some hundred bytes can stand for gigabytes."""

import io
import os
import struct
from collections.abc import Iterator
from typing import IO, Any, Self

from gatewise.errors import DataError, InputError, quote

OPTION = "GATEWISE_MAX_EXPANSION"
_RATIO = 100  # bytes per byte of the file; texts have 3 to 10
_FREE = 256 << 20  # bytes that any file may have: a million short rows, which can be equal
_ROW = 64  # bytes in memory of a row, at least
_POINTER = 8  # bytes in memory of a value, at least
_RECORDS = {2, 3}  # of Arrow's MessageHeader: DictionaryBatch, RecordBatch


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


def check_arrow(file: IO[bytes], expansion: Expansion) -> None:
    """Raise DataError where a buffer of an Arrow file or stream declares too many bytes (Arrow's columnar format,
    encapsulated messages: a compressed buffer begins with its length).
    """
    start = file.tell()
    try:
        file.seek(8 if file.read(6) == b"ARROW1" else start)
        for declared in _declared(file):
            expansion.add(max(declared, 0))
    except (struct.error, IndexError, OverflowError):
        pass  # damaged, which pyarrow says
    finally:
        expansion.count = 0
        file.seek(start)


def _declared(file: IO[bytes]) -> Iterator[int]:
    """The declared length of each compressed buffer."""
    while True:
        size = _number("<I", file.read(4))
        size = _number("<I", file.read(4)) if size == 0xFFFFFFFF else size
        if size == 0:
            return
        raw = file.read(min(size, 64 << 20))
        message = _Table(raw, _number("<I", raw))
        body, end = file.tell(), file.tell() + message.number(3, "<q")
        if end < body:  # it would be read again and again
            raise IndexError
        if (kind := message.number(1, "<B")) in _RECORDS:
            batch = message.table(2) if kind == 3 else message.table(2).table(1)
            if batch.place(3):  # compressed
                for offset, length in batch.buffers(2):
                    if length >= 8:
                        file.seek(body + offset)
                        yield _number("<q", file.read(8))
        file.seek(end)


class _Table:
    """A table of a flatbuffer."""

    def __init__(self, raw: bytes, at: int) -> None:
        self.raw, self.at, self.fields = raw, at, at - _number("<i", raw, at)

    def place(self, field: int) -> int:
        """Where the field is; 0 for one that is absent."""
        offset = 4 + 2 * field
        known = offset < _number("<H", self.raw, self.fields)
        found = _number("<H", self.raw, self.fields + offset) if known else 0
        return self.at + found if found else 0

    def number(self, field: int, form: str) -> int:
        place = self.place(field)
        return _number(form, self.raw, place) if place else 0

    def table(self, field: int) -> Self:
        place = self.place(field)
        return type(self)(self.raw, place + _number("<I", self.raw, place))

    def buffers(self, field: int) -> Iterator[tuple[int, int]]:
        """Offset and length of each struct Buffer of a vector."""
        place = self.place(field)
        start = place + _number("<I", self.raw, place)
        for k in range(_number("<I", self.raw, start)):
            offset, length = struct.unpack_from("<qq", self.raw, start + 4 + 16 * k)
            yield offset, length


def _number(form: str, raw: bytes, at: int = 0) -> int:
    if at < 0:
        raise IndexError
    found: int = struct.unpack_from(form, raw, at)[0]
    return found
