"""CoNLL files: what is a comment, what separates fields."""

from pathlib import Path

import numpy as np
import pytest

from gatewise.data import read_table
from gatewise.data.row_reader import RowReader, TableColumns
from gatewise.errors import DataError
from gatewise.target import words_of
from tests.refusals import assert_refused


def sentences(path: Path, content: str) -> list[tuple[list[str], list[str]]]:
    """The words and labels of each sentence."""
    path.write_text(content, encoding="utf-8")
    with RowReader.open(path, TableColumns(label=("label",), task="tagging")) as reader:
        rows = reader.read()
    return list(zip(map(words_of, rows.inputs), rows.labels or [], strict=True))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        # A word that begins with #, also in the first line.
        ("#tag O\nis O\n", [(["#tag", "is"], ["O", "O"])]),
        ("#tag\tRARE\nis\tO\n", [(["#tag", "is"], ["RARE", "O"])]),
        ("# O\n7 O\n\n# NUM\n7 NUM\n", [(["#", "7"], ["O", "O"]), (["#", "7"], ["NUM", "NUM"])]),
        ("is O\n#tag O\n#x B\n", [(["is", "#tag", "#x"], ["O", "O", "B"])]),
        # Comments: other fields in number, or separated by spaces where those of words are not.
        ("# id 7 domain=en\nEU B\nis O\n", [(["EU", "is"], ["B", "O"])]),
        ("# 7\nEU\tB\n\n# 8\nis\tO\n", [(["EU"], ["B"]), (["is"], ["O"])]),
        ("# id 7\tdomain=en\nEU _ _ B\nis _ _ O\n", [(["EU", "is"], ["B", "O"])]),
        ("#begin document (a); part 0\na 1 O\n\n#end document\n", [(["a"], ["O"])]),
        # The first word is far from the comments.
        ("# x y\n" * 20_000 + "EU B\n", [(["EU"], ["B"])]),
        # No other white space separates fields, or sentences.
        ("a\u00a0b B\nc O\n", [(["a\u00a0b", "c"], ["B", "O"])]),
        ("a\u00a0b\tB x\nc\u3000d\u2028e\tO\n", [(["a\u00a0b", "c\u00a0d\u00a0e"], ["B\u00a0x", "O"])]),
        ("a  B \r\n \t\r\nc O", [(["a"], ["B"]), (["c"], ["O"])]),
    ],
)
def test_words_and_comments(tmp_path: Path, content: str, expected: list[tuple[list[str], list[str]]]) -> None:
    assert sentences(tmp_path / "a.conll", content) == expected


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.conll", "# newdoc\nEU B\nis O\n", "line 1: '# newdoc' may be a comment, or a word whose label no other"),
        ("a.conll", "EU B\n\n#x Q\nis O\n", "line 3: '#x Q' may be a comment, or a word"),
        ("a.conll", "EU B\n\u00a0\nis O\n", "line 2 has 1 field, not 2"),
        ("a.conll", "EU B\n\u00a0 O\n", "line 2: field 1 is empty"),
        ("a.conll", "# only\n\n# comments\n", "has no word, only comments and empty lines"),
        ("a.conllu", "x\ty\tz\tNOUN\t_\t_\t_\t_\t_\t_\n", "the first field must be the number of the word, not 'x'"),
        ("a.conllu", "1\ty\tz\tNOUN\t_\t_\t_\t_\t_\t_\n# text\n", "line 2 has 2 fields, not 10"),
    ],
)
def test_what_nothing_tells_is_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert_refused(message, read_table, tmp_path / name, task="tagging", error=DataError)


def test_a_column_of_words_alone(tmp_path: Path) -> None:
    """As a file to predict has it: there is no label that could tell."""
    (tmp_path / "a.conll").write_text("#tag\nis\n\n# a comment\n#x\n", encoding="utf-8")
    with RowReader.open(tmp_path / "a.conll", TableColumns()) as reader:
        assert [row.input for row in reader] == ["#tag is", "#x"]


@pytest.mark.parametrize("separator", ["\t", " "])
def test_random_words(tmp_path: Path, separator: str) -> None:
    """What is written is read; each label is also that of a word without #."""
    rng = np.random.default_rng(24)
    letters = [*"#ab\u00a0\u0085\u2003.-", "ö", "\U0001f600"]
    written = [(["x", "y"], ["A", "B"])]
    for _ in range(300):
        n = int(rng.integers(1, 6))
        words = ["".join(rng.choice(letters, int(rng.integers(1, 5)))) for _ in range(n)]
        words = [word if word.strip() == word else f"#{word}#" for word in words]
        written.append((words, rng.choice(["A", "B"], n).tolist()))
    lines = [[f"{word}{separator}{label}\n" for word, label in zip(*row, strict=True)] for row in written]
    found = sentences(tmp_path / "a.conll", "\n".join("".join(row) for row in lines))
    as_read = str.maketrans("\u0085\u2003", "\u00a0\u00a0")  # any white space within a word becomes a no-break space
    squeezed = [(["\u00a0".join(word.translate(as_read).split()) for word in words], row) for words, row in written]
    assert found == squeezed


def test_every_format_of_universal_dependencies(tmp_path: Path) -> None:
    rows = [("1-2", "vamonos"), ("1", "vamos"), ("2", "#nos"), ("2.1", "x"), ("3", "1\u00a0000")]
    lines = [f"{number}\t{form}\tl\tX{number}\t_\t_\t0\troot\t_\t_\n" for number, form in rows]
    content = "#text\n# sent_id = 1\n" + "".join(lines)
    expected = [(["vamos", "#nos", "1\u00a0000"], ["X1", "X2", "X3"])]
    assert sentences(tmp_path / "a.conllu", content) == expected
