"""Download of a file to the cache, which is accepted only with the right SHA-256."""

import hashlib
import http.client
import os
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatewise.errors import DataError, quote
from gatewise.storage.atomic import scratch
from gatewise.system.files import user_cache_folder

_TIMEOUT = 20.0  # seconds without a byte
_BLOCK = 1 << 16


class Unreachable(DataError):
    """No connection: no network, unknown host, refused, or an HTTP error."""


@dataclass(frozen=True)
class Remote:
    """A file at a URL, with its size in bytes and its SHA-256 in hex."""

    url: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        return self.url.rsplit("/", 1)[-1]


def offline() -> bool:
    """Whether GATEWISE_OFFLINE forbids every download."""
    return os.environ.get("GATEWISE_OFFLINE", "") not in ("", "0")


def cache_folder() -> Path:
    """The folder for downloads: GATEWISE_CACHE, or 'gatewise' in the system's cache folder. It may not exist yet."""
    folder = os.environ.get("GATEWISE_CACHE")
    if folder:
        return Path(folder).expanduser()
    return user_cache_folder() / "gatewise"


def fetch(remote: Remote, target: Path, progress: bool = True) -> Path:
    """Download `remote` to the file `target`, which exists only when it is complete and its SHA-256 is right.

    progress: show it on stderr. Raises Unreachable without a connection, DataError for an interrupted download, another
    size, a wrong checksum and a write error.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with scratch(target.parent) as unfinished:
            sha256 = _copy(remote, unfinished, progress)
            if sha256 != remote.sha256:
                raise DataError(f"{remote.url}: wrong checksum: SHA-256 {sha256}, not the expected {remote.sha256}")
            os.replace(unfinished, target)
    except OSError as error:
        raise DataError(f"{quote(target, 200)}: cannot be written: {error.strerror or error}") from None
    return target


def _copy(remote: Remote, file: Path, progress: bool) -> str:
    """Write the body to `file`. progress: print it to stderr. Returns the SHA-256 in hex."""
    done = 0
    digest = hashlib.sha256()
    line = _ProgressLine(remote)
    with _opened(remote) as response, open(file, "wb") as out:
        length = response.headers.get("Content-Length")
        if length is not None and int(length) != remote.size:
            raise DataError(f"{remote.url}: has {int(length):,} bytes, not the {remote.size:,} expected")
        while True:
            block = b""
            with suppress(OSError, http.client.HTTPException):  # an interruption ends the loop, and is an error below
                block = response.read(min(_BLOCK, remote.size - done))
            if not block:
                break
            out.write(block)
            digest.update(block)
            done += len(block)
            if progress:
                line.update(done)
        if progress:
            line.end(done)
        out.flush()
        os.fsync(out.fileno())
    if done < remote.size:
        raise DataError(f"{remote.url}: interrupted after {done:,} of {remote.size:,} bytes")
    return digest.hexdigest()


def _opened(remote: Remote) -> Any:
    """The response of the server. Raises Unreachable."""
    request = urllib.request.Request(remote.url, headers={"User-Agent": "gatewise", "Accept-Encoding": "identity"})
    try:
        return urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        reason = f"HTTP {error.code}"
    except (OSError, http.client.HTTPException) as error:  # URLError, which has the reason, is an OSError
        reason = str(getattr(error, "reason", error))
    raise Unreachable(f"{remote.url}: cannot be reached: {quote(reason)}")


class _ProgressLine:
    """The progress of a download on stderr: on a terminal one line that is rewritten, otherwise a line every 10 %."""

    def __init__(self, remote: Remote) -> None:
        self.remote = remote
        self.started = time.monotonic()
        self.is_terminal = sys.stderr.isatty()
        self.next_update = 0  # bytes

    def update(self, done: int) -> None:
        """Print the line if enough bytes have arrived since the last one."""
        if done < self.next_update:
            return
        if self.is_terminal:
            self.next_update = done + self.remote.size // 200
            self._print(done, "\r")
        else:
            self.next_update = done + self.remote.size // 10
            self._print(done, "\n")

    def end(self, done: int) -> None:
        """Print the last line."""
        self._print(done, "\n")

    def _print(self, done: int, end: str) -> None:
        size = self.remote.size
        speed = done / max(time.monotonic() - self.started, 1e-3) / 1e6
        line = f"{self.remote.name}: {done / 1e6:.1f} of {size / 1e6:.1f} MB, {done / size:.0%}, {speed:.1f} MB/s"
        print(line.ljust(70), end=end, file=sys.stderr, flush=True)
