"""`gatewise train`, `pretrain` and `tune`: from a table to a folder that the other commands take."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

import gatewise as gw
from gatewise.cli.options import command_line
from gatewise.cli.tune import parsed_search
from tests.cli.conftest import Run, Series
from tests.data.files import write
from tests.refusals import assert_refused
from tests.training.texts import made_corpus

SMALL = ("--epochs", 2, "--set", "units=4", "--set", "batch_size=8", "--seed", 3)


def columns(path: Path) -> tuple[object, ...]:
    return (path, "--text", "review", "--label", "sentiment")


def test_a_table_to_a_model(run: Run, reviews_csv: Path, tmp_path: Path) -> None:
    target = tmp_path / "m"
    result = run("train", *columns(reviews_csv), "-o", target, *SMALL)
    assert result.exit_code == 0
    model = gw.load(target)
    assert model.classes == ("bad", "good")
    rows = [line.split() for line in result.stdout.splitlines()]
    history = model.history
    assert len(history) == 2
    for row in history:
        numbers = [f"{row[key]:.4f}" for key in ("loss", "accuracy", "val_loss", "val_accuracy")]
        star = ["*"] if row["best"] else []
        assert [str(row["epoch"]), *numbers, f"{row['seconds']:.1f}", *star] in rows
    kept = history[model.metadata.best_epoch - 1]
    assert kept["val_loss"] == min(row["val_loss"] for row in history)
    seen = f"lowest val_loss {kept['val_loss']:.4f}, val_accuracy {kept['val_accuracy']:.4f}"
    assert f"kept epoch {kept['epoch']} ({seen})" in result.stdout
    assert f"gatewise predict -m {target}" in result.stdout
    total = sum(array.size for array in model.parameters.values())
    assert ["total", f"{total:,}"] in rows
    assert result.stderr == ""
    assert run("predict", "-m", target, "the film was good").exit_code == 0
    expected = f"gatewise train {reviews_csv} --recipe fast --text review --label sentiment --out {target} --seed 3"
    assert (
        model.metadata.command
        == f"{expected} --set lstm.units=4 --set optimisation.batch_size=8 --set optimisation.epochs=2"
    )


def test_the_command_in_the_card_keeps_every_digit() -> None:
    options = {"data": "v1.0", "unlabelled": ["x", "y z"], "out": None, "minutes": 30.0, "adversarial": 0.0123456789}
    expected = (
        "gatewise train r.csv --data v1.0 --unlabelled x --unlabelled 'y z' --minutes 30 --adversarial 0.0123456789"
    )
    assert command_line("train", "r.csv", **options) == expected


def test_configuration_file_set_and_options_by_precedence(run: Run, reviews_csv: Path, tmp_path: Path) -> None:
    """An option or --set replaces the file's value, which replaces the recipe's; the card's command says it all."""
    config, target = tmp_path / "slow.toml", tmp_path / "m"
    config.write_text(
        'recipe = "fast"\nepochs = 9\npatience = 7\ntext = "review"\nlabel = "no"\nseed = 4\n'
        'class-weight = ["balanced"]\n[lstm]\nunits = 5\ndropout_embedding = 0.25\n',
        encoding="utf-8",
    )
    words = ("--config", config, "--set", "units=3", "--set", "bidirectional=false", "--epochs", 1)
    assert run("train", reviews_csv, "--label", "sentiment", "-o", target, *words).exit_code == 0
    model = gw.load(target)
    assert (model.architecture.top.units, model.architecture.unidirectional, model.metadata.epochs) == (3, True, 1)
    assert model.metadata.command == (
        f"gatewise train {reviews_csv} --recipe fast --text review --label sentiment --out {target} --seed 4 "
        "--class-weight balanced --set optimisation.epochs=1 --set validation.patience=7 --set lstm.units=3 "
        "--set lstm.dropout_embedding=0.25 --set lstm.bidirectional=false"
    )
    again = model.metadata.command.replace(str(target), str(tmp_path / "again"))
    assert run(*shlex.split(again)[1:]).exit_code == 0
    for name, array in gw.load(tmp_path / "again").parameters.items():
        assert array.tobytes() == model.parameters[name].tobytes(), name
    config.write_text("seed = 'x'")
    assert "'x' is not a valid integer" in run("train", reviews_csv, "--config", config).stderr


def test_json_is_one_object_and_the_rest_goes_to_stderr(run: Run, reviews_csv: Path, tmp_path: Path) -> None:
    more = ("--set", "gate=binary", "--threshold", 0.25, "--json")
    result = run("train", *columns(reviews_csv), "-o", tmp_path / "m", *SMALL, *more)
    seen = json.loads(result.stdout)
    assert (seen["recipe"], seen["seed"], len(seen["history"])) == ("fast", 3, 2)
    saved = gw.load(tmp_path / "m")
    assert seen["members"] == saved.ensemble.weights_json()
    assert seen["validation"]["accuracy"] == saved.metadata.evaluations[-1].accuracy
    assert (seen["calibration"], seen["thresholds"]) == (None, [0.25])
    assert "val_accuracy" in result.stderr
    assert gw.load(tmp_path / "m").architecture.gate == "binary"


def test_series_and_the_folder_by_default(
    run: Run, series: Series, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "two gestures.npz"
    values = np.concatenate(series * 4)
    np.savez(path, values=values, lengths=np.array([len(s) for s in series] * 4), labels=np.arange(20) % 2)
    monkeypatch.chdir(tmp_path)
    result = run("train", path, *SMALL)
    assert result.exit_code == 0
    assert gw.load(tmp_path / "models" / "two-gestures-series").classes == ("0", "1")
    assert "predict -m models/two-gestures-series -i" in result.stdout


def test_weights_threshold_split_and_validation(run: Run, reviews_csv: Path, tmp_path: Path) -> None:
    held = write(tmp_path, "held.csv", reviews_csv.read_text(encoding="utf-8"))
    target = tmp_path / "m"
    with pytest.warns(gw.errors.DataWarning, match="validation set are equal to training rows"):
        result = run(
            *("train", *columns(reviews_csv), "-o", target, *SMALL, "--class-weight", "good=3", "--threshold", "0.25"),
            *("--validation", held),
        )
    assert result.exit_code == 0
    model = gw.load(target)
    assert model.target.thresholds == (0.25,)
    assert "a separate validation set" in model.metadata.validation
    for part in ("--class-weight good=3", "--threshold 0.25", "--validation"):
        assert part in model.metadata.command


def test_time_orders_the_rows_and_the_last_ones_validate(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "letters.csv"
    order = np.random.default_rng(1).permutation(40)
    rows = [f"letter {n} {'yes' if n % 2 else 'no'},{n % 2},2024-0{1 + n // 20}-{1 + n % 20:02}" for n in order]
    path.write_text("text,label,sent\n" + "\n".join(rows) + "\n", encoding="utf-8")
    result = run("train", path, "--time", "sent", "-o", tmp_path / "m", *SMALL)
    assert result.exit_code == 0, result.stderr
    model = gw.load(tmp_path / "m")
    assert "the last rows in the order of time" in model.metadata.validation
    assert model.metadata.n_validation == 4
    assert "--time sent" in model.metadata.command


def test_from_a_classifier(run: Run, reviews_csv: Path, keras_folder: Path, tmp_path: Path) -> None:
    """Any gatewise classifier: here one of the tutorial's kind, whose classes have other names."""
    result = run("train", *columns(reviews_csv), "--pretrained", keras_folder, "-o", tmp_path / "m", "--seed", 2)
    assert (result.exit_code, result.stderr) == (0, "")
    model = gw.load(tmp_path / "m")
    assert (model.classes, model.architecture.padding, model.architecture.top.units) == (("bad", "good"), "pre", 6)
    assert model.metadata.recipe == "frozen"
    assert f" --recipe frozen --text review --label sentiment --pretrained {keras_folder} " in model.metadata.command
    assert "pretrained model  classifier (" in run("info", "-m", tmp_path / "m").stdout


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = write(tmp_path, "corpus.txt", "\n".join(made_corpus(200, 3)) + "\n")
    return path


def test_pretrain_and_fine_tune(run: Run, corpus: Path, reviews_csv: Path, tmp_path: Path) -> None:
    pretrained, target = tmp_path / "pretrained", tmp_path / "m"
    result = run("pretrain", corpus, "--size", "small", "--epochs", 0.5, "-o", pretrained, "--seed", 4)
    assert result.exit_code == 0
    assert result.stderr == ""
    assert "200 lines of 'corpus.txt'" in result.stdout
    assert f"saved to {pretrained}" in result.stdout
    made = gw.load_pretrained(pretrained)
    assert (made.units, made.embedding_dim, made.metadata.seed) == (128, 128, 4)
    assert made.metadata.command == f"gatewise pretrain {corpus} --out {pretrained} --size small --epochs 0.5 --seed 4"
    last = made.history[-1]
    assert f"{last['perplexity']['forward']:.1f}" in result.stdout
    columns = ("--text", "review", "--label", "sentiment")
    trained = run(
        "train", reviews_csv, *columns, "--pretrained", pretrained, "--unlabelled", corpus, "-o", target, "--epochs", 1
    )
    assert trained.exit_code == 0
    model = gw.load(target)
    assert model.metadata.recipe == "few-shot"
    assert "corpus.txt" in model.metadata.pretrained
    assert "corpus.txt" in model.metadata.unlabelled
    assert f"--pretrained {pretrained} --unlabelled {corpus}" in model.metadata.command
    assert "pretrained" in run("info", "-m", target).stdout


def test_rules_label_unlabelled_texts(run: Run, reviews_csv: Path, tmp_path: Path) -> None:
    """Their figures are shown while the model is trained, and by `gatewise info`."""
    texts, rules, target = tmp_path / "more.txt", tmp_path / "rules.csv", tmp_path / "m"
    texts.write_text("a fine film 9/10\nso slow 2/10\nno rating\na good plot, 8/10\n8/10 or 1/10\n")
    rules.write_text("pattern,label\n[89]/10,good\n[12]/10,bad\n")
    given = ("--unlabelled", texts, "--rules", rules)
    shown = run("train", *columns(reviews_csv), *given, "-o", target, *SMALL)
    assert shown.exit_code == 0
    line = "[89]/10 -> good: coverage 0.0%; coverage of the unlabelled texts 60.0%"
    for output in (shown.stdout, run("info", "-m", target).stdout):
        assert "rules label 3 of 5 texts, with 1 conflict" in " ".join(output.split())
        assert line in " ".join(output.split())
    assert f"--unlabelled {texts} --rules {rules}" in gw.load(target).metadata.command
    rules.write_text("pattern,label\n[89]/10,good\n[12]/10,poor\n")
    refused = run("train", *columns(reviews_csv), *given, "-o", target, "--overwrite", *SMALL)
    assert refused.exit_code == 2
    assert "rules.csv':3: there is no class 'poor'; the classes are bad, good" in " ".join(refused.output.split())


def test_pretrain_json(run: Run, corpus: Path, tmp_path: Path) -> None:
    result = run("pretrain", corpus, "--size", "embeddings", "--epochs", 0.5, "-o", tmp_path / "pretrained", "--json")
    found = json.loads(result.stdout)
    assert found["size"] == "embeddings"
    assert set(found["perplexity"]) == {"forward", "backward"}


SEARCH = ("--set", "epochs=1", "--set", "ngrams.order=0", "--set", "embedding_dim=4", "--search", "units=2,3")


def test_the_command_that_it_prints_trains_the_best_trial(run: Run, reviews_csv: Path, tmp_path: Path) -> None:
    table = (reviews_csv, "--text", "review", "--label", "sentiment")
    storage = tmp_path / "trials.jsonl"
    result = run("tune", *table, "--trials", 2, *SEARCH, "--storage", storage, "-o", tmp_path / "tuned")
    assert result.exit_code == 0, result.output
    assert "2 trials, 2 complete; the best:" in result.stdout
    assert gw.load(tmp_path / "tuned").metadata.command.startswith("gatewise tune ")
    again = run("tune", *table, "--trials", 2, *SEARCH, "--storage", storage, "--json")
    found = json.loads(again.stdout)
    assert [trial["state"] for trial in found["trials"]] == ["complete"] * 2
    printed = run("tune", *table, "--trials", 2, *SEARCH, "--storage", storage)
    words = shlex.split(printed.stdout.splitlines()[-1])
    assert words[:2] == ["gatewise", "train"]
    trained = run(*[str(tmp_path / "m") if word == "DIR" else word for word in words[1:]])
    assert trained.exit_code == 0, trained.output
    model = gw.load(tmp_path / "m")
    assert model.architecture.top.units == found["settings"]["lstm.units"]
    assert model.metadata.evaluations[0].loss == pytest.approx(gw.load(tmp_path / "tuned").metadata.evaluations[0].loss)


def test_ranges_and_lists() -> None:
    assert parsed_search(["learning-rate=0.001..0.01", "units=32,64", "pooling=last, mean"]) == {
        "optimisation.learning_rate": (0.001, 0.01),
        "lstm.units": [32, 64],
        "lstm.pooling": ["last", "mean"],
    }
    for given in (["units"], ["units=3"], ["units=1..x"], ["units=2,3", "units=4,5"], ["what=1,2"], ["=1,2"]):
        assert_refused("--search", parsed_search, given)
