"""`gatewise evaluate`: accuracy, loss and confusion on labelled data."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from gatewise.cli.common import (
    DataOption,
    JsonOption,
    LabelOption,
    ModelArgument,
    PrecisionOption,
    SourceArgument,
    TextOption,
    console,
    open_model,
    print_json,
    read_source,
)
from gatewise.errors import printable

if TYPE_CHECKING:
    from rich.table import Table

    from gatewise.model import Evaluation

__all__ = ["evaluate"]


def evaluate(
    model: ModelArgument,
    source: SourceArgument,
    data: DataOption = None,
    text: TextOption = "text",
    label: LabelOption = "label",
    precision: PrecisionOption = "float32",
    as_json: JsonOption = False,
) -> None:
    """Measure a model: accuracy with its standard error, loss, confusion.

    \b
    gatewise evaluate models/imdb-tutorial imdb --data aclImdb_v1.tar.gz     the official test half
    gatewise evaluate models/imdb-tutorial imdb --data embedded              a hold-out of the train half
    gatewise evaluate models/reviews-fast new.csv --text review --label sentiment
    """
    found = open_model(model, precision)
    splits = read_source(source, data, text, label)
    labelled = splits.test or splits.train
    seen = bool(found.facts.fingerprint) and labelled.fingerprint() == found.facts.fingerprint
    if seen:
        print("gatewise: warning: this is the data that the model was trained on", file=sys.stderr)
    result = found.evaluate(labelled)
    if as_json:
        print_json({"model": model, **result.as_dict(), "note": splits.note, "trained_on_this": seen})
        return
    print(f"data      {printable(result.data, 500)}")
    if splits.note:
        print(f"note      {splits.note}")
    print(f"n         {result.n:,}")
    print(f"accuracy  {result.accuracy:.4f} ± {result.standard_error:.4f} (one standard error)")
    print(f"loss      {result.loss:.4f}\n")
    console().print(_confusion(result))


def _confusion(result: Evaluation) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column("truth \\ predicted")
    for name in result.classes:
        table.add_column(Text(printable(name, 30)), justify="right")
    table.add_column("recall", justify="right")
    for k, row in enumerate(result.confusion):
        recall = f"{row[k] / sum(row):.4f}" if sum(row) else ""
        table.add_row(Text(printable(result.classes[k], 30)), *(f"{count:,}" for count in row), recall)
    return table
