"""The parts of a view as plain data: words with their places, the verdict, units, one unit's numbers, a plane."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from gatewise.explain.example import Example
from gatewise.explain.gates import Gates
from gatewise.explain.view.run import ViewedModel, prefix_budget
from gatewise.metrics import log_probabilities, target_score
from gatewise.types import Array

__all__ = ["alike_part", "plane_part", "running_part", "text_part", "unit_part", "units_part", "verdict_part"]

_DIGITS = 6  # after the point; what is read on a screen has two or three


def text_part(model: ViewedModel, item: Any, run: Example) -> dict[str, object]:
    """The steps that are read, in order. s, e: from where to where in the text, in UTF-16 units as a browser counts;
    ids; unknown: which of them the vocabulary lacks. Of a series, the values as they were given.
    """
    part: dict[str, object] = {"steps": len(run.names), "kept": len(run.rows), "pads": run.pads}
    if not isinstance(item, str):
        part["values"] = _plain(np.asarray(item, dtype=np.float64)[run.rows])
        return part
    spans = np.asarray(run.spans, dtype=np.int64).reshape(-1, 2)
    left = np.ones(len(spans), dtype=bool)
    left[run.rows] = False
    if not item.isascii():
        wide = np.fromiter((ord(ch) > 0xFFFF for ch in item), dtype=np.int64, count=len(item))
        spans = spans + np.concatenate([[0], np.cumsum(wide)])[spans]
    kept = spans[run.rows]
    part["tokens"] = {
        "s": kept[:, 0].tolist(),
        "e": kept[:, 1].tolist(),
        "id": run.read.tolist(),
        "unknown": np.flatnonzero(run.read == model.preprocessor.unknown).tolist(),
        "left": spans[left].tolist(),
        "names": {str(n): run.names[row] for n, row in enumerate(run.rows) if spans[row, 0] == spans[row, 1]},
    }
    return part


def verdict_part(model: ViewedModel, run: Example) -> dict[str, object]:
    """label: the most probable class; p: the probability of `towards`, the class that positive scores speak for."""
    return {
        "label": model.classes[int(run.probabilities.argmax())],
        "towards": model.classes[run.target],
        "p": float(run.probabilities[run.target]),
        "probabilities": run.probabilities.tolist(),
        "logit": run.target_score,
        "calibrated": model.metadata.calibration is not None,
    }


def running_part(run: Example, towards: int, predicted: int) -> dict[str, object]:
    """The verdict if the text ended after 0, every, 2 every, ..., T steps: p of `towards`, and the margin."""
    every, logits = run.sampled_prefix_logits(prefix_budget(run.net))
    p = np.exp(log_probabilities(logits))[:, towards]
    return {"meaning": "prefix", "every": every, "p": _plain(p), "logit": _plain(target_score(logits, predicted))}


def alike_part(run: Example, layer: int) -> dict[str, object]:
    """Units of a layer in the order of their weight in the first principal component of c, and the signs of those."""
    order, flip = _alike(run.values("c", layer))
    return {"order": order, "flip": flip}


def units_part(lstms: Sequence[Gates], moves: Array | None) -> dict[str, object]:
    """Each unit of a layer, its directions side by side: its effect on the margin (null below the top, where `moves`
    (T, units) is None), its largest jump and when, and orders.
    """
    jumps = np.concatenate([gates.memory_changes() for gates in lstms], axis=1)  # (T, units)
    largest, when = np.abs(jumps).max(axis=0), np.abs(jumps).argmax(axis=0)
    effect = None if moves is None else moves.sum(axis=0)
    orders = {
        "jump": np.argsort(-largest, kind="stable").tolist(),
        "first": np.lexsort((np.arange(len(when)), when)).tolist(),
    }
    if effect is not None:
        orders["effect"] = np.argsort(-np.abs(effect), kind="stable").tolist()
    return {
        "layer": lstms[0].layer,
        "effect": None if effect is None else _plain(effect),
        "jump": _plain(largest),
        "at": when.tolist(),
        "order": orders,
        "c_p99": float(np.quantile(np.abs(np.concatenate([gates.c for gates in lstms], axis=1)), 0.99)) or 1.0,
    }


def unit_part(run: Example, unit: int, layer: int) -> dict[str, object]:
    """One unit at every step, its state before, and what its gates are sums of: x from below, h from memory, b."""
    arch, parameters = run.net.arch, run.net.parameters
    place, column = divmod(unit, arch.units)
    gates = run.layer(layer)[place]
    prefix = f"lstm.{layer}.{gates.direction}"
    four = column + arch.units * np.arange(4)  # its rows of the gates i, f, g, o
    if layer:
        x = run.values("h", layer - 1)  # (T, D)
    elif arch.inputs == "tokens":
        x = parameters["embedding.weight"][run.read]
    else:
        x = np.asarray(run.read)
    from_x = x.astype(np.float64) @ parameters[f"{prefix}.weight_ih"][four].T.astype(np.float64)  # (T, 4)
    order = gates.reading_order
    before = np.concatenate([gates.h0[None], gates.h[order][:-1]])[order]  # h of the step read before
    from_h = before.astype(np.float64) @ parameters[f"{prefix}.weight_hh"][four].T.astype(np.float64)
    bias = parameters[f"{prefix}.bias"][four]
    sums = {
        gate: {"x": _plain(from_x[:, n]), "h": _plain(from_h[:, n]), "b": float(bias[n])}
        for n, gate in enumerate("ifgo")
    }
    numbers = {name: _plain(getattr(gates, name)[:, column]) for name in "ifgoch"}
    part: dict[str, object] = {"k": unit, "layer": layer, "direction": gates.direction, **numbers, "z": sums}
    part |= {"h0": float(gates.h0[column]), "c0": float(gates.c0[column])}
    life = float(gates.half_life()[column])
    part["half_life"] = life if np.isfinite(life) else None
    if layer == arch.layers - 1:
        part["moved"] = _plain(run.contributions[:, unit])
    return part


def plane_part(plane: Array, name: str, layer: int) -> dict[str, object]:
    """A plane (T, units) as rows of units: unsigned 16-bit numbers, little-endian, base64, from lo to hi.

    clip: where the colours of a signed plane end, the 99th percentile of the sizes.
    """
    plane = plane.T.astype(np.float64)
    signed = name not in "ifo"
    hi = 1.0 if name in "ifogh" else float(np.abs(plane).max(initial=0)) or 1.0
    lo = -hi if signed else 0.0
    levels = np.clip(np.rint((plane - lo) / (hi - lo) * 65535), 0, 65535).astype("<u2")
    return {
        "name": name,
        "layer": layer,
        "enc": "u16",
        "lo": lo,
        "hi": hi,
        "clip": (float(np.quantile(np.abs(plane), 0.99)) or 1.0) if signed else 1.0,
        "shape": list(plane.shape),
        "b64": base64.b64encode(np.ascontiguousarray(levels).tobytes()).decode("ascii"),
    }


def _alike(c: Array) -> tuple[list[int], list[int]]:
    """Units in the order of their weight in the first principal component of c (T, units), and the signs of those."""
    centred = c.astype(np.float64) - c.mean(axis=0)
    spread = np.linalg.norm(centred, axis=0)
    unit = centred / np.where(spread > 0, spread, 1)
    weights = np.linalg.eigh(unit.T @ unit)[1][:, -1]
    weights *= np.sign(weights[np.abs(weights).argmax()]) or 1
    return np.argsort(-weights, kind="stable").tolist(), np.where(weights < 0, -1, 1).tolist()


def _plain(numbers: Array) -> list[Any]:
    plain: list[Any] = np.round(np.asarray(numbers, dtype=np.float64), _DIGITS).tolist()
    return plain
