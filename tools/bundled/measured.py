"""The sentences that the bundled model is measured on, and whether a training text overlaps with them.

    python -m tools.bundled.measured --data aclImdb_v1.tar.gz

prints how many of them overlap with the reviews and snippets of the training, which are not in this repository.
"""

from __future__ import annotations

import argparse
import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from benchmarks.independent_sentences import read_sentences
from gatewise.data import imdb, imdb_texts, rotten_tomatoes

WORDS = 6  # of an n-gram that no training text shares with a sentence


def normalised(text: str) -> str:
    """The text in lower case, without punctuation, with one space between words.

    >>> normalised(" Don't\\t LOOK, back!")
    'dont look back'
    """
    without_apostrophes = re.sub("['’]", "", text.casefold())
    marks = (character for character in set(without_apostrophes) if unicodedata.category(character)[0] == "P")
    spaced = without_apostrophes.translate({ord(mark): " " for mark in marks})
    return " ".join(spaced.split()) or " ".join(text.split())  # an emoticon is punctuation alone


def word_ngrams(text: str, words: int = WORDS) -> set[str]:
    """The n-grams of so many words of the normalised text."""
    tokens = normalised(text).split()
    return {" ".join(tokens[first : first + words]) for first in range(len(tokens) - words + 1)}


class Overlap:
    """Whether texts overlap with these: are equal after normalisation, or share an n-gram of `WORDS` words."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts, self._ngrams = set[str](), set[str]()
        for text in texts:
            self._texts.add(normalised(text))
            self._ngrams |= word_ngrams(text)

    def __contains__(self, text: object) -> bool:
        assert isinstance(text, str)
        return normalised(text) in self._texts or not self._ngrams.isdisjoint(word_ngrams(text))


@cache
def measured_sentences() -> Overlap:
    """Those of `benchmarks/independent_sentences.tsv`."""
    return Overlap(sentence.text for sentence in read_sentences())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.bundled.measured", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the official archive of IMDB or its folder")
    options = parser.parse_args()
    reviews = imdb(options.data, progress=False, download=False).train
    sources = {
        "reviews of the train half": [str(text) for text in reviews.inputs],
        "unlabelled reviews": imdb_texts(options.data, progress=False, download=False).texts,
        "snippets": [str(text) for text in rotten_tomatoes().inputs],
    }
    sentences = [sentence.text for sentence in read_sentences()]
    for name, texts in sources.items():
        overlap = Overlap(texts)
        shared = [sentence for sentence in sentences if sentence in overlap]
        print(f"{name}: {len(shared)} of {len(sentences)} sentences overlap: {'; '.join(shared)}")


if __name__ == "__main__":
    main()
