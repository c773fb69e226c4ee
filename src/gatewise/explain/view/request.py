"""What a page may ask of the glass box: plain data from outside, checked field by field before anything runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gatewise.errors import InputError, quote
from gatewise.explain.attribution import METHODS
from gatewise.explain.clamp import Clamp, ablate

__all__ = ["PLANES", "RequestError", "ViewRequest", "parse_request"]

PLANES = ("i", "f", "g", "o", "c", "h")
PARTS = ("verdict", "running", "account", "units", "alike")
MOST_CHANGES = 32
_KEYS = {"text", "series", "want", "changes", "method", "layer"}
_CHANGE = {"gate", "unit", "from", "to", "value", "layer"}


class RequestError(InputError):
    """A request that cannot be answered. field: the path of what is wrong, as in changes[0].value; code: one word for a
    program; message, which is also str(error): one line for a person.
    """

    def __init__(self, field: str, message: str, code: str = "bad_request") -> None:
        self.field, self.code, self.message = field, code, " ".join(message.split())
        super().__init__(message)


@dataclass(frozen=True)
class ViewRequest:
    """One request. item: a text, or a series as rows of numbers. want: parts; unit: a place in the layer's output, -1
    for the one that moved the verdict most; planes: of PLANES. layer: from 0, None for the top. changes: clamps, each
    with the field that it came from.
    """

    item: Any
    want: frozenset[str]
    unit: int | None
    planes: tuple[str, ...]
    method: str | None
    layer: int | None
    changes: tuple[tuple[str, Clamp], ...]

    @property
    def clamps(self) -> tuple[Clamp, ...]:
        return tuple(clamp for _, clamp in self.changes)


def parse_request(request: Mapping[str, object], inputs: str) -> ViewRequest:
    """Check a request to a model of `inputs` ("tokens" or "channels"). Raises RequestError naming the field."""
    if not isinstance(request, Mapping):
        raise RequestError("", "the request must be an object")
    for key in request:
        if key not in _KEYS:
            raise RequestError(quote(key).strip("'"), f"there is no such field; there are {', '.join(sorted(_KEYS))}")
    wanted, other = ("text", "series") if inputs == "tokens" else ("series", "text")
    if wanted not in request or other in request:
        raise RequestError(wanted, f"the model reads a {wanted}: give `{wanted}`, and no `{other}`")
    item = _text(request["text"]) if wanted == "text" else _series(request["series"])
    method = request.get("method")
    if method is not None and (not isinstance(method, str) or method not in METHODS):
        raise RequestError("method", f"must be one of {', '.join(METHODS)}, not {quote(method)}")
    layer = None if request.get("layer") is None else _whole(request["layer"], "layer")
    want, unit, planes = _want(request.get("want", ["verdict"]))
    return ViewRequest(item, want, unit, planes, method, layer, _changes(request.get("changes", [])))


def _text(text: object) -> str:
    if not isinstance(text, str):
        raise RequestError("text", f"must be a string, not {type(text).__name__}")
    return text


def _series(rows: object) -> list[list[float]]:
    if not isinstance(rows, list) or not rows:
        raise RequestError("series", "must be a list of steps, each a list of numbers, one a channel")
    for n, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(rows[0]):
            raise RequestError(f"series[{n}]", "each step must be a list of as many numbers as the first one")
        for k, x in enumerate(row):
            if isinstance(x, bool) or not isinstance(x, int | float) or not math.isfinite(x):
                raise RequestError(f"series[{n}][{k}]", "must be a finite number")
    return rows


def _want(want: object) -> tuple[frozenset[str], int | None, tuple[str, ...]]:
    if not isinstance(want, list) or len(want) > 16 or not all(isinstance(part, str) for part in want):
        raise RequestError("want", "must be a list of at most 16 names")
    parts, unit, planes = set(), None, []
    for n, part in enumerate(want):
        kind, colon, value = part.partition(":")
        if not colon and kind in PARTS:
            parts.add(kind)
        elif kind == "unit" and value == "top":
            unit = -1
        elif kind == "unit" and value.isascii() and value.isdigit() and len(value) < 9:
            unit = int(value)
        elif kind == "plane" and value in PLANES:
            planes.append(value)
        else:
            known = f"{', '.join(PARTS)}, unit:N, unit:top, plane:X with X of {' '.join(PLANES)}"
            raise RequestError(f"want[{n}]", f"there is no part {quote(part)}; there are {known}")
    return frozenset(parts), unit, tuple(planes)


def _changes(changes: object) -> tuple[tuple[str, Clamp], ...]:
    if not isinstance(changes, list) or len(changes) > MOST_CHANGES:
        raise RequestError("changes", f"must be a list of at most {MOST_CHANGES}")
    found: list[tuple[str, Clamp]] = []
    for n, change in enumerate(changes):
        found += [(f"changes[{n}]", clamp) for clamp in _change(change, f"changes[{n}]")]
    return tuple(found)


def _change(change: object, field: str) -> Sequence[Clamp]:
    if not isinstance(change, Mapping) or not set(change) <= _CHANGE or "gate" not in change or "value" not in change:
        raise RequestError(field, "must be an object with gate and value; unit, from, to, layer are optional")
    gate, value = change["gate"], change["value"]
    if gate not in ("i", "f", "g", "o", "h"):
        raise RequestError(f"{field}.gate", f"must be i, f, g, o, or h for a silenced unit; not {quote(gate)}")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise RequestError(f"{field}.value", "must be a finite number", "bad_clamp")
    unit = change.get("unit", "all")
    number = None if unit in (None, "all") else _whole(unit, f"{field}.unit")
    layer = None if change.get("layer") is None else _whole(change["layer"], f"{field}.layer")
    first, last = change.get("from"), change.get("to")
    if (first is None) != (last is None):
        raise RequestError(f"{field}.to", "from and to go together")
    if gate == "h":
        if value != 0 or number is None or first is not None:
            raise RequestError(field, "h is for silencing one unit: value 0, a unit, no from and to", "bad_clamp")
        return ablate(number, layer)
    steps = None
    if first is not None:
        a, b = _whole(first, f"{field}.from"), _whole(last, f"{field}.to")
        if b < a:
            raise RequestError(f"{field}.to", "must not lie before from")
        steps = range(a, b + 1)
    return (Clamp(gate, float(value), number, steps, layer),)


def _whole(value: object, field: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1_000_000_000:
        raise RequestError(field, f"must be a whole number from 0, not {quote(value)}")
    return value
