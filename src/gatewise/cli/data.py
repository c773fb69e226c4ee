"""`gatewise data`: what data would be used, and where it comes from; fetched if need be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatewise.cli.common import (
    DataOption,
    JsonOption,
    LabelOption,
    SourceArgument,
    TextOption,
    console,
    print_json,
    read_source,
)
from gatewise.errors import printable

if TYPE_CHECKING:
    from gatewise.data import Labelled


def data(
    source: SourceArgument,
    data: DataOption = None,
    text: TextOption = "text",
    label: LabelOption = "label",
    as_json: JsonOption = False,
) -> None:
    """Show the data that a source stands for: where it comes from, how many of which class, how long.

    \b
    gatewise data imdb                               fetches the reviews, so that training needs no network
    gatewise data imdb --data aclImdb_v1.tar.gz
    gatewise data reviews.csv --text review --label sentiment
    """
    splits = read_source(source, data, text, label)
    parts = {"train": splits.train, **({"test": splits.test} if splits.test else {})}
    seen = {name: _seen(part) for name, part in parts.items()}
    if as_json:
        print_json({"source": source, "note": splits.note, **seen})
        return
    from rich.table import Table
    from rich.text import Text

    for name, part in parts.items():
        print(f"{name if len(parts) > 1 else 'data':5}  {printable(part.source, 500)}")
    if splits.note:
        print(f"note   the test part is {splits.note}")
    print()
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    lengths = ("shortest", "median", "90 %", "longest")
    for heading in ("part", "class"):
        table.add_column(heading)
    unit = "words" if splits.train.kind == "text" else "steps"
    for heading in ("n", *lengths):
        table.add_column(heading, justify="right")
    for name, described in seen.items():
        for row in described["classes"]:
            cells = [f"{row[key]:,}" for key in ("n", *lengths)]
            table.add_row(name if len(parts) > 1 else "all", Text(printable(row["class"], 30)), *cells)
    console().print(table)
    print(f"\nlengths in {unit}{', as spaces part them' if unit == 'words' else ''}")


def _seen(part: Labelled) -> dict[str, Any]:
    import numpy as np

    lengths = np.array([len(x.split()) if isinstance(x, str) else len(x) for x in part.inputs])
    rows = []
    for k, name in enumerate(part.classes):
        own = lengths[part.labels == k]
        points = [int(x) for x in np.percentile(own, [0, 50, 90, 100])] if len(own) else [0, 0, 0, 0]
        named = dict(zip(("shortest", "median", "90 %", "longest"), points, strict=True))
        rows.append({"class": name, "n": len(own), **named})
    return {"source": part.source, "n": len(part.labels), "fingerprint": part.fingerprint(), "classes": rows}
