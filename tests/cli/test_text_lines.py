"""Lines of text and the begin of a table are told apart."""

from pathlib import Path

import pytest

from gatewise.cli.text_lines import open_lines, table_header
from gatewise.data import read_texts
from gatewise.data.columns import Columns, RowReader
from gatewise.storage.streams import split_lines


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", ""])
def test_all_commands_read_the_same_lines(tmp_path: Path, end: str) -> None:
    content = f"one\u2028and\x0cone\x85\rtwo\r\n three \nfour{end}"
    lines = ["one\u2028and\x0cone\x85", "two", " three ", "four"]
    path = tmp_path / "a.txt"
    path.write_bytes(content.encode())
    with RowReader.open(path, Columns(), lines=open_lines) as reader:  # predict, explain, export-page
        assert [row.input for row in reader] == lines
    assert read_texts([str(path)]).texts == lines  # pretrain, train --unlabelled


@pytest.mark.parametrize(
    ("text", "lines"),
    [("", []), ("\n", [""]), ("a\r\r\nb", ["a", "", "b"]), ("a\n\r", ["a", ""]), ("\u2029", ["\u2029"])],
)
def test_the_ends_of_lines(text: str, lines: list[str]) -> None:
    assert split_lines(text) == lines


@pytest.mark.parametrize(
    ("begin", "header"),
    [
        ("id,review,label\n1,good film,x\n", ["id", "review", "label"]),
        ("t,l\r\nthe film was good,pos\r\n", ["t", "l"]),
        ("text,label\n", ["text", "label"]),
        (",text\n0,good\n", ["", "text"]),
        ("n\ttext", ["n", "text"]),
        ("n;review\n1;a, b\n", ["n", "review"]),
        ('"id","my text"\n1,"two\nlines"\n2,c\n', ["id", "my text"]),
        ("id,n,review\n1,2,good\n3,4", ["id", "n", "review"]),
        ('1,the film was bad\n0,good\n1,"bad, bad"\n', ["1", "the film was bad"]),
    ],
)
def test_tables(begin: str, header: list[str]) -> None:
    assert table_header(begin) == header


@pytest.mark.parametrize(
    "begin",
    [
        "good, bad\nyes, no\nnot, at all\n",
        "the film was bad\na film seen twice\n",
        "good,cheap\n",
        "It was good, and, well, bad.\nNo, it was not, and that, is it.\n",
        "9/10, great\n8/10, good\n7/10, well\n",
        "10,000 people came\n20,000 left\n5,000 stayed\n",
        "text\nthe end\n",
        "text me, label it\n",
        '"no, no", she said\nand, well, left\n',
        "He: yes; no\nshe: no; yes\n",
        "",
    ],
)
def test_texts(begin: str) -> None:
    assert table_header(begin) == []
