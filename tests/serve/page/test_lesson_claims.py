"""No sentence of the lesson, and no "Why?", claims what was not measured: claims/CHAPTER.json lists them with their
ablations.

Each ablation runs on the page's own modules in Node (claims/CHAPTER.mjs), with five seeds where a network is trained.
Each claim stands in the lesson, and each sentence of the lesson is a claim or one of the definitions, which name things
and claim no cause and no figure.
"""

import json
import os
import re
import shutil
from collections.abc import Sequence
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from gatewise.serve.lstm_file import lesson_files
from tests.children import run_child

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[2] / "src" / "gatewise" / "serve" / "page"
CHAPTERS = ("mind", "repeat", "fade", "add", "forget", "hide", "whole", "learn", "words", "numbers", "limits")
FILES = {
    name: json.loads((HERE / "claims" / f"{name}.json").read_text(encoding="utf-8")) for name in (*CHAPTERS, "cell")
}
CLAIMS: list[dict[str, Any]] = [claim for file in FILES.values() for claim in file["claims"]]
DEFINITIONS: dict[str, list[str]] = {name: file["definitions"] for name, file in FILES.items()}


class _Lesson(HTMLParser):
    """The sentences of each chapter of lesson.html: prose and questions, and the "Why?". An element that its module
    fills becomes {}.
    """

    def __init__(self) -> None:
        super().__init__()
        self.prose: dict[str, list[str]] = {}
        self.why: dict[str, list[str]] = {}
        self.chapter = ""
        self.open: list[str] = []  # the class or tag of each open element
        self.filled = -1  # the depth of an element that its module fills

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("meta", "link", "input", "br"):
            return
        if tag == "template":
            self.chapter = given["id"] or ""
        self.open.append((given.get("class") or tag).split()[0])
        if "data-part" in given and self._texts() is not None and tag in ("span", "b"):
            self._add("{}")
            self.filled = len(self.open)
        if tag in ("p", "legend") and (texts := self._texts()) is not None:
            texts.append("")

    def handle_endtag(self, tag: str) -> None:
        if len(self.open) == self.filled:
            self.filled = -1
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self._add(data)

    def _texts(self) -> list[str] | None:
        if not self.chapter or {"options", "said"} & set(self.open):
            return None
        if "why" in self.open:
            return self.why.setdefault(self.chapter, [])
        return self.prose.setdefault(self.chapter, []) if "prose" in self.open and "h2" not in self.open else None

    def _add(self, text: str) -> None:
        texts = self._texts()
        if texts and self.filled < 0:
            texts[-1] += text


def normal(text: str) -> str:
    return " ".join(text.replace("\u2060", "").replace("\u00a0", " ").split())


@cache
def lesson() -> _Lesson:
    parser = _Lesson()
    parser.feed((PAGE / "lesson.html").read_text(encoding="utf-8"))
    return parser


def literals(name: str) -> list[str]:
    """The strings of a module of the page; what they insert becomes {}."""
    source = (PAGE / f"{name}.js").read_text(encoding="utf-8")
    found = re.findall(r'"([^"\n]+)"|`((?:\$\{(?:[^{}]|\{[^{}]*\})*\}|[^`])*)`', source)
    return [normal(re.sub(r"\$\{(?:[^{}]|\{[^{}]*\})*\}", "{}", a or b)) for a, b in found]


def answers(chapter: str) -> list[str]:
    """What a chapter says when its question is answered: the strings of `text:`."""
    source = (PAGE / "lesson" / f"{chapter}.js").read_text(encoding="utf-8")
    found = re.findall(r'text:\s*(?:"([^"\n]+)"|`((?:\$\{(?:[^{}]|\{[^{}]*\})*\}|[^`])*)`)', source)
    return [normal(re.sub(r"\$\{(?:[^{}]|\{[^{}]*\})*\}", "{}", a or b)) for a, b in found]


def panel_sentences(chapter: str) -> list[str]:
    """What a chapter writes besides its answers and its prose: the strings with a sentence of four words or more."""
    said = {*answers(chapter)}
    return [one for one in literals(f"lesson/{chapter}") if one not in said and re.search(r"(\S+ ){3,}\S+\.( |$)", one)]


def reasons() -> list[str]:
    """The seven reasons of the cell in the lab."""
    source = (PAGE / "cellmath.js").read_text(encoding="utf-8")
    return re.findall(r'^\t"(.+)",$', source.split("const REASONS = [")[1].split("];")[0], re.MULTILINE)


def of_chapter(chapter: str, **fields: Any) -> list[str]:
    chosen = [one for one in CLAIMS if one["chapter"] == chapter and fields.items() <= one.items()]
    return list(dict.fromkeys(one["says"] for one in chosen))


def left_over(texts: list[str], covered: list[str]) -> str:
    """What remains of the texts without the sentences that are covered."""
    rest = "\n".join(map(normal, texts))
    for one in sorted(covered, key=len, reverse=True):
        rest = rest.replace(one, "")
    return re.sub(r"\bWhy\?", "", rest).strip()


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_each_sentence_of_a_chapter_is_a_claim_or_a_definition(chapter: str) -> None:
    covered = [*of_chapter(chapter), *DEFINITIONS[chapter]]
    assert left_over(lesson().prose[chapter], covered) == ""
    assert left_over(lesson().why[chapter], covered) == ""
    assert left_over(answers(chapter), covered) == ""
    assert left_over(panel_sentences(chapter), covered) == ""
    assert of_chapter(chapter, why=True), "a Why? without a claim"


def test_each_reason_of_the_cell_is_a_claim() -> None:
    assert reasons() == of_chapter("cell", why=True)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_each_claim_stands_in_the_lesson(chapter: str) -> None:
    why = " ".join(map(normal, lesson().why[chapter]))
    everything = "\n".join([*map(normal, lesson().prose[chapter]), why, *literals(f"lesson/{chapter}")])
    for text in of_chapter(chapter):
        assert text in everything
    for text in of_chapter(chapter, why=True):
        assert text in why
    for text in DEFINITIONS[chapter]:
        assert text in everything


def test_a_changed_sentence_is_found() -> None:
    """The tests above would fail for the sentences that issue 59 found to be false."""
    old = "The gradient returns along c; each step multiplies it by f."
    assert left_over([old], [*of_chapter("learn"), *DEFINITIONS["learn"]]) == old
    assert "At which word does it turn from negative to positive?" in " ".join(map(normal, lesson().prose["mind"]))
    assert any("“but” moves P by {}." in text for text in answers("mind"))
    assert len(reasons()) == 7


TRAINED = tuple(dict.fromkeys(claim["chapter"] for claim in CLAIMS if claim.get("trained", False)))


def claims_of(chapters: Sequence[str], is_trained: bool) -> list[dict[str, Any]]:
    return [one for one in CLAIMS if one["chapter"] in chapters and one.get("trained", False) == is_trained]


def measured(folder: Path, claims: list[dict[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """The numbers of the measures, by chapter and name."""
    node = shutil.which("node") or pytest.skip("no node here: apt-get install nodejs")
    for name, content in lesson_files().items():
        (folder / name).write_bytes(content)
    wanted: dict[str, list[str]] = {}
    for claim in claims:
        names = wanted.setdefault(claim["chapter"], [])
        if claim["measure"] not in names:
            names.append(claim["measure"])
    environment = {"PAGE": str(PAGE), "MODEL": str(folder), "WANTED": json.dumps(wanted)}
    done = run_child([node, str(HERE / "claims" / "run.mjs")], env=os.environ | environment)
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, dict[str, list[float]]] = json.loads(done.stdout)
    return found


def broken(claims: list[dict[str, Any]], found: dict[str, dict[str, list[float]]]) -> list[str]:
    """The claims that do not hold, with their numbers."""
    lines = []
    for claim in claims:
        numbers = found[claim["chapter"]][claim["measure"]]
        low, high = claim["between"]
        assert len(numbers) == claim.get("of", 1), claim["measure"]
        if not all(low <= number <= high for number in numbers):
            lines.append(f"{claim['chapter']}: {claim['says']} {claim['measure']}: {numbers}, not in {low} to {high}")
    return lines


def test_the_claims_hold_in_the_model(tmp_path: Path) -> None:
    claims = claims_of((*CHAPTERS, "cell"), is_trained=False)
    assert broken(claims, measured(tmp_path, claims)) == []


@pytest.mark.slow
@pytest.mark.parametrize("chapter", TRAINED)
def test_the_claims_hold_in_trained_networks(tmp_path: Path, chapter: str) -> None:
    claims = claims_of((chapter,), is_trained=True)
    assert broken(claims, measured(tmp_path, claims)) == []
