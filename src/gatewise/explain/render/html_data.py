"""Explanations, traces and interventions as the plain data that the page's modules draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from gatewise.explain.attribution.attribution import Explanation
from gatewise.explain.intervene import Intervention
from gatewise.explain.trace import Trace
from gatewise.explain.view.parts import plane_part, units_part
from gatewise.metrics.evaluation import log_probabilities, target_score
from gatewise.types import Array

__all__ = ["change_data", "view_data"]

View = dict[str, Any]


def view_data(
    found: Explanation | None, seen: Trace | None, classes: Sequence[str] = (), unit: int | None = None
) -> View:
    """One reading, from an explanation, its trace, or both: what POST /explain answers, with all planes, and words."""
    if found is not None:
        classes = found.classes
    elif seen is not None and not classes:
        classes = [f"class {k}" for k in range(max(2, len(seen.logits)))]
    steps = found.steps if found is not None else seen.steps if seen is not None else []
    view: View = {"words": list(steps), "unit": unit}
    if found is not None:
        view["verdict"] = _verdict(found.probabilities, classes, found.logit, found.towards)
        view["account"] = _account(found)
    elif seen is not None:
        p = np.exp(log_probabilities(seen.logits[None]))[0]
        towards = classes[1] if len(seen.logits) == 1 else classes[int(seen.logits.argmax())]
        view["verdict"] = _verdict(p, classes, float(target_score(seen.logits, int(seen.logits.argmax()))), towards)
    model: View = {"task": "text", "labels": list(classes), "units": 0, "layers": 1, "directions": ["forward"]}
    view["model"] = model
    if seen is not None:
        model |= _trace(view, seen, list(classes).index(view["verdict"]["towards"]))
    return view


def change_data(changed: Intervention, found: Explanation | None = None, unit: int | None = None) -> View:
    """Before and after: both readings as sides, and the one after as the view, with the line from before."""
    before = view_data(found, changed.before, changed.classes)
    after = view_data(None, changed.after, changed.classes, unit)
    after["held"] = [
        {
            "gate": clamp.gate,
            "unit": "all" if clamp.unit is None else clamp.unit,
            "from": None if clamp.steps is None else clamp.steps[0],
            "to": None if clamp.steps is None else clamp.steps[-1],
            "value": clamp.value,
        }
        for clamp in changed.held
    ]
    was = dict(before["verdict"])
    if changed.before.steps == changed.after.steps:
        was["running"] = before["running"]
    after["changed"] = {"before": was, "applied": list(changed.changes)}
    sides = [{"name": "As it is", "view": _light(before)}, {"name": "Changed", "view": _light(after)}]
    return {"view": after, "sides": sides, "applied": list(changed.changes)}


def _light(view: View) -> View:
    """What a staff needs of it, and no plane."""
    return {key: view[key] for key in ("words", "verdict", "running", "account", "model") if key in view}


def _verdict(p: Array, classes: Sequence[str], logit: float, towards: str) -> View:
    return {
        "label": classes[int(p.argmax())],
        "towards": towards,
        "p": float(p[list(classes).index(towards)]),
        "probabilities": p.tolist(),
        "logit": logit,
        "calibrated": False,
    }


def _account(found: Explanation) -> View:
    return {
        "method": found.method,
        "methods": [found.method],
        "note": found.method_note,
        "faithfulness": None if found.faithfulness is None else asdict(found.faithfulness),
        "faithfulness_note": found.faithfulness_note(),
        "words": np.round(found.scores, 6).tolist(),
        "start": found.start,
        "start_note": found.start_note,
        "logit": found.logit,
        "residual": found.residual,
        "adds_up": found.adds_up,
    }


def _trace(view: View, seen: Trace, towards: int) -> View:
    """Fills the view's parts of the trace, top layer; gives back what it says of the model."""
    units = seen.lstms[-1].h.shape[1]
    top = seen.lstms[-(seen.moves.shape[1] // units) :]
    p = np.exp(log_probabilities(seen.logits_after))[:, towards]
    view["running"] = {"meaning": "prefix", "every": 1, "p": np.round(p, 6).tolist()}
    view["units"] = units_part(top, seen.moves)
    planes = {part: np.concatenate([getattr(gates, part) for gates in top], axis=1) for part in "ifgoch"}
    view["planes"] = [plane_part(plane, part, top[0].layer) for part, plane in planes.items()]
    view["planes"].append(plane_part(seen.moves, "moved", top[0].layer))
    view["h0"] = np.concatenate([gates.h0 for gates in top]).astype(float).tolist()
    view["c0"] = np.concatenate([gates.c0 for gates in top]).astype(float).tolist()
    return {"units": units, "layers": top[0].layer + 1, "directions": [gates.direction for gates in top]}
