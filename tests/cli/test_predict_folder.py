"""`gatewise predict -o FOLDER/`: formats, parts, resumed runs and what is refused; with Ray, where a worker dies."""

import csv
import errno
import os
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet

from gatewise.cli.text_lines import open_lines
from gatewise.data.row_reader import RowReader, TableColumns
from gatewise.model.model import Model
from gatewise.scorer import Scorer
from gatewise.target import ClassificationTarget
from tests.cli.conftest import TEXTS, Run, read_rows
from tests.cli.test_bad_input import refused

SIZES = {"a": 700, "b": 130, "c": 1}
ROWS = [
    {"n": f"{name}{n}", "review": f"{TEXTS[n % 5]} {n}", "notes": "x,y\nz"}
    for name, size in SIZES.items()
    for n in range(size)
]


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """in/a.csv, in/b.csv and in/c.csv with the rows, in the working directory."""
    monkeypatch.chdir(tmp_path)
    write_inputs(tmp_path / "in", "csv")
    return tmp_path / "in"


def write_inputs(folder: Path, suffix: str) -> None:
    folder.mkdir(exist_ok=True)
    for name in SIZES:
        frame, path = pd.DataFrame([row for row in ROWS if row["n"].startswith(name)]), folder / f"{name}.{suffix}"
        if suffix == "parquet":
            frame.to_parquet(path)
        elif suffix == "jsonl":
            frame.to_json(path, orient="records", lines=True)
        else:
            frame.to_csv(path, index=False)


def files(suffix: str = "csv") -> list[str]:
    return [word for name in SIZES for word in ("-i", f"in/{name}.{suffix}")]


def command(folder: Path, *more: object, suffix: str = "csv") -> tuple[object, ...]:
    return ("predict", "-m", folder, *files(suffix), "--text", "review", "-o", "out/", "--rows-per-file", 256, *more)


@pytest.mark.parametrize(
    ("suffix", "output_format"),
    [("csv", ""), ("jsonl", ""), ("parquet", ""), ("csv", "parquet"), ("jsonl", "csv"), ("parquet", "jsonl.gz")],
)
def test_rows_and_columns_of_every_format(
    run: Run, inputs: Path, keras_model: Model, keras_folder: Path, suffix: str, output_format: str
) -> None:
    write_inputs(inputs, suffix)
    more = ("--format", output_format) if output_format else ()
    result = run(*command(keras_folder, *more, suffix=suffix))
    assert (result.exit_code, result.stdout) == (0, ""), result.stderr
    assert "wrote 'out/': 831 rows in 5 files" in result.stderr
    names = [f"part-{file:05d}-{block:05d}" for file, block in [(0, 0), (0, 1), (0, 2), (1, 0), (2, 0)]]
    assert sorted(os.listdir("out")) == ["_gatewise.json", *(f"{name}.{output_format or suffix}" for name in names)]
    found = read_rows("out", "part-*")
    assert [{name: row[name] for name in ROWS[0]} for row in found] == ROWS
    assert [row["label"] for row in found] == keras_model.predict([row["review"] for row in ROWS]).tolist()
    assert list(found[0]) == [*ROWS[0], "label", "probability_negative", "probability_positive"]


def test_columns_to_keep(run: Run, inputs: Path, keras_model: Model, keras_folder: Path) -> None:
    top = keras_model.predict_proba([row["review"] for row in ROWS]).max(axis=1)
    for out in ("one.csv", "out/"):
        run(*command(keras_folder)[:11], "-o", out, "--keep", "notes", "--keep", "N", "--probabilities", "top")
        found = read_rows(*(("out", "part-*") if out == "out/" else (".", out)))
        assert list(found[0]) == ["notes", "n", "label", "probability"]
        assert [row["n"] for row in found] == [row["n"] for row in ROWS]
        np.testing.assert_allclose([float(row["probability"]) for row in found], top, atol=2e-6)
    assert "no column 'm'; there are 'n'" in refused(run, *command(keras_folder)[:11], "-o", "x.csv", "--keep", "m")


def test_parts_are_the_whole(run: Run, inputs: Path, keras_folder: Path) -> None:
    assert run(*command(keras_folder)).exit_code == 0
    whole = {path.name: path.read_bytes() for path in Path("out").glob("part-*")}
    os.rename("out", "whole")
    counts = []
    for part in range(1, 5):
        result = run(*command(keras_folder, "--part", f"{part}/4"))
        assert result.exit_code == 0, result.stderr
        counts.append(len(list(Path("out").glob("part-*"))))
        Path("out/.gatewise-0123456789abcdef.tmp").touch()  # as a process that is killed leaves it
    assert counts == [1, 3, 5, 5]  # blocks 0; 1, 0; 2, 0 of the three files; none
    assert run(*command(keras_folder)).exit_code == 0
    assert not list(Path("out").glob(".gatewise-*"))
    assert {path.name: path.read_bytes() for path in Path("out").glob("part-*")} == whole
    Path("out/part-00000-00002.csv").unlink()
    result = run(*command(keras_folder, "--part", "1/1"))  # another number of parts
    assert "wrote 'out/': 188 rows in 1 file; 4 files were there" in result.stderr
    assert {path.name: path.read_bytes() for path in Path("out").glob("part-*")} == whole


def test_a_file_system_without_hard_links(
    run: Run, inputs: Path, keras_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused_link(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")  # as vfat does

    assert run(*command(keras_folder)).exit_code == 0
    usual = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    monkeypatch.setattr(os, "link", refused_link)
    for renames in (True, False):
        if not renames:  # and renameat2 has no flags
            monkeypatch.setattr("gatewise.system.files._renameat2", lambda *_: -1)
        shutil.rmtree("out")
        for part in ("2/2", "1/2"):
            result = run(*command(keras_folder, "--part", part))
            assert result.exit_code == 0, result.stderr
        assert {path.name: path.read_bytes() for path in Path("out").iterdir()} == usual


class ChangedInput:
    """Changes the file `path` when the model predicts batch `number`, with the same size, a replacement or an end that
    is cut off.
    """

    def __init__(self, path: Path, number: int, how: str) -> None:
        self.path, self.left, self.how = path, number, how

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have the predictions of a batch, when they become columns, change the file."""
        columns = ClassificationTarget.columns

        def changed(target: ClassificationTarget, logits: Any, **options: Any) -> Any:
            if len(logits):  # not for the names of the columns
                self.count()
            return columns(target, logits, **options)

        monkeypatch.setattr(ClassificationTarget, "columns", changed)

    def count(self) -> None:
        self.left -= 1
        if self.left == 0:
            raw = self.path.read_bytes()
            changed = raw.replace(b"film", b"bilm")
            assert len(changed) == len(raw) != 0
            if self.how == "replaced":
                new = self.path.with_name("new")
                new.write_bytes(raw)
                shutil.copystat(self.path, new)
                new.replace(self.path)
            else:
                self.path.write_bytes(changed if self.how == "overwritten" else raw[: len(raw) // 2])


@pytest.mark.parametrize("how", ["overwritten", "replaced", "cut"])
@pytest.mark.parametrize(("name", "batch"), [("a", 1), ("a", 3), ("b", 2), ("a", 5)])
def test_an_input_that_changes_during_the_run(
    run: Run, inputs: Path, keras_folder: Path, monkeypatch: pytest.MonkeyPatch, how: str, name: str, batch: int
) -> None:
    """Batch 1 to 3 are of a.csv, 4 of b.csv, 5 of c.csv; the part of the batch and all after it are not written."""
    assert run(*command(keras_folder)).exit_code == 0
    usual = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    change = ChangedInput(inputs / f"{name}.csv", batch, how)
    change.patch(monkeypatch)
    shutil.rmtree("out")
    message = refused(run, *command(keras_folder))
    assert f"'in/{name}.csv': has changed since the command began: " in message
    assert message.endswith("; --overwrite starts again")
    assert "continues" not in message
    parts = {path.name: path.read_bytes() for path in Path("out").glob("part-*")}
    read_before = {("a", 1): 0, ("a", 3): 2, ("b", 2): 3, ("a", 5): 5}[name, batch]
    assert parts == dict(sorted((name, raw) for name, raw in usual.items() if name[0] == "p")[:read_before])


def test_an_input_that_changes_while_one_table_is_written(
    run: Run, inputs: Path, keras_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ChangedInput(inputs / "b.csv", 4, "overwritten").patch(monkeypatch)
    message = refused(run, *command(keras_folder)[:11], "-o", "x.csv")
    assert "'in/b.csv': has changed since the command began: nothing was written; run the command again" in message
    assert sorted(os.listdir()) == ["in"]


def test_rows_of_other_parts_are_not_parsed(inputs: Path, keras_folder: Path) -> None:
    write_inputs(inputs, "jsonl")
    Path("lines.txt").write_text("\n\n".join(TEXTS), encoding="utf-8")
    paths = ["in/a.csv", "in/a.jsonl", "lines.txt"]
    with RowReader.open(paths[:2], TableColumns(("review",))) as reader:
        reader.chosen = lambda file, row: (file, row) in {(0, 699), (1, 0), (1, 4)}
        assert [row.values["n"] for row in reader] == ["a699", "a0", "a4"]
    with RowReader.open(paths[2:], TableColumns(), lines=open_lines) as reader:
        reader.chosen = lambda file, row: row in (2, 4)
        assert [row.input for row in reader] == TEXTS[1:3]
        assert reader.n_bad == 0


def test_another_run_is_not_continued(run: Run, inputs: Path, keras_folder: Path, tokens_folder: Path) -> None:
    assert run(*command(keras_folder)).exit_code == 0
    Path("out/part-00000-00001.csv").unlink()
    left = sorted(os.listdir("out"))
    for words, message in (
        (command(tokens_folder), "the model is another one"),
        (command(keras_folder, "--probabilities", "top"), "probabilities is different"),
        (command(keras_folder, "--keep", "n"), "keep is different"),
        (command(keras_folder, "--format", "jsonl"), "format is different"),
        (command(keras_folder, "--rows-per-file", "100"), "rows-per-file is different"),
        (("predict", "-m", keras_folder, "-i", "in/a.csv", *command(keras_folder)[9:]), "the input has changed"),
    ):
        assert f"'out': cannot be continued: {message}" in refused(run, *words)
        assert sorted(os.listdir("out")) == left
    Path("in/b.csv").write_text(Path("in/b.csv").read_text().replace("film", "filx", 1))
    assert "the input has changed" in refused(run, *command(keras_folder))
    result = run(*command(tokens_folder, "--overwrite", "--format", "jsonl"))
    assert result.exit_code == 0
    assert {path.suffix for path in Path("out").glob("part-*")} == {".jsonl"}
    assert [row["n"] for row in read_rows("out", "part-*")] == [row["n"] for row in ROWS]


def test_an_error_leaves_the_folder_as_it_was(run: Run, inputs: Path, keras_folder: Path) -> None:
    words = command(keras_folder)
    assert "no column 'text'" in refused(run, *words[:9], *words[11:])
    assert not Path("out").exists()
    assert run(*words).exit_code == 0
    before = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    assert "no column 'text'" in refused(run, *words[:9], *words[11:], "--overwrite")
    assert {path.name: path.read_bytes() for path in Path("out").iterdir()} == before
    Path("mine").mkdir()
    Path("mine/file").write_text("x")
    message = refused(run, *words[:11], "-o", "mine", "--overwrite")
    assert "'mine': contains 'file', and is not an output of gatewise predict" in message
    assert os.listdir("mine") == ["file"]
    stdin = refused(run, *words[:3], "-i", "-", *words[9:], input="review\nx\n")
    assert "a folder is for the rows of files" in stdin


def test_bad_rows(run: Run, inputs: Path, keras_folder: Path) -> None:
    lines = [f"{TEXTS[n % 5]},{n}" for n in range(600)]
    lines[10], lines[300], lines[520] = ",10", "one field", ",520"
    Path("in/a.csv").write_text("text,n\n" + "\n".join(lines) + "\n")
    words = ("predict", "-m", keras_folder, "-i", "in/a.csv", "-o", "out/", "--rows-per-file", 100)
    result = run(*words)
    assert result.exit_code == 2
    assert result.stderr.splitlines() == ["gatewise: 'in/a.csv':12: the text is empty"]
    inside = refused(run, *words, "--skip-bad-rows", "out/part-00000-00000.csv")
    assert inside.endswith("part-00000-00000.csv': the list of bad rows is in the output folder")
    assert not Path("out").exists()
    skip = ("--skip-bad-rows", "bad.csv")
    with pytest.warns(UserWarning, match="3 bad rows of 600 skipped"):
        assert run(*words, *skip).exit_code == 0
    Path("out/part-00000-00003.csv").unlink()
    with pytest.warns(UserWarning, match="3 bad rows of 600 skipped"):
        result = run(*words, *skip)
    assert "99 rows in 1 file; 5 files were there" in result.stderr
    assert [row["n"] for row in read_rows("out", "part-*")] == [str(n) for n in range(600) if n not in (10, 300, 520)]
    with open("bad.csv", encoding="utf-8") as file:
        assert [(row["file"], row["line"]) for row in csv.DictReader(file)] == [
            ("in/a.csv", str(line)) for line in (12, 302, 522)
        ]
    with pytest.warns(UserWarning, match="2 bad rows of 200 skipped"):
        run(*words[:5], "-o", "parts/", "--rows-per-file", 100, *skip, "--part", "1/3")


def test_series(run: Run, inputs: Path, series_model: Model, series_folder: Path, series_file: Path) -> None:
    words = ("predict", "-m", series_folder, "-i", series_file, "-o", "out/", "--rows-per-file", 2)
    for more in (("--part", "2/2"), ("--part", "1/2"), ()):
        assert run(*words, *more).exit_code == 0
    assert [len(read_rows("out", f"part-00000-0000{block}.csv")) for block in range(3)] == [2, 2, 1]
    found = read_rows("out", "part-*")
    assert list(found[0])[:2] == ["series", "label"]
    assert [row["series"] for row in found] == ["1", "2", "3", "4", "5"]
    with np.load(series_file) as file:
        own = np.split(file["values"], np.cumsum(file["lengths"])[:-1])
    assert [row["label"] for row in found] == series_model.predict(own).tolist()
    assert run(*words[:5], "-i", series_file, "-o", "both.jsonl").exit_code == 0
    assert [row["label"] for row in read_rows(".", "both.jsonl")] == [row["label"] for row in found] * 2


RAY_ROWS = [(f"{name}{n:03d}", "" if n == 100 else f"{TEXTS[n % 5]}\n{n}", "007") for name in "ab" for n in range(150)]


@pytest.fixture
def ray_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """a.csv and b.csv in the working directory."""
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        rows = [row for row in RAY_ROWS if row[0].startswith(name)]
        pd.DataFrame(rows, columns=["id", "review", "label"]).to_csv(f"{name}.csv", sep=";", index=False)
    return tmp_path


def ray_command(folder: Path, *more: object) -> tuple[object, ...]:
    files = ("-i", "a.csv", "-i", "b.csv", "--text", "review")
    return ("predict", "-m", folder, *files, "-o", "out/", "--ray", "local", *more)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_killed_worker_loses_no_row(
    run: Run, ray_inputs: Path, keras_model: Model, keras_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    killed = str(ray_inputs / "killed")

    class Dying(Scorer):  # a local class, which Ray sends to the workers by value
        def __call__(self, batch: Any) -> Any:
            if "b020" in batch["id"].to_pylist() and not os.path.exists(killed):
                Path(killed).write_text(str(os.getpid()))
                os.kill(os.getpid(), signal.SIGKILL)
            return super().__call__(batch)

    monkeypatch.setattr("gatewise.cli.bulk_ray.Scorer", Dying)
    monkeypatch.setattr("gatewise.cli.bulk_ray._BLOCK_ROWS", 40)
    monkeypatch.setattr("gatewise.cli.bulk_ray.ROWS_PER_FILE", 120)
    with pytest.warns(UserWarning, match="2 rows have no text: the predictions are null"):
        result = run(*ray_command(keras_folder, "--workers", 2, "--keep", "label", "--keep", "id"))
    assert result.exit_code == 0, result.stderr
    assert Path(killed).read_text() != str(os.getpid())
    files = sorted(Path("out").glob("part-*.parquet"))
    assert f"gatewise: wrote 'out/': 300 rows in {len(files)} files" in result.stderr
    assert [path.name for path in files] == [f"part-{number:05d}.parquet" for number in range(len(files))]
    found = [row for path in files for row in parquet.read_table(path).to_pylist()]
    assert list(found[0]) == ["label", "id", "predicted_label", "probability_negative", "probability_positive"]
    assert [(row["id"], row["label"]) for row in found] == [(row[0], row[2]) for row in RAY_ROWS]
    texts = [row[1] or "good" for row in RAY_ROWS]
    for row, (_, text, _), label in zip(found, RAY_ROWS, keras_model.predict(texts), strict=True):
        assert row["predicted_label"] == (label if text else None)
    assert sorted(path.name for path in ray_inputs.iterdir()) == ["a.csv", "b.csv", "killed", "out"]
    assert "contains predictions; --overwrite replaces" in refused(run, *ray_command(keras_folder))
    assert "'out': cannot be continued: ray is different" in refused(run, *ray_command(keras_folder)[:-2])


def test_an_address_where_nothing_listens(run: Run, ray_inputs: Path, keras_folder: Path) -> None:
    pytest.importorskip("ray")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for address, message in ((f"127.0.0.1:{port}", "cannot be reached"), ("nonsense", "Invalid address format")):
        assert message in refused(run, *ray_command(keras_folder)[:-1], address)
    assert sorted(os.listdir()) == ["a.csv", "b.csv"]


def test_without_ray(run: Run, ray_inputs: Path, keras_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "--ray needs ray: pip install 'gatewise[ray]'" in refused(run, *ray_command(keras_folder))
    assert sorted(os.listdir()) == ["a.csv", "b.csv"]
