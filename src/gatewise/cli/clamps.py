"""What the options of `gatewise explain` say is to be changed: clamps, silenced and frozen units, other words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from gatewise.errors import InputError, quote

if TYPE_CHECKING:
    from gatewise.explain import Clamp


_NAMES: dict[str, Literal["i", "f", "g", "o"]] = {
    "input": "i",
    "forget": "f",
    "candidate": "g",
    "output": "o",
    "i": "i",
    "f": "f",
    "g": "g",
    "o": "o",
}
_CLAMP = re.compile(r"(?:(\d{1,9}):)?([a-z]+)=([^@=]+)(?:@(\d{1,9})(?:-(\d{1,9}))?)?")


def parse_clamps(
    clamps: Sequence[str],
    ablate: Sequence[str],
    hold_memory: Sequence[str],
    layer: int | None = None,
    direction: str | None = None,
) -> list[Clamp]:
    """From `forget=1`, `37:forget=1` and `37:f=0.5@4-10` (unit, gate, value, steps from 1), and lists of units; all of
    them in that layer (from 1) and direction.
    """
    found = _everywhere(clamps, ablate, hold_memory)
    if layer is None and direction is None:
        return found
    if not found:
        raise InputError("--layer and --direction are for --clamp, --silence and --freeze")
    if direction not in (None, "forward", "backward"):
        raise InputError(f"--direction must be forward or backward, not {quote(direction)}")
    if layer is not None and layer < 1:
        raise InputError(f"--layer counts from 1, not {layer}")
    way: Literal["forward", "backward"] | None = "forward" if direction == "forward" else None
    way = "backward" if direction == "backward" else way
    return [replace(clamp, layer=None if layer is None else layer - 1, direction=way) for clamp in found]


def _everywhere(clamps: Sequence[str], ablate: Sequence[str], hold_memory: Sequence[str]) -> list[Clamp]:
    from gatewise import explain

    found = [_clamp(text) for text in clamps]
    for unit in _units(ablate, "--silence"):
        found += explain.ablate(unit)
    for unit in _units(hold_memory, "--freeze"):
        found += explain.hold_memory(unit)
    return found


def parse_words(replace: Sequence[str]) -> dict[int | str, str]:
    """From `not=very` (wherever it stands), `7=very` (step 7) and `not=` (taken out)."""
    words: dict[int | str, str] = {}
    for text in replace:
        old, equals, new = text.partition("=")
        if not equals or not old.strip():
            raise InputError(f"--replace wants OLD=NEW or STEP=NEW, not {quote(text)}")
        key: int | str = old.strip()
        words[int(old) - 1 if re.fullmatch(r"[0-9]{1,9}", old.strip()) else key] = new.strip()
    return words


def _clamp(text: str) -> Clamp:
    from gatewise.explain import Clamp

    match = _CLAMP.fullmatch(text.strip().lower())
    if not match or match[2] not in _NAMES:
        raise InputError(
            f"--clamp wants GATE=VALUE, UNIT:GATE=VALUE, and @STEP or @FROM-TO after it, with a GATE of input, forget, "
            f"candidate, output; not {quote(text)}"
        )
    try:
        value = float(match[3])
    except ValueError:
        raise InputError(f"--clamp {quote(text)}: {quote(match[3])} is no number") from None
    steps = None
    if match[4]:
        first, last = int(match[4]), int(match[5] or match[4])
        if not 1 <= first <= last:
            raise InputError(f"--clamp {quote(text)}: steps count from 1, the first one before the last")
        steps = range(first - 1, last)
    return Clamp(_NAMES[match[2]], value, None if match[1] is None else int(match[1]), steps)


def _units(texts: Sequence[str], option: str) -> list[int]:
    units = []
    for part in ",".join(texts).split(",") if texts else []:
        if not re.fullmatch(r"[0-9]{1,9}", part.strip()):
            raise InputError(f"{option} wants units, as in 3 or 3,17; not {quote(part)}")
        units.append(int(part))
    return units
