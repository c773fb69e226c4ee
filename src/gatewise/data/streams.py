"""Files as streams of bytes and lines: plain, gzip (.gz), zstd (.zst) and stdin (-). Nothing is read as a whole."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import re
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

from gatewise.errors import DataError, quote, required

COMPRESSED = {".gz": "gzip", ".zst": "zstd"}
STDIN = "-"
NOT_UTF_8 = "not valid UTF-8"
CONVERT = "convert the file, for example: iconv -f {} -t utf-8 OLD > NEW"
_SIGNATURES = {b"\x1f\x8b": "gzip", b"PAR1": "Parquet", b"ARROW1": "Arrow", b"PK\x03\x04": "a zip or Excel file"}
_SIGNATURES |= {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\x28\xb5\x2f\xfd": "zstd"}
_MAX_LINE = 64 << 20  # bytes
PEEK = 1 << 16  # bytes


def stdin_bytes() -> Any:
    """Standard input as a binary file. Raises DataError where it is closed."""
    if sys.stdin is None:
        raise DataError("stdin: is closed")
    return sys.stdin.buffer


class Stream:
    """An opened file. `raw` are the decompressed bytes; `done` is the part of the file read so far, from 0 to 1."""

    def __init__(self, source: str | Path) -> None:
        """Open a file, or stdin for "-". Raises DataError if it cannot be opened, MissingExtra for zstd."""
        self.where = "stdin" if str(source) == STDIN else quote(source, 200)
        self.size = 0
        self._file: Any = None
        self._opened: list[Any] = []
        if str(source) == STDIN:
            stdin = stdin_bytes()
            # A BufferedReader over another one would wait for 64 kB; over the raw file it returns what is there.
            self.raw: IO[bytes] = io.BufferedReader(getattr(stdin, "raw", stdin), PEEK)
            return
        path = Path(source)
        try:
            self._file = open(path, "rb", buffering=PEEK)  # noqa: SIM115
            self.size = os.fstat(self._file.fileno()).st_size
        except OSError as error:
            reason = "not found" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
            raise DataError(f"{self.where}: {reason}") from None
        self._opened.append(self._file)
        try:
            self.raw = self._decompressed(COMPRESSED.get(path.suffix.lower(), ""))
        except BaseException:
            self.close()
            raise

    @property
    def done(self) -> float | None:
        """The part of the file that has been read, from 0 to 1; None for stdin."""
        if self._file is None:
            return None
        return 1.0 if self._file.closed else self._file.tell() / max(1, self.size)

    def peek(self) -> bytes:
        """Up to 64 kB from the current position, which stays."""
        with self.errors():
            return self.raw.peek(PEEK)[:PEEK]  # type: ignore[attr-defined, no-any-return]

    def check_signature(self) -> None:
        """Skip a byte order mark. Raises DataError for bytes that are not text in UTF-8."""
        start = self.peek()[:8]
        for signature, name in _SIGNATURES.items():
            if start.startswith(signature):
                ending = {"gzip": ".gz", "zstd": ".zst", "Parquet": ".parquet", "Arrow": ".arrow"}.get(name)
                advice = f"its name should end in {ending}" if ending else ""
                advice = CONVERT.format("utf-16") if name == "UTF-16" else advice
                hint = f"; {advice}" if advice else ""
                raise DataError(f"{self.where}: this is {name}, not text in UTF-8{hint}")
        if start.startswith(codecs.BOM_UTF8):
            self.raw.read(len(codecs.BOM_UTF8))

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn errors of reading and decompression within the block into DataError."""
        try:
            yield
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{self.where}: cannot be read: {getattr(error, 'strerror', None) or error}") from None

    def close(self) -> None:
        """Close the file."""
        for opened in reversed(self._opened):
            opened.close()

    def _decompressed(self, compression: str) -> IO[bytes]:
        if not compression:
            return self._file  # type: ignore[no-any-return]
        name = next((one for start, one in _SIGNATURES.items() if self._peek_file().startswith(start)), "")
        if name != compression and self.size:
            raise DataError(f"{self.where}: not {compression}")
        if compression == "gzip":
            inner: Any = gzip.GzipFile(fileobj=self._file)
        else:
            pyarrow = required("pyarrow", "data", f"{self.where}: zstd")
            inner = pyarrow.CompressedInputStream(pyarrow.PythonFile(self._file, "r"), "zstd")
        return io.BufferedReader(inner, PEEK)

    def _peek_file(self) -> bytes:
        return self._file.peek(8)[:8]  # type: ignore[no-any-return]


def read_text(path: str | Path, max_bytes: int | None = None) -> str:
    """The text of a UTF-8 file without its byte order mark. Raises DataError with the file name if it cannot be read,
    is not UTF-8 or has more bytes.
    """
    try:
        with open(path, "rb") as file:
            raw = file.read(-1 if max_bytes is None else max_bytes + 1)
    except OSError as error:
        reason = "not found" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        raise DataError(f"{quote(path, 200)}: {reason}") from None
    if max_bytes is not None and len(raw) > max_bytes:
        raise DataError(f"{quote(path, 200)}: more than {max_bytes:,} bytes")
    return decode(raw, quote(path, 200), "utf-8-sig")


def decode(raw: bytes, where: str, encoding: Literal["utf-8", "utf-8-sig"] = "utf-8") -> str:
    """The text in `raw`; utf-8-sig drops a byte order mark. Raises DataError, which begins with `where`."""
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: {NOT_UTF_8} at byte {error.start}") from None


def split_lines(text: str) -> list[str]:
    """The lines of a text without their ends: \\n, \\r\\n or \\r. What `str.splitlines` also takes for an end, as form
    feed and U+2028, is part of a line.
    """
    lines = re.split("\r\n|\n|\r", text)
    return lines if lines[-1] else lines[:-1]


class Lines:
    """The lines of a stream as text, as `split_lines` without the whole text in memory, and with their ends. `number`
    is the number of the last line, from 1, in the file.

    A line that is not UTF-8 or contains a NUL byte is returned as well, and named in `problem` until that is
    None again, so that a reader of records which span several lines stays in step.
    """

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.number = 0
        self.problem: tuple[int, str] | None = None
        self._pending: list[bytes] = []

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        raw = self._pending.pop() if self._pending else self._read()
        self.number += 1
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            self.problem = self.problem or (self.number, f"{NOT_UTF_8}: byte 0x{raw[error.start]:02X}")
            line = raw.decode("utf-8", "surrogateescape")
        if "\0" in line:
            self.problem = self.problem or (self.number, "a NUL byte")
        return line

    def _read(self) -> bytes:
        with self.stream.errors():
            raw = self.stream.raw.readline(_MAX_LINE)
        if not raw:
            raise StopIteration
        if len(raw) == _MAX_LINE and not raw.endswith(b"\n"):
            raise DataError(f"{self.stream.where}:{self.number + 1}: a line of more than {_MAX_LINE:,} bytes")
        if b"\r" in raw.removesuffix(b"\n")[:-1]:
            parts = re.findall(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", raw)
            self._pending = parts[:0:-1]
            raw = parts[0]
        return raw
