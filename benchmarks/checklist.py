"""Behavioural tests of a sentiment model on single sentences, by category, in the style of CheckList.

    python -m benchmarks.checklist [MODEL] [--failures N] [--save]

The sentences are made here from templates and word lists; no model is trained on them or selected by them. A sentence
is positive, negative or neutral. A prediction is right if it is the sentence's class; for a neutral sentence, if both
classes have a probability of at least 0.3. --failures prints the worst predictions of each category; --save adds the
results to the model card.

Source: Ribeiro et al. (2020), Beyond accuracy: behavioral testing of NLP models with CheckList.
"""

from __future__ import annotations

import argparse
import itertools
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

import gatewise as gw
from gatewise.errors import InputError
from gatewise.model import bundled
from gatewise.model.card import EvalResult
from gatewise.model.model import Model
from gatewise.types import Array

Sentiment = Literal["positive", "negative", "neutral"]
NEUTRAL = 0.3  # the least probability of either class of a neutral sentence
LARGEST = 200  # sentences of a category

WORDS: dict[str, tuple[str, ...]] = {
    name: tuple(words.split(", "))
    for name, words in {
        "thing": "film, movie, story, script, acting, ending, plot, dialogue, music, direction",
        "part": "script, acting, ending, plot, dialogue, music, direction",
        "mass": "acting, dialogue, music, direction",
        "whole": "film, movie, picture, comedy, thriller, drama",
        "good": "good, great, excellent, wonderful, brilliant, funny, clever, beautiful, moving, superb",
        "bad": "bad, terrible, awful, boring, dull, stupid, weak, predictable, silly, tedious",
        "mild": "bad, boring, dull, stupid, predictable, slow, silly",
        "loved": "loved, enjoyed, liked, adored, admired",
        "love": "love, enjoy, like, admire",
        "hated": "hated, disliked, detested, despised",
        "hate": "hate, dislike, detest",
        "very": "very, really, extremely, absolutely, truly, so, incredibly, thoroughly",
        "much": "really, absolutely, truly, thoroughly",
        "virtue": "charm, wit, humour, suspense, style",
        "smile": "😀, 😍, 👍, ❤️, :), :-)",
        "frown": "😡, 👎, 😞, 🙄, :(, :-(",
        "day": "Monday, Tuesday, Friday, Sunday",
        "place": "London, Canada, Japan, Rome, a small town",
        "minutes": "80, 95, 104, 120",
    }.items()
}

TEMPLATES: dict[str, dict[Sentiment, tuple[str, ...]]] = {
    "plain": {
        "positive": ("The {thing} is {good}.", "I {loved} it.", "A {good} {whole}.", "I {loved} this {whole}."),
        "negative": ("The {thing} is {bad}.", "I {hated} it.", "A {bad} {whole}.", "I {hated} this {whole}."),
    },
    "negation": {
        "positive": (
            "This is not a {mild} {whole}.",
            "The {thing} is never {mild}.",
            "I was never bored by this {whole}.",
            "There is not one {mild} scene in this {whole}.",
            "I did not want this {whole} to end.",
            "You will not regret seeing this {whole}.",
            "Nothing about the {thing} is {mild}.",
        ),
        "negative": (
            "The {thing} is not {good}.",
            "This is not a {good} {whole}.",
            "I did not {love} this {whole}.",
            "There is nothing {good} about the {thing}.",
            "The {thing} is never {good}.",
            "I would not recommend this {whole}.",
            "Nobody will {love} this {whole}.",
            "This {whole} has no {virtue} at all.",
        ),
    },
    "double negation": {
        "positive": (
            "I can't say that I did not {love} this {whole}.",
            "The {thing} is not without {virtue}.",
            "Nobody can say that the {thing} is not {good}.",
            "There is no denying that the {thing} is {good}.",
            "It is impossible not to {love} this {whole}.",
        ),
        "negative": (
            "Nobody can say that the {thing} is not {bad}.",
            "There is no denying that the {thing} is {bad}.",
            "It is impossible not to {hate} this {whole}.",
            "I can't say that I did not {hate} this {whole}.",
        ),
    },
    "contrast": {
        "positive": (
            "The {part} is {bad}, but I {loved} this {whole}.",
            "Although the {part} is {bad}, this is a {good} {whole}.",
            "The start is {bad}, but the rest is {good}.",
            "I {loved} this {whole}, even though the {part} is {bad}.",
        ),
        "negative": (
            "The {part} is {good}, but I {hated} this {whole}.",
            "Although the {part} is {good}, this is a {bad} {whole}.",
            "The start is {good}, but the rest is {bad}.",
            "I {hated} this {whole}, even though the {part} is {good}.",
        ),
    },
    "comparison": {
        "positive": (
            "This {whole} is better than most.",
            "I have never seen a better {whole}.",
            "The {part} is far better than in the first part.",
            "This {whole} is more {good} than the original.",
            "No other {whole} of this year is as {good}.",
        ),
        "negative": (
            "This {whole} is worse than most.",
            "I have never seen a worse {whole}.",
            "The {part} is far worse than in the first part.",
            "The {part} is not as {good} as in the first part.",
            "I have seen better {mass} in a school play.",
        ),
    },
    "expectation": {
        "positive": (
            "I expected to {hate} this {whole}, but I {loved} it.",
            "I expected a {bad} {whole} and got a {good} one.",
            "The trailer looked {bad}. The {whole} is {good}.",
            "I thought that it would be {bad}, and it was {good}.",
        ),
        "negative": (
            "I expected to {love} this {whole}, but I {hated} it.",
            "I expected a {good} {whole} and got a {bad} one.",
            "The trailer looked {good}. The {whole} is {bad}.",
            "I thought that it would be {good}, and it was {bad}.",
        ),
    },
    "intensifiers": {
        "positive": ("The {thing} is {very} {good}.", "A {very} {good} {whole}.", "I {much} {loved} this {whole}."),
        "negative": ("The {thing} is {very} {bad}.", "A {very} {bad} {whole}.", "I {much} {hated} this {whole}."),
    },
    "typos": {
        "positive": ("I {loved} this {whole}, and the {thing} is {good}.", "A {good} {whole} with {good} {mass}."),
        "negative": ("I {hated} this {whole}, and the {thing} is {bad}.", "A {bad} {whole} with {bad} {mass}."),
    },
    "capitals": {
        "positive": ("I {loved} THIS {whole}!", "WHAT A {good} {whole}!", "THE {thing} IS {good}!"),
        "negative": ("I {hated} THIS {whole}!", "WHAT A {bad} {whole}!", "THE {thing} IS {bad}!"),
    },
    "emoji": {
        "positive": (
            "I {loved} this {whole} {smile}",
            "{smile} The {thing} is {good}",
            "{good} {whole} {smile}{smile}",
        ),
        "negative": ("I {hated} this {whole} {frown}", "{frown} The {thing} is {bad}", "{bad} {whole} {frown}{frown}"),
    },
    "neutral": {
        "neutral": (
            "The {whole} is {minutes} minutes long.",
            "I saw this {whole} on {day}.",
            "The {whole} was shot in {place}.",
            "The story is set in {place}.",
            "It is a {whole} about a family in {place}.",
            "My brother has seen this {whole} too.",
        ),
    },
    "questions": {
        "positive": ("Who would not {love} this {whole}?", "Why can't every {whole} be as {good} as this one?"),
        "negative": (
            "Why is the {thing} so {bad}?",
            "Who could {love} such a {bad} {whole}?",
            "How could anyone make such a {bad} {whole}?",
        ),
        "neutral": ("Has anyone seen this {whole}?", "Where was this {whole} shot?", "Who wrote the {thing}?"),
    },
}


@dataclass(frozen=True)
class Category:
    """Sentences of one category and the sentiment of each."""

    name: str
    sentences: tuple[str, ...]
    sentiments: tuple[Sentiment, ...]

    def right(self, probability: Array) -> NDArray[np.bool_]:
        """Which predictions are right, from the probability of the positive class (n,)."""
        target = self.target
        return np.where(target == 0.5, np.abs(probability - 0.5) <= 0.5 - NEUTRAL, (probability > 0.5) == (target == 1))

    def loss(self, probability: Array) -> float:
        """The mean cross-entropy; the target of a neutral sentence is 0.5 for both classes."""
        p, target = np.clip(probability, 1e-12, 1 - 1e-12), self.target
        return float(-(target * np.log(p) + (1 - target) * np.log(1 - p)).mean())

    @property
    def target(self) -> Array:
        """The probability of the positive class that each sentence asks for (n,): 1, 0 or 0.5."""
        return np.array(
            [{"positive": 1.0, "negative": 0.0, "neutral": 0.5}[sentiment] for sentiment in self.sentiments]
        )


def categories() -> list[Category]:
    """All categories; equal in every call."""
    rng, found = np.random.default_rng(0), []
    for name, of_sentiment in TEMPLATES.items():
        rows: list[tuple[str, Sentiment]] = []
        for sentiment, templates in of_sentiment.items():
            share = LARGEST // len(of_sentiment) // len(templates)
            for template in templates:
                sentences = list(_filled(template))
                chosen = rng.permutation(len(sentences))[:share]
                rows += [(_styled(sentences[n], name, rng), sentiment) for n in sorted(chosen)]
        found.append(Category(name, tuple(text for text, _ in rows), tuple(sentiment for _, sentiment in rows)))
    return found


def _filled(template: str) -> Iterator[str]:
    """The template with every combination of words; a word that occurs twice differs."""
    slots = [name for _, name, _, _ in string.Formatter().parse(template) if name]
    for words in itertools.product(*(WORDS[slot] for slot in slots)):
        if "smile" not in slots and "frown" not in slots and len(set(words)) < len(words):
            continue
        remaining = iter(words)
        text = "".join(
            literal + (next(remaining) if name else "") for literal, name, _, _ in string.Formatter().parse(template)
        )
        yield re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", text)


def _styled(text: str, category: str, rng: np.random.Generator) -> str:
    if category == "capitals":
        return text.upper()
    return _misspelt(text, rng) if category == "typos" else text


def _misspelt(text: str, rng: np.random.Generator) -> str:
    """The text with two neighbouring letters of one word swapped, inside a word of at least five letters."""
    words = text.split(" ")
    n = int(rng.choice([n for n, word in enumerate(words) if len(word.strip(".,")) >= 5]))
    letters = list(words[n])
    places = [k for k in range(1, len(words[n].strip(".,")) - 2) if letters[k] != letters[k + 1]]
    k = int(rng.choice(places))
    letters[k], letters[k + 1] = letters[k + 1], letters[k]
    return " ".join([*words[:n], "".join(letters), *words[n + 1 :]])


def positive_probability(model: Model, texts: tuple[str, ...]) -> Array:
    """The probability of the positive class (n,). Raises InputError for a model of other classes."""
    if tuple(model.classes) != ("negative", "positive"):
        raise InputError(f"the sentences are for the classes negative and positive, not {', '.join(model.classes)}")
    return np.asarray(model.predict_proba(texts)[:, 1], dtype=np.float64)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checklist", description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", type=Path, default=bundled.FOLDER)
    parser.add_argument("--failures", type=int, default=0, metavar="N", help="worst predictions of each category")
    parser.add_argument("--save", action="store_true", help="add the results to the model card")
    options = parser.parse_args()
    model = gw.load(options.model)
    results = []
    for category in categories():
        probability = positive_probability(model, category.sentences)
        right = category.right(probability)
        print(f"{category.name:16} {right.mean():.3f} of {len(right)}")
        results.append(
            EvalResult(f"checklist: {category.name}", len(right), float(right.mean()), category.loss(probability))
        )
        wrong = np.flatnonzero(~right)
        for n in wrong[np.argsort(-np.abs(probability[wrong] - 0.5))][: options.failures]:
            print(f"    {category.sentiments[n]:8} predicted {probability[n]:.2f} positive: {category.sentences[n]}")
    if options.save:
        others = [e for e in model.metadata.evaluations if not e.data.startswith("checklist: ")]
        replace(model, metadata=replace(model.metadata, evaluations=(*results, *others))).save(options.model)


if __name__ == "__main__":
    main()
