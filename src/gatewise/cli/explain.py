"""`gatewise explain`: attribution per word, gates and units, and the effect of an intervention."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gatewise.cli import options
from gatewise.cli.inputs import open_inputs
from gatewise.cli.options import column_option, columns, command, flag, option
from gatewise.cli.output import check_ending, console, print_json, write_file, write_svg
from gatewise.errors import DataError, InputError, counted, quote
from gatewise.model import bundled

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from gatewise.explain import Clamp, Example, Explanation, Intervention
    from gatewise.members.recurrent_layer import CellName, RecurrentLayer
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
_LAYER = "Layer of --clamp, --ablate and --hold-memory, from 1. Default: the top layer for a unit, otherwise all."
_DIRECTION = "Direction of --clamp, --ablate and --hold-memory. Default: both; backward units follow the forward units."
_TARGET = "Class, label or number to explain. Default: the predicted one; with several labels the most probable."
_AGAINST = "Class to compare with: the scores are for the target against this class. Default: the mean of all classes."
_STEP = "Word or step whose label is explained, for a tagger. Default: the first one with a label other than O."
_UNIT = "Unit to show. Default: a clamped unit, otherwise the unit with the largest effect."
_REPLACE = "Replace a word (3=NEW: the word at step 3; OLD=: remove it). May be repeated."

_OUT = "Explain every row of the files into this table: .csv, .tsv, .jsonl (also .gz), .parquet."
_GATES: dict[str, Any] = {"input": "i", "forget": "f", "candidate": "g", "output": "o"}
_GATES |= {"reset": "r", "update": "z"} | {letter: letter for letter in "ifgorzn"}
_CLAMPED = re.compile(r"(?:(\d{1,9}):)?([a-z]+)=([^@=]+)(?:@(\d{1,9})(?:-(\d{1,9}))?)?")
_CHANGES = "Interventions"
_DIRECTIONS = click.Choice(("forward", "backward"))


@command()
@options.texts_argument
@options.model_option
@options.input_option
@column_option
@option("--row", metavar="N", type=click.IntRange(0), help="Row of the files, from 0. Default: 0.")
@option("--method", metavar="NAME", help=_METHOD)
@option("--baseline", metavar="NAME", help=_BASELINE)
@option("--target", metavar="CLASS", help=_TARGET)
@option("--against", metavar="CLASS", help=_AGAINST)
@option("--step", metavar="N", type=click.IntRange(1), help=_STEP)
@option("--compare", metavar="TEXT", help="Second text, explained next to the first.")
@option("--top", metavar="N", type=click.IntRange(1), default=6, help="Number of words or units to list.")
@options.json_option
@option("-o", "--out", metavar="FILE", help=_OUT)
@flag("--overwrite", help="Replace the table of -o if it exists.")
@option("--svg", metavar="FILE", help="Also write the output as an SVG image.")
@option("--html", metavar="FILE", help="Also write a self-contained HTML report.")
@flag("--tutorial-review", help="Explain the review that the tutorial prints, train/neg/8203.")
@columns("text", "label", "time", "id", "layout")
@option("--clamp", metavar="[UNIT:]GATE=VALUE[@FROM-TO]", multiple=True, group=_CHANGES, help=_CLAMP)
@option("--ablate", metavar="UNITS", multiple=True, group=_CHANGES, help="Ablate these units (set h to 0), as in 3,17.")
@option("--hold-memory", metavar="UNITS", multiple=True, group=_CHANGES, help="Hold the memory c of these units.")
@option("--layer", metavar="N", type=click.IntRange(1), group=_CHANGES, help=_LAYER)
@option("--direction", metavar="forward|backward", type=_DIRECTIONS, group=_CHANGES, help=_DIRECTION)
@option("--replace", metavar="OLD=NEW", multiple=True, group=_CHANGES, help=_REPLACE)
@option("--data", metavar="PATH|embedded", group="Units", help=_DATA)
@option(
    "--limit", metavar="N", type=click.IntRange(1), default=1000, group="Units", help="At most N examples of --data."
)
@option("--unit", metavar="N", type=int, group="Units", help=_UNIT)
def explain(args: Any) -> None:
    """Explain a prediction: attribution per word, gates per step, and the effect of an intervention.

    \b
    gatewise explain "A warm, funny and honest film."
    gatewise explain -m models/imdb-tutorial "A warm, funny and honest film."
    gatewise explain -m models/imdb-tutorial "Not a good film." --replace not=very --clamp forget=1
    gatewise explain -m models/imdb-tutorial --data aclImdb_v1.tar.gz
    gatewise explain -m models/news -i new.csv --text body --row 12 --target sport --against politics
    gatewise explain -m models/news -i new.csv -o explained.jsonl
    gatewise explain -m models/gestures -i new.ts --row 3
    gatewise explain -m models/imdb-fast -i - --method prefix-difference --unit 3 < review.txt
    """
    check_ending("--html", args.html, ".html")
    check_ending("--svg", args.svg, ".svg")
    model = options.open_model(args.model)
    clamps = parse_clamps(args, model.ensemble.network.layers)
    replacements = parse_replacements(args.replace)
    if args.data is not None and not args.tutorial_review:
        if args.texts or args.files:
            raise InputError("--data cannot be combined with a text; it is for --tutorial-review, or alone for units")
        others = (args.compare, args.method, args.svg, args.html, args.target, args.against)
        if clamps or replacements or any(others):
            raise InputError("--data without a text summarises units; the other options need a text")
        _show_units(model, args)
        return
    method: Any = args.method
    if args.baseline is not None:
        from gatewise.explain.attribution import method_named

        method = method_named(method or "integrated-gradients", args.baseline)
    if args.out is not None:
        _write(model, args, method)
        return
    if args.tutorial_review:
        args.texts += (_tutorial_review(args.data),)
    item = _item(model, args)
    options.report_model(args.model)
    example = model.example(item)
    if args.step is not None:
        if args.step > len(example):
            raise InputError(f"--step must be from 1 to {len(example):,}, not {args.step}")
        example = example.at_step(args.step - 1)
    explanation = model.explain(example, method, target=args.target, against=args.against)
    example = example.with_score(explanation.score)
    if args.compare is not None:
        if model.channels or clamps or replacements or args.unit is not None:
            raise InputError("--compare needs texts, without --clamp, --ablate, --hold-memory, --replace and --unit")
        # By the same method and for the same target, or the scores could not be compared.
        other = model.trace(args.compare)
        other_explanation = model.explain(
            other, method or explanation.method, target=explanation.target, against=args.against
        )
        _show_comparison(model, args, [(explanation, example), (other_explanation, other)])
        return
    intervention = None
    if clamps or replacements:
        intervention = model.intervene(example, clamps, replacements)
    _show_explanation(model, args, explanation, example, intervention)


def _show_explanation(
    model: Model, args: Any, explanation: Explanation, example: Example, intervention: Intervention | None
) -> None:
    """Write and print an explanation, or what an intervention changes."""
    from gatewise.explain.render.html import report_page
    from gatewise.explain.render.terminal import change_report, explanation_report, unit_report

    source = options.provenance(model, args.model)
    unit = args.unit
    if args.html is not None:
        write_file(args.html, report_page(explanation, example, intervention, unit, source=source))
    if args.as_json:
        result = explanation.as_dict() | _trace_json(example, unit)
        if intervention is not None:
            result["intervention"] = intervention.as_dict()
        print_json({"model": options.model_name(args.model), **result})
        return

    def reports(marks: bool) -> list[RenderableType]:
        if intervention is not None:
            return [change_report(intervention, unit=unit, words=args.top, marks=marks)]
        reports: list[RenderableType] = [
            explanation_report(explanation, example, unit=unit, words=args.top, marks=marks)
        ]
        if unit is not None and model.units is not None:
            reports.append(unit_report(model.units, unit, marks=marks))
        return reports

    _print(args, source, reports)


def _show_comparison(model: Model, args: Any, explained: list[tuple[Explanation, Example]]) -> None:
    """Write and print the explanations of two texts."""
    from gatewise.explain.render.html import compare_page
    from gatewise.explain.render.terminal import compare_report

    source = options.provenance(model, args.model)
    explanations = [explanation for explanation, _ in explained]
    if args.html is not None:
        write_file(args.html, compare_page(explained, source=source))
    if args.as_json:
        texts = [explanation.as_dict() for explanation in explanations]
        print_json({"model": options.model_name(args.model), "texts": texts})
        return
    _print(args, source, lambda marks: [compare_report(explanations, words=args.top, marks=marks)])


def _print(args: Any, source: str, reports: Callable[[bool], list[RenderableType]]) -> None:
    """Print reports to the terminal, and with --svg draw them. reports: a function of whether marks replace colours."""
    from rich.console import Group
    from rich.text import Text

    def page(marks: bool) -> RenderableType:
        lines: list[RenderableType] = []
        for report in reports(marks):
            lines += [report, ""]
        return Group(*lines, Text(source, style="dim"))

    if args.svg is not None:
        write_svg(args.svg, page(False))
    screen = console()
    screen.print(page(with_marks(screen)))


def _write(model: Model, args: Any, method: Any) -> None:
    """Write a table of explanations: the input columns, the prediction, tokens, attributions and their target."""
    from gatewise.cli.bulk import BulkPrediction
    from gatewise.cli.sources import table_of

    others = ("texts", "row", "compare", "clamp", "ablate", "hold_memory", "replace", "svg", "html", "as_json", "unit")
    if not args.files or args.step or any(getattr(args, name) for name in others):
        raise InputError("-o is for all rows of files: give -i FILE, and no text, row, intervention or other output")

    def explanation(item: Any) -> Explanation:
        # A counter of its own: `bulk.logits` counts the row already.
        example = model.example(item, outside=model.outside())
        return model.explain(example, method, target=args.target, against=args.against)

    outside = model.outside()
    with table_of(args, model).rows(args.files) as reader:
        bulk = BulkPrediction(model, reader, overwrite=args.overwrite, explain=explanation)
        bulk.logits = partial(model.logits, outside=outside)
        words = bulk.to_file(Path(args.out))
    options.report_model(args.model)
    options.report_outside(outside)
    print(f"gatewise: wrote {quote(args.out, 200)}: {words}", file=sys.stderr)


def with_marks(screen: Console) -> bool:
    """Whether marks replace colours."""
    return screen.no_color or screen.color_system is None


def _show_units(model: Model, args: Any) -> None:
    """Print the summary of the units over at most --limit examples, a fixed sample. It is computed once and saved in
    the model folder, except in that of a bundled model.
    """
    import numpy as np

    from gatewise.cli.sources import read_data, table_of
    from gatewise.explain.render.terminal import unit_report, units_report
    from gatewise.model.reports import with_units

    options.report_model(args.model)
    labelled = read_data(args.data, table_of(args, model))
    if len(labelled) > args.limit:
        sample = np.random.default_rng(0).permutation(len(labelled))[: args.limit]
        labelled = labelled.take(np.sort(sample))
    report = model.units
    if report is None or report.fingerprint != labelled.fingerprint():
        print(f"gatewise: ablating each unit on {counted(len(labelled), 'example')}", file=sys.stderr)
        model = with_units(model, labelled)
        report = model.units
        if bundled.named(args.model) is not None:
            print("gatewise: not saved: the bundled model is read-only", file=sys.stderr)
        else:
            model.save(args.model)
            print("gatewise: saved units.json in the model folder", file=sys.stderr)
    assert report is not None
    if args.as_json:
        summary: Any = report
        if args.unit is not None:
            summary = report.unit(args.unit)
        print_json(
            {"model": options.model_name(args.model), "members": model.ensemble.weights_json(), **asdict(summary)}
        )
        return
    if note := model.ensemble.lstm_note():
        print(f"{note}\n")
    screen = console()
    marks = with_marks(screen)
    if args.unit is None:
        screen.print(units_report(report, count=args.top, marks=marks))
    else:
        screen.print(unit_report(report, args.unit, marks=marks))


def _item(model: Model, args: Any) -> Any:
    """The text or series to explain: the typed text, or a row of files. Raises InputError for several texts, and for a
    row that does not exist.
    """
    if len(args.texts) > 1:
        raise InputError(f"{quote(args.texts[1])}: give one text, or --compare TEXT")
    if args.texts and args.row is not None:
        raise InputError("--row is the number of a row in a file: give a file with -i")
    with open_inputs(model, args) as items:
        inputs = list(items)
    row = args.row or 0
    if row >= len(inputs):
        raise InputError(f"--row must be from 0 to {len(inputs) - 1:,}, not {row}")
    if len(inputs) > 1 and args.row is None:
        print(f"gatewise: row 0 of {len(inputs):,}; --row N chooses another", file=sys.stderr)
    return inputs[row]


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


def _trace_json(example: Example, unit: int | None) -> dict[str, Any]:
    """What the trace adds to the JSON: logits after each step, gate statistics, and the gates of one unit, by
    default of the one with the largest effect; null of a network without units.
    """
    of_steps = {"prefix_logits": example.prefix_logits.tolist(), "pads": example.pads}
    if not example.network.layers:
        return {**of_steps, "gate_shares": {}, "half_lives": [], "unit": None}
    if unit is None:
        unit = example.top_unit
    gates, column = example.unit(unit)
    values = {name: getattr(gates, name)[:, column].tolist() for name in gates.names}
    half_lives = [life if life < float("inf") else None for life in example.half_lives().tolist()]
    contributions = None
    if example.contributions is not None:
        contributions = example.contributions[:, unit].tolist()
    return {
        **of_steps,
        "gate_shares": {gate: share._asdict() for gate, share in example.gate_shares().items()},
        "half_lives": half_lives,
        "unit": {
            "unit": unit,
            "layer": gates.layer,
            "direction": gates.direction,
            **values,
            "contributions": contributions,
        },
    }


def parse_clamps(args: Any, layers: Sequence[RecurrentLayer] = ()) -> list[Clamp]:
    """The clamps of --clamp, as in `forget=1`, `37:forget=1` and `37:f=0.5@4-10` (unit, gate, value, steps from 1), and
    of --ablate and --hold-memory, which are lists of units. All are in --layer (from 1) and --direction. layers: of the
    network. Raises InputError for a malformed option.
    """
    if not (args.clamp or args.ablate or args.hold_memory):
        if args.layer is not None or args.direction is not None:
            raise InputError("--layer and --direction apply only to --clamp, --ablate and --hold-memory")
        return []
    from gatewise import explain

    cell: CellName = "LSTM"
    if layers:
        chosen = len(layers) if args.layer is None else min(args.layer, len(layers))
        cell = layers[chosen - 1].cell
    clamps = [_clamp(text) for text in args.clamp]
    for unit in _units(args.ablate, "--ablate"):
        clamps += explain.ablate(unit, cell=cell)
    for unit in _units(args.hold_memory, "--hold-memory"):
        clamps += explain.hold_memory(unit)
    layer = None
    if args.layer is not None:
        layer = args.layer - 1
    return [replace(clamp, layer=layer, direction=args.direction) for clamp in clamps]


def parse_replacements(replace: Sequence[str]) -> dict[int | str, str]:
    """Replacements from `not=very` (every "not"), `7=very` (step 7) and `not=` (removed)."""
    replacements: dict[int | str, str] = {}
    for text in replace:
        old, equals, new = text.partition("=")
        old = old.strip()
        if not equals or not old:
            raise InputError(f"--replace must be OLD=NEW or STEP=NEW, not {quote(text)}")
        if re.fullmatch(r"[0-9]{1,9}", old):
            replacements[int(old) - 1] = new.strip()
        else:
            replacements[old] = new.strip()
    return replacements


def _clamp(text: str) -> Clamp:
    from gatewise.explain import Clamp

    match = _CLAMPED.fullmatch(text.strip().lower())  # unit, gate, value, first step, last step
    if not match or match[2] not in _GATES:
        raise InputError(
            f"--clamp must be [UNIT:]GATE=VALUE[@STEP or @FROM-TO] with GATE input, forget, candidate or output, of a "
            f"GRU reset, update or n, not {quote(text)}"
        )
    try:
        value = float(match[3])
    except ValueError:
        raise InputError(f"--clamp {quote(text)}: {quote(match[3])} is not a number") from None
    unit = None
    if match[1] is not None:
        unit = int(match[1])
    steps = None
    if match[4]:
        first = int(match[4])
        last = int(match[5] or match[4])
        if not 1 <= first <= last:
            raise InputError(f"--clamp {quote(text)}: steps count from 1 and must be in order")
        steps = range(first - 1, last)
    return Clamp(_GATES[match[2]], value, unit, steps)


def _units(texts: Sequence[str], option: str) -> list[int]:
    """The units of an option, as in 3,17; an option that repeats adds to the list."""
    units = []
    for text in texts:
        for number in text.split(","):
            if not re.fullmatch(r"[0-9]{1,9}", number.strip()):
                raise InputError(f"{option} must be unit numbers such as 3 or 3,17, not {quote(number)}")
            units.append(int(number))
    return units
