"""`gatewise compress`: a smaller copy of a model folder, and what the compression costs."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from gatewise.cli.arguments import JsonOption, ModelArgument, open_model, option
from gatewise.cli.inputs import NO_OPTIONS, TableOptions, read_data, takes_columns
from gatewise.cli.output import check_model_folder, print_json
from gatewise.errors import counted, printable, quote

_STORAGE = "Storage type of large tensors; int8 has one scale per row. Loading converts to float32."
_DATA = (
    "Data to measure accuracy on, before and after: imdb, the IMDB archive or its folder, 'embedded', a table, or "
    "series. Default: not measured."
)


@takes_columns("text", "label")
def compress(
    model: ModelArgument,
    out: Annotated[str, option("--out", "DIR", "Output folder.", "-o")],
    storage: Annotated[str, typer.Option("--storage", metavar="float32|float16|int8", help=_STORAGE)] = "int8",
    vocab_size: Annotated[
        int | None,
        option(
            "--vocab-size",
            "N",
            "Vocabulary size, padding and unknown included; rare words become unknown. Default: all.",
        ),
    ] = None,
    distinct_embeddings: Annotated[
        int | None,
        option(
            "--distinct-embeddings",
            "N",
            "Embeddings to keep, padding and unknown included; rare words take the nearest one. Default: all.",
        ),
    ] = None,
    max_ngrams: Annotated[
        int | None, option("--max-ngrams", "N", "Keep the N n-grams with the largest weights. Default: all.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the model in the output folder.")] = False,
    data: Annotated[str | None, option("--data", "SOURCE", _DATA)] = None,
    table: TableOptions = NO_OPTIONS,
    as_json: JsonOption = False,
) -> None:
    """Compress a model: quantise weights, share embeddings, prune the vocabulary and n-grams.

    Reports sizes and, with --data, accuracy.

    \b
    gatewise compress models/imdb-fast -o models/small
    gatewise compress models/imdb-fast -o models/small --distinct-embeddings 8000 --data aclImdb_v1.tar.gz
    """
    from dataclasses import asdict

    from gatewise.model.compress import compress as run

    original = open_model(model)
    check_model_folder(out, overwrite)
    labelled = None
    if data is not None:
        splits = read_data(data, table.of(original))
        labelled = splits.test or splits.train
        if original.metadata.fingerprint and labelled.fingerprint() == original.metadata.fingerprint:
            print("gatewise: warning: the model was trained on this data", file=sys.stderr)
        print(f"gatewise: evaluating on {counted(len(labelled), 'example')} before and after", file=sys.stderr)
    small = run(original, storage, vocab_size, labelled, max_ngrams, distinct_embeddings)
    small.save(out)
    report = small.metadata.compression
    assert report is not None
    if as_json:
        print_json({"model": model, "out": out, **asdict(report)})
        return
    for name, before, after in _rows(report):
        print(f"{name:18}  {before:>12}  {after:>12}")
    if report.n:
        print(f"measured on {report.n:,}: {printable(report.data, 500)}")
    else:
        print("accuracy not measured: give labelled data with --data")
    print(f"saved to {quote(out, 200)}")


def _rows(report: Any) -> list[tuple[str, str, str]]:
    rows = [("", "before", "after"), ("bytes", f"{report.bytes_before:,}", f"{report.bytes_after:,}")]
    if report.vocab_after:
        rows.append(("vocabulary", f"{report.vocab_before:,}", f"{report.vocab_after:,}"))
    if report.embeddings_after:
        rows.append(("embeddings", f"{report.embeddings_before:,}", f"{report.embeddings_after:,}"))
    if report.ngrams_before:
        rows.append(("n-grams", f"{report.ngrams_before:,}", f"{report.ngrams_after:,}"))
    if report.n:
        short = {"expected calibration error": "calibration error", "agreement of the predictions": "equal predictions"}
        rows += [(short.get(name, name), before, after) for name, before, after in report.measured]
    return rows
