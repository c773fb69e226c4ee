"""`gatewise predict`: texts, lines and tables, from arguments, stdin and files; what an incomplete table leaves."""

import json
import os
import select
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from gatewise.cli.text_lines import open_lines, table_header
from gatewise.data import read_texts
from gatewise.data.row_reader import RowReader, TableColumns
from gatewise.model.model import Model
from gatewise.storage.streams import split_lines
from tests.children import running
from tests.cli.conftest import ROWS, TEXTS, Run, labels, read_csv, read_rows
from tests.cli.test_bad_input import refused


def expected_output(model: Model, texts: list[str]) -> str:
    rows = model.predict_proba(texts)
    close = ["\tundecided" if abs(row[0] - 0.5) <= 0.05 else "" for row in rows]
    names = [model.classes[k] for k in rows.argmax(axis=1)]
    return "".join(f"{name}\t{row.max():.4f}{word}\n" for name, row, word in zip(names, rows, close, strict=True))


def test_texts_as_arguments_and_one_per_line(run: Run, keras_model: Model, keras_folder: Path, tmp_path: Path) -> None:
    expected, path = expected_output(keras_model, TEXTS), tmp_path / "texts.txt"
    assert len({line.split("\t")[1] for line in expected.splitlines()}) > 1
    result = run("predict", "-m", keras_folder, *TEXTS)
    assert (result.exit_code, result.stdout) == (0, expected)
    for end in ("\n", "\r\n"):
        lines = end.join([*TEXTS, "", ""])
        path.write_bytes(lines.encode("utf-8-sig"))
        for file in ("-", path):
            assert run("predict", "-m", keras_folder, "-i", file, input=lines).stdout == expected
    run("predict", "-m", keras_folder, "-i", path, "-o", tmp_path / "out.csv")
    assert [row["text"] for row in read_csv(str(tmp_path / "out.csv"))] == TEXTS


def test_json_is_one_object(run: Run, tokens_model: Model, tokens_folder: Path) -> None:
    result = run("predict", "-m", tokens_folder, *TEXTS, "--json")
    found = json.loads(result.stdout)
    assert result.stdout.isascii()
    assert found["n"] == len(TEXTS)
    probabilities = [[p["probabilities"][name] for name in tokens_model.classes] for p in found["predictions"]]
    np.testing.assert_array_equal(probabilities, tokens_model.predict_proba(TEXTS))
    assert [p["label"] for p in found["predictions"]] == tokens_model.predict(TEXTS).tolist()


def test_control_characters_in_class_names_are_replaced(run: Run, tokens_folder: Path) -> None:
    shown = run("predict", "-m", tokens_folder, *TEXTS).stdout
    assert len(shown.splitlines()) == len(TEXTS)
    assert all(ch.isprintable() or ch in "\t\n" for ch in shown)


FORMATS = ("jsonl", "json", "parquet")


@pytest.mark.parametrize("words", ["-i new.csv", *(f"-m {{model}} --input new.{s}" for s in ("csv", *FORMATS))])
def test_a_table_asks_for_its_column(
    run: Run, table: Path, keras_model: Model, keras_folder: Path, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatewise.model.bundled.FOLDER", keras_folder)
    parquet.write_table(pa.Table.from_pylist(ROWS), "new.parquet")
    Path("new.json").write_text(json.dumps(ROWS))
    Path("new.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    command = ("predict", *words.format(model=keras_folder).split())
    message = refused(run, *command)
    assert "no column 'text'; there are 'id', 'review', 'label'" in message
    assert "parquet" in words or message.endswith("; choose one, for example --text review")
    lines = run(*command, "--text", "review").stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == labels(keras_model, TEXTS * 3)


@pytest.mark.parametrize("name", ["out.csv", "out.tsv", "out.jsonl", "out.csv.gz", "out.jsonl.gz", "out.parquet"])
def test_every_output_has_every_column_in_order(
    run: Run, table: Path, keras_model: Model, keras_folder: Path, name: str
) -> None:
    result = run("predict", "-m", keras_folder, "-i", "new.csv", "--text", "REVIEW", "-o", name)
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"wrote '{name}': 15 rows" in result.stderr
    found = read_rows(".", name)
    assert list(found[0]) == [*ROWS[0], "predicted_label", "probability_negative", "probability_positive"]
    assert [{key: row[key] for key in ROWS[0]} for row in found] == ROWS
    assert [row["predicted_label"] for row in found] == labels(keras_model, TEXTS * 3)
    probabilities = [[float(row[f"probability_{name}"]) for name in keras_model.classes] for row in found]
    np.testing.assert_allclose(probabilities, keras_model.predict_proba(TEXTS * 3), atol=2e-6)
    assert not list(table.parent.glob(".gatewise-*"))


def test_json_values_keep_their_types(run: Run, table: Path, keras_folder: Path) -> None:
    rows = [{"text": "good", "n": 1, "tags": ["a", "b"]}, {"text": "bad", "n": None, "extra": {"x": True}}]
    Path("a.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    run("predict", "-m", keras_folder, "-i", "a.jsonl", "-o", "out.jsonl")
    found = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [{key: row[key] for key in given} for given, row in zip(rows, found, strict=True)] == rows
    refusal = refused(run, "predict", "-m", keras_folder, "-i", "a.jsonl", "-o", "out.csv")
    assert "'a.jsonl':2: 'extra' is not among the columns of the first row: write .jsonl instead" in refusal
    assert not list(table.parent.glob("*out.csv*"))


def test_several_inputs_and_several_text_columns(run: Run, table: Path, keras_model: Model, keras_folder: Path) -> None:
    for name in ("a", "b"):
        Path(f"{name}1.csv").write_text(f"title,body\n{name} good,bad\n", encoding="utf-8")
    run("predict", "-m", keras_folder, "-i", "[ab]1.csv", "--text", "title", "--text", "body", "-o", "out.csv")
    found = read_csv("out.csv")
    assert [row["title"] for row in found] == ["a good", "b good"]
    assert [row["label"] for row in found] == labels(keras_model, ["a good\nbad", "b good\nbad"])


def test_bad_rows(run: Run, table: Path, keras_folder: Path) -> None:
    Path("bad.csv").write_text("text,n\ngood,1\nbad\n,3\nbad,4\n", encoding="utf-8")
    assert "'bad.csv':3: 1 field, but the header has 2" in refused(
        run, "predict", "-m", keras_folder, "-i", "bad.csv", "-o", "o.csv"
    )
    words = ("-i", "bad.csv", "-o", "o.csv", "--skip-bad-rows", "skipped.csv")
    with pytest.warns(UserWarning, match="2 bad rows of 4 skipped"):
        run("predict", "-m", keras_folder, *words)
    assert [row["n"] for row in read_csv("o.csv")] == ["1", "4"]
    assert [row["line"] for row in read_csv("skipped.csv")] == ["3", "4"]
    os.link("skipped.csv", "link.csv")
    for name in ("skipped.csv", "link.csv"):
        again = ("-i", "bad.csv", "-o", "skipped.csv", "--overwrite", "--skip-bad-rows", name)
        assert f"{name}': the list of bad rows is the output" in refused(run, "predict", "-m", keras_folder, *again)
    assert [row["line"] for row in read_csv("skipped.csv")] == ["3", "4"]


def test_columns_in_another_order(run: Run, table: Path, keras_folder: Path) -> None:
    """The header is that of the first row, also where the first batch ends in another file or begins with a bad row."""
    Path("one.csv").write_text("text,n,n\ngood,1,2\n", encoding="utf-8")
    Path("two.csv").write_text("n,n,text\n3,4,bad\n", encoding="utf-8")
    Path("a.jsonl").write_text('{"text": "", "n": 1}\n{"n": 2, "text": "good"}\n', encoding="utf-8")
    assert run("predict", "-m", keras_folder, "-i", "one.csv", "-i", "two.csv", "-o", "out.csv").exit_code == 0
    header, *rows = Path("out.csv").read_text(encoding="utf-8").splitlines()
    assert header.startswith("text,n,n,label,")
    assert [row.split(",")[:3] for row in rows] == [["good", "1", "2"], ["bad", "3", "4"]]
    with pytest.warns(UserWarning, match="1 bad row of 2 skipped"):
        run("predict", "-m", keras_folder, "-i", "a.jsonl", "-o", "json.csv", "--skip-bad-rows", "bad.csv")
    assert [(row["text"], row["n"]) for row in read_csv("json.csv")] == [("good", "2")]


def predicting(folder: Path, **options: Any) -> AbstractContextManager[subprocess.Popen[Any]]:
    """The command on its stdin."""
    command = [sys.executable, "-m", "gatewise", "predict", "-m", str(folder), "-i", "-"]
    return running(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)


def test_stdin_is_answered_line_by_line(keras_folder: Path, keras_model: Model) -> None:
    with predicting(keras_folder, text=True, bufsize=1) as child:
        texts = [f"{text}, {n}" for n, text in enumerate(TEXTS)]  # a comma in each line does not make a table
        for text, label in zip(texts, labels(keras_model, texts), strict=True):
            child.stdin.write(f"{text}\n")
            child.stdin.flush()
            assert select.select([child.stdout], [], [], 60)[0], "no answer"
            assert child.stdout.readline().split("\t")[0] == label
        child.stdin.close()
        assert child.stdout.read() == ""


def test_a_table_on_stdin(run: Run, table: Path, keras_model: Model, keras_folder: Path) -> None:
    for content in (table.read_text(), "\n".join(map(json.dumps, ROWS))):
        lines = run("predict", "-m", keras_folder, "-i", "-", "--text", "review", input=content).stdout.splitlines()
        assert [line.split("\t")[0] for line in lines] == labels(keras_model, TEXTS * 3)
    result = run("predict", "-m", keras_folder, "-i", "-", "--text", "review", "-o", "out.csv", input=table.read_text())
    assert result.exit_code == 0
    assert [row["id"] for row in read_csv("out.csv")] == [row["id"] for row in ROWS]


def test_a_table_on_stdin_is_not_read_as_lines(run: Run, table: Path, keras_model: Model, keras_folder: Path) -> None:
    """Without --text, stdin holds texts: the lines of a table would be predicted, header included."""
    content = table.read_text(encoding="utf-8")
    for words in ((), ("-o", "out.csv"), ("--json",)):
        message = refused(run, "predict", "-m", keras_folder, "-i", "-", *words, input=content)
        assert message.strip() == (
            "gatewise: stdin looks like a table with the 3 fields 'id', 'review', 'label' in its first line: to read "
            "it as a table, name its text column: --text COLUMN; if each line is a text, add --lines"
        )
    assert "add --lines" in refused(run, "predict", "-m", keras_folder, "-i", "-", input='{"text": "good"}\n')
    assert "--text Text;" in refused(run, "predict", "-m", keras_folder, "-i", "-", input="Text,n\n")
    lines = run("predict", "-m", keras_folder, "-i", "-", "--lines", input=content).stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == labels(keras_model, content.splitlines())
    for words in (("-i", "-", "--text", "review"), ("good",), ("-i", "new.csv")):
        assert "--lines is for the lines of stdin" in refused(run, "predict", "-m", keras_folder, *words, "--lines")


def test_a_table_whose_rows_arrive_late_is_refused(keras_folder: Path) -> None:
    """The header alone may be a text, and is answered without waiting; the next line shows that it is none."""
    with predicting(keras_folder, stderr=subprocess.PIPE) as child:
        child.stdin.write(b"review,n\n")
        child.stdin.flush()
        assert select.select([child.stdout], [], [], 60)[0], "no answer"
        _, error = child.communicate(b"good,1\n")
        assert child.returncode == 2
        assert b"looks like a table with the 2 fields 'review', 'n'" in error


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", ""])
def test_all_commands_read_the_same_lines(tmp_path: Path, end: str) -> None:
    content = f"one\u2028and\x0cone\x85\rtwo\r\n three \nfour{end}"
    lines = ["one\u2028and\x0cone\x85", "two", " three ", "four"]
    path = tmp_path / "a.txt"
    path.write_bytes(content.encode())
    with RowReader.open(path, TableColumns(), lines=open_lines) as reader:  # predict, explain, export-page
        assert [row.input for row in reader] == lines
    assert read_texts([str(path)]).texts == lines  # pretrain, train --unlabelled


@pytest.mark.parametrize(
    ("text", "lines"),
    [("", []), ("\n", [""]), ("a\r\r\nb", ["a", "", "b"]), ("a\n\r", ["a", ""]), ("\u2029", ["\u2029"])],
)
def test_the_ends_of_lines(text: str, lines: list[str]) -> None:
    assert split_lines(text) == lines


def test_tables() -> None:
    for begin, header in (
        ("id,review,label\n1,good film,x\n", ["id", "review", "label"]),
        ("t,l\r\nthe film was good,pos\r\n", ["t", "l"]),
        ("text,label\n", ["text", "label"]),
        (",text\n0,good\n", ["", "text"]),
        ("n\ttext", ["n", "text"]),
        ("n;review\n1;a, b\n", ["n", "review"]),
        ('"id","my text"\n1,"two\nlines"\n2,c\n', ["id", "my text"]),
        ("id,n,review\n1,2,good\n3,4", ["id", "n", "review"]),
        ('1,the film was bad\n0,good\n1,"bad, bad"\n', ["1", "the film was bad"]),
    ):
        assert table_header(begin) == header


def test_texts() -> None:
    for begin in (
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
    ):
        assert table_header(begin) == []
