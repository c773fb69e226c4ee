"""The views in HTML: nothing of the user's is at work in them, nothing is fetched, and the data is the trace."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from gatewise.explain import serialize
from gatewise.explain.render.html import compare_page, report_page, script
from gatewise.explain.render.html_shell import style
from gatewise.explain.render.html_static import static_example, static_explanation
from tests.explain.render.test_terminal import HOSTILE, LENGTH, opened

NASTY = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</style><b>", "&lt;", "' onmouseover='x"]
NASTY = [*NASTY, "javascript:alert(1)", *HOSTILE][:LENGTH]
TAGS = {
    *("html", "head", "body", "meta", "title", "div", "style", "p", "span", "strong", "table", "tr", "th", "td", "h2"),
    *("svg", "path", "polyline", "main", "noscript", "script"),
}


class Reader(HTMLParser):
    """Tags, attributes, and the text outside styles."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.styled = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self.styled = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self.styled = False

    def handle_data(self, data: str) -> None:
        self.text += "" if self.styled else data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


@pytest.mark.parametrize("name", ["plain", "bidirectional, two layers, mean and max", "four classes"])
def test_hostile_text_is_text(name: str) -> None:
    classes = ["<b>bad</b>", '"good"', "\x1b[2J", "\u202ex"][: 4 if name == "four classes" else 2]
    found, seen = opened(name, NASTY, classes)
    for page in (report_page(found, seen, title="<title>"), compare_page([(found, seen), (found, seen)])):
        reader = read(page)
        assert reader.tags <= TAGS
        assert not [name for name, _ in reader.attributes if name.startswith("on") or name in ("src", "srcset", "href")]
        assert page.count("<script") == page.count("</script>") == 2
        data = json.loads(page.split('id="data">')[1].split("</script>")[0])
        view = data["view"] if "view" in data else data["sides"][0]["view"]
        assert view["words"] == found.steps
        assert view["model"]["labels"] == classes
        plain = read(page.split("<noscript>")[1].split("</noscript>")[0]).text
        assert "<script>alert(1)</script>" in plain
        assert all(ch.isprintable() or ch in "\n " for ch in plain)
        page.encode("utf-8")


def test_the_policy_allows_what_is_in_the_page_and_nothing_else() -> None:
    found, seen = opened("plain")
    page = report_page(found, seen)
    policy = html.unescape(re.findall(r'Content-Security-Policy" content="([^"]+)"', page)[0])
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert "http" not in policy
    inline = re.findall(r"<(?:script|style)>(.*?)</(?:script|style)>", page, re.DOTALL)
    assert len(inline) == 3
    for text in inline:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    assert "url(" not in style()
    assert "@import" not in style()


def test_the_report_has_the_prefix_prediction_of_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serialize, "_PREFIX_STEPS", 10)  # the page would take a stride
    found, seen = opened("bidirectional")
    data = json.loads(report_page(found, seen).split('id="data">')[1].split("</script>")[0])["view"]
    np.testing.assert_allclose(data["attribution"]["scores"], found.scores, atol=1e-6)
    assert [heatmap["name"] for heatmap in data["heatmaps"]] == [*"ifgoch", "contribution"]
    assert data["prediction"]["probability"] == pytest.approx(data["prefix"]["probability"][-1], abs=1e-5)
    assert data["prefix"]["stride"] == 1
    assert len(data["prefix"]["probability"]) == LENGTH + 1


def test_a_notebook_gets_a_frame_that_reaches_nothing() -> None:
    found, seen = opened("plain", NASTY)
    for shown in (found._repr_html_(), seen._repr_html_()):
        reader = read(shown)
        assert reader.tags <= TAGS | {"iframe", "details", "summary"}
        attributes = dict(reader.attributes)
        assert attributes["sandbox"] == "allow-scripts"
        assert attributes["srcdoc"].startswith("<!doctype html>")
        assert not [name for name, _ in reader.attributes if name.startswith("on")]


def test_the_script_is_the_pages_modules() -> None:
    code = script()
    for name in ("report", "figure", "cell", "heatmap", "heatmappanel"):
        assert code.count(f"const m_{name} = ") == 1
    assert "import(" not in code
    assert not re.search(r"^(import|export) ", code, re.MULTILINE)
    assert "</script" not in code.lower()
    assert code.index("const m_dom") < code.index("const m_cell ") < code.index("const m_figure")


def test_the_static_html_shows_the_explanation() -> None:
    found, seen = opened("pads")
    text = read(static_explanation(found)).text
    assert f"probability {found.probabilities.max():.4f}" in text
    assert found.method_note in text
    assert "has not been measured" in text
    for name, value, _ in found.sums():
        assert name.strip() in text
        assert f"{value:+.3f}" in text or f"{value:+.0e}" in text
    shown = static_example(seen)
    rows = re.findall(r"<tr><td>(\d+)</td><td class=\"left\">(\w+)</td>(.*?)</tr>", shown)
    assert [row[1] for row in rows] == seen.steps
    unit = int(re.findall(r"<h2>Unit (\d+)", shown)[0])
    gates, column = seen.unit(unit)
    numbers = [float(x) for x in re.findall(r"<td>([^<]+)</td>", rows[4][2])]
    want = [getattr(gates, part)[4, column] for part in "ifgoch"] + [seen.contributions[4, unit]]
    np.testing.assert_allclose(numbers, want, atol=5.01e-4)


def test_words_are_coloured_by_sign_and_size() -> None:
    found, _ = opened("pads")
    spans = re.findall(r"<span(?: class=\"([pn])(\d)\")? title=\"([^\"]+)\">", static_explanation(found))
    assert len(spans) == len(found.steps)
    highest = np.abs(found.scores).max()
    for (side, strength, title), score in zip(spans, found.scores, strict=True):
        assert float(title) == pytest.approx(score, abs=5.01e-4)
        if not side:
            assert abs(score) <= 0.1 * highest
            continue
        assert side == ("p" if score > 0 else "n")
        assert int(strength) == np.ceil(4 * abs(score) / highest - 0.4)
    assert max(int(strength or 0) for _, strength, _ in spans) == 4
