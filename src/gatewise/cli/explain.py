"""`gatewise explain`: attribution per word, gates and units, and the effect of an intervention."""

from __future__ import annotations

import hashlib
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatewise.cli.arguments import (
    BundledOption,
    JsonOption,
    ModelChoice,
    argument,
    choose_model,
    names_file,
    open_model,
    option,
    refuse_folders,
    typed_command,
)
from gatewise.cli.inputs import NO_OPTIONS, TableOptions, read_data, read_lines, takes_columns
from gatewise.cli.interventions import parse_clamps, parse_replacements
from gatewise.cli.output import check_ending, console, print_json, write_file, write_svg
from gatewise.errors import DataError, InputError, counted, quote

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from gatewise.data import Labelled
    from gatewise.explain import Clamp, Example
    from gatewise.model.model import Model

# X_train[5] of the tutorial (train/neg/8203 of the archive), by the SHA-256 of its text.
_TUTORIAL_REVIEW = "c768737a3cce5f15c5b03e50c603b6c06b0aae6fef69d6d070643f75a71260e1"

_DATA = (
    "Without a text: summarise every unit over this data (the IMDB archive or its folder, a table, series) and save "
    "the summary in the model folder. With --tutorial-review: the IMDB data with that review."
)
_METHOD = (
    "Attribution method: prefix-difference, cell-decomposition, integrated-gradients or leave-one-out. "
    "Default: the one with the best faithfulness scores for this model."
)
_BASELINE = (
    "Baseline of integrated gradients: unknown, pad, zero or mean. Default: pad for texts, zero for series and for "
    "a model with pad steps."
)
_CLAMP = "Clamp a gate to a value, for example forget=1 or 37:output=0@4-10. May be repeated."
_LAYER = "Layer of --clamp, --ablate and --hold-memory, from 1. Default: for a unit the top one, else all."
_DIRECTION = "Direction of --clamp, --ablate and --hold-memory. Backward units follow the forward units. Default: both."
_TARGET = "Class, label or number to explain. Default: the predicted one; of several labels the most probable."
_AGAINST = "Class to compare with: scores for the target against this class. Default: the mean of all classes."
_REPLACE = "Replace a word (3=NEW: the word at step 3; OLD=: remove it). May be repeated."


@takes_columns("text", "label", "time", "id", "layout")
def explain(
    context: typer.Context,
    arguments: Annotated[
        list[str] | None,
        argument(
            "[MODEL] [TEXT|FILE]",
            "Model folder (default: the bundled model), and a text (- for stdin) or a file of texts or series.",
        ),
    ] = None,
    use_bundled: BundledOption = False,
    tutorial_review: Annotated[
        bool, typer.Option("--tutorial-review", help="Explain the review that the tutorial prints, train/neg/8203.")
    ] = False,
    data: Annotated[str | None, option("--data", "PATH|embedded", _DATA)] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="At most N examples of --data.")] = 1000,
    table: TableOptions = NO_OPTIONS,
    file: Annotated[str | None, option("--file", "FILE", "The same as a file as the last argument.")] = None,
    row: Annotated[int | None, option("--row", "N", "Row of the file, from 1. Default: 1.", min=1)] = None,
    method: Annotated[str | None, option("--method", "NAME", _METHOD)] = None,
    baseline: Annotated[str | None, option("--baseline", "NAME", _BASELINE)] = None,
    target: Annotated[str | None, option("--target", "CLASS", _TARGET)] = None,
    against: Annotated[str | None, option("--against", "CLASS", _AGAINST)] = None,
    unit: Annotated[
        int | None,
        option("--unit", "N", "Unit to show. Default: a clamped one, else the one with the largest effect."),
    ] = None,
    clamp: Annotated[list[str] | None, option("--clamp", "[UNIT:]GATE=VALUE[@FROM-TO]", _CLAMP)] = None,
    ablate: Annotated[
        list[str] | None, option("--ablate", "UNITS", "Ablate these units (set h to 0), for example 3,17.")
    ] = None,
    hold_memory: Annotated[
        list[str] | None, option("--hold-memory", "UNITS", "Hold the memory c of these units, for example 3,17.")
    ] = None,
    layer: Annotated[int | None, option("--layer", "N", _LAYER)] = None,
    direction: Annotated[str | None, option("--direction", "forward|backward", _DIRECTION)] = None,
    replace: Annotated[list[str] | None, option("--replace", "OLD=NEW", _REPLACE)] = None,
    compare: Annotated[str | None, option("--compare", "TEXT", "Second text, explained next to the first.")] = None,
    top: Annotated[int, typer.Option("--top", metavar="N", min=1, help="Number of words or units to list.")] = 6,
    as_json: JsonOption = False,
    svg: Annotated[str | None, option("--svg", "FILE", "Also write the output as an SVG image.")] = None,
    html: Annotated[str | None, option("--html", "FILE", "Also write a self-contained HTML report.")] = None,
) -> None:
    """Explain a prediction: attribution per word, gates per step, and the effect of an intervention.

    \b
    gatewise explain "A film to see twice."
    gatewise explain models/imdb-tutorial "A film to see twice."
    gatewise explain models/imdb-tutorial "Not a good film." --replace not=very --clamp forget=1
    gatewise explain models/imdb-tutorial --data aclImdb_v1.tar.gz
    gatewise explain models/news new.csv --text body --row 12 --target sport --against politics
    gatewise explain models/gestures new.ts --row 3
    gatewise explain models/imdb-fast - --method prefix-difference --unit 3 < review.txt
    """
    check_ending("--html", html, ".html")
    check_ending("--svg", svg, ".svg")
    choice = choose_model(arguments or [], use_bundled, max_inputs=1)
    text = next(iter(choice.inputs), None)
    model = open_model(choice.path)
    choice.report()
    options = table.of(model)
    series = options.series
    screen = console()
    marks = screen.no_color or screen.color_system is None
    clamps: list[Clamp] = []
    if clamp or ablate or hold_memory or layer is not None or direction is not None:
        clamps = parse_clamps(clamp or [], ablate or [], hold_memory or [], layer, direction)
    replacements = parse_replacements(replace) if replace else {}
    if data is not None and text is None and file is None and not tutorial_review:
        if clamps or replacements or compare or method or svg or html or target or against:
            raise InputError("--data without a text summarises units; the other options need a text")
        labelled = _sample(data, options, limit)
        _show_units(model, choice, labelled, unit, top, as_json, screen, marks)
        return
    item = _item(model, text, tutorial_review, data, file, row, options)
    from rich.console import Group
    from rich.text import Text

    from gatewise.explain.attribution import method_named
    from gatewise.explain.provenance import provenance
    from gatewise.explain.render.terminal import change_report, compare_report, explanation_report, unit_report

    source = provenance(model.fingerprint, choice.name, typed_command(context))
    footer = Text(source, style="dim")
    chosen: Any = method
    if baseline is not None:
        chosen = method_named(method or "integrated-gradients", baseline)
    example = model.trace(item)
    explanation = model.explain(example, chosen, target=target, against=against)
    example = example.with_score(explanation.score)
    if compare is not None:
        if series or clamps or replacements or unit is not None:
            raise InputError("--compare needs texts, without --clamp, --ablate, --hold-memory, --replace and --unit")
        other = model.trace(compare)
        chosen = chosen or explanation.method
        target = explanation.target  # both texts are explained by the same score
        both = [explanation, model.explain(other, chosen, target=target, against=against)]

        def page() -> str:
            from gatewise.explain.render.html import compare_page

            return compare_page([(both[0], example), (both[1], other)], source=source)

        def result() -> dict[str, Any]:
            return {"texts": [one.as_dict() for one in both]}

        def parts(marks: bool) -> list[RenderableType]:
            return [compare_report(both, words=top, marks=marks)]

    else:
        intervention = model.intervene(example, clamps, replacements) if clamps or replacements else None

        def page() -> str:
            from gatewise.explain.render.html import report_page

            return report_page(explanation, example, intervention, unit, source=source)

        def result() -> dict[str, Any]:
            found = explanation.as_dict() | _trace_json(example, example.top_unit if unit is None else unit)
            return found if intervention is None else {**found, "intervention": intervention.as_dict()}

        def parts(marks: bool) -> list[RenderableType]:
            shown: Any = {"unit": unit, "words": top, "marks": marks}
            if intervention is not None:
                return [change_report(intervention, **shown)]
            units = [unit_report(model.units, unit, marks=marks)] if unit is not None and model.units else []
            return [explanation_report(explanation, example, **shown), *units]

    if html is not None:
        write_file(html, page())
    if as_json:
        print_json({"model": choice.name, **result()})
        return

    def rendered(marks: bool) -> RenderableType:
        return Group(*(part for one in parts(marks) for part in (one, "")), footer)

    if svg is not None:
        write_svg(svg, rendered(False))
    screen.print(rendered(marks))


def _sample(data: str, options: TableOptions, limit: int) -> Labelled:
    """At most `limit` examples of the test half, or of all data where there is none; the sample is always the same."""
    import numpy as np

    splits = read_data(data, options)
    labelled = splits.test or splits.train
    if len(labelled) <= limit:
        return labelled
    return labelled.take(np.sort(np.random.default_rng(0).permutation(len(labelled))[:limit]))


def _show_units(
    model: Model,
    choice: ModelChoice,
    labelled: Labelled,
    unit: int | None,
    top: int,
    as_json: bool,
    screen: Console,
    marks: bool,
) -> None:
    """Print the summary of the units; computed once and saved in the model folder, but not in the bundled model's."""
    from dataclasses import asdict

    from gatewise.explain.render.terminal import unit_report, units_report

    report = model.units
    if report is None or report.fingerprint != labelled.fingerprint():
        print(f"gatewise: ablating each unit on {counted(len(labelled), 'example')}", file=sys.stderr)
        model = model.with_units(labelled)
        report = model.units
        if choice.path is not None:
            model.save(choice.path)
            print("gatewise: saved units.json in the model folder", file=sys.stderr)
        else:
            print("gatewise: not saved: the bundled model is read-only", file=sys.stderr)
    assert report is not None
    if as_json:
        summary: Any = report if unit is None else report.unit(unit)
        print_json({"model": choice.name, "members": model.ensemble.weights_json(), **asdict(summary)})
        return
    if note := model.ensemble.lstm_note():
        print(f"{note}\n")
    if unit is None:
        screen.print(units_report(report, count=top, marks=marks))
    else:
        screen.print(unit_report(report, unit, marks=marks))


def _item(
    model: Model,
    text: str | None,
    tutorial: bool,
    data: str | None,
    file: str | None,
    row: int | None,
    options: TableOptions,
) -> Any:
    """The text or series to explain: what was typed, or one row of a file. Raises InputError unless exactly one is
    given.
    """
    series = model.architecture.inputs == "channels"
    if sum((text is not None, tutorial, file is not None)) != 1:
        kind = "a file of series" if series else "a text (- for stdin), --tutorial-review, a file"
        raise InputError(f"give one of: {kind}; or --data alone")
    if data is not None and not tutorial:
        raise InputError("--data cannot be combined with a text; it is for --tutorial-review, or alone for units")
    refuse_folders([] if text is None else [text])
    if text is not None and (series or names_file(text)):
        file = text
    elif file == "-" and not series:
        text, file = file, None
    if file is None:
        if row is not None:
            raise InputError("--row is the number of a row in a file: give a file")
        options.check(model, ())
        if tutorial:
            return _tutorial_review(data)
        return "\n".join(read_lines(None)) if text == "-" else text
    if file != "-" and not os.path.isfile(file):
        raise InputError(f"{quote(file)}: there is no such file{'; the model reads series' * series}")
    options.check(model, [file])
    from gatewise.data.tables import is_table

    if not series and not is_table(file):
        inputs = ["\n".join(read_lines(file))]  # the content of another file is one text
    else:
        with options.rows(model, [file]) as reader:
            inputs = [one.input for one in reader]
    if not 1 <= (row or 1) <= len(inputs):
        raise InputError(f"--row must be from 1 to {len(inputs):,}, not {row}")
    return inputs[(row or 1) - 1]


def _tutorial_review(data: str | None) -> str:
    from gatewise.data import embedded_reviews, imdb

    if data is None or data == "embedded":
        texts = embedded_reviews("--tutorial-review without --data").inputs
    else:
        texts = imdb(data).train.inputs
    for text in texts:
        if hashlib.sha256(str(text).encode("utf-8", "surrogatepass")).hexdigest() == _TUTORIAL_REVIEW:
            return str(text)
    raise DataError(f"{quote(data or 'the embedded reviews')}: does not contain the tutorial's review (train/neg/8203)")


def _trace_json(example: Example, unit: int) -> dict[str, Any]:
    """What the trace adds to the JSON: logits after each step, gate statistics, and the gates of one unit."""
    gates, column = example.unit(unit)
    values = {name: getattr(gates, name)[:, column].tolist() for name in "ifgoch"}
    half_lives = [life if life < float("inf") else None for life in example.half_lives().tolist()]
    return {
        "prefix_logits": example.prefix_logits.tolist(),
        "pads": example.pads,
        "gate_shares": {gate: share._asdict() for gate, share in example.gate_shares().items()},
        "half_lives": half_lives,
        "unit": {
            "unit": unit,
            "layer": gates.layer,
            "direction": gates.direction,
            **values,
            "contributions": example.contributions[:, unit].tolist(),
        },
    }
