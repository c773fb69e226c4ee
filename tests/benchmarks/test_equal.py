"""Nothing is timed unless all compute the same: what must be refused."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.equal import Different, difference
from benchmarks.wire import Arrays


def found() -> dict[str, Arrays]:
    rng = np.random.default_rng(0)
    right = {"loss": np.array(0.69), "d weight_hh": rng.standard_normal((12, 3)), "logits": rng.standard_normal(7)}
    noise = {name: np.array(array * (1 + 1e-6 * rng.standard_normal(array.shape))) for name, array in right.items()}
    return {"ours": right, "theirs": noise}


def test_rounding_is_let_through_and_told() -> None:
    worst = difference("ours", found())
    assert worst["ours"] == 0
    assert 0 < worst["theirs"] < 1e-5


@pytest.mark.parametrize("part", ["loss", "d weight_hh", "logits"])
def test_one_perturbed_number_is_refused(part: str) -> None:
    given = found()
    given["theirs"][part] = np.array(given["ours"][part])
    given["theirs"][part].flat[-1] += 1e-3 * np.abs(given["ours"][part]).max()
    with pytest.raises(Different, match=f"theirs and ours do not compute the same: {part} differs by 1.0e-03$"):
        difference("ours", given)
    assert difference("ours", given, {"theirs": 0.01})["theirs"] == pytest.approx(1e-3, rel=0.01)


def test_what_is_missing_shaped_otherwise_or_not_finite_is_refused() -> None:
    given = found()
    del given["theirs"]["logits"]
    with pytest.raises(Different, match="only one of them gives logits"):
        difference("ours", given)
    given = found()
    given["theirs"]["d weight_hh"] = given["theirs"]["d weight_hh"].T
    with pytest.raises(Different, match=r"d weight_hh is \(3, 12\)"):
        difference("ours", given)
    given = found()
    given["theirs"]["loss"] = np.array(np.nan)
    with pytest.raises(Different, match="loss is not finite"):
        difference("ours", given)
