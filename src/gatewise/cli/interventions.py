"""The options of `gatewise explain` that change the run: clamped gates, changed units, replaced tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from gatewise.errors import InputError, quote

if TYPE_CHECKING:
    from gatewise.explain import Clamp


_GATES: dict[str, Literal["i", "f", "g", "o"]] = {"input": "i", "forget": "f", "candidate": "g", "output": "o"}
_GATES |= {letter: letter for letter in _GATES.values()}
_CLAMP = re.compile(r"(?:(\d{1,9}):)?([a-z]+)=([^@=]+)(?:@(\d{1,9})(?:-(\d{1,9}))?)?")


def parse_clamps(given: Any) -> list[Clamp]:
    """The clamps of --clamp, as in `forget=1`, `37:forget=1` and `37:f=0.5@4-10` (unit, gate, value, steps from 1), and
    of --ablate and --hold-memory, lists of units; all in --layer (from 1) and --direction. Raises InputError for a
    malformed option.
    """
    if not (given.clamp or given.ablate or given.hold_memory):
        if given.layer is not None or given.direction is not None:
            raise InputError("--layer and --direction apply only to --clamp, --ablate and --hold-memory")
        return []
    from gatewise import explain

    found = [_clamp(text) for text in given.clamp]
    for unit in _units(given.ablate, "--ablate"):
        found += explain.ablate(unit)
    for unit in _units(given.hold_memory, "--hold-memory"):
        found += explain.hold_memory(unit)
    index = None if given.layer is None else given.layer - 1
    return [replace(clamp, layer=index, direction=given.direction) for clamp in found]


def parse_replacements(replace: Sequence[str]) -> dict[int | str, str]:
    """Replacements from `not=very` (every "not"), `7=very` (step 7) and `not=` (removed)."""
    replacements: dict[int | str, str] = {}
    for text in replace:
        old, equals, new = text.partition("=")
        if not equals or not old.strip():
            raise InputError(f"--replace must be OLD=NEW or STEP=NEW, not {quote(text)}")
        key: int | str = old.strip()
        replacements[int(old) - 1 if re.fullmatch(r"[0-9]{1,9}", old.strip()) else key] = new.strip()
    return replacements


def _clamp(text: str) -> Clamp:
    from gatewise.explain import Clamp

    match = _CLAMP.fullmatch(text.strip().lower())
    if not match or match[2] not in _GATES:
        raise InputError(
            f"--clamp must be [UNIT:]GATE=VALUE[@STEP or @FROM-TO] with GATE input, forget, candidate or output, not "
            f"{quote(text)}"
        )
    try:
        value = float(match[3])
    except ValueError:
        raise InputError(f"--clamp {quote(text)}: {quote(match[3])} is not a number") from None
    steps = None
    if match[4]:
        first, last = int(match[4]), int(match[5] or match[4])
        if not 1 <= first <= last:
            raise InputError(f"--clamp {quote(text)}: steps count from 1 and must be in order")
        steps = range(first - 1, last)
    return Clamp(_GATES[match[2]], value, None if match[1] is None else int(match[1]), steps)


def _units(texts: Sequence[str], option: str) -> list[int]:
    units = []
    for part in ",".join(texts).split(",") if texts else []:
        if not re.fullmatch(r"[0-9]{1,9}", part.strip()):
            raise InputError(f"{option} must be unit numbers such as 3 or 3,17, not {quote(part)}")
        units.append(int(part))
    return units
