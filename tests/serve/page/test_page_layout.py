"""The first screen and its figure at all widths, in both themes: by mouse, by touch, zoomed, and while it loads."""

import pytest

from tests.serve.page.conftest import LINK, SERIES, SHIFTS, TEXTS, Visit, findings, press_word

CONTROLS = """() => [...document.querySelectorAll('a[href], button, select, input, textarea, summary, [tabindex="0"]')]
    .filter(one => one.checkVisibility()).map(one => one.getBoundingClientRect())
    .filter(box => box.width > 1 && box.right > 0 && box.top < innerHeight && box.bottom > 0).length"""
SIZES = """() => [...new Set([...document.querySelectorAll('body *')].filter(one => one.checkVisibility()
    && !one.closest('svg') && [...one.childNodes].some(node => node.nodeType === 3 && node.textContent.trim()))
    .map(one => parseFloat(getComputedStyle(one).fontSize)))].sort((a, b) => a - b)"""
NAMES = """() => [...document.querySelectorAll('section, [role=region], [role=listbox], nav, main')]
    .filter(one => one.checkVisibility()).map(one => one.ariaLabel).filter(Boolean)"""
SMALL = """() => [...document.querySelectorAll('main button, nav button, nav a, main select, main summary')]
    .filter(one => one.checkVisibility() && one.getBoundingClientRect().height < 43.5).map(one => one.outerHTML)"""


@pytest.mark.parametrize(
    ("width", "height", "scheme"),
    [(390, 844, "dark"), (820, 1180, "light"), (1280, 720, "dark"), (1440, 900, "light"), (1920, 1080, "dark")],
)
def test_the_first_screen(visit: Visit, axe: str, width: int, height: int, scheme: str) -> None:
    page = visit("bundled", width=width, height=height, scheme=scheme, bypass_csp=True)
    page.add_init_script(SHIFTS)
    page.open()
    shifts = page.evaluate("() => shifts")
    assert sum(value for value, *_ in shifts) < 0.01, shifts
    assert page.evaluate(CONTROLS) <= 20
    assert set(page.evaluate(SIZES)) <= {14, 16, 20, 28, 32}
    parts = ("#words", "#line", "#prediction", "#interventions", "#strip", "#cell svg", "#steps", "#details")
    boxes = [page.locator(part).bounding_box() for part in parts]
    words, line, prediction, change, strip, cell, steps, details = boxes
    assert words["y"] <= (250 if width < 760 else 60)
    assert line["height"] >= 120
    assert max(words["y"], prediction["y"], change["y"], line["y"]) < strip["y"] < cell["y"] < details["y"]
    if width >= 1280:
        assert cell["width"] >= 760
        assert line["x"] + line["width"] <= prediction["x"] < change["x"]
        assert steps["x"] >= cell["x"] + cell["width"]
    page.open_panels()
    page.wait_for_selector("#compare .words .word")
    page.wait_for_selector("#unitpanel h3")
    page.wait_for_selector("#card table")
    names = page.evaluate(NAMES)
    assert len(names) == len(set(names)), names
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    assert width > 760 or page.evaluate(SMALL) == []
    page.wait_for_function("() => !document.getAnimations().length")  # with reduced motion, but for a request
    assert findings(page, axe) == []


def test_zoomed_by_200_and_by_400_percent_nothing_scrolls_sideways(visit: Visit, axe: str) -> None:
    """Of a window of 1280 px, which zoom makes narrower. Axe finds nothing in the panels."""
    for model, link in (("text", LINK), ("series", SERIES)):
        page = visit(model, width=320, height=640, device_scale_factor=4, bypass_csp=True).open(f"{link}&x=f*:0")
        page.open_panels("main details")
        page.change(b=page.state("text"))
        for part in ("#training svg", "#card table", "#compare .word"):
            page.wait_for_selector(part)
        page.locator("#heatmap").scroll_into_view_if_needed()
        assert findings(page, axe) == [], model
        for size in ({"width": 640, "height": 360}, {"width": 320, "height": 640}):
            page.set_viewport_size(size)
            page.wait_for_function("() => document.documentElement.scrollWidth <= innerWidth")
        slider = page.locator("#interventions input")
        slider.scroll_into_view_if_needed()
        slider.press("End")
        page.until("changes.some(one => one.value === 1)")


def test_the_editor_breaks_its_lines_where_the_words_do(visit: Visit) -> None:
    page = visit().open(LINK)
    heights = (
        "() => [document.querySelector('.words').scrollHeight, document.querySelector('#text').scrollHeight,"
        " document.querySelector('#text').clientHeight]"
    )
    last = "It was so good, so very good."
    for width in (390, 820, 1920):
        page.set_viewport_size({"width": width, "height": 720})
        for text in (f"{TEXTS[0]}\n\n{TEXTS[1]}  {TEXTS[2]}\n", "x" * 400, "a \u05e9\u05dc\u05d5\u05dd, b", last):
            page.fill("#text", text)
            drawn, typed, shown = page.evaluate(heights)  # before the answer comes
            assert abs(drawn - typed) <= 2, text
            page.settle()
            drawn, typed, shown = page.evaluate(heights)
            assert abs(drawn - typed) <= 2, text
            assert typed <= shown + 2, "all of it is visible"
            assert page.inner_text(".words").replace("\u200b", "").split() == text.split()
        row = [page.locator(f"#words [data-word='{n}']").bounding_box()["y"] for n in (3, 4)]
        assert row[0] == row[1], "a mark stands at its word"
    press_word(page, 3)
    assert page.state("w") == 3
    assert page.evaluate("() => document.querySelector('#text').selectionStart") > 10
    page.keyboard.press("Home")
    assert page.state("w") == 0
    page.keyboard.type("Not ")
    assert page.input_value("#text").startswith("Not It was")
    page.keyboard.press("Control+z")  # the browser's own
    page.settle()
    assert len(page.input_value("#text")) < len(f"Not {last}")


def test_a_tap_on_a_word_opens_no_keyboard(visit: Visit) -> None:
    page = visit(width=390, height=844, has_touch=True, is_mobile=True).open(LINK)
    press_word(page, 5, tap=True)
    assert page.evaluate("() => [gatewise.store.get().w, document.activeElement.id === 'text']") == [5, False]
    page.tap("#edit")
    assert page.evaluate("() => document.activeElement.id") == "text"
    page.keyboard.type(" good")
    page.settle()
    page.locator("#interventions input").scroll_into_view_if_needed()
    box = page.locator("#interventions input").bounding_box()
    page.touchscreen.tap(box["x"] + 4, box["y"] + box["height"] / 2)
    page.until("data.changed")
    page.tap("#steps [role=tab] >> nth=1")
    assert page.state("s") == 2


def test_every_number_beside_a_change_belongs_to_it(visit: Visit) -> None:
    """The prediction comes first; until it is there, no number of the change before stands beside the slider."""
    page = visit().open(LINK)
    page.select_option("[aria-label='Where to change it']", "all all")
    held: list[object] = []
    for value in ("0", "1"):
        page.unroute("**/explain")
        if value == "1":
            page.route("**/explain", lambda route: held.append(route))
        page.locator("#interventions input").fill(value)
        if value == "0":
            page.settle()
            assert "→" in page.inner_text(".changenote")
    page.wait_for_function("() => document.querySelector('.changenote').hidden")
    assert "computing" in page.get_attribute("#prediction", "class")
    page.unroute("**/explain")
    page.settle()
    assert "→" in page.inner_text(".changenote")
    page.evaluate(
        "() => { const { data } = gatewise.store.get(), { before } = data.changed; gatewise.store.set({ data: {"
        " ...data,"
        " prediction: { ...before, probability: before.probability + 0.001, score: before.score + 0.25 } } }); }"
    )
    assert ", logit " in page.inner_text(".changenote")
    assert "(+0.25)" in page.inner_text(".changenote")


UNIT = f"{LINK}&u=3&w=4"
SHAPE = "() => document.querySelector('#cell svg').getAttribute('viewBox')"


def test_a_lower_layer_passes_h_up_and_its_units_are_ablated_there(visit: Visit) -> None:
    page = visit("series").open(f"{SERIES}&layer=0&s=7&u=3")
    assert "to the next layer" in page.locator("#cell svg").text_content()
    assert page.locator(".formula").text_content() == "xt of the next layer = ht"
    page.select_option("[aria-label='What to change']", "h")
    page.click("#interventions button:has-text('Ablate unit 3')")
    page.until("data.changed?.applied.length === 1")
    assert "unit 3 of layer 1 ablated" in page.inner_text("#changes .chips")
    assert page.state("data.changed.applied") == ["output gate of unit 3 in layer 1 = 0"]
    page.until("data.unitOf.get(3)?.h.every((h) => h === 0)")
    assert page.inner_text("#interventions button:has-text('unit 3'):not(.chip)") == "Restore unit 3"
    page.wait_for_function("() => location.hash.includes('x=h3l0')")
    page.change(layer=1)
    page.wait_for_selector("#interventions button:has-text('Ablate unit 3')")
    assert page.inner_text("#interventions button:has-text('unit 3'):not(.chip)") == "Ablate unit 3"


def test_the_cell_is_large_and_no_text_of_a_presented_one_is_small(visit: Visit) -> None:
    page = visit(width=390, height=900).open(f"{UNIT}&x=f3:1")
    for width in (390, 820, 1280, 1440, 1920):
        page.change(present=False)
        page.set_viewport_size({"width": width, "height": 900})
        shape = "0 0 800 420" if width > 760 else "0 0 420 460"
        page.wait_for_function(f"shape => ({SHAPE})() === shape", arg=shape)
        if width >= 1280:
            assert page.locator("#cell svg").bounding_box()["width"] >= 760
        page.change(present=True)
        page.wait_for_selector("body.present")
        sizes = page.evaluate(
            "() => { const cell = document.querySelector('#cell svg'), scale = cell.getScreenCTM().a;"
            " const size = one => parseFloat(getComputedStyle(one).fontSize);"
            " return [...cell.querySelectorAll('text')].map(one => size(one) * scale); }"
        )
        assert min(sizes) >= (23.95 if width >= 1280 else 13), width
        outside = page.evaluate(
            "() => { const cell = document.querySelector('#cell svg').getBoundingClientRect();"
            " return [...document.querySelectorAll('#cell svg text')].map(one => one.getBoundingClientRect())"
            ".filter(one => one.left < cell.left - 1 || one.right > cell.right + 1).length; }"
        )
        assert outside == 0, width


def test_the_heat_map_of_many_units(visit: Visit) -> None:
    page = visit("bundled").open("#t=It+was+not+bad.&w=2")
    page.locator("#heatmap").scroll_into_view_if_needed()
    page.until("data.heatmaps.has('c')")
    page.settle()
    order = page.state("data.units.order.effect")
    assert len(order) > 460, "more than the map has pixels"

    def unit_at(key: str) -> int:
        page.focus(".map")
        page.keyboard.press(key)
        return int(page.inner_text("#readout").split()[1])

    def scrolls() -> bool:
        return bool(
            page.evaluate("() => { const m = document.querySelector('.map'); return m.scrollHeight > m.clientHeight; }")
        )

    assert [unit_at("Control+Home"), unit_at("Control+End")] == [order[0], order[31]]
    assert not scrolls()
    page.change(u=order[-1])
    page.settle()
    assert [unit_at("Control+End"), unit_at("ArrowUp")] == [order[-1], order[31]], "32 units, and the selected one"
    page.change(u=None)
    page.select_option("[aria-label='Units of the heat map']", "all")
    page.wait_for_function("() => document.querySelector('.map').scrollHeight > 1000")
    assert page.evaluate("() => document.querySelector('.map').scrollTop") == 0
    page.change(u=order[-1])
    page.settle()
    page.wait_for_function("() => location.hash.includes('all=1')")
    assert unit_at("Control+End") == order[-1]
    assert page.evaluate("() => document.querySelector('.map').scrollTop") > 100, "the cell of the keyboard is in view"
    # A scroll shows other units: the pointer reads the one that is drawn under it.
    page.evaluate("() => { document.querySelector('.map').scrollTop = 0; }")
    page.settle()
    box = page.locator(".map").bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 3)
    page.wait_for_function(
        "units => units.some(k => document.querySelector('#readout').textContent.startsWith(`unit ${k} `))",
        arg=order[2:5],
    )
