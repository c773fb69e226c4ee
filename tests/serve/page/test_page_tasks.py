"""The page of other tasks: numbers, many classes, several labels, a label for each word, columns, and streams."""

from typing import Any

import numpy as np
import pytest

from gatewise.data import with_columns
from tests.members.test_columns import shop_model
from tests.serve.page.conftest import MODELS, SERIES, TEXT, TEXTS, Visit, press_word
from tests.serve.page.test_page import number

STEPS = np.random.default_rng(4).normal(0, 0.5, (30, 2)).round(2)
STATUS, PLAY = "#stream [role=status]", "#stream button.primary"


def test_a_number_has_no_probability_and_no_scale(visit: Visit) -> None:
    page = visit("number").open()
    model = MODELS["number"]()
    expected = float(model.predict([np.array([[1], [np.nan], [2.5], [4]])])[0])
    shown = page.inner_text("#prediction .label").replace("\u2212", "-")
    assert float(shown) == pytest.approx(expected, rel=1e-3)
    assert page.inner_text("#prediction .probability") == ""
    assert page.inner_text("#line .caption >> span >> nth=0") == "The prediction after each step"
    assert page.locator("#examples option").all_inner_texts() == ["Examples", "1: 31.25"]
    assert page.input_value("#text") == "1\n?\n2.5\n4"
    page.wait_for_selector("#line path.channel", state="attached")
    assert page.eval_on_selector("#line path.channel", "node => (node.getAttribute('d').match(/M/g)).length") == 2
    page.open_panels("#training")
    page.fill("#text", "1\n2\nnan\n3.5\n2")
    page.settle()
    other = float(model.predict([np.array([[1], [2], [np.nan], [3.5], [2]])])[0])
    assert float(page.inner_text("#prediction .label").replace("\u2212", "-")) == pytest.approx(other, rel=1e-3)


def test_many_classes_have_the_three_most_probable_and_a_choice(visit: Visit) -> None:
    page = visit("many")
    page.goto(page.home)
    page.wait_for_selector("#hint:has-text('keeps no examples')")
    assert page.input_value("#text") == ""
    page.fill("#text", TEXTS[1])
    page.settle()
    model = MODELS["many"]()
    p = model.predict_proba(TEXTS[1])[0]
    best = [model.classes[k] for k in np.argsort(-p)[:3]]
    assert page.inner_text("#prediction .label") == best[0]
    shown = page.inner_text("#prediction .others")
    assert [name for name in best if name in shown] == best
    assert not page.is_visible("#examples"), "no film sentences for a model of other classes"
    page.open_panels("#details")
    page.select_option("select[aria-label='Class to compare with']", best[1])
    page.settle()
    logits = model.trace(TEXTS[1]).logits
    order = np.argsort(-p)
    expected = f"Logit of {best[0]} minus {best[1]} +{logits[order[0]] - logits[order[1]]:.2f} = base value "
    page.wait_for_function("text => document.querySelector('#details .sum').textContent.startsWith(text)", arg=expected)
    page.wait_for_function("() => location.hash.includes('against=class')")


def test_several_labels_are_listed(visit: Visit) -> None:
    page = visit("labels", scheme="dark").open("#t=" + TEXTS[0].replace(" ", "+"))
    model = MODELS["labels"]()
    assert page.inner_text("#prediction .label") == ", ".join(model.predict(TEXTS[:1])[0])
    assert page.inner_text("#prediction .probability") == ""
    page.open_panels("#details")
    page.select_option("select[aria-label='Class to explain']", "c")
    page.wait_for_function("() => document.querySelector('#details .sum').textContent.startsWith('Logit of c ')")
    assert not page.is_visible("select[aria-label='Class to compare with']")


def test_a_tagger_shows_a_label_below_each_word_and_explains_one(visit: Visit) -> None:
    page = visit("tagger").open("#t=" + TEXT.replace(" ", "+"))
    model = MODELS["tagger"]()
    labels, p = model.predict(TEXT)[0], model.predict_proba(TEXT)[0]
    shown = page.eval_on_selector_all("#words .word", "nodes => nodes.map(node => node.dataset.label)")
    assert [one[:5] for one in shown] == [one[:5] for one in labels]
    first = next((t for t, label in enumerate(labels) if label != "O"), 0)
    words = TEXT.split()
    assert page.inner_text("#prediction .heading") == f"Prediction for “{words[first]}”:"
    assert page.locator("#words .word.explained").inner_text() == words[first]
    other = (first + 3) % len(words)
    press_word(page, other)
    page.click(f"text=Explain the label of “{words[other]}”")
    page.until(f"data.prediction.step === {other}")
    page.settle()
    assert page.inner_text("#prediction .heading") == f"Prediction for “{words[other]}”:"
    best = float(p[other].max())
    assert page.inner_text("#prediction .probability") == f"{best:.2f}"
    assert " at each word" in page.inner_text("#line .caption")
    assert not page.is_visible(".explainstep")
    again = page.open(page.evaluate("location.hash"))
    assert again.inner_text("#prediction .heading") == f"Prediction for “{words[other]}”:"
    page.fill("#text", "one two")
    page.settle()
    assert len(page.query_selector_all("#words .word[data-label]")) == 2


@pytest.mark.parametrize("width", [390, 1440])
def test_the_labels_of_a_tagger_are_not_cut(visit: Visit, width: int) -> None:
    page = visit("tagger", width=width).open("#t=" + TEXTS[1].replace(" ", "+"))
    # A label has 16 px, 8 px below its word.
    end = page.locator("#words .word").evaluate_all(
        "all => Math.max(...all.map(one => one.getBoundingClientRect().bottom)) + 8 + 16"
    )
    assert end <= page.locator("#words .legend").bounding_box()["y"]
    assert page.evaluate("() => words.scrollHeight <= words.clientHeight")


def test_the_columns_of_a_row_have_fields_and_parts(visit: Visit) -> None:
    page = visit("columns").open("#t=" + TEXTS[1].replace(" ", "+"))
    row: dict[str, Any] = {"stars": None, "age": None, "shop": None, "town": None}
    for name, value in (("stars", 3.5), ("shop", "B")):
        page.fill(f"#columns label:has-text('{name}') input", str(value))
        row[name] = value
        page.settle()
    explained = shop_model(TEXTS).explain(with_columns(TEXTS[1], row), "leave-one-out")
    assert page.inner_text("#prediction .label") == explained.prediction
    page.until("data.attribution.columns[2].value === 'B'")
    parts = [number(part) for part in page.locator("#columns .number").all_inner_texts()]
    assert parts == pytest.approx([one.score for one in explained.columns], abs=0.006)


def _wait(page: Any, step: int) -> None:
    page.wait_for_function(f"() => document.querySelector('{STATUS}').textContent.startsWith('step {step}')")


def test_a_stream_is_offered_only_where_the_model_can_stream(visit: Visit) -> None:
    page = visit("stream+series").open("#served=stream&t=1+2%0A2+1")
    page.click("#stream summary")
    page.wait_for_selector(PLAY)
    page.select_option("#models", "series")  # bidirectional
    page.wait_for_function("() => window.gatewise?.store.get().model?.served === 'series'")
    page.settle()
    assert not page.is_visible("#stream")
    assert page.evaluate("() => gatewise.store.get().model.can_stream") is False


def test_a_series_is_streamed_and_goes_on_where_it_was_paused(visit: Visit) -> None:
    page, model = visit("stream").open(SERIES), MODELS["stream"]()
    page.fill("#text", "\n".join(f"{a} {b}" for a, b in STEPS))
    page.settle()
    page.click("#stream summary")
    assert page.inner_text(STATUS) == "No step yet."
    page.click(PLAY)
    _wait(page, 5)
    page.click(PLAY)
    assert page.inner_text(PLAY) == "Continue"
    page.click(PLAY)
    _wait(page, 30)
    expected = model.predict_proba([STEPS])[0]
    assert page.inner_text(STATUS) == f"step 30 · {model.classes[int(expected.argmax())]}"
    page.wait_for_function(f"() => document.querySelector('{PLAY}').textContent === 'Start'")
    shown = page.inner_text("#stream .caption").split()
    assert shown[0] == f"P({model.classes[int(expected.argmax())]})"
    assert shown[-1] == f"{expected.max():.2f}"
    page.fill("#text", "1 2\n3 4")
    assert page.inner_text(STATUS) == "No step yet."
