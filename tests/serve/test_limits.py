"""Too large, too many, too slow: each is refused or cut, and the others notice nothing."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from gatewise.model.model import Model
from tests.serve.server import connect, head, post, read_reply, served, wait_for

READ_TIMEOUT = 2  # seconds


@pytest.fixture(scope="module")
def strict(models: dict[str, Model]) -> Iterator[int]:
    """A server that waits for nobody for long."""
    with served(models, read_timeout=READ_TIMEOUT, limit_concurrency=150, max_body=2_000_000) as port:
        yield port


def test_a_body_of_the_largest_size_and_one_byte_more(port: int) -> None:
    text = "a " * 499_990
    for size, status in ((1_000_000, 200), (1_000_001, 413)):
        body = json.dumps({"text": text + "b" * (size - len(text) - 12)}).encode()
        assert len(body) == size
        assert post(port, "/predict", body).status == status


def test_too_large_a_body_is_rejected_before_it_has_arrived(port: int) -> None:
    for length in ("1000001", "9" * 18, "9" * 19, "9" * 400):
        with connect(port, head(port, "/predict", f"Content-Length: {length}")) as sock:
            assert read_reply(sock, 5).status in (400, 413)
    chunk = b"%x\r\n%b\r\n" % (50_000, b"x" * 50_000)
    with connect(port, head(port, "/predict", "Transfer-Encoding: chunked")) as sock:
        for _ in range(21):
            sock.sendall(chunk)
        assert read_reply(sock, 5).status == 413  # the last chunk was never sent


def test_a_stalled_body_is_a_408_after_the_read_timeout(strict: int) -> None:
    """Counted from the first byte of the request, wherever it stalls."""
    start = head(strict, "/predict", "Content-Length: 20")
    plans = [
        [(0.0, start)],
        [(0.0, start + b"{")],
        [(0.0, start), (1.5, b"{")],
        [(0.0, start[:9]), (1.5, start[9:])],
        [(0.0, start[:9]), (1.0, start[9:]), (1.7, b"{")],
        [(0.0, head(strict, "/predict", "Transfer-Encoding: chunked")), (1.0, b"1\r\n{\r\n")],
    ]
    began = time.monotonic()
    socks = [connect(strict) for _ in plans]
    for at, n, part in sorted((at, n, part) for n, plan in enumerate(plans) for at, part in plan):
        time.sleep(max(0.0, began + at - time.monotonic()))
        socks[n].sendall(part)
    for sock in socks:
        reply = read_reply(sock, READ_TIMEOUT + 5)
        assert reply.status == 408
        assert (reply.error["code"], reply.headers["connection"]) == ("request_timeout", "close")
        assert time.monotonic() - began > READ_TIMEOUT - 0.1
        assert read_reply(sock, 5).status == 0, "closed"
        sock.close()


def test_the_time_to_connect_is_not_that_of_the_request(strict: int) -> None:
    body = b'{"text":"good"}'
    with connect(strict) as sock:
        for part in (head(strict, "/predict", f"Content-Length: {len(body)}"), body):
            time.sleep(0.6 * READ_TIMEOUT)
            sock.sendall(part)
        assert read_reply(sock).status == 200


def test_connections_are_limited(strict: int) -> None:
    with ExitStack() as opened:
        socks = [opened.enter_context(connect(strict)) for _ in range(160)]
        assert read_reply(socks[-1], 5).status == 503
        assert read_reply(socks[0], READ_TIMEOUT + 5).status == 408
    wait_for(lambda: post(strict, "/predict", {"text": "good"}).status == 200)


def test_a_long_text_does_not_delay_short_ones(strict: int) -> None:
    """While texts of a million characters run, one after the other, short requests are answered."""
    long = json.dumps({"text": "the film " * 200_000}).encode()
    answered = 0
    with ThreadPoolExecutor(4) as pool:
        slow = [pool.submit(post, strict, "/predict", long) for _ in range(4)]
        while not all(one.done() for one in slow):
            assert post(strict, "/predict", {"text": "good"}).status == 200
            answered += 1
    assert [one.result().status for one in slow] == [200] * 4
    assert answered > 1, "a short one that waits for all the long ones is the only one"


def test_http_1_0(port: int) -> None:
    with connect(port, f"GET /v2 HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()) as sock:
        reply = read_reply(sock)
        assert (reply.status, reply.headers["connection"]) == (200, "close")
