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
    chosen = os.environ.get("GATEWISE_CACHE")
    return Path(chosen).expanduser() if chosen else user_cache_folder() / "gatewise"


def fetch(remote: Remote, target: Path, progress: bool = True) -> Path:
    """Download `remote` to the file `target`, which exists only when it is complete and its SHA-256 is right.

    progress: show it on stderr. Raises Unreachable without a connection, DataError for an interrupted download, another
    size, a wrong checksum and a write error.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with scratch(target.parent) as unfinished:
            found = _copy(remote, unfinished, progress)
            if found != remote.sha256:
                raise DataError(f"{remote.url}: wrong checksum: SHA-256 {found}, not the expected {remote.sha256}")
            os.replace(unfinished, target)
    except OSError as error:
        raise DataError(f"{quote(target, 200)}: cannot be written: {error.strerror or error}") from None
    return target


def _copy(remote: Remote, file: Path, progress: bool) -> str:
    """Write the body to `file`. progress: a line on stderr, rewritten on a terminal, else new every 10 %. Returns the
    SHA-256 in hex.
    """
    request = urllib.request.Request(remote.url, headers={"User-Agent": "gatewise", "Accept-Encoding": "identity"})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except (OSError, http.client.HTTPException) as error:  # URLError and HTTPError are OSErrors
        code = getattr(error, "code", None)
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        reason = f"HTTP {code}" if code else getattr(error, "reason", error)
        raise Unreachable(f"{remote.url}: cannot be reached: {quote(reason)}") from None
    done = shown = 0
    started, terminal, digest, block = time.monotonic(), sys.stderr.isatty(), hashlib.sha256(), b"first"
    with response, open(file, "wb") as out:
        length = response.headers.get("Content-Length")
        if length is not None and int(length) != remote.size:
            raise DataError(f"{remote.url}: has {int(length):,} bytes, not the {remote.size:,} expected")
        while block:
            block = b""
            with suppress(OSError, http.client.HTTPException):
                block = response.read(min(_BLOCK, remote.size - done))
            out.write(block)
            digest.update(block)
            done += len(block)
            if progress and (done >= shown or not block):
                shown = done + remote.size // (200 if terminal else 10)
                speed = done / max(time.monotonic() - started, 1e-3) / 1e6
                line = f"{remote.name}: {done / 1e6:.1f} of {remote.size / 1e6:.1f} MB, {done / remote.size:.0%}"
                end = "\r" if terminal and block else "\n"
                print(f"{line}, {speed:.1f} MB/s".ljust(70), end=end, file=sys.stderr, flush=True)
        out.flush()
        os.fsync(out.fileno())
    if done < remote.size:
        raise DataError(f"{remote.url}: interrupted after {done:,} of {remote.size:,} bytes")
    return digest.hexdigest()
