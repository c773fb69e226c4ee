"""A stand-in for the Hugging Face Hub: the part of its HTTP API that creates a model, commits files and serves them."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Hub:
    """Models by name: the commits of each by SHA, and the commit of each branch."""

    def __init__(self) -> None:
        self.commits: dict[str, dict[str, dict[str, bytes]]] = {}
        self.branches: dict[str, dict[str, str]] = {}
        self.private: dict[str, bool] = {}
        self.requests: list[str] = []
        self.streams: dict[str, int | None] = {}
        """Files of which a gigabyte is sent, with this Content-Length."""
        self.redirects: dict[str, str] = {}
        self.sent = 0
        """Bytes of streams."""
        self.tokens: list[str | None] = []
        """Authorization of each redirected request that came back."""

    def create(self, repo: str, private: bool) -> None:
        self.commits.setdefault(repo, {})
        self.private.setdefault(repo, private)
        if "main" not in self.branches.setdefault(repo, {}):
            self.commit(repo, "main", {})

    def commit(self, repo: str, branch: str, changes: dict[str, bytes]) -> str:
        files = {**self.files(repo, branch), **changes}
        sha = hashlib.sha1(repr((repo, len(self.commits[repo]), sorted(files.items()))).encode()).hexdigest()
        self.commits[repo][sha] = files
        self.branches[repo][branch] = sha
        return sha

    def sha(self, repo: str, revision: str) -> str | None:
        found = self.branches.get(repo, {}).get(revision, revision)
        return found if found in self.commits.get(repo, {}) else None

    def files(self, repo: str, revision: str) -> dict[str, bytes]:
        return self.commits[repo].get(self.sha(repo, revision) or "", {})


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, format: str, *args: Any) -> None:
        self.hub.requests.append(format % args)

    def do_GET(self) -> None:
        parts = self.path.split("?")[0].strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            repo, revision = "/".join(parts[2:4]), parts[5] if len(parts) > 5 else "main"
            sha = self._sha(repo, revision)
            if sha:
                self._json({"id": repo, "modelId": repo, "sha": sha, "siblings": [], "tags": [], "private": False})
        elif len(parts) < 5 or parts[2] != "resolve":
            self._error(404, "EntryNotFound")
        else:
            repo, (revision, *name) = "/".join(parts[:2]), parts[3:]
            sha = self._sha(repo, revision)
            if sha and name[-1] in self.hub.redirects and "again" not in self.path:
                self.send_response(302)
                self.send_header("Location", self.hub.redirects[name[-1]].format(self.path))
                self.end_headers()
            elif sha and name[-1] in self.hub.streams:
                self._stream(self.hub.streams[name[-1]])
            elif sha:
                self.hub.tokens += [self.headers["Authorization"]] * ("again" in self.path)
                self._file(self.hub.files(repo, sha).get("/".join(name)), sha)

    def _stream(self, length: int | None) -> None:
        self.send_response(200)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        with suppress(OSError):
            for _ in range(1 << 10):
                self.hub.sent += self.wfile.write(bytes(1 << 20))

    do_HEAD = do_GET

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        parts = self.path.split("?")[0].strip("/").split("/")
        if parts == ["api", "repos", "create"]:
            asked = json.loads(body)
            repo = f"{asked['organization']}/{asked['name']}"
            self.hub.create(repo, asked.get("visibility") == "private" or asked.get("private", False))
            self._json({"url": self._url(repo)})
        elif parts == ["api", "validate-yaml"]:
            self._json({"errors": [], "warnings": []})
        elif "preupload" in parts:
            files = [
                {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                for one in json.loads(body)["files"]
            ]
            self._json({"files": files})
        elif "commit" in parts:
            lines = [json.loads(line) for line in body.splitlines()]
            added = [line["value"] for line in lines if line["key"] == "file"]
            repo = "/".join(parts[2:4])
            sha = self.hub.commit(repo, parts[5], {one["path"]: base64.b64decode(one["content"]) for one in added})
            self._json({"commitUrl": f"{self._url(repo)}/commit/{sha}", "commitOid": sha})
        else:
            self._error(404, "EntryNotFound")

    def _url(self, repo: str) -> str:
        host, port = self.server.server_address[:2]
        return f"http://{host!s}:{port}/{repo}"

    def _sha(self, repo: str, revision: str) -> str | None:
        sha = self.hub.sha(repo, revision)
        if sha is None:
            self._error(404, "RevisionNotFound" if repo in self.hub.commits else "RepoNotFound")
        return sha

    def _file(self, content: bytes | None, sha: str) -> None:
        if content is None:
            self._error(404, "EntryNotFound")
            return
        self._answer(200, content, {"X-Repo-Commit": sha, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'})

    def _json(self, value: Any) -> None:
        self._answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _error(self, status: int, code: str) -> None:
        self._answer(status, b"{}", {"X-Error-Code": code})

    def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


@contextmanager
def hub_server(hub: Hub | None = None, handler: type[_Handler] = _Handler) -> Iterator[tuple[Hub, str]]:
    """A hub and its URL."""
    hub = hub or Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (handler,), {"hub": hub}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
