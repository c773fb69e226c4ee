"""Behavioural tests of a sentiment model on single sentences, in the style of CheckList, and on short texts.

    python -m benchmarks.checklist [MODEL] [--failures N] [--save]

The sentences are made from the templates and word lists of `checklist.toml`; no model is trained on them or selected by
them. The texts of `short_texts.tsv`, one to six words and longer ones of four kinds, were written before any model
predicted them; no model is trained on them. A prediction is right if it is the text's class; for a neutral text, if
both classes have a probability of at least 0.3. "sure": right with a probability of at least 0.7. --failures prints the
worst predictions of each category; --save adds the results of the templates to the model card.

Source: Ribeiro et al. (2020), Beyond accuracy: behavioral testing of NLP models with CheckList.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import re
import string
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import gatewise as gw
from gatewise.errors import InputError
from gatewise.model import bundled
from gatewise.model.card import EvalResult
from gatewise.model.model import Model
from gatewise.types import Array

NEUTRAL = 0.3  # the least probability of either class of a neutral sentence
SURE = 0.7
LARGEST = 200  # sentences of a category
TARGETS = {"positive": 1.0, "negative": 0.0, "neutral": 0.5}
LONGER = ("misspelling", "comparison", "hedge", "tweet", "neutral")  # groups of more than six words


@dataclass(frozen=True)
class Category:
    """rows: texts of one category with the sentiment of each: positive, negative or neutral."""

    name: str
    rows: Sequence[tuple[str, str]]

    @property
    def sentences(self) -> tuple[str, ...]:
        """The texts."""
        return tuple(text for text, _ in self.rows)

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
        return np.array([TARGETS[sentiment] for _, sentiment in self.rows])


def categories() -> list[Category]:
    """The categories of the templates; equal in every call."""
    given = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    words = {name: tuple(line.split(", ")) for name, line in given["words"].items()}
    rng, found = np.random.default_rng(0), []
    for name, of_sentiment in given["templates"].items():
        rows: list[tuple[str, str]] = []
        for sentiment, templates in of_sentiment.items():
            share = LARGEST // len(of_sentiment) // len(templates)
            for template in templates:
                sentences = list(_filled(template, words))
                chosen = rng.permutation(len(sentences))[:share]
                for n in sorted(chosen):
                    text = sentences[n].upper() if name == "capitals" else sentences[n]
                    rows.append((_misspelt(text, rng) if name == "typos" else text, sentiment))
        found.append(Category(name, rows))
    return found


def short_texts() -> list[Category]:
    """The categories of `short_texts.tsv`."""
    with Path(__file__).with_name("short_texts.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    of_name: dict[str, list[tuple[str, str]]] = {}
    for row in rows:
        name = row["group"] if row["group"] in LONGER else "one to six words"
        of_name.setdefault(name, []).append((row["text"], row["sentiment"]))
    return [Category(name, rows) for name, rows in of_name.items()]


def _filled(template: str, choices: dict[str, tuple[str, ...]]) -> Iterator[str]:
    """The template with every combination of words; a word that occurs twice differs."""
    slots = [name for _, name, _, _ in string.Formatter().parse(template) if name]
    for words in itertools.product(*(choices[slot] for slot in slots)):
        if "smile" not in slots and "frown" not in slots and len(set(words)) < len(words):
            continue
        remaining = iter(words)
        text = "".join(
            literal + (next(remaining) if name else "") for literal, name, _, _ in string.Formatter().parse(template)
        )
        yield re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", text)


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
    parser.add_argument("--save", action="store_true", help="add the results of the templates to the model card")
    options = parser.parse_args()
    model, made = gw.load(options.model), categories()
    results = []
    print("| texts | n | right | sure | mean confidence |\n|---|---:|---:|---:|---:|")
    for category in [*made, *short_texts()]:
        probability = positive_probability(model, category.sentences)
        right, confidence = category.right(probability), np.maximum(probability, 1 - probability)
        figures = [right.mean(), (right & (confidence >= SURE)).mean(), confidence.mean()]
        print(f"| {category.name} | {len(right)} | {' | '.join(f'{one:.3f}' for one in figures)} |")
        name = f"checklist: {category.name}"
        results.append(EvalResult(name, len(right), float(right.mean()), category.loss(probability)))
        wrong = np.flatnonzero(~right)
        for n in wrong[np.argsort(-np.abs(probability[wrong] - 0.5))][: options.failures]:
            text, sentiment = category.rows[n]
            print(f"    {sentiment:8} predicted {probability[n]:.2f} positive: {text}")
    if options.save:
        others = [e for e in model.metadata.evaluations if not e.data.startswith("checklist: ")]
        kept = (*results[: len(made)], *others)
        replace(model, metadata=replace(model.metadata, evaluations=kept)).save(options.model)


if __name__ == "__main__":
    main()
