"""The examples of a page or a notebook run: its python and bash blocks, in order, in one folder. The site is built.

Lines of a bash block that are only a gatewise command run in this process, which has imported SciPy already.
"""

import contextlib
import importlib.util
import io
import json
import os
import re
import shlex
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from source_tree import ROOT

from tests.children import run_child
from tests.cli.conftest import Run
from trust import registry

PAGES = [
    ROOT / "docs" / f"{name}.md"
    for name in ("bring-your-own", "bulk", "data", "exchange", "features", "scale", "series", "tagging", "training")
]
PAGES += sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Blocks that use these packages, which the tests do not require, run where they are installed.
OPTIONAL = {
    "ray": r"^(import|from) ray|--ray ",
    "dask": r"^import dask",
    "keras": r"^import keras",
    "pyspark": r"^from pyspark",
}
# `gatewise` and `torchrun` in a block are this environment's.
SHELL = """set -euo pipefail
gatewise() { "$PYTHON" -m gatewise "$@"; }
torchrun() { "$PYTHON" -m torch.distributed.run "$@"; }
"""


def words_of(line: str) -> list[str] | None:
    """The arguments of a line that is a gatewise command and nothing else; None for another line."""
    words = list(shlex.shlex(line, posix=True, punctuation_chars="|<>&;()"))
    if words[:1] != ["gatewise"] or re.search(r"[$`\\]", line) or any(set(word) <= set("|<>&;()") for word in words):
        return None
    return shlex.split(line, comments=True)[1:]


def parts_of(block: str) -> list[str | list[str]]:
    """Shell code, and the arguments of gatewise commands, in order."""
    lines = block.splitlines()
    if "<<" in block or any(line.endswith("\\") or line.startswith("for ") for line in lines):
        return [block]
    return [line if (words := words_of(line)) is None else words for line in lines if line.strip()]


def blocks_of(page: Path) -> list[tuple[int, str, str]]:
    """The line or the number, the language and the code of each block or cell."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".ipynb":
        cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
        assert not any(cell["outputs"] for cell in cells), "outputs are made by `make docs`"
        return [(n, "python", "".join(cell["source"])) for n, cell in enumerate(cells, 1)]
    blocks = [(text.count("\n", 0, found.start()) + 1, *found.groups()) for found in BLOCK.finditer(text)]
    assert len(blocks) == len(re.findall(r"^```\w", text, re.MULTILINE)), "a block is neither python nor bash"
    return blocks


@pytest.mark.slow
@pytest.mark.usefixtures("short_comparison")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = {"PYTHON": sys.executable, "PYSPARK_PYTHON": sys.executable, "PYTHONPATH": os.pathsep.join(sys.path)}
    settings |= {"GATEWISE_OFFLINE": "1", "COLUMNS": "100", "KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "torch"}
    settings |= {"MLFLOW_TRACKING_URI": (tmp_path / "mlflow").as_uri(), "MLFLOW_ALLOW_FILE_STORE": "true"}
    settings |= {"MLFLOW_DISABLE_TELEMETRY": "true"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    names: dict[str, Any] = {"__name__": "__main__"}
    used = set[str]()
    for line, language, code in blocks_of(page):
        packages = [name for name, pattern in OPTIONAL.items() if re.search(pattern, code, re.MULTILINE)]
        if not all(importlib.util.find_spec(name) for name in packages):
            continue
        used |= {*packages}  # whose own warnings are theirs
        where = f"docs/{page.name}:{line}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of small data
            if used:
                warnings.simplefilter("ignore")
            if language == "python":
                exec(compile("\n" * line + code, where, "exec"), names)
            for part in parts_of(code) if language == "bash" else []:
                if isinstance(part, list):
                    result = Run()(*part)
                    assert result.exit_code == 0, f"{where}: {part}: {result.output}"
                    continue
                done = run_child(["bash", "-c", SHELL + part])
                assert done.returncode == 0, f"{where}: {part}: {done.stderr}"


def test_notebooks_show_training_forecasts_and_features() -> None:
    codes = [code for page in PAGES if page.suffix == ".ipynb" for _, _, code in blocks_of(page)]
    for name in ("gw.load()", "gw.train(", "gw.Forecaster.fit(", "LSTMTextEncoder("):
        assert any(name in code for code in codes), name


PAGE = (ROOT / "README.md").read_text(encoding="utf-8")
_NUMBER = re.compile(r"-?\d+\.\d+")


def test_the_example_prints_what_the_page_shows() -> None:
    """Words are equal. Numbers may differ by one unit of the last digit: instruction sets round differently."""
    [(code, shown)] = re.findall(r"^```python\n(.*?)^```\n\n```\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})
    found = printed.getvalue()
    assert re.sub(r"[\d.+\-\s]+", " ", found) == re.sub(r"[\d.+\-\s]+", " ", shown)
    numbers = [np.array([float(number) for number in _NUMBER.findall(text)]) for text in (found, shown)]
    np.testing.assert_allclose(*numbers, atol=0.011)


# mkdocs without an optional part of jsonschema, which builds 39 grammars at its import: a third of the whole time.
BUILD = "import sys; sys.modules['rfc3987_syntax'] = None; from mkdocs.__main__ import cli; cli()"


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-c", BUILD, "build", "--site-dir", tmp_path]
    settings = {"GATEWISE_NOTEBOOKS": "false", "NO_MKDOCS_2_WARNING": "1", "PATH": "/usr/bin:/bin"}
    done = run_child(command, cwd=ROOT, env=settings)
    assert done.returncode == 0, done.stderr
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.html")}
    pages = {
        "index.html",
        "lesson/lesson.html",
        "lesson/index.html",
        "reference/gatewise.html",
        "notebooks/tutorial.html",
    }
    assert pages <= names
    assert 'src="lesson/lesson.html"' in (tmp_path / "index.html").read_text(encoding="utf-8")
    assert 'id="gatewise.train"' in (tmp_path / "reference/gatewise.html").read_text(encoding="utf-8")
    attacks = (tmp_path / "trust.html").read_text(encoding="utf-8")
    assert all(f"python -m trust {name}" in attacks for name in registry.ATTACKS)
    benchmarks = (tmp_path / "benchmarks.html").read_text(encoding="utf-8")
    assert "<td>step_tutorial_2</td>" in benchmarks
    assert "<!-- site:" not in attacks + benchmarks
    page = (tmp_path / "reference/gatewise.html").read_text(encoding="utf-8")
    assert '<script src="../offline-search.js">' in page, "the search of a site that is opened as files"
    assert "unpkg.com" not in page
    assert _found_by_search(tmp_path / "cell.html", "forget gate") > 0


def _found_by_search(page: Path, words: str) -> int:
    """How many results chromium shows for a search in a page of the site, which it opens as a file."""
    sync = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or pytest.skip("no chromium here: apt-get install chromium")
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        opened = browser.new_page()
        opened.goto(page.as_uri())
        opened.fill(".md-search__input", words)
        opened.wait_for_selector(".md-search-result__item", timeout=60_000)
        count: int = opened.locator(".md-search-result__item").count()
        browser.close()
    return count
