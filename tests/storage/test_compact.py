"""float16 and int8 storage, and shared rows: error bounds, stable when saved again, invalid content refused."""

from typing import Any

import numpy as np
import pytest

from gatewise.errors import ModelFileError
from gatewise.storage.compact import Unpacked, distinct_rows, pack, storage_table, stored_forms
from gatewise.storage.tensors import tensors_from_bytes, tensors_to_bytes
from tests.refusals import assert_refused

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
    stored = pack(found, table)
    forms = stored_forms(forms_of(found), table, distinct_rows(stored))
    return Unpacked(tensors_from_bytes(tensors_to_bytes(stored), forms), table)


def equal(one: Tensors, other: Tensors) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def test_one_word_means_the_large_tensors() -> None:
    assert storage_table(tensors(), "float32") == {}
    wide = {"embedding.weight", "lstm.0.forward.weight_hh", "ngrams.weight"}
    assert storage_table(tensors(), "float16") == dict.fromkeys(wide, "float16")
    assert storage_table(tensors(), "int8") == {**dict.fromkeys(wide, "int8"), "ngrams.weight": "float16"}
    assert_refused("float32, float16 or int8, not 'int4'", storage_table, tensors(), "int4")


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


def test_int8_takes_a_quarter_and_a_scale_a_row_and_float16_ends_at_65504() -> None:
    stored = pack(tensors(), {"embedding.weight": "int8"})
    assert (stored["embedding.weight"].dtype, stored["embedding.weight.scale"].shape) == (np.int8, (40,))
    rows = np.delete(stored["embedding.weight"], [7, 8], axis=0)
    assert (np.abs(rows.astype(int)).max(axis=1) == 127).all()
    wide = {"w": np.array([[1.0, -7e4]], np.float32)}
    assert_refused(r"tensor 'w' has a 7e\+04; float16 ends at 65,504", pack, wide, {"w": "float16"})


@pytest.mark.parametrize("word", ["float16", "int8"])
def test_saved_again_it_is_the_same_bit_for_bit(word: str) -> None:
    """Or a model that is opened and saved a hundred times would walk away from what was measured."""
    rng = np.random.default_rng(5)
    before = {"w": (rng.normal(size=(5000, 11)) * 10 ** rng.uniform(-3, 3, (5000, 1))).astype(np.float32)}
    table = {"w": word}
    once = pack(before, table)
    assert equal(once, pack(Unpacked(once, table), table))


def test_an_invalid_table_is_refused() -> None:
    for table, message in (
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
    ):
        forms = {
            **forms_of(tensors()),
            "a": ((3, 9), "float32"),
            "a.scale": ((3,), "float32"),
            "number": ((), "float32"),
        }
        assert_refused(message, stored_forms, forms, table, {})


def refused(stored: Tensors, *words: str, n: int = 6, **rows: int) -> None:
    table, forms = {"w": "int8"}, {"w": ((n, 9), "float32")}
    raw, wanted = tensors_to_bytes(stored), stored_forms(forms, table, rows)
    message = assert_refused(".", lambda: Unpacked(tensors_from_bytes(raw, wanted), table), error=ModelFileError)
    assert all(word in message for word in words), message


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
        assert np.isfinite(Unpacked(stored, {"w": "int8"})["w"]).all()


def shared(rows: int = 60, distinct: int = 7) -> np.ndarray:
    """(rows, 9), of which `distinct` differ, in no order."""
    rng = np.random.default_rng(8)
    places = rng.permutation(np.arange(rows) % distinct)
    found: np.ndarray = rng.normal(size=(distinct, 9)).astype(np.float32)[places]
    return found


@pytest.mark.parametrize("word", ["float16", "int8"])
def test_equal_rows_are_stored_once(word: str) -> None:
    before, table = {"w": shared()}, {"w": word}
    stored = pack(before, table)
    assert distinct_rows(stored) == {"w": 7}
    assert (stored["w"].shape, stored["w.rows"].dtype, stored["w.rows"].shape) == ((7, 9), np.uint16, (60,))
    assert len(tensors_to_bytes(stored)) < len(
        tensors_to_bytes(pack({"w": np.arange(540, dtype=np.float32).reshape(60, 9)}, table))
    )
    after = through_a_file(before, table)
    single = {"w": np.unique(before["w"], axis=0)}  # without repetition, so nothing is shared
    expected = through_a_file(single, table)["w"]
    for row, found in zip(before["w"], after["w"], strict=True):
        np.testing.assert_array_equal(found, expected[(single["w"] == row).all(axis=1)][0])
    assert equal(stored, pack(after, table))


def test_rows_that_become_equal_are_stored_once() -> None:
    """Rows that differ by less than the file can hold. A loaded model has equal rows, and must give the same file."""
    rows = shared()
    size = np.abs(rows)
    change = np.where(size < size.max(axis=1, keepdims=True), 1e-5 * shared(distinct=60), 0)  # the scale stays
    near = (rows * (1 + change)).astype(np.float32)
    assert len(np.unique(near, axis=0)) > 7
    stored = pack({"w": near}, {"w": "int8"})
    assert distinct_rows(stored)["w"] < len(np.unique(near, axis=0))
    assert equal(stored, pack(Unpacked(stored, {"w": "int8"}), {"w": "int8"}))


def test_rows_are_shared_only_where_that_is_smaller() -> None:
    table = {"w": "int8"}
    for rows, distinct, is_shared in ((60, 60, False), (60, 52, False), (60, 45, True), (60, 3, False), (60, 4, True)):
        assert ("w.rows" in pack({"w": shared(rows, distinct)}, table)) == is_shared, (rows, distinct)
    assert "w.rows" not in pack({"w": shared()}, {})
    many = np.zeros((2**17, 8), np.float32)
    many[:, 0], many[:, 1] = np.divmod(np.arange(2**17), 256)  # all different, more than a uint16 can number
    assert "w.rows" not in pack({"w": np.concatenate([many, many])}, {"w": "float16"})


def test_an_invalid_number_of_rows_is_refused() -> None:
    for counts, message in (
        ([], "must map tensor names to numbers"),
        ({"bias": 3}, "'bias' is not a matrix that storage lists"),
        ({"other": 3}, "'other' is not a matrix that storage lists"),
        ({"plain": 3}, "'plain' is not a matrix that storage lists"),
        ({"w": 0}, "must be 4 to 60, not '0'"),
        ({"w": 3}, "not '3'"),  # a file of 3 rows must not become more than 48
        ({"w": 61}, "not '61'"),
        ({"w": True}, "not 'True'"),
        ({"w": 7.0}, "not '7.0'"),
        ({"w": "7"}, "not '7'"),
        ({"large": 2**16 + 1}, "must be 62,500 to 65,536, not '65537'"),
        ({"large": 10**30}, "not '1000"),
    ):
        forms = {"w": ((60, 9), "float32"), "bias": ((60,), "float32"), "plain": ((60, 9), "float32")}
        forms["large"] = ((10**6, 9), "float32")
        assert_refused(message, stored_forms, forms, dict.fromkeys(["w", "bias", "large"], "int8"), counts)


def test_rows_that_are_not_what_the_configuration_says() -> None:
    table = {"w": "int8"}
    good = pack({"w": shared()}, table)
    rows = good["w.rows"]
    wrong = {bad: np.where(rows == 3, bad, rows).astype(np.uint16) for bad in (7, 2**16 - 1)}
    for stored, message in (
        ({**good, "w.rows": wrong[7]}, "numbers a row that does not"),
        ({**good, "w.rows": wrong[2**16 - 1]}, "numbers a row that does not"),
        ({**good, "w.rows": rows.astype(np.int32)}, "'w.rows' is 'I32'"),
        ({**good, "w.rows": rows[:59]}, "'w.rows' has shape"),
        ({**good, "w": good["w"][:6]}, "'w' has shape"),
        ({name: array for name, array in good.items() if name != "w.rows"}, "'w.rows' is missing"),
    ):
        refused(stored, message, n=60, w=7)
    with pytest.raises(ModelFileError, match=r"'w\.rows' is not part"):
        tensors_from_bytes(tensors_to_bytes(good), stored_forms({"w": ((7, 9), "float32")}, table, {}))
