"""Unlabelled texts from folders, tables, files and the archive, without test reviews."""

from pathlib import Path

import pytest

from gatewise.data import Unlabelled, imdb, imdb_texts, read_texts
from gatewise.errors import DataError, InputError
from tests.data.files import write_folder


def test_each_kind_of_source(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "f", {"b/two.txt": "zwei", "a.txt": "eins", ".hidden.txt": "no", "note.md": "no"})
    table = tmp_path / "t.csv"
    table.write_text('body,n\n"drei, mit Komma",1\nvier,2\n')
    lines = tmp_path / "l.txt"
    lines.write_text("fünf\n\nsechs\n", encoding="utf-8")
    found = read_texts([str(folder), str(table), str(lines)], text="body")
    assert found.texts == ["eins", "zwei", "drei, mit Komma", "vier", "fünf", "sechs"]
    assert found.source == "2 files of the folder 'f'; 2 rows of 't.csv'; 2 lines of 'l.txt'"


def test_reviews_of_the_test_half_are_left_out(tmp_path: Path) -> None:
    files = {}
    for half in ("train", "test"):
        for label, number in (("pos", 8), ("neg", 2)):
            files[f"{half}/{label}/0_{number}.txt"] = f"{half} {label}"
    files |= {"train/unsup/0_0.txt": "of its own", "train/unsup/1_0.txt": "TEST  pos", "train/pos/1_9.txt": "test neg"}
    found = imdb_texts(write_folder(tmp_path / "aclImdb", files))
    assert sorted(found.texts) == ["of its own", "train neg", "train pos"]
    assert "2 duplicates of test reviews removed" in found.source
    known = imdb(tmp_path / "aclImdb")
    again = imdb_texts(tmp_path / "aclImdb", known=known)
    assert (again.texts, again.source) == (found.texts, found.source)


def test_bytes_that_are_no_text_are_an_error(tmp_path: Path) -> None:
    files = {f"{half}/{c}/0_5.txt": f"{half} {c}" for half in ("train", "test") for c in ("pos", "neg")}
    root = write_folder(tmp_path / "aclImdb", {**files, "train/unsup/7_0.txt": b"ab\xff"})
    with pytest.raises(DataError, match=r"unsup/7_0\.txt: not valid UTF-8 at byte 2"):
        imdb_texts(root)


def test_the_same_texts_have_the_same_fingerprint() -> None:
    one, other = Unlabelled.of(["a", "bc"]), Unlabelled.of(["ab", "c"])
    assert one.fingerprint() == Unlabelled(["a", "bc"], "elsewhere").fingerprint() != other.fingerprint()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.pdf", "x", "must end in one of"),
        ("x.csv", "body\n", "has no row"),
        ("x.csv", "body\n \n", "the text is empty"),
        ("x.csv", "other\na\n", "no column 'body'"),
        ("x.jsonl", '{"body": 3}\n', "is a number .3., not a text"),
        ("x.txt", "", "the text is empty"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: str, says: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=says):
        read_texts([str(tmp_path / name)], text="body")


def test_invalid_sources_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one source"):
        read_texts([])
    with pytest.raises(DataError, match="not found"):
        read_texts([str(tmp_path / "no.txt")])
    with pytest.raises(DataError, match=r"no \.txt file"):
        read_texts([str(tmp_path)])
