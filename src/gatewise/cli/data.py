"""`gatewise data`: the size, classes and lengths of a data source, and its mistakes; downloads IMDB if needed."""

from __future__ import annotations

import sys
import warnings
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from gatewise.cli import options
from gatewise.cli.options import columns, command, flag
from gatewise.cli.output import console, print_json
from gatewise.cli.sources import read_source, table_of
from gatewise.errors import GatewiseError, counted, printable

if TYPE_CHECKING:
    from gatewise.data import Labelled

_CHECK = "Look for mistakes: suspect labels, nearly equal classes, duplicates, constant columns, leaked labels."
_LEAST, _SHOWN = 10, 20  # suspect labels
LENGTHS = {"min": 0, "median": 50, "p90": 90, "max": 100}  # percentiles


@command()
@options.sources_argument
@options.data_option
@columns("text", "label", "task", "label_separator", "time", "series", "id", "layout", "delimiter", "skip_bad_rows")
@flag("--check", help=_CHECK)
@options.json_option
def data(given: Any) -> None:
    """Describe a data source: origin, number of examples per class, lengths. Downloads IMDB if needed.

    \b
    gatewise data imdb                               downloads the reviews once, for later offline training
    gatewise data imdb --data aclImdb_v1.tar.gz
    gatewise data reviews.csv --text review --label sentiment
    gatewise data reviews.csv --text review --label price --task regression
    gatewise data gestures.csv --series --id id --time second
    gatewise data reviews.csv --text review --label sentiment --check
    """
    with warnings.catch_warnings(record=True) if given.check else nullcontext([]) as said:
        if given.check:
            warnings.simplefilter("always")
        splits = read_source(given.sources, given.data, table_of(given))
    parts = {"train": splits.train, **({"test": splits.test} if splits.test else {})}
    described = {name: _describe(part) for name, part in parts.items()}
    if given.check:
        described["train"]["findings"] = [*(str(one.message) for one in said), *findings(splits.train)]
        described["train"]["suspect_labels"] = [one._asdict() for one in _suspect_labels(splits.train)]
    if given.as_json:
        print_json({"source": " ".join(given.sources), "note": splits.note, **described})
        return
    from rich.text import Text

    from gatewise.system.console import plain_table

    for name, part in parts.items():
        print(f"{name if len(parts) > 1 else 'data':5}  {printable(part.source, 500)}")
    if splits.note:
        print(f"note   the test part is {splits.note}")
    print()
    shown = plain_table(f"llr{'r' * len(LENGTHS)}", "part", "class", "n", *LENGTHS)
    for name, part_described in described.items():
        for row in part_described["classes"]:
            cells = [f"{row[key]:,}" for key in ("n", *LENGTHS)]
            shown.add_row(name if len(parts) > 1 else "all", Text(printable(row["class"], 30)), *cells)
    console().print(shown)
    for name, part_described in described.items():
        for number, found in part_described.get("numbers", {}).items():
            span = f"mean {found['mean']:.6g}, from {found['min']:.6g} to {found['max']:.6g}"
            print(f"{f'{name}  ' if len(parts) > 1 else ''}{printable(number, 30)}: {span}")
    print(f"\nlengths in {splits.train.nouns.length}")
    if given.check:
        _print_check(described["train"])


def findings(part: Labelled) -> list[str]:
    """What is probably a mistake in the data, apart from what reading them warned about."""
    import numpy as np

    from gatewise.training.data_checks import different_labels, imbalance, single_rows

    problems = [single_rows(part), different_labels(part, np.arange(len(part))), imbalance(part)]
    if repeated := len(part) - len(np.unique(part.keys)):
        problems.append(f"{repeated:,} of {len(part):,} rows are equal to an earlier one")
    problems += part.input_kind.findings(part.inputs)
    return [problem for problem in problems if problem]


def _suspect_labels(part: Labelled) -> list[Any]:
    """A twentieth of the rows, at most, with the most suspect labels; none where they cannot be ranked."""
    from gatewise.training.suspect_labels import suspect_labels

    try:
        return suspect_labels(part)[: max(_LEAST, len(part) // 20)]
    except GatewiseError as error:
        print(f"gatewise: no suspect labels: {error}", file=sys.stderr)
        return []


def _print_check(described: dict[str, Any]) -> None:
    from rich.text import Text

    from gatewise.system.console import plain_table

    print()
    for one in described["findings"] or ["no finding"]:
        print(f"check  {printable(one, 500)}")
    if suspects := described["suspect_labels"]:
        print(f"check  {counted(len(suspects), 'label')} that models of the other rows find least probable, first")
        shown = plain_table("lllrr", "row", "label", "predicted", "probability", "text")
        for one in suspects[:_SHOWN]:
            names = (Text(printable(one[name], 30)) for name in ("label", "predicted"))
            shown.add_row(f"{one['row']:,}", *names, f"{one['probability']:.4f}", Text(printable(one["excerpt"], 60)))
        console().print(shown)


def _describe(part: Labelled) -> dict[str, Any]:
    import numpy as np

    lengths = np.array([len(x.split()) if isinstance(x, str) else len(x) for x in part.inputs])
    rows = []
    for k, name in enumerate(part.classes):
        own = lengths[part.target.has_class(part.labels, k)]
        percentiles = np.percentile(own, list(LENGTHS.values())) if len(own) else np.zeros(len(LENGTHS))
        rows.append({"class": name, "n": len(own), **dict(zip(LENGTHS, map(int, percentiles), strict=True))})
    described = {"source": part.source, "n": len(part), "fingerprint": part.fingerprint(), "classes": rows}
    if numbers := part.target.number_summary(part.labels):
        described["numbers"] = numbers
    return described
