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
    """`value` as UTF-8 that `parse_json` reads back. Equal values with equal order of their keys give equal bytes.
    indent: None for one line.

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
    if max_bytes is None:
        max_bytes = MAX_BYTES
    if len(raw) > max_bytes:
        raise error(f"{name}: {len(raw):,} bytes of JSON, more than the limit of {max_bytes:,}")
    if raw.startswith(codecs.BOM_UTF8):
        raise error(f"{name}: starts with a byte order mark (BOM)")
    # The exact count, without strings, takes long. A cheap bound on it is enough for nearly all inputs.
    may_be_large = len(raw) > MAX_VALUES and _most_values(raw) > MAX_VALUES
    if may_be_large and _most_values(_STRING.sub(b"", raw)) > MAX_VALUES:
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
        place = f"column {cause.colno}"
        if b"\n" in raw.strip():
            place = f"line {cause.lineno}, {place}"
        raise error(f"{name}: not JSON at {place}: {cause.msg}") from cause
    except _Refused as cause:
        message = f"{name}: {cause.reason}"
        if echo:
            message += f" ({quote(cause.content, 60)})"
        raise error(message) from cause
    except ValueError as cause:  # Python does not convert an integer of more than 4,300 digits
        raise error(f"{name}: a number has too many digits") from cause
    except RecursionError as cause:
        raise error(f"{name}: nested more than {MAX_DEPTH} levels deep") from cause
    if _is_deeper(value, MAX_DEPTH):
        raise error(f"{name}: nested more than {MAX_DEPTH} levels deep")
    return value


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether lists and objects are nested more than so many levels deep."""
    nodes = [value] if isinstance(value, (dict, list)) else []
    for _ in range(levels):
        if not nodes:
            return False
        nodes = [
            child
            for node in nodes
            for child in (node.values() if type(node) is dict else node)
            if type(child) is dict or type(child) is list  # quicker than isinstance
        ]
    return bool(nodes)


def _most_values(raw: bytes) -> int:
    """At least the number of values in `raw`: commas and brackets in strings are counted too."""
    return 1 + raw.count(b",") + raw.count(b"[") + raw.count(b"{")


class _Refused(Exception):
    """JSON that Python reads and that is refused here. reason: what is wrong. content: the key or number."""

    def __init__(self, reason: str, content: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.content = content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these pairs. Raises _Refused for a key that occurs twice."""
    values = dict(pairs)
    if len(values) == len(pairs):
        return values
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            break
        seen.add(key)
    raise _Refused("duplicate key", key)


def _finite(text: str) -> float:
    """The number. Raises _Refused for one that is not finite."""
    number = float(text)
    if math.isfinite(number):
        return number
    if text in ("NaN", "Infinity", "-Infinity"):
        raise _Refused("NaN and Infinity are not JSON", text)
    raise _Refused("a number is too large for float64", text)


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_finite, parse_float=_finite)
