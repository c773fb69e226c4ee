"""`gatewise compress`: a smaller copy of a model folder, and what the compression costs."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from gatewise.cli import options
from gatewise.cli.options import columns, command, option
from gatewise.cli.output import check_overwrite, print_json
from gatewise.cli.sources import read_data, table_of, warn_of_training_data
from gatewise.errors import counted, printable, quote

_STORAGE = "Storage type of large tensors; int8 has one scale per row. Loading converts to float32."
_VOCABULARY = "Vocabulary size, padding and unknown included; rare words become unknown. Default: all."
_EMBEDDINGS = "Embeddings to keep, padding and unknown included; rare words take the nearest one. Default: all."
DATA = (
    "Data to measure accuracy on, before and after: imdb, the IMDB archive or its folder, 'embedded', a table, or "
    "series. Default: not measured."
)


@command()
@options.model_option
@option("-o", "--out", metavar="DIR", required=True, help="Output folder.")
@option("--storage", default="int8", metavar="float32|float16|int8", help=_STORAGE)
@option("--vocab-size", metavar="N", type=int, help=_VOCABULARY)
@option("--distinct-embeddings", metavar="N", type=int, help=_EMBEDDINGS)
@option("--max-ngrams", metavar="N", type=int, help="Keep the N n-grams with the largest weights. Default: all.")
@options.overwrite_option
@option("--data", metavar="SOURCE", help=DATA)
@options.json_option
@columns("text", "label")
def compress(args: Any) -> None:
    """Compress a model: quantise weights, share embeddings, prune the vocabulary and n-grams.

    Reports sizes and, with --data, accuracy.

    \b
    gatewise compress -m models/imdb-fast -o models/small
    gatewise compress -m models/imdb-fast -o models/small --distinct-embeddings 8000 --data aclImdb_v1.tar.gz
    """
    from gatewise.model.compress import compress as run

    original = options.open_model(args.model)
    check_overwrite(args.out, args.overwrite, folder=True)
    data = measured_data(args, original)
    small = run(original, args.storage, args.vocab_size, data, args.max_ngrams, args.distinct_embeddings)
    small.save(args.out)
    report = small.metadata.compression
    assert report is not None
    if args.as_json:
        print_json({"model": options.model_name(args.model), "out": args.out, **asdict(report)})
        return
    rows = [("bytes", f"{report.bytes_before:,}", f"{report.bytes_after:,}")]
    if report.vocab_before:
        rows.append(("vocabulary", f"{report.vocab_before:,}", f"{report.vocab_after:,}"))
    if report.embeddings_before:
        rows.append(("embeddings", f"{report.embeddings_before:,}", f"{report.embeddings_after:,}"))
    if report.ngrams_before:
        rows.append(("n-grams", f"{report.ngrams_before:,}", f"{report.ngrams_after:,}"))
    print_effect(report, rows)
    print(f"saved to {quote(args.out, 200)}")


def measured_data(args: Any, model: Any) -> Any:
    """The rows of --data, on which the model and its compressed copy are measured; None without --data."""
    if args.data is None:
        return None
    labelled = read_data(args.data, table_of(args, model))
    warn_of_training_data(model, labelled)
    print(f"gatewise: evaluating on {counted(len(labelled), 'example')} before and after", file=sys.stderr)
    return labelled


def print_effect(report: Any, rows: Sequence[tuple[str, str, str]] = ()) -> None:
    """Print what a compression changed: the rows, and the figures that were measured."""
    short_names = {
        "expected calibration error": "calibration error",
        "agreement of the predictions": "equal predictions",
    }
    rows = list(rows)
    for name, before, after in report.measured:
        rows.append((short_names.get(name, name), before, after))
    if rows:
        rows.insert(0, ("", "before", "after"))
    for name, before, after in rows:
        print(f"{name:18}  {before:>12}  {after:>12}")
    if report.n:
        print(f"measured on {report.n:,}: {printable(report.data, 500)}")
    else:
        print("accuracy not measured: give labelled data with --data")
