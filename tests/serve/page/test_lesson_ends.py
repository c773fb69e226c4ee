"""What the last chapters of the lesson take from elsewhere: figures of the docs, lines of cell.py, a prediction."""

import re
from html import unescape
from pathlib import Path

import pytest

from gatewise.model import bundled
from gatewise.model.model import load

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "src" / "gatewise" / "serve" / "page"
HTML = (PAGE / "lesson.html").read_text(encoding="utf-8")


def chapter(name: str) -> str:
    """The text of a chapter."""
    template = HTML.split(f'<template id="{name}">')[1].split("</template>")[0]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", template)).split())


@pytest.mark.parametrize(
    ("shown", "page", "source"),
    [
        ("200 streams, 100 units: 0.2 ms for a step of all", "series.md", "a tick of 200 streams takes 0.2 ms"),
        (
            "25,000 reviews in 1.5 minutes: test accuracy 0.921",
            "accuracy.md",
            "0.9210 (0.9216, 0.9212, 0.9201) | 0.8881 | 0.9171 | 1.5",
        ),
        ("the same reviews and 50,000 without labels: 0.940", "accuracy.md", "adversarial training | 0.9403"),
        (
            "13 sets of series: it adds nothing to convolutions",
            "series.md",
            "On the 13 data sets above the convolutions do nearly all of the work",
        ),
    ],
)
def test_the_figures_are_those_of_the_docs(shown: str, page: str, source: str) -> None:
    assert shown in chapter("limits")
    assert source in (ROOT / "docs" / page).read_text(encoding="utf-8")


def test_the_lines_are_those_of_the_cell() -> None:
    code = (ROOT / "src" / "gatewise" / "cell.py").read_text(encoding="utf-8")
    script = (PAGE / "lesson" / "limits.js").read_text(encoding="utf-8")
    lines = re.findall(r'^\t(?:\t|\[)"([a-z_]+ .+?)",', script.split("LINES = [")[1].split("\n];")[0], re.MULTILINE)
    assert len(lines) == HTML.count('class="line"') == 8
    for line in lines:
        assert line in code


def test_the_bundled_model_says_what_the_chapter_shows() -> None:
    asked = re.search(r'ASKED = "(.+?)"', (PAGE / "lesson" / "wordtask.js").read_text(encoding="utf-8"))
    shown = re.search(r'data-part="labP">([\d.]+)<', HTML)
    assert asked
    assert shown
    assert f"{load(bundled.folder()).predict_proba(asked[1])[0, 1]:.2f}" == shown[1]


def test_nothing_asks_for_a_package_that_no_index_has() -> None:
    for path in PAGE.rglob("*"):
        if path.is_file():
            assert "pip install" not in path.read_text(encoding="utf-8"), path.name
