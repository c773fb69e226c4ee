"""Files as bytes and lines of text: plain, gzip (.gz), zstd (.zst) and stdin (-). Nothing is read as a whole."""

import codecs
import gzip
import io
import os
import re
import stat
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

from gatewise.errors import DataError, quote, reason, required
from gatewise.system.files import is_address, open_at_once

COMPRESSED = {".gz": "gzip", ".zst": "zstd"}
STDIN = "-"
NOT_UTF_8 = "not valid UTF-8"
CONVERT = "convert the file, for example: iconv -f {} -t utf-8 OLD > NEW"
_SIGNATURES = {  # name, and what to do about it
    b"\x1f\x8b": ("gzip", "its name should end in .gz"),
    b"\x28\xb5\x2f\xfd": ("zstd", "its name should end in .zst"),
    b"PAR1": ("Parquet", "its name should end in .parquet"),
    b"ARROW1": ("Arrow", "its name should end in .arrow"),
    b"PK\x03\x04": ("a zip or Excel file", ""),
    b"\xff\xfe": ("UTF-16", CONVERT.format("utf-16")),
    b"\xfe\xff": ("UTF-16", CONVERT.format("utf-16")),
}
_MAX_LINE = 64 << 20  # bytes
_PEEK = 1 << 16  # bytes


class FileStream:
    """An opened file, or stdin for "-". raw: the decompressed bytes. line: the number of the last line that was read.

    problem: a line that is not UTF-8 or contains a NUL byte, and what is wrong with it, until it is set to None. Raises
    DataError, as its methods, if the file cannot be read, MissingExtra for zstd.
    """

    def __init__(self, source: str | Path) -> None:
        self.line = 0
        self.size = 0
        self.problem: tuple[int, str] | None = None
        self._file: Any = None
        if str(source) == STDIN:
            self.where = "stdin"
            stdin = stdin_bytes()
            # A BufferedReader over another one would wait for 64 kB; over the raw file it returns what has arrived.
            self.raw: IO[bytes] = io.BufferedReader(getattr(stdin, "raw", stdin), _PEEK)
            return
        self.where = quote(source, 200)
        try:
            self._file = open_data(source)
            self.size = os.fstat(self._file.fileno()).st_size
        except OSError as error:
            raise unreadable(source, error) from None
        self.raw = self._file
        compression = COMPRESSED.get(Path(source).suffix.lower(), "")
        if compression:
            try:
                self.raw = self._decompressed(compression)
            except BaseException:
                self.close()
                raise

    def _decompressed(self, compression: str) -> io.BufferedReader:
        """The decompressed bytes of the file, which count against its limit of memory."""
        from gatewise.storage.expansion import Expanded, Expansion  # most files are not compressed

        signatures = tuple(signature for signature, (name, _) in _SIGNATURES.items() if name == compression)
        if self.size and not self._file.peek(8).startswith(signatures):
            raise DataError(f"{self.where}: not {compression}")
        inner: Any
        if compression == "gzip":
            inner = gzip.GzipFile(fileobj=self._file)
        else:
            pyarrow = required("pyarrow", "data", f"{self.where}: zstd")
            inner = pyarrow.CompressedInputStream(pyarrow.PythonFile(self._file, "r"), "zstd")
        return io.BufferedReader(Expanded(inner, Expansion(self.size, self.where)), _PEEK)

    @property
    def done(self) -> float | None:
        """The share of the file that has been read, from 0 to 1; None for stdin."""
        if self._file is None:
            return None
        if self._file.closed:
            return 1.0
        return float(self._file.tell() / max(1, self.size))

    def peek(self) -> bytes:
        """Up to 64 kB from the current position, which stays."""
        with self.errors():
            return self.raw.peek(_PEEK)[:_PEEK]  # type: ignore[attr-defined, no-any-return]

    def check_text(self) -> None:
        """Skip a byte order mark. Raises DataError for bytes that are not text in UTF-8."""
        start = self.peek()[:8]
        for signature, (name, advice) in _SIGNATURES.items():
            if start.startswith(signature):
                message = f"{self.where}: this is {name}, not text in UTF-8"
                if advice:
                    message += f"; {advice}"
                raise DataError(message)
        if start.startswith(codecs.BOM_UTF8):
            self.raw.read(len(codecs.BOM_UTF8))

    def lines(self) -> Iterator[str]:
        """The lines as text with their ends, as `split_lines` finds them. A line with a problem is among them, so that
        a reader of records with several lines can find the end of the record.
        """
        while True:
            with self.errors():
                raw = self.raw.readline(_MAX_LINE)
            if not raw:
                return
            if len(raw) == _MAX_LINE and not raw.endswith(b"\n"):
                raise DataError(f"{self.where}:{self.line + 1}: a line of more than {_MAX_LINE:,} bytes")
            raw_lines = [raw]
            if b"\r" in raw.removesuffix(b"\n")[:-1]:  # \r ends a line, too
                raw_lines = re.findall(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", raw)
            for raw_line in raw_lines:
                self.line += 1
                yield self._decoded(raw_line)

    def _decoded(self, raw_line: bytes) -> str:
        """The text of the line `self.line`. A problem is noted, unless an earlier one is."""
        problem = ""
        try:
            line = raw_line.decode("utf-8")
        except UnicodeDecodeError as error:
            problem = f"{NOT_UTF_8}: byte 0x{raw_line[error.start]:02X}"
            line = raw_line.decode("utf-8", "surrogateescape")
        if not problem and "\0" in line:
            problem = "a NUL byte"
        if problem and self.problem is None:
            self.problem = (self.line, problem)
        return line

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn errors of reading and decompression within the block into DataError."""
        try:
            yield
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{self.where}: cannot be read: {getattr(error, 'strerror', None) or error}") from None

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def open_data(path: str | Path) -> IO[bytes]:
    """A file of data, open for reading. Raises OSError, and DataError for a FIFO: the begin of a file is read to see
    what it is, and then read again, which a FIFO does not allow.
    """
    file = open(path, "rb", buffering=_PEEK, opener=open_at_once)  # noqa: SIM115
    if stat.S_ISFIFO(os.fstat(file.fileno()).st_mode):
        file.close()
        raise DataError(f"{quote(path, 200)}: a FIFO: give a file, or its content on stdin (-)")
    return file


def unreadable(path: str | Path, error: OSError) -> DataError:
    """The error for a file that cannot be read."""
    if is_address(path):
        return DataError(f"{quote(path, 200)}: an address, and only files are read: download it first")
    if isinstance(error, IsADirectoryError):
        pattern = os.path.join(path, "*.csv")
        return DataError(
            f"{quote(path, 200)}: a folder, and files are read: name them, for example {quote(pattern, 200)}"
        )
    if isinstance(error, FileNotFoundError):
        return DataError(f"{quote(path, 200)}: not found")
    return DataError(f"{quote(path, 200)}: cannot be read: {reason(error)}")


def stdin_bytes() -> Any:
    """Standard input as a binary file. Raises DataError where it is closed."""
    if sys.stdin is None:
        raise DataError("stdin: is closed")
    return sys.stdin.buffer


def read_text(path: str | Path, max_bytes: int | None = None) -> str:
    """The text of a UTF-8 file without its byte order mark. Raises DataError with the file name if it cannot be read,
    is not UTF-8 or has more than `max_bytes` bytes.
    """
    size = -1  # all
    if max_bytes is not None:
        size = max_bytes + 1
    try:
        with open_data(path) as file:
            raw = file.read(size)
    except OSError as error:
        raise unreadable(path, error) from None
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
    """The lines of a text without their ends: \\n, \\r\\n or \\r. Other characters at which `str.splitlines` ends a
    line, such as form feed and U+2028, are part of a line.
    """
    lines = re.split("\r\n|\n|\r", text)
    if not lines[-1]:  # the text ends with the end of a line
        lines.pop()
    return lines
