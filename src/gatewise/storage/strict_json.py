"""JSON with one meaning: UTF-8, no duplicate keys, no NaN or infinity, no lone surrogates, limited depth, size and
number of values.

The one JSON reader of the package, for model folders, JSON Lines tables and HTTP requests.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Callable
from typing import Any

from gatewise.errors import InputError, ModelFileError, quote

MAX_BYTES = 64_000_000  # the largest vocabulary is about 1 MB
MAX_DEPTH = 16
MAX_VALUES = 2_000_000  # an empty list takes 3 bytes here and 64 in memory
# A string; without its closing quote all that follows, so that no part of the input is read twice.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)


def json_bytes(value: Any, indent: int | None = 2) -> bytes:
    """`value` as UTF-8 that `parse_json` reads back. Equal values give equal bytes; the key order is kept. indent: None
    for one line.

    Raises InputError for a value without a JSON form: NaN, infinity, a NumPy number, a lone surrogate, a key that is
    not a string.
    """
    try:
        raw = (json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"this cannot be written as JSON: {quote(error)}") from error
    stack = [value]  # json.dumps converts the keys 1, True and None to strings without an error
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            for key in node:
                if not isinstance(key, str):
                    raise InputError(f"this cannot be written as JSON: the key {quote(key)} is not a string")
            stack.extend(node.values())
        elif isinstance(node, (list, tuple)):
            stack.extend(node)
    return raw


def parse_json(
    raw: bytes,
    name: str,
    *,
    error: Callable[[str], Exception] = ModelFileError,
    echo: bool = True,
    surrogates: bool = False,
    max_bytes: int | None = None,
) -> Any:
    """The value in `raw`. name: what messages call the input, for example the file.

    error: makes the exception to raise from a message. echo: messages may quote a key or number of the input.
    surrogates: accept escaped lone surrogates. max_bytes: `MAX_BYTES` if None.
    """
    max_bytes = MAX_BYTES if max_bytes is None else max_bytes
    if len(raw) > max_bytes:
        raise error(f"{name}: {len(raw):,} bytes of JSON, more than the limit of {max_bytes:,}")
    if raw.startswith(codecs.BOM_UTF8):
        raise error(f"{name}: starts with a byte order mark (BOM)")
    large = len(raw) > MAX_VALUES and _most_values(raw) > MAX_VALUES
    if large and _most_values(_STRING.sub(b"", raw)) > MAX_VALUES:
        raise error(f"{name}: more than {MAX_VALUES:,} values")
    try:
        value = _DECODER.decode(raw.decode("utf-8"))
        if not surrogates and b"\\u" in raw:  # a lone surrogate can only come from an escape
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError as cause:
        raise error(f"{name}: not UTF-8 at byte {cause.start}") from cause
    except UnicodeEncodeError as cause:
        raise error(f"{name}: contains a lone surrogate") from cause
    except json.JSONDecodeError as cause:
        line = f"line {cause.lineno}, " if b"\n" in raw.strip() else ""
        raise error(f"{name}: not JSON at {line}column {cause.colno}: {cause.msg}") from cause
    except (LookupError, ArithmeticError) as cause:  # of _unique and _finite: the reason, and the part that it is about
        reason, part = cause.args
        raise error(f"{name}: {reason}{f' ({quote(part, 60)})' if echo else ''}") from cause
    except ValueError as cause:  # Python does not convert an integer of more than 4,300 digits
        raise error(f"{name}: a number has too many digits") from cause
    except RecursionError as cause:
        raise error(f"{name}: nested more than {MAX_DEPTH} levels deep") from cause
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(MAX_DEPTH):
        if not level:
            return value
        level = [
            one
            for node in level
            for one in (node.values() if type(node) is dict else node)
            if type(one) is dict or type(one) is list  # quicker than isinstance
        ]
    if level:
        raise error(f"{name}: nested more than {MAX_DEPTH} levels deep")
    return value


def _most_values(raw: bytes) -> int:
    """At least the number of values in `raw`; exact but for brackets and commas in strings, and lists and objects."""
    return 1 + raw.count(b",") + raw.count(b"[") + raw.count(b"{")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        key = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise LookupError("duplicate key", key)
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        named = text in ("NaN", "Infinity", "-Infinity")
        raise ArithmeticError("NaN and Infinity are not JSON" if named else "a number is too large for float64", text)
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_finite, parse_float=_finite)
