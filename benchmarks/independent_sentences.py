"""A sentiment model on sentences that were written by somebody who had not seen its training texts.

    python -m benchmarks.independent_sentences [MODEL] [--failures N] [--save]

`independent_sentences.tsv` has the columns label, capability and text. Its sentences were written after the training of
the bundled model, and before any model predicted them; no model is trained on them or selected by them.
`tests/benchmarks/test_independent_sentences.py` compares them with all texts that `tools.bundled` trains on. A
prediction is right if it is the label. --failures prints the worst predictions of each capability; --save writes the
results to the model card.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import gatewise as gw
from gatewise.errors import InputError
from gatewise.metrics import wilson_interval
from gatewise.model import bundled
from gatewise.model.card import EvalResult
from gatewise.model.model import Model
from gatewise.types import Array

TABLE = Path(__file__).with_suffix(".tsv")
CLASSES = ("negative", "positive")
ALL = "sentences by another author"  # what the card calls them


@dataclass(frozen=True)
class Sentence:
    """A row of the table. label: one of `CLASSES`."""

    label: str
    capability: str
    text: str


def read_sentences(path: Path = TABLE) -> list[Sentence]:
    """The rows of a table. Raises InputError naming the line for another label and for an empty cell."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    sentences = []
    for line, row in enumerate(rows, 2):
        sentence = Sentence(row["label"], row["capability"], row["text"])
        if sentence.label not in CLASSES:
            raise InputError(f"{path.name}:{line}: the label must be negative or positive, not {sentence.label}")
        if not sentence.capability or not sentence.text:
            raise InputError(f"{path.name}:{line}: a cell is empty")
        sentences.append(sentence)
    return sentences


def results_of(sentences: list[Sentence], logits: Array, model: Model) -> list[EvalResult]:
    """The evaluation of all sentences, then of those of each capability, from the logits (n, 1) of the model."""
    labels = np.array([CLASSES.index(sentence.label) for sentence in sentences])
    capabilities = np.array([sentence.capability for sentence in sentences])
    results = [EvalResult.of(model.target.evaluate(logits, labels, ALL))]
    for capability in dict.fromkeys(capabilities.tolist()):
        rows = np.flatnonzero(capabilities == capability)
        of_capability = model.target.evaluate(logits[rows], labels[rows], f"{ALL}: {capability}")
        # So few rows say nothing about calibration.
        results.append(replace(EvalResult.of(of_capability), calibration_error=None))
    return results


def table_of(results: list[EvalResult]) -> list[str]:
    """The results as the lines of a Markdown table."""
    lines = ["| sentences | n | right | accuracy | 95% interval |", "|---|---:|---:|---:|---:|"]
    for result in results:
        assert result.accuracy is not None
        low, high = wilson_interval(result.accuracy, result.n)
        name = result.data.removeprefix(f"{ALL}: ")
        right = round(result.accuracy * result.n)
        lines.append(f"| {name} | {result.n} | {right} | {result.accuracy:.3f} | {low:.3f} to {high:.3f} |")
    return lines


def positive_probability(model: Model, texts: list[str]) -> NDArray[np.float64]:
    """The probability of the positive class (n,)."""
    return np.asarray(model.predict_proba(texts)[:, 1], dtype=np.float64)


def worst(sentences: list[Sentence], probability: Array, capability: str, most: int) -> list[str]:
    """The most confident wrong predictions of a capability, in lines, from the probability of positive (n,)."""
    positive = np.array([sentence.label == "positive" for sentence in sentences])
    of_capability = np.array([sentence.capability == capability for sentence in sentences])
    wrong = np.flatnonzero(of_capability & ((probability > 0.5) != positive))
    order = wrong[np.argsort(-np.abs(probability[wrong] - 0.5))][:most]
    return [f"    {sentences[n].label:8} predicted {probability[n]:.2f} positive: {sentences[n].text}" for n in order]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.independent_sentences", description=__doc__)
    parser.add_argument("model", nargs="?", type=Path, default=bundled.FOLDER)
    parser.add_argument("--failures", type=int, default=0, metavar="N", help="worst predictions of each capability")
    parser.add_argument("--save", action="store_true", help="write the results to the model card")
    options = parser.parse_args()
    model, sentences = gw.load(options.model), read_sentences()
    if tuple(model.classes) != CLASSES:
        raise InputError(f"the sentences are for the classes {', '.join(CLASSES)}, not {', '.join(model.classes)}")
    texts = [sentence.text for sentence in sentences]
    results = results_of(sentences, model.logits(texts), model)
    print("\n".join(table_of(results)))
    if options.failures:
        probability = positive_probability(model, texts)
        for capability in dict.fromkeys(sentence.capability for sentence in sentences):
            lines = worst(sentences, probability, capability, options.failures)
            print("\n".join([capability, *lines]))
    if options.save:
        others = [one for one in model.metadata.evaluations if not one.data.startswith(ALL)]
        metadata = replace(model.metadata, evaluations=(*others, *results))
        replace(model, metadata=metadata).save(options.model)


if __name__ == "__main__":
    main()
