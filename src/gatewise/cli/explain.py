"""`gatewise explain`: attribution per word, gates and units, and the effect of an intervention."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from gatewise.cli.inputs import TableOptions, columns, read_data
from gatewise.cli.interventions import parse_clamps, parse_replacements
from gatewise.cli.options import (
    command,
    flag,
    input_option,
    json_option,
    model_folder,
    model_name,
    model_option,
    open_model,
    option,
    report_model,
    texts_argument,
    typed_command,
)
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
_UNIT = "Unit to show. Default: a clamped one, else the one with the largest effect."
_REPLACE = "Replace a word (3=NEW: the word at step 3; OLD=: remove it). May be repeated."


_CHANGES = "Interventions"


@command()
@texts_argument
@model_option
@input_option
@option("--row", metavar="N", type=click.IntRange(1), help="Row of the files. Default: 1.")
@option("--method", metavar="NAME", help=_METHOD)
@option("--baseline", metavar="NAME", help=_BASELINE)
@option("--target", metavar="CLASS", help=_TARGET)
@option("--against", metavar="CLASS", help=_AGAINST)
@option("--compare", metavar="TEXT", help="Second text, explained next to the first.")
@option("--top", metavar="N", type=click.IntRange(1), default=6, help="Number of words or units to list.")
@json_option
@option("--svg", metavar="FILE", help="Also write the output as an SVG image.")
@option("--html", metavar="FILE", help="Also write a self-contained HTML report.")
@flag("--tutorial-review", help="Explain the review that the tutorial prints, train/neg/8203.")
@columns("text", "label", "time", "id", "layout")
@option("--clamp", metavar="[UNIT:]GATE=VALUE[@FROM-TO]", multiple=True, group=_CHANGES, help=_CLAMP)
@option("--ablate", metavar="UNITS", multiple=True, group=_CHANGES, help="Ablate these units (set h to 0), as in 3,17.")
@option("--hold-memory", metavar="UNITS", multiple=True, group=_CHANGES, help="Hold the memory c of these units.")
@option("--layer", metavar="N", type=int, group=_CHANGES, help=_LAYER)
@option("--direction", metavar="forward|backward", group=_CHANGES, help=_DIRECTION)
@option("--replace", metavar="OLD=NEW", multiple=True, group=_CHANGES, help=_REPLACE)
@option("--data", metavar="PATH|embedded", group="Units", help=_DATA)
@option(
    "--limit", metavar="N", type=click.IntRange(1), default=1000, group="Units", help="At most N examples of --data."
)
@option("--unit", metavar="N", type=int, group="Units", help=_UNIT)
def explain(
    texts: tuple[str, ...],
    model: str | None,
    files: tuple[str, ...],
    row: int | None,
    method: str | None,
    baseline: str | None,
    target: str | None,
    against: str | None,
    compare: str | None,
    top: int,
    as_json: bool,
    svg: str | None,
    html: str | None,
    tutorial_review: bool,
    table: TableOptions,
    clamp: tuple[str, ...],
    ablate: tuple[str, ...],
    hold_memory: tuple[str, ...],
    layer: int | None,
    direction: str | None,
    replace: tuple[str, ...],
    data: str | None,
    limit: int,
    unit: int | None,
) -> None:
    """Explain a prediction: attribution per word, gates per step, and the effect of an intervention.

    \b
    gatewise explain "A film to see twice."
    gatewise explain -m models/imdb-tutorial "A film to see twice."
    gatewise explain -m models/imdb-tutorial "Not a good film." --replace not=very --clamp forget=1
    gatewise explain -m models/imdb-tutorial --data aclImdb_v1.tar.gz
    gatewise explain -m models/news -i new.csv --text body --row 12 --target sport --against politics
    gatewise explain -m models/gestures -i new.ts --row 3
    gatewise explain -m models/imdb-fast -i - --method prefix-difference --unit 3 < review.txt
    """
    check_ending("--html", html, ".html")
    check_ending("--svg", svg, ".svg")
    opened, name = open_model(model), model_name(model)
    options = table.of(opened)
    screen = console()
    marks = screen.no_color or screen.color_system is None
    clamps: list[Clamp] = []
    if clamp or ablate or hold_memory or layer is not None or direction is not None:
        clamps = parse_clamps(clamp, ablate, hold_memory, layer, direction)
    replacements = parse_replacements(replace)
    if data is not None and not (texts or files or tutorial_review):
        if clamps or replacements or compare or method or svg or html or target or against:
            raise InputError("--data without a text summarises units; the other options need a text")
        report_model(model)
        _show_units(opened, model, _sample(data, options, limit), unit, top, as_json, screen, marks)
        return
    if data is not None and not tutorial_review:
        raise InputError("--data cannot be combined with a text; it is for --tutorial-review, or alone for units")
    if tutorial_review:
        texts = (*texts, _tutorial_review(data))
    item = _item(opened, texts, files, row, options)
    report_model(model)
    from rich.console import Group
    from rich.text import Text

    from gatewise.explain.attribution import method_named
    from gatewise.explain.provenance import provenance
    from gatewise.explain.render.terminal import change_report, compare_report, explanation_report, unit_report

    source = provenance(opened.fingerprint, name, typed_command())
    footer = Text(source, style="dim")
    chosen: Any = method
    if baseline is not None:
        chosen = method_named(method or "integrated-gradients", baseline)
    example = opened.trace(item)
    explanation = opened.explain(example, chosen, target=target, against=against)
    example = example.with_score(explanation.score)
    if compare is not None:
        if opened.channels or clamps or replacements or unit is not None:
            raise InputError("--compare needs texts, without --clamp, --ablate, --hold-memory, --replace and --unit")
        other = opened.trace(compare)
        chosen = chosen or explanation.method
        target = explanation.target  # both texts are explained by the same score
        both = [explanation, opened.explain(other, chosen, target=target, against=against)]

        def page() -> str:
            from gatewise.explain.render.html import compare_page

            return compare_page([(both[0], example), (both[1], other)], source=source)

        def result() -> dict[str, Any]:
            return {"texts": [one.as_dict() for one in both]}

        def parts(marks: bool) -> list[RenderableType]:
            return [compare_report(both, words=top, marks=marks)]

    else:
        intervention = opened.intervene(example, clamps, replacements) if clamps or replacements else None

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
            units = [unit_report(opened.units, unit, marks=marks)] if unit is not None and opened.units else []
            return [explanation_report(explanation, example, **shown), *units]

    if html is not None:
        write_file(html, page())
    if as_json:
        print_json({"model": name, **result()})
        return

    def rendered(marks: bool) -> RenderableType:
        return Group(*(part for one in parts(marks) for part in (one, "")), footer)

    if svg is not None:
        write_svg(svg, rendered(False))
    screen.print(rendered(marks))


def _sample(data: str, options: TableOptions, limit: int) -> Labelled:
    """At most `limit` examples of the test half, or of all data where there is none; the sample is always the same."""
    import numpy as np

    labelled = read_data(data, options)
    if len(labelled) <= limit:
        return labelled
    return labelled.take(np.sort(np.random.default_rng(0).permutation(len(labelled))[:limit]))


def _show_units(
    model: Model,
    path: str | None,
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
        if path not in (None, "bundled"):
            model.save(model_folder(path))
            print("gatewise: saved units.json in the model folder", file=sys.stderr)
        else:
            print("gatewise: not saved: the bundled model is read-only", file=sys.stderr)
    assert report is not None
    if as_json:
        summary: Any = report if unit is None else report.unit(unit)
        print_json({"model": model_name(path), "members": model.ensemble.weights_json(), **asdict(summary)})
        return
    if note := model.ensemble.lstm_note():
        print(f"{note}\n")
    if unit is None:
        screen.print(units_report(report, count=top, marks=marks))
    else:
        screen.print(unit_report(report, unit, marks=marks))


def _item(model: Model, texts: Sequence[str], files: Sequence[str], row: int | None, options: TableOptions) -> Any:
    """The text or series to explain: the one that was typed, or a row of files. Raises InputError for another number of
    texts, or of a row that is not there.
    """
    if len(texts) > 1:
        raise InputError(f"{quote(texts[1])}: give one text, or --compare TEXT")
    if texts and row is not None:
        raise InputError("--row is the number of a row in a file: give a file with -i")
    with options.inputs(model, texts, files) as found:
        inputs = list(found)
    if (row or 1) > len(inputs):
        raise InputError(f"--row must be from 1 to {len(inputs):,}, not {row}")
    if len(inputs) > 1 and row is None:
        print(f"gatewise: row 1 of {len(inputs):,}; --row N chooses another", file=sys.stderr)
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
