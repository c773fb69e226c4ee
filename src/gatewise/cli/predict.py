"""`gatewise predict`: a label and a probability for each text."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gatewise.cli.common import (
    JsonOption,
    PrecisionOption,
    is_series,
    open_model,
    print_json,
    read_lines,
    read_series,
)
from gatewise.cli.model_argument import BoxOption, which_model
from gatewise.errors import InputError, printable


def predict(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL] TEXT...",
            help="A model folder (without one, the model in the box), and texts; - reads stdin, a text a line.",
            show_default=False,
        ),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option("--file", metavar="FILE", help="A text a line, or series (.ts, .npz).", show_default=False),
    ] = None,
    in_box: BoxOption = False,
    precision: PrecisionOption = "float32",
    as_json: JsonOption = False,
) -> None:
    """Label texts: a line each, with the label and its probability, a tab between.

    \b
    gatewise predict "A film to see twice."
    gatewise predict models/imdb-fast "A film to see twice." "A waste of an evening."
    gatewise predict models/imdb-fast - < reviews.txt
    gatewise predict models/gestures --file new.ts --json
    """
    if not arguments and file is None:
        raise InputError("give either texts (- for stdin) or --file")
    which = which_model(arguments or [], in_box)
    found = open_model(which.path, precision)
    inputs = _inputs(found.architecture.inputs == "channels", which.rest, file)
    probabilities = found.predict_proba(inputs)
    calibrated = found.metadata.calibrated is not None
    which.say(calibrated and not as_json)
    best = probabilities.argmax(axis=1)
    if as_json:
        predictions = [
            {"label": found.classes[k], "probabilities": dict(zip(found.classes, row.tolist(), strict=True))}
            for k, row in zip(best, probabilities, strict=True)
        ]
        shown = {"model": which.name, "n": len(predictions), "calibrated": calibrated}
        print_json({**shown, "predictions": predictions})
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
