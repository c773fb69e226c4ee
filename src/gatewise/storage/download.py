"""Download of a file to the cache: resumable, and accepted only with the right SHA-256."""

from __future__ import annotations

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
from gatewise.system.files import user_cache_folder

_TIMEOUT = 20.0  # seconds without a byte
_ATTEMPTS = 4
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

    A partial download stays in `target`.part, and the next call resumes it. progress: show it on stderr. Raises
    Unreachable without a connection, DataError for an interrupted download, a wrong checksum (the file is then removed)
    and a write error.
    """
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        size = part.stat().st_size if part.exists() else 0
        for attempt in range(_ATTEMPTS):
            before = size
            size = before if before >= remote.size else _attempt(remote, part, before, progress)
            if size >= remote.size or (size == before and attempt):  # complete, or no progress
                break
        if size < remote.size:
            raise DataError(f"{remote.url}: interrupted after {size:,} of {remote.size:,} bytes; run again to resume")
        with open(part, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != remote.sha256:
            part.unlink()
            raise DataError(
                f"{remote.url}: wrong checksum, the file was removed: SHA-256 {found}, not the expected {remote.sha256}"
            )
        os.replace(part, target)
    except OSError as error:
        raise DataError(f"{quote(target, 200)}: cannot be written: {error.strerror or error}") from None
    return target


def _attempt(remote: Remote, part: Path, begin: int, progress: bool) -> int:
    """Append to `part`, which has `begin` bytes, over one connection. Returns the size that it has then."""
    headers = {"User-Agent": "gatewise", "Accept-Encoding": "identity"}
    if begin:
        headers["Range"] = f"bytes={begin}-"
    request = urllib.request.Request(remote.url, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except (OSError, http.client.HTTPException) as error:  # URLError and HTTPError are OSErrors
        code = getattr(error, "code", None)
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        if begin and code == 416:  # the part does not belong to this file
            part.unlink()
            return 0
        reason = f"HTTP {code}" if code else getattr(error, "reason", error)
        raise Unreachable(f"{remote.url}: cannot be reached: {quote(reason)}") from None
    with response:
        resumed = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {begin}-")
        if not resumed:  # a server without range support starts at byte 0
            begin = 0
        length = response.headers.get("Content-Length")
        if length is not None and begin + int(length) != remote.size:
            raise DataError(f"{remote.url}: has {begin + int(length):,} bytes, not the {remote.size:,} expected")
        return _copy(response, part, begin, remote, progress)


def _copy(response: Any, part: Path, begin: int, remote: Remote, progress: bool) -> int:
    """Append the body from byte `begin` on. progress: a line on stderr, rewritten on a terminal, else new every 10 %.
    Returns the size of `part`.
    """
    done = shown = begin
    started, terminal = time.monotonic(), sys.stderr.isatty()
    block = b"first"
    with open(part, "ab" if begin else "wb") as file:
        while block:
            block = b""
            with suppress(OSError, http.client.HTTPException):
                block = response.read(min(_BLOCK, remote.size - done))
            file.write(block)
            done += len(block)
            if progress and (done >= shown or not block):
                shown = done + remote.size // (200 if terminal else 10)
                speed = (done - begin) / max(time.monotonic() - started, 1e-3) / 1e6
                line = f"{remote.name}: {done / 1e6:.1f} of {remote.size / 1e6:.1f} MB, {done / remote.size:.0%}"
                end = "\r" if terminal and block else "\n"
                print(f"{line}, {speed:.1f} MB/s".ljust(70), end=end, file=sys.stderr, flush=True)
        file.flush()
        os.fsync(file.fileno())
    return done
