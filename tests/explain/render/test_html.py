"""The views in HTML: nothing of the user's is at work in them, nothing is fetched, and the data is the trace."""

import base64
import gzip
import hashlib
import html
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from gatewise.explain import serialize
from gatewise.explain.example import Example
from gatewise.explain.explanation import explain_example
from gatewise.explain.render.html import compare_page, plain_table, report_page
from gatewise.explain.render.script import read_page_file
from gatewise.model import bundled
from gatewise.model.model import load
from tests.explain.render.test_terminal import HOSTILE, LENGTH, opened

NASTY = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</style><b>", "&lt;", "' onmouseover='x"]
NASTY = [*NASTY, "javascript:alert(1)", *HOSTILE][:LENGTH]
TAGS = {
    *("html", "head", "body", "meta", "title", "div", "style", "p", "table", "thead", "tbody", "tr", "th", "td"),
    *("main", "noscript", "script"),
}


class Reader(HTMLParser):
    """Tags, attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("name", ["plain", "bidirectional, two layers, mean and max", "four classes"])
def test_hostile_text_is_text(name: str) -> None:
    classes = ["<b>bad</b>", '"good"', "\x1b[2J", "\u202ex"][: 4 if name == "four classes" else 2]
    found, seen = opened(name, NASTY, classes)
    for page in (report_page(found, seen), compare_page([(found, seen), (found, seen)])):
        reader = Reader(page)
        assert reader.tags <= TAGS
        assert not [name for name, _ in reader.attributes if name.startswith("on") or name in ("src", "srcset", "href")]
        assert page.count("<script") == page.count("</script>") == 2
        data = json.loads(page.split('id="data">')[1].split("</script>")[0])
        view = data["view"] if "view" in data else data["sides"][0]["view"]
        assert view["words"] == found.steps
        assert view["model"]["labels"] == classes
        plain = Reader(page.split("<noscript>")[1].split("</noscript>")[0]).text
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
    assert len(inline) == 2
    for text in inline:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    assert "url(" not in read_page_file("style.css")
    assert "@import" not in read_page_file("style.css")


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
        reader = Reader(shown)
        assert reader.tags <= TAGS | {"iframe", "details", "summary"}
        attributes = dict(reader.attributes)
        assert attributes["sandbox"] == "allow-scripts"
        frame = attributes["srcdoc"]
        assert frame.startswith("<!doctype html><script>")
        page = gzip.decompress(base64.b64decode(re.findall(r'atob\("([^"]+)"\)', frame)[0])).decode()
        assert "default-src 'none'" in html.unescape(page)
        assert "<script>alert(1)" not in page
        assert not [name for name, _ in reader.attributes if name.startswith("on")]


def test_one_explanation_adds_at_most_30_kb_to_a_notebook() -> None:
    model = load(bundled.folder())
    review = "The first hour is slow, the jokes are flat, yet the last ten minutes are honest. " * 15
    found = model.explain(review)
    assert len(found.steps) > 240
    assert len(found._repr_html_().encode()) <= 30_000


def test_without_javascript_there_is_one_table() -> None:
    found, seen = opened("pads")
    shown = plain_table(found)
    text = Reader(shown).text
    weights = ", ".join(f"{part.name} {part.weight:.2f}" for part in found.parts)
    assert f"probability {found.probabilities.max():.4f}" in text
    assert text.index(f"Weights of the members: {weights}") < text.index(found.sums()[0][0])
    assert found.method_note in text
    assert "has not been measured" in text
    for name, value, _ in found.sums():
        assert f"{name.strip()}{found.of.sum_text(value)}" in text
    wanted = [(step, found.of.score_text(x)) for step, x in zip(found.steps, found.scores, strict=True)]
    weakest = sorted(range(LENGTH), key=lambda t: abs(found.scores[t]))[: LENGTH - 12]
    strongest = [one for t, one in enumerate(wanted) if t not in weakest]
    for page, expected in ((shown, wanted), (found._repr_html_().split("<iframe")[0], strongest)):
        assert re.findall(r'<td class="text" dir="auto">(\w+)</td><td>([+-][^<]+)</td></tr>', page) == expected
    assert f"Weights of the members: {seen.ensemble}" in seen._repr_html_()


def test_weight_0_is_said_before_the_numbers() -> None:
    _, seen = opened("pads")
    ensemble = replace(seen.ensemble, weights=np.zeros(len(seen.ensemble.weights)))
    zero = Example(ensemble, seen.sequence, seen.names)
    for shown in (zero._repr_html_(), plain_table(explain_example(zero))):
        assert "LSTM has weight 0" in shown
        assert shown.index("LSTM has weight 0") < shown.index("<table>")
        assert shown.index("LSTM 0.00") < shown.index("<table>")
