"""A new command is one file and one line in the table of commands; no other place lists the commands."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatewise import cli
from gatewise.cli import COMMANDS
from tests.cli.conftest import Run

COUNT_WORDS = '''
"""`gatewise count-words`: the toy command."""

from typing import Any

from gatewise.cli import options
from gatewise.cli.options import command, option
from gatewise.cli.output import print_json
from gatewise.errors import InputError


@command()
@options.texts_argument
@option("--least", metavar="N", type=int, default=1, help="Smallest number of words.")
@options.json_option
def count_words(given: Any) -> None:
    """Count the words of texts.

    \\b
    gatewise count-words "two words"
    """
    counts = [len(text.split()) for text in given.texts]
    if min(counts) < given.least:
        raise InputError(f"a text has {min(counts)} words, fewer than {given.least}")
    if given.as_json:
        print_json({"words": counts})
        return
    print(*counts)
'''


@pytest.fixture
def _count_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The file and the line."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "count_words.py").write_text(COUNT_WORDS, encoding="utf-8")
    monkeypatch.setattr(cli, "__path__", [*cli.__path__, str(tmp_path / "files")])
    monkeypatch.setitem(COMMANDS, "count-words", "Count the words of texts.")
    yield
    sys.modules.pop("gatewise.cli.count_words", None)


@pytest.mark.usefixtures("_count_words")
def test_a_new_command_runs_with_help_json_and_errors(run: Run) -> None:
    assert run("count-words", "a b c", "d").stdout == "3 1\n"
    assert run.json("count-words", "two words") == {"words": [2]}
    assert "  count-words  Count the words of texts.\n" in run("--help").stdout
    help_text = run("count-words", "--help").stdout
    assert "--least N" in help_text
    refused = run("count-words", "--least", "2", "a b", "c")
    assert refused.exit_code == 2
    assert refused.stderr == "gatewise: a text has 1 words, fewer than 2\n"
    assert run("count-wrods").exit_code == 2


def test_the_table_has_every_command_and_no_other() -> None:
    """A file of a command has a function of its own name that `command()` decorates."""
    files = {}
    for path in Path(cli.__file__).parent.glob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and any("command(" in ast.unparse(d) for d in node.decorator_list):
                files[node.name.replace("_", "-")] = path.stem.replace("_", "-")
    assert files == {name: name for name in COMMANDS}
