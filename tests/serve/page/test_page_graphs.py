"""The page of networks of any form: a field for each input, all outputs, and layers that are no LSTM."""

import numpy as np

from tests.serve.page.conftest import MODELS, Visit

IDS = [3, 12, 0, 7]
NUMBERS = [0.5, -1.25, 3.0, 0.125]
STATE = [0.75, -0.5, 1.5, 0.25, -2.0]


def test_each_input_has_a_field_and_the_other_outputs_a_line(visit: Visit) -> None:
    page = visit("graph")
    page.goto(page.home)
    page.wait_for_selector("#hint:has-text('write the numbers of each input')")
    assert page.get_attribute("#text", "placeholder") == "ids: whole number per step"
    assert page.locator("#arrays label").all_inner_texts() == ["numbers\n4 numbers", "h0\n1 × 5 numbers"]
    page.fill("#text", " ".join(map(str, IDS)))
    page.settle()
    model = MODELS["graph"]()
    rows = [{"ids": IDS, "numbers": [0.0] * 4, "h0": [[0.0] * 5]}]
    expected = model.predict_proba(rows)[0]
    np.testing.assert_allclose(page.state("data.prediction.probabilities"), expected, atol=1e-5)
    for name, values in (("numbers", NUMBERS), ("h0", STATE)):
        page.get_by_role("textbox", name=name, exact=True).fill(" ".join(map(str, values)))
        page.settle()
    rows = [{"ids": IDS, "numbers": NUMBERS, "h0": [STATE]}]
    probabilities = model.predict_proba(rows)[0]
    page.wait_for_function(
        "expected => Math.abs(gatewise.store.get().data.prediction.probabilities[1] - expected) < 1e-5",
        arg=float(probabilities[1]),
    )
    page.settle()
    [outputs] = model.row_outputs(rows)
    shown = page.inner_text("#prediction .outputs").replace("\u2212", "-")
    assert shown.startswith("Other outputs: numbers2: ")
    written = [float(part) for part in shown.removeprefix("Other outputs: numbers2: ").split()]
    np.testing.assert_allclose(written, outputs["numbers2"], rtol=1e-3)
    assert page.locator("#words .word").all_inner_texts() == [str(id) for id in IDS]
    scores = page.state("data.attribution.scores")
    np.testing.assert_allclose(scores, model.explain(rows[0]).scores, atol=1e-4)


def test_a_field_that_does_not_fit_is_named(visit: Visit) -> None:
    page = visit("graph")
    page.goto(page.home)
    page.fill("#text", "3 4")
    page.settle()
    page.get_by_role("textbox", name="numbers", exact=True).fill("1 2 3")
    page.wait_for_selector("#error:has-text('numbers: expected 4 numbers (4 numbers), and there are 3.')")
    page.expected.append("400")
    page.get_by_role("textbox", name="numbers", exact=True).fill("1 2 3 4")
    page.settle()
    page.fill("#text", "3 13")
    page.wait_for_selector("#error:has-text('the input ids has the id 13 at [1], and its ids are from 0 to 12')")


def test_a_layer_that_is_no_lstm_has_a_line_in_place_of_its_units(visit: Visit) -> None:
    page = visit("gru")
    page.goto(f"{page.home}/#t=3+1+4+1+5")
    page.wait_for_selector(".unitline:has-text('This is a GRU layer')")
    for hidden in ("#cell", "#interventions", "#heatmap", "#unitpanel", "#steps"):
        assert not page.is_visible(hidden), hidden
    page.until("data.attribution")
    assert page.is_visible("#prediction .label")
