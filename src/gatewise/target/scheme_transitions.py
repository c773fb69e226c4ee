"""The transitions that a label scheme allows: those of a conditional random field that predicts no broken entity.

| scheme | after the beginning or the inside of X | before the inside of X |
|---|---|---|
| IOB1 | anything | I-X or B-X before B-X |
| IOB2 | anything | B-X or I-X before I-X |
| BIOES | I-X or E-X | B-X or I-X before I-X and E-X |
| BILOU | I-X or L-X | B-X or I-X before I-X and L-X |

The first step of a sequence is as one after O, and the last one as one before O.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.target.crf import Transitions
from gatewise.types import Array

Scheme = Literal["IOB1", "IOB2", "BIOES", "BILOU"]

_PREFIXES: dict[Scheme, str] = {"IOB1": "BI", "IOB2": "BI", "BIOES": "BIES", "BILOU": "BILU"}
_CONTINUING: dict[Scheme, str] = {"IOB1": "B", "IOB2": "I", "BIOES": "IE", "BILOU": "IL"}
"""The prefixes of the labels that need one of the same entity type before them."""
_OPEN = "BI"  # the prefixes after which an entity can go on
_MUST_GO_ON = ("BIOES", "BILOU")


def scheme_transitions(scheme: Scheme, classes: Sequence[str]) -> Transitions:
    """0 for each transition of the classes (K,) that the scheme allows, -inf for each other one. Raises InputError for
    a class that is no label of the scheme.
    """
    for label in classes:
        if not is_label_of(scheme, label):
            raise InputError(f"{quote(label)} is no label of {scheme}")
    after = [_follows(scheme, before, label) for before in ("O", *classes) for label in (*classes, "O")]
    # Row 0 is the start, and the last column the end.
    scores = np.where(after, 0.0, -np.inf).reshape(len(classes) + 1, len(classes) + 1)
    return Transitions(scores[0, :-1], scores[1:, :-1], scores[1:, -1])


def is_label_of(scheme: Scheme, label: str) -> bool:
    """Whether the scheme has a label like this one: O, or a prefix, a hyphen and a type."""
    return label == "O" or (label[:1] in _PREFIXES[scheme] and label[1:2] == "-" and label[2:] != "")


def reaches_every_length(transitions: Transitions) -> bool:
    """Whether a sequence of any length has labels without a transition of -inf: a label stands alone, and follows
    itself.
    """
    scores: Array = transitions.start + np.diag(transitions.between) + transitions.end
    return bool(np.isfinite(scores).any())


def _follows(scheme: Scheme, before: str, label: str) -> bool:
    """Whether a label may follow another one."""
    is_open = before[0] in _OPEN
    continues = label[0] in _CONTINUING[scheme]
    same_type = before[2:] == label[2:]
    if continues:
        return is_open and same_type
    return not (is_open and scheme in _MUST_GO_ON)
