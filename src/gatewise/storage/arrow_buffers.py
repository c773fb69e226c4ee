"""What the compressed buffers of an Arrow file declare: its flatbuffers, read without pyarrow, which would allocate."""

import struct
from collections.abc import Iterator
from typing import IO, Self

from gatewise.storage.expansion import Expansion

_RECORDS = {2, 3}  # of Arrow's MessageHeader: DictionaryBatch, RecordBatch


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
