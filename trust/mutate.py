"""Random changes of bytes, JSON and safetensors files: what a bad disk does, and what a stranger may write."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

Rng = np.random.Generator
T = TypeVar("T")

HUGE = [2**31, 2**32 + 1, 2**62, 2**63, 10**18, 10**30, 10**400, -1, -(2**63)]
TEXTS = ["", "\x1b[31m", "a\nb", "x" * 100_000, "\u202e", "naïve", "e\u0301", "\u00e9", "../../x", "\x00", "word1"]
NUMBERS = [0, 1, 2.0, 0.5, 1e308, -1e308, 5e-324, True, False, None]
VALUES: list[Any] = [*HUGE, *TEXTS, *NUMBERS, [], {}, [[]], {"a": 1}, [0] * 1000, ["a", "a"], [1.5, None]]
# Raw JSON that no Python value gives.
RAW = ["NaN", "-Infinity", "1e999", "-0", "01", "1" * 5000, '"\\ud800"', "[" * 100_000, "[" * 40 + "]" * 40, "'a'", ""]


def choice(rng: Rng, values: Sequence[T]) -> T:
    """One of a list, as the Python object that it is."""
    return values[int(rng.integers(len(values)))]


def change_bytes(rng: Rng, raw: bytes) -> bytes:
    """Flip bits, truncate, extend, cut out, repeat, exchange two parts or overwrite with random bytes."""
    if not raw:
        return b"\0"
    a, b = sorted(rng.integers(0, len(raw) + 1, 2).tolist())
    short = min(b, a + 64)
    match int(rng.integers(7)):
        case 0:
            changed = bytearray(raw)
            for at in rng.integers(0, len(raw), int(rng.integers(1, 5))):
                changed[at] ^= 1 << int(rng.integers(8))
            return bytes(changed)
        case 1:
            return raw[:a]
        case 2:
            return raw + rng.bytes(int(rng.integers(1, 100)))
        case 3:
            return raw[:a] + raw[short:]
        case 4:
            return raw[:b] + raw[a:short] + raw[b:]
        case 5:
            return raw[b:] + raw[:b]
        case _:
            return raw[:a] + rng.bytes(short - a) + raw[short:]


def change_json(rng: Rng, raw: bytes) -> bytes:
    """A change of a JSON file: a value, a key, or the text itself."""
    try:
        tree = json.loads(raw)
    except (ValueError, RecursionError):  # changed before
        return change_bytes(rng, raw)
    if not isinstance(tree, (dict, list)):
        return change_bytes(rng, raw)
    if rng.random() < 0.3:
        return _change_text(rng, raw)
    change_value(rng, tree)
    return json.dumps(tree, ensure_ascii=bool(rng.random() < 0.5)).encode("utf-8", "surrogatepass")


def change_value(rng: Rng, tree: Any) -> None:
    """Change one place in a tree of dicts and lists: replace, remove, add, copy, exchange."""
    node = tree
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            break
        key = choice(rng, keys)
        inner = node[key]
        if not isinstance(inner, (dict, list)) or not inner or rng.random() < 0.3:
            break
        node = inner
    if not keys:
        return
    match int(rng.integers(6)):
        case 0:
            del node[key]
        case 1 if isinstance(node, dict):
            node[choice(rng, TEXTS)] = choice(rng, VALUES)
        case 1:
            node.insert(int(key), choice(rng, VALUES))
        case 2:
            other = choice(rng, keys)
            node[key], node[other] = node[other], node[key]
        case 3 if isinstance(node[key], (int, float)) and not isinstance(node[key], bool):
            node[key] = choice(rng, [node[key] + 1, node[key] - 1, -node[key], node[key] * 1000])
        case _:
            node[key] = choice(rng, VALUES)


def _change_text(rng: Rng, raw: bytes) -> bytes:
    text = raw.decode("utf-8", "replace")
    match int(rng.integers(6)):
        case 0:  # the first key once more
            at = text.find("{") + 1
            end = text.find(":", at)
            return (text[:at] + text[at:end] + ": 1," + text[at:]).encode()
        case 1:  # a number or word in raw form
            places = [n for n, character in enumerate(text) if character in ":,[{"]
            at = choice(rng, places or [0]) + 1
            end = min((n for n in (text.find(stop, at) for stop in ",]}") if n > 0), default=at)
            return (text[:at] + choice(rng, RAW) + text[end:]).encode()
        case 2:
            return b"\xef\xbb\xbf" + raw
        case 3:
            return text.encode("utf-16")
        case 4:
            return raw + choice(rng, [b" ", b"{}", b"\0", b"]"])
        case _:
            depth = int(rng.integers(1, 3000))
            return b"[" * depth + raw + b"]" * depth


def change_safetensors(rng: Rng, raw: bytes) -> bytes:
    """A change of a safetensors file's header, of its length field, or of the data."""
    length = int.from_bytes(raw[:8], "little")
    try:
        header, data = json.loads(raw[8 : 8 + length]), raw[8 + length :]
        names = [name for name in header if name != "__metadata__" and header[name]["data_offsets"] is not None]
    except (ValueError, TypeError, KeyError, RecursionError):  # changed before
        return change_bytes(rng, raw)
    if not names or rng.random() < 0.2:
        return change_bytes(rng, raw)
    entry = header[choice(rng, names)]
    match int(rng.integers(9)):
        case 0:
            entry["shape"] = choice(rng, [[n] for n in HUGE] + [[2**32, 2**32], [0, 2**62], [1] * 100, [], [3, 4.0]])
        case 1:
            entry["data_offsets"] = header[choice(rng, names)]["data_offsets"]  # overlapping
        case 2:
            entry["data_offsets"] = [choice(rng, [0, *HUGE]), choice(rng, [len(data), *HUGE])]
        case 3:
            entry["dtype"] = choice(rng, ["F64", "F32", "F16", "BF16", "I8", "U8", "BOOL", "F8_E4M3", "C64", "", None])
        case 4:
            header[choice(rng, [*TEXTS, *names])] = dict(entry)
        case 5:
            header["__metadata__"] = choice(rng, [{"a": 1}, {"a": "b" * 10_000}, [], None, {"\x1b": "\x1b"}])
        case 6:
            header = {f"t{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(5000)}
        case 7:
            text = change_json(rng, json.dumps(header).encode())
            return len(text).to_bytes(8, "little") + text + data
        case _:
            return choice(rng, [n for n in HUGE if 0 <= n < 2**64]).to_bytes(8, "little") + raw[8:]
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def change_weights(rng: Rng, raw: bytes) -> bytes:
    """Other values in a safetensors file, its header as it was: random bits, extremes, subnormals."""
    start = 8 + int.from_bytes(raw[:8], "little")
    values = np.frombuffer(raw[start : start + (len(raw) - start) // 4 * 4], np.float32).copy()
    if not len(values):
        return raw
    at = rng.integers(0, len(values), int(rng.integers(1, 20)))
    extremes = [3.4e38, -3.4e38, 1e-45, -0.0, 1e30, np.inf, np.nan, 1.0]
    values[at] = choice(rng, extremes) if rng.random() < 0.7 else rng.integers(0, 2**32, len(at), np.uint32).view("f4")
    return raw[:start] + values.tobytes() + raw[start + values.nbytes :]


def change_file(rng: Rng, name: str, raw: bytes) -> bytes:
    """A change that fits the kind of file."""
    if rng.random() < 0.15:
        return change_bytes(rng, raw)
    if name.endswith(".safetensors"):
        return change_weights(rng, raw) if rng.random() < 0.4 else change_safetensors(rng, raw)
    if name.endswith(".json"):
        return change_json(rng, raw)
    if name.endswith(".jsonl") and raw:
        lines = raw.splitlines(keepends=True)
        at = int(rng.integers(len(lines)))
        lines[at] = change_json(rng, lines[at]) + b"\n"
        return b"".join(lines)
    return change_bytes(rng, raw)
