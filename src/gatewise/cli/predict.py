"""`gatewise predict`: a label and a probability for each text."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gatewise.cli.common import (
    JsonOption,
    ModelArgument,
    PrecisionOption,
    is_series,
    open_model,
    print_json,
    read_lines,
    read_series,
)
from gatewise.errors import InputError, printable

__all__ = ["predict"]


def predict(
    model: ModelArgument,
    texts: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT...", help="Texts; - reads stdin, a text a line.", show_default=False),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option("--file", metavar="FILE", help="A text a line, or series (.ts, .npz).", show_default=False),
    ] = None,
    precision: PrecisionOption = "float32",
    as_json: JsonOption = False,
) -> None:
    """Label texts: a line each, with the label and its probability, a tab between.

    \b
    gatewise predict models/imdb-fast "A film to see twice." "A waste of an evening."
    gatewise predict models/imdb-fast - < reviews.txt
    gatewise predict models/gestures --file new.ts --json
    """
    found = open_model(model, precision)
    inputs = _inputs(found.architecture.inputs == "channels", texts or [], file)
    probabilities = found.predict_proba(inputs)
    best = probabilities.argmax(axis=1)
    if as_json:
        predictions = [
            {"label": found.classes[k], "probabilities": dict(zip(found.classes, row.tolist(), strict=True))}
            for k, row in zip(best, probabilities, strict=True)
        ]
        print_json({"model": model, "n": len(predictions), "predictions": predictions})
        return
    for k, row in zip(best, probabilities, strict=True):
        print(f"{printable(found.classes[k])}\t{row[k]:.4f}")


def _inputs(series: bool, texts: list[str], file: str | None) -> list[Any]:
    if (file is None) == (not texts):
        raise InputError("give either texts (- for stdin) or --file")
    if series:
        if file is None or not is_series(file):
            raise InputError("the model reads series: give a .ts or .npz file with --file")
        return list(read_series(file).inputs)
    if file is not None:
        if is_series(file):
            raise InputError("the model reads texts, not series")
        return read_lines(file)
    return read_lines(None) if texts == ["-"] else texts
