"""`gatewise explain`: attribution per word, gates and units, and the effect of an intervention."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from gatewise.cli import options
from gatewise.cli.inputs import open_inputs
from gatewise.cli.options import column_option, columns, command, flag, option
from gatewise.cli.output import check_ending, console, print_json, write_file, write_svg
from gatewise.errors import DataError, InputError, counted, quote
from gatewise.model import bundled

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from gatewise.explain import Clamp, Example, Explanation
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
_STEP = "Of a tagger: the word or step whose label is explained. Default: the first one with another label than O."
_UNIT = "Unit to show. Default: a clamped one, else the one with the largest effect."
_REPLACE = "Replace a word (3=NEW: the word at step 3; OLD=: remove it). May be repeated."

_OUT = "Explain every row of the files into this table: .csv, .tsv, .jsonl (also .gz), .parquet."
_GATES: dict[str, Literal["i", "f", "g", "o"]] = {"input": "i", "forget": "f", "candidate": "g", "output": "o"}
_GATES |= {letter: letter for letter in _GATES.values()}
_CLAMPED = re.compile(r"(?:(\d{1,9}):)?([a-z]+)=([^@=]+)(?:@(\d{1,9})(?:-(\d{1,9}))?)?")
_CHANGES, _DIRECTIONS = "Interventions", click.Choice(("forward", "backward"))


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
def explain(given: Any) -> None:
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
    check_ending("--html", given.html, ".html")
    check_ending("--svg", given.svg, ".svg")
    model, name = options.open_model(given.model), options.model_name(given.model)
    clamps, replacements = parse_clamps(given), parse_replacements(given.replace)
    screen = console()
    if given.data is not None and not given.tutorial_review:
        if given.texts or given.files:
            raise InputError("--data cannot be combined with a text; it is for --tutorial-review, or alone for units")
        others = (given.compare, given.method, given.svg, given.html, given.target, given.against)
        if clamps or replacements or any(others):
            raise InputError("--data without a text summarises units; the other options need a text")
        _show_units(model, given, screen)
        return
    method: Any = given.method
    if given.baseline is not None:
        from gatewise.explain.attribution import method_named

        method = method_named(method or "integrated-gradients", given.baseline)
    if given.out is not None:
        _write(model, given, method)
        return
    if given.tutorial_review:
        given.texts += (_tutorial_review(given.data),)
    item = _item(model, given)
    options.report_model(given.model)
    from rich.console import Group
    from rich.text import Text

    from gatewise.explain.render.terminal import change_report, compare_report, explanation_report, unit_report

    source = options.provenance(model, given.model)
    example = model.example(item)
    if given.step is not None:
        if given.step > len(example):
            raise InputError(f"--step must be from 1 to {len(example):,}, not {given.step}")
        example = example.at_step(given.step - 1)
    explanation = model.explain(example, method, target=given.target, against=given.against)
    example, unit = example.with_score(explanation.score), given.unit
    intervention = model.intervene(example, clamps, replacements) if clamps or replacements else None
    both = []
    if given.compare is not None:
        if model.channels or intervention is not None or unit is not None:
            raise InputError("--compare needs texts, without --clamp, --ablate, --hold-memory, --replace and --unit")
        other = model.trace(given.compare)  # both texts are explained by the same score
        method, target = method or explanation.method, explanation.target
        both = [(explanation, example), (model.explain(other, method, target=target, against=given.against), other)]
    if given.html is not None:
        from gatewise.explain.render.html import compare_page, report_page

        page = compare_page(both, source=source) if both else None
        write_file(given.html, page or report_page(explanation, example, intervention, unit, source=source))
    if given.as_json:
        found: dict[str, Any] = {"texts": [one.as_dict() for one, _ in both]}
        if not both:
            found = explanation.as_dict() | _trace_json(example, example.top_unit if unit is None else unit)
        if intervention is not None:
            found["intervention"] = intervention.as_dict()
        print_json({"model": name, **found})
        return

    def rendered(marks: bool) -> RenderableType:
        shown: Any = {"words": given.top, "marks": marks}
        if both:
            parts = [compare_report([one for one, _ in both], **shown)]
        elif intervention is not None:
            parts = [change_report(intervention, unit=unit, **shown)]
        else:
            parts = [explanation_report(explanation, example, unit=unit, **shown)]
            parts += [unit_report(model.units, unit, marks=marks)] if unit is not None and model.units else []
        return Group(*(part for one in parts for part in (one, "")), Text(source, style="dim"))

    if given.svg is not None:
        write_svg(given.svg, rendered(False))
    screen.print(rendered(with_marks(screen)))


def _write(model: Model, given: Any, method: Any) -> None:
    """Write a table of explanations: the input columns, the prediction, tokens, attributions and their target."""
    from gatewise.cli.bulk import BulkPrediction
    from gatewise.cli.sources import table_of

    others = ("texts", "row", "compare", "clamp", "ablate", "hold_memory", "replace", "svg", "html", "as_json", "unit")
    if not given.files or given.step or any(getattr(given, name) for name in others):
        raise InputError("-o is for all rows of files: give -i FILE, and no text, row, intervention or other output")

    def explanation(one: Any) -> Explanation:
        example = model.example(one, outside=model.outside())  # the prediction of the row counts it
        return model.explain(example, method, target=given.target, against=given.against)

    outside = model.outside()
    with table_of(given, model).rows(given.files) as reader:
        bulk = BulkPrediction(model, reader, overwrite=given.overwrite, explain=explanation)
        bulk.logits = partial(model.logits, outside=outside)
        words = bulk.to_file(Path(given.out))
    options.report_model(given.model)
    options.report_outside(outside)
    print(f"gatewise: wrote {quote(given.out, 200)}: {words}", file=sys.stderr)


def with_marks(screen: Console) -> bool:
    """Whether marks replace colours."""
    return screen.no_color or screen.color_system is None


def _show_units(model: Model, given: Any, screen: Console) -> None:
    """Print the summary of the units over at most `limit` examples, a sample that is always the same; computed once
    and saved in the model folder, but not in that of a bundled model.
    """
    import numpy as np

    from gatewise.cli.sources import read_data, table_of
    from gatewise.explain.render.terminal import unit_report, units_report
    from gatewise.model.reports import with_units

    options.report_model(given.model)
    labelled = read_data(given.data, table_of(given, model))
    if len(labelled) > given.limit:
        labelled = labelled.take(np.sort(np.random.default_rng(0).permutation(len(labelled))[: given.limit]))
    report, unit = model.units, given.unit
    if report is None or report.fingerprint != labelled.fingerprint():
        print(f"gatewise: ablating each unit on {counted(len(labelled), 'example')}", file=sys.stderr)
        model = with_units(model, labelled)
        report = model.units
        if bundled.named(given.model) is not None:
            print("gatewise: not saved: the bundled model is read-only", file=sys.stderr)
        else:
            model.save(given.model)
            print("gatewise: saved units.json in the model folder", file=sys.stderr)
    assert report is not None
    if given.as_json:
        summary: Any = report if unit is None else report.unit(unit)
        print_json(
            {"model": options.model_name(given.model), "members": model.ensemble.weights_json(), **asdict(summary)}
        )
        return
    if note := model.ensemble.lstm_note():
        print(f"{note}\n")
    marks = with_marks(screen)
    one = None if unit is None else unit_report(report, unit, marks=marks)
    screen.print(one or units_report(report, count=given.top, marks=marks))


def _item(model: Model, given: Any) -> Any:
    """The text or series to explain: the one that was typed, or a row of files. Raises InputError for another number of
    texts, or of a row that is not there.
    """
    if len(given.texts) > 1:
        raise InputError(f"{quote(given.texts[1])}: give one text, or --compare TEXT")
    if given.texts and given.row is not None:
        raise InputError("--row is the number of a row in a file: give a file with -i")
    with open_inputs(model, given) as found:
        inputs = list(found)
    row = given.row or 0
    if row >= len(inputs):
        raise InputError(f"--row must be from 0 to {len(inputs) - 1:,}, not {row}")
    if len(inputs) > 1 and given.row is None:
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
            "contributions": None if example.contributions is None else example.contributions[:, unit].tolist(),
        },
    }


def parse_clamps(given: Any) -> list[Clamp]:
    """The clamps of --clamp, as in `forget=1`, `37:forget=1` and `37:f=0.5@4-10` (unit, gate, value, steps from 1), and
    of --ablate and --hold-memory, lists of units; all in --layer (from 1) and --direction. Raises InputError for a
    malformed option.
    """
    if not (given.clamp or given.ablate or given.hold_memory):
        if given.layer is not None or given.direction is not None:
            raise InputError("--layer and --direction apply only to --clamp, --ablate and --hold-memory")
        return []
    from gatewise import explain

    found = [_clamp(text) for text in given.clamp]
    for unit in _units(given.ablate, "--ablate"):
        found += explain.ablate(unit)
    for unit in _units(given.hold_memory, "--hold-memory"):
        found += explain.hold_memory(unit)
    index = None if given.layer is None else given.layer - 1
    return [replace(clamp, layer=index, direction=given.direction) for clamp in found]


def parse_replacements(replace: Sequence[str]) -> dict[int | str, str]:
    """Replacements from `not=very` (every "not"), `7=very` (step 7) and `not=` (removed)."""
    replacements: dict[int | str, str] = {}
    for text in replace:
        old, equals, new = text.partition("=")
        if not equals or not old.strip():
            raise InputError(f"--replace must be OLD=NEW or STEP=NEW, not {quote(text)}")
        key: int | str = old.strip()
        replacements[int(old) - 1 if re.fullmatch(r"[0-9]{1,9}", old.strip()) else key] = new.strip()
    return replacements


def _clamp(text: str) -> Clamp:
    from gatewise.explain import Clamp

    match = _CLAMPED.fullmatch(text.strip().lower())
    if not match or match[2] not in _GATES:
        raise InputError(
            f"--clamp must be [UNIT:]GATE=VALUE[@STEP or @FROM-TO] with GATE input, forget, candidate or output, not "
            f"{quote(text)}"
        )
    try:
        value = float(match[3])
    except ValueError:
        raise InputError(f"--clamp {quote(text)}: {quote(match[3])} is not a number") from None
    steps = None
    if match[4]:
        first, last = int(match[4]), int(match[5] or match[4])
        if not 1 <= first <= last:
            raise InputError(f"--clamp {quote(text)}: steps count from 1 and must be in order")
        steps = range(first - 1, last)
    return Clamp(_GATES[match[2]], value, None if match[1] is None else int(match[1]), steps)


def _units(texts: Sequence[str], option: str) -> list[int]:
    units = []
    for part in ",".join(texts).split(",") if texts else []:
        if not re.fullmatch(r"[0-9]{1,9}", part.strip()):
            raise InputError(f"{option} must be unit numbers such as 3 or 3,17, not {quote(part)}")
        units.append(int(part))
    return units
