"""The page's files over HTTP: packed for those who take it, one tag a form, nothing sent twice."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

import gatewise.serve
from gatewise.serve.static_files import accepts_gzip
from tests.serve.server import ask, post

PAGE = Path(gatewise.serve.__file__).parent / "page"


def test_a_file_is_gzipped_for_clients_that_accept_it(port: int) -> None:
    body = (PAGE / "main.js").read_bytes()
    plain = ask(port, "GET", "/main.js")
    packed = ask(port, "GET", "/main.js", headers={"Accept-Encoding": "br, gzip;q=0.8"})
    assert (plain.status, packed.status) == (200, 200)
    assert plain.body == gzip.decompress(packed.body) == body
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert plain.headers["content-type"] == packed.headers["content-type"] == "text/javascript; charset=utf-8"
    assert plain.headers["vary"] == packed.headers["vary"] == "accept-encoding"
    assert int(packed.headers["content-length"]) == len(packed.body) < len(body) / 2


def test_an_unchanged_file_is_not_sent_again(port: int) -> None:
    tags = set()
    for headers in ({}, {"Accept-Encoding": "gzip"}):
        tag = ask(port, "GET", "/style.css", headers=headers).headers["etag"]
        again = ask(port, "GET", "/style.css", headers={**headers, "If-None-Match": tag})
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
        tags.add(tag)
    assert len(tags) == 2, "a cache must not take one form for the other"


def test_answers_are_never_gzipped(port: int) -> None:
    reply = post(port, "/predict", {"text": "good " * 400}, Accept_Encoding="gzip")
    assert reply.status == 200
    assert "content-encoding" not in reply.headers


@pytest.mark.parametrize(
    ("accepted", "accepts"),
    [
        ([], False),
        (["gzip"], True),
        (["deflate, GZIP ; q=0.5"], True),
        (["br", "gzip;q=1"], True),
        (["gzip;q=0"], False),
        (["gzip; q=0.000"], False),
        (["gzip;q="], False),
        (["identity, *"], False),
        (["xgzip"], False),
    ],
)
def test_accept_encoding_is_read(accepted: list[str], accepts: bool) -> None:
    assert accepts_gzip(accepted) is accepts
