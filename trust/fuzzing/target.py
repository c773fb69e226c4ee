"""`Target`: what is fuzzed, with what it must do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatewise.errors import GatewiseError
from trust.attack import bad_message
from trust.mutate import Rng, change_bytes


def nothing_wrong(raw: bytes, value: Any, folder: Path) -> str | None:
    """There is no reference."""
    return None


@dataclass(frozen=True)
class Target:
    """A reader of foreign bytes.

    read(raw, folder): the value that `raw` stands for; GatewiseError refuses it, and any other exception is a failure.
    The folder is for files, which the next call overwrites. compare(raw, value, folder): what differs from a reference,
    which reads the same bytes, or None. seeds: inputs that are accepted. words: what is worth inserting. change: a
    random change of a seed, where coverage guides nothing.
    """

    read: Callable[[bytes, Path], Any]
    seeds: Callable[[], list[bytes]]
    compare: Callable[[bytes, Any, Path], str | None] = nothing_wrong
    words: tuple[bytes, ...] = ()
    change: Callable[[Rng, bytes], bytes] = change_bytes

    def attempt(self, raw: bytes, folder: Path) -> str | None:
        """What is wrong with the answer to one input, or None."""
        try:
            value = self.read(raw, folder)
        except GatewiseError as error:
            return bad_message(error)
        return self.compare(raw, value, folder)


def refusal(call: Callable[[], Any]) -> str | None:
    """What is wrong with the message if the call is refused; None if it is not."""
    try:
        call()
    except GatewiseError as error:
        return bad_message(error)
    return None
