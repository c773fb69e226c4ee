"""Explanations, traces and interventions as the plain data that the page's modules draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from gatewise.explain.example import Example
from gatewise.explain.explanation import Explanation
from gatewise.explain.intervene import Intervention
from gatewise.explain.view.parts import plane_part, units_part
from gatewise.metrics import log_probabilities
from gatewise.types import Array

__all__ = ["change_data", "view_data"]

View = dict[str, Any]


def view_data(
    found: Explanation | None, seen: Example | None, classes: Sequence[str] = (), unit: int | None = None
) -> View:
    """One reading, from an explanation, its trace, or both: what POST /explain answers, with all planes, and words."""
    if found is not None:
        classes = found.classes
    elif seen is not None and not classes:
        classes = [f"class {k}" for k in range(max(2, len(seen.logits)))]
    steps = found.steps if found is not None else seen.steps if seen is not None else []
    view: View = {"words": list(steps), "unit": unit}
    if found is not None:
        view["verdict"] = _verdict(found.probabilities, classes, found.logit, found.target)
        view["account"] = _account(found)
    elif seen is not None:
        view["verdict"] = _verdict(seen.probabilities, classes, seen.target_score, classes[seen.target])
    model: View = {"task": "text", "labels": list(classes), "units": 0, "layers": 1, "directions": ["forward"]}
    view["model"] = model
    if seen is not None:
        model |= _trace(view, seen)
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
        for clamp in changed.clamps
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
        "start": found.base_value,
        "start_note": found.base_value_note,
        "logit": found.logit,
        "residual": found.residual,
        "adds_up": found.adds_up,
    }


def _trace(view: View, seen: Example) -> View:
    """Fills the view's parts of the trace, top layer; gives back what it says of the model."""
    top, units = seen.layer(-1), seen.net.arch.units
    p = np.exp(log_probabilities(seen.prefix_logits))[:, seen.target]
    view["running"] = {"meaning": "prefix", "every": 1, "p": np.round(p, 6).tolist()}
    view["units"] = units_part(top, seen.contributions)
    view["planes"] = [plane_part(seen.values(part, -1), part, top[0].layer) for part in "ifgoch"]
    view["planes"].append(plane_part(seen.contributions, "moved", top[0].layer))
    view["h0"] = np.concatenate([gates.h0 for gates in top]).astype(float).tolist()
    view["c0"] = np.concatenate([gates.c0 for gates in top]).astype(float).tolist()
    return {"units": units, "layers": top[0].layer + 1, "directions": [gates.direction for gates in top]}
