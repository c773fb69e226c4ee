"""`gatewise predict`: a label and a probability for each text or series."""

from __future__ import annotations

from typing import Annotated, Any

from gatewise.cli.arguments import (
    BundledOption,
    JsonOption,
    PrecisionOption,
    argument,
    choose_model,
    open_model,
    option,
)
from gatewise.cli.inputs import is_series, read_lines, read_series
from gatewise.cli.output import print_json
from gatewise.errors import InputError, printable


def predict(
    arguments: Annotated[
        list[str] | None,
        argument(
            "[MODEL] TEXT...",
            "Model folder (default: the bundled model) and texts; - reads one text per line from stdin.",
        ),
    ] = None,
    file: Annotated[str | None, option("--file", "FILE", "File of one text per line, or series (.ts, .npz).")] = None,
    use_bundled: BundledOption = False,
    precision: PrecisionOption = "float32",
    as_json: JsonOption = False,
) -> None:
    """Predict labels: prints one line per text with label, tab, probability.

    \b
    gatewise predict "A film to see twice."
    gatewise predict models/imdb-fast "A film to see twice." "A waste of an evening."
    gatewise predict models/imdb-fast - < reviews.txt
    gatewise predict models/gestures --file new.ts --json
    """
    if not arguments and file is None:
        raise InputError("give either texts (- for stdin) or --file")
    choice = choose_model(arguments or [], use_bundled)
    model = open_model(choice.path, precision)
    inputs = _inputs(model.architecture.inputs == "channels", choice.inputs, file)
    probabilities = model.predict_proba(inputs)
    calibrated = model.metadata.calibration is not None
    choice.report(calibrated and not as_json)
    best = probabilities.argmax(axis=1)
    if as_json:
        predictions = [
            {"label": model.classes[k], "probabilities": dict(zip(model.classes, row.tolist(), strict=True))}
            for k, row in zip(best, probabilities, strict=True)
        ]
        result = {"model": choice.name, "n": len(predictions), "calibrated": calibrated}
        print_json({**result, "predictions": predictions})
        return
    for k, row in zip(best, probabilities, strict=True):
        print(f"{printable(model.classes[k])}\t{row[k]:.4f}")


def _inputs(series: bool, texts: list[str], file: str | None) -> list[Any]:
    if (file is None) == (not texts):
        raise InputError("give either texts (- for stdin) or --file")
    if series:
        if file is None or not is_series(file):
            raise InputError("the model classifies series: give a .ts or .npz file with --file")
        return list(read_series(file).inputs)
    if file is not None:
        if is_series(file):
            raise InputError("the model classifies texts, not series")
        return read_lines(file)
    return read_lines(None) if texts == ["-"] else texts
