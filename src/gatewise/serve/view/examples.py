"""Examples for the page: rows that the model keeps, or sentences about films for a model of film reviews.

The sentences (sentences.json) were written for this page; none is a real review.
"""

import json
from dataclasses import asdict
from importlib.resources import files
from typing import Any

import numpy as np

from gatewise.errors import InputError
from gatewise.explain.serialize import Json
from gatewise.model.model import Model
from gatewise.row import with_columns

_FILM_REVIEWS = "IMDB reviews"  # in the line that says which data a model was trained on
_LONGEST = 2_000  # characters or steps: those that training keeps are not longer


def examples_of(model: Model) -> list[Json]:
    """Name, hint, label, text or series of each example, whether it is the model's own row, and what this model
    predicts. correct: None for a regression, a tagger and where the model is undecided. Those that the model gets wrong
    are the last ones. Without rows of its own and for other data than film reviews there is none.
    """
    of_films = model.task == "classification" and model.classes == ("negative", "positive")
    if model.metadata.examples:
        shown: list[Json] = [
            {"name": f"Example {n}", "hint": "a row of the validation set", "other": None, "own": True, **asdict(one)}
            for n, one in enumerate(model.metadata.examples, start=1)
        ]
    elif of_films and _FILM_REVIEWS in model.metadata.data and model.preprocessor.format.in_a_cell:
        groups = json.loads((files("gatewise.serve.view") / "sentences.json").read_bytes())
        shown = [
            {**group["about"], "own": False, "series": (), **one} for group in groups for one in group["sentences"]
        ]
    else:
        return []
    inputs: list[Any] = [one["text"] or np.array(one["series"], dtype=np.float64) for one in shown]
    if names := model.preprocessor.columns.names:
        rows = ({**dict.fromkeys(names), **one.get("columns", {})} for one in shown)
        inputs = list(map(with_columns, inputs, rows))
    for number, (one, found) in enumerate(zip(shown, _predicted(model, inputs), strict=True), start=1):
        one |= {"predicted": found, "correct": None if found in (None, "undecided") else found == one["label"]}
        one |= _in_menu(one, number)
    return sorted(shown, key=lambda one: one["correct"] is False)


def _in_menu(one: Json, number: int) -> Json:
    """The group and the title of an example in the menu of the page."""
    text = one["text"][:70]
    if one["own"]:
        group, title = "Rows of the validation set", f"{number}: {one['label']}{', ' * bool(text)}{text}"
    else:
        group, title = one["name"], text
    if one["correct"] is not False:
        return {"group": group, "title": title}
    return {"group": "Where it fails", "title": title if one["own"] else f"{one['name']}: {text}"}


def _predicted(model: Model, inputs: list[Any]) -> list[str | None]:
    """The prediction for each input in words, None where a label is not one class or several labels, and where the
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
    return [target.each.decision_text(one, p) for one, p in rows]
