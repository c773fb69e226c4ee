"""Series before the network: missing values are interpolated and marked, channels are scaled by all steps."""

import json
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError, ModelFileError
from gatewise.members.member import Inputs
from gatewise.model.preprocessor import preprocessor_from
from gatewise.model.series_preprocessor import SeriesPreprocessor
from tests.refusals import assert_refused

NAN = float("nan")


def test_missing_values_are_interpolated_and_edges_take_the_nearest() -> None:
    plain = SeriesPreprocessor((0.0, 10.0), (1.0, 2.0))
    series = np.array([[NAN, 1], [2, NAN], [NAN, NAN], [NAN, 4], [5, NAN]], dtype=np.float32)
    found = plain.encode_batch([series])[0].steps
    np.testing.assert_allclose(found[:, 0], [2, 2, 3, 4, 5], rtol=1e-6)
    np.testing.assert_allclose(found[:, 1], (np.array([1, 2, 3, 4, 4]) - 10) / 2, rtol=1e-6)
    assert np.isnan(series).sum() == 6  # the input is unchanged
    found = plain.encode_batch([np.array([[NAN, 1], [NAN, 2]])])[0].steps
    assert found[:, 0].tolist() == [0, 0], "the training mean"


def test_missing_values_in_training_data_add_a_mask_channel() -> None:
    series = np.array([[1, NAN], [2, 5], [NAN, NAN], [7, 9]], dtype=np.float32)
    fitted = SeriesPreprocessor.fit([series, np.array([[4, 4]], dtype=np.float32)])
    assert fitted.mask
    assert fitted.inputs == Inputs("channels", 3, (1, 3))
    np.testing.assert_allclose(fitted.mean, [14 / 4, 6])
    assert fitted.encode_batch([series])[0].steps[:, 2].tolist() == [0.5, 0, 1, 0]
    assert fitted.encode(series).sequence.steps[:, 2].tolist() == [0.5, 0, 1, 0]
    assert preprocessor_from(json.loads(json.dumps(fitted.to_files()[0])), lambda name: b"") == fitted
    assert not SeriesPreprocessor.fit([np.ones((3, 2))]).mask
    fitted = SeriesPreprocessor.fit([np.array([[0.1, NAN, 1], [0.1, NAN, 2], [0.1, NAN, 4]], dtype=np.float32)])
    assert fitted.std[:2] == (1.0, 1.0)
    assert fitted.mean[1] == 0


def test_one_channel_series_may_be_one_dimensional() -> None:
    one = SeriesPreprocessor((1.0,), (2.0,))
    want = [[0.0], [0.5], [1.0]]
    assert one.encode([1, 2, 3]).sequence.steps.tolist() == want
    assert one.encode([1, 2, 3]).names == ["1", "2", "3"]
    assert [s.steps.tolist() for s in one.encode_batch(np.array([1, 2, 3]))] == [want]
    assert [s.steps.tolist() for s in one.encode_batch(np.array([[1, 2, 3], [1, 2, 3]]))] == [want, want]
    assert_refused(r"one series must be \(steps, 1\) or \(steps,\), got \(2, 2\)", one.encode, np.ones((2, 2)))


def test_scaling_by_the_steps_of_all_series() -> None:
    rng = np.random.default_rng(7)
    series = [(rng.normal(size=(n, 3)) * [1, 5, 0] + [0, -2, 4]).astype(np.float32) for n in (5, 0, 9)]
    fitted = SeriesPreprocessor.fit(series)
    assert (fitted.channels, fitted.steps, fitted.std[2]) == (3, (0, 9), 1.0)
    rows = np.concatenate([fitted.scaled(s) for s in series])
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows.mean(axis=0), [0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(rows.std(axis=0), [1, 1, 0], atol=1e-6)
    assert preprocessor_from(json.loads(json.dumps(fitted.to_files()[0])), lambda name: b"") == fitted


def test_scaling_refuses_what_does_not_fit() -> None:
    for series in ([], [np.zeros((0, 2))], [np.zeros(3)], [np.zeros((2, 2)), np.zeros((2, 3))]):
        assert_refused(r"inputs must be arrays \(length, channels\)", SeriesPreprocessor.fit, series)
    with pytest.raises(InputError, match=r"a series must be \(length, 2\), got \(4, 3\)"):
        SeriesPreprocessor((0.0, 1.0), (1.0, 1.0)).scaled(np.zeros((4, 3)))


WRONG: dict[str, list[Any]] = {
    "mean": [None, [NAN], [True], ["0"], [10**400], 0.0],
    "std": [[1.0, 2.0], [0.0], [float("inf")]],
    "steps": [[1], [2, 1], [0.0, 1.0]],
    "mask": [1],
    "more": [1],
}


def test_a_changed_config_is_refused() -> None:
    changes = [{key: value} for key, values in WRONG.items() for value in values]
    for change in (*changes, {"mean": [], "std": []}):
        config = {"kind": "series", "mean": [0.0], "std": [1.0], **change}
        config = {key: value for key, value in config.items() if value is not None}
        assert_refused("^series: ", preprocessor_from, config, lambda name: b"", error=ModelFileError)
