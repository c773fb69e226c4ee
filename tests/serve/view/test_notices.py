"""Notices about a text that is unlike the training texts: unknown words, another language, few words."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gatewise.serve.view.notices import text_notices
from gatewise.serve.view.view import View
from tests.small_models import bundled_model

FREQUENT = range(2, 152)


class Read(SimpleNamespace):
    def __len__(self) -> int:
        return len(self.rows)


def read(ids: list[int], text: str = "", marks: int = 0, pads: int = 0) -> Any:
    """What `text_notices` reads of an example: words with these ids, punctuation marks, and steps without a word."""
    names = ["word"] * len(ids) + ["."] * marks + ["<pad>"] * pads
    rows = np.arange(len(names))
    return Read(item=text or " ".join(names), names=names, rows=rows, read=np.array(ids + [3] * marks + [0] * pads))


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([2, 300, 5, 900, 40, 77, 1200, 9], []),
        ([1, 1, 300, 5, 9], []),
        ([1, 1, 1, 5, 9], ["unknown_words"]),
        ([1], ["unknown_words"]),
        ([1, 1, 700, 710, 800, 900, 950, 5], []),  # keywords: rare words, but known ones
    ],
)
def test_unknown_words(ids: list[int], expected: list[str]) -> None:
    for pads in (0, 90):
        assert [one["code"] for one in text_notices(read(ids, marks=3, pads=pads), 1, FREQUENT, 0)] == expected


@pytest.mark.parametrize("name", ["tutorial", "bundled"])
@pytest.mark.parametrize(
    ("text", "foreign"),
    [
        ("Dieser Film ist sehr gut und die Schauspieler spielen wunderbar.", True),
        ("Der Film war schlecht.", True),
        ("Leider ein sehr schwacher Film mit einem dummen Drehbuch.", True),
        ("Ich habe mich keine Minute gelangweilt, und das Ende hat mich zu Tränen gerührt.", True),
        ("C'est un très beau film, avec une histoire simple mais des images magnifiques.", True),
        ("Quel dommage, le scénario est stupide et les dialogues sont ridicules.", True),
        ("El final es muy bueno, pero la historia es demasiado larga para mí.", True),
        ("La fine è molto bella, ma la storia è troppo lunga per me.", True),
        ("Terrible acting, awful script, boring plot, dreadful music: avoid.", False),
        ("Les Misérables, La Dolce Vita, Das Boot: three films to see.", False),
        ("Die, war, pest and famine in one film about the Thirty Years' War.", False),
    ],
)
def test_a_fluent_text_in_another_language(name: str, text: str, foreign: bool) -> None:
    found = View(bundled_model(name)).explain({"text": text})["warnings"]
    assert ("language" in [one["code"] for one in found]) == foreign


def test_without_ranked_ids_there_is_no_language() -> None:
    assert [one["code"] for one in text_notices(read([1] * 12, "der die und"), 1, None, 0)] == ["unknown_words"]


def test_a_text_far_shorter_than_the_training_texts() -> None:
    known = [2, 300, 5]
    assert text_notices(read(known * 6, marks=2), 1, FREQUENT, 200) == []
    found = text_notices(read(known * 6, marks=1), 1, FREQUENT, 200)
    assert found == [
        {"code": "short", "message": "Short text (19 words and marks; training median 200): less reliable."}
    ]
    assert text_notices(read(known), 1, FREQUENT, 0) == [], "the length was not recorded"


def test_a_series_has_no_notices() -> None:
    series = Read(item=np.zeros((3, 1)), names=["1", "2", "3"], rows=np.arange(3), read=np.zeros((3, 1)))
    assert text_notices(series, None, None, 500) == []
