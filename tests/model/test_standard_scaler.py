"""StandardScaler: fitted on the steps of all series, stored in the config."""

from __future__ import annotations

import numpy as np
import pytest

from gatewise.errors import InputError, ModelFileError
from gatewise.model.preprocessor import StandardScaler


def test_scaling_by_the_steps_of_all_series() -> None:
    rng = np.random.default_rng(7)
    series = [(rng.normal(size=(n, 3)) * [1, 5, 0] + [0, -2, 4]).astype(np.float32) for n in (5, 0, 9)]
    scaling = StandardScaler.fit(series)
    assert scaling.channels == 3
    rows = np.concatenate([scaling(s) for s in series])
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows.mean(axis=0), [0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(rows.std(axis=0), [1, 1, 0], atol=1e-6)
    assert scaling.std[2] == 1.0
    assert StandardScaler.from_config(scaling.to_config()) == scaling


def test_scaling_refuses_what_does_not_fit() -> None:
    for series in ([], [np.zeros((0, 2))], [np.zeros(3)], [np.zeros((2, 2)), np.zeros((2, 3))]):
        with pytest.raises(InputError, match=r"inputs must be arrays \(length, channels\)"):
            StandardScaler.fit(series)
    with pytest.raises(InputError, match=r"a series must be \(length, 2\), got \(4, 3\)"):
        StandardScaler((0.0, 1.0), (1.0, 1.0))(np.zeros((4, 3)))


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"mean": [0.0]},
        {"mean": [0.0], "std": [1.0], "more": 1},
        {"mean": [], "std": []},
        {"mean": [0.0], "std": [1.0, 2.0]},
        {"mean": [0.0], "std": [0.0]},
        {"mean": [float("nan")], "std": [1.0]},
        {"mean": [True], "std": [1.0]},
        {"mean": ["0"], "std": [1.0]},
        {"mean": [10**400], "std": [1.0]},
        {"mean": 0.0, "std": 1.0},
    ],
)
def test_scaling_refuses_a_changed_config(config: dict[str, object]) -> None:
    with pytest.raises(ModelFileError, match=r"^series: "):
        StandardScaler.from_config(config)
