"""A request's JSON, read so that it has one meaning; what is wrong is said without repeating it."""

from __future__ import annotations

import json
from typing import Any

from gatewise.serve.http_error import HTTPError

MAX_DEPTH = 16


class _Wrong(Exception):
    pass


def parse(raw: bytes) -> dict[str, Any]:
    """The object in `raw`. Refuses (400) what is not JSON, not UTF-8, not an object, too deep, and what JSON readers
    disagree about: duplicate keys, NaN, infinity, numbers too large for a float.
    """
    try:
        value = _DECODER.decode(raw.decode())
    except UnicodeDecodeError as error:
        raise _bad(f"the body is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise _bad(f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except _Wrong as error:
        raise _bad(f"the body {error}") from None
    except RecursionError:
        raise _bad(f"the body is nested more than {MAX_DEPTH} deep") from None
    except ValueError:  # Python reads no whole number of more than 4,300 digits
        raise _bad("the body holds a number of too many digits") from None
    if not isinstance(value, dict):
        raise _bad("the body must be a JSON object")
    _not_deep(value)
    return value


def text_of(value: object, field: str, most: int = 200) -> str:
    """A string of at most `most` characters, or a refusal that names the field."""
    if not isinstance(value, str) or len(value) > most:
        raise HTTPError(400, "bad_field", f"{field} must be a string of at most {most} characters", field)
    return value


def _bad(message: str) -> HTTPError:
    return HTTPError(400, "bad_json", message)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _Wrong("has the same key twice in one object")
    return found


def _no_constant(_: str) -> float:
    raise _Wrong("holds NaN or Infinity, which are not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise _Wrong("holds a number too large for a float")
    return number


def _not_deep(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        inner = [v for node in level for v in (node.values() if isinstance(node, dict) else node)]
        level = [node for node in inner if isinstance(node, (dict, list))]
        if not level:
            return
    raise _bad(f"the body is nested more than {MAX_DEPTH} deep")


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite)
