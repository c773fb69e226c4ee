"""The views in HTML: nothing of the user's is at work in them, nothing is fetched, and the picture is the plane."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest

from gatewise.cell import Array
from gatewise.glassbox.heatmap import levels, picture
from gatewise.glassbox.html import explanation_html, page_html, trace_html
from tests.glassbox.test_report import HOSTILE, LENGTH, opened

NASTY = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style><b>",
    "&lt;",
    "' onmouseover='x",
    "javascript:alert(1)",
    *HOSTILE,
][:LENGTH]
TAGS = {
    *("html", "head", "body", "meta", "title", "div", "style", "p", "span", "strong", "table", "tr", "th", "td", "h2"),
    *("svg", "path", "polyline", "picture", "source", "img"),
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


@pytest.mark.parametrize("name", ["plain", "both ways, two layers, mean and max", "four classes"])
def test_hostile_text_is_text(name: str) -> None:
    classes = ["<b>bad</b>", '"good"', "\x1b[2J", "\u202ex"][: 4 if name == "four classes" else 2]
    found, seen = opened(name, NASTY, classes)
    page = page_html("<title>", [explanation_html(found), trace_html(seen)])
    reader = read(page)
    assert reader.tags <= TAGS
    assert not [name for name, _ in reader.attributes if name.startswith("on")]
    sources = [value for name, value in reader.attributes if name in ("src", "srcset", "href")]
    assert sources
    assert all(value.startswith("data:image/png;base64,") for value in sources)
    assert "http" not in page.replace("http-equiv", "")
    assert "url(" not in page
    assert "@import" not in page
    assert "<script>alert(1)</script>" in reader.text
    assert all(ch.isprintable() or ch in "\n " for ch in reader.text)
    page.encode("utf-8")


def test_it_says_what_the_account_says() -> None:
    found, seen = opened("pads")
    text = read(found._repr_html_()).text
    assert f"probability {found.probabilities.max():.4f}" in text
    assert found.method_note in text
    assert "has not been measured" in text
    for name, value, _ in found.sums():
        assert name.strip() in text
        assert f"{value:+.3f}" in text or f"{value:+.0e}" in text
    shown = seen._repr_html_()
    rows = re.findall(r"<tr><td>(\d+)</td><td class=\"left\">(\w+)</td>(.*?)</tr>", shown)
    assert [row[1] for row in rows] == seen.steps
    unit = int(re.findall(r"<h2>Unit (\d+)", shown)[0])
    gates, column = seen.top(unit)
    numbers = [float(x) for x in re.findall(r"<td>([^<]+)</td>", rows[4][2])]
    want = [getattr(gates, part)[4, column] for part in "ifgoch"] + [seen.moves[4, unit]]
    np.testing.assert_allclose(numbers, want, atol=5.01e-4)


def test_words_are_tinted_by_sign_and_size() -> None:
    found, _ = opened("pads")
    spans = re.findall(r"<span(?: class=\"([pn])(\d)\")? title=\"([^\"]+)\">", explanation_html(found))
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


def unpacked(address: str) -> tuple[Array, Array]:
    """The cells and the palette of a PNG, by hand; every checksum looked at."""
    raw = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    assert raw[:8] == b"\x89PNG\r\n\x1a\n"
    place, parts = 8, {}
    while place < len(raw):
        (length,) = struct.unpack(">I", raw[place : place + 4])
        kind, data = raw[place + 4 : place + 8], raw[place + 8 : place + 8 + length]
        (crc,) = struct.unpack(">I", raw[place + 8 + length : place + 12 + length])
        assert crc == zlib.crc32(kind + data)
        parts[kind], place = data, place + 12 + length
    columns, rows = struct.unpack(">II", parts[b"IHDR"][:8])
    lines = np.frombuffer(zlib.decompress(parts[b"IDAT"]), dtype=np.uint8).reshape(rows, columns + 1)
    assert not lines[:, 0].any()
    return lines[:, 1:], np.frombuffer(parts[b"PLTE"], dtype=np.uint8).reshape(256, 3)


def test_the_picture_is_the_plane() -> None:
    plane = np.random.default_rng(3).normal(0, 0.7, (5, 9))
    plane[2, 4] = 0
    cells, end = levels(plane, signed=True)
    shown, ramp = unpacked(picture(cells, "signed-light"))
    np.testing.assert_array_equal(shown, cells)
    assert end == pytest.approx(np.quantile(np.abs(plane), 0.99))
    assert cells[2, 4] == 127
    np.testing.assert_allclose((cells.astype(float) - 127) / 127 * end, np.clip(plane, -end, end), atol=end / 250)
    assert [tuple(ramp[n]) for n in (0, 127, 254)] == [(0x8F, 0x3B, 0), (0xF4, 0xF2, 0xED), (0x0B, 0x4A, 0x8F)]
    gates, _ = levels(np.array([[0.0, 0.5, 1.0]]), signed=False)
    assert gates.tolist() == [[0, 127, 254]]
