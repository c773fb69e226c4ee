"""A model as the page shows it, and one of its units, as JSON."""

from dataclasses import asdict

from gatewise.explain.attribution import METHODS
from gatewise.explain.serialize import Json
from gatewise.explain.units import UnitsReport
from gatewise.model.model import Model
from gatewise.serve.schemas import RequestError

DEFAULT_CHANGE: Json = {"gate": "i", "unit": "all", "value": 0}
"""The clamp that the page offers first, at the selected word: nothing of the word is written. It changes the prediction
more than other gates (docs/page.md).
"""


def model_json(model: Model) -> Json:
    """Layers, evaluation results, faithfulness, training history, and the model card in Markdown."""
    metadata = model.metadata
    scaling = getattr(model.preprocessor, "scaling", None)  # of each channel of the training data
    return {
        "name": " ".join(part for part in (metadata.recipe, "model") if part),
        "layers": [
            {"name": name, "output": shape, "parameters": count, "member": member.name, "weight": weight}
            for member, weight in model.ensemble
            for name, shape, count in member.summary()
        ],
        "parameters": sum(count for _, _, count in model.ensemble.summary()),
        "members": model.ensemble.weights_json(),
        "evaluations": [{**asdict(one), "figures": one.figures} for one in metadata.evaluations],
        "change": DEFAULT_CHANGE,
        "lstm_note": model.ensemble.lstm_note(),
        "scaling": None if scaling is None else {"mean": list(scaling.mean), "std": list(scaling.std)},
        "faithfulness": {name: asdict(one) for name, one in metadata.faithfulness.items()},
        "attribution_method": metadata.attribution_method,
        "methods": list(METHODS),
        "best_epoch": metadata.best_epoch,
        "history": model.history,
        "card": model.card(),
        "units": _dataset_json(model.units),
    }


def layer_of(model: Model, layer: int | None) -> int:
    """The number of a layer from 0, the top one for None. Raises RequestError for a layer that does not exist."""
    top = len(model.architecture.layers) - 1
    if layer is not None and not 0 <= layer <= top:
        raise RequestError("layer", f"must be from 0 to {top}, not {layer}")
    return top if layer is None else layer


def unit_json(model: Model, unit: int, layer: int | None = None) -> Json:
    """One unit of a layer: its bias, its weights, and its summary over a data set, null where the model has none.

    unit: its position in the layer's output, the directions side by side, as everywhere. layer: from 0, None for the
    top layer. weights: what the unit's h adds to the target score, one row per logit with one number per part of the
    pooling; null below the top layer, with hidden layers, and where two directions are merged. Raises RequestError for
    a unit or layer that does not exist.
    """
    arch, layer = model.architecture, layer_of(model, layer)
    shape = arch.layers[layer]
    if not 0 <= unit < shape.size:
        raise RequestError("unit", f"must be from 0 to {shape.size - 1}, not {unit}")
    place, column = divmod(unit, shape.units)
    direction = shape.directions[place]
    bias = model.parameters[f"lstm.{layer}.{direction}.bias"].reshape(4, shape.units)[:, column]
    weights, report = None, None
    if layer == len(arch.layers) - 1 and not arch.hidden and shape.merge == "concat":
        dense = model.parameters["dense.weight"][:, unit :: shape.size]  # (outputs, parts of the pooling)
        rows = model.ensemble.lstm_weight * dense
        weights, report = {"parts": arch.pooling.split("+"), "rows": rows.astype(float).tolist()}, model.units
    return {
        "api": 1,
        "unit": unit,
        "layer": layer,
        "direction": direction,
        "bias": {gate: float(x) for gate, x in zip("ifgo", bias, strict=True)},
        "weights": weights,
        "summary": None if report is None else asdict(report.unit(unit)),
        "dataset": _dataset_json(report),
    }


def _dataset_json(report: UnitsReport | None) -> Json | None:
    return None if report is None else {"data": report.data, "n": report.n, "accuracy": report.accuracy}
