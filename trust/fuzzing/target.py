"""`Target`: what is fuzzed, with what it must do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.errors import GatewiseError
from trust.attack import check_message
from trust.mutate import Rng, change_bytes, choice


def no_reference(raw: bytes, value: Any, folder: Path) -> None:
    """Whatever is read is right."""


@dataclass(frozen=True)
class Target:
    """A reader of foreign bytes.

    read(raw, folder): the value that `raw` stands for; GatewiseError refuses it, and any other exception is a failure.
    The folder is for files, which the next call overwrites. compare(raw, value, folder): raises AssertionError for a
    value that differs from that of a reference, which reads the same bytes. seeds: inputs that are accepted. words:
    what is worth inserting. change: a random change of a seed, for `changed`.
    """

    read: Callable[[bytes, Path], Any]
    seeds: Callable[[], list[bytes]]
    compare: Callable[[bytes, Any, Path], object] = no_reference
    words: tuple[bytes, ...] = ()
    change: Callable[[Rng, bytes], bytes] = change_bytes

    def attempt(self, raw: bytes, folder: Path) -> None:
        """Read one input. Raises an exception for a wrong answer."""
        try:
            value = self.read(raw, folder)
        except GatewiseError as error:
            check_message(error)
        else:
            self.compare(raw, value, folder)

    def changed(self, seed: int, runs: int) -> Iterator[bytes]:
        """Seeds with one to three random changes, which no coverage guides."""
        rng, seeds = np.random.default_rng(seed), self.seeds()
        for _ in range(runs):
            raw = choice(rng, seeds)
            for _ in range(int(rng.integers(1, 4))):
                raw = self.change(rng, raw)
            yield raw
