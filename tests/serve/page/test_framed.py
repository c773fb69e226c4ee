"""The page in a frame of another site: refused, unless `--allow-frame` names the site. An exported file is not."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from gatewise.model import bundled
from gatewise.model.model import load
from gatewise.serve.page_folder import page_files
from tests.serve.page.conftest import MODELS, Visit
from tests.serve.server import served

LOCAL = "http://127.0.0.1:"  # both sites are on this machine


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words: Any) -> None:
        pass


@contextmanager
def site(folder: Path) -> Iterator[str]:
    """A web server of another origin, with the files of the folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *given: _Quiet(*given, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def write_frame(folder: Path, name: str, src: str) -> None:
    """A page with one frame. Each has a name of its own: a browser may show a changed file from its cache."""
    (folder / name).write_text(f"<!doctype html><link rel=icon href=data:,><iframe src={src!r}></iframe>")


def test_a_site_needs_the_option(watch: Visit, tmp_path: Path) -> None:
    models = {"text": MODELS["text"]()}
    with site(tmp_path) as origin:
        for allowed in ((), ("https://other.example",), (origin,)):
            with served(models, allow_frames=allowed) as port:
                home = f"http://127.0.0.1:{port}"
                page = watch(LOCAL)
                page.expected.append("frame-ancestors")
                for name, path, ready in (
                    ("frames_lesson.html", "lesson.html", "#chapter article"),
                    ("frames_lab.html", "", "#words .word"),
                ):
                    write_frame(tmp_path, name, f"{home}/{path}")
                    page.goto(f"{origin}/{name}")
                    inside = page.frame_locator("iframe").locator(ready)
                    if allowed == (origin,):
                        inside.first.wait_for()
                    else:
                        page.wait_for_timeout(500)
                        assert inside.count() == 0, (allowed, path)


def test_an_exported_lesson_can_be_framed(watch: Visit, tmp_path: Path) -> None:
    files = page_files(load(bundled.folder(bundled.TUTORIAL)), [])
    (tmp_path / "lesson.html").write_bytes(files["lesson.html"])
    with site(tmp_path) as origin, site(tmp_path) as other:
        write_frame(tmp_path, "frame.html", f"{other}/lesson.html")
        page = watch(LOCAL)
        page.goto(f"{origin}/frame.html")
        page.frame_locator("iframe").locator("#chapter article").wait_for()
