"""`gatewise predict`: the model's own numbers, from arguments, stdin and files."""

import json
from pathlib import Path

import numpy as np

from gatewise.model.model import Model
from tests.cli.conftest import TEXTS, Run, read_csv


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


def test_series(
    run: Run, series_model: Model, series_folder: Path, series_file: Path, series: list[np.ndarray]
) -> None:
    rows = series_model.predict_proba(series)
    lines = [f"{series_model.classes[row.argmax()]}\t{row.max():.4f}" for row in rows]
    assert run("predict", "-m", series_folder, "-i", series_file).stdout.splitlines() == lines
