"""Readings as HTML that fetches nothing: a whole page, or a fragment for a notebook, drawn by the modules of the page.

The numbers lie in the page as JSON, the modules as one script, and the content security policy allows that script and
that style by their hashes and nothing else. Where no script runs there is the plain reading of `html_static`. In a
notebook the page stands in a frame of its own (sandboxed: it can run its script and reach nothing of the notebook).
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from typing import Any

from gatewise.errors import InputError
from gatewise.explain.example import Example
from gatewise.explain.explanation import Explanation
from gatewise.explain.intervene import Intervention
from gatewise.explain.render.html_bundle import script, style
from gatewise.explain.render.html_data import change_data, view_data
from gatewise.explain.render.html_static import STATIC_STYLE, safe_text, static_explanation, static_trace

__all__ = ["compare_page", "explanation_html", "intervention_html", "report_page", "result_html", "trace_html"]


def report_page(
    found: Explanation | None = None,
    seen: Example | None = None,
    changed: Intervention | None = None,
    unit: int | None = None,
    title: str = "gatewise explain",
) -> str:
    """One reading as a page; with `changed`, before and after side by side, and the figure of what came after.

    unit: the one that is shown first, None for the one that moved the verdict most. Raises InputError for one that is
    not there.
    """
    trace = changed.after if changed is not None else seen
    if unit is not None and trace is not None:
        trace.unit(unit)
    plain = [static_explanation(found)] if found is not None else []
    plain += [static_trace(trace, unit)] if trace is not None else []
    if changed is not None:
        data = change_data(changed, found, unit)
    elif found is not None or seen is not None:
        data = {"view": view_data(found, seen, unit=unit)}
    else:
        raise InputError("there is nothing to show: give an explanation, a trace or an intervention")
    return _page(title, data, plain)


def compare_page(readings: Sequence[tuple[Explanation, Example]], title: str = "gatewise explain") -> str:
    """Two readings side by side."""
    names = ("First", "Second")
    sides = [{"name": name, "view": view_data(*both)} for name, both in zip(names, readings, strict=True)]
    return _page(title, {"sides": sides}, [static_explanation(found) for found, _ in readings])


def explanation_html(found: Explanation) -> str:
    """A fragment for a notebook: verdict, words, sums, and what the method is."""
    return _framed(report_page(found), [static_explanation(found)], 400)


def trace_html(seen: Example, unit: int | None = None) -> str:
    """A fragment for a notebook: the running verdict, the cell, all units. Raises InputError as the page."""
    return _framed(report_page(seen=seen, unit=unit), [static_trace(seen, unit)], 1250)


def intervention_html(changed: Intervention) -> str:
    """A fragment for a notebook: before and after."""
    return _framed(report_page(changed=changed), [static_trace(changed.after)], 1500)


def result_html(result: Explanation | Example | Intervention) -> str:
    """The fragment that a notebook shows for `result`."""
    if isinstance(result, Explanation):
        return explanation_html(result)
    return trace_html(result) if isinstance(result, Example) else intervention_html(result)


def _page(title: str, data: dict[str, Any], plain: Sequence[str]) -> str:
    code, look = script(), style()
    policy = (
        f"default-src 'none'; script-src '{_hash(code)}'; style-src '{_hash(look)}' '{_hash(STATIC_STYLE)}'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" '
        f'content="light dark"><title>{safe_text(title)}</title><style>{look}</style></head><body>'
        f'<noscript><style>{STATIC_STYLE}</style><div class="gatewise">{"".join(plain)}</div></noscript>'
        f'<main id="report"></main><div class="unseen" data-voice aria-live="polite" role="status"></div>'
        f'<script type="application/json" id="data">{_json(data)}</script><script>{code}</script></body></html>\n'
    )


def _framed(page: str, plain: Sequence[str], height: int) -> str:
    return (
        f'<div class="gatewise"><style>{STATIC_STYLE}</style><details><summary>Without a script</summary>'
        f"{''.join(plain)}"
        '</details></div><iframe title="gatewise" sandbox="allow-scripts" loading="lazy" '
        f'style="width:100%;height:{height}px;border:0" srcdoc="{html.escape(page, quote=True)}"></iframe>'
    )


def _json(data: dict[str, Any]) -> str:
    """JSON that no text in it can end: a browser looks for `</script` and `<!--` in there, and finds no `<` at all."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"
