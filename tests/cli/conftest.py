"""Small model folders, and the program as a user runs it."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from pyarrow import parquet

from gatewise.cli import program
from gatewise.model.model import Model
from gatewise.model.series_preprocessor import SeriesPreprocessor
from gatewise.text import KerasEncoding, TokenEncoding, keras_index
from tests.small_models import small_model

TEXTS = ["the film was bad", "a good film seen twice", "the end of it", "it was good was it", "bad bad end"]


class Run:
    """`run("predict", ..., input=None)`: stdout, stderr and exit_code; whatever is not an exit goes on as it is."""

    def __call__(self, *words: object, input: str | bytes | None = None) -> Result:
        return CliRunner().invoke(program, [str(word) for word in words], input=input, catch_exceptions=False)

    def json(self, *words: object, input: str | None = None) -> Any:
        """What the command prints with --json."""
        return json.loads(self(*words, "--json", input=input).stdout)


Series = list[np.ndarray]


@pytest.fixture(scope="session")
def keras_model() -> Model:
    """The tutorial's kind: unmasked pads, one direction, two classes."""
    encoding = KerasEncoding(keras_index(TEXTS), 12)
    return small_model(encoding, ("negative", "positive"), 3, max_length=30, padding="pre")


@pytest.fixture(scope="session")
def keras_folder(keras_model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "keras"
    keras_model.save(path)
    return path


@pytest.fixture(scope="session")
def tokens_model() -> Model:
    """The default kind, with three classes, one of them with a name that would clear the screen."""
    encoding = TokenEncoding.fit(TEXTS, vocab_size=50, min_count=1)
    shape: dict[str, Any] = {"units": 4, "bidirectional": True, "pooling": "mean+max"}
    return small_model(encoding, ("\x1b[2Jx", "[red]y", "z\n"), 4, **shape)


@pytest.fixture(scope="session")
def tokens_folder(tokens_model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tokens"
    tokens_model.save(path)
    return path


@pytest.fixture(scope="session")
def series() -> Series:
    rng = np.random.default_rng(6)
    return [rng.standard_normal((n + 4, 2)).astype(np.float32) for n in range(5)]


@pytest.fixture(scope="session")
def series_file(series: Series, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "gestures.npz"
    lengths = np.array([len(one) for one in series])
    np.savez(path, values=np.concatenate(series), lengths=lengths, labels=np.array(["a", "b", "c", "a", "b"]))
    return path


@pytest.fixture(scope="session")
def series_model(series: Series) -> Model:
    return small_model(SeriesPreprocessor.fit(series), ("a", "b", "c"), 5, units=5)


@pytest.fixture(scope="session")
def series_folder(series_model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "series"
    series_model.save(path)
    return path


@pytest.fixture
def reviews_csv(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.csv"
    rows = [("good" if n % 3 else "bad", f"the film was {'good' if n % 3 else 'bad'} {n}") for n in range(24)]
    path.write_text("sentiment,review\n" + "".join(f"{label},{text}\n" for label, text in rows), encoding="utf-8")
    return path


@pytest.fixture
def labelled_csv(tmp_path: Path) -> Path:
    path = tmp_path / "hold out.csv"
    labels = ["negative", "positive", "negative", "positive", "negative"]
    path.write_text("text,label\n" + "".join(f"{a},{b}\n" for a, b in zip(TEXTS, labels, strict=True)))
    return path


ROWS = [{"id": str(n), "review": text, "label": "x,y"} for n, text in enumerate(TEXTS * 3)]


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """new.csv in the working directory."""
    monkeypatch.chdir(tmp_path)
    pd.DataFrame(ROWS).to_csv("new.csv", index=False)
    return tmp_path / "new.csv"


def read_csv(path: str) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_rows(folder: str, pattern: str) -> list[dict[str, Any]]:
    """The rows of tables, in the order of their names."""
    found: list[dict[str, Any]] = []
    for path in sorted(Path(folder).glob(pattern)):
        if path.suffix == ".parquet":
            found += parquet.read_table(path).to_pylist()
            continue
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        lines, delimiter = raw.decode().splitlines(keepends=True), "\t" if ".tsv" in path.name else ","
        found += map(json.loads, lines) if ".jsonl" in path.name else csv.DictReader(lines, delimiter=delimiter)
    return found


def labels(model: Model, texts: list[str]) -> list[Any]:
    return [str(label) for label in model.predict(texts)]
