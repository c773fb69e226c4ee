"""Train the bundled model on reviews, snippets and sentences made from the reviews.

    python -m tools.bundled --data aclImdb_v1.tar.gz --pretrained models/pretrained -o models/best

The recipe is `best`. A tenth of the films and of the snippets is the validation set; no sentence is made from it. The
network is trained for single sentences too, which reviews alone do not teach (`tools.bundled.sentences`).
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import gatewise as gw
from gatewise.data import Labelled, imdb, imdb_texts, rotten_tomatoes, split
from gatewise.data.reviews import CLASSES
from gatewise.ragged import flat
from gatewise.target import target_of
from tools.bundled.measured import measured_sentences
from tools.bundled.sentences import crops, short_texts

VALIDATION = 0.1
CROPS = 7_500  # more short texts than reviews cost accuracy on reviews


def parts(reviews: Labelled, snippets: Labelled, seed: int) -> tuple[Labelled, Labelled]:
    """The training part, with the sentences made from its reviews, and the validation set. No sentence or snippet of
    the training part overlaps with one that the model is measured on (`tools.bundled.measured`).
    """
    rng = np.random.default_rng(seed)
    train, validation = halves(reviews, snippets, seed)
    texts = [str(text) for text in train[0].inputs]
    labels = flat(train[0].labels)
    measured = measured_sentences()
    train[1] = train[1].take(np.array([str(text) not in measured for text in train[1].inputs]))
    made = [*crops(texts, labels, CROPS, rng), *short_texts(texts, labels, rng)]
    made = [example for example in made if example.text not in measured]
    labels_of_made = np.array([example.label for example in made], np.int64)
    sentences = Labelled([example.text for example in made], labels_of_made, target_of(CLASSES))
    source = f"{reviews.source}; {snippets.source}; {len(made):,} sentences made from reviews (tools/bundled)"
    others = f"{len(validation[0]):,} reviews, of other films, and {len(validation[1]):,} snippets"
    return joined([*train, sentences], source), joined(validation, others)


def halves(reviews: Labelled, snippets: Labelled, seed: int) -> tuple[list[Labelled], list[Labelled]]:
    """The reviews and the snippets for training, and those of the validation set."""
    train, validation = [], []
    for data in (reviews, snippets):
        rows, held_out = split(data, 1 - VALIDATION, seed, "group")
        train.append(data.take(rows))
        validation.append(data.take(held_out))
    return train, validation


def joined(parts: Sequence[Labelled], source: str) -> Labelled:
    """The rows of all parts."""
    texts = [str(text) for part in parts for text in part.inputs]
    return Labelled(texts, np.concatenate([flat(part.labels) for part in parts]), target_of(CLASSES), source=source)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.bundled", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the official archive of IMDB or its folder")
    parser.add_argument("--pretrained", type=Path, required=True, help="the model of gatewise pretrain")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder of the model")
    options = parser.parse_args()
    reviews = imdb(options.data, progress=False, download=False).train
    training, validation = parts(reviews, rotten_tomatoes(), options.seed)
    model = gw.train(
        training,
        recipe="best",
        student_epochs=0,
        pretrained=options.pretrained,
        unlabelled=imdb_texts(options.data, progress=False, download=False),
        validation=validation,
        seed=options.seed,
        out=options.out,
        overwrite=True,
        command=f"make bundled DATA={shlex.quote(options.data.name)}",
    )
    # The page attributes while somebody types; integrated gradients, which may measure better, take a second per text.
    replace(model, metadata=replace(model.metadata, attribution_method="prefix-difference")).save(options.out)


if __name__ == "__main__":
    main()
