"""Examples for the page: rows that the model keeps, or sentences about films for a model of film reviews.

The sentences were written for this page; none is a real review. `python -m benchmarks.first_touch` prints what a clamp
changes in each.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gatewise.errors import InputError
from gatewise.explain.score import decision_text
from gatewise.explain.serialize import Json
from gatewise.model.model import Model

_FILM_REVIEWS = "IMDB reviews"  # in the line that says which data a model was trained on
_HINTS = {  # what to look for in the sentences of a group
    "Turn": "at which word does the line turn?",
    "Negation": "does “not” flip the prediction, or only shift it?",
    "But": "what does the forget gate do at “but”?",
    "Order": "two texts with the same words. A bag-of-words model cannot tell them apart. Can this model?",
    "Double negation": "which words does the model take literally?",
    "Sarcasm": "which words mislead the model?",
    "Late turn": "does the forget gate close at “yet” and “and then”?",
    "Sad story": "a sad story is not a bad film. Which words does the model confuse?",
}
_LONGEST = 2_000  # characters or steps: those that training keeps are not longer
_OTHER = {"Order": "The reviews were wonderful, but the film is awful."}  # the second text of a group, to compare
_SENTENCES = [  # group, whether it is positive, text
    ("Turn", True, "The trailer looked terrible. The film is excellent, and I loved every minute."),
    (
        "Turn",
        False,
        "A great cast and a beautiful opening. Then it falls apart, and the ending is a boring, pointless mess.",
    ),
    (
        "Turn",
        True,
        "The effects look cheap and the story is dull. Still, I loved it: it is charming, funny and full of heart.",
    ),
    ("Negation", True, "It is not perfect, but it is never dull, and the acting is superb."),
    ("Negation", False, "This is not an excellent film. The story is not funny, and the acting is not convincing."),
    ("Negation", True, "You will not be disappointed: there is not one boring scene in this wonderful film."),
    ("Negation", True, "This is not an awful film; I was never bored, and nothing in it felt cheap."),
    ("Negation", True, "Nobody could call this film boring, and nobody should miss it."),
    ("But", True, "Not perfect, but well worth seeing."),
    ("But", False, "It is not terrible, but it is a waste of a good cast."),
    ("Order", True, "The reviews were awful, but the film is wonderful."),
    ("Double negation", True, "No dull scene, no false note, not one minute I would cut."),
    (
        "Sarcasm",
        False,
        "An excellent film, if you enjoy watching paint described by someone who has never seen paint.",
    ),
    ("Sarcasm", False, "What a brilliant way to waste two hours of my life."),
    ("Sarcasm", False, "The most enjoyable film that I have never finished."),
    (
        "Late turn",
        True,
        "The first hour is slow, the jokes are flat and the songs are worse, yet the last ten minutes are so honest "
        "that I left the cinema happy.",
    ),
    (
        "Late turn",
        False,
        "Excellent photography, a warm cast, a clever opening, and then it throws everything away for an ending that "
        "insults its audience.",
    ),
    ("Sad story", True, "A sad story of boredom, loss and death that I will never forget."),
]


def examples_of(model: Model) -> list[Json]:
    """Name, hint, label, text or series of each example, whether it is the model's own row, and what this model
    predicts. correct: None for a regression, a tagger and where the model is undecided. Without rows of its own and for
    other data than film reviews there is none.
    """
    of_films = model.task == "classification" and model.classes == ("negative", "positive")
    kept = [(one.label, one.text, one.series) for one in model.metadata.examples]
    if kept:
        shown = [(f"Example {n}", "a row of the validation set", *one) for n, one in enumerate(kept, start=1)]
    elif of_films and _FILM_REVIEWS in model.metadata.data and model.architecture.inputs == "tokens":
        shown = [(name, _HINTS[name], model.classes[positive], text, ()) for name, positive, text in _SENTENCES]
    else:
        return []
    inputs: list[Any] = [text or np.array(series, dtype=np.float64) for _, _, _, text, series in shown]
    predicted = _predicted(model, inputs)
    return [
        {
            "name": name,
            "hint": hint,
            "label": label,
            "text": text,
            "series": series,
            "other": None if kept else _OTHER.get(name),
            "own": bool(kept),
            "predicted": found,
            "correct": None if found in (None, "undecided") else found == label,
        }
        for (name, hint, label, text, series), found in zip(shown, predicted, strict=True)
    ]


def _predicted(model: Model, inputs: list[Any]) -> list[str | None]:
    """The prediction for each input in words, None where a label is not one class or several labels, and where the
    metadata of a stranger's model has inputs that it cannot read or that take long.
    """
    target = model.target
    nothing: list[str | None] = [None] * len(inputs)
    if target.task == "regression" or target.per_step or max(map(len, inputs)) > _LONGEST:
        return nothing
    try:
        logits = model.logits(inputs)
    except InputError:
        return nothing
    rows = zip(target.predicted(logits), target.probabilities(logits), strict=True)
    return [decision_text(target, one, p) for one, p in rows]
