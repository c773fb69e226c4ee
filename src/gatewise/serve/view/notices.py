"""Notices about a text that is unlike the training texts: unknown words, another language, few words."""

import numpy as np

from gatewise.explain.example import Example
from gatewise.explain.serialize import Json
from gatewise.types import Array

UNKNOWN = 0.5  # share of unknown words from which the prediction rests on the minority
FREQUENT = 150  # so many most frequent words make up about half of a running text
SHORT = 10  # times shorter than the median training text
_NO_WORDS = ("<start>", "<pad>")
# Frequent words without which hardly a sentence of these languages does: German, French, Spanish, Italian, English.
_FUNCTION_WORDS = """
der die das und ist nicht ein eine mit von den dem des im zu sich auf für auch es ich aber war wie sehr dass wenn nur
noch als bei einen einer einem hat sind wird dieser dieses diese er sie wir ihr habe
le la les un une et est pas de du en que qui dans pour sur avec ce cette il elle je ne plus mais au aux sont très tout
par se son sa ses c'est nous vous était ont j'ai
el los las una y con para su muy pero como más del al lo esta este fue
gli è non che di per si ma come più della molto questo questa sono ho
the of and is was it to that this with for but not are have be you they
"""
FOREIGN = frozenset(_FUNCTION_WORDS.split())


def text_notices(example: Example, unknown: int | None, frequent: range | None, median_length: int) -> list[Json]:
    """Warnings, at most one per kind: {"code", "message"}. For a series none.

    unknown: the token id of unknown words. frequent: the ids of the most frequent words of the training texts, None
    where the ids do not tell. median_length: steps of the median training text, 0 if it was not recorded.
    """
    if unknown is None or not isinstance(example.item, str):
        return []
    names = [example.names[row].casefold() for row in example.rows]
    is_word = [any(ch.isalpha() for ch in name) and name not in _NO_WORDS for name in names]
    words: Array = example.read[is_word]  # (W,) ids
    count, missing = len(words), int((words == unknown).sum())
    found: list[Json] = []
    common = np.isin(words, () if frequent is None else frequent)
    foreign = sum(name in FOREIGN for name, one in zip(np.array(names)[is_word], common, strict=True) if not one)
    # More function words of other languages than frequent words of the training texts.
    if frequent is not None and foreign >= 2 and foreign > int(common.sum()):
        message = "The text seems to be in another language than the training texts. The prediction means little."
        found.append({"code": "language", "message": message})
    elif missing > UNKNOWN * count:
        message = "Most words are not in the vocabulary. The prediction means little."
        found.append({"code": "unknown_words", "message": message})
    if len(example) * SHORT < median_length:
        message = f"Short text ({len(example)} words and marks; training median {median_length}): less reliable."
        found.append({"code": "short", "message": message})
    return found
