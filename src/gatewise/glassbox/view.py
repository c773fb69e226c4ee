"""What the page draws, as plain data. The verdict and the running verdict for now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatewise.errors import InputError

__all__ = ["explain_view", "model_view", "unit_view"]


def explain_view(model: Any, request: Mapping[str, object], cache: Any = None) -> dict[str, object]:
    """The answer to POST /explain. Raises InputError."""
    text = request.get("text")
    if not isinstance(text, str):
        raise InputError("text must be a string")
    if model.architecture.inputs == "channels":
        raise InputError("the model reads series")
    found = model.explain(text, "running")
    probabilities = dict(zip(model.classes, found.probabilities.tolist(), strict=True))
    return {
        "api": 1,
        "text": {"tokens": [{"w": word} for word in found.steps]},
        "verdict": {"label": found.verdict, "p": max(probabilities.values())},
        "account": {"method": found.method, "words": found.scores.tolist()},
    }


def model_view(model: Any) -> dict[str, object]:
    """The answer to GET /model."""
    return {"labels": list(model.classes), "card": model.card()}


def unit_view(model: Any, unit: int, layer: int = 0, direction: str = "forward") -> dict[str, object]:
    """The answer to GET /units/{k}. Raises InputError."""
    arch = model.architecture
    if unit >= arch.units or layer >= arch.layers or (direction == "backward" and not arch.bidirectional):
        raise InputError(f"there are {arch.units} units in {arch.layers} layers")
    return {"unit": unit, "layer": layer, "direction": direction}
