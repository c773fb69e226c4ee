"""Notices about a text that is unlike the training texts: unknown words, another language, few words."""

import numpy as np

from gatewise.explain import Example
from gatewise.explain.serialize import Json
from gatewise.types import Array

UNKNOWN = 0.5  # share of unknown words above which the prediction rests on the minority of the words
FREQUENT = 150  # this many most frequent words make up about half of a running text
SHORT = 10  # a text is short if it is this many times shorter than the median training text
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
    where ids are not in the order of frequency. median_length: steps of the median training text, 0 if it was not
    recorded.
    """
    if unknown is None or not isinstance(example.item, str):
        return []
    tokens = [example.names[row].casefold() for row in example.rows]
    is_word = [any(ch.isalpha() for ch in token) and token not in _NO_WORDS for token in tokens]
    words = np.array(tokens)[is_word]  # (W,) texts
    ids: Array = example.read[is_word]  # (W,)
    notices: list[Json] = []
    if frequent is not None and _is_foreign(words, np.isin(ids, frequent)):
        message = "The text seems to be in another language than the training texts. The prediction means little."
        notices.append({"code": "language", "message": message})
    elif (ids == unknown).sum() > UNKNOWN * len(ids):
        message = "Most words are not in the vocabulary. The prediction means little."
        notices.append({"code": "unknown_words", "message": message})
    if len(example) * SHORT < median_length:
        message = f"Short text ({len(example)} words and marks; training median {median_length}): less reliable."
        notices.append({"code": "short", "message": message})
    return notices


def _is_foreign(words: Array, is_frequent: Array) -> bool:
    """Whether a text has more function words of other languages than frequent words of the training texts, and at
    least two: a title or a name may hold one. words: (W,). is_frequent: (W,) bool.
    """
    foreign = sum(word in FOREIGN for word in words[~is_frequent])
    return foreign >= 2 and foreign > int(is_frequent.sum())
