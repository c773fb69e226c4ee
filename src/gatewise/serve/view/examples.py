"""Examples for the page: rows that the model keeps, or sentences about films for a model of film reviews.

The sentences (sentences.json) were written for this page; none is a real review.
"""

import json
from dataclasses import asdict
from importlib.resources import files
from typing import Any

import numpy as np

from gatewise.data.row_columns import Row
from gatewise.errors import InputError
from gatewise.explain.serialize import Json
from gatewise.model import Model

_FILM_REVIEWS = "IMDB reviews"  # in the line that says which data a model was trained on
_LONGEST = 2_000  # characters or steps: those that training keeps are not longer


def examples_of(model: Model) -> list[Json]:
    """The examples: name, hint, label, text or series, whether it is a row that the model keeps, and the prediction.

    correct: None for a regression, a tagger and where the model is undecided. Examples with a wrong prediction are the
    last ones. A model that keeps no rows has examples only if it was trained on film reviews.
    """
    of_films = model.task == "classification" and model.classes == ("negative", "positive")
    if model.metadata.examples:
        examples: list[Json] = [
            {"name": f"Example {n}", "hint": "a row of the validation set", "other": None, "own": True, **asdict(row)}
            for n, row in enumerate(model.metadata.examples, start=1)
        ]
    elif of_films and _FILM_REVIEWS in model.metadata.data and model.preprocessor.format.in_a_cell:
        groups = json.loads((files("gatewise.serve.view") / "sentences.json").read_bytes())
        examples = [
            {**group["about"], "own": False, "series": (), **sentence}
            for group in groups
            for sentence in group["sentences"]
        ]
    else:
        return []
    inputs: list[Any] = [example["text"] or np.array(example["series"], dtype=np.float64) for example in examples]
    if names := model.preprocessor.columns.names:
        rows = ({**dict.fromkeys(names), **example.get("columns", {})} for example in examples)
        inputs = list(map(Row, inputs, rows))
    predictions = _predicted(model, inputs)
    for number, (example, predicted) in enumerate(zip(examples, predictions, strict=True), start=1):
        example["predicted"] = predicted
        example["correct"] = None
        if predicted not in (None, "undecided"):
            example["correct"] = predicted == example["label"]
        example |= _in_menu(example, number)
    return sorted(examples, key=lambda example: example["correct"] is False)


def _in_menu(example: Json, number: int) -> Json:
    """The group and the title of an example in the menu of the page."""
    text = example["text"][:70]
    is_wrong = example["correct"] is False
    if example["own"]:
        group = "Rows of the validation set"
        title = f"{number}: {example['label']}"
        if text:
            title += f", {text}"
    elif is_wrong:
        group = ""
        title = f"{example['name']}: {text}"
    else:
        group = example["name"]
        title = text
    if is_wrong:
        group = "Where it fails"
    return {"group": group, "title": title}


def _predicted(model: Model, inputs: list[Any]) -> list[str | None]:
    """The prediction for each input in words. None for numbers and predictions per step, and for all inputs where the
    metadata of a stranger's model has inputs that it cannot read or that take long.
    """
    target = model.target
    nothing: list[str | None] = [None] * len(inputs)
    if not target.row_score_is_share or max(map(len, inputs)) > _LONGEST:
        return nothing
    try:
        logits = model.logits(inputs, outside=model.outside())  # a row of the validation set needs no warning
    except InputError:
        return nothing
    rows = zip(target.each.predicted(logits), target.probabilities(logits), strict=True)
    return [target.each.decision_text(decision, probabilities) for decision, probabilities in rows]
