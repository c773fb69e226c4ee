"""What operators expect: request ids, a log in JSON, compressed bodies, draining, a socket, CORS, new models."""

import gzip
import http.client
import json
import re
import shutil
import signal
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.model import bundled
from gatewise.model.model import Model
from gatewise.serve.lstm_file import lesson_files
from gatewise.serve.settings import Settings
from tests.serve.server import Answer, Server, ask, connect, post, read_reply, refuses, serving, wait_for
from tests.serve.test_startup import refused

TOKEN, SCRAPER, SITE = "correct-horse-battery", "scraper-4711", "https://app.example.org"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def operated(folders: dict[str, Path]) -> Iterator[Server]:
    words = ("--token", TOKEN, "--metrics-token", SCRAPER, "--cors", SITE, "--max-body", 100_000)
    with serving(folders["reviews"], folders["gestures"], *words, "--access-log", "--lesson") as found:
        yield found


def authorised(server: Server, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    given = {"Authorization": f"Bearer {TOKEN}", **JSON, **{name.replace("_", "-"): v for name, v in headers.items()}}
    raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    return ask(server.port, method, path, raw, given)


def test_ids_are_repeated_and_logged(operated: Server) -> None:
    reply = authorised(operated, "POST", "/predict", {"text": "sesame"}, X_Request_Id="a-7", traceparent=TRACE)
    assert (reply.headers["x-request-id"], reply.headers["traceparent"]) == ("a-7", TRACE)
    refused = authorised(operated, "GET", "/sesame?x", X_Request_Id="<script>", traceparent="00-sesame")
    assert refused.status == 422
    assert re.fullmatch(r"[\w-]+", refused.headers["x-request-id"])
    assert "traceparent" not in refused.headers
    other = authorised(operated, "GET", "/v2/models/gestures/ready")
    assert other.headers["x-request-id"] != refused.headers["x-request-id"]
    assert authorised(operated, "GET", "/main.js").status == 200
    wait_for(lambda: '"route": "page"' in operated.log)
    lines = [json.loads(line) for line in operated.log.splitlines() if line.startswith("{")]
    found = {line["request-id"]: line for line in lines}["a-7"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", found.pop("time"))
    assert 0 < found.pop("ms") < 60_000
    known = {"method": "POST", "route": "/predict", "status": 200, "model": "reviews"}
    assert found == {"request-id": "a-7", "traceparent": TRACE, **known}
    [ready] = [line for line in lines if line["request-id"] == other.headers["x-request-id"]]
    assert (ready["route"], ready["model"]) == ("/v2/models/{name}/ready", "gestures")
    assert "sesame" not in operated.log
    assert TOKEN not in operated.log


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_bodies(operated: Server, coding: str, pack: Callable[[bytes], bytes]) -> None:
    def sent(body: bytes) -> Answer:
        return authorised(operated, "POST", "/predict", body, Content_Encoding=coding)

    body = json.dumps({"text": "a good film " * 500}).encode()
    plain = authorised(operated, "POST", "/predict", body)
    assert sent(pack(body)).json() == plain.json()
    assert sent(pack(b" " * 30_000_000)).status == 413
    for broken in (body, pack(body)[:-3], pack(body) + b"more", b""):
        reply = sent(broken)
        assert (reply.status, reply.error["code"]) == (400, "encoding")
    assert authorised(operated, "POST", "/predict", body, Content_Encoding="br").status == 415


def test_metrics_have_a_model_and_a_token_of_their_own(operated: Server) -> None:
    authorised(operated, "POST", "/predict", {"model": "gestures", "series": [[1, 2]]})
    assert authorised(operated, "GET", "/metrics").status == 401
    for path, status in (("/metrics", 200), ("/model", 401)):
        assert ask(operated.port, "GET", path, None, {"Authorization": f"Bearer {SCRAPER}"}).status == status
    text = ask(operated.port, "GET", "/metrics", None, {"Authorization": f"Bearer {SCRAPER}"}).body.decode()
    assert 'gatewise_requests_total{model="gestures",route="/predict",status="200"}' in text
    assert 'gatewise_batch_size_count{model="gestures"}' in text
    assert 'gatewise_rejected_total{model="reviews",reason="timeout"} 0.0' in text
    assert "main.js" not in text
    settings = Settings(("m",), token=TOKEN, metrics_token="none")
    assert (settings.token_of("/metrics"), settings.token_of("/model")) == (None, TOKEN)


def test_pages_of_a_named_site_may_predict(operated: Server) -> None:
    asked = {"Origin": SITE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    allowed = ask(operated.port, "OPTIONS", "/predict", None, asked)
    assert (allowed.status, allowed.headers["access-control-allow-origin"]) == (200, SITE)
    reply = authorised(operated, "POST", "/predict", {"text": "good"}, Origin=SITE, Sec_Fetch_Site="cross-site")
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (200, SITE)
    for other in ("https://evil.example", "null", SITE + ".evil"):
        assert ask(operated.port, "OPTIONS", "/predict", None, {**asked, "Origin": other}).status == 400
        refused = authorised(operated, "POST", "/predict", {"text": "good"}, Origin=other)
        assert (refused.status, "access-control-allow-origin" in refused.headers) == (403, False)


def test_the_lesson(operated: Server) -> None:
    if reason := bundled.missing(bundled.TUTORIAL):
        pytest.skip(reason)
    assert f"the lesson is at http://127.0.0.1:{operated.port}/lesson.html\n" in operated.log
    for path, kind in (("lesson.html", "text/html"), ("lesson/main.js", "text/javascript")):
        reply = authorised(operated, "GET", f"/{path}")
        assert (reply.status, reply.headers["content-type"].partition(";")[0]) == (200, kind)
    for name, raw in lesson_files().items():
        assert authorised(operated, "GET", f"/{name}").body == raw


def test_a_draining_server_takes_requests_and_closes_connections(folders: dict[str, Path]) -> None:
    """64 clients that keep their connections lose no answer: each is told to close before the listener goes. A request
    that ends after the listener has gone is answered, too.
    """
    with serving(folders["reviews"], "--drain-seconds", 4, "--read-timeout", 300) as server:
        request = b"GET /v2/health/ready HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % server.port
        half = connect(server.port, request[:-2])
        socks = [connect(server.port, request) for _ in range(64)]
        assert {read_reply(sock).headers.get("connection") for sock in socks} == {None}
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: ask(server.port, "GET", "/v2/health/ready").status == 503, 3)
        assert post(server.port, "/predict", {"text": "good"}).status == 200
        for sock in socks:
            sock.sendall(request)
            reply = read_reply(sock)
            assert (reply.status, reply.headers["connection"]) == (503, "close")
            assert read_reply(sock).status == 0, "closed"
            sock.close()
        wait_for(lambda: refuses(server.port))
        half.sendall(b"\r\n")
        assert read_reply(half).status == 503
        assert read_reply(half).status == 0, "closed"
        half.close()
        assert server.process.wait(60) == 0


def test_a_unix_socket(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("s") / "gatewise.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))  # of a server that was killed
    with serving(folders["reviews"], "--uds", str(path)) as server:
        lines = ("POST /predict HTTP/1.1", "Host: localhost", "Content-Type: application/json", "Content-Length: 15")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(path))
            sock.sendall("\r\n".join([*lines, "", '{"text":"good"}']).encode())
            assert read_reply(sock).status == 200
        assert f"gatewise: serving reviews at unix:{path} (Ctrl-C ends it)" in server.log
        assert "Address already in use" in refused(folders["reviews"], "--uds", path.as_posix())
        server.process.terminate()
        assert server.process.wait(60) == 0
    assert not path.exists()
    path.write_text("a file of somebody else")
    assert "cannot listen" in refused(folders["reviews"], "--uds", path.as_posix())
    assert path.read_text() == "a file of somebody else"


@pytest.mark.parametrize("workers", [1, 2])
def test_models_are_exchanged_under_load(models: dict[str, Model], tmp_path: Path, workers: int) -> None:
    """64 clients and ten swaps: no answer is lost, and each is that of one of the two models."""
    text, plain = "a good film", models["reviews"]
    negated = {name: -array if name == "dense.weight" else array for name, array in plain.parameters.items()}
    both = (plain, plain.with_lstm(parameters=negated))
    expected = [float(one.predict_proba([text])[0, 0]) for one in both]
    assert abs(expected[0] - expected[1]) > 1e-3
    both[0].save(tmp_path / "model")
    with serving(tmp_path / "model", "--reload", "--workers", workers) as server:
        done, answers = threading.Event(), list[float]()

        def client() -> None:
            with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
                while not done.is_set():
                    connection.request("POST", "/predict", json.dumps({"text": text}), JSON)
                    [one] = json.loads(connection.getresponse().read())["predictions"]
                    answers.append(one["probabilities"][both[0].classes[0]])

        with ThreadPoolExecutor(64) as pool, ExitStack() as end:
            end.callback(done.set)
            clients = [pool.submit(client) for _ in range(64)]
            for n in range(1, 11):
                both[n % 2].save(tmp_path / "model")
                if n % 3:
                    server.process.send_signal(signal.SIGHUP)
                else:
                    reply = post(server.port, "/v2/repository/models/model/load", {})
                    assert (reply.status, reply.json()["state"]) == (200, "READY")
                at = len(answers)
                wait_for(lambda at=at, n=n: any(abs(one - expected[n % 2]) < 1e-5 for one in answers[at:]))
        for one in clients:
            one.result()  # none has failed
        distances = np.abs(np.subtract.outer(answers, expected)).min(axis=1)
        assert distances.max() < 1e-5
        shutil.rmtree(tmp_path / "model")
        reply = post(server.port, "/v2/repository/models/model/load", {})
        assert (reply.status, "the models stay as they are" in reply.json()["error"]) == (400, True)
        assert post(server.port, "/predict", {"text": text}).status == 200
