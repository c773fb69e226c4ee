"""Tables and text as HTML. User text cannot be markup, a control character or a change of writing direction."""

import html
from collections.abc import Iterable, Sequence

from gatewise.errors import printable


def safe_text(text: str, limit: int = 400) -> str:
    """User text of at most `limit` characters, `printable`, and escaped for HTML and for attributes."""
    return html.escape(printable(text, limit), quote=True)


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


def titled_table(title: str, rows: Iterable[Sequence[str]]) -> str:
    """A title and a table of names and values: how a notebook shows a result. It loads nothing and runs nothing."""
    return f"<strong>{safe_text(title)}</strong>{html_table(('', ''), rows, (0, 1))}"
