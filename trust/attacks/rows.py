"""The same rows through every entrance: files, data frames, mappings, the Scorer, HTTP and ONNX."""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import gatewise as gw
from gatewise.cli.sources import TableOptions
from gatewise.data import Labelled, read_table, with_columns
from gatewise.data.schema import RowSchema
from gatewise.errors import GatewiseError
from gatewise.members.columns import Columns
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.members.onnx.columns import feeds
from gatewise.model.model import Model
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.text import TokenEncoding
from gatewise.training.members.columns import described
from gatewise.types import Array
from tests.small_models import small_model
from trust.attack import Attacks, check_message, missing
from trust.mutate import Rng, choice

ATTACKS = Attacks()
ROWS = 500
WORDS = ["warm", "dull", "film", "end", "long", "so", "good"]
TOWNS = ["Zürich", "東京", "null", "São Paulo", "x,y", 'say "hi"', "İzmir", "NA", "None", "A B", "😀"]
ODD = ["1e5", "+5", "007", "0x10", "inf", "1_000", "5.0", "-0", ".5", "2.50", "TRUE", "12"]


class Cell(NamedTuple):
    """A value as it stands in a CSV file, and as a typed library holds it."""

    text: str
    typed: Any


MISSING_CATEGORY = Cell("", None)


def _booleans(rng: Rng) -> Callable[[], Cell]:
    spelling = choice(rng, [str.lower, str.title, str.upper])
    return lambda: (lambda value: Cell(spelling(str(value)), value))(bool(rng.random() < 0.6))


def _zip_codes(rng: Rng) -> Callable[[], Cell]:
    codes = [f"{int(code):05}" for code in rng.integers(1, 99_999, 6)] + ["00501"]
    return lambda: (lambda code: Cell(code, code))(choice(rng, codes))


def _large_ids(rng: Rng) -> Callable[[], Cell]:
    ids = [int(one) for one in rng.integers(10**17, 10**18, 6)]
    return lambda: (lambda one: Cell(str(one), one))(choice(rng, ids))


def _whole_numbers(rng: Rng) -> Callable[[], Cell]:
    return lambda: (lambda one: Cell(str(one), one))(int(rng.integers(-3, 4)))


def _fractions(rng: Rng) -> Callable[[], Cell]:
    numbers = [float(one) for one in rng.normal(size=5).round(3)] + [7e-5, 2.0]
    return lambda: (lambda one: Cell(repr(one), one))(choice(rng, numbers))


def _of(rng: Rng, every: list[str]) -> Callable[[], Cell]:
    names = [str(one) for one in rng.choice(every, int(rng.integers(2, min(6, len(every)))), replace=False)]
    return lambda: (lambda name: Cell(name, name))(choice(rng, names))


CATEGORIES: list[Callable[[Rng], Callable[[], Cell]]] = [
    *(_booleans, _zip_codes, _large_ids, _whole_numbers, _fractions),
    *(lambda rng: _of(rng, TOWNS), lambda rng: _of(rng, ODD), lambda rng: _of(rng, ["3.1", "3.10", "3.2", "3.20"])),
]


def _numbers(rng: Rng) -> Callable[[], Cell]:
    scale, whole = float(10 ** rng.uniform(-3, 6)), rng.random() < 0.5
    spelled = choice(rng, ["", "NA", "?", "null", "#N/A"])

    def drawn() -> Cell:
        if rng.random() < 0.1:
            return Cell(spelled, None)
        # pandas rounds numbers of more than 15 digits in its own way.
        number = round(float(rng.normal() * scale), 4)
        return Cell(str(int(number)), int(number)) if whole else Cell(repr(number), number)

    return drawn


@dataclass
class Table:
    """Rows as cells by column, besides the columns text and label. numeric, categorical: the names of the columns."""

    cells: dict[str, list[Cell]]
    texts: list[str]
    labels: list[str]
    numeric: list[str]
    categorical: list[str]

    @property
    def typed(self) -> dict[str, list[Any]]:
        """The columns as a typed library holds them."""
        columns = {name: [cell.typed for cell in cells] for name, cells in self.cells.items()}
        return {"text": self.texts, **columns, "label": self.labels}

    @property
    def records(self) -> list[dict[str, Any]]:
        """The typed rows."""
        columns = self.typed
        return [{name: columns[name][n] for name in columns} for n in range(len(self.texts))]

    def write_csv(self, path: Path) -> None:
        """The texts of the cells."""
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["text", *self.cells, "label"])
            for n, text in enumerate(self.texts):
                writer.writerow([text, *(cells[n].text for cells in self.cells.values()), self.labels[n]])


def tables(rng: Rng) -> tuple[Table, Table]:
    """Training rows, and rows for prediction, which have categories that training did not."""
    columns: dict[str, Callable[[], Cell]] = {}
    for number in range(int(rng.integers(1, 5))):
        drawn, share = choice(rng, CATEGORIES)(rng), choice(rng, [0.0, 0.0, 0.1])
        columns[f"Category {number}"] = _with_missing(rng, drawn, share)
    categorical = list(columns)
    columns |= {f"number{number}": _numbers(rng) for number in range(int(rng.integers(0, 3)))}
    numeric = [name for name in columns if name not in categorical]

    def made() -> Table:
        cells = {name: [draw() for _ in range(ROWS)] for name, draw in columns.items()}
        texts = [" ".join(rng.choice(WORDS, rng.integers(1, 5))) for _ in range(ROWS)]
        return Table(cells, texts, [choice(rng, ["x", "y"]) for _ in range(ROWS)], numeric, categorical)

    return made(), made()


def _with_missing(rng: Rng, drawn: Callable[[], Cell], share: float) -> Callable[[], Cell]:
    return lambda: MISSING_CATEGORY if rng.random() < share else drawn()


def model_of(data: Labelled, rng: Rng) -> Model:
    """A model of texts and columns with random weights, whose schema has the facts of these rows."""
    named = RowSchema.of(data.columns)
    sequences = [EncodedSequence(np.zeros(1), columns=named.values(row)) for row in data.row_columns]
    member: Columns = described(named, sequences, 1)
    member = replace(
        member,
        slope=rng.normal(size=member.slope.shape).astype(np.float32),
        offset=rng.normal(size=member.offset.shape).astype(np.float32),
    )
    encoding = TokenEncoding.fit(WORDS, vocab_size=50, min_count=1)
    model = small_model(encoding, ("x", "y"), int(rng.integers(1000)))
    assert isinstance(model.preprocessor, TextPreprocessor)
    ensemble = replace(model.ensemble, members=(*model.ensemble.members, member), weights=(1.0, 0.75))
    metadata = replace(model.metadata, columns=data.columns)
    preprocessor = replace(model.preprocessor, columns=member.schema)
    return replace(model, preprocessor=preprocessor, ensemble=ensemble, metadata=metadata)


def _of_file(model: Model, path: Path) -> Array:
    """As `gatewise predict -i`."""
    with TableOptions(model=model).rows([str(path)]) as reader:
        inputs = [row.input for row in reader]
    return np.asarray(model.logits(inputs))


def _of_scorer(model: Model, folder: Path, batch: Any) -> Array:
    if not (folder / "model").exists():
        model.save(folder / "model")
    scored = gw.Scorer(folder / "model", probabilities="all", columns={"label": "predicted"})(batch)
    column = scored["probability_y"]
    return np.asarray(column.to_pylist() if hasattr(column, "to_pylist") else column, dtype=np.float64)


def _of_http(model: Model, table: Table) -> Array:
    """What POST /predict reads of a body, in one batch."""
    from gatewise.serve import schemas
    from gatewise.serve.endpoint import ModelEndpoint
    from gatewise.serve.metrics import Metrics
    from gatewise.serve.settings import Settings

    names = [*table.numeric, *table.categorical]
    columns = [{name: row[name] for name in names} for row in table.records]
    body = json.dumps({"inputs": table.texts, "columns": columns}).encode()
    with ThreadPoolExecutor(1) as executor:
        endpoint = ModelEndpoint("rows", model, Settings(models=()), executor, executor, Metrics())
        inputs, _ = endpoint.inputs_of(schemas.validated(schemas.PredictRequest, schemas.parse(body)))
    return np.asarray(model.ensemble.logits(model.preprocessor.encode_batch(inputs)))


def _check_onnx(model: Model, inputs: list[Any], wanted: Array, folder: Path) -> None:
    """The file of the model computes the same logits of the values that the schema reads."""
    import onnxruntime

    model.export(folder / "model.onnx")
    sequences = model.preprocessor.encode_batch(inputs)
    lengths = np.array([len(one) for one in sequences])
    tokens = np.zeros((len(sequences), lengths.max()), dtype=np.int64)
    for row, one in zip(tokens, sequences, strict=True):
        row[: len(one)] = one.steps
    values = [one.columns for one in sequences]
    given = {"tokens": tokens, "lengths": lengths, **feeds(model.ensemble.get("columns"), values)}
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    [logits] = session.run(["logits"], given)
    np.testing.assert_allclose(logits, wanted, rtol=1e-4, atol=1e-4)


_LIBRARIES = ("pandas", "polars", "pyarrow", "onnxruntime", "pydantic")


def _import_libraries() -> None:
    """Before the memory of a try is limited: the libraries map hundreds of MB of code."""
    for name in _LIBRARIES:
        import_module(name)


@ATTACKS.add("entrances", 3, 500, prepare=_import_libraries, unavailable=lambda: missing(*_LIBRARIES))
def _entrances(rng: Rng, folder: Path) -> None:
    """500 rows give equal bits through every entrance, whether the model was trained on a CSV file or on its data frame
    of pandas, or are refused in one line. What is refused is a data frame of pandas by its default options, which
    lose zeros, digits and names such as NA, and by a model of such a frame the other entrances.

    random columns of booleans, zip codes, ids of 18 digits, numbers in odd spellings, versions, names such as NA,
    Unicode, missing values; command line (CSV, JSON Lines, Parquet), pandas (default options, texts, typed), polars,
    Arrow, with_columns, Scorer, HTTP, ONNX
    """
    import pandas as pd
    import polars as pl
    import pyarrow as pa
    from pyarrow import parquet

    train, rows = tables(rng)
    train.write_csv(folder / "train.csv")
    rows.write_csv(folder / "rows.csv")
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows.records)), encoding="utf-8")
    parquet.write_table(pa.table(rows.typed), folder / "rows.parquet")
    names: dict[str, Any] = {"numeric": train.numeric, "categorical": train.categorical}
    of_file = rng.random() < 0.6
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of rows outside of the training data
        if of_file:
            data = read_table(folder / "train.csv", **names)
        else:
            try:
                data = Labelled.from_frame(pd.read_csv(folder / "train.csv"), **names)
            except GatewiseError as error:  # ids that are floats
                check_message(error)
                return
        model = model_of(data, rng)
        columns = {name: values for name, values in rows.typed.items() if name in rows.cells}
        as_texts = {name: [cell.text for cell in cells] for name, cells in rows.cells.items()}
        for name in rows.numeric:
            as_texts[name] = [cell.text for cell in rows.cells[name]]
        pandas_texts = pd.read_csv(folder / "rows.csv", dtype=str, keep_default_na=False)
        carried = with_columns(rows.texts, columns)
        entrances: dict[str, Callable[[], Array]] = {
            "CSV file": lambda: _of_file(model, folder / "rows.csv"),
            "JSON Lines": lambda: _of_file(model, folder / "rows.jsonl"),
            "Parquet": lambda: _of_file(model, folder / "rows.parquet"),
            "pandas, dtype=str": lambda: model.logits(pandas_texts),
            "pandas, objects": lambda: model.logits(pd.DataFrame(rows.typed, dtype=object)),
            "polars": lambda: model.logits(pl.DataFrame(rows.typed, strict=False)),
            "Arrow": lambda: model.logits(pa.table(rows.typed)),
            "with_columns": lambda: model.logits(carried),
            "with_columns of texts": lambda: model.logits(with_columns(rows.texts, as_texts)),
            "HTTP": lambda: _of_http(model, rows),
        }
        scored: dict[str, Callable[[], Array]] = {
            "Scorer of Arrow": lambda: _of_scorer(model, folder, pa.table({"text": rows.texts, **columns})),
            "Scorer of a dict": lambda: _of_scorer(model, folder, {"text": rows.texts, **columns}),
        }
        typed = {name: pd.array(values) for name, values in rows.typed.items()}  # which has pandas.NA for None
        lossy: dict[str, Callable[[], Array]] = {
            "pandas": lambda: model.logits(pd.read_csv(folder / "rows.csv")),
            "pandas, typed": lambda: model.logits(pd.DataFrame(typed)),
        }
        wanted = _logits("CSV file", entrances["CSV file"], may_refuse=not of_file)
        if wanted is None:
            wanted = _logits("pandas", lossy["pandas"], may_refuse=True)
        if wanted is None:
            return
        for name, entrance in {**entrances, **scored, **lossy}.items():
            found = _logits(name, entrance, may_refuse=name in lossy or not of_file)
            if found is None:
                continue
            expected = model.target.probabilities(wanted)[:, 1] if name in scored else wanted
            different = int((found != expected).reshape(ROWS, -1).any(axis=1).sum())
            assert not different, f"{name}: {different} of {ROWS} rows differ from the CSV file"
        if rng.random() < 0.2 and of_file:
            _check_onnx(model, carried, wanted, folder)


def _logits(name: str, entrance: Callable[[], Array], may_refuse: bool) -> Array | None:
    """What an entrance gives; None where it refuses."""
    try:
        return entrance()
    except GatewiseError as error:
        check_message(error)
        if may_refuse:
            return None
        raise AssertionError(f"{name} is refused: {error}") from error
