"""`gatewise explain`: how the words moved the verdict, and what the gates of one unit did."""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gatewise.cli.common import JsonOption, ModelArgument, console, open_model, print_json, read_lines, read_series
from gatewise.errors import DataError, InputError, quote

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gatewise.glassbox import Trace

__all__ = ["explain"]

# The review that the tutorial prints as its X_train[5], by the SHA-256 of its text: train/neg/8203 of the archive.
_TUTORIAL_REVIEW = "c768737a3cce5f15c5b03e50c603b6c06b0aae6fef69d6d070643f75a71260e1"


def explain(
    model: ModelArgument,
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="A text; - reads it from stdin.", show_default=False)
    ] = None,
    tutorial_review: Annotated[
        bool, typer.Option("--tutorial-review", help="The review that the tutorial prints, train/neg/8203.")
    ] = False,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="PATH|embedded",
            help="Where that review is: the official archive or its folder; else the embedded reviews.",
            show_default=False,
        ),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option("--file", metavar="FILE", help="Series (.ts, .npz), for a model of series.", show_default=False),
    ] = None,
    row: Annotated[int, typer.Option("--row", metavar="N", help="Which series of --file, from 1.")] = 1,
    method: Annotated[
        str | None,
        typer.Option(
            "--method", metavar="NAME", help="running or leave-one-out.  [what fits the model]", show_default=False
        ),
    ] = None,
    unit: Annotated[
        int | None,
        typer.Option(
            "--unit", metavar="N", help="The unit to show.  [the one that moved the verdict most]", show_default=False
        ),
    ] = None,
    words: Annotated[int, typer.Option("--words", metavar="N", min=1, help="How many of the strongest to list.")] = 6,
    as_json: JsonOption = False,
    svg: Annotated[
        str | None,
        typer.Option("--svg", metavar="FILE", help="Write what is shown as a picture, too.", show_default=False),
    ] = None,
) -> None:
    """Show how each word moved the verdict, and what the gates of one unit did.

    \b
    gatewise explain models/imdb-tutorial "A film to see twice."
    gatewise explain models/imdb-tutorial --tutorial-review --svg review.svg
    gatewise explain models/imdb-fast - --method running --unit 3 < review.txt
    """
    found = open_model(model)
    series = found.architecture.inputs == "channels"
    item = _item(series, text, tutorial_review, data, file, row)
    explanation, trace = found.explain(item, method), found.trace(item)
    from gatewise.glassbox.report import moved_most, report

    if as_json:
        print_json(
            {"model": model, **explanation.as_dict(), **_more(trace, moved_most(trace) if unit is None else unit)}
        )
        return
    screen = console()
    marks = screen.no_color or screen.color_system is None
    thing: Literal["word", "step"] = "step" if series else "word"
    screen.print(report(explanation, trace, thing=thing, unit=unit, words=words, marks=marks))
    if svg is not None:
        _draw(report(explanation, trace, thing=thing, unit=unit, words=words), svg)


def _item(series: bool, text: str | None, tutorial: bool, data: str | None, file: str | None, row: int) -> Any:
    if sum((text is not None, tutorial, file is not None)) != 1:
        raise InputError("give one of: a text (- for stdin), --tutorial-review, --file")
    if data is not None and not tutorial:
        raise InputError("--data is for --tutorial-review")
    if series != (file is not None):
        raise InputError(
            "the model reads series: give a .ts or .npz file with --file"
            if series
            else "--file is for a model of series"
        )
    if file is not None:
        inputs = read_series(file).inputs
        if not 1 <= row <= len(inputs):
            raise InputError(f"--row must be from 1 to {len(inputs)}, not {row}")
        return inputs[row - 1]
    if tutorial:
        return _tutorial_review(data)
    return "\n".join(read_lines(None)) if text == "-" else text


def _tutorial_review(data: str | None) -> str:
    from gatewise.data import embedded_reviews, imdb

    if data is None or data == "embedded":
        texts = embedded_reviews("--tutorial-review without --data").inputs
    else:
        texts = imdb(data).train.inputs
    for text in texts:
        if hashlib.sha256(str(text).encode("utf-8", "surrogatepass")).hexdigest() == _TUTORIAL_REVIEW:
            return str(text)
    raise DataError(f"{quote(data or 'the embedded reviews')}: the tutorial's review (train/neg/8203) is not there")


def _more(trace: Trace, unit: int) -> dict[str, Any]:
    gates, column = trace.top(unit)
    shown = {name: getattr(gates, name)[:, column].tolist() for name in "ifgoch"}
    place = {"unit": unit, "layer": gates.layer, "direction": gates.direction}
    return {
        "logits_after": trace.logits_after.tolist(),
        "pads": trace.pads,
        "gate_shares": {gate: share._asdict() for gate, share in trace.gate_shares().items()},
        "unit": {**place, **shown, "moved": trace.moves[:, unit].tolist()},
    }


def _draw(shown: RenderableType, path: str) -> None:
    import io

    from rich.console import Console

    screen = Console(
        record=True,
        width=100,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        no_color=False,
        highlight=False,
    )
    screen.print(shown)
    picture = re.sub(r"@font-face *{[^}]*}", "", screen.export_svg(title="gatewise explain"))  # they are on a CDN
    try:
        Path(path).write_text(picture, encoding="utf-8")
    except OSError as error:
        raise DataError(f"{quote(path)}: cannot be written: {error.strerror}") from None
    print(f"gatewise: wrote {quote(path)}", file=sys.stderr)
