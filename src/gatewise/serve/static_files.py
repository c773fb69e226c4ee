"""The files of the page, read once at startup, so that no request ever becomes a file path."""

import gzip
import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.responses import Response

from gatewise.explain.render.script import script
from gatewise.model import bundled
from gatewise.serve.lstm_file import lesson_files

_TYPES = {
    "html": "text/html",
    "js": "text/javascript",
    "css": "text/css",
    "svg": "image/svg+xml",
    "lstm": "application/octet-stream",
}
_FOLDER = Path(__file__).with_name("page")
_ACCEPTS_GZIP = re.compile(r"(^|,)\s*gzip\s*(;\s*q\s*=\s*(1|0?\.0*[1-9])[\d.]*\s*)?(,|$)", re.IGNORECASE)


class StaticFile(NamedTuple):
    """The response with a file as it is, and the response with it gzipped. Only static files are gzipped: the length of
    a compressed response can reveal a secret in it (BREACH, Gluck et al. 2013).
    """

    plain: Response
    gzipped: Response


def read_static_files() -> dict[str, StaticFile]:
    """The files of gatewise/serve/page of known types by URL path, and the tutorial's model, which the lesson reads;
    `/` is index.html and `/docs` docs.html.
    """
    entries = [entry for entry in _FOLDER.rglob("*") if entry.is_file()]
    bodies = {f"/{entry.relative_to(_FOLDER).as_posix()}": entry.read_bytes() for entry in entries}
    if not bundled.missing(bundled.TUTORIAL):
        bodies |= {f"/{name}": raw for name, raw in lesson_files().items()}
    # One script in place of the modules: a browser would request each module only after the one that imports it.
    bodies["/lesson/main.js"] = script("lesson/main.js").encode()
    files: dict[str, StaticFile] = {}
    for path, body in bodies.items():
        media_type = _TYPES.get(path.rpartition(".")[2])
        if media_type is not None:
            files[path] = _static_file(body, media_type)
    files["/"] = files["/index.html"]
    files["/docs"] = files["/docs.html"]
    return files


def _static_file(body: bytes, media_type: str) -> StaticFile:
    digest = hashlib.sha256(body).hexdigest()[:16]
    headers = {"cache-control": "no-cache", "vary": "accept-encoding"}
    plain = headers | {"etag": f'"{digest}"'}
    gzipped = headers | {"etag": f'"{digest}-gzip"', "content-encoding": "gzip"}
    return StaticFile(
        Response(body, headers=plain, media_type=media_type),
        Response(gzip.compress(body, mtime=0), headers=gzipped, media_type=media_type),
    )


def choose_response(file: StaticFile, headers: Headers) -> Response:
    """The response to a request with these headers: gzipped where the client accepts it (RFC 9110, 12.5.3; `*` does not
    count as gzip), and a 304 where the client has the file.
    """
    response = file.plain
    if _ACCEPTS_GZIP.search(",".join(headers.getlist("accept-encoding"))):
        response = file.gzipped
    if headers.get("if-none-match") != response.headers["etag"]:
        return response
    kept = {name: response.headers[name] for name in ("cache-control", "etag", "vary")}
    return Response(status_code=304, headers=kept)
