"""What a page shows of a model itself: its shape, its card, how training went, and what is known of one unit."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from gatewise.errors import InputError, printable
from gatewise.explain.view.request import RequestError
from gatewise.explain.view.run import MOST_STEPS, ViewCache, ViewedModel
from gatewise.network.architecture import summary

__all__ = ["about", "model_view", "unit_view"]


def about(model: ViewedModel, fingerprint: str) -> dict[str, object]:
    """The model in a few numbers; they go with every answer."""
    arch = model.architecture
    return {
        "fingerprint": fingerprint,
        "task": "text" if arch.inputs == "tokens" else "series",
        "labels": list(model.classes),
        "channels": arch.channels,
        "units": arch.units,
        "layers": arch.layers,
        "directions": list(arch.directions),
        "readout": arch.pooling,
        "gate": arch.gate,
        "reads": arch.max_length,
        "most_steps": MOST_STEPS,
    }


def model_view(model: ViewedModel, cache: ViewCache | None = None) -> dict[str, object]:
    """Labels, layers, the card in Markdown, the training history as its lines' objects, and what was measured."""
    metadata = model.metadata
    ngrams = model.net.ngrams
    rows = [*summary(model.architecture), *([] if ngrams is None else [ngrams.summary()])]
    layers = [{"name": name, "output": shape, "parameters": count} for name, shape, count in rows]
    known = model.units
    return {
        "api": 1,
        "model": about(model, (cache or ViewCache()).fingerprint(model)),
        "name": " ".join(part for part in (metadata.recipe, "model") if part),
        "layers": layers,
        "parameters": sum(count for _, _, count in rows),
        "evaluations": [asdict(one) for one in metadata.evaluations],
        "faithfulness": {name: asdict(one) for name, one in metadata.faithfulness.items()},
        "attribution_method": metadata.attribution_method,
        "best_epoch": metadata.best_epoch,
        "history": _history(model.history),
        "card": model.card(),
        "units": None if known is None else {"data": known.data, "n": known.n, "accuracy": known.accuracy},
    }


def unit_view(model: ViewedModel, unit: int, layer: int = 0, direction: str = "forward") -> dict[str, object]:
    """What is known of unit `unit` of one LSTM, over the data that somebody looked at; `facts` null where nobody has.

    weights: what its h adds to the margin of the class `towards`, one number for each part of the pooling; null below
    the top layer. Raises RequestError for a unit, a layer or a direction that is not there.
    """
    arch = model.architecture
    if not 0 <= layer < arch.layers:
        raise RequestError("layer", f"must be from 0 to {arch.layers - 1}, not {layer}")
    if direction not in arch.directions:
        raise RequestError("direction", f"must be {' or '.join(arch.directions)}, not '{printable(direction)}'")
    if not 0 <= unit < arch.units:
        raise RequestError("unit", f"must be from 0 to {arch.units - 1}, not {unit}")
    place = unit + arch.units * arch.directions.index(direction)
    top = layer == arch.layers - 1
    bias = model.parameters[f"lstm.{layer}.{direction}.bias"].reshape(4, arch.units)[:, unit]
    found: dict[str, object] = {"api": 1, "unit": place, "layer": layer, "direction": direction}
    found["bias"] = {gate: float(x) for gate, x in zip("ifgo", bias, strict=True)}
    found["weights"] = None
    if top:
        width = arch.units * len(arch.directions)
        rows = model.parameters["dense.weight"][:, place::width]  # (outputs, parts of the pooling)
        found["weights"] = {"parts": arch.pooling.split("+"), "rows": rows.astype(float).tolist()}
    known = model.units if top else None
    found["summary"] = None if known is None else asdict(known.unit(place))
    found["over"] = None if known is None else {"data": known.data, "n": known.n, "accuracy": known.accuracy}
    return found


def _history(text: str) -> list[dict[str, Any]]:
    """Each line's numbers; a file that somebody else wrote is data, so whatever is no number is left out."""
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            found = json.loads(line, parse_constant=lambda _: None)
        except ValueError:
            raise InputError(f"history.jsonl, line {number}: not JSON") from None
        if isinstance(found, dict):
            lines.append({str(k): v for k, v in found.items() if isinstance(v, int | float)})
    return lines
