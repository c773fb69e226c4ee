"""The made series tasks have the Bayes rate that is claimed, and a series follows from its seed."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.own_data.memory_data import TASKS, made


@pytest.mark.parametrize("name", TASKS)
def test_a_matched_filter_classifies_nearly_all_rows(name: str) -> None:
    part = made(name, "TRAIN", 3)
    found = [str(TASKS[name].ideal(series[:, 0].astype(np.float64))) for series in part.inputs]
    assert np.mean(np.array(found) == part.labels) >= 0.98
    np.testing.assert_array_equal(made(name, "TRAIN", 3).inputs[5], part.inputs[5])
    assert not np.array_equal(made(name, "TEST", 3).inputs[5], part.inputs[5])
