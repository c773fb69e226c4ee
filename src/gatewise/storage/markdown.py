"""Text from outside in a Markdown page of ours."""

from __future__ import annotations

__all__ = ["plain"]


def plain(text: str) -> str:
    """Text that cannot break a table, nor turn into markup, wherever the page is shown.

    >>> plain("a | <b>")
    'a &#124; &lt;b&gt;'
    """
    flat = " ".join("".join(ch if ch.isprintable() else " " for ch in text).split())
    for mark, safe in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "&#124;"), ("[", "&#91;"), ("]", "&#93;")):
        flat = flat.replace(mark, safe)
    return flat
