"""Explanations, examples and interventions as HTML: a self-contained page, or a fragment for a notebook.

The page holds its data as JSON and the page's JavaScript modules as one script. Its content security policy allows that
script and that style by their hashes and nothing else, so the page loads nothing. Without JavaScript it shows
`plain_table`. In a notebook the page runs in a sandboxed frame, which cannot reach the notebook.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from gatewise.errors import InputError
from gatewise.explain.example import Example
from gatewise.explain.explanation import Explanation
from gatewise.explain.intervene import Intervention
from gatewise.explain.render.html_shell import html_shell, html_table, read_page_file, safe_text
from gatewise.explain.score import prediction_text, score_text, sum_text
from gatewise.explain.serialize import intervention_json, report_json

_IMPORT = re.compile(r'^import \{ ([^}]+) \} from "\./([a-z]+)\.js";$')
_DYNAMIC_IMPORT = re.compile(r'import\("\./([a-z]+)\.js"\)')
_MAX_WORD = 60  # characters of a word that are shown
_EXPORT = re.compile(r"^export (?:async )?(?:function|const|class) (\w+)")
# A notebook cannot look into the sandboxed frame, so the page in it reports its height (report.js). A notebook that
# runs no scripts keeps the first height, and a reader can drag the frame's edge.
_RESIZE = """
if (!window.gatewiseFrames) {
  window.gatewiseFrames = true;
  window.addEventListener("message", (event) => {
    const height = Number(event.data && event.data.gatewiseHeight);
    if (!(height > 0 && height < 20000)) return;
    for (const frame of document.querySelectorAll('iframe[title="gatewise"]')) {
      if (frame.contentWindow === event.source) frame.style.height = height + "px";
    }
  });
}
"""


def report_page(
    explanation: Explanation | None = None,
    example: Example | None = None,
    intervention: Intervention | None = None,
    unit: int | None = None,
    title: str = "gatewise explain",
    source: str = "",
) -> str:
    """An explanation, an example or both as a page. With an intervention: both sides, and the figure after the change.

    unit: the unit to select, None for the one with the largest effect, or that of a clamp. source: the line at the end
    that names the model, see `provenance`. Raises InputError for a unit that does not exist, and where there is nothing
    to show.
    """
    shown = intervention.after if intervention is not None else example
    if unit is not None and shown is not None:
        shown.unit(unit)
    plain: list[Explanation | Example | None]
    plain = [explanation or example, None if intervention is None else intervention.after]
    if intervention is not None:
        data = intervention_json(intervention, explanation, intervention.shown_unit if unit is None else unit)
    elif plain[0] is not None:
        data = {"view": report_json(explanation, example, unit=unit)}
    else:
        raise InputError("nothing to show: give an explanation, an example or an intervention")
    return _page(title, data, [one for one in plain if one is not None], source)


def compare_page(both: Sequence[tuple[Explanation, Example]], title: str = "gatewise explain", source: str = "") -> str:
    """Two explained examples side by side. source: see `report_page`."""
    sides = [{"name": name, "view": report_json(*one)} for name, one in zip(("First", "Second"), both, strict=True)]
    return _page(title, {"sides": sides}, [explanation for explanation, _ in both], source)


def result_html(result: Explanation | Example | Intervention) -> str:
    """The fragment that a notebook shows for `result`."""
    if isinstance(result, Explanation):
        page = report_page(result)
    else:
        page = report_page(example=result) if isinstance(result, Example) else report_page(intervention=result)
    plain = plain_table(result.after if isinstance(result, Intervention) else result)
    return (
        f"<details><summary>Without JavaScript</summary>{plain}</details>"
        '<iframe title="gatewise" sandbox="allow-scripts" loading="lazy" '
        'style="width:100%;height:40rem;border:0;resize:vertical;overflow:auto" '
        f'srcdoc="{html.escape(page, quote=True)}"></iframe><script>{_RESIZE}</script>'
    )


def plain_table(found: Explanation | Example) -> str:
    """The prediction, the weights of the members, the sums, and a table of the steps with their scores, for browsers
    without JavaScript. An example has the prefix predictions in place of the scores.
    """
    if isinstance(found, Explanation):
        parts = [(f"{part.name} x {part.weight:.2f}", part.scores) for part in found.parts]
        weights = ", ".join(f"{part.name} {part.weight:.2f}" for part in found.parts)
        lines = [f"Prediction: {found.prediction}", found.probability_note, found.lstm_note()]
        sums = html_table(("sum", "value", "note"), [(a, sum_text(found.of, b), c) for a, b, c in found.sums()], (0, 2))
        columns = [("score", found.scores), *(parts if len(parts) > 1 else ())]
        notes = f"{found.method}: {found.method_note} {found.faithfulness_note()}"
        of = found.of
    else:
        of, weights = found.ensemble.target, str(found.ensemble)
        lines = [f"Prediction: {prediction_text(of, found.predicted)}", found.ensemble.lstm_note()]
        columns = [(f"{found.ensemble.score_noun} after the step", found.score(found.prefix_logits)[1:])]
        sums = notes = ""
    rows = [
        (str(t), step[:_MAX_WORD], *(score_text(of, values[t - 1]) for _, values in columns))
        for t, step in enumerate(found.steps, start=1)
    ]
    lines.append(f"Weights of the members: {weights}" if weights else "")
    table = html_table(("step", "name", *(name for name, _ in columns)), rows, (1,))
    shown = "".join(f"<p>{safe_text(line)}</p>" for line in lines if line)
    return f"{shown}{sums}{table}<p>{safe_text(notes, 2_000)}</p>"


def _page(title: str, data: dict[str, Any], plain: Sequence[Explanation | Example], source: str) -> str:
    code = script()
    data = {**data, "source": source} if source else data
    body = (
        f"<noscript>{''.join(map(plain_table, plain))}<p>{safe_text(source, 800)}</p></noscript>"
        '<main id="report"></main><div class="visually-hidden" data-live aria-live="polite" role="status"></div>'
        f'<script type="application/json" id="data">{_json(data)}</script><script>{code}</script>'
    )
    return html_shell(title, body, code)


def _json(data: dict[str, Any]) -> str:
    """JSON that no text in it can end: it has no `<`, so a browser finds neither `</script` nor `<!--`."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


@cache
def script(entry: str = "report") -> str:
    """Module `entry` of the page and all modules that it imports, as one script.

    Each module becomes a function that returns its exports, so there is no build step. Raises ValueError for a form of
    import or export that the page's modules do not use.
    """
    done: dict[str, str] = {}
    _add_module(entry, done, ())
    return '"use strict";\n(() => {\n' + "\n".join(done.values()) + f"\nm_{entry}.start();\n}})();\n"


def _add_module(name: str, done: dict[str, str], importers: tuple[str, ...]) -> None:
    if name in importers:
        raise ValueError(f"{name}.js imports itself through {importers[-1]}.js")
    if name in done:
        return
    source = read_page_file(f"{name}.js")
    imports = [found[2] for line in source.splitlines() if (found := _IMPORT.match(line))]
    for imported in imports + _DYNAMIC_IMPORT.findall(source):
        _add_module(imported, done, (*importers, name))
    lines, exports = [], []
    for line in source.splitlines():
        if found := _IMPORT.match(line):
            lines.append(f"const {{ {found[1]} }} = m_{found[2]};")
        elif line.startswith(("import ", "export {", "export default", "export *")):
            raise ValueError(f"{name}.js: the report does not support {line!r}")
        elif not line.startswith("//"):
            if found := _EXPORT.match(line):
                exports.append(found[1])
                line = line.removeprefix("export ")
            lines.append(_DYNAMIC_IMPORT.sub(lambda match: f"Promise.resolve(m_{match[1]})", line))
    body = "\n".join(lines)
    if "</script" in body.lower() or "<!--" in body:
        raise ValueError(f"{name}.js contains text that would end the script")
    done[name] = f"const m_{name} = (() => {{\n{body}\nreturn {{ {', '.join(exports)} }};\n}})();"
