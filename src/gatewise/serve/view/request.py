"""A request of the page, checked field by field before anything runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gatewise.data.frames import is_finite
from gatewise.errors import InputError, quote
from gatewise.explain.attribution import METHODS
from gatewise.members.clamp import Clamp, ablate

HEATMAPS = ("i", "f", "g", "o", "c", "h")
PARTS = ("prediction", "prefix", "prefix:all", "attribution", "units", "similarity")
MAX_CHANGES = 32
_MAX_INTEGER = 999_999_999
_KEYS = {"text", "series", "include", "changes", "method", "layer", "target", "against"}
_CHANGE_KEYS = {"gate", "unit", "from", "to", "value", "layer"}


class RequestError(InputError):
    """An invalid request. field: the path of the error, as in changes[0].value. code: one word for a program. message,
    which is also str(error): one line for a person.
    """

    def __init__(self, field: str, message: str, code: str = "bad_request") -> None:
        self.field, self.code, self.message = field, code, " ".join(message.split())
        super().__init__(message)


@dataclass(frozen=True)
class ViewRequest:
    """A checked request.

    item: a text, or a series as rows of numbers. include: of PARTS; "prefix:all" are the prefix predictions at every
    step. unit: the index in the layer's output, -1 for the unit with the largest effect. heatmaps: of HEATMAPS. layer:
    from 0, None for the top layer. changes: clamps, each with the field that it came from. target, against: names of
    classes, None for the prediction's.
    """

    item: Any
    include: frozenset[str]
    unit: int | None
    heatmaps: tuple[str, ...]
    method: str | None
    layer: int | None
    changes: tuple[tuple[str, Clamp], ...]
    target: str | None = None
    against: str | None = None

    @property
    def clamps(self) -> tuple[Clamp, ...]:
        return tuple(clamp for _, clamp in self.changes)


def parse_request(request: Mapping[str, object], inputs: str) -> ViewRequest:
    """Check a request to a model of `inputs` ("tokens" or "channels"). Raises RequestError, which names the field."""
    if not isinstance(request, Mapping):
        raise RequestError("", "the request must be an object")
    for key in request:
        if key not in _KEYS:
            raise RequestError(quote(key).strip("'"), f"unknown field; the fields are {', '.join(sorted(_KEYS))}")
    kind, other = ("text", "series") if inputs == "tokens" else ("series", "text")
    if kind not in request or other in request:
        raise RequestError(kind, f"the model reads a {kind}: give `{kind}`, not `{other}`")
    item = _text(request["text"]) if kind == "text" else _series(request["series"])
    method = request.get("method")
    if method is not None and (not isinstance(method, str) or method not in METHODS):
        raise RequestError("method", f"must be one of {', '.join(METHODS)}, not {quote(method)}")
    layer = None if request.get("layer") is None else _integer(request["layer"], "layer")
    include, unit, heatmaps = _include(request.get("include", ["prediction"]))
    chosen = (_name(request.get(field), field) for field in ("target", "against"))
    return ViewRequest(item, include, unit, heatmaps, method, layer, _changes(request.get("changes", [])), *chosen)


def _name(value: object, field: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise RequestError(field, f"must be the name of a class, not {type(value).__name__}")
    return value


def _text(text: object) -> str:
    if not isinstance(text, str):
        raise RequestError("text", f"must be a string, not {type(text).__name__}")
    return text


def _series(rows: object) -> list[list[float]]:
    """The steps of a series; NaN where a value is missing, which is null in JSON. One channel may be a flat list."""
    if not isinstance(rows, list) or not rows:
        raise RequestError("series", "must be a list of time steps, each a list of one number per channel")
    if not any(isinstance(row, list) for row in rows):
        rows = [[x] for x in rows]
    for n, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(rows[0]):
            raise RequestError(f"series[{n}]", "each step must have as many numbers as the first one")
        for k, x in enumerate(row):
            if x is not None and (isinstance(x, bool) or not isinstance(x, int | float) or not -3e38 < x < 3e38):
                raise RequestError(f"series[{n}][{k}]", "must be a number in float32's range, or null: a missing one")
    return [[math.nan if x is None else x for x in row] for row in rows]


def _include(include: object) -> tuple[frozenset[str], int | None, tuple[str, ...]]:
    if not isinstance(include, list) or len(include) > 16 or not all(isinstance(part, str) for part in include):
        raise RequestError("include", "must be a list of at most 16 names")
    parts, unit, heatmaps = set(), None, []
    for n, part in enumerate(include):
        kind, _, value = part.partition(":")
        if part in PARTS:
            parts.add(part)
        elif kind == "unit" and value == "top":
            unit = -1
        elif kind == "unit" and value.isascii() and value.isdigit() and len(value) < 9:
            unit = int(value)
        elif kind == "heatmap" and value in HEATMAPS:
            heatmaps.append(value)
        else:
            known = f"{', '.join(PARTS)}, unit:N, unit:top, heatmap:X with X in {' '.join(HEATMAPS)}"
            raise RequestError(f"include[{n}]", f"unknown part {quote(part)}; the parts are {known}")
    return frozenset(parts), unit, tuple(heatmaps)


def _changes(changes: object) -> tuple[tuple[str, Clamp], ...]:
    if not isinstance(changes, list) or len(changes) > MAX_CHANGES:
        raise RequestError("changes", f"must be a list of at most {MAX_CHANGES}")
    found: list[tuple[str, Clamp]] = []
    for n, change in enumerate(changes):
        found += [(f"changes[{n}]", clamp) for clamp in _change(change, f"changes[{n}]")]
    return tuple(found)


def _change(change: object, field: str) -> Sequence[Clamp]:
    if not isinstance(change, Mapping) or not {"gate", "value"} <= set(change) <= _CHANGE_KEYS:
        raise RequestError(field, "must be an object with gate and value; unit, from, to, layer are optional")
    gate, value = change["gate"], change["value"]
    if gate not in ("i", "f", "g", "o", "h"):
        raise RequestError(f"{field}.gate", f"must be i, f, g, o, or h to ablate a unit; not {quote(gate)}")
    if isinstance(value, bool) or not isinstance(value, int | float) or not is_finite(value):
        raise RequestError(f"{field}.value", "must be a finite number", "bad_clamp")
    unit = change.get("unit", "all")
    number = None if unit in (None, "all") else _integer(unit, f"{field}.unit")
    layer = None if change.get("layer") is None else _integer(change["layer"], f"{field}.layer")
    first, last = change.get("from"), change.get("to")
    if (first is None) != (last is None):
        raise RequestError(f"{field}.to", "give both from and to, or neither")
    if gate == "h":
        if value != 0 or number is None or first is not None:
            raise RequestError(field, "h ablates one unit: give value 0, a unit, and no from and to", "bad_clamp")
        return ablate(number, layer)
    steps = None
    if first is not None:
        a, b = _integer(first, f"{field}.from"), _integer(last, f"{field}.to")
        if b < a:
            raise RequestError(f"{field}.to", "must not be less than from")
        steps = range(a, b + 1)
    return (Clamp(gate, float(value), number, steps, layer),)


def _integer(value: object, field: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_INTEGER:
        raise RequestError(field, f"must be an integer from 0 to {_MAX_INTEGER:,}, not {quote(value)}")
    return value
