"""What a command prints and writes: messages, JSON, tables and files. Only functions that use rich import it."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatewise.errors import InputError, printable, quote

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from gatewise.model.card import CalibrationReport


def console(*, stderr: bool = False) -> Console:
    """A rich console that prints text unchanged."""
    from gatewise.system.console import PlainConsole

    return PlainConsole(stderr=stderr)


def print_json(result: dict[str, Any]) -> None:
    """Print one JSON object; ASCII, so that no text in it reaches a terminal as control characters."""
    print(json.dumps(result, allow_nan=False))


def calibration_line(report: CalibrationReport) -> str:
    """How a model was calibrated, and what that changed."""
    before = report.calibration_error_before
    after = report.calibration_error_after
    return f"{printable(report.method, 300)}; calibration error {before:.4f} before, {after:.4f} after"


def claim(path: str | Path, shared: bool = False) -> None:
    """Let no other command write `path` until this one ends. shared: other commands with `shared` may. Raises
    InputError where another command writes it.
    """
    import click

    from gatewise.storage.atomic import claimed

    context = click.get_current_context(silent=True)
    try:
        if context is not None:
            context.with_resource(claimed(path, shared))
    except BlockingIOError:
        raise InputError(f"{quote(path, 200)}: another command is writing it") from None


def check_overwrite(path: str | Path, overwrite: bool, option: str = "", folder: bool = False) -> None:
    """Claim `path`. Raises InputError if it exists, unless `overwrite`. folder: `path` is a model folder, and an empty
    folder may be there. Raises ModelFileError as `storage.check_target`.
    """
    claim(path)
    if folder:
        from gatewise.storage.folder import check_target

        target = check_target(path)
        is_empty = target.is_dir() and not any(target.iterdir())
        if is_empty:
            return
    if os.path.lexists(path) and not overwrite:
        output = f"{option} {quote(path, 200)}".strip()
        raise InputError(f"{output}: exists already; --overwrite replaces it")


def check_ending(option: str, path: str | None, ending: str) -> None:
    """Raise InputError for a path with another ending: `--html data.csv` must not replace the data."""
    if path is not None and not path.lower().endswith(ending):
        raise InputError(f"{option} {quote(path)}: the name must end in {ending}")


def write_file(path: str, content: str) -> None:
    """Write a text file, completely or not at all, and report it on stderr. Raises ModelFileError where that fails."""
    from gatewise.storage.atomic import write_atomic

    write_atomic(path, content.encode())
    print(f"gatewise: wrote {quote(path)}", file=sys.stderr)


def write_svg(path: str, content: RenderableType) -> None:
    """Write `content` as an SVG image that loads nothing from the network."""
    import io

    from rich.console import Console

    # An image has colours, whatever the terminal of the command has.
    screen = Console(
        record=True,
        width=100,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        no_color=False,
        highlight=False,
    )
    screen.print(content)
    svg = screen.export_svg(title="gatewise explain")
    without_fonts = re.sub(r"@font-face *{[^}]*}", "", svg)  # rich loads its fonts from a CDN
    write_file(path, without_fonts)
