"""Hostile HTTP requests, each with the answers that keep the promise."""

from __future__ import annotations

import gzip
import json
import socket
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.exchange.random_models import WORDS
from trust.mutate import TEXTS, Rng, change_bytes, change_json, choice
from trust.server import TYPE, Answer, Server, read

REFUSED = frozenset({400, 404, 405, 408, 413, 415, 421, 422, 431})
MAX_BODY = 200_000  # of the attacked server
# Texts; headers that give the length {n} of a body in more than one way, or in none that is allowed; hosts, {port} the
# server's and {next} the one after it; headers of a page of another site; and paths.
HOSTILE = json.loads(Path(__file__).with_name("hostile.json").read_text(encoding="utf-8"))
UNICODE: list[str] = [*HOSTILE["texts"], "a\u0301" * 500, "\ufdfa" * 300, "好电影" * 300, "a" * 20_000]
PATHS: list[str] = [*HOSTILE["paths"], f"/model?{'&'.join(['model=texts'] * 500)}", f"/model?model={'a' * 3000}"]


@dataclass(frozen=True)
class Wanted:
    """What one answer must be: the right prediction for this body of /predict (None: no prediction), or a refusal with
    one of these statuses and a reason.
    """

    body: bytes | None
    statuses: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Case:
    """The bytes of a connection and what must come back. may_close: the server may also close the connection before it
    has answered all of it. unfinished: the last request has no end, so nothing can follow it.
    """

    raw: bytes
    wanted: list[Wanted]
    may_close: bool = False
    unfinished: bool = False

    @property
    def shown(self) -> str:
        """The beginning and the end of its bytes."""
        return f"{self.raw[:100]!r} ... {self.raw[-40:]!r}"


def text(rng: Rng, longest: int = 30) -> str:
    """Words of which most are in the vocabulary."""
    return " ".join(rng.choice([*WORDS, "other"], int(rng.integers(1, longest + 1))))


def predict_body(rng: Rng, longest: int = 30) -> bytes:
    """A valid body of /predict: one text or several, and an id that tells the answers apart."""
    body: dict[str, Any] = {"id": f"{rng.integers(2**62):x}"}
    if rng.random() < 0.6:
        body["text"] = text(rng, longest)
    else:
        body["inputs"] = [text(rng, longest) for _ in range(int(rng.integers(1, 9)))]
    return json.dumps(body).encode()


def valid(rng: Rng, server: Server) -> Case:
    body = predict_body(rng)
    return Case(server.post("/predict", body), [Wanted(body)])


def header_bomb(rng: Rng, server: Server) -> Case:
    """Headers of 1 to 300 kB in all: many, or one, or a long target. The limit is 16 KiB."""
    size, body = int(10 ** rng.uniform(3, 5.5)), predict_body(rng)
    kind = choice(rng, ["many", "one", "name", "target"])
    lines, target = [f"Content-Length: {len(body)}"], "/predict"
    match kind:
        case "many":
            lines += [f"X-{n}: {'a' * 90}" for n in range(size // 100)]
        case "one":
            lines.append(f"X: {'a' * size}")
        case "name":
            lines.append(f"{'x' * size}: 1")
        case _:
            target = "/" + "a" * size
    raw = server.head(f"POST {target} HTTP/1.1", TYPE, *lines) + body
    fits = {404} if kind == "target" and size < 17_000 else set()
    refused = frozenset(fits | ({431} if size > 15_000 else set()))
    wanted = Wanted(None if kind == "target" or size > 17_000 else body, refused)
    return Case(raw, [wanted], may_close=size > 15_000)


def ambiguous_length(rng: Rng, server: Server) -> Case:
    """A request within the body of a request. It must never be answered."""
    inner = server.head("GET /v2 HTTP/1.1")
    body = json.dumps({"text": text(rng)}).encode()
    lines = [line.replace("{n}", str(len(body))) for line in choice(rng, HOSTILE["lengths"])]
    content = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if rng.random() < 0.5 else body
    head = server.head("POST /predict HTTP/1.1", TYPE, *lines)
    hidden = inner if rng.random() < 0.7 else b""
    return Case(head + content + hidden, [Wanted(body, REFUSED | {501})], may_close=True, unfinished=True)


def pipelined(rng: Rng, server: Server) -> Case:
    """Up to 30 requests on one connection, some of them refused; the answers come in their order."""
    raw, wanted = [], []
    for _ in range(int(rng.integers(2, 31))):
        body = predict_body(rng)
        match int(rng.integers(5)):
            case 0:
                raw.append(server.post("/predict", body[:-1]))
                wanted.append(Wanted(None, frozenset({400})))
            case 1:
                raw.append(server.post("/nothing", body))
                wanted.append(Wanted(None, frozenset({404})))
            case 2:
                raw.append(server.head("GET /predict HTTP/1.1"))
                wanted.append(Wanted(None, frozenset({405})))
            case _:
                raw.append(server.post("/predict", body))
                wanted.append(Wanted(body))
    return Case(b"".join(raw), wanted)


def no_request_after(rng: Rng, server: Server) -> Case:
    """Valid requests, then bytes that are no request: they are refused after the answers to the requests."""
    bodies = [predict_body(rng, 300) for _ in range(int(rng.integers(1, 6)))]
    rest = {
        b"garbage\r\n\r\n": {400},
        b"\x16\x03\x01\x02\x00\x01": {400},
        server.head("GET http://evil.example/ HTTP/1.1"): {400},
        server.head("GET /v2 HTTP/1.1", f"X: {'a' * 20_000}"): {431},
        server.head("GET /v2 HTTP/1.1")[:-2]: {408},
        server.head("POST /predict HTTP/1.1", TYPE, "Transfer-Encoding: chunked") + b"g\r\n": {400},
    }
    last = choice(rng, list(rest))
    raw = b"".join(server.post("/predict", body) for body in bodies) + last
    wanted = [*map(Wanted, bodies), Wanted(None, frozenset(rest[last]))]
    return Case(raw, wanted, unfinished=True)


def _here(server: Server, text: str) -> str:
    return text.replace("{port}", str(server.port)).replace("{next}", str(server.port + 1))


def wrong_host(rng: Rng, server: Server) -> Case:
    body = predict_body(rng)
    wrong, right = f"Host: {_here(server, choice(rng, HOSTILE['hosts']))}", f"Host: 127.0.0.1:{server.port}"
    lines = choice(rng, [[], [wrong], [wrong], [wrong], [right, wrong], [wrong, right], [right, right]])
    if rng.random() < 0.3:
        lines.append(f"X-Forwarded-{right}")
    request = ["POST /predict HTTP/1.1", *lines, TYPE, f"Content-Length: {len(body)}", "", ""]
    return Case("\r\n".join(request).encode("latin-1") + body, [Wanted(None, frozenset({400, 421}))])


def path_traversal(rng: Rng, server: Server) -> Case:
    path = choice(rng, PATHS)
    for _ in range(int(rng.integers(3)) if path[:1] == "/" else 0):
        path = choice(rng, ["/..", "/%2e%2e", "/.", "/v2/..", "/%2f"]) + path
    method = choice(rng, ["GET", "GET", "DELETE", "PUT", "OPTIONS", "TRACE", "CONNECT", "PATCH", "get", "M-SEARCH"])
    raw = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()
    return Case(raw, [Wanted(None, REFUSED)])


def compressed(rng: Rng, server: Server) -> Case:
    """Compressed bodies, of which some unpack to 30 MB."""
    plain = json.dumps({"text": text(rng)}).encode()
    if rng.random() < 0.5:
        plain = plain[:-2] + b" " * int(rng.integers(30_000_000)) + b'"}'
    packed = gzip.compress(plain, 1, mtime=0) if rng.random() < 0.5 else zlib.compress(plain, 1)
    packed = packed[:MAX_BODY]
    encoding = choice(
        rng, ["gzip", "deflate", "br", "zstd", "GZIP", "x-gzip", "identity, gzip", "gzip, gzip", "*", "a" * 500]
    )
    lines = [f"Content-Encoding: {encoding}"] if rng.random() < 0.8 else []
    refused = frozenset({400, 413, 415} if lines else {400})
    raw = server.head("POST /predict HTTP/1.1", TYPE, *lines, f"Content-Length: {len(packed)}") + packed
    return Case(raw, [Wanted(plain, refused)])


def huge_json(rng: Rng, server: Server) -> Case:
    """Deep, long, or with numbers and keys without end; up to three times the largest body."""
    size = int(10 ** rng.uniform(1, 5.8))
    bodies: list[Callable[[], bytes]] = [
        lambda: b"[" * size,
        lambda: b"[" * (size // 2) + b"]" * (size // 2),
        lambda: b'{"a":' * (size // 6) + b"1" + b"}" * (size // 6),
        lambda: b'{"text":' + b"[" * size,
        lambda: b'{"inputs":[' + b"[]," * (size // 3) + b"[]]}",
        lambda: b'{"inputs":[' + b'"",' * (size // 3) + b'""]}',
        lambda: b'{"text":' + b"9" * size + b"}",
        lambda: b'{"text":1e' + b"9" * size + b"}",
        lambda: b'{"text":"' + b"\\" * size,
        lambda: b"{" + b",".join(b'"k%d":0' % n for n in range(size // 10)) + b"}",
        lambda: b"{" + b'"text":"a",' * (size // 11 + 1) + b'"text":"b"}',
        lambda: b" " * size,
        lambda: b"\x00" * size,
        lambda: b'{"text":"' + b"\\ud800" * (size // 6) + b'"}',
    ]
    body = choice(rng, bodies)()
    path = choice(rng, ["/predict", "/predict", "/explain", "/v2/models/texts/infer"])
    return Case(server.post(path, body), [Wanted(None, frozenset({400, 413}))])


def not_utf8(rng: Rng, server: Server) -> Case:
    """Other encodings of a right body, and bytes that are no text."""
    plain = json.dumps({"text": f"{text(rng)} é"}, ensure_ascii=False)
    encodings = ["latin-1", "utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7", "cp500"]
    bodies: list[Callable[[], bytes]] = [
        lambda: plain.encode(choice(rng, encodings)),
        lambda: rng.bytes(int(rng.integers(1, 2000))),
        lambda: b'{"text":"\xc0\xae"}',  # an overlong form
        lambda: b'{"text":"\xed\xa0\x80"}',  # a surrogate
        lambda: b'{"text":"word1 \xf4\x90\x80\x80"}',  # above U+10FFFF
        lambda: b'{"text":"word1 \xe2\x82"}',
    ]
    body = choice(rng, bodies)()
    utf7 = body.isascii()  # as UTF-7 it may be right JSON with other words
    wanted = Wanted(body if utf7 else None, frozenset({400}))
    return Case(server.post("/predict", body), [wanted])


def unicode_text(rng: Rng, server: Server) -> Case:
    """Texts that break other programs: the answer is the library's, be it a prediction or a reason."""
    one = choice(rng, UNICODE) + (f" {text(rng)}" if rng.random() < 0.5 else "")
    ascii_only = any("\ud800" <= character <= "\udfff" for character in one) or bool(rng.random() < 0.5)
    body = json.dumps({"text": one}, ensure_ascii=ascii_only).encode()
    return Case(server.post("/predict", body), [Wanted(body)])


def truncated(rng: Rng, server: Server) -> Case:
    """A request without its end; the client waits."""
    raw = server.post("/predict", predict_body(rng))
    raw = raw[: int(rng.integers(1, len(raw)))]
    return Case(raw, [Wanted(None, frozenset({408}))], may_close=True, unfinished=True)


def changed_json(rng: Rng, server: Server) -> Case:
    """A valid body with another value, key or form."""
    plain = {"text": text(rng), "id": "a", "model": "texts", "inputs": [text(rng), text(rng)]}
    del plain[choice(rng, ["text", "inputs"])]
    body = change_json(rng, json.dumps(plain).encode())
    if rng.random() < 0.1:
        body = json.dumps({choice(rng, TEXTS): choice(rng, TEXTS), "text": text(rng)}).encode()
    return Case(server.post("/predict", body), [Wanted(body, frozenset({400, 404, 413}))])


def changed_head(rng: Rng, server: Server) -> Case:
    """Changed bytes in the first line and the headers. What is read as a prediction is that of the body."""
    body = json.dumps({"text": text(rng)}).encode()
    head = change_bytes(rng, server.post("/predict", body)[: -len(body) - 4])
    raw = head + b"\r\n\r\n" + body
    return Case(raw, [Wanted(body, REFUSED | {501, 505})], may_close=True, unfinished=True)


def chunked(rng: Rng, server: Server) -> Case:
    """A chunked body: valid in pieces of any size with extensions and trailers, or with a size that is not one."""
    body, at, parts = predict_body(rng, 300), 0, []
    while at < len(body):
        size = int(rng.integers(1, 200 if rng.random() < 0.5 else 3))
        part = body[at : at + size]
        extension = choice(rng, [b"", b"", b";a=b", b';a="' + b"c" * 300 + b'"'])
        parts.append(b"%x%b\r\n%b\r\n" % (len(part), extension, part))
        at += size
    end = choice(rng, [b"0\r\n\r\n", b"0\r\n\r\n", b"0\r\nX: 1\r\n\r\n", b"000\r\n\r\n"])
    head = server.head("POST /predict HTTP/1.1", TYPE, "Transfer-Encoding: chunked")
    if rng.random() < 0.6:
        return Case(head + b"".join(parts) + end, [Wanted(body)])
    bad = choice(
        rng, [b"-1", b"0x5", b"+5", b" 5", b"5 ", b"g", b"", b"5\n", b"f" * 17, b"1" * 5000, b"\xff", b"5;\x00"]
    )
    broken = b"".join(parts[: len(parts) // 2]) + bad + b"\r\n" + b"".join(parts[len(parts) // 2 :]) + end
    return Case(head + broken, [Wanted(body, REFUSED)], may_close=True, unfinished=True)


def trailer_bomb(rng: Rng, server: Server) -> Case:
    """Trailers, or a chunk extension, of up to 30 MB after the body."""
    body, size = predict_body(rng), int(10 ** rng.uniform(3, 7.5))
    start = server.head("POST /predict HTTP/1.1", TYPE, "Transfer-Encoding: chunked")
    start += b"%x\r\n%b\r\n" % (len(body), body)
    match int(rng.integers(3)):
        case 0:
            rest = b"0\r\n" + b"X: aaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * (size // 32) + b"\r\n"
        case 1:
            rest = b"0\r\nX: " + b"a" * size + b"\r\n\r\n"
        case _:
            rest = b"0;" + b"a" * size + b"\r\n\r\n"
    return Case(start + rest, [Wanted(body, REFUSED)], may_close=size > 10_000)


def cross_site(rng: Rng, server: Server) -> Case:
    """Requests that a page of another site could make a browser send."""
    body = predict_body(rng)
    lines = [_here(server, line) for line in choice(rng, HOSTILE["cross_site"])]
    typed = [] if any(line.startswith("Content-Type") for line in lines) else [TYPE]
    raw = server.head("POST /predict HTTP/1.1", *lines, *typed, f"Content-Length: {len(body)}") + body
    return Case(raw, [Wanted(None, frozenset({400, 403, 415}))])


CASES: list[Callable[[Rng, Server], Case]] = [
    valid,
    header_bomb,
    ambiguous_length,
    pipelined,
    no_request_after,
    wrong_host,
    path_traversal,
    compressed,
    huge_json,
    not_utf8,
    unicode_text,
    truncated,
    changed_json,
    changed_head,
    chunked,
    trailer_bomb,
    cross_site,
]


def exchange(server: Server, case: Case, cuts: list[int]) -> list[Answer]:
    """Send the bytes of a case in pieces, and read until the server closes the connection. A case with an end is
    followed by a GET, so that an answer too many is seen.
    """
    last = b"" if case.unfinished else server.head("GET /v2/health/live HTTP/1.1", "Connection: close")
    with server.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(ConnectionError):  # it was refused; what it was told may still be there
            for start, end in zip([0, *cuts], [*cuts, len(case.raw)], strict=True):
                sock.sendall(case.raw[start:end])
            sock.sendall(last)
        return list(read(sock))
