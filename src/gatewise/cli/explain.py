"""`gatewise explain`: how the words moved the verdict, what the gates did, and what becomes of it under a change."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gatewise.cli.clamps import parse_clamps, parse_words
from gatewise.cli.common import (
    JsonOption,
    LabelOption,
    TextOption,
    console,
    open_model,
    print_json,
    read_lines,
    read_series,
)
from gatewise.cli.explain_units import show_units
from gatewise.cli.model_argument import BoxOption, which_model
from gatewise.cli.output_files import draw, write
from gatewise.errors import DataError, InputError, quote

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gatewise.explain import Trace


# The review that the tutorial prints as its X_train[5], by the SHA-256 of its text: train/neg/8203 of the archive.
_TUTORIAL_REVIEW = "c768737a3cce5f15c5b03e50c603b6c06b0aae6fef69d6d070643f75a71260e1"

_METHODS = "running, cell, integrated-gradients or leave-one-out.  [what this model's own deletion scores chose]"


def _option(name: str, metavar: str, help: str) -> Any:
    return typer.Option(name, metavar=metavar, help=help, show_default=False)


def explain(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL] [TEXT]",
            help="A model folder (without one, the model in the box), and a text; - reads it from stdin.",
            show_default=False,
        ),
    ] = None,
    in_box: BoxOption = False,
    tutorial_review: Annotated[
        bool, typer.Option("--tutorial-review", help="The review that the tutorial prints, train/neg/8203.")
    ] = False,
    data: Annotated[
        str | None,
        _option(
            "--data",
            "PATH|embedded",
            "Without a text: look at every unit over this data (the IMDB archive or its folder, a table, series) and "
            "keep what is found with the model. With --tutorial-review: where that review is.",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, help="How many rows of --data to look at.")
    ] = 1000,
    column: TextOption = "text",
    label: LabelOption = "label",
    file: Annotated[str | None, _option("--file", "FILE", "Series (.ts, .npz), for a model of series.")] = None,
    row: Annotated[int, typer.Option("--row", metavar="N", help="Which series of --file, from 1.")] = 1,
    method: Annotated[str | None, _option("--method", "NAME", _METHODS)] = None,
    baseline: Annotated[
        str | None,
        _option("--baseline", "NAME", "For integrated-gradients: unknown, pad, zero or mean.  [what fits the model]"),
    ] = None,
    unit: Annotated[
        int | None, _option("--unit", "N", "The unit to show.  [the one that moved the verdict most]")
    ] = None,
    clamp: Annotated[
        list[str] | None,
        _option(
            "--clamp", "[UNIT:]GATE=VALUE[@FROM-TO]", "Hold a gate, as in forget=1 or 37:output=0@4-10. Repeatable."
        ),
    ] = None,
    ablate: Annotated[
        list[str] | None, _option("--silence", "UNITS", "Let nothing hear these units, as in 3,17.")
    ] = None,
    hold_memory: Annotated[
        list[str] | None, _option("--freeze", "UNITS", "Let these units' memory stay as it is.")
    ] = None,
    layer: Annotated[
        int | None,
        _option(
            "--layer", "N", "Of --clamp, --silence and --freeze: the layer, from 1.  [of units the top one, else all]"
        ),
    ] = None,
    direction: Annotated[
        str | None,
        _option("--direction", "NAME", "Of the same: forward or backward alone; units then count within it."),
    ] = None,
    replace: Annotated[
        list[str] | None,
        _option("--replace", "OLD=NEW", "Put another word there (3=NEW: at step 3; OLD=: take it out). Repeatable."),
    ] = None,
    compare: Annotated[str | None, _option("--compare", "TEXT", "Explain another text beside it.")] = None,
    words: Annotated[int, typer.Option("--words", metavar="N", min=1, help="How many of the strongest to list.")] = 6,
    as_json: JsonOption = False,
    svg: Annotated[str | None, _option("--svg", "FILE", "Write what is shown as a picture, too.")] = None,
    page: Annotated[str | None, _option("--html", "FILE", "Write it as a page that fetches nothing, too.")] = None,
) -> None:
    """Show how each word moved the verdict, what the gates did, and what becomes of it under a change.

    \b
    gatewise explain "A film to see twice."
    gatewise explain models/imdb-tutorial "A film to see twice."
    gatewise explain models/imdb-tutorial "Not a good film." --replace not=very --clamp forget=1
    gatewise explain models/imdb-tutorial --data aclImdb_v1.tar.gz
    gatewise explain models/imdb-fast - --method running --unit 3 < review.txt
    """
    which = which_model(arguments or [], in_box, most=1)
    text = next(iter(which.rest), None)
    found = open_model(which.path)
    which.say()
    series = found.architecture.inputs == "channels"
    screen = console()
    marks = screen.no_color or screen.color_system is None
    clamps, edits = (
        parse_clamps(clamp or [], ablate or [], hold_memory or [], layer, direction),
        parse_words(replace or []),
    )
    if data is not None and text is None and file is None and not tutorial_review:
        if clamps or edits or compare or method or svg or page:
            raise InputError("--data without a text looks at the units alone: give a text for the other options")
        show_units(found, which, data, limit, column, label, unit, words, as_json, screen, marks)
        return
    item = _item(series, text, tutorial_review, data, file, row)
    from gatewise.explain.attribution.attribution import method_named
    from gatewise.explain.render.html import compare_page, report_page
    from gatewise.explain.render.terminal import moved_most, report
    from gatewise.explain.render.terminal_change import change_report, compare_report

    token_noun: Literal["word", "step"] = "step" if series else "word"
    by = method
    if baseline is not None:
        by = method_named(method or "integrated-gradients", baseline)  # type: ignore[arg-type,assignment]
    explanation = found.explain(item, by)
    if compare is not None:
        if series or clamps or edits or unit is not None:
            raise InputError("--compare is for two texts, without --clamp, --silence, --freeze, --replace and --unit")
        both = [explanation, found.explain(compare, by or explanation.method)]
        if page is not None:
            write(page, compare_page([(both[0], found.trace(item)), (both[1], found.trace(compare))]))
        if as_json:
            print_json({"model": which.name, "texts": [one.as_dict() for one in both]})
            return
        screen.print(compare_report(both, token_noun=token_noun, words=words, marks=marks))
        draw(compare_report(both, token_noun=token_noun, words=words), svg)
        return
    changed = found.intervene(item, clamps, edits) if clamps or edits else None
    trace = found.trace(item)
    if page is not None:
        write(page, report_page(explanation, trace, changed, unit))
    if as_json:
        shown = {
            "model": which.name,
            **explanation.as_dict(),
            **_more(trace, moved_most(trace) if unit is None else unit),
        }
        print_json(shown if changed is None else {**shown, "changed": changed.as_dict()})
        return

    def drawn(marks: bool) -> RenderableType:
        from rich.console import Group

        from gatewise.explain.render.terminal_units import unit_report

        if changed is not None:
            return change_report(changed, token_noun=token_noun, unit=unit, words=words, marks=marks)
        shown = report(explanation, trace, token_noun=token_noun, unit=unit, words=words, marks=marks)
        known = found.units if unit is not None else None
        return shown if known is None or unit is None else Group(shown, "", unit_report(known, unit, marks=marks))

    screen.print(drawn(marks))
    draw(drawn(False), svg)


def _item(series: bool, text: str | None, tutorial: bool, data: str | None, file: str | None, row: int) -> Any:
    if sum((text is not None, tutorial, file is not None)) != 1:
        raise InputError("give one of: a text (- for stdin), --tutorial-review, --file; or --data alone")
    if data is not None and not tutorial:
        raise InputError("--data is for --tutorial-review, or stands alone")
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
    lives = [life if life < float("inf") else None for life in trace.half_lives().tolist()]
    return {
        "logits_after": trace.logits_after.tolist(),
        "pads": trace.pads,
        "gate_shares": {gate: share._asdict() for gate, share in trace.gate_shares().items()},
        "half_lives": lives,
        "unit": {**place, **shown, "moved": trace.moves[:, unit].tolist()},
    }
