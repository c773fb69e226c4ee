"""Files that a command writes beside what it shows: pictures and pages."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gatewise.errors import DataError, quote

if TYPE_CHECKING:
    from rich.console import RenderableType


def draw(shown: RenderableType, path: str | None) -> None:
    """What is shown as an SVG picture in the file `path`, which fetches nothing; None: no picture."""
    import io

    from rich.console import Console

    if path is None:
        return
    screen = Console(
        record=True,
        width=100,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        no_color=False,
        highlight=False,
    )
    screen.print(shown)
    picture = re.sub(r"@font-face *{[^}]*}", "", screen.export_svg(title="gatewise explain"))  # they are on a CDN
    write(path, picture)


def write(path: str, content: str) -> None:
    """`content` in the file `path`, and a line on stderr. Raises DataError where it cannot be written."""
    try:
        Path(path).write_text(content, encoding="utf-8")
    except OSError as error:
        raise DataError(f"{quote(path)}: cannot be written: {error.strerror}") from None
    print(f"gatewise: wrote {quote(path)}", file=sys.stderr)
