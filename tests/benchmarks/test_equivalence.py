"""Contenders that are not equivalent are refused before timing."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.equivalence import NotEquivalent, max_relative_difference
from benchmarks.messages import Arrays


def results() -> dict[str, Arrays]:
    rng = np.random.default_rng(0)
    correct = {"loss": np.array(0.69), "d weight_hh": rng.standard_normal((12, 3)), "logits": rng.standard_normal(7)}
    noise = {name: np.array(array * (1 + 1e-6 * rng.standard_normal(array.shape))) for name, array in correct.items()}
    return {"gatewise": correct, "peer": noise}


def test_rounding_is_accepted() -> None:
    worst = max_relative_difference("gatewise", results())
    assert worst["gatewise"] == 0
    assert 0 < worst["peer"] < 1e-5


@pytest.mark.parametrize("part", ["loss", "d weight_hh", "logits"])
def test_one_perturbed_number_is_refused(part: str) -> None:
    arrays = results()
    arrays["peer"][part] = np.array(arrays["gatewise"][part])
    arrays["peer"][part].flat[-1] += 1e-3 * np.abs(arrays["gatewise"][part]).max()
    with pytest.raises(NotEquivalent, match=f"peer and gatewise are not equivalent: {part} differs by 1.0e-03$"):
        max_relative_difference("gatewise", arrays)
    assert max_relative_difference("gatewise", arrays, {"peer": 0.01})["peer"] == pytest.approx(1e-3, rel=0.01)


def test_missing_misshapen_and_non_finite_arrays_are_refused() -> None:
    arrays = results()
    del arrays["peer"]["logits"]
    with pytest.raises(NotEquivalent, match="only one of them returns logits"):
        max_relative_difference("gatewise", arrays)
    arrays = results()
    arrays["peer"]["d weight_hh"] = arrays["peer"]["d weight_hh"].T
    with pytest.raises(NotEquivalent, match=r"d weight_hh has shape \(3, 12\)"):
        max_relative_difference("gatewise", arrays)
    arrays = results()
    arrays["peer"]["loss"] = np.array(np.nan)
    with pytest.raises(NotEquivalent, match="loss is not finite"):
        max_relative_difference("gatewise", arrays)
