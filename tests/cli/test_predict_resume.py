"""`gatewise predict -o`: runs that were interrupted, and what an output of another run is protected from."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pyarrow import parquet

from gatewise.cli import bulk
from gatewise.cli.bulk import BulkPrediction, Progress
from gatewise.cli.text_lines import open_lines
from gatewise.data.columns import Columns, RowReader
from gatewise.errors import DataError, InputError
from gatewise.model.model import Model
from tests.cli.conftest import TEXTS, Run, labels, read_csv
from tests.cli.test_bad_input import refused


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
        with RowReader.open("big.csv", Columns((text,)), lines=open_lines, fail_fast=True) as reader:
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
        context.setattr("gatewise.cli.table_writer.TableWriter.write", write)
        context.setattr("gatewise.cli.table_writer.TableWriter.discard", lambda _: None)  # a kill removes nothing
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


def test_an_error_after_a_resume_keeps_what_was_complete(
    table: Path, keras_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = big_table(Path("big.csv"), 1_000)
    interrupted(keras_model, "out.csv", monkeypatch)

    def resume() -> int:
        with RowReader.open("big.csv", Columns(), fail_fast=True) as reader:
            return BulkPrediction(keras_model, reader, Path("out.csv"), resume=True, identity={"model": "m"}).run()

    with monkeypatch.context() as context:
        context.setattr("gatewise.cli.table_writer.TableWriter.write", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            resume()
    assert resume() == len(texts)
    assert [row["text"] for row in read_csv("out.csv")] == texts
