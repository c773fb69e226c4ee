"""Files: names in place of texts, tables with other columns than their owner thinks."""

from __future__ import annotations

from pathlib import Path

import pytest

import gatewise as gw
from gatewise.errors import InputError
from tests.cli.conftest import Run, run
from tests.misuse.cases import NAMES, fail_with, of_texts

__all__ = ["run"]  # a fixture

ABSENT = "is the name of a file that does not exist"
FILE_NAMES = (
    "reviews.xlsx",
    "reviews.csv",
    "reviews.pkl",
    "manual.md",
    "model.h5",
    "a.parquet",
    "b.JSONL",
    "c.csv.gz",
    "x.ts",
    "data/reviews",
    "./reviews",
    "../reviews",
    "~/reviews",
    "/no/such/file",
    "C:\\data\\reviews",
    "data\\reviews.sav",
    "s.npz",
    "notes.txt",
    "page.html",
    "archive.zip",
)


@pytest.mark.parametrize("name", FILE_NAMES)
def test_the_name_of_a_file_that_is_not_there(name: str, run: Run) -> None:
    for call in (
        lambda: of_texts().predict(name),
        lambda: of_texts().explain(name),
        lambda: gw.train(name, NAMES),
    ):
        fail_with(call, f"{gw.errors.quote(name)} {ABSENT}", InputError)
    for command in ("predict", "explain"):
        shown = run(command, name)
        assert shown.exit_code == 2
        assert f"{ABSENT}, not a text: give files with -i" in shown.output.replace("\n", " ")


@pytest.mark.parametrize("text", ["10/10", "and/or", "U.S.A.", "3.5", "www.example.org", "e.g.", "Meh.", "good...bad"])
def test_a_text_that_is_no_name_of_a_file(text: str) -> None:
    assert of_texts().predict(text).tolist() == of_texts().predict([text]).tolist()
    assert of_texts().explain(text + " ").prediction


TABLES: dict[str, tuple[str, list[str], str]] = {
    "an id column": ("id,t0,t1,label\n1,2,3,a\n2,3,4,b\n", ["--series"], "the column 'id' would be read as values"),
    "a class column": (
        "t0,t1,class\n1,2,0\n2,3,1\n",
        ["--series"],
        "the column 'class' would be read as values",
    ),
    "a target": ("t0,t1,target\n1,2,0\n2,3,1\n", ["--series"], "name it with --label, or take it out"),
    "text and label": ("text,label\na b,x\nc d,y\n", ["--text", "label"], "'label' is named as text and as label"),
}


@pytest.mark.parametrize("case", TABLES)
def test_tables(case: str, run: Run, tmp_path: Path) -> None:
    content, options, message = TABLES[case]
    (tmp_path / "in.csv").write_text(content)
    for command in (["train", "-o", tmp_path / "m"], ["data"]):
        shown = run(*command, tmp_path / "in.csv", *options)
        assert shown.exit_code == 2, shown.output
        assert message in " ".join(shown.output.split())
