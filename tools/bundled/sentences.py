"""Sentences for the training of the bundled model, made from labelled reviews.

A model that has seen whole reviews alone takes a sentence for a bag of words: in a review the words outvote each other,
and a negation changes little. Five kinds of texts teach it to read a sentence:

    crops           one to three sentences of a review, with its label. Many say nothing of the film and stand in
                    positive and in negative reviews: the model learns how much a sentence tells.
    neutral         sentences and questions without a polar word, each with both labels
    clauses         "the acting is wooden", "I loved the music": with one predicate, whose log-odds in the reviews agree
                    with the review's label
    negations       the same clauses with "not", "never" and the like, with the other label
    compositions    clauses and negations inside another clause ("I do not think that ..."), a question or a
                    comparison, or two of opposite labels joined by "but" and the like, with the label that the rule
                    gives

The clauses are cut from the reviews; the words that join them are those of sentences.toml. `tools.bundled`
leaves out those that overlap with a sentence of `benchmarks.independent_sentences`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

POLAR = 0.8  # absolute log-odds of a word that decides a clause
NEUTRAL = 0.4  # greatest absolute log-odds of a word of a neutral sentence
LEAST_REVIEWS = 40  # reviews with a word whose log-odds count
PER_KIND = 1_200  # clauses of a kind and label; as many compositions of a kind, and neutral sentences of a kind

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_CLAUSE_END = re.compile(
    r"[.,;:!?()\"]|\s-+\s|\b(?:but|and|although|though|because|while|which|who|that|if|when|or|as|except|however)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
NEGATOR = re.compile(
    r"\b(?:not|no|never|nothing|nobody|none|nor|neither|without|hardly|barely|cannot|lack\w*|fail\w*|\w+n't)\b"
)
_RATING = re.compile(r"\b(?:10|ten|rat(?:e|ed|ing)|stars?|scored?|gave|give|grade|votes?)\b|/")
_ADVERB = r"(?:very|really|so|quite|pretty|truly|just|absolutely|extremely|rather|simply|too)\s+"
_GIVEN = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
_FORMS: dict[str, list[str]] = _GIVEN["forms"]
_LIKING, _DISLIKING = (_GIVEN["verbs"][sentiment] for sentiment in ("positive", "negative"))
_BASE_FORM: dict[str, str] = _LIKING | _DISLIKING
# subject, copula or nothing, adverb or article, predicate, rest
_PATTERNS: dict[str, re.Pattern[str]] = {
    "adjective": re.compile(rf"^(.+)\b(is|was|are|were) ((?:{_ADVERB})?)([a-z]+)()$", re.IGNORECASE),
    "noun": re.compile(rf"^(.+)\b(is|was) (an? (?:{_ADVERB})?)([a-z]+)( [a-z]+)$", re.IGNORECASE),
    "comparative": re.compile(
        r"^(.+)\b(is|was|are|were) ((?:much |far |even |a lot )?)(better|worse)( than .{2,40})$", re.IGNORECASE
    ),
    "verb": re.compile(
        rf"^(i |we |my \w+ |everyone |he |she |they )()((?:{_ADVERB})?)({'|'.join(_BASE_FORM)})( .{{2,40}})$",
        re.IGNORECASE,
    ),
}
_POLARITY = dict.fromkeys(("better", *_LIKING), 1.0) | dict.fromkeys(("worse", *_DISLIKING), -1.0)

T = TypeVar("T")
Kind = Literal["adjective", "noun", "comparative", "verb"]


class Example(NamedTuple):
    """A text, its label (1: positive) and the number of the review that it is from."""

    text: str
    label: int
    review: int


class Clause(NamedTuple):
    """A clause without a negator, cut around its predicate."""

    kind: Kind
    subject: str
    copula: str
    middle: str
    """Adverb, article or nothing, with the space after it."""
    predicate: str
    rest: str
    label: int
    review: int

    @property
    def text(self) -> str:
        """The clause as it stands in the review."""
        copula = f"{self.copula} " if self.copula else ""
        return f"{self.subject}{copula}{self.middle}{self.predicate}{self.rest}"

    @property
    def has_article(self) -> bool:
        """Whether the subject is a thing: "the acting", "this film"."""
        return bool(re.match(r"(?:the|this|that|his|her|its|their) [a-z]+ $", self.subject, re.IGNORECASE))

    def negated(self, rng: np.random.Generator) -> str:
        """The clause with a negator before its predicate, or before its subject."""
        if self.kind == "verb":
            base = _BASE_FORM[self.predicate.lower()]
            return f"{self.subject}{_one_of(_FORMS['did_not'], rng)} {self.middle}{base}{self.rest}"
        if self.kind == "adjective" and self.has_article and rng.random() < 0.2:
            return f"nothing in {self.subject}is {self.predicate}"
        negator = _one_of(_FORMS["not_adjective"] if self.kind == "adjective" else _FORMS["not"], rng)
        middle = "" if negator in _FORMS["not_adjective"][-2:] else self.middle
        return f"{self.subject}{self.copula} {negator} {middle}{self.predicate}{self.rest}"

    def question(self, rng: np.random.Generator) -> Example:
        """A question that asserts the clause."""
        return Example(
            f"Why {self.copula} {self.subject}{self.middle}{self.predicate}{self.rest}?", self.label, self.review
        )

    def infinitive(self, rng: np.random.Generator) -> Example:
        """The verb after words that assert it or deny it."""
        flipped = bool(rng.integers(2))
        start = _one_of(_FORMS["flips"] if flipped else _FORMS["keeps"], rng)
        end = "?" if start.startswith(("Who", "How", "Why")) else "."
        text = f"{start} {_BASE_FORM[self.predicate.lower()]}{self.rest}{end}"
        return Example(text, 1 - self.label if flipped else self.label, self.review)


def log_odds(texts: Sequence[str], labels: NDArray[np.int64]) -> dict[str, float]:
    """log((p + 1) / (n + 1)) of each word in p positive and n negative texts, at least `LEAST_REVIEWS` in all."""
    counts: dict[str, list[int]] = {}
    for text, label in zip(texts, labels, strict=True):
        for word in set(_WORD.findall(text.lower())):
            counts.setdefault(word, [0, 0])[label] += 1
    return {w: float(np.log((p + 1) / (n + 1))) for w, (n, p) in counts.items() if n + p >= LEAST_REVIEWS}


def sentences_of(text: str) -> list[str]:
    """The sentences of a review."""
    return [s for s in _SENTENCE_END.split(re.sub(r"<br\s*/?>", " ", text)) if len(s) > 3]


def crops(texts: Sequence[str], labels: NDArray[np.int64], count: int, rng: np.random.Generator) -> list[Example]:
    """Crops of one to three sentences of `count` reviews drawn at random, of those that have more sentences."""
    found = []
    for review in rng.integers(len(texts), size=count).tolist():
        sentences, size = sentences_of(texts[review]), int(rng.integers(1, 4))
        if len(sentences) > size:
            start = int(rng.integers(len(sentences) - size + 1))
            found.append(Example(" ".join(sentences[start : start + size]), int(labels[review]), review))
    return found


def short_texts(texts: Sequence[str], labels: NDArray[np.int64], rng: np.random.Generator) -> list[Example]:
    """Neutral sentences, clauses, negations and compositions from reviews with labels 0 and 1."""
    odds = log_odds(texts, labels)
    of_kind: dict[tuple[Kind, int], list[Clause]] = {}
    for clause in _clauses(texts, labels, odds):
        of_kind.setdefault((clause.kind, clause.label), []).append(clause)
    chosen = [group[n] for group in of_kind.values() for n in rng.permutation(len(group))[:PER_KIND]]
    chosen = [_with_other_verb(clause, rng) for clause in chosen]
    plain = [Example(clause.text, clause.label, clause.review) for clause in chosen]
    negations = [Example(clause.negated(rng), 1 - clause.label, clause.review) for clause in chosen]
    parts = plain + negations
    found = [part._replace(text=f"{part.text}.") for part in parts]
    verbs = [clause for clause in chosen if clause.kind == "verb"]
    adjectives = [clause for clause in chosen if clause.kind == "adjective"]
    found += _sample([clause for clause in chosen if clause.kind != "verb"], rng, lambda clause: clause.question(rng))
    found += _sample(verbs, rng, lambda clause: clause.infinitive(rng))
    found += _sample(adjectives, rng, lambda clause: _wish(clause, rng))
    found += _sample(parts, rng, lambda part: part._replace(text=f"{_one_of(_FORMS['assert'], rng)} {part.text}."))
    for population in (plain, negations):
        found += _sample(population, rng, lambda part: _denial(part, rng))
    found += _sample([clause for clause in chosen if clause.has_article], rng, lambda clause: _quality(clause, rng))
    found += _sample([clause for clause in chosen if clause.has_article], rng, lambda clause: _comparison(clause, rng))
    others = [[part.text for part in parts if part.label == label] for label in (1, 0)]  # of the other label
    if all(others):
        found += _sample(parts, rng, lambda part: _contrast(part, _one_of(others[part.label], rng), rng))
    return found + _neutral(texts, odds, rng)


def _clauses(texts: Sequence[str], labels: NDArray[np.int64], odds: dict[str, float]) -> list[Clause]:
    """The clauses whose one predicate is polar, and polar as the review is."""
    found = []
    for review, text in enumerate(texts):
        for sentence in sentences_of(text):
            for part in _CLAUSE_END.split(sentence):
                clause = _clause(part.strip(), int(labels[review]), review, odds)
                if clause is not None:
                    found.append(clause)
    return found


def _clause(text: str, label: int, review: int, odds: dict[str, float]) -> Clause | None:
    words = _WORD.findall(text.lower())
    if not 3 <= len(words) <= 9 or NEGATOR.search(text.lower()):
        return None
    kinds: tuple[Kind, ...] = ("adjective", "noun", "comparative", "verb")
    for kind in kinds:
        match = _PATTERNS[kind].match(text)
        if match is None:
            continue
        predicate = match[4].lower()
        # The log-odds of "better" are negative: reviews that miss something use it.
        polarity = _POLARITY[predicate] if kind in ("comparative", "verb") else odds.get(predicate, 0.0)
        others = (odds.get(word, 0.0) for word in words if word != predicate)
        mixed = any(other * polarity < 0 and abs(other) >= POLAR for other in others)
        if abs(polarity) < POLAR or mixed or (polarity > 0) != (label == 1):
            return None
        subject, copula, middle, word, rest = match.groups()
        return Clause(kind, subject, copula, middle, word, rest, label, review)
    return None


def _with_other_verb(clause: Clause, rng: np.random.Generator) -> Clause:
    """The clause with a verb of the same polarity, so that rare verbs are seen; other kinds as they are."""
    if clause.kind != "verb":
        return clause
    return clause._replace(predicate=_one_of(list(_LIKING if clause.label == 1 else _DISLIKING), rng))


def _quality(clause: Clause, rng: np.random.Generator) -> Example:
    """Whether the clause's subject has a quality, in place of its predicate."""
    label = int(rng.integers(2))
    form = _one_of(_FORMS["with"] if label else _FORMS["without"], rng).replace("{}", "{0}", 1).replace("{}", "{1}", 1)
    return Example(form.format(clause.subject.strip(), _one_of(_FORMS["qualities"], rng)), label, clause.review)


def _comparison(clause: Clause, rng: np.random.Generator) -> Example:
    """Whether the clause's subject is better or worse than something, in place of its predicate."""
    label = int(rng.integers(2))
    subject, than = clause.subject.strip(), _one_of(_FORMS["than"], rng)
    forms = [
        f"{subject} is {_one_of(('', 'much ', 'far ', 'even '), rng)}{('worse', 'better')[label]} {than}.",
        f"I have rarely seen a {('worse', 'better')[label]} {subject.split()[-1]}.",
        f"There is no {('worse', 'better')[label]} {subject.split()[-1]}.",
    ]
    if clause.kind == "adjective" and clause.label == 1:
        label = int(rng.integers(2))
        forms = [f"{subject} is {('not as', 'as')[label]} {clause.predicate} {than.replace('than', 'as')}."]
    return Example(_one_of(forms, rng), label, clause.review)


def _wish(clause: Clause, rng: np.random.Generator) -> Example:
    """A wish for more of a quality; one for more of a fault is not said."""
    if clause.label == 1:
        return Example(_one_of(_FORMS["wishes"], rng).format(clause.predicate), 1, clause.review)
    return Example(f"Why {clause.copula} {clause.subject}so {clause.predicate}?", 0, clause.review)


def _denial(part: Example, rng: np.random.Generator) -> Example:
    return part._replace(text=f"{_one_of(_FORMS['deny'], rng)} {part.text}.", label=1 - part.label)


def _contrast(part: Example, other: str, rng: np.random.Generator) -> Example:
    return part._replace(text=_one_of(_FORMS["contrasts"], rng).format(main=part.text, other=other))


def _neutral(texts: Sequence[str], odds: dict[str, float], rng: np.random.Generator) -> list[Example]:
    """Questions, sentences with a number and other sentences of 4 to 12 words, without a negator, a rating and a word
    of |log-odds| above `NEUTRAL`, each with both labels.
    """
    kinds: tuple[list[Example], ...] = ([], [], [])
    for review, text in enumerate(texts):
        for sentence in sentences_of(text):
            words = _WORD.findall(sentence.lower())
            if not 4 <= len(words) <= 12 or NEGATOR.search(sentence.lower()) or _RATING.search(sentence.lower()):
                continue
            if all(abs(odds.get(word, 0.0)) <= NEUTRAL for word in words):
                kind = 0 if sentence.endswith("?") else 1 if re.search(r"\d", sentence) else 2
                kinds[kind].append(Example(sentence, 1, review))
    chosen = [example for kind in kinds for example in _sample(kind, rng, lambda example: example)]
    return [example._replace(label=label) for example in chosen for label in (1, 0)]


def _sample(population: Sequence[T], rng: np.random.Generator, make: Callable[[T], Example]) -> list[Example]:
    return [make(population[n]) for n in rng.permutation(len(population))[:PER_KIND]]


def _one_of(choices: Sequence[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]
