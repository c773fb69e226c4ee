"""The page's modules that need no browser, by Node's own test runner; and that imports among them go one way."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.children import run_child

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[2] / "src" / "gatewise" / "serve" / "page"

# From top to bottom: a module imports only from levels below its own.
LEVELS = [
    {"lesson/main"},
    {"lesson/forget", "lesson/hide", "lesson/whole"},
    {"lesson/gatechapter", "lesson/mind"},
    {"lesson/add"},
    {"lesson/fade", "lesson/learn", "lesson/limits", "lesson/numbers", "lesson/repeat", "lesson/words"}
    | {"lesson/inputgate"},
    {"lesson/cellfigure", "lesson/gradients", "lesson/networks", "lesson/peaks", "lesson/sentence", "lesson/shell"}
    | {"lesson/gaterows", "lesson/timeline", "lesson/wordtask"},
    {"lesson/celldrawing"},
    {
        "lesson/cellshapes",
        "lesson/parts",
        "lesson/tasks/ask",
        "lesson/tasks/first",
        "lesson/tasks/marked",
        "lesson/tasks/reset",
    }
    | {"lesson/terms", "lesson/training", "lesson/wordnetwork"},
    {"lesson/glossary", "lesson/phrases", "lesson/tasks/symbols"},
    {"trainer/training"},
    {"trainer/lstm", "trainer/plain"},
    {"trainer/adam", "trainer/network"},
    {"trainer/random"},
    {"docs", "forecast", "main", "report"},
    {"below"},
    {"explanation", "figure", "compare"},
    {"details", "interventions", "heatmappanel", "panels", "outputs", "player", "prediction"}
    | {"reading", "stream", "strip"},
    {"cell", "chart", "heatmap", "line", "loader", "offer", "textview", "theme", "weightnote"},
    {"api", "cellmath", "drawing", "editor", "heatmapdata"} | {"url", "value", "words"},
    {"cellshape", "colour", "columns", "inputs", "store"},
    {"model/api", "model/worker"},
    {"model/answers"},
    {"model/lstm"},
    {"model/convolutions", "model/encodings", "model/network", "model/ngrams", "model/series"},
    {"dom", "files", "model/arrays", "model/tensors", "once"},
]
LEVEL = {name: n for n, names in enumerate(LEVELS) for name in names}


def test_the_pure_parts() -> None:
    node = shutil.which("node")
    if node is None:
        if os.environ.get("GATEWISE_BROWSER") == "required":
            pytest.fail("GATEWISE_BROWSER=required, and there is no node: apt-get install nodejs")
        pytest.skip("no node here: apt-get install nodejs")
    files = [str(path) for path in sorted((HERE / "js").glob("*.mjs"))]  # versions of Node treat a folder differently
    done = run_child([node, "--test", *files])
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "# fail 0" in done.stdout


def imports(name: str) -> list[str]:
    path = PAGE / f"{name}.js"
    found = re.findall(r"(?:from |import\()\"(\.[\w./]+)\.js\"", path.read_text(encoding="utf-8"))
    return [(path.parent / one).resolve().relative_to(PAGE).as_posix() for one in found]


def test_imports_go_one_way() -> None:
    found = {path.relative_to(PAGE).with_suffix("").as_posix() for path in PAGE.rglob("*.js")}
    assert found == set(LEVEL), "give every module a level, and remove deleted ones"
    for name in found:
        for needed in imports(name):
            assert LEVEL[needed] > LEVEL[name], f"{name}.js imports {needed}.js, which is not on a lower level"
    assert "cell" in imports("figure")
    assert "below" in imports("main")


def test_text_enters_as_text_and_nothing_comes_from_elsewhere() -> None:
    for path in (one for one in PAGE.rglob("*") if one.is_file()):
        source = path.read_text(encoding="utf-8")
        for word in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "new Function", "cssText"):
            assert word not in source, f"{path.name} has {word}"
        for found in re.findall(r"https?://[^\"' )`]+", source):
            assert found == "http://www.w3.org/2000/svg", f"{path.name} names {found}"
        assert "style=" not in source, f"{path.name}: a style attribute, which the policy refuses"
