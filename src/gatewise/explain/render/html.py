"""Explanations, examples and interventions as HTML: a self-contained page, or a fragment for a notebook.

The page holds its data as JSON and the page's JavaScript modules as one script. Its content security policy allows that
script and that style by their hashes and nothing else, so the page loads nothing. Without JavaScript it shows
`plain_table`. In a notebook the page runs in a sandboxed frame, which cannot reach the notebook.
"""

import base64
import gzip
import hashlib
import html
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from gatewise.explain.example import Example
from gatewise.explain.explanation import Explanation, explain_example
from gatewise.explain.intervene import Intervention
from gatewise.explain.render.script import read_page_file, script
from gatewise.explain.serialize import intervention_json, report_json, side_json
from gatewise.markup import html_table, safe_text

_MAX_WORD = 60  # characters of a word that are shown
_IN_NOTEBOOK = 12  # steps of the table of a notebook
# A notebook stores the page of a frame compressed.
_UNPACK = """
const packed = Uint8Array.from(atob("%s"), (c) => c.charCodeAt(0));
new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text().then((page) => {
  document.open();
  document.write(page);
  document.close();
});
"""
# A notebook cannot look into the sandboxed frame, so the page in it reports its height (explanation.js). A notebook
# that runs no scripts keeps the first height, and a reader can drag the frame's edge.
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
    explanation: Explanation,
    example: Example | None = None,
    intervention: Intervention | None = None,
    unit: int | None = None,
    source: str = "",
) -> str:
    """An explanation as a page, with an example its figure. With an intervention: both sides, and the figure after the
    change.

    unit: the unit to select, None for the one with the largest effect, or that of a clamp. source: the line at the end
    that names the model, the date and the command. Raises InputError for a unit that does not exist.
    """
    data, explanations = _report(explanation, example, intervention, unit)
    return _page(data, "".join(map(plain_table, explanations)), source)


def _report(
    explanation: Explanation, example: Example | None, intervention: Intervention | None, unit: int | None = None
) -> tuple[dict[str, Any], list[Explanation]]:
    """The data of the page, and the explanations in it."""
    if unit is not None and example is not None:
        example.unit(unit)  # raises
    if intervention is not None:
        after = explain_example(intervention.after, "prefix-difference")
        return intervention_json(intervention, explanation, after, unit), [explanation, after]
    view = side_json(explanation) if example is None else report_json(explanation, example, unit)
    return {"view": view}, [explanation]


def compare_page(both: Sequence[tuple[Explanation, Example]], source: str = "") -> str:
    """Two explained examples side by side. source: see `report_page`."""
    sides = []
    for name, (explanation, example) in zip(("First", "Second"), both, strict=True):
        sides.append({"name": name, "view": side_json(explanation, example)})
    tables = "".join(plain_table(explanation) for explanation, _ in both)
    return _page({"sides": sides}, tables, source)


def result_html(result: Explanation | Example | Intervention) -> str:
    """The fragment that a notebook shows for `result`: a table of the strongest steps, and a frame with its page."""
    if isinstance(result, Explanation):
        data, explanations = _report(result, None, None)
    elif isinstance(result, Example):
        explanation = explain_example(result, "prefix-difference")
        data, explanations = _report(explanation, result, None)
    else:
        before = explain_example(result.before, "prefix-difference")
        data, explanations = _report(before, result.before, result)
    plain = plain_table(explanations[-1], _IN_NOTEBOOK)
    packed = base64.b64encode(gzip.compress(_page(data).encode(), mtime=0)).decode()
    frame = html.escape(f"<!doctype html><script>{_UNPACK % packed}</script>", quote=True)
    return (
        f"<details><summary>Without JavaScript</summary>{plain}</details>"
        '<iframe title="gatewise" sandbox="allow-scripts" loading="lazy" '
        'style="width:100%;height:40rem;border:0;resize:vertical;overflow:auto" '
        f'srcdoc="{frame}"></iframe><script>{_RESIZE}</script>'
    )


def plain_table(explanation: Explanation, most: int | None = None) -> str:
    """The prediction, the weights of the members, the sums, and a table of the steps with their scores, for browsers
    without JavaScript. most: how many steps, those with the largest scores; None for all.
    """
    score = explanation.of
    members = explanation.parts
    lines = [f"Prediction: {explanation.decision}", explanation.probability_note, explanation.lstm_note()]
    if members:
        weights = ", ".join(f"{member.name} {member.weight:.2f}" for member in members)
        lines.append(f"Weights of the members: {weights}")
    sums = [(name, score.sum_text(value), note) for name, value, note in explanation.sums()]
    names = ["score"]
    columns = [explanation.scores]
    if len(members) > 1:
        names += [f"{member.name} x {member.weight:.2f}" for member in members]
        columns += [member.scores for member in members]
    largest = np.argsort(-np.abs(explanation.scores), kind="stable")[:most]
    steps = sorted(largest.tolist())
    rows = []
    for step in steps:
        scores = [score.score_text(column[step]) for column in columns]
        rows.append((str(step + 1), explanation.steps[step][:_MAX_WORD], *scores))
    heading = ""
    if len(steps) < len(explanation.steps):
        heading = f"The {len(steps)} of {len(explanation.steps):,} steps with the largest scores:"
    return (
        _paragraphs(lines)
        + html_table(("sum", "value", "note"), sums, (0, 2))
        + _paragraphs([heading])
        + html_table(("step", "name", *names), rows, (1,))
        + _paragraphs([f"{explanation.method}: {explanation.method_note} {explanation.faithfulness_note()}"])
    )


def html_shell(title: str, body: str, style: str = "", script: str = "") -> str:
    """A page with this body. It loads nothing, and its policy allows its style and its script by their hashes and
    nothing else. style: added to base.css. script: the text of the one script in the body, which contains it.
    """
    css = read_page_file("base.css") + style
    scripts = f"script-src '{csp_hash(script)}'; " if script else ""
    policy = (
        f"default-src 'none'; {scripts}style-src '{csp_hash(css)}'; img-src data: blob:; base-uri 'none'; "
        "form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" '
        f'content="light dark"><title>{safe_text(title)}</title><style>{css}</style></head><body>{body}</body></html>\n'
    )


def csp_hash(text: str) -> str:
    """The source of a content security policy that allows this text as a style or a script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"


def _paragraphs(lines: Sequence[str]) -> str:
    return "".join(f"<p>{safe_text(line, 2_000)}</p>" for line in lines if line)


def _page(data: dict[str, Any], plain: str = "", source: str = "") -> str:
    """The page over `data`. plain: HTML for browsers without JavaScript."""
    has_figure = "heatmaps" in data.get("view", {})
    if has_figure:
        code = script("report.js", "start")
        style = read_page_file("cell.css") + read_page_file("style.css")
    else:
        code = script("explanation.js", "start")
        style = ""
    if source:
        data = {**data, "source": source}
    noscript = ""
    if plain:
        noscript = f"<noscript>{plain}<p>{safe_text(source, 800)}</p></noscript>"
    body = (
        f'{noscript}<main id="report"></main>'
        '<div class="visually-hidden" data-live aria-live="polite" role="status"></div>'
        f'<script type="application/json" id="data">{_json(data)}</script><script>{code}</script>'
    )
    return html_shell("gatewise explain", body, style, code)


def _json(data: dict[str, Any]) -> str:
    """JSON that no text in it can end: it has no `<`, so a browser finds neither `</script` nor `<!--`."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
