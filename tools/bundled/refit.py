"""Train the bundled model further, so that it predicts short texts too, and let it read misspelt words.

    python -m tools.bundled.refit src/gatewise/model/bundled/sentiment --data aclImdb_v1.tar.gz

Reviews do not tell what a short text says as a whole: inside a review "good" is faint praise. So the LSTM and the dense
layer are trained on texts that were written for this purpose (`written_texts.tsv`), by the sum of the members:

    Σ c cross-entropy(z, y) / Σ c       z the logit of the model, y the probability of positive, c the weight of a text

y is 0.5 for a neutral text. The other texts keep what the model has learnt: sentences of `tools.bundled.sentences`,
rare words, which are neutral, and unlabelled reviews and snippets, whose y is what the model predicted before. The
result is a weighted mean of the weights after and before, which keeps more of the predictions on reviews (WiSE-FT:
Wortsman et al. 2022). The embeddings and the n-grams stay. The model takes an unknown word for the known one that it
misspells (`gatewise.text.respelling`). It is measured on `validation_texts.tsv`, on which the settings were chosen, on
the validation set of `tools.bundled` and on the test half.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import gatewise as gw
from gatewise.data import Labelled, imdb, imdb_texts, rotten_tomatoes
from gatewise.explain.attribution.faithfulness import measure_sample
from gatewise.kernels import for_precision, read_only
from gatewise.members.ensemble import Ensemble
from gatewise.members.lstm import LSTM
from gatewise.metrics import Evaluation
from gatewise.model import with_evaluation
from gatewise.model.card import CalibrationReport
from gatewise.model.model import Model
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.network.batch import Batch, truncate
from gatewise.network.trainable import TABLE, BatchLoss, Network
from gatewise.ragged import flat
from gatewise.text.tokens import TokenEncoding
from gatewise.training.calibration import report_of
from gatewise.training.optim import Adam, gradient_norm, one_cycle
from gatewise.types import Array
from tools.bundled.__main__ import halves, joined
from tools.bundled.measured import measured_sentences
from tools.bundled.sentences import short_texts

SEED = 0
EPOCHS, LEARNING_RATE, GRAD_CLIP, DROPOUT = 7, 0.002, 1.0, 0.2
SHARE = 0.8  # of the trained weights in the result; the other 0.2 are those before
SHORT, REVIEWS = 400, 24  # texts of a batch
ANCHORS = 16_000  # reviews whose predictions are kept
SENTENCES, RARE = 12_000, 1_000
WRITTEN, WRITTEN_NEUTRAL, MADE, MADE_NEUTRAL, SNIPPET, REVIEW = 4.0, 7.0, 1.5, 4.0, 4.0, 50.0  # weights
SURE = 0.7  # the least confidence of a sure prediction
PROBABILITY = {"positive": 1.0, "negative": 0.0, "neutral": 0.5}
FOLDER = Path(__file__).parent
AFTERWARDS = "then the LSTM was trained on short texts, in their sum"


class Text(NamedTuple):
    """A text, the probability of positive with which it is trained, and its weight in the loss."""

    text: str
    target: float
    weight: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.bundled.refit", description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="the official archive of IMDB or its folder")
    options = parser.parse_args()
    splits = imdb(options.data, progress=False, download=False)
    assert splits.test is not None
    train, held_out = halves(splits.train, rotten_tomatoes(), SEED)
    texts = [str(text) for text in train[0].inputs]
    labels = flat(train[0].labels)
    model = gw.load(options.model)
    assert isinstance(model.preprocessor, TextPreprocessor)
    assert isinstance(model.preprocessor.encoding, TokenEncoding)
    rng = np.random.default_rng(SEED)
    unlabelled = imdb_texts(options.data, known=splits, progress=False, download=False).without(held_out[0]).texts
    reviews = predicted(model, [unlabelled[n] for n in rng.permutation(len(unlabelled))[:ANCHORS]], REVIEW)
    snippets = predicted(model, [str(text) for text in train[1].inputs], SNIPPET)
    model = replace(model, preprocessor=replace(model.preprocessor, encoding=model.preprocessor.encoding.respelling()))
    short = [*written_texts(), *made_texts(texts, labels, rng), *snippets]
    short += [Text(text, 0.5, MADE_NEUTRAL) for text in _rare(model, rng)]
    model = trained(model, short, reviews)
    print(of_short_texts(model))
    validation = joined(held_out, "")
    name = "validation set, after the training on short texts"
    found = model.target.evaluate(model.logits(validation.inputs), validation.labels, name)
    assert isinstance(found, Evaluation)
    before = model.metadata.calibration
    assert before is not None
    report = held_out_calibration(model, splits.test, f"{before.method}; {AFTERWARDS}")
    source = f"{model.metadata.data}; {len(short):,} short texts (tools/bundled)"
    faithfulness, _ = measure_sample(model.explained, model.preprocessor.encode_batch(validation.inputs))
    metadata = replace(model.metadata, calibration=report, data=source, faithfulness=faithfulness)
    model = with_evaluation(replace(model, metadata=metadata), found)
    print(f"{name}: {model.metadata.evaluations[-1].figures}")
    model.save(options.model)
    with_evaluation(model, model.evaluate(splits.test)).save(options.model)


def held_out_calibration(model: Model, test: Labelled, method: str) -> CalibrationReport:
    """The report on reviews that no fit has seen. method: how the weights and the shift were fitted."""
    members = model.ensemble.members
    plain = Ensemble(members, (1.0,) * len(members), np.zeros(1), model.target)
    sequences = model.preprocessor.encode_batch(test.inputs)
    data = f"{test.source}, which no fit has seen; before: the plain sum of the members"
    before = plain.logits(sequences)
    after = model.ensemble.logits(sequences)
    return report_of(model.target, before, after, test.labels, method=method, data=data)


def read(name: str) -> list[dict[str, str]]:
    """The rows of a table of short texts."""
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def written_texts() -> list[Text]:
    """The texts of `written_texts.tsv`."""
    targets = [(row["text"], PROBABILITY[row["sentiment"]]) for row in read("written_texts.tsv")]
    return [Text(text, y, WRITTEN_NEUTRAL if y == 0.5 else WRITTEN) for text, y in targets]


def made_texts(reviews: Sequence[str], labels: Array, rng: np.random.Generator) -> list[Text]:
    """Sentences made from reviews: some of the polar ones, and all that have both labels, which are neutral. None of
    them is a text that the model is measured on.
    """
    made: dict[str, set[int]] = {}
    measured = measured_sentences()
    for example in short_texts(reviews, labels, rng):
        if example.text not in measured:
            made.setdefault(example.text, set()).add(example.label)
    polar = [text for text, found in made.items() if len(found) == 1]
    found = [Text(polar[n], float(*made[polar[n]]), MADE) for n in rng.permutation(len(polar))[:SENTENCES]]
    return found + [Text(text, 0.5, MADE_NEUTRAL) for text, found in made.items() if len(found) == 2]


def predicted(model: Model, texts: Sequence[str], weight: float) -> list[Text]:
    """Texts with the model's predictions."""
    return [Text(text, float(p), weight) for text, p in zip(texts, model.predict_proba(texts)[:, 1], strict=True)]


def _rare(model: Model, rng: np.random.Generator) -> list[str]:
    """One to eight words in a random order: unknown, rare and some frequent ones."""
    preprocessor: Any = model.preprocessor
    vocabulary = preprocessor.encoding.ids
    words = [word for word in sorted(vocabulary, key=vocabulary.__getitem__) if word.isalpha()]
    found = []
    for _ in range(RARE):
        drawn = rng.random(int(rng.integers(1, 9)))
        frequent, rare = rng.integers(100, 3_000, len(drawn)), rng.integers(len(words) // 2, len(words), len(drawn))
        unknown = ("".join(rng.choice(list("jkqvxz"), 7)) for _ in drawn)
        one_of = zip(drawn, unknown, rare, frequent, strict=True)
        found.append(" ".join(u if d < 0.4 else words[r] if d < 0.85 else words[f] for d, u, r, f in one_of))
    return found


def trained(model: Model, short: Sequence[Text], reviews: Sequence[Text]) -> Model:
    """The model with LSTM and dense layer trained on the texts, see above."""
    texts, lstm, weight = [*short, *reviews], model.ensemble.lstm, model.ensemble.lstm_weight
    full = [sequence.steps for sequence in model.preprocessor.encode_batch([text.text for text in texts])]
    sequences = [truncate(sequence, lstm.arch) for sequence in full]
    others = sum((share * member.logits(full) for member, share in model.ensemble.others), np.zeros((len(full), 1)))
    others = others + model.ensemble.shift  # what the other members add to the logit
    y, c = (np.array([[getattr(text, name)] for text in texts]) for name in ("target", "weight"))
    network = _network(lstm, sequences)
    optimizer = Adam({name: one for name, one in network.parameters.items() if name != TABLE}, beta_2=0.99)
    rng = np.random.default_rng(SEED)
    steps = len(short) // SHORT
    for epoch in range(EPOCHS):
        order, anchors = rng.permutation(len(short)), len(short) + rng.permutation(len(reviews))
        for at in range(steps):
            rows = np.concatenate([part[at * n : (at + 1) * n] for part, n in ((order, SHORT), (anchors, REVIEWS))])

            def loss_of(logits: Array, rows: NDArray[np.int64] = rows) -> BatchLoss:
                losses, gradient = model.target.each.loss(weight * logits.astype(np.float64) + others[rows], y[rows])
                share = c[rows] / c[rows].sum()
                return BatchLoss(float((share * losses).sum()), weight * share * gradient)

            step = epoch * steps + at
            network.dropout.rng = np.random.default_rng([SEED, step])
            network.zero_grad()
            predictions = network.forward(Batch.of([sequences[n] for n in rows], lstm.arch))
            losses = predictions.losses(loss_of)
            predictions.backward(losses)
            gradients = {name: one for name, one in network.gradients().items() if name != TABLE}
            scale = min(1.0, GRAD_CLIP / gradient_norm(gradients))
            rate = one_cycle(LEARNING_RATE, step, EPOCHS * steps, EPOCHS * steps // 10)
            optimizer.step(gradients, rate, scale)
            if not at % 20:
                print(f"epoch {epoch + 1}, step {at} of {steps}: loss {losses[0].value:.4f}", flush=True)
    before = dict(lstm.parameters)
    layers = {n: read_only(before[n] + np.float32(SHARE) * (w - before[n])) for n, w in optimizer.parameters.items()}
    return model.with_lstm(parameters=MappingProxyType({**lstm.parameters, **layers}))


def _network(lstm: LSTM, sequences: Sequence[Array]) -> Network:
    """The network of the model for these sequences."""
    rows = np.unique(np.concatenate([*sequences, [0]])).astype(np.int64)
    options: dict[str, Any] = {"dropout": {"output": DROPOUT}, "kernel": for_precision("float32")}
    return Network(lstm.arch, dict(lstm.parameters), trainable_rows=rows, **options)


def of_short_texts(model: Model) -> str:
    """Of `validation_texts.tsv`: how many are right, how many of these sure, and the confidence of neutral ones."""
    rows = read("validation_texts.tsv")
    positive = model.predict_proba([row["text"] for row in rows])[:, 1]
    confidence, lines = np.maximum(positive, 1 - positive), []
    for group in dict.fromkeys(row["group"] for row in rows):
        of_group = np.array([row["group"] == group for row in rows])
        if group == "neutral":
            lines.append(f"{group}: mean confidence {confidence[of_group].mean():.3f}")
            continue
        right = np.array([(p > 0.5) == (row["sentiment"] == "positive") for p, row in zip(positive, rows, strict=True)])
        sure = right & (confidence >= SURE)
        lines.append(f"{group}: right {right[of_group].mean():.3f}, sure {sure[of_group].mean():.3f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
