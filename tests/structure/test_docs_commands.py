"""Every gatewise command in the documentation has options and arguments that the program takes.

The examples of some pages also run (`test_docs_examples.py`). This test reads all pages, and commands within sentences.
"""

import re
import shlex
from pathlib import Path

import click
import pytest
from source_tree import ROOT

from gatewise.cli import COMMANDS, program

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
IN_A_SENTENCE = re.compile(r"`(gatewise [a-z][^`]*)`")
IN_A_BLOCK = re.compile(r"^ *(gatewise [a-z][^\n]*(?:\\\n[^\n]*)*)", re.MULTILINE)
BLOCK = re.compile(r"^```[a-z]*\n.*?^```$|^(?: {4}.*\n)+", re.MULTILINE | re.DOTALL)
AFTER_A_COMMAND = re.compile(r"\s(?:[|<>&;]|\d?>).*", re.DOTALL)
LEFT_OUT = re.compile(r"\.\.\.|…")  # "gatewise train ... --resume"


def commands_of(page: Path) -> set[str]:
    """The commands as they are written, on one line."""
    text = page.read_text(encoding="utf-8")
    blocks = BLOCK.findall(text)
    found = [
        command
        for block in blocks
        for command in IN_A_BLOCK.findall(block)
        if block.startswith("```") or command.split()[1] in COMMANDS  # an indented line may be a sentence
    ]
    found += IN_A_SENTENCE.findall(BLOCK.sub("\n", text))
    return {" ".join(command.replace("\\\n", " ").split()) for command in found}


def problem_of(command: str) -> str:
    """What the program says against the words of a command, "" if it takes them. Nothing runs, no file is opened."""
    words = shlex.split(AFTER_A_COMMAND.sub("", command), comments=True)[1:]
    words = [word for word in words if not LEFT_OUT.fullmatch(word)]
    context = click.Context(program)
    found = program.get_command(context, words[0])
    if found is None:
        return f"there is no command {words[0]}"
    try:
        _, extra, _ = found.make_parser(click.Context(found, parent=context)).parse_args(words[1:])
    except click.BadOptionUsage:  # a sentence may name an option without its value
        return ""
    except click.UsageError as error:
        return error.format_message()
    return f"unexpected argument {extra[0]}" if extra else ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_program_takes_every_command(page: Path) -> None:
    problems = {command: problem for command in sorted(commands_of(page)) if (problem := problem_of(command))}
    assert problems == {}


def test_commands_that_it_does_not_take() -> None:
    assert problem_of("gatewise serve names") == "unexpected argument names"
    assert problem_of("gatewise predict --modle m 'a film' | head -3").startswith("No such option '--modle'")
    assert problem_of("gatewise trian rows.csv") == "there is no command trian"
    assert problem_of("gatewise serve -m names > log 2>&1 &") == ""
    assert {"gatewise serve -m names", "gatewise evaluate -m names test.conll"} <= commands_of(ROOT / "docs/tagging.md")
