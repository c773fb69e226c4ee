"""JSON with one meaning: UTF-8, no duplicate keys, no NaN or infinity, no lone surrogates, not deep, not huge."""

from __future__ import annotations

import json
import math
from typing import Any

from gatewise.errors import InputError, ModelFileError, quote

__all__ = ["json_bytes", "parse_json"]

MAX_BYTES = 64_000_000  # the largest vocabulary is about 1 MB
MAX_DEPTH = 16


def json_bytes(value: Any) -> bytes:
    """`value` as indented UTF-8 that `parse_json` takes back; the same value gives the same bytes, keys in their order.

    Raises InputError for what JSON cannot hold: NaN, infinity, a NumPy number, a lone surrogate, a key that is no
    string.
    """
    try:
        raw = (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"this cannot be written as JSON: {quote(error)}") from error
    _only_string_keys(value)
    return raw


def parse_json(raw: bytes, name: str) -> Any:
    """The value in `raw`, the content of the file `name`. Raises ModelFileError naming the file, and nothing else."""
    if len(raw) > MAX_BYTES:
        raise ModelFileError(f"{name}: {len(raw):,} bytes of JSON, more than the {MAX_BYTES:,} allowed")
    try:
        value = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constant, parse_float=_finite
        )
        if b"\\u" in raw:  # the only way to a lone surrogate; `json_bytes` never writes one
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError as error:
        raise ModelFileError(f"{name}: not UTF-8 at byte {error.start}") from error
    except UnicodeEncodeError as error:
        raise ModelFileError(f"{name}: holds a lone surrogate") from error
    except json.JSONDecodeError as error:
        raise ModelFileError(f"{name}: not JSON at line {error.lineno}, column {error.colno}: {error.msg}") from error
    except ValueError as error:  # from the hooks, and for a whole number of thousands of digits
        raise ModelFileError(f"{name}: {quote(error)}") from error
    except RecursionError as error:
        raise ModelFileError(f"{name}: nested more than {MAX_DEPTH} deep") from error
    _not_deep(value, name)
    return value


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"key {twice[:60]} stands there twice")
    return found


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not allowed")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:40]} is too large")
    return number


def _not_deep(value: Any, name: str) -> None:
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(MAX_DEPTH):
        inner = [v for node in level for v in (node.values() if isinstance(node, dict) else node)]
        level = [node for node in inner if isinstance(node, (dict, list))]
    if level:
        raise ModelFileError(f"{name}: nested more than {MAX_DEPTH} deep")


def _only_string_keys(value: Any) -> None:
    # json.dumps would turn 1, True and None into strings and so change the value without a word.
    stack = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            for key in node:
                if not isinstance(key, str):
                    raise InputError(f"this cannot be written as JSON: the key {quote(key)} is no string")
            stack.extend(node.values())
        elif isinstance(node, (list, tuple)):
            stack.extend(node)
