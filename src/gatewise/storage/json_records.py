"""The records of JSON Lines, or of a JSON list, one by one: the whole is never in memory."""

import re
from collections.abc import Iterator

from gatewise.errors import DataError
from gatewise.storage.streams import FileStream

_MAX_OBJECT = 64 << 20  # bytes of a record


def json_records(stream: FileStream) -> Iterator[tuple[int, bytes]]:
    """(line, bytes) of each record; the records are not parsed. Raises DataError for a list that is not closed, for
    records that are not separated by one comma, and for a record of more than 64 MB.
    """
    if stream.peek().lstrip()[:1] == b"[":
        return _json_list(stream)
    return _json_lines(stream)


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
_AFTER_SCALAR = re.compile(rb"[,\]]")
_TOKENS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|"|[{}\[\]]', re.DOTALL)  # a string, an open string, or a bracket


def _json_list(stream: FileStream) -> Iterator[tuple[int, bytes]]:
    """(line, bytes) of each element of a JSON list, found by its brackets, without the whole list in memory."""
    buffer = b""
    at = 0  # the end of the last record in the buffer
    line = 1
    is_open = False
    is_first = True

    def fail(reason: str) -> DataError:
        return DataError(f"{stream.where}:{line}: not JSON: {reason}")

    while True:
        # A record is searched again from its begin after each read. Each read doubles what the buffer has of it, so
        # that at most twice its length is searched in all.
        with stream.errors():
            more = stream.raw.read(max(1 << 16, len(buffer) - at))
        if not more:
            raise fail("the list is not closed")
        buffer = buffer[at:] + more
        at = 0
        if len(buffer) > _MAX_OBJECT:
            raise fail(f"a record of more than {_MAX_OBJECT:,} bytes")
        if not is_open:
            is_open = True
            at = buffer.index(b"[") + 1
            line += buffer.count(b"\n", 0, at)
        while True:
            begin = _GAP.match(buffer, at).end()  # type: ignore[union-attr]
            mark = buffer[begin : begin + 1]
            if not mark:
                break
            is_end = mark == b"]"
            commas = 0 if is_first or is_end else 1
            if buffer.count(b",", at, begin) != commas:
                raise fail("there must be one comma between two records")
            if is_end:
                if _has_more(stream, buffer[begin + 1 :]):
                    raise fail("there is something after the end of the list")
                return
            end = _element_end(buffer, begin)
            if not end:
                break
            line += buffer.count(b"\n", at, begin)
            yield line, buffer[begin:end]
            line += buffer.count(b"\n", begin, end)
            at = end
            is_first = False


def _has_more(stream: FileStream, rest: bytes) -> bool:
    """Whether anything but space follows. rest: what is read already."""
    while not rest.strip(_SPACE):
        with stream.errors():
            rest = stream.raw.read(1 << 16)
        if not rest:
            return False
    return True


def _element_end(buffer: bytes, begin: int) -> int:
    """The end of the JSON value that begins at `begin`; 0 if the buffer does not hold it yet."""
    if buffer[begin : begin + 1] not in (b"{", b"["):
        following = _AFTER_SCALAR.search(buffer, begin)
        if following is None:
            return 0
        return following.start()
    depth = 0
    for token in _TOKENS.finditer(buffer, begin):
        mark = token[0]
        if mark == b'"':
            return 0  # a string that is not closed yet
        if mark in (b"{", b"["):
            depth += 1
        elif mark in (b"}", b"]"):
            depth -= 1
            if depth == 0:
                return token.end()
    return 0
