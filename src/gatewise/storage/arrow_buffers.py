"""The declared sizes of the compressed buffers of an Arrow file. pyarrow allocates what a file declares, so its
flatbuffers are read here first.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import IO, Self

from gatewise.storage.expansion import Expansion

_END_OF_STREAM = 0  # the size of a message that ends a stream
_CONTINUATION = 0xFFFFFFFF  # precedes the size of a message since Arrow 0.15
_DICTIONARY_BATCH = 2  # of MessageHeader
_RECORD_BATCH = 3  # of MessageHeader
_MAX_MESSAGE = 64 << 20  # bytes of the metadata of a message that are read


def check_arrow(file: IO[bytes], expansion: Expansion) -> None:
    """Raise DataError where the compressed buffers of an Arrow file or stream declare too many bytes. A compressed
    buffer begins with its length after decompression (Arrow's columnar format, encapsulated messages).
    """
    start = file.tell()
    try:
        is_file = file.read(6) == b"ARROW1"
        if is_file:
            file.seek(8)
        else:
            file.seek(start)
        for length in _declared_lengths(file):
            expansion.add(max(length, 0))
    except (struct.error, IndexError, OverflowError):
        pass  # the file is damaged; pyarrow reports it
    finally:
        expansion.count = 0
        file.seek(start)


def _declared_lengths(file: IO[bytes]) -> Iterator[int]:
    """The declared length of each compressed buffer."""
    while True:
        size = _number("<I", file.read(4))
        if size == _CONTINUATION:
            size = _number("<I", file.read(4))
        if size == _END_OF_STREAM:
            return
        raw = file.read(min(size, _MAX_MESSAGE))
        message = _FlatTable(raw, _number("<I", raw))  # fields: version, kind, header, length of the body
        kind = message.number(1, "<B")
        body = file.tell()
        end = body + message.number(3, "<q")
        if end < body:  # the same messages would be read again and again
            raise IndexError
        if kind == _RECORD_BATCH:
            yield from _lengths_of_batch(file, body, message.table(2))
        elif kind == _DICTIONARY_BATCH:
            dictionary = message.table(2)  # fields: id, data
            yield from _lengths_of_batch(file, body, dictionary.table(1))
        file.seek(end)


def _lengths_of_batch(file: IO[bytes], body: int, batch: _FlatTable) -> Iterator[int]:
    """The declared length of each buffer of a record batch, whose fields are length, nodes, buffers, compression."""
    is_compressed = batch.place(3) != 0
    if not is_compressed:
        return
    for offset, length in batch.buffers(2):
        if length >= 8:
            file.seek(body + offset)
            yield _number("<q", file.read(8))


class _FlatTable:
    """A table of a flatbuffer: a table begins with the distance to the list of the places of its fields."""

    def __init__(self, raw: bytes, at: int) -> None:
        self.raw = raw
        self.at = at
        self.fields = at - _number("<i", raw, at)

    def place(self, field: int) -> int:
        """The place of the field in the buffer; 0 for a field that is absent."""
        entry = 4 + 2 * field
        size_of_list = _number("<H", self.raw, self.fields)
        if entry >= size_of_list:
            return 0
        distance = _number("<H", self.raw, self.fields + entry)
        if distance == 0:
            return 0
        return self.at + distance

    def number(self, field: int, form: str) -> int:
        """The number in the field; 0, the default of flatbuffers, for a field that is absent."""
        place = self.place(field)
        if place == 0:
            return 0
        return _number(form, self.raw, place)

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
    [number] = struct.unpack_from(form, raw, at)
    return int(number)
