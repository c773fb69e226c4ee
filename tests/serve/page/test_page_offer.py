"""The clamp that the page offers, and the cell of an LSTM that does not predict."""

from pathlib import Path
from typing import Any

from gatewise.model import bundled
from gatewise.model.model import load
from gatewise.serve.page_folder import page_files
from tests.serve.page.conftest import Visit, findings, painted
from tests.serve.server import served
from tests.serve.view.test_view import MODELS

OFFER = "#changes .offer"


def test_the_offered_clamp_does_what_it_says(visit: Visit) -> None:
    page = visit("bundled").open()
    page.wait_for_selector(OFFER)
    before = page.inner_text("#prediction")
    text = page.inner_text(OFFER)
    assert text.startswith("Try: close the input gate at word ")
    assert "“excellent”: P(positive) = 1.00 → 0." in text
    page.click(OFFER)
    page.until("data?.changed")
    page.settle()
    assert page.inner_text("#prediction") != before
    after = page.state("data.prediction.probability")
    assert f"→ {after:.2f}" in text
    assert not page.is_visible(OFFER)
    [change] = page.state("changes")
    assert page.state("data.words")[change.pop("from")] == "excellent"
    assert change["gate"] == "i"
    page.click("[data-part=clear]")
    page.wait_for_selector(OFFER)


def test_a_text_without_an_effect_says_so(visit: Visit) -> None:
    page = visit("text").open("#t=zounds")
    page.wait_for_selector("#changes > .note:visible, #changes > .offer:visible")
    page.evaluate(
        "() => { const { data } = gatewise.store.get();"
        " gatewise.store.set({ data: { ...data, offer: { ...data.offer, prediction: data.prediction } } }); }"
    )
    painted(page)
    assert not page.is_visible(OFFER)
    assert "changes the prediction by less than 0.01" in page.inner_text("#changes")


def test_the_cell_of_an_lstm_of_weight_0_is_folded_away(watch: Visit, axe: str) -> None:
    with served({"idle": MODELS["LSTM 0"]}) as port:
        page = watch(f"http://127.0.0.1:{port}").open("#t=not+a+good+film")
        page.wait_for_selector("text=Show the cell")
        assert "weight 0 in this model" in page.inner_text(".weightnote")
        assert "The prediction is that of n-grams 1.00." in page.inner_text(".predicting")
        assert page.is_visible("#strip")
        for part in ("#cell", "#steps", "#interventions", "#heatmap", "#unitpanel"):
            assert not page.is_visible(part)
        assert findings(page, axe) == []
        page.click("text=Show the cell")
        assert page.is_visible("#cell svg")
        page.click("text=Fold the cell away")
        assert not page.is_visible("#cell")


def test_an_exported_page_offers_it_too(watch: Visit, tmp_path: Path) -> None:
    model = load(bundled.folder(bundled.TUTORIAL))
    for name, content in page_files(model, ["A dull start, an excellent end."]).items():
        (tmp_path / name).write_bytes(content)
    page: Any = watch(tmp_path.as_uri())
    page.goto(f"{tmp_path.as_uri()}/index.html")
    page.wait_for_selector(OFFER)
    assert "Try: close the input gate at word" in page.inner_text(OFFER)
