"""A batch of whole arrays holds the same rows as one sequence after the other, on the way from inputs to logits."""

import numpy as np
import pytest

from gatewise.data.schema import CategoricalColumn, NumericColumn, RowSchema
from gatewise.members.encoded_batch import EncodedBatch, joined_rows, lengths_of, ragged_series, ragged_steps
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.model.series_preprocessor import SeriesPreprocessor
from gatewise.model.step_rule import StepRule
from gatewise.network.architecture import Architecture, Layer
from gatewise.network.batch import truncate, truncated
from gatewise.ragged import Ragged
from gatewise.text import IndexEncoding
from tests.refusals import assert_refused

LENGTHS = (5, 1, 9, 2)


def rows() -> list[EncodedSequence]:
    rng = np.random.default_rng(4)
    return [
        EncodedSequence(
            rng.normal(size=(length, 2)).astype(np.float32),
            rng.normal(size=(length, 3, 2)).astype(np.float32),
            (0.5 * length, f"shop {length}"),
        )
        for length in LENGTHS
    ]


def batch() -> EncodedBatch:
    of_rows = rows()
    return EncodedBatch(ragged_steps(of_rows), ragged_series(of_rows), [row.columns for row in of_rows])


def assert_same(found: EncodedBatch, expected: list[EncodedSequence]) -> None:
    assert len(found) == len(expected)
    for row, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(row.steps, wanted.steps)
        np.testing.assert_array_equal(row.series, wanted.series)
        assert row.columns == wanted.columns


def test_a_batch_holds_the_rows() -> None:
    found, expected = batch(), rows()
    assert_same(found, expected)
    assert_same(found[1:3], expected[1:3])
    assert_same(found[np.array([3, 0])], [expected[3], expected[0]])
    assert_same(joined_rows([found[2:], found[:2]]), [*expected[2:], *expected[:2]])
    np.testing.assert_array_equal(found[-1].steps, expected[-1].steps)
    assert lengths_of(found).tolist() == lengths_of(expected).tolist() == list(LENGTHS)
    with pytest.raises(IndexError):
        found[4]


def test_its_rows_are_views() -> None:
    found = batch()
    assert np.shares_memory(found[2].steps, found.steps.values)
    assert np.shares_memory(found[1:3].steps.values, found.steps.values)


def test_a_text_has_no_series() -> None:
    texts = EncodedBatch(Ragged.of([[3, 4], [5]]))
    assert_refused("convolutions need series", ragged_series, texts)
    assert_refused("convolutions need series", ragged_series, list(texts))


@pytest.mark.parametrize("max_steps", [1, 6, 7, 100])
def test_chunks_of_a_ragged_array(max_steps: int) -> None:
    ragged = batch().steps
    parts = list(ragged.chunks(max_steps))
    np.testing.assert_array_equal(Ragged.concatenated(parts).values, ragged.values)
    assert np.concatenate([part.lengths for part in parts]).tolist() == list(LENGTHS)
    assert all(len(part) == 1 or len(part.values) <= max_steps for part in parts)
    assert not list(ragged[:0].chunks(max_steps))


@pytest.mark.parametrize("truncation", ["front", "middle"])
def test_truncation_of_a_batch(truncation: str) -> None:
    arch = Architecture("tokens", 50, 2, (Layer(3),), max_length=4, truncation=truncation)
    ids = Ragged.of([np.random.default_rng(n).integers(1, 50, n) for n in (0, 3, 4, 5, 11)])
    found = truncated(ids, arch)
    for row, sequence in zip(found, ids, strict=True):
        np.testing.assert_array_equal(row, truncate(sequence, arch))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("side", ["pre", "post"])
@pytest.mark.parametrize("length", [0, 3, 6])
def test_steps_of_a_batch(length: int, side: str, masked: bool) -> None:
    rule = StepRule(length, side, masked)
    ids = Ragged.of([np.random.default_rng(n).integers(0, 3, n).astype(np.int32) for n in (1, 4, 3, 9, 6)])
    for row, sequence in zip(rule.fit_batch(ids), ids, strict=True):
        np.testing.assert_array_equal(row, rule.fit_ids(sequence))


@pytest.mark.parametrize(
    "inputs",
    [
        np.array([[3, 17, 49], [1, 1, 2]]),
        np.array([[3, 17, 49], [1, 1, 2]], dtype=np.uint8),
        [[3, 17, 49], (1, 1, 2)],
        [np.array([3, 17, 49]), np.array([1, 1, 2], dtype=np.int16)],
    ],
)
def test_token_ids_are_read_as_numbers(inputs: object, monkeypatch: pytest.MonkeyPatch) -> None:
    preprocessor = TextPreprocessor(IndexEncoding(50))
    expected = preprocessor.encode_batch(["3 17 49", "1 1 2"])
    monkeypatch.setattr(IndexEncoding, "encode", None)  # no text is made of them
    found = preprocessor.encode_batch(inputs)
    assert found.steps.values.dtype == expected.steps.values.dtype
    assert [row.steps.tolist() for row in found] == [row.steps.tolist() for row in expected]


def test_token_ids_that_are_refused() -> None:
    encode = TextPreprocessor(IndexEncoding(50)).encode_batch
    assert_refused(r"row 1: '50' \(word 2\) is not a token id below 50", encode, [[3], [4, 50]])
    assert_refused(r"row 1: '-1' \(word 1\) is not a token id below 50", encode, np.array([[3, 4], [-1, 50]]))
    assert_refused("row 1 is empty", encode, [[3], []])
    assert_refused("'True' .word 2. is not a token id", encode, [[3, True]])
    assert_refused("is not a token id", encode, [[2**70]])
    assert_refused("'2.0' .word 1. is not a token id", encode, [[2.0, 3.0]])
    assert_refused("an array of shape", encode, np.array([[2.0, 3.0]]))
    assert_refused("row 1 is a ndarray, not a string", encode, [[3], np.array(2)])


@pytest.mark.parametrize("inputs", [[], np.zeros(0, dtype=np.int64), np.zeros((0, 3), dtype=np.int64)])
def test_no_token_ids(inputs: object) -> None:
    assert len(TextPreprocessor(IndexEncoding(50)).encode_batch(inputs)) == 0


@pytest.mark.parametrize("window", [0, 1, 4])
@pytest.mark.parametrize("mask_value", [None, 0.0])
def test_series_of_a_batch_are_those_read_alone(window: int, mask_value: float | None) -> None:
    rng = np.random.default_rng(7)
    inputs = [rng.normal(size=(length, 2)) for length in (11, 3, 8)]
    inputs[0][4:6, 1] = np.nan
    inputs[1][:, 0] = np.nan
    inputs[2][2] = 0.0
    fitted = SeriesPreprocessor.fit(inputs, rows=11 // window if window else 0)
    preprocessor = SeriesPreprocessor(**{**vars(fitted), "mask_value": mask_value})
    found = preprocessor.encode_batch(inputs, "time-first")
    for row, series in zip(found, inputs, strict=True):
        [alone] = preprocessor.encode_batch([series], "time-first")
        np.testing.assert_array_equal(row.steps, alone.steps)
        np.testing.assert_array_equal(row.series, alone.series)


@pytest.mark.parametrize("window", [0, 1, 4])
def test_a_batch_of_no_series(window: int) -> None:
    series = [np.random.default_rng(7).normal(size=(11, 2))]
    preprocessor = SeriesPreprocessor.fit(series, rows=11 // window if window else 0)
    batch_of_none = preprocessor.encode_batch([])
    assert len(batch_of_none) == 0
    assert batch_of_none.steps.values.shape[1:] == preprocessor.encode_batch(series).steps.values.shape[1:]


def test_columns_of_a_batch() -> None:
    schema = RowSchema((NumericColumn("price"),), (CategoricalColumn("shop", ("a", "b")),))
    preprocessor = SeriesPreprocessor((0.0,), (1.0,), columns=schema)
    from gatewise.data import with_columns

    series = [np.arange(3.0)[:, None], np.arange(5.0)[:, None]]
    found = preprocessor.encode_batch(with_columns(series, {"price": [1.5, 2.5], "shop": ["b", "a"]}))
    assert [row.columns for row in found] == [(1.5, "b"), (2.5, "a")]


def test_the_place_of_a_value_that_is_not_finite() -> None:
    preprocessor = SeriesPreprocessor((0.0, 0.0), (1.0, 1.0), missing="refuse")
    inputs = [np.ones((3, 2)), np.ones((4, 2))]
    inputs[1][2, 1] = np.inf
    assert_refused("row 1, step 3, channel 2: inf is not finite", preprocessor.encode_batch, inputs)
    inputs[1][2, 1] = np.nan
    assert_refused("row 1, step 3, channel 2: a value is missing", preprocessor.encode_batch, inputs)
    inputs[1][2, 1] = 1e39
    assert_refused("row 1, step 3, channel 2: 1e.39 is too large for float32", preprocessor.encode_batch, inputs)
