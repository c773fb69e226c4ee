"""`gatewise data`: the size, classes and lengths of a data source, and its mistakes; downloads IMDB if needed."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any

from gatewise.cli import options
from gatewise.cli.options import columns, command, flag
from gatewise.cli.output import console, print_json
from gatewise.cli.sources import read_source, table_of
from gatewise.errors import GatewiseError, counted, printable

if TYPE_CHECKING:
    from gatewise.data import Labelled

_CHECK = "Look for mistakes: suspect labels, nearly equal classes, duplicates, constant columns, leaked labels."
_LEAST_SUSPECTS = 10  # suspect labels that are reported of a small table
_SHOWN_SUSPECTS = 20  # suspect labels that are printed
LENGTHS = {"min": 0, "median": 50, "p90": 90, "max": 100}  # percentiles


@command()
@options.sources_argument
@options.data_option
@columns("text", "label", "task", "label_separator", "time", "series", "id", "layout", "delimiter", "skip_bad_rows")
@flag("--check", help=_CHECK)
@options.json_option
def data(args: Any) -> None:
    """Describe a data source: origin, number of examples per class, lengths. Downloads IMDB if needed.

    \b
    gatewise data imdb                               downloads the reviews once, for later offline training
    gatewise data imdb --data aclImdb_v1.tar.gz
    gatewise data reviews.csv --text review --label sentiment
    gatewise data reviews.csv --text review --label price --task regression
    gatewise data gestures.csv --series --id id --time second
    gatewise data reviews.csv --text review --label sentiment --check
    """
    caught: list[str] = []
    if args.check:
        with warnings.catch_warnings(record=True) as records:
            warnings.simplefilter("always")
            splits = read_source(args.sources, args.data, table_of(args))
        caught = [str(record.message) for record in records]
    else:
        splits = read_source(args.sources, args.data, table_of(args))
    described = {"train": _describe(splits.train)}
    if splits.test:
        described["test"] = _describe(splits.test)
    if args.check:
        suspects = _suspect_labels(splits.train)
        described["train"]["findings"] = [*caught, *findings(splits.train)]
        described["train"]["suspect_labels"] = [suspect._asdict() for suspect in suspects]
    if args.as_json:
        print_json({"source": " ".join(args.sources), "note": splits.note, **described})
        return
    _print_described(described, splits.note)
    print(f"\nlengths in {splits.train.nouns.length}")
    if args.check:
        _print_check(described["train"])


def findings(labelled: Labelled) -> list[str]:
    """Probable mistakes in the data, except those that reading the data warned about."""
    import numpy as np

    from gatewise.training.data_checks import different_labels, imbalance, single_rows

    n = len(labelled)
    lines = [single_rows(labelled), different_labels(labelled, np.arange(n)), imbalance(labelled)]
    repeated = n - len(np.unique(labelled.keys))
    if repeated:
        lines.append(f"{repeated:,} of {n:,} rows are equal to an earlier one")
    lines += labelled.input_kind.findings(labelled.inputs)
    return [line for line in lines if line]


def _suspect_labels(labelled: Labelled) -> list[Any]:
    """The most suspect labels, at most a twentieth of the rows. None where models cannot rank them, which is reported:
    --check has other findings, too.
    """
    from gatewise.training.suspect_labels import suspect_labels

    most = max(_LEAST_SUSPECTS, len(labelled) // 20)
    try:
        return suspect_labels(labelled)[:most]
    except GatewiseError as error:
        print(f"gatewise: no suspect labels: {error}", file=sys.stderr)
        return []


def _print_described(described: dict[str, dict[str, Any]], note: str) -> None:
    """Print the origin of each split, its rows by class, and the summary of its numbers."""
    from rich.text import Text

    from gatewise.system.console import plain_table

    is_split = len(described) > 1
    for name, split in described.items():
        heading = name if is_split else "data"
        print(f"{heading:5}  {printable(split['source'], 500)}")
    if note:
        print(f"note   the test part is {note}")
    print()
    table = plain_table(f"llr{'r' * len(LENGTHS)}", "part", "class", "n", *LENGTHS)
    for name, split in described.items():
        heading = name if is_split else "all"
        for row in split["classes"]:
            cells = [f"{row[key]:,}" for key in ("n", *LENGTHS)]
            table.add_row(heading, Text(printable(row["class"], 30)), *cells)
    console().print(table)
    for name, split in described.items():
        prefix = f"{name}  " if is_split else ""
        for number, summary in split.get("numbers", {}).items():
            span = f"mean {summary['mean']:.6g}, from {summary['min']:.6g} to {summary['max']:.6g}"
            print(f"{prefix}{printable(number, 30)}: {span}")


def _print_check(described: dict[str, Any]) -> None:
    """Print the findings and the suspect labels."""
    from rich.text import Text

    from gatewise.system.console import plain_table

    print()
    for finding in described["findings"] or ["no finding"]:
        print(f"check  {printable(finding, 500)}")
    suspects = described["suspect_labels"]
    if not suspects:
        return
    print(f"check  {counted(len(suspects), 'label')} that models of the other rows find least probable, first")
    table = plain_table("lllrr", "row", "label", "predicted", "probability", "text")
    for suspect in suspects[:_SHOWN_SUSPECTS]:
        table.add_row(
            f"{suspect['row']:,}",
            Text(printable(suspect["label"], 30)),
            Text(printable(suspect["predicted"], 30)),
            f"{suspect['probability']:.4f}",
            Text(printable(suspect["excerpt"], 60)),
        )
    console().print(table)


def _describe(labelled: Labelled) -> dict[str, Any]:
    """The origin of a split, its rows by class with percentiles of their lengths, and the summary of its numbers."""
    import numpy as np

    lengths = np.array([len(item.split()) if isinstance(item, str) else len(item) for item in labelled.inputs])
    rows = []
    for k, name in enumerate(labelled.classes):
        lengths_of_class = lengths[labelled.target.has_class(labelled.labels, k)]
        percentiles = np.zeros(len(LENGTHS))
        if len(lengths_of_class):
            percentiles = np.percentile(lengths_of_class, list(LENGTHS.values()))
        row = {"class": name, "n": len(lengths_of_class)}
        row |= dict(zip(LENGTHS, map(int, percentiles), strict=True))
        rows.append(row)
    described = {
        "source": labelled.source,
        "n": len(labelled),
        "fingerprint": labelled.fingerprint(),
        "classes": rows,
    }
    if numbers := labelled.target.number_summary(labelled.labels):
        described["numbers"] = numbers
    return described
