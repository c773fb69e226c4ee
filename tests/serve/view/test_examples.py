"""The examples of the page, the frame that it opens with, and what its first clamp changes."""

from dataclasses import replace

import numpy as np
import pytest

from gatewise.model.card import KeptExample
from gatewise.serve.view.examples import examples_of
from gatewise.serve.view.offer import DEFAULT_CHANGE
from gatewise.serve.view.view import View
from tests.small_models import bundled_model


@pytest.mark.parametrize(("name", "moved"), [("tutorial", 0.05), ("bundled", 0.0)])
def test_the_first_touch_shows_something(name: str, moved: float) -> None:
    """In each sentence the default clamp changes a number with two decimals, and the unit's memory changes visibly."""
    view = View(bundled_model(name))
    found = []
    for example in view.card["examples"]:
        request = {"text": example["text"], "include": ["prediction", "units"]}
        before = view.explain(request)
        opening = before["units"]["opening"]
        clamp = {**DEFAULT_CHANGE, "from": opening["step"], "to": opening["step"]}
        after = view.explain({**request, "changes": [clamp]})
        moves = [after["prediction"][key] - before["prediction"][key] for key in ("probability", "score")]
        found.append([*moves, opening["memory_change"]])
    assert len(found) == 18
    p, logit, memory = np.abs(found).T
    assert ((p >= 0.01) | (logit >= 0.01)).all()
    assert np.median(p) >= moved
    assert (memory >= 0.3).all()


@pytest.mark.parametrize(("name", "moved"), [("tutorial", 0.25), ("bundled", 0.25)])
def test_the_offered_clamp_changes_the_prediction(name: str, moved: float) -> None:
    """It is the word with the largest change, of the first example by 0.45, in the median by 0.25."""
    view = View(bundled_model(name))
    changes = []
    for example in view.card["examples"]:
        request = {"text": example["text"], "include": ["prediction", "offer"]}
        answer = view.explain(request)
        before = answer["prediction"]["probability"]
        offer = answer["offer"]
        after = offer.pop("prediction")
        assert view.explain({**request, "changes": [offer]})["prediction"] == after
        changes.append(abs(after["probability"] - before))
        if len(changes) > 1:
            continue
        for step in range(answer["text"]["kept"]):
            other = view.explain({**request, "changes": [{**DEFAULT_CHANGE, "from": step, "to": step}]})
            assert abs(other["prediction"]["probability"] - before) <= changes[0] + 1e-9
    assert np.median(changes) >= moved
    assert changes[0] >= (0.45 if name == "bundled" else 0.2)


@pytest.mark.parametrize("name", ["tutorial", "bundled"])
def test_an_example_says_whether_the_served_model_is_right(name: str) -> None:
    model = bundled_model(name)
    found = examples_of(model)
    for example in found:
        positive = model.predict_proba([example["text"]])[0, 1]
        close = abs(positive - 0.5) <= 0.05
        assert example["predicted"] == ("undecided" if close else "positive" if positive > 0.5 else "negative")
        assert example["correct"] == (None if close else example["predicted"] == example["label"])
    assert {example["correct"] for example in found} == {True, False, None}
    assert [bool(example["other"]) for example in found].count(True) == 1


def test_only_kept_rows_are_examples_of_other_data() -> None:
    model = bundled_model("tutorial")
    other = replace(model, metadata=replace(model.metadata, data="reviews.csv"))
    assert examples_of(other) == []
    rows = (KeptExample("positive", "A good film."), KeptExample("negative", "A good film."))
    kept = examples_of(replace(other, metadata=replace(other.metadata, examples=rows)))
    assert [(one["name"], one["label"], one["own"]) for one in kept] == [
        ("Example 1", "positive", True),
        ("Example 2", "negative", True),
    ]
    assert sorted(one["correct"] for one in kept) == [False, True]


@pytest.mark.parametrize(
    "row",
    [
        KeptExample("positive", series=((1.0,),)),
        KeptExample("positive"),
        KeptExample("positive", "a lone \ud800"),
        KeptExample("positive", "good " * 400_000),
    ],
)
def test_rows_that_the_model_cannot_read_have_no_prediction(row: KeptExample) -> None:
    model = bundled_model("tutorial")
    [found] = examples_of(replace(model, metadata=replace(model.metadata, examples=(row,))))
    assert found["predicted"] is None
    assert found["correct"] is None
