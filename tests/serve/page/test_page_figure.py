"""The figure in a real browser: the cell, the heat map of many units, the tour."""

from tests.serve.page.conftest import LINK, SERIES, Visit

UNIT = f"{LINK}&u=3&w=4"
SHAPE = "() => document.querySelector('#cell svg').getAttribute('viewBox')"


def test_a_lower_layer_passes_h_up_and_its_units_are_ablated_there(visit: Visit) -> None:
    page = visit("series").open(f"{SERIES}&layer=0&s=7&u=3")
    assert "to the next layer" in page.locator("#cell svg").text_content()
    assert page.locator(".formula").text_content() == "xt of the next layer = ht"
    page.select_option("[aria-label='What to change']", "h")
    page.click("#interventions button:has-text('Ablate unit 3')")
    page.wait_for_function("() => gatewise.store.get().data.changed?.applied.length === 1")
    assert "unit 3 of layer 1 ablated" in page.inner_text("#changes .chips")
    assert page.evaluate("() => gatewise.store.get().data.changed.applied") == ["output gate of unit 3 in layer 1 = 0"]
    page.wait_for_function("() => gatewise.store.get().data.unitOf.get(3)?.h.every((h) => h === 0)")
    assert page.inner_text("#interventions button:has-text('unit 3'):not(.chip)") == "Restore unit 3"
    page.wait_for_function("() => location.hash.includes('x=h3l0')")
    page.evaluate("() => gatewise.store.set({ layer: 1 })")
    page.wait_for_selector("#interventions button:has-text('Ablate unit 3')")
    assert page.inner_text("#interventions button:has-text('unit 3'):not(.chip)") == "Ablate unit 3"


def test_every_layer_has_its_own_units_and_directions(visit: Visit) -> None:
    """Units that are merged at the top have no effect: they are sorted by the changes of their memory."""
    page = visit("deep").open("")
    page.wait_for_function("() => gatewise.store.get().data?.units?.order.jump.length === 12")
    assert "18 + 4 + 12 units · 3 layers · bidirectional" in page.inner_text("#modelname")
    assert "forward" in page.inner_text(".unitline") or "backward" in page.inner_text(".unitline")
    assert "to the next layer" in page.locator("#cell svg").text_content()
    for layer, count in ((1, 4), (0, 18)):
        page.select_option("select[aria-label=Layer]", str(layer))
        page.wait_for_function(f"() => gatewise.store.get().data?.units?.order.jump.length === {count}")
        page.evaluate(f"() => gatewise.store.set({{ u: {count - 1} }})")
        page.wait_for_function(f"() => gatewise.store.get().data?.unitOf.has({count - 1})")
        line = f"unit {count - 1} of {count}, backward"
        page.wait_for_function(f"() => document.querySelector('.unitline').textContent.includes({line!r})")


def test_the_cell_is_large_and_no_text_of_a_presented_one_is_small(visit: Visit) -> None:
    page = visit(width=390, height=900).open(f"{UNIT}&x=f3:1")
    for width in (390, 820, 1280, 1440, 1920):
        page.evaluate("() => gatewise.store.set({ present: false })")
        page.set_viewport_size({"width": width, "height": 900})
        shape = "0 0 800 420" if width > 760 else "0 0 420 460"
        page.wait_for_function(f"shape => ({SHAPE})() === shape", arg=shape)
        if width >= 1280:
            assert page.locator("#cell svg").bounding_box()["width"] >= 760
        page.evaluate("() => gatewise.store.set({ present: true })")
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
    page.wait_for_function("() => gatewise.store.get().data.heatmaps.has('c')")
    page.settle()
    order = page.evaluate("() => gatewise.store.get().data.units.order.effect")
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
    last = "() => gatewise.store.set({ u: gatewise.store.get().data.units.order.effect.at(-1) })"
    page.evaluate(last)
    page.settle()
    assert [unit_at("Control+End"), unit_at("ArrowUp")] == [order[-1], order[31]], "32 units, and the selected one"
    page.evaluate("() => gatewise.store.set({ u: null })")
    page.select_option("[aria-label='Units of the heat map']", "all")
    page.wait_for_function("() => document.querySelector('.map').scrollHeight > 1000")
    assert page.evaluate("() => document.querySelector('.map').scrollTop") == 0
    page.evaluate(last)
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
