"""The names in the documentation exist: commands and their options, recipes, paths, benchmark modules, gw.* names.

The log may name what an earlier commit had, so it is not checked.
"""

import re
from functools import cache
from pathlib import Path

import click
from source_tree import ROOT

import gatewise
from gatewise.cli import COMMANDS, program
from gatewise.training import RECIPES

PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "benchmarks" / "README.md"]


@cache
def options() -> dict[str, set[str]]:
    """The options of each command."""
    common = {"--help", "-h", "--version"}
    return {
        name: common
        | {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        for name in COMMANDS
        if (command := program.get_command(click.Context(program), name))
    }


def code(page: Path) -> list[str]:
    """The code spans and the lines of code blocks of a page."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE) + re.findall(
        r"^    (?=\S)(.*)$", text, re.MULTILINE
    )
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    return [line for block in blocks for line in block.splitlines()] + spans


def wrong_names(text: str) -> list[str]:
    """What a line of code names and the repository lacks. A command "# at commit ..." needs that commit."""
    if re.search(r"# at commit [0-9a-f]{7}", text):
        return []
    wrong = []
    for verb, rest in re.findall(r"(?<![\w/.-])(?<!import )gatewise ([a-z]+(?:-[a-z]+)*)\b([^|#;]*)", text):
        if verb not in options():
            wrong.append(f"gatewise {verb}")
            continue
        unquoted = re.sub(r"\"[^\"]*\"|'[^']*'", "", rest)
        wrong += [
            f"gatewise {verb} {option}"
            for option in re.findall(r"(?<!\S)--?[a-z][a-z-]*", unquoted)
            if option not in options()[verb]
        ]
    wrong += [f"--recipe {name}" for name in re.findall(r"--recipe ([a-z-]+)", text) if name not in RECIPES]
    for module in re.findall(r"python -m (benchmarks[\w.]*)", text):
        path = ROOT / module.replace(".", "/")
        if not path.with_suffix(".py").is_file() and not (path / "__main__.py").is_file():
            wrong.append(f"python -m {module}")
    for path in re.findall(r"(?<![\w/.])((?:src|tests|docs|benchmarks|tools)/[\w./-]*\w/?)", text):
        if not (ROOT / path).exists() and not path.startswith("benchmarks/results/"):
            wrong.append(path)
    wrong += [name for name in re.findall(r"(?<![\w/])test_\w+\.py", text) if not any(ROOT.glob(f"tests/**/{name}"))]
    return wrong + [f"gw.{name}" for name in re.findall(r"(?<![\w.])gw\.(\w+)", text) if name not in gatewise.__all__]


def test_names_exist() -> None:
    for page in PAGES:
        assert [wrong for line in code(page) for wrong in wrong_names(line)] == [], page
