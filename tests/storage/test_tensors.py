"""Tensors load bit for bit, or are refused before their data is read."""

import json
import pickle
import struct
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from small_model import EXPECTED, small_tensors

from gatewise.errors import ModelFileError
from gatewise.storage.tensors import metadata_of, tensors_from_bytes, tensors_to_bytes
from tests.refusals import assert_refused


def refused(raw: bytes, *words: str, expected: Any = EXPECTED) -> None:
    message = assert_refused(r"model\.safetensors", tensors_from_bytes, raw, expected, error=ModelFileError)
    assert all(word in message for word in words), message


def assemble(header: Any, data: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def changed(change: Callable[[Any], Any]) -> bytes:
    """The small file with a header that `change` has worked on, its data as it was."""
    raw = tensors_to_bytes(small_tensors())
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    return assemble(change(header) or header, raw[8 + length :])


def test_round_trip_bit_for_bit() -> None:
    rng = np.random.default_rng(3)
    tensors = {
        "f64": rng.normal(size=(2, 3, 4)),
        "f16": rng.normal(size=7).astype(np.float16),
        "i32": rng.integers(-9, 9, size=(4, 1)).astype(np.int32),
        "u8": rng.integers(0, 255, size=11).astype(np.uint8),
        "i8": rng.integers(-9, 9, size=3).astype(np.int8),
        "none": np.zeros((0, 5), np.float32),
        "scalar": np.array(2.5),
        "negative zero": np.array([-0.0, 5e-324]),
        **small_tensors(),
    }
    raw = tensors_to_bytes(tensors, {"a": "1", "β": "zwei"})
    back = tensors_from_bytes(raw, {name: (t.shape, t.dtype) for name, t in tensors.items()})
    assert metadata_of(raw) == {"a": "1", "β": "zwei"}
    assert metadata_of(tensors_to_bytes(tensors)) == {}
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype
        assert back[name].shape == tensor.shape
        assert back[name].tobytes() == tensor.tobytes()
        assert back[name].flags.writeable
    other = safetensors.numpy.load(raw)  # and it is a file that every other reader takes
    assert all(np.array_equal(other[name], tensors[name]) for name in tensors)
    assert tensors_to_bytes(tensors) == safetensors.numpy.save(tensors)


def test_a_transposed_array_keeps_its_meaning() -> None:
    weight = np.random.default_rng(4).normal(size=(3, 5))
    for view in (weight.T, weight[::2, ::-1], np.asfortranarray(weight)):
        back = tensors_from_bytes(tensors_to_bytes({"w": view}), {"w": (view.shape, view.dtype)})
        assert np.array_equal(back["w"], view)


def test_the_same_content_gives_the_same_bytes() -> None:
    metadata = {f"key{i}": str(i) for i in range(9)}
    tensors = small_tensors()
    first = tensors_to_bytes(tensors, metadata)
    for _ in range(5):
        assert tensors_to_bytes(dict(reversed(tensors.items())), dict(reversed(metadata.items()))) == first
    assert (8 + int.from_bytes(first[:8], "little")) % 8 == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(bad: float) -> None:
    tensors = small_tensors()
    tensors["weight"][2, 3] = bad
    assert_refused(r"tensor 'weight' has NaN or infinity", tensors_to_bytes, tensors)
    refused(safetensors.numpy.save(tensors), "tensor 'weight' has NaN or infinity")


def test_what_has_no_place_in_a_file() -> None:
    for tensor in (np.array(["text"]), np.array([object()]), np.array([1j]), np.array([True])):
        assert_refused("tensor 'x' is", tensors_to_bytes, {"x": tensor})
    assert_refused("257 tensors", tensors_to_bytes, {str(i): np.zeros(1) for i in range(257)})
    assert_refused("0 tensors", tensors_to_bytes, {})
    assert_refused("more than 1,000,000", tensors_to_bytes, small_tensors(), {"long": "x" * 1_000_000})


def test_wrong_dtype_shape_or_name() -> None:
    tensors = small_tensors()
    refused(tensors_to_bytes({**tensors, "weight": tensors["weight"].T}), "'weight'", "[5, 3]", "(3, 5)")
    refused(tensors_to_bytes({**tensors, "weight": tensors["weight"].ravel()}), "'weight'", "[15]")
    refused(tensors_to_bytes({**tensors, "weight": tensors["weight"].astype(np.float64)}), "'weight'", "F64", "F32")
    refused(tensors_to_bytes({**tensors, "bias": tensors["bias"].view(np.int32)}), "'bias'", "I32", "F32")
    refused(tensors_to_bytes({**tensors, "extra": np.zeros(2)}), "'extra' is not part of this model")
    del tensors["bias"]
    refused(tensors_to_bytes(tensors), "'bias' is missing")


def test_offsets() -> None:
    def to(name: str, *offsets: object) -> Callable[[Any], None]:
        return lambda header: header[name].update(data_offsets=list(offsets))

    total = 5 * 4 + 8 + 15 * 4
    begin = json.loads(changed(lambda header: None)[8:].split(b"}}")[0] + b"}}")["weight"]["data_offsets"][0]
    good = changed(to("weight", begin, begin + 60))
    tensors_from_bytes(good, EXPECTED)
    for offsets in [
        (0, 60),
        (begin + 1, begin + 61),
        (begin, begin + 59),
        (begin, total + 1),
        (begin + 60, begin),
        (-1, 59),
    ]:
        refused(changed(to("weight", *offsets)))
    for offsets in [(begin,), (begin, begin + 60, 1), (True, 60), (0.0, 60.0), ("0", "60"), ()]:
        refused(changed(to("weight", *offsets)))
    refused(changed(to("count", 10**30, 10**30 + 8)))
    for tail in (b"\0", b"x" * 100):
        refused(good + tail)
    refused(good[:-1])


def test_invalid_headers_are_refused() -> None:
    data = b"\0" * 88
    for header in (b"", b"[]", b"null", b"{", b"\xff{}", b'{"a":1,"a":1}', b"[" * 100_000, b'{"a": NaN}', b'"text"'):
        refused(assemble(header, data))
    for entry in (1, None, [], {}, {"dtype": "F32", "shape": [5]}, {"dtype": "F32", "shape": [5], "data_offsets": 3}):
        refused(changed(lambda header, entry=entry: header.update(bias=entry)))
    for shape in (5, [5.0], [True], [-5], ["5"], [5, 1], [2**63], None):
        refused(changed(lambda header, shape=shape: header["bias"].update(shape=shape)), "'bias' has shape")
    for dtype in ("f32", None, 1, ["F32"], {"a": 1}, "BF16"):
        refused(changed(lambda header, dtype=dtype: header["bias"].update(dtype=dtype)), "'bias' is")
    for metadata in (1, ["a"], {"a": 1}, {"a": None}):
        refused(changed(lambda header, metadata=metadata: header.update(__metadata__=metadata)), "metadata")
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        refused(pickle.dumps({"weight": [1.0] * 100}, protocol))


def test_bombs_cost_nothing() -> None:
    """300,000 empty tensors took the library 3.2 s; a header may claim any length, a shape any number of values."""
    empty = {f"t{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(60_000)}
    bombs = [
        (assemble(empty, b""), "bytes, more than the 1,000,000 allowed"),  # it is not parsed
        (assemble(dict(list(empty.items())[:15_000]), b""), "15,000 tensors, more than the 256 allowed"),
        (struct.pack("<Q", 100_000_000) + b"{" * 1000, "truncated"),
        (struct.pack("<Q", 2**64 - 1) + b"{}", "truncated"),
        (struct.pack("<Q", 1_000_001) + b" " * 1_000_001, "a header of 1,000,001 bytes"),
    ]
    tracemalloc.start()
    for bomb, reason in bombs:
        refused(bomb, reason)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50_000_000
    # 40 TB claimed by both sides: the header and the caller agree, the file does not hold it
    huge = {"w": {"dtype": "F32", "shape": [10**7, 10**6], "data_offsets": [0, 4 * 10**13]}}
    refused(assemble(huge, b"\0" * 8), expected={"w": ((10**7, 10**6), "float32")})
    # 2^64 bytes, which a 64-bit product takes for none
    wraps = {"w": {"dtype": "F32", "shape": [2**31, 2**31], "data_offsets": [0, 0]}}
    refused(assemble(wraps, b""), expected={"w": ((2**31, 2**31), "float32")})
