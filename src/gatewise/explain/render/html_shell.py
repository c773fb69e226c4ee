"""The frame of every self-contained HTML page: it loads nothing, and its policy allows its own styles and script by
their hashes and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from gatewise.explain.render.html_static import safe_text


def html_shell(title: str, body: str, styles: Sequence[str], script: str = "", inner_styles: Sequence[str] = ()) -> str:
    """A page with this body. styles: of the head. script: the text of the one script in the body, which contains it.

    inner_styles: texts of the style elements in the body.
    """
    allowed = " ".join(f"'{_hash(text)}'" for text in (*styles, *inner_styles))
    scripts = f"script-src '{_hash(script)}'; " if script else ""
    policy = (
        f"default-src 'none'; {scripts}style-src {allowed}; img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    head = "".join(f"<style>{text}</style>" for text in styles)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" '
        f'content="light dark"><title>{safe_text(title)}</title>{head}</head><body>{body}</body></html>\n'
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"


def read_page_file(name: str) -> str:
    """A file of the served page."""
    return (files("gatewise") / "serve" / "page" / name).read_text(encoding="utf-8")


@cache
def style() -> str:
    """The page's stylesheet."""
    return read_page_file("style.css")
