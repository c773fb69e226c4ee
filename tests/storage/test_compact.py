"""float16 and int8 storage: error bounds, stable when saved again, invalid content refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError, ModelFileError
from gatewise.storage import (
    check_storage,
    pack,
    storage_table,
    stored_forms,
    tensors_from_bytes,
    tensors_to_bytes,
    unpack,
)

Tensors = dict[str, np.ndarray]


def tensors() -> Tensors:
    rng = np.random.default_rng(31)
    table = rng.normal(0.1, 1, (40, 9)) * 10 ** rng.uniform(-6, 3, (40, 1))  # rows of very different size
    table[7] = 0
    table[8] = 1e-44  # smaller than any scale
    return {
        "embedding.weight": table.astype(np.float32),
        "lstm.0.forward.bias": rng.normal(size=12).astype(np.float32),
        "lstm.0.forward.weight_hh": rng.normal(0, 0.3, (12, 8)).astype(np.float32),
        "dense.weight": rng.normal(size=(1, 30)).astype(np.float32),
        "ngrams.keys": np.sort(rng.integers(0, 2**62, 25)),
        "ngrams.weight": rng.normal(size=(25, 1)).astype(np.float32),
    }


def forms_of(found: Tensors) -> dict[str, Any]:
    return {name: (array.shape, array.dtype) for name, array in found.items()}


def through_a_file(found: Tensors, table: dict[str, str]) -> Tensors:
    raw = tensors_to_bytes(pack(found, table))
    return unpack(tensors_from_bytes(raw, stored_forms(forms_of(found), table)), table)


def test_one_word_means_the_large_tensors() -> None:
    assert storage_table(tensors(), "float32") == {}
    wide = {"embedding.weight", "lstm.0.forward.weight_hh", "ngrams.weight"}
    assert storage_table(tensors(), "float16") == dict.fromkeys(wide, "float16")
    assert storage_table(tensors(), "int8") == {**dict.fromkeys(wide, "int8"), "ngrams.weight": "float16"}
    with pytest.raises(InputError, match="float32, float16 or int8, not 'int4'"):
        storage_table(tensors(), "int4")


@pytest.mark.parametrize("word", ["float16", "int8"])
def test_it_comes_back_as_float32_and_as_near_as_promised(word: str) -> None:
    before = tensors()
    table = storage_table(before, word)
    after = through_a_file(before, table)
    assert forms_of(after) == forms_of(before)
    for name, array in before.items():
        error = np.abs(after[name].astype(np.float64) - array)
        if name not in table:
            assert not error.any(), name
        elif table[name] == "float16":
            bound = np.maximum(np.abs(array) * 2.0**-11, 2.0**-25)  # half a step, below 2^-14 that of the smallest
            assert (error <= bound).all(), name
            assert error.any()
        else:
            half = np.abs(array).max(axis=1, keepdims=True) / 127 / 2
            assert (error <= half * (1 + 2.0**-8) + 1e-43).all(), name
            assert error.any()
    assert not after["embedding.weight"][7].any()


def test_int8_takes_a_quarter_and_a_scale_a_row() -> None:
    stored = pack(tensors(), {"embedding.weight": "int8"})
    assert (stored["embedding.weight"].dtype, stored["embedding.weight.scale"].shape) == (np.int8, (40,))
    rows = np.delete(stored["embedding.weight"], [7, 8], axis=0)
    assert (np.abs(rows.astype(int)).max(axis=1) == 127).all()


@pytest.mark.parametrize("word", ["float16", "int8"])
def test_saved_again_it_is_the_same_bit_for_bit(word: str) -> None:
    """Or a model that is opened and saved a hundred times would walk away from what was measured."""
    rng = np.random.default_rng(5)
    before = {"w": (rng.normal(size=(5000, 11)) * 10 ** rng.uniform(-3, 3, (5000, 1))).astype(np.float32)}
    table = {"w": word}
    once = pack(before, table)
    again = pack(unpack(once, table), table)
    assert all(np.array_equal(once[name], again[name]) for name in once)


def test_what_float16_cannot_hold() -> None:
    with pytest.raises(InputError, match=r"tensor 'w' has a 7e\+04; float16 ends at 65,504"):
        pack({"w": np.array([[1.0, -7e4]], np.float32)}, {"w": "float16"})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([], "must map tensor names to dtypes"),
        ("int8", "must map tensor names to dtypes"),
        ({"ngrams.keys": "int8"}, "'ngrams.keys' cannot be stored as int8"),
        ({"ngrams.keys": "float16"}, "'ngrams.keys' cannot be stored as float16"),
        ({"embedding.weight": "float32"}, "must be float16 or int8, not 'float32'"),
        ({"embedding.weight": "int4"}, "must be float16 or int8, not 'int4'"),
        ({"embedding.weight": "pickle"}, "must be float16 or int8, not 'pickle'"),
        ({"embedding.weight": None}, "must be float16 or int8"),
        ({"embedding.weight": ["int8"]}, "must be float16 or int8"),
        ({"embedding": "int8"}, "'embedding' is not a tensor"),
        ({"embedding.weight.scale": "int8"}, "is not a tensor"),
        ({"a": "int8"}, "the name of another tensor"),
        ({"number": "int8"}, "cannot be stored as int8"),
    ],
)
def test_an_invalid_table_is_refused(table: Any, message: str) -> None:
    forms = {**forms_of(tensors()), "a": ((3, 9), "float32"), "a.scale": ((3,), "float32"), "number": ((), "float32")}
    with pytest.raises(InputError, match=message):
        check_storage(table, forms)


def refused(stored: Tensors, *words: str) -> None:
    table, forms = {"w": "int8"}, {"w": ((6, 9), "float32")}
    with pytest.raises(ModelFileError) as caught:
        unpack(tensors_from_bytes(tensors_to_bytes(stored), stored_forms(forms, table)), table)
    assert all(word in str(caught.value) for word in ("model.safetensors", *words)), caught.value


def test_a_file_that_is_not_what_the_table_says() -> None:
    whole = np.random.default_rng(2).normal(size=(6, 9)).astype(np.float32)
    good = pack({"w": whole}, {"w": "int8"})
    refused({"w": whole}, "'w.scale' is missing")
    refused({**good, "w": whole}, "'w' is 'F32'", "I8")
    refused({**good, "w": good["w"].view(np.uint8)}, "'w' is 'U8'")
    refused({**good, "w": good["w"][:, :8]}, "'w' has shape")
    refused({**good, "w.scale": good["w.scale"][:5]}, "'w.scale' has shape")
    refused({**good, "w.scale": good["w.scale"].astype(np.float16)}, "'w.scale' is 'F16'")
    refused({**good, "more": whole}, "'more' is not part")


@pytest.mark.parametrize("bad", [-1e-30, -1.0, 3e36, 3e38])
def test_an_invalid_scale_is_refused(bad: float) -> None:
    """Above 2.7e36 a row of int8 times it is no longer finite; each value by itself is."""
    good = pack({"w": np.random.default_rng(2).normal(size=(6, 9)).astype(np.float32)}, {"w": "int8"})
    scale = good["w.scale"].copy()
    scale[4] = bad
    refused({**good, "w.scale": scale}, "'w.scale' has a negative or too large scale")


def test_the_largest_scale_gives_finite_numbers() -> None:
    stored = {"w": np.array([[-128, 127]], np.int8), "w.scale": np.array([2.65e36], np.float32)}
    with np.errstate(over="raise"):
        assert np.isfinite(unpack(stored, {"w": "int8"})["w"]).all()
