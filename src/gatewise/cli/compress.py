"""`gatewise compress`: a model folder of fewer bytes, and what that cost."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from gatewise.cli.common import JsonOption, LabelOption, TextOption, open_model, print_json, read_data
from gatewise.errors import printable, quote


def compress(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model folder.", show_default=False)],
    out: Annotated[str, typer.Option("-o", "--out", metavar="DIR", help="The small folder.", show_default=False)],
    storage: Annotated[
        str,
        typer.Option(
            "--storage",
            metavar="float32|float16|int8",
            help="How the large tensors are kept; int8 with one scale a row. Loaded, all are float32.",
        ),
    ] = "int8",
    words: Annotated[
        int | None,
        typer.Option(
            "--words", metavar="N", help="Keep the N most frequent words; others become unknown.", show_default=False
        ),
    ] = None,
    ngrams: Annotated[
        int | None,
        typer.Option(
            "--ngrams", metavar="N", help="Keep the N heaviest n-grams beside the network.", show_default=False
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="SOURCE",
            help="Measure on this before and after: imdb, the IMDB archive or its folder, 'embedded', a table, series.",
            show_default=False,
        ),
    ] = None,
    text: TextOption = "text",
    label: LabelOption = "label",
    as_json: JsonOption = False,
) -> None:
    """Make a model small, say how large it was and is, and with data what that cost.

    \b
    gatewise compress models/imdb-fast -o models/small
    gatewise compress models/imdb-fast -o models/small --words 20000 --data aclImdb_v1.tar.gz
    """
    from dataclasses import asdict

    from gatewise.model.compress import compress as run
    from gatewise.storage import check_target

    found = open_model(model)
    check_target(out)
    labelled = None
    if data is not None:
        splits = read_data(data, text, label)
        labelled = splits.test or splits.train
        if found.metadata.fingerprint and labelled.fingerprint() == found.metadata.fingerprint:
            print("gatewise: warning: this is the data that the model was trained on", file=sys.stderr)
        print(f"gatewise: measuring on {len(labelled):,} rows, twice", file=sys.stderr)
    made = run(found, storage, words, labelled, ngrams)
    made.save(out)
    note = made.metadata.compression
    assert note is not None
    if as_json:
        print_json({"model": model, "out": out, **asdict(note)})
        return
    for name, before, after in _rows(note):
        print(f"{name:18}  {before:>12}  {after:>12}")
    if note.n:
        print(f"{'equal verdicts':18}  {'':12}  {note.equal:>12.4f}   of {note.n:,}: {printable(note.data, 500)}")
    else:
        print("what it cost was not measured: --data measures it")
    print(f"saved to {quote(out, 200)}")


def _rows(note: Any) -> list[tuple[str, str, str]]:
    rows = [("", "before", "after"), ("bytes", f"{note.bytes_before:,}", f"{note.bytes_after:,}")]
    if note.words_after:
        rows.append(("words", f"{note.words_before:,}", f"{note.words_after:,}"))
    if note.ngrams_before:
        rows.append(("n-grams", f"{note.ngrams_before:,}", f"{note.ngrams_after:,}"))
    if note.n:
        rows.append(("accuracy", f"{note.accuracy_before:.4f}", f"{note.accuracy_after:.4f}"))
        rows.append(("calibration error", f"{note.error_before:.4f}", f"{note.error_after:.4f}"))
    return rows
