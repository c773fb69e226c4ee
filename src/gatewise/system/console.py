"""A terminal or a pipe as a console of rich."""

from __future__ import annotations

from rich.console import Console


class PlainConsole(Console):
    """Prints text unchanged: no markup, no emoji codes, no highlighting. stderr: to standard error."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=False)

    def on_broken_pipe(self) -> None:
        """Raise BrokenPipeError, as `print` does: rich would end the program with exit code 1."""
        raise BrokenPipeError
