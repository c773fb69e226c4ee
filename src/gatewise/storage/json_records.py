"""The records of JSON Lines, or of a JSON list, one by one: the whole is never in memory."""

import re
from collections.abc import Iterator

from gatewise.errors import DataError
from gatewise.storage.streams import FileStream

_MAX_OBJECT = 64 << 20  # bytes of a record


def json_records(stream: FileStream) -> Iterator[tuple[int, bytes]]:
    """(line, bytes) of each record; the records are not parsed. Raises DataError for a list that is not closed, for
    what is not separated by one comma, and for a record of more than 64 MB.
    """
    return _json_list(stream) if stream.peek().lstrip()[:1] == b"[" else _json_lines(stream)


def _json_lines(stream: FileStream) -> Iterator[tuple[int, bytes]]:
    number = 0
    while True:
        with stream.errors():
            raw = stream.raw.readline(_MAX_OBJECT)
        if not raw:
            return
        number += 1
        if len(raw) == _MAX_OBJECT:
            raise DataError(f"{stream.where}:{number}: a record of more than {_MAX_OBJECT:,} bytes")
        if raw.strip():
            yield number, raw.strip(b"\r\n")


_SPACE = b" \t\n\r"  # of JSON
_GAP = re.compile(rb"[ \t\n\r,]*")
_PARTS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|"|[{}\[\]]', re.DOTALL)


def _json_list(stream: FileStream) -> Iterator[tuple[int, bytes]]:
    """(line, bytes) of each element of a JSON list, found by its brackets, without the whole list in memory."""
    buffer, at, number = b"", 0, 1
    opened, first = False, True

    def fail(reason: str) -> DataError:
        return DataError(f"{stream.where}:{number}: not JSON: {reason}")

    while True:
        with stream.errors():
            # As much again as the record has so far, which is searched from its begin: twice its length in all.
            more = stream.raw.read(max(1 << 16, len(buffer) - at))
        if not more:
            raise fail("the list is not closed")
        buffer, at = buffer[at:] + more, 0
        if len(buffer) > _MAX_OBJECT:
            raise fail(f"a record of more than {_MAX_OBJECT:,} bytes")
        if not opened:
            opened, at = True, buffer.index(b"[") + 1
            number += buffer.count(b"\n", 0, at)
        while True:
            begin = _GAP.match(buffer, at).end()  # type: ignore[union-attr]
            mark = buffer[begin : begin + 1]
            if mark and buffer.count(b",", at, begin) != (0 if first or mark == b"]" else 1):
                raise fail("there must be one comma between two records")
            if mark == b"]":
                rest = buffer[begin + 1 :]
                while not rest.strip(_SPACE):
                    with stream.errors():
                        rest = stream.raw.read(1 << 16)
                    if not rest:
                        return
                raise fail("there is something after the end of the list")
            end = _element_end(buffer, begin) if mark else 0
            if not end:
                break
            number += buffer.count(b"\n", at, begin)
            yield number, buffer[begin:end]
            number += buffer.count(b"\n", begin, end)
            at, first = end, False


def _element_end(buffer: bytes, begin: int) -> int:
    """Where the JSON value ends that begins at `begin`; 0 if its end is not there yet."""
    if buffer[begin : begin + 1] not in (b"{", b"["):
        other = re.compile(rb"[,\]]").search(buffer, begin)
        return other.start() if other else 0
    depth = 0
    for part in _PARTS.finditer(buffer, begin):
        mark = part[0]
        if mark == b'"':
            return 0  # a string that is not closed yet
        if len(mark) == 1:
            depth += 1 if mark in b"{[" else -1
            if depth == 0:
                return part.end()
    return 0
