"""What `make docs` adds to the pages of docs/: hooks of MkDocs (mkdocs.yml).

The lesson on the front page, the reference (one page per module; the commands; the fields of the
recipes), the tables of recorded results that are too long for a page that is read, the pages of the
root folder, and the files that pages link to.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from importlib import import_module
from inspect import ismodule
from pathlib import Path
from typing import Any

import griffe
from click.testing import CliRunner
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from benchmarks.tables import SITE_TABLES
from gatewise.cli import COMMANDS, program
from trust.registry import ATTACKS
from trust.results import read, table

ROOT = Path(__file__).resolve().parents[1]
MODULES = ("gatewise", "sklearn", "mlflow", "data", "explain", "text", "nn", "training", "errors")
PAGES = {"start.md": "README.md", **{name: name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")}}
# What stands in the place of the marker `<!-- site: NAME -->` of a page.
TABLES = {
    "attacks": lambda: table(read(), ATTACKS.values()),
    **{f"benchmark-{name}": table for name, table in SITE_TABLES.items()},
}
LESSON = '<iframe class="lesson" src="lesson/lesson.html" title="The lesson"></iframe>\n\n'
_EXAMPLE = re.compile(r"^>>> .*\n(?:.+\n)*", re.MULTILINE)
_TABLE = re.compile(r"^<!-- site: ([a-z0-9-]+) -->$", re.MULTILINE)
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^()\s]+)\)")


class Examples(griffe.Extension):
    """Examples of docstrings, which stand anywhere in the text, as blocks of code."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            text = f"{obj.docstring.value}\n".replace("  # doctest: +SKIP", "")
            obj.docstring.value = _EXAMPLE.sub(r"```pycon\n\g<0>```\n", text)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that docs/ does not have, and the files that its pages link to."""
    made: dict[str, str | bytes] = {page: (ROOT / name).read_text(encoding="utf-8") for page, name in PAGES.items()}
    made |= {f"reference/{name}.md": _module(name) for name in MODULES}
    made |= {"reference/commands.md": _commands(), "reference/recipes.md": _recipes()}
    with tempfile.TemporaryDirectory() as folder:
        _run("export-page", "-o", f"{folder}/pages")  # the page of the bundled model, and the lesson, which links to it
        for name in ("lesson.html", "index.html"):
            made[f"lesson/{name}"] = Path(folder, "pages", name).read_bytes()
    own = [f"docs/{page.src_uri}" for page in files.documentation_pages() if page.src_uri.endswith(".md")]
    for path in [ROOT / name for name in (*own, *PAGES.values())]:
        for target in _linked(path.parent, path.read_text(encoding="utf-8")):
            made.setdefault(_in_site(target), target.read_bytes())
    for name, content in made.items():
        if files.get_file_from_path(name) is None:
            files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Markers become their tables. Links to files outside docs/ lead to their copies in the site; folders are named
    without a link.
    """
    if page.file.src_uri.startswith("reference/"):
        return markdown
    name = PAGES.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    home = (ROOT / name).parent

    def moved(link: re.Match[str]) -> str:
        path, _, anchor = link[3].partition("#")
        target = (home / path).resolve()
        if not path or ":" in path or not target.exists():
            return link[0]
        if target.is_dir():
            return link[2]
        uri = os.path.relpath(_in_site(target), Path(page.file.src_uri).parent)
        return f"{link[1]}[{link[2]}]({uri}{'#' if anchor else ''}{anchor})"

    text = _TABLE.sub(lambda marker: TABLES[marker[1]](), _LINK.sub(moved, markdown))
    return text.replace("\n", f"\n\n{LESSON}", 1) if page.file.src_uri == "README.md" else text


@event_priority(-100)  # after the search plugin, which writes the index
def on_post_build(config: MkDocsConfig) -> None:
    """The index and the worker of the search as scripts, which a page may load where the site is opened as files.

    The theme loads the index so, docs/offline-search.js the worker.
    """
    site = Path(config.site_dir)
    index = (site / "search" / "search_index.json").read_text(encoding="utf-8")
    (site / "search" / "search_index.js").write_text(f"var __index = {index}", encoding="utf-8")
    [worker] = site.glob("assets/javascripts/workers/search.*.min.js")
    code = json.dumps(worker.read_text(encoding="utf-8"))
    (site / "search" / "worker.js").write_text(f"window.searchWorker = {code};\n", encoding="utf-8")


def _linked(home: Path, text: str) -> list[Path]:
    """The files outside docs/ to which a page in `home` links."""
    paths = [(home / link[3].partition("#")[0]).resolve() for link in _LINK.finditer(text) if ":" not in link[3]]
    return [path for path in paths if path.is_file() and not path.is_relative_to(ROOT / "docs")]


def _in_site(path: Path) -> str:
    """The place of a file of the tree in the site: pages have their own, other files are in files/, as text."""
    name = path.relative_to(ROOT).as_posix().removeprefix(".")  # MkDocs leaves out names with a dot
    page = next((page for page, source in PAGES.items() if source == name), None)
    if page or path.is_relative_to(ROOT / "docs"):
        return page or name.removeprefix("docs/")
    return f"files/{name}" if path.suffix == ".json" else f"files/{name}.txt"


def _module(name: str) -> str:
    """The reference of a module: the names of `__all__`, or those that it defines, each by mkdocstrings."""
    full = "gatewise" if name == "gatewise" else f"gatewise.{name}"
    module: Any = import_module(full)
    defined = [one for one, value in vars(module).items() if getattr(value, "__module__", "") == full]
    names = getattr(module, "__all__", defined)
    shown = [one for one in names if not one.startswith("_") and not ismodule(getattr(module, one))]
    text = f"::: {full}\n    options: {{ members: false, show_root_heading: false }}"
    return "\n\n".join([f"# {full}", text, *(f"::: {full}.{one}" for one in shown)])


def _run(*words: str) -> str:
    done = CliRunner().invoke(program, [*words], catch_exceptions=False, env={"COLUMNS": "100"}, prog_name="gatewise")
    if done.exit_code:
        raise RuntimeError(f"gatewise {' '.join(words)}: {done.output}")
    return done.output


def _commands() -> str:
    """The help of every command."""
    parts = [f"## gatewise {name}\n\n```\n{_run(name, '--help')}```\n" for name in COMMANDS]
    return "\n".join(["# Commands\n", f"```\n{_run('--help')}```\n", *parts])


def _recipes() -> str:
    """A table of the fields: what each means, and its value in every recipe that changes it."""
    from gatewise.training import RECIPES

    found = {name: json.loads(_run("info", "--recipe", name, "--json"))["fields"] for name in RECIPES}
    lines = ["# Recipe fields\n", "Each is a setting: [Training](../training.md#settings).\n"]
    group = ""
    for number, field in enumerate(found["fast"]):
        if field["name"].partition(".")[0] != group:
            group = field["name"].partition(".")[0]
            lines.append(f"## {group}\n")
        values = {name: json.dumps(fields[number]["value"]) for name, fields in found.items()}
        others = [f"{name} {value}" for name, value in values.items() if value != values["fast"]]
        shown = "; ".join([f"fast {values['fast']}", *others])
        lines.append(f"### {field['name']}\n\n{field['meaning']}\n\n*{field['type']}* · {shown}\n")
    return "\n".join(lines)
