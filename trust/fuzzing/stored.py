"""Targets: what a model folder consists of, and JSON of any origin."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from tokenizers import Tokenizer

from gatewise.errors import GatewiseError, InputError
from gatewise.storage.strict_json import json_bytes, parse_json
from gatewise.storage.tensors import metadata_of, tensors_from_bytes, tensors_to_bytes, verify_checksum
from gatewise.text import Encoding, KerasEncoding, encoding_from
from gatewise.text.subwords import SubwordEncoding
from gatewise.text.tokens import TokenEncoding
from trust.fuzzing.target import Target
from trust.mutate import change_json, change_safetensors

JSON_WORDS = (*rb'"a": null true -0 1e400 NaN \ud800 \u0000 [[[[ {}'.split(), b"\xef\xbb\xbf")


def _read_json(raw: bytes, folder: Path) -> Any:
    # As the HTTP server reads a request: lone surrogates are accepted, and messages quote nothing.
    with suppress(GatewiseError):
        parse_json(raw, "body", error=InputError, echo=False, surrogates=True, max_bytes=len(raw))
    return parse_json(raw, "input")


def _compare_json(raw: bytes, value: Any, folder: Path) -> None:
    other, again = json.loads(raw), parse_json(json_bytes(value), "again")
    # repr tells 1, 1.0 and True apart, and shows the order of keys.
    assert repr(value) == repr(other), f"json reads {other!r}, not {value!r}"
    assert repr(again) == repr(value), f"written and read again: {again!r}, not {value!r}"


def _json_seeds() -> list[bytes]:
    values: list[Any] = [
        {"format": 3, "network": {"units": 8, "layers": 1.5}, "labels": ["neg", "pos"], "x": None, "ok": True},
        [[1, -2], [3.25, 1e-7], ["naïve", "\u4e2d\U0001f600", '"\\\n'], {}],
        "text",
        -12345678901234567890,
    ]
    return [form for value in values for form in (json_bytes(value), json.dumps(value).encode())]


JSON = Target(_read_json, _json_seeds, _compare_json, JSON_WORDS, change_json)

_CODES = {"F64": "f8", "F32": "f4", "F16": "f2", "I64": "i8", "I32": "i4", "I8": "i1", "U8": "u1"}
_EXPECTED: dict[str, Any] = {"weight": ((2, 3), "float32"), "bias": ((2,), "float16")}


def _header(raw: bytes) -> dict[str, Any]:
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    return {name: entry for name, entry in header.items() if name != "__metadata__"}


def _expected(raw: bytes) -> dict[str, Any]:
    """The tensors that the header declares, where they can be had at all."""
    try:
        entries = _header(raw).items()
        forms = {name: (tuple(entry["shape"]), _CODES[entry["dtype"]]) for name, entry in entries}
        for shape, _ in forms.values():
            math.prod(map(int, shape))
        return forms
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        return _EXPECTED


def _read_safetensors(raw: bytes, folder: Path) -> Any:
    with suppress(GatewiseError):
        verify_checksum(raw)
    metadata_of(raw)
    return tensors_from_bytes(raw, _expected(raw))


def _compare_safetensors(raw: bytes, value: Any, folder: Path) -> None:
    others = safetensors.numpy.load(raw)
    header, data = _header(raw), raw[8 + int.from_bytes(raw[:8], "little") :]
    names = f"the tensors are {sorted(value)}, those of safetensors {sorted(others)}"
    assert set(value) == set(others) == set(header), names
    for name, array in value.items():
        begin, end = header[name]["data_offsets"]
        dtype, shape = np.dtype(_CODES[header[name]["dtype"]]), tuple(header[name]["shape"])
        stored = np.frombuffer(data[begin:end], dtype).reshape(shape)
        for other in (others[name], stored):
            same = (array.dtype, array.shape, array.tobytes()) == (other.dtype, other.shape, other.tobytes())
            assert same, f"{name} is {array!r}, not {other!r}"
        assert np.isfinite(array).all(), f"{name} is not finite"


def _safetensors_seeds() -> list[bytes]:
    rng = np.random.default_rng(0)
    tensors = {name: rng.normal(size=shape).astype(dtype) for name, (shape, dtype) in _EXPECTED.items()}
    kinds: dict[str, Any] = {code: np.arange(3).astype(kind) for code, kind in _CODES.items()}
    return [
        tensors_to_bytes(tensors, {"identity": "{}"}, checksum=True),
        tensors_to_bytes(kinds | {"none": np.zeros((0, 4), np.float32), "one": np.float64(2.5).reshape(())}),
    ]


SAFETENSORS = Target(
    _read_safetensors,
    _safetensors_seeds,
    _compare_safetensors,
    (b'"dtype":"F32"', b'"shape":[2,3]', b'"data_offsets":[0,24]', b'"__metadata__":{}', b'"BF16"', b"[]", b"-1"),
    change_safetensors,
)

_TEXT = "A good film, isn't it? unusual 中文 e\u0301 <br /> [PAD] !!!"
_TEXTS = ["a good film", "a film that is not good", "isn't it unusual?", "un usual films"]
_LIMITS = {"pipeline": 2, "max_characters": 1000, "max_tokens": 500}


def _read_tokenizer(raw: bytes, folder: Path) -> Any:
    if raw.lstrip()[:1] == b"[":
        return encoding_from({"kind": "keras", "num_words": 10}, lambda name: raw)
    kind = "subwords" if b'"BPE"' in raw else "tokens"
    return encoding_from({"kind": kind, **_LIMITS}, lambda name: raw)


def _compare_tokenizer(raw: bytes, value: Any, folder: Path) -> None:
    found = value.tokenize(_TEXT)
    ids = found.sequence.tolist()
    assert ids == value.encode(_TEXT).tolist(), "encode and tokenize differ"
    assert len(ids) == len(found.names) == len(found.spans), "not a name and a place per id"
    assert all(0 <= one < value.vocab_size for one in ids), f"the ids {ids} are not below {value.vocab_size}"
    config, files = value.to_files()
    again = encoding_from(config, files.__getitem__)
    assert again.to_files() == (config, files), "written and read again, it has other files"
    assert again.encode(_TEXT).tolist() == ids, "written and read again, it gives other ids"
    if isinstance(value, KerasEncoding):
        assert list(value.index) == json.loads(raw), "other words than in the file"
        return
    stored = json.loads(raw) | {"version": "1.0"}  # the version of the file, which is not looked at
    own = Tokenizer.from_str(json.dumps(stored)).encode(_TEXT, add_special_tokens=False).ids
    assert own == ids, f"the library gives the ids {own}, not {ids}"


def _tokenizer_seeds() -> list[bytes]:
    encodings: list[Encoding] = [
        TokenEncoding.fit(_TEXTS, 12, 1),
        SubwordEncoding.fit(_TEXTS, 60, 1),
        KerasEncoding.fit(_TEXTS, 10),
    ]
    return [raw for encoding in encodings for raw in encoding.to_files()[1].values()]


TOKENIZER = Target(
    _read_tokenizer,
    _tokenizer_seeds,
    _compare_tokenizer,
    (b'"[PAD]":0', b'"[UNK]":1', b'"##a"', b'"merges":[', b'["a","##b"]', b'"vocab":{', b'"model":', b'"type":"BPE"'),
    change_json,
)
