"""The JSON of explanations, examples and interventions: one module for the page, the HTML report and the notebook.

Every function returns plain data (dicts, lists, numbers, strings) that `json.dumps` accepts without NaN. docs/page.md
lists the fields.
"""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from gatewise.explain.example import Example
from gatewise.explain.explanation import Explanation
from gatewise.explain.intervene import Intervention
from gatewise.explain.opening import opening_of
from gatewise.members.gates import STATES
from gatewise.members.network import Network
from gatewise.members.recurrent_layer import RecurrentLayer
from gatewise.target import Target
from gatewise.types import Array

Json = dict[str, Any]

_DECIMALS = 6  # a screen shows two or three
_CHART_DECIMALS = 2  # a chart is 100 pixels high, and its readout has two decimals
_PREFIX_STEPS = 20_000  # the most steps that bidirectional prefix predictions run, for a network of up to 128 units


def network_json(network: Network, of: Target) -> Json:
    """The network in a few numbers, and what it predicts. not_causal: why, of a network that is not causal."""
    network_and_task: Json = {
        "inputs": network.nouns.one,
        # That of one row: per_step says whether a row is a step. A new task is shown as the one whose labels it reads.
        "task": of.each.labels_task,
        "per_step": of.per_step,
        "labels": list(of.classes),
        "thresholds": list(of.thresholds),
        "layers": [_layer_json(layer) for layer in network.layers],
        "pooling": "+".join(network.pooling_parts),
        "gate": "binary" if network.has_binary_gates else "sigmoid",
        "max_length": network.max_length,
    }
    if network.not_causal:
        network_and_task["not_causal"] = network.not_causal
    return network_and_task


def _layer_json(layer: RecurrentLayer) -> Json:
    """A recurrent layer. cell, values: of another one than an LSTM, its kind and the names of its gates and states.
    name: of a layer of another library.
    """
    of_layer: Json = {"units": layer.units, "directions": layer.directions}
    if layer.cell != "LSTM":
        of_layer |= {"cell": layer.cell, "values": list(STATES[layer.cell].names)}
    if layer.name:
        of_layer["name"] = layer.name
    return of_layer


def outputs_json(outputs: Mapping[str, Array], network: Network) -> list[Json]:
    """All outputs of a network that is a graph for one row. explained: whether it is the one that is explained. values:
    the numbers, null for one that is not finite, which JSON has not.
    """
    shown = []
    for name, array in outputs.items():
        values = array.astype(object)
        values[~np.isfinite(array)] = None
        shown.append(
            {
                "name": name,
                "shape": list(array.shape),
                "values": values.tolist(),
                "explained": name == network.explained_output,
            }
        )
    return shown


def prediction_json(one: Explanation | Example, calibrated: bool = False) -> Json:
    """label: the prediction in words. target, against: the classes that positive and negative scores favour; favours:
    whether positive scores favour the prediction. score: the number that is explained, score_name and score_note: in
    words. undecided: whether the probability is close to the threshold. probability: of the target; probabilities: of
    the classes; numbers: those of a regression, which has no probabilities. calibrated: of an example, whether the
    probabilities are. step, steps: of a tagger, the explained step, and the predictions of all steps in words; else
    null.
    """
    of = one.of if isinstance(one, Explanation) else one.ensemble.target.each
    predicted = one.predicted
    score = one.score
    probabilities = one.probabilities
    return {
        "label": of.text(predicted),
        "undecided": probabilities is not None and bool(of.undecided(probabilities[None])[0]),
        "labels": of.label_list(predicted),
        "target": of.classes[score.target],
        "against": None if score.against is None else of.classes[score.against],
        "favours": of.favours(predicted, score),
        "probability": None if probabilities is None else float(probabilities[score.target]),
        "probabilities": None if probabilities is None else probabilities.tolist(),
        "numbers": of.number_list(predicted),
        "score": one.target_score,
        "score_name": score.name,
        "score_note": score.note,
        "step": one.step,
        "steps": None if one.step is None else list(one.labels or ()),
        "calibrated": one.calibrated if isinstance(one, Explanation) else calibrated,
    }


def prefix_json(example: Example, sampled: bool = False) -> Json:
    """The prefix predictions after 0, stride, 2 stride, ..., T steps: the probability of the target (null for
    regression), and the score that is explained. sampled: bound the cost by the stride, which is 1 otherwise. The line
    at every step is the base value and the cumulative sums of the prefix differences (`PrefixDifference`), with the
    other members' part of the truncated steps added where they are cut away.
    """
    stride = 1
    if sampled:
        # A step costs the square of its units.
        units = max((layer.units for layer in example.network.layers[-1:]), default=0)
        budget = _PREFIX_STEPS * 128**2 // max(128, units) ** 2
        stride, logits = example.sampled_prefix_logits(budget)
    else:
        logits = example.prefix_logits
    score = example.score
    probabilities = example.prefix_probabilities(logits)
    probability = None
    if probabilities is not None:
        probability = _list(probabilities[:, score.target])
    return {"stride": stride, "probability": probability, "score": _list(score(logits))}


def _chart_json(explanation: Explanation, logits: Array) -> Json:
    """The prefix predictions as `prefix_json`, but only what a chart draws of them: a notebook stores each output.

    logits: (T + 1, outputs).
    """
    score = explanation.score
    probabilities = explanation.of.optional_probabilities(logits)
    if probabilities is None:
        return {"stride": 1, "probability": None, "score": _list(score(logits))}
    return {"stride": 1, "probability": np.round(probabilities[:, score.target], _CHART_DECIMALS).tolist()}


def attribution_json(explanation: Explanation, methods: Sequence[str], max_phrases: int | None = None) -> Json:
    """The scores of one method, their sum and their faithfulness. methods: the choices to offer."""
    faithfulness = explanation.faithfulness
    same = ("method", "target", "against", "base_value", "base_value_note", "residual", "adds_up")
    return {
        **{name: getattr(explanation, name) for name in same},
        "methods": list(methods),
        "note": explanation.method_note,
        "faithfulness": None if faithfulness is None else asdict(faithfulness),
        "faithfulness_note": explanation.faithfulness_note(),
        "scores": _list(explanation.scores),
        "score": explanation.target_score,
        "score_name": explanation.score.name,
        **explanation.parts_dict(max_phrases),
        "lstm_note": explanation.lstm_note(),
    }


def text_json(example: Example, unknown: int | None) -> Json:
    """The steps that the network reads, in order, with their positions in the text in UTF-16 units, as browsers count.

    unknown: the id of unknown words. For series, the channels of each step are under "values".
    """
    item = example.item
    if isinstance(item, Mapping):
        item = example.read.reshape(len(example.read), -1)  # the steps of the input that is explained
    part: Json = {"steps": len(example.names), "kept": len(example.rows), "pads": example.pads}
    if not isinstance(item, str):
        return part | {"values": _series_values(example, item)}
    positions = example.spans
    truncated = np.ones(len(positions), dtype=bool)
    truncated[example.rows] = False
    if not item.isascii():
        wide = np.fromiter((ord(ch) > 0xFFFF for ch in item), dtype=np.int64, count=len(item))
        positions = positions + np.concatenate([[0], np.cumsum(wide)])[positions]
    kept = positions[example.rows]
    names = {str(n): example.names[row] for n, row in enumerate(example.rows) if positions[row, 0] == positions[row, 1]}
    tokens = {
        "start": kept[:, 0].tolist(),
        "end": kept[:, 1].tolist(),
        "id": example.read.tolist(),
        "unknown": np.flatnonzero(example.read == unknown).tolist(),
        "truncated": positions[truncated].tolist(),
        "names": names,  # of tokens that stand for no characters
    }
    return part | {"tokens": tokens}


def units_json(example: Example, layer: int) -> Json:
    """All units of a layer, the directions side by side.

    effect: of each unit on the target score (`Example.effects`), null below the top layer and where units have none.
    jump: its largest change of c in one step, and `at`, that step. opening: see `opening_of`. order: the units by
    effect, by jump, and by the step of the jump.
    """
    largest, at = example.jumps(layer)
    layers = len(example.network.layers)
    effect = None
    if layer % layers == layers - 1:  # units below the top layer have none
        effect = example.effects
    order = {}
    if effect is not None:
        order["effect"] = np.argsort(-np.abs(effect), kind="stable").tolist()
    order["jump"] = np.argsort(-largest, kind="stable").tolist()
    order["first"] = np.lexsort((np.arange(len(at)), at)).tolist()
    return {
        "layer": example.layer(layer)[0].layer,
        "effect": None if effect is None else _list(effect),
        "jump": _list(largest),
        "at": at.tolist(),
        "opening": opening_of(example, layer)._asdict(),
        "order": order,
        "c_p99": float(np.quantile(np.abs(example.values(example.layer(layer)[0].memory, layer)), 0.99)) or 1.0,
    }


def unit_json(example: Example, unit: int, layer: int) -> Json:
    """One unit at every step: its gates and states, and the preactivations of its gates, each the sum of x (the layer
    below), h (the previous step) and the bias.
    """
    network = example.network
    direction, column = divmod(unit, network.layers[layer].units)
    gates = example.layer(layer)[direction]
    read = network.preactivations(example.part, example.lstms, gates, column)
    half_life = float(gates.half_life()[column])
    part: Json = {"k": unit, "layer": layer, "direction": gates.direction}
    part |= {name: _list(getattr(gates, name)[:, column]) for name in gates.names}
    part |= {state: float(getattr(gates, state)[column]) for state in ("h0", "c0") if hasattr(gates, state)}
    part["preactivations"] = {
        gate: {"x": _list(preactivation.x), "h": _list(preactivation.h), "bias": preactivation.bias}
        for gate, preactivation in read.items()
    }
    part["half_life"] = half_life if np.isfinite(half_life) else None
    if layer == len(network.layers) - 1 and example.contributions is not None:
        part["contribution"] = _list(example.contributions[:, unit])
    return part


def heatmap_json(values: Array, name: str, layer: int) -> Json:
    """Values (T, units) as rows of units: unsigned 16-bit numbers, little-endian, in base64, from `low` to `high`.

    clip: the absolute value at which the colours saturate, the 99th percentile for signed values.
    """
    rows = values.T.astype(np.float64)
    signed = name not in "ifo"
    high = 1.0 if name in "ifogh" else float(np.abs(rows).max(initial=0)) or 1.0
    low = -high if signed else 0.0
    levels = np.clip(np.rint((rows - low) / (high - low) * 65535), 0, 65535).astype("<u2")
    return {
        "name": name,
        "layer": layer,
        "low": low,
        "high": high,
        "clip": (float(np.quantile(np.abs(rows), 0.99)) or 1.0) if signed else 1.0,
        "shape": list(rows.shape),
        "base64": base64.b64encode(np.ascontiguousarray(levels).tobytes()).decode("ascii"),
    }


def side_json(explanation: Explanation, example: Example | None = None) -> Json:
    """The data of the HTML report without the figure: parts of the page's answers, and words in place of their
    positions. The prefix predictions are those of the example or, without it, of a method that computes them.
    """
    one = explanation
    attribution = attribution_json(explanation, [explanation.method])
    if len(one.parts) > 1:
        attribution["members"] = [part._asdict() | {"scores": _list(part.scores)} for part in one.parts]
    inputs = "text" if one.token_noun == "word" else "series"
    view: Json = {
        "words": one.steps,
        "prediction": prediction_json(one),
        "attribution": attribution,
        "members": [{"name": part.name, "weight": part.weight} for part in one.parts],
        "model": {"labels": list(one.of.classes), "task": one.of.labels_task, "inputs": inputs},
    }
    if example is not None:
        _ = example.prefix_logits  # computed here, they are shared by both examples
        view["prefix"] = prefix_json(example.with_score(one.score))
    elif one.prefix_logits is not None:
        view["prefix"] = _chart_json(one, one.prefix_logits)
    return view


def report_json(explanation: Explanation, example: Example, unit: int | None = None) -> Json:
    """The data of the HTML report: that of `side_json`, and the figure: all heat maps of the top layer, with the
    contributions of its units, its initial states, and `unit`, the one to select.
    """
    view = side_json(explanation, example)
    network = example.network
    example = example.with_score(explanation.score)
    view |= {"unit": unit, "lstm_note": example.ensemble.lstm_note()}
    view["model"] = network_json(network, example.ensemble.target)
    if network.channels and example.item is not None:
        view["values"] = text_json(example, None)["values"]
    if not network.layers or network.layers[-1].cell != "LSTM":
        return view  # the figure draws the units of an LSTM
    view["units"] = units_json(example, -1)
    layer = len(network.layers) - 1
    top = example.layer(-1)
    view["heatmaps"] = [heatmap_json(example.values(name, layer), name, layer) for name in top[0].names]
    if example.contributions is not None:
        view["heatmaps"].append(heatmap_json(example.contributions, "contribution", layer))
    view["h0"] = _list(np.concatenate([gates.h0 for gates in top]))
    view["c0"] = _list(np.concatenate([gates.start for gates in top]))
    return view


def intervention_json(
    intervention: Intervention, before: Explanation, after: Explanation, unit: int | None = None
) -> Json:
    """The data of the HTML report on an intervention: both explained sides, and the view after the change."""
    first = side_json(before, intervention.before)
    second = side_json(after, intervention.after)
    applied = list(intervention.changes)
    if unit is None:
        unit = intervention.shown_unit
    view = report_json(after, intervention.after, unit)
    view["clamps"] = [
        {
            "gate": clamp.gate,
            "unit": "all" if clamp.unit is None else clamp.unit,
            "layer": clamp.layer,
            "direction": clamp.direction,
            "from": None if clamp.steps is None else clamp.steps[0],
            "to": None if clamp.steps is None else clamp.steps[-1],
            "value": clamp.value,
        }
        for clamp in intervention.clamps
    ]
    prediction = dict(first["prediction"])
    if first["words"] == second["words"]:  # else the two charts have other steps
        prediction["prefix"] = first["prefix"]
    view["changed"] = {"before": prediction, "applied": applied}
    sides = [{"name": "Before", "view": first}, {"name": "After", "view": second}]
    return {"view": view, "sides": sides, "applied": applied}


def _series_values(example: Example, item: Any) -> list[list[float | None]]:
    """The channels of the steps that the network reads, of a window their mean; None where a value is missing."""
    values = np.asarray(item, dtype=np.float64)
    series = example.sequence.series
    if series is not None and series.shape[1] > 1:
        window = series.shape[1]
        starts = np.arange(0, len(values), window)
        known = ~np.isnan(values)
        with np.errstate(invalid="ignore"):
            values = np.add.reduceat(np.nan_to_num(values), starts) / np.add.reduceat(known, starts, dtype=np.float64)
    values = values[example.rows]
    columns = [_list(column) for column in values.T]
    return [[None if np.isnan(x) else x for x in row] for row in zip(*columns, strict=True)]


def _list(numbers: Array) -> list[Any]:
    """The numbers with six decimals, or with more where all are small, as in a regression of a small unit."""
    array = np.asarray(numbers, dtype=np.float64)
    largest = float(np.nanmax(np.abs(array), initial=0))
    more = min(200, -math.floor(math.log10(largest))) if 0 < largest < 1e-2 else 0
    rounded: list[Any] = np.round(array, _DECIMALS + more).tolist()
    return rounded
