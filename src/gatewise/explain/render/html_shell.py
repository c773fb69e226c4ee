"""The frame of every self-contained HTML page, its tables and its escaping. A page loads nothing, and its policy allows
its own styles and script by their hashes and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files

from gatewise.errors import printable


def html_shell(title: str, body: str, script: str = "", extra_style: str = "") -> str:
    """A page with this body and the style of the served page. script: the text of the one script in the body, which
    contains it.
    """
    css = read_page_file("style.css") + extra_style
    scripts = f"script-src '{csp_hash(script)}'; " if script else ""
    policy = (
        f"default-src 'none'; {scripts}style-src '{csp_hash(css)}'; img-src data: blob:; base-uri 'none'; "
        "form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" '
        f'content="light dark"><title>{safe_text(title)}</title><style>{css}</style></head><body>{body}</body></html>\n'
    )


def html_table(head: Sequence[str], rows: Iterable[Sequence[str]], text: Sequence[int] = (0,)) -> str:
    """A table; every cell passes through `safe_text`. text: the columns of text, others hold numbers."""
    kinds = (' class="text" dir="auto"', "")
    titles = "".join(f"<th{kinds[n not in text]}>{safe_text(name)}</th>" for n, name in enumerate(head))
    body = "".join(
        f"<tr>{''.join(f'<td{kinds[n not in text]}>{safe_text(cell)}</td>' for n, cell in enumerate(row))}</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def safe_text(text: str, limit: int = 400) -> str:
    """User text, escaped for HTML and for attributes: it cannot be markup, a control character or a change of writing
    direction.
    """
    return html.escape(printable(text, limit), quote=True)


def csp_hash(text: str) -> str:
    """The source of a content security policy that allows this text as a style or a script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"


@cache
def read_page_file(name: str) -> str:
    """A file of the served page."""
    return (files("gatewise") / "serve" / "page" / name).read_text(encoding="utf-8")
