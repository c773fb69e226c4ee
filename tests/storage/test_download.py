"""The downloader against a server on this machine."""

import contextlib
import errno
import hashlib
import http.server
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.data import Labelled, imdb
from gatewise.errors import DataError
from gatewise.storage import download
from gatewise.storage.download import Remote, Unreachable, fetch
from gatewise.target import target_of
from tests.refusals import assert_refused

CONTENT = np.random.default_rng(11).bytes(300_001)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT; what it does wrong is set on the class."""

    sends: int | None = None  # bytes only
    content = CONTENT
    status = 200
    length_header = True

    def do_GET(self) -> None:
        if self.status != 200:
            self.send_error(self.status)
            return
        self.send_response(200)
        if self.length_header:
            self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(self.content[: self.sends])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Server]]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    class Mine(Server):
        pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mine) as running:
        Mine.url = f"http://127.0.0.1:{running.server_port}/file.bin"  # type: ignore[attr-defined]
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield Mine
        running.shutdown()
        thread.join()


def remote(server: type[Server], size: int = len(CONTENT), sha256: str = SHA256) -> Remote:
    return Remote(server.url, size, sha256)  # type: ignore[attr-defined]


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
    assert list(target.parent.iterdir()) == [target]
    out, err = capsys.readouterr()
    assert out == ""
    assert ("file.bin: 0.3 of 0.3 MB, 100%" in err) == (progress != "none")
    assert (err.count("\r") > 2) == (progress == "terminal")
    assert err[-1:] == ("" if progress == "none" else "\n")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sends": 120_000}, "interrupted after 120,000 of 300,001 bytes"),
        ({"content": CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])}, f"not the expected {SHA256}$"),
        ({"content": b"<html>gone</html>"}, "has 17 bytes, not the 300,001 expected"),  # before the bytes are read
    ],
)
def test_a_wrong_file_leaves_nothing(
    server: type[Server], target: Path, changes: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in changes.items():
        monkeypatch.setattr(server, name, value)
    assert_refused(message, fetch, remote(server), target, progress=False, error=DataError)
    assert list(target.parent.iterdir()) == []


def test_a_server_that_never_ends_is_cut_off(server: type[Server], target: Path) -> None:
    server.length_header = False
    server.content = CONTENT * 3
    fetch(remote(server), target, progress=False)
    assert target.read_bytes() == CONTENT


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
    half = Labelled(
        [f"text {n}" for n in range(20)], np.arange(20) % 2, target_of(("a", "b")), source="the embedded half"
    )
    monkeypatch.setattr(module, "embedded_reviews", lambda _: half)
    splits = imdb(progress=False)
    assert "the embedded half" in splits.train.source
    assert "aclImdb_v1.tar.gz: cannot be reached: '[Errno" in splits.train.source
    assert "cannot be reached" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_checksum_does_not_fall_on(
    server: type[Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWISE_CACHE", str(tmp_path))
    monkeypatch.delenv("GATEWISE_OFFLINE", raising=False)
    monkeypatch.setattr(sys.modules[imdb.__module__], "OFFICIAL", remote(server, sha256="0" * 64))
    assert_refused("wrong checksum", imdb, progress=False, error=DataError)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line(server: type[Server], target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download.os, "fsync", full)
    with pytest.raises(DataError, match=r"file\.bin': cannot be written: No space left on device"):
        fetch(remote(server), target, progress=False)
    assert not target.exists()
