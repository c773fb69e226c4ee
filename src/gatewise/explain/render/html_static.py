"""HTML without JavaScript, for notebooks that are not trusted and for browsers without it: the words coloured by their
scores, the sum of the attribution, the prefix predictions as a line, the gates of one unit as numbers.

Every user string passes through `safe_text`, so that it cannot be markup, a control character or a change of writing
direction.
"""

from __future__ import annotations

import html
from collections.abc import Iterator

import numpy as np

from gatewise.errors import printable
from gatewise.explain.example import Example
from gatewise.explain.explanation import Explanation
from gatewise.explain.score import score_text, sum_text
from gatewise.target import Target
from gatewise.types import Array

_MAX_WORD = 60  # characters of a word that are shown
STATIC_STYLE = """
.gatewise{color-scheme:light dark;--page:#fbfaf7;--text:#16181d;--muted:#565b64;--for:#0b4a8f;--against:#8f3b00;
--p1:#d4e5f5;--p2:#add0f1;--p3:#85bbed;--p4:#5aa5e8;--n1:#fbdfca;--n2:#f9c59c;--n3:#f5a96b;--n4:#f08c2e;
background:var(--page);color:var(--text);font:16px/1.6 system-ui,sans-serif;padding:1rem;max-width:60rem}
@media (prefers-color-scheme:dark){.gatewise{--page:#15171c;--text:#f1efe9;--muted:#b4b8c0;--for:#74b9ff;
--against:#ffb066;--p1:#1b293c;--p2:#1e3c5f;--p3:#204f84;--p4:#1f63ab;--n1:#34251e;--n2:#55311e;--n3:#783e17;--n4:#9c4a00}}
.gatewise h2{font-size:1.1rem;margin:1.2rem 0 .3rem}.gatewise p{margin:.4rem 0}.gatewise .muted{color:var(--muted)}
.gatewise .words{line-height:2;overflow-wrap:anywhere}
.gatewise .words span{padding:.1em .15em;border-radius:.2em;border-bottom:2px solid transparent}
.gatewise .p1{background:var(--p1)}.gatewise .p2{background:var(--p2)}.gatewise .p3{background:var(--p3)}
.gatewise .p4{background:var(--p4)}.gatewise .n1{background:var(--n1)}.gatewise .n2{background:var(--n2)}
.gatewise .n3{background:var(--n3)}.gatewise .n4{background:var(--n4)}
.gatewise .words .p3,.gatewise .words .p4{border-bottom:2px solid var(--for)}
.gatewise .words .n3,.gatewise .words .n4{border-bottom:2px dashed var(--against)}
.gatewise .for{color:var(--for)}.gatewise .against{color:var(--against)}
.gatewise table{border-collapse:collapse;font-variant-numeric:tabular-nums;background:none}
.gatewise th,.gatewise td{padding:.1rem .9rem .1rem 0;text-align:right;border:0;background:none}
.gatewise th:first-child,.gatewise td:first-child,.gatewise .left{text-align:left}
.gatewise .wide{overflow-x:auto}.gatewise svg{display:block;width:100%;height:9rem}
"""


def static_explanation(found: Explanation) -> str:
    """The prediction, the words, the sum of the attribution, and the definition of the method."""
    side = "for" if found.favours_prediction else "against"
    note = f", {safe_text(found.probability_note)}" if found.probability_note else ""
    parts = [f'<p>Prediction: <strong class="{side}">{safe_text(found.prediction)}</strong>{note}</p>']
    if found.lstm_note():
        parts.append(f"<p>{safe_text(found.lstm_note())}</p>")
    parts += [f'<p class="words" dir="auto">{" ".join(_words(found))}</p>', "<table>"]
    for name, value, note in found.sums():
        cells = f'<td>{sum_text(found.of, value)}</td><td class="left muted">{safe_text(note)}</td>'
        parts.append(f"<tr><td>{safe_text(name)}</td>{cells}</tr>")
    parts.append("</table>")
    parts.append(
        f"<p><strong>{safe_text(found.method)}</strong>: {safe_text(found.method_note)} {found.faithfulness_note()}</p>"
    )
    return "".join(parts)


def static_example(example: Example, unit: int | None = None) -> str:
    """The prefix predictions as a line, and the gates of one unit of the top layer as numbers.

    unit: None for the one with the largest effect. Raises InputError for a unit that does not exist.
    """
    chosen = example.top_unit if unit is None else unit
    gates, column = example.unit(chosen)
    scores, ensemble = example.score(example.prefix_logits), example.ensemble
    parts = [
        f"<h2>Prefix predictions{', in logits' * (ensemble.score_noun == 'logit')}</h2>",
        _line(ensemble.target, scores),
        f"<p>Weights of the members: {safe_text(str(ensemble))}. {ensemble.lstm_note()}</p>",
    ]
    half_life = float(gates.half_life()[column])
    life = "infinite" if np.isinf(half_life) else f"{half_life:.1f} steps"
    effect = f"effect on the {ensemble.score_noun} {score_text(ensemble.target, float(example.effects[chosen]))}"
    parts.append(f"<h2>Unit {chosen}, layer {gates.layer + 1}, {gates.direction}, {effect}, half-life {life}</h2>")
    parts.append('<div class="wide"><table><tr><th>step</th><th class="left"></th>')
    parts += [f"<th>{name}</th>" for name in ("i", "f", "g", "o", "c", "h", "contribution")] + ["</tr>"]
    for t, step in enumerate(example.steps):
        numbers = [float(getattr(gates, name)[t, column]) for name in "ifgoch"]
        shown = [f"{x:.3f}" if n in (0, 1, 3) else f"{x:+.3f}" for n, x in enumerate(numbers)]
        shown.append(score_text(ensemble.target, float(example.contributions[t, chosen])))
        tds = "".join(f"<td>{x}</td>" for x in shown)
        parts.append(f'<tr><td>{t + 1}</td><td class="left">{safe_text(step, _MAX_WORD)}</td>{tds}</tr>')
    parts.append("</table></div>")
    return "".join(parts)


def _words(found: Explanation) -> Iterator[str]:
    highest = float(np.abs(found.scores).max(initial=0)) or 1.0
    for step, score in zip(found.steps, found.scores.tolist(), strict=True):
        strength = int(np.ceil(4 * abs(score) / highest - 0.4))  # a score below a tenth of the highest has no colour
        kind = f' class="{"p" if score > 0 else "n"}{strength}"' if strength else ""
        yield f'<span{kind} title="{score_text(found.of, score)}">{safe_text(step, _MAX_WORD)}</span>'


def _line(of: Target, scores: Array) -> str:
    """Target scores (T + 1,) as a line in a box of 1000 by 100, with the line of 0."""
    low, high = min(float(scores.min()), 0.0), max(float(scores.max()), 0.0)
    x = np.linspace(0, 1000, len(scores))
    y = 95 - 90 * (scores - low) / ((high - low) or 1.0)
    zero = 95 - 90 * (0 - low) / ((high - low) or 1.0)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    first, last, least, most = (score_text(of, value) for value in (scores[0], scores[-1], low, high))
    label = f"from {first} before the first step to {last} after the last, between {least} and {most}"
    return (
        f'<svg viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" aria-label="{label}"><title>{label}</title>'
        f'<path d="M0 {zero:.1f}H1000" stroke="currentColor" stroke-opacity=".4" vector-effect="non-scaling-stroke"/>'
        f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="2" '
        f'vector-effect="non-scaling-stroke"/></svg><p class="muted">{label}</p>'
    )


def safe_text(text: str, limit: int = 400) -> str:
    """User text, escaped for HTML and for attributes."""
    return html.escape(printable(text, limit), quote=True)
