"""Short texts for the dense layer of the bundled model, by rule from reviews.

Inside a review "good" is faint praise; as the whole text it is praise. What a phrase of up to six words says by itself,
reviewers tell where it stands alone between two punctuation marks:

    phrases         those whose reviews agree, with their label, and those whose reviews do not: neutral
    words           single predicates ("dull"), by the phrases with them, and their negations ("not at all dull")
    sentences       of up to eight words, with the label of their review where the model agrees with it; a first or last
                    one with a polar word also where the model is unsure, and the other ones are neutral there
    ratings         sentences with a rating out of ten, with the label that it says
    neutral         sentences without a polar word, and rare words in a random order

An unlabelled review has the label of the n-grams of the model, where they are sure. No text of `short_texts.tsv` and of
the checklist is among them, whatever its case and last punctuation mark.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.checklist import categories, short_texts
from gatewise.data.labelled import content_key
from tools.bundled.sentences import NEGATOR, log_odds

PHRASE, SENTENCE, EDGE = 6, 8, 6  # most words of a phrase, of a sentence, and of a first or last one
SURE = 4.0  # |logit| of the n-grams from which an unlabelled review has a label
UNSURE = 0.4  # |logit| of the model below which a sentence is neutral
LEAST = 5  # reviews with a phrase that has a label
NEUTRAL = 15  # with a neutral one
INNER = 0.35  # share of the sentences that are neither first nor last
RATING = re.compile(r"\b(\d+(?:\.5)?)\s*(?:/|out of)\s*(?:10|ten)\b", re.IGNORECASE)

_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')]*\s+|\n")
_PART_END = re.compile(r"[.!?;:()\"]+(?:\s|$)|,\s|\s-+\s|--|\.\.\.|\n")
_WORD = re.compile(r"[a-z0-9]+(?:['/][a-z0-9]+)*")
_INSIDE = re.compile(r"(?<=[a-z,] )([A-Za-z][a-z']+)")  # a word inside a sentence
_PREDICATE = re.compile(
    r"\b(?:is|was|are|were|it's|that's)\s+(?:(?:very|really|so|quite|pretty|truly|just|absolutely|extremely|rather|"
    r"simply|too)\s+)*([a-z]+)\s*(?=[.,;:!?)]|<br|$)",
    re.IGNORECASE,
)
_NEGATIONS: tuple[str, ...] = (
    *("not {}", "never {}", "not very {}", "not at all {}", "not {} at all", "hardly {}", "not really {}"),
    *("far from {}", "anything but {}", "by no means {}", "not exactly {}"),
)


class Text(NamedTuple):
    """A text, the probability of positive that it is trained with, its weight in the loss, and of which kind it is."""

    text: str
    target: float
    weight: float
    kind: str


class Reviews(NamedTuple):
    """Reviews with the probability of positive of each: labelled ones, then unlabelled ones."""

    texts: Sequence[str]
    positive: NDArray[np.float64]
    labelled: int

    def sentences(self, row: int) -> list[str]:
        """The sentences of a review."""
        found = (one.strip() for one in _SENTENCE_END.split(re.sub(r"<br\s*/?>", "\n", self.texts[row])))
        return [one for one in found if _WORD.search(one.lower())]


class Phrases:
    """How many positive and negative reviews have each phrase, by the words of it in lower case."""

    def __init__(self, reviews: Reviews) -> None:
        labelled = reviews.texts[: reviews.labelled]
        small, capital = Counter[str](), Counter[str]()
        for text in labelled:
            for word in _INSIDE.findall(text.replace("<br />", " ")):
                (capital if word[0].isupper() else small)[word.lower()] += 1
        self.names = {word for word, count in capital.items() if count > small[word]}
        self.predicates = Counter(word.lower() for text in labelled for word in _PREDICATE.findall(text))
        self.odds = log_odds(labelled, np.round(reviews.positive[: reviews.labelled]).astype(np.int64))
        counts: dict[str, NDArray[np.float64]] = {}  # negative, positive, and of both as a sentence
        for row, positive in enumerate(reviews.positive):
            text = re.sub(r"<br\s*/?>", "\n", reviews.texts[row])
            whole, parts = _phrases(_SENTENCE_END.split(text)), _phrases(_PART_END.split(text))
            for phrase in whole | parts:
                counts.setdefault(phrase, np.zeros(3))[:] += (1 - positive, positive, phrase in whole)
        self.counts = {phrase: count for phrase, count in counts.items() if count[:2].sum() >= 2}
        # The classes have as many reviews, but negative ones have more of such phrases.
        totals = np.sum([count[:2] for count in self.counts.values()], axis=0)
        self.shift = float(np.log(totals[0] / totals[1]))
        of_word: dict[str, NDArray[np.float64]] = {}
        for phrase, count in self.counts.items():
            words = phrase.split()
            if 2 <= len(words) <= 4 and not NEGATOR.search(phrase):
                for word in set(words):
                    of_word.setdefault(word, np.zeros(2))[:] += count[:2]
        self.polarity = {
            word: float(np.log((count[1] + 2) / (count[0] + 2))) + self.shift
            for word, count in of_word.items()
            if count.sum() >= 2 * LEAST
        }

    def strongest(self, words: Sequence[str], sign: float) -> float:
        """The largest polarity of the words in this direction, at least 0."""
        return max((self.polarity.get(word, 0.0) * sign for word in words), default=0.0)

    def texts(self) -> Iterator[tuple[str, float, str]]:
        """The phrases and the words: text, target and kind."""
        for phrase, (negative, positive, whole) in self.counts.items():
            words, count = phrase.split(), negative + positive
            logit = float(np.log((positive + 0.5) / (negative + 0.5))) + self.shift
            strongest, sign = self.strongest(words, np.sign(logit)), np.sign(logit)
            odds = max(self.odds.get(word, 0.0) * sign for word in words)
            if any(word in self.names for word in words):
                continue
            clear = (
                (abs(logit) > 1 and odds >= 0.8)
                or (abs(logit) > 1.3 and count > LEAST and whole >= 2)
                or (abs(logit) > 1 and re.search(r"\d/\d|out of|stars", phrase))
                or (abs(logit) > 1.5 and NEGATOR.search(phrase))
                or (abs(logit) > 0.6 and strongest > 0.8 and not NEGATOR.search(phrase))
            )
            if count >= LEAST and clear:
                yield phrase, float(logit > 0), "phrase"
            elif count >= NEUTRAL and abs(logit) < 0.45 and max(strongest, self.strongest(words, -sign)) < 0.6:
                yield phrase, 0.5, "neutral"
        for word, polarity in self.polarity.items():
            odds = self.odds.get(word, 0.0)
            mixed = abs(odds) >= 0.3 and odds * polarity < 0
            least = 4 if abs(polarity) >= 0.5 else 20
            if self.predicates[word] < least or word in self.names or mixed or abs(polarity) < 0.35:
                continue
            yield word, float(polarity > 0), "word"
            if abs(polarity) >= 0.8:
                yield from ((form.format(word), float(polarity < 0), "negation") for form in _NEGATIONS)

    def is_neutral(self, text: str) -> bool:
        """Whether a text has known words alone, none of them polar, and neither a negator nor a rating."""
        words = _WORD.findall(text.lower())
        known = all(word in self.odds for word in words) and not NEGATOR.search(text.lower()) and "/" not in text
        return known and all(abs(self.odds[w]) <= 0.4 and abs(self.polarity.get(w, 0.0)) <= 0.6 for w in words)


def _phrases(parts: Sequence[str]) -> set[str]:
    found = (" ".join(_WORD.findall(part.lower())) for part in parts)
    return {phrase for phrase in found if phrase and phrase.count(" ") < PHRASE}


def made_of(
    reviews: Reviews, logits: Callable[[Sequence[str]], NDArray[np.float64]], rng: np.random.Generator
) -> list[Text]:
    """All texts. logits(texts): what the model predicts before."""
    phrases = Phrases(reviews)
    weights = {"phrase": 4.0, "neutral": 8.0, "word": 4.0, "negation": 1.0}
    marks = rng.choice(["", "", ".", "!"], size=len(phrases.counts) + 20_000)
    found = [Text(t + mark, y, weights[kind], kind) for mark, (t, y, kind) in zip(marks, phrases.texts(), strict=False)]
    sentences: list[tuple[str, float, bool]] = []  # with the label of the review; whether it is the first or the last
    for row, positive in enumerate(reviews.positive):
        every, labelled, sure = reviews.sentences(row), row < reviews.labelled, positive in (0.0, 1.0)
        for number, sentence in enumerate(every):
            size, edge = len(re.findall(r"[\w']+", sentence)), number in (0, len(every) - 1)
            rating = RATING.search(sentence)
            if size > SENTENCE:
                continue
            if rating and float(rating[1]) <= 10 and not 4 < float(rating[1]) < 7:
                found.append(Text(sentence, float(float(rating[1]) >= 7), 1.0, "rating"))
            elif (size <= EDGE and sure) if edge else (labelled and rng.random() < INNER):
                sentences.append((sentence, positive, edge))
            if labelled and size <= 4 and phrases.is_neutral(sentence):
                found.append(Text(sentence, 0.5, 3.0, "short"))
    logit = logits([sentence for sentence, _, _ in sentences])
    for (sentence, positive, edge), z in zip(sentences, logit, strict=True):
        sign, words = 2 * positive - 1, _WORD.findall(sentence.lower())
        unsure = abs(z) <= UNSURE
        if z * sign > UNSURE or (unsure and edge and phrases.strongest(words, sign) >= 0.5):
            found.append(Text(sentence, positive, 0.5, "sentence"))
        elif unsure and not edge:
            found.append(Text(sentence, 0.5, 0.3, "unsure"))
    distinct = {content_key(one.text): one for one in found}
    tested = measured_texts()
    return [one for one in distinct.values() if content_key(bare(one.text)) not in tested]


def bare(text: str) -> str:
    """The text without its last punctuation marks."""
    return text.strip().rstrip(".!? ")


def measured_texts() -> set[int]:
    """The content of the texts that the model is measured on."""
    measured = [*categories(), *short_texts()]
    return {content_key(bare(sentence)) for category in measured for sentence in category.sentences}
