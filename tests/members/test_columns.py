"""The columns of a row: their terms, the sequences that have them, and their file."""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.data.row_columns import Row
from gatewise.data.schema import CategoricalColumn, NumericColumn, RowSchema
from gatewise.errors import InputError, ModelFileError
from gatewise.exchange.convert import from_onnx
from gatewise.members.columns import Columns
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.members.member import Inputs
from gatewise.model.model import Model
from gatewise.text import TokenEncoding
from tests.refusals import assert_refused
from tests.small_models import small_model

NAN = float("nan")
NAMES = RowSchema(
    (NumericColumn("stars", 0.5, 5.0), NumericColumn("age", 0.0, 81.5)),
    (CategoricalColumn("shop", ("A", "B"), 0.125), CategoricalColumn("town", ("x",), 0.25)),
)
INPUTS = Inputs("tokens", 50, columns=NAMES)
ROWS = [(4.0, 30.0, "B", "x"), (NAN, -1.5, "never", ""), (2.5, NAN, "", "y"), (0.0, 0.0, "A", "x")]


def member(outputs: int = 3, seed: int = 2) -> Columns:
    rng = np.random.default_rng(seed)
    slope, offset = (rng.normal(size=(n, outputs)).astype(np.float32) for n in (2, 9))
    mean, deviation = np.array([2.0, 25.0]), np.array([0.5, 8.0])
    return Columns(NAMES, mean, deviation, slope, offset)


def shop_model(texts: list[str]) -> Model:
    """A classifier of texts with an LSTM and the columns."""
    one = small_model(TokenEncoding.fit(texts, vocab_size=50, min_count=1), ("x", "y", "z"), 4)
    ensemble = replace(one.ensemble, members=(*one.ensemble.members, member()), weights=(1.0, 0.5))
    return replace(one, preprocessor=replace(one.preprocessor, columns=NAMES), ensemble=ensemble)


def sequences(rows: list[Any] = ROWS) -> list[EncodedSequence]:
    return [EncodedSequence(np.arange(n + 3), columns=row) for n, row in enumerate(rows)]


def test_logits_are_the_sum_of_one_term_per_column() -> None:
    one = member()
    slope, offset = one.slope.astype(np.float64), one.offset.astype(np.float64)
    wanted = [
        [(4 - 2) / 0.5 * slope[0] + offset[0], (30 - 25) / 8 * slope[1] + offset[2], offset[6], offset[8]],
        [offset[1], (-1.5 - 25) / 8 * slope[1] + offset[2], offset[4], offset[7]],
        [(2.5 - 2) / 0.5 * slope[0] + offset[0], offset[3], offset[4], offset[7]],
        [-2 / 0.5 * slope[0] + offset[0], -25 / 8 * slope[1] + offset[2], offset[5], offset[8]],
    ]
    np.testing.assert_allclose(one.terms(sequences()), wanted, rtol=1e-12)
    np.testing.assert_allclose(one.logits(sequences()), np.sum(wanted, axis=1), rtol=1e-12)
    assert one.logits([]).shape == (0, 3)
    terms = one.column_terms(sequences()[1])
    assert [(name, value) for name, value, _ in terms] == [
        *(("stars", None), ("age", -1.5)),
        *(("shop", "never"), ("town", None)),
    ]
    np.testing.assert_allclose([added for *_, added in terms], wanted[1], rtol=1e-12)


def test_steps_change_nothing() -> None:
    one, sequence = member(), sequences()[2]
    whole = one.logits([sequence])
    np.testing.assert_array_equal(one.prefix_logits(sequence), np.repeat(whole, 6, axis=0))
    assert not one.attribution(sequence).any()
    np.testing.assert_array_equal(one.leave_one_out(sequence, np.array([0, 3])), np.repeat(whole, 2, axis=0))


STEPS, SERIES = np.arange(12).reshape(6, 2), np.arange(36.0).reshape(6, 3, 2)
WHOLE = EncodedSequence(STEPS, SERIES, ("kept", 1.5))


@pytest.mark.parametrize("kept", [slice(0), slice(2, 5), [0, 3], np.array([True, False, True, True, False, True])])
def test_a_part_of_a_sequence_has_the_same_steps_of_each_part_and_all_columns(kept: Any) -> None:
    some = WHOLE[kept]
    assert some.series is not None
    np.testing.assert_array_equal(some.steps, STEPS[kept])
    np.testing.assert_array_equal(some.series, SERIES[kept])
    assert (len(some), some.columns) == (len(STEPS[kept]), ("kept", 1.5))


def test_a_sequence_without_series_and_its_copy() -> None:
    text = pickle.loads(pickle.dumps(EncodedSequence(np.arange(5), columns=(2.5,))))[[4, 1]]
    assert (text.steps.tolist(), text.series, text.columns) == ([4, 1], None, (2.5,))


def test_sequences_without_the_columns_are_refused() -> None:
    for given in (EncodedSequence(np.arange(3)), EncodedSequence(np.arange(3), columns=(1.0,))):
        assert_refused("stars, age, shop, town, and the sequences have none", member().logits, [given])


FILES: dict[str, tuple[dict[str, Any], Inputs]] = {
    "another key": ({"more": 1}, INPUTS),
    "one category less": ({}, INPUTS._replace(columns=replace(NAMES, categorical=NAMES.categorical[1:]))),
    "no columns": ({}, Inputs("tokens", 50)),
    "a number more": ({}, INPUTS._replace(columns=replace(NAMES, numeric=(*NAMES.numeric, NumericColumn("price"))))),
}


@pytest.mark.parametrize("name", FILES)
def test_other_files_are_refused(name: str) -> None:
    entry, inputs = FILES[name]
    with pytest.raises((InputError, ModelFileError), match="columns"):
        Columns.from_file(entry, member().to_file()[1], inputs, 3, "columns.safetensors")


def test_numbers_that_scale_nothing_are_refused() -> None:
    for change in ({"deviation": np.array([1.0, 0.0])}, {"mean": np.array([1.0, np.inf])}):
        assert_refused("NaN or infinite, or a deviation", replace, member(), **change)


def test_onnx_computes_the_terms_and_is_read_back(tmp_path: Path) -> None:
    texts = ["a good film", "bad", "the end", "so so"]
    model, rows = shop_model(texts), [dict(zip(NAMES.names, row, strict=True)) for row in ROWS]
    report = model.export(tmp_path / "model.onnx")
    assert report.inputs.endswith("numeric and categorical (batch, columns), of stars, age, shop, town")
    session = pytest.importorskip("onnxruntime").InferenceSession(tmp_path / "model.onnx")
    assert [(one.name, one.type) for one in session.get_inputs()][2:] == [
        *(("numeric", "tensor(double)"), ("categorical", "tensor(string)"))
    ]
    inputs = list(map(Row, texts, rows))
    read_back = from_onnx(tmp_path / "model.onnx")
    np.testing.assert_allclose(read_back.predict_proba(inputs), model.predict_proba(inputs), atol=1e-6)
