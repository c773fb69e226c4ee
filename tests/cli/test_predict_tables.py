"""`gatewise predict` on files: columns, formats, stdin, and runs that are killed and resumed."""

from __future__ import annotations

import csv
import gzip
import json
import os
import select
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from gatewise.cli import bulk
from gatewise.cli.bulk import BulkPrediction, Progress
from gatewise.data.rows import Columns, RowReader
from gatewise.errors import DataError, InputError
from gatewise.model.model import Model
from tests.cli.conftest import TEXTS, Run
from tests.cli.test_bad_input import refused

ROWS = [{"id": str(n), "review": text, "label": "x,y"} for n, text in enumerate(TEXTS * 3)]


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """new.csv in the working directory."""
    monkeypatch.chdir(tmp_path)
    with open("new.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(ROWS[0]))
        writer.writeheader()
        writer.writerows(ROWS)
    return tmp_path / "new.csv"


def read_csv(path: str) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def labels(model: Model, texts: list[str]) -> list[Any]:
    return [str(label) for label in model.predict(texts)]


@pytest.mark.parametrize("place", ["argument", "option", "bundled"])
def test_a_table_asks_for_its_column(
    run: Run, table: Path, keras_model: Model, keras_folder: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatewise.model.bundled.FOLDER", keras_folder)
    words: tuple[object, ...] = {
        "argument": (keras_folder, "new.csv"),
        "option": (keras_folder, "--file", "new.csv"),
        "bundled": ("new.csv",),
    }[place]
    message = refused(run, "predict", *words).splitlines()[-1]
    assert message == (
        "gatewise: 'new.csv':1: no column 'text'; there are 'id', 'review', 'label'; "
        "choose one, for example --text review"
    )
    lines = run("predict", *words, "--text", "review").stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == labels(keras_model, TEXTS * 3)


@pytest.mark.parametrize("suffix", ["jsonl", "json", "parquet"])
def test_other_tables_ask_for_their_column(run: Run, table: Path, keras_folder: Path, suffix: str) -> None:
    if suffix == "parquet":
        parquet.write_table(pa.Table.from_pylist(ROWS), "new.parquet")
    else:
        Path(f"new.{suffix}").write_text(json.dumps(ROWS) if suffix == "json" else "\n".join(map(json.dumps, ROWS)))
    assert "no column 'text'; there are 'id', 'review'" in refused(run, "predict", keras_folder, f"new.{suffix}")
    assert len(run("predict", keras_folder, f"new.{suffix}", "--text", "review").stdout.splitlines()) == len(ROWS)


def test_a_rating_is_a_text(run: Run, keras_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatewise.model.bundled.FOLDER", keras_folder)
    assert run("predict", "10/10").stdout == run("predict", "--bundled", "10/10").stdout
    assert run("predict", "9,5/10!").exit_code == 0


def test_files_and_texts_are_not_mixed(run: Run, table: Path, keras_folder: Path) -> None:
    assert "'new.csv' is a file and 'good' a text" in refused(run, "predict", keras_folder, "new.csv", "good")
    Path("films").mkdir()
    assert "'films' is a folder, neither a text nor a file" in refused(run, "predict", keras_folder, "films")
    assert "'no.csv': not found" in refused(run, "predict", keras_folder, "no.csv")
    assert "are for files, and these are texts" in refused(run, "predict", keras_folder, "good", "-o", "out.csv")


@pytest.mark.parametrize("name", ["out.csv", "out.tsv", "out.jsonl", "out.csv.gz", "out.jsonl.gz", "out.parquet"])
def test_every_output_has_every_column_in_order(
    run: Run, table: Path, keras_model: Model, keras_folder: Path, name: str
) -> None:
    result = run("predict", keras_folder, "new.csv", "--text", "REVIEW", "-o", name)
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"wrote '{name}': 15 rows" in result.stderr
    if name.endswith(".parquet"):
        found: list[dict[str, Any]] = parquet.read_table(name).to_pylist()
    else:
        raw = Path(name).read_bytes()
        text = (gzip.decompress(raw) if name.endswith(".gz") else raw).decode()
        delimiter = "\t" if ".tsv" in name else ","
        found = (
            [json.loads(line) for line in text.splitlines()]
            if "jsonl" in name
            else list(csv.DictReader(text.splitlines(), delimiter=delimiter))
        )
    assert list(found[0]) == [*ROWS[0], "predicted_label", "probability_negative", "probability_positive"]
    assert [{key: row[key] for key in ROWS[0]} for row in found] == ROWS
    assert [row["predicted_label"] for row in found] == labels(keras_model, TEXTS * 3)
    probabilities = [[float(row[f"probability_{name}"]) for name in keras_model.classes] for row in found]
    np.testing.assert_allclose(probabilities, keras_model.predict_proba(TEXTS * 3), atol=2e-6)
    assert not list(table.parent.glob("*.part*"))


def test_the_top_probability_alone(run: Run, table: Path, keras_model: Model, keras_folder: Path) -> None:
    run("predict", keras_folder, "new.csv", "--text", "review", "-o", "out.csv", "--probabilities", "top")
    found = read_csv("out.csv")
    assert list(found[0]) == [*ROWS[0], "predicted_label", "probability"]
    top = keras_model.predict_proba(TEXTS * 3).max(axis=1)
    np.testing.assert_allclose([float(row["probability"]) for row in found], top, atol=2e-6)
    words = ("new.csv", "--text", "review", "--probabilities", "some")
    assert "top or all, not 'some'" in refused(run, "predict", keras_folder, *words)


def test_json_values_keep_their_types(run: Run, table: Path, keras_folder: Path) -> None:
    rows = [{"text": "good", "n": 1, "tags": ["a", "b"]}, {"text": "bad", "n": None, "extra": {"x": True}}]
    Path("a.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    run("predict", keras_folder, "a.jsonl", "-o", "out.jsonl")
    found = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [{key: row[key] for key in given} for given, row in zip(rows, found, strict=True)] == rows
    refusal = refused(run, "predict", keras_folder, "a.jsonl", "-o", "out.csv")
    assert "'a.jsonl':2: 'extra' is not among the columns of the first row: write .jsonl instead" in refusal


def test_several_inputs_and_several_text_columns(run: Run, table: Path, keras_model: Model, keras_folder: Path) -> None:
    for name in ("a", "b"):
        Path(f"{name}1.csv").write_text(f"title,body\n{name} good,bad\n", encoding="utf-8")
    run("predict", keras_folder, "[ab]1.csv", "--text", "title", "--text", "body", "-o", "out.csv")
    found = read_csv("out.csv")
    assert [row["title"] for row in found] == ["a good", "b good"]
    assert [row["label"] for row in found] == labels(keras_model, ["a good\nbad", "b good\nbad"])


def test_text_files(run: Run, table: Path, keras_model: Model, keras_folder: Path) -> None:
    Path("lines.txt").write_text("\n".join(TEXTS) + "\n\n", encoding="utf-8-sig")
    run("predict", keras_folder, "lines.txt", "-o", "out.csv")
    assert [row["text"] for row in read_csv("out.csv")] == TEXTS
    assert [row["label"] for row in read_csv("out.csv")] == labels(keras_model, TEXTS)


def test_bad_rows(run: Run, table: Path, keras_folder: Path) -> None:
    Path("bad.csv").write_text("text,n\ngood,1\nbad\n,3\nbad,4\n", encoding="utf-8")
    assert "'bad.csv':3: 1 field, but the header has 2" in refused(
        run, "predict", keras_folder, "bad.csv", "-o", "o.csv"
    )
    words = ("bad.csv", "-o", "o.csv", "--skip-bad-rows", "skipped.csv")
    with pytest.warns(UserWarning, match="2 bad rows of 4 skipped"):
        run("predict", keras_folder, *words)
    assert [row["n"] for row in read_csv("o.csv")] == ["1", "4"]
    assert [row["line"] for row in read_csv("skipped.csv")] == ["3", "4"]


@pytest.mark.parametrize("name", ["out.csv", "out.csv.part", "out.csv.part.json", "link.csv"])
def test_the_list_of_bad_rows_is_not_the_output(run: Run, table: Path, keras_folder: Path, name: str) -> None:
    Path("bad.csv").write_text("text,n\ngood,1\nbad\n", encoding="utf-8")
    Path("out.csv").write_text("file,line,reason\n", encoding="utf-8")
    os.link("out.csv", "link.csv")
    words = ("predict", keras_folder, "bad.csv", "-o", "out.csv", "--overwrite", "--skip-bad-rows", name)
    assert f"{name}': the list of bad rows is the output" in refused(run, *words)
    assert Path("out.csv").read_text(encoding="utf-8") == "file,line,reason\n"


def test_an_error_in_the_first_batch_leaves_no_part(run: Run, table: Path, keras_folder: Path) -> None:
    words = ("predict", keras_folder, "a.jsonl", "-o", "out.csv")
    Path("a.jsonl").write_text('{"text": "good"}\n{"text": "bad", "n": 1}\n', encoding="utf-8")
    assert "'a.jsonl':2: 'n' is not among the columns of the first row" in refused(run, *words)
    assert not list(table.parent.glob("out.csv*"))
    Path("a.jsonl").write_text('{"text": "good"}\n{"text": "bad"}\n', encoding="utf-8")
    assert run(*words).exit_code == 0
    assert len(read_csv("out.csv")) == 2


def test_an_error_after_a_resume_keeps_what_was_complete(
    table: Path, keras_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = big_table(Path("big.csv"), 1_000)
    interrupted(keras_model, "out.csv", monkeypatch)

    def resume() -> int:
        with RowReader.open("big.csv", Columns(), fail_fast=True) as reader:
            return BulkPrediction(keras_model, reader, Path("out.csv"), resume=True, identity={"model": "m"}).run()

    with monkeypatch.context() as context:
        context.setattr("gatewise.data.table_writer.TableWriter.write", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            resume()
    assert resume() == len(texts)
    assert [row["text"] for row in read_csv("out.csv")] == texts


def test_columns_in_another_order(run: Run, table: Path, keras_folder: Path) -> None:
    """The header is that of the first row, also where the first batch ends in another file or begins with a bad row."""
    Path("one.csv").write_text("text,n,n\ngood,1,2\n", encoding="utf-8")
    Path("two.csv").write_text("n,n,text\n3,4,bad\n", encoding="utf-8")
    Path("a.jsonl").write_text('{"text": "", "n": 1}\n{"n": 2, "text": "good"}\n', encoding="utf-8")
    assert run("predict", keras_folder, "one.csv", "two.csv", "-o", "out.csv").exit_code == 0
    header, *rows = Path("out.csv").read_text(encoding="utf-8").splitlines()
    assert header.startswith("text,n,n,label,")
    assert [row.split(",")[:3] for row in rows] == [["good", "1", "2"], ["bad", "3", "4"]]
    with pytest.warns(UserWarning, match="1 bad row of 2 skipped"):
        run("predict", keras_folder, "a.jsonl", "-o", "json.csv", "--skip-bad-rows", "bad.csv")
    assert [(row["text"], row["n"]) for row in read_csv("json.csv")] == [("good", "2")]


def test_the_types_are_those_of_the_first_table(run: Run, table: Path, keras_folder: Path) -> None:
    for name, value in (("whole", 4), ("half", 4.5)):
        parquet.write_table(pa.table({"text": ["good"], "n": [value]}), f"{name}.parquet")
    refusal = refused(run, "predict", keras_folder, "whole.parquet", "half.parquet", "-o", "out.parquet")
    assert "column 'n' has values of another type than in the first rows (4.5 is not int64)" in refusal
    assert run("predict", keras_folder, "half.parquet", "whole.parquet", "-o", "out.parquet").exit_code == 0
    assert parquet.read_table("out.parquet")["n"].to_pylist() == [4.5, 4.0]


def test_nothing_is_overwritten(run: Run, table: Path, keras_folder: Path) -> None:
    words = ("predict", keras_folder, "new.csv", "--text", "review", "-o")
    Path("out.csv").write_text("mine")
    assert "'out.csv': exists already; --overwrite replaces it" in refused(run, *words, "out.csv")
    assert "exists already" in refused(run, *words, "out.csv", "--resume")
    assert Path("out.csv").read_text() == "mine"
    assert "the output is the input" in refused(run, *words, "new.csv", "--overwrite")
    assert "either --overwrite or --resume" in refused(run, *words, "out.csv", "--overwrite", "--resume")
    assert run(*words, "out.csv", "--overwrite").exit_code == 0
    assert len(read_csv("out.csv")) == 15
    Path("other.csv.part").write_text("mine")
    assert "an unfinished run; --resume continues it" in refused(run, *words, "other.csv")
    assert "must end in one of .csv" in refused(run, *words, "out.xlsx")
    assert "'nowhere': not a folder" in refused(run, *words, "nowhere/out.csv")


def big_table(path: Path, n: int = 3_000) -> list[str]:
    texts = [f"{TEXTS[k % 5]} {k}" for k in range(n)]
    path.write_text("n,text\n" + "".join(f"{k},{text}\n" for k, text in enumerate(texts)), encoding="utf-8")
    return texts


KILLED_IN_FOURTH_BATCH = """
import os, signal, sys
import gatewise.cli, gatewise.cli.bulk as bulk
bulk._FLUSH_SECONDS = 0
from gatewise.model.model import Model
logits, n = Model.logits, 0
def killed(self, inputs):
    global n
    n += 1
    if n == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return logits(self, inputs)
Model.logits = killed
sys.argv = ["gatewise", "predict", *sys.argv[1:]]
gatewise.cli.main()
"""


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl.gz", "out.parquet"])
def test_a_killed_run_is_resumed(run: Run, table: Path, keras_folder: Path, name: str) -> None:
    big_table(Path("big.csv"))
    assert run("predict", keras_folder, "big.csv", "-o", f"whole-{name}").exit_code == 0
    words = [str(keras_folder), "big.csv", "-o", name]
    child = subprocess.run([sys.executable, "-c", KILLED_IN_FOURTH_BATCH, *words], check=False)
    assert child.returncode == -signal.SIGKILL
    assert not Path(name).exists()
    assert 512 <= json.loads(Path(f"{name}.part.json").read_text())["rows"] < 3_000
    with open(f"{name}.part", "ab") as file:
        file.write(b"half a row")  # of a batch that the state does not name
    assert "--resume continues it" in refused(run, "predict", keras_folder, "big.csv", "-o", name)
    assert run("predict", keras_folder, "big.csv", "-o", name, "--resume").exit_code == 0
    if name.endswith("parquet"):
        found, whole = (parquet.read_table(one).to_pylist() for one in (name, f"whole-{name}"))
        assert [row["n"] for row in found] == [row["n"] for row in whole]
        assert [row["label"] for row in found] == [row["label"] for row in whole]
    else:
        found, whole = (Path(one).read_bytes() for one in (name, f"whole-{name}"))
        assert (gzip.decompress(found) == gzip.decompress(whole)) if name.endswith("gz") else (found == whole)
    assert not list(table.parent.glob("*.part*"))


def interrupted(model: Model, out: str, monkeypatch: pytest.MonkeyPatch, rows: int = 600) -> None:
    """A run that stops after some rows, as if it were killed."""
    monkeypatch.setattr(bulk, "_FLUSH_SECONDS", 0)

    class Stopped(Exception):
        pass

    def show(self: Progress, n: int, done: float | None) -> None:
        if n > rows:
            raise Stopped

    with monkeypatch.context() as context, RowReader.open("big.csv", Columns(), fail_fast=True) as reader:
        context.setattr(Progress, "show", show)
        prediction = BulkPrediction(model, reader, Path(out), identity={"model": "m"})
        with pytest.raises(Stopped):
            prediction.run()


def test_an_error_keeps_what_is_complete(run: Run, table: Path, keras_model: Model, keras_folder: Path) -> None:
    texts = big_table(Path("big.csv"), 1_000)
    with open("big.csv", "a", encoding="utf-8") as file:
        file.write("half a row\n1001,good\n")
    result = run("predict", keras_folder, "big.csv", "-o", "out.csv")
    assert (result.exit_code, Path("out.csv").exists()) == (2, False)
    hint, error = result.stderr.splitlines()
    assert hint == "gatewise: 768 rows are in 'out.csv.part'; --resume continues there"
    assert error == "gatewise: 'big.csv':1002: 1 field, but the header has 2"
    with pytest.warns(UserWarning, match="1 bad row of 1,002 skipped"):
        run("predict", keras_folder, "big.csv", "-o", "out.csv", "--resume", "--skip-bad-rows", "bad.csv")
    found = read_csv("out.csv")
    assert [row["text"] for row in found] == [*texts, "good"]
    assert [row["label"] for row in found] == labels(keras_model, [*texts, "good"])


def test_a_changed_input_or_model_is_not_resumed(
    table: Path, keras_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    big_table(Path("big.csv"))
    interrupted(keras_model, "out.csv", monkeypatch)

    def resume(model: str = "m", every: bool = True, text: str = "text") -> int:
        with RowReader.open("big.csv", Columns((text,)), lines=True, fail_fast=True) as reader:
            return BulkPrediction(
                keras_model, reader, Path("out.csv"), every, resume=True, identity={"model": model}
            ).run()

    with pytest.raises(InputError, match="the model is another one"):
        resume(model="other")
    with pytest.raises(InputError, match="probabilities is different"):
        resume(every=False)
    with pytest.raises(InputError, match="text is different"):
        resume(text="n")
    whole = Path("big.csv").read_text()
    Path("big.csv").write_text(whole.replace("the film", "the filx", 1))
    with pytest.raises(InputError, match="the input has changed; --overwrite starts again"):
        resume()
    Path("big.csv").write_text(whole)
    assert resume() == 3_000
    assert [row["n"] for row in read_csv("out.csv")] == [str(n) for n in range(3_000)]


@pytest.mark.parametrize("suffix", ["csv", "csv.gz"])
def test_a_change_far_inside_the_input_is_seen(
    table: Path, keras_model: Model, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of equal size and time, behind the first megabyte, before the last one."""
    rows = [f"{n},{TEXTS[n % 5]},{'notes ' * 900}\n" for n in range(1_000)]
    raw = ("n,text,notes\n" + "".join(rows)).encode()

    def write(content: bytes) -> None:
        Path(f"big.{suffix}").write_bytes(gzip.compress(content, 0, mtime=0) if suffix.endswith("gz") else content)

    write(raw)
    before = os.stat(f"big.{suffix}")
    with monkeypatch.context() as context:

        def stop(*_: object) -> None:
            raise KeyboardInterrupt

        context.setattr(Progress, "show", stop)
        with RowReader.open(f"big.{suffix}", Columns(), fail_fast=True) as reader, pytest.raises(KeyboardInterrupt):
            BulkPrediction(keras_model, reader, Path("out.csv")).run()
    middle = len(raw) // 2
    write(raw[:middle] + raw[middle:].replace(b"film", b"filn", 1))
    os.utime(f"big.{suffix}", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert os.stat(f"big.{suffix}").st_size == before.st_size

    def resume() -> int:
        with RowReader.open(f"big.{suffix}", Columns(), fail_fast=True) as reader:
            return BulkPrediction(keras_model, reader, Path("out.csv"), resume=True).run()

    with pytest.raises(InputError, match=r"'out.csv.part': cannot be resumed: the input has changed; --overwrite"):
        resume()
    write(raw)
    assert resume() == 1_000


def test_the_state_of_a_replaced_run_is_not_resumed(
    table: Path, keras_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = big_table(Path("big.csv"))
    interrupted(keras_model, "out.csv", monkeypatch)
    state = Path("out.csv.part.json").read_bytes()

    def predict(**options: bool) -> int:
        with RowReader.open("big.csv", Columns(), fail_fast=True) as reader:
            return BulkPrediction(keras_model, reader, Path("out.csv"), identity={"model": "m"}, **options).run()

    class Killed(Exception):
        pass

    def write(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as context:
        context.setattr("gatewise.data.table_writer.TableWriter.write", write)
        context.setattr("gatewise.data.table_writer.TableWriter.discard", lambda _: None)  # a kill removes nothing
        with pytest.raises(Killed):
            predict(overwrite=True)
    assert not Path("out.csv.part.json").exists()
    Path("out.csv.part.json").write_bytes(state)  # longer than the part
    with pytest.raises(DataError, match=r"'out\.csv\.part': damaged, it has lost rows"):
        predict(resume=True)
    Path("out.csv.part.json").unlink()
    assert predict(resume=True) == len(texts)
    assert [row["text"] for row in read_csv("out.csv")] == texts


def test_a_resumed_run_keeps_its_columns(table: Path, keras_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"text": f"good film {n}"} | ({"label": "x"} if n == 768 else {}) for n in range(1_000)]
    Path("big.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with (
        RowReader.open("big.jsonl", Columns(), fail_fast=True) as reader,
        pytest.raises(DataError, match=r"'big\.jsonl':769"),
    ):
        BulkPrediction(keras_model, reader, Path("out.jsonl")).run()
    with (
        RowReader.open("big.jsonl", Columns(), fail_fast=True) as reader,
        pytest.raises(DataError, match=r"'big\.jsonl':769"),
    ):
        BulkPrediction(keras_model, reader, Path("out.jsonl"), resume=True).run()


def test_two_processes_do_not_write_one_file(table: Path, keras_model: Model) -> None:
    big_table(Path("big.csv"), 300)
    with RowReader.open("big.csv", Columns()) as one, RowReader.open("big.csv", Columns()) as two:
        first, second = (BulkPrediction(keras_model, reader, Path("out.csv"), overwrite=True) for reader in (one, two))
        row = next(iter(one))
        next(iter(two))
        _, writer = first._open(row, {})
        with pytest.raises(InputError, match="another process writes it"):
            second._open(row, {})
        writer.close()


def test_stdin_is_answered_line_by_line(keras_folder: Path, keras_model: Model) -> None:
    command = [sys.executable, "-m", "gatewise", "predict", str(keras_folder), "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as child:
        assert child.stdin is not None
        assert child.stdout is not None
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
        lines = run("predict", keras_folder, "-", "--text", "review", input=content).stdout.splitlines()
        assert [line.split("\t")[0] for line in lines] == labels(keras_model, TEXTS * 3)
    result = run("predict", keras_folder, "-", "--text", "review", "-o", "out.csv", input=table.read_text())
    assert result.exit_code == 0
    assert [row["id"] for row in read_csv("out.csv")] == [row["id"] for row in ROWS]


def test_a_table_on_stdin_is_not_read_as_lines(run: Run, table: Path, keras_model: Model, keras_folder: Path) -> None:
    """Without --text, stdin holds texts: the lines of a table would be predicted, header included."""
    content = table.read_text(encoding="utf-8")
    for words in ((), ("-o", "out.csv"), ("--json",)):
        message = refused(run, "predict", keras_folder, "-", *words, input=content)
        assert message.strip() == (
            "gatewise: stdin looks like a table with the 3 fields 'id', 'review', 'label' in its first line: to read "
            "it as a table, name its text column: --text COLUMN; if each line is a text, add --lines"
        )
    assert "add --lines" in refused(run, "predict", keras_folder, "-", input='{"text": "good"}\n')
    assert "--text Text;" in refused(run, "predict", keras_folder, "-", input="Text,n\n")
    lines = run("predict", keras_folder, "-", "--lines", input=content).stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == labels(keras_model, content.splitlines())
    for words in (("-", "--text", "review"), ("good",), ("new.csv",)):
        assert "--lines is for the lines of stdin" in refused(run, "predict", keras_folder, *words, "--lines")


def test_a_table_whose_rows_arrive_late_is_refused(keras_folder: Path) -> None:
    """The header alone may be a text, and is answered without waiting; the next line shows that it is none."""
    command = [sys.executable, "-m", "gatewise", "predict", str(keras_folder), "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(b"review,n\n")
        child.stdin.flush()
        assert select.select([child.stdout], [], [], 60)[0], "no answer"
        _, error = child.communicate(b"good,1\n", timeout=60)
        assert child.returncode == 2
        assert b"looks like a table with the 2 fields 'review', 'n'" in error


def test_progress_shows_an_eta(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    progress = Progress(0, time.monotonic() - 10)
    progress.show(1_000, 0.25)
    progress._shown = 0.0
    progress._began = time.monotonic() - 20
    progress.show(2_000, 0.5)
    progress.clear()
    assert "2,000 rows  100 rows/s  50%  ETA 0:40" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl.gz"])
def test_one_batch_is_in_memory(table: Path, keras_model: Model, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """12 MB of input, most of it beside the text, take less than 6 MB of Python objects, also between two states."""
    monkeypatch.setattr(bulk, "_FLUSH_SECONDS", 1e9)
    notes = "notes " * 400
    with open("big.csv", "w", encoding="utf-8") as file:
        file.write("text,notes\n")
        file.writelines(f"{TEXTS[n % 5]},{notes}\n" for n in range(5_000))
    tracemalloc.start()
    with RowReader.open("big.csv", Columns(), fail_fast=True) as reader:
        assert BulkPrediction(keras_model, reader, Path(name)).run() == 5_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6e6
