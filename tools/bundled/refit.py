"""Refit the dense layer of the bundled model, so that it predicts short texts too, and read misspelt words.

    python -m tools.bundled.refit src/gatewise/model/bundled/sentiment --data aclImdb_v1.tar.gz

The embeddings, the LSTM and the n-grams stay. The change v of the dense layer, times the weight of the LSTM, minimises,
with f the pooled states, z the logit of the model and c a weight per text,

    Σ c cross-entropy(z + v·f + b, y) + L2/2 |v s|²        s the standard deviations of f

over short texts (`tools.bundled.phrases`), the sentences of `tools.bundled.sentences`, the snippets, and reviews, whose
y is what the model predicted before: so reviews keep their predictions. The model takes an unknown word for the known
one that it misspells (`gatewise.text.respelling`). It is measured on the validation set of `tools.bundled` and on the
test half.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from scipy.optimize import minimize

import gatewise as gw
from gatewise.data import imdb, imdb_texts, rotten_tomatoes
from gatewise.data.labelled import content_key
from gatewise.kernels import read_only
from gatewise.metrics import Evaluation, evaluate
from gatewise.model.model import Model
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.text.tokens import TokenEncoding
from gatewise.types import Array
from tools.bundled.__main__ import halves, joined
from tools.bundled.phrases import SURE, Reviews, Text, made_of, measured_texts
from tools.bundled.sentences import short_texts

SEED = 0
L2, STEPS = 300.0, 70
SHARE = 0.5  # of the change that is made: all of it makes the model sure of neutral texts (docs/log/accuracy.md)
ANCHORS = 5_000  # reviews whose predictions are kept
SENTENCES, RARE = 12_000, 1_000
MADE, NEUTRAL, SNIPPET, ANCHOR = 1.0, 4.0, 0.5, 3.0  # weights


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.bundled.refit", description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="the official archive of IMDB or its folder")
    options = parser.parse_args()
    splits = imdb(options.data, progress=False, download=False)
    assert splits.test is not None
    train, held_out = halves(splits.train, rotten_tomatoes(), SEED)
    known = set(map(str, splits.train.inputs))
    unlabelled = imdb_texts(options.data, progress=False, download=False).texts
    reviews, snippets = ([str(text) for text in part.inputs] for part in train)
    model = gw.load(options.model)
    assert isinstance(model.preprocessor, TextPreprocessor)
    assert isinstance(model.preprocessor.encoding, TokenEncoding)
    kept = reviews_of(model, reviews)
    model = replace(model, preprocessor=replace(model.preprocessor, encoding=model.preprocessor.encoding.respelling()))
    texts = kept + texts_of(model, reviews, train[0].labels, [text for text in unlabelled if text not in known])
    texts += [
        Text(text, float(label), SNIPPET, "snippet") for text, label in zip(snippets, train[1].labels, strict=True)
    ]
    for kind in dict.fromkeys(text.kind for text in texts):
        print(f"{kind}: {sum(text.kind == kind for text in texts):,}", flush=True)
    model = refitted(model, texts)
    validation = joined(held_out, "")
    name = "validation set, after the fit to short texts"
    found = evaluate(model.target, model.logits(validation.inputs), validation.labels, name)
    assert isinstance(found, Evaluation)
    print(found)
    report = model.metadata.calibration
    assert report is not None
    assert found.calibration_error is not None
    method = f"{report.method}; then the dense layer of the LSTM was fitted again to short texts, in their sum"
    report = replace(report, method=method, loss_after=found.loss, calibration_error_after=found.calibration_error)
    model = model.with_evaluation(found)
    model = replace(model, metadata=replace(model.metadata, calibration=report))
    model.with_evaluation(model.evaluate(splits.test)).save(options.model)


def texts_of(model: Model, reviews: Sequence[str], labels: Array, unlabelled: Sequence[str]) -> list[Text]:
    """The short texts from the reviews that the model is trained on."""
    rng, tested = np.random.default_rng(SEED), measured_texts()
    logit = model.ensemble.get("ngrams").logits(model.preprocessor.encode_batch(unlabelled))[:, 0]
    sure = np.where(np.abs(logit) > SURE, logit > 0, 1 / (1 + np.exp(-0.4 * logit)))
    every = Reviews([*reviews, *unlabelled], np.concatenate([labels, sure]), len(reviews))
    found = made_of(every, lambda texts: model.logits(texts)[:, 0], rng)
    made: dict[str, set[int]] = {}
    for example in short_texts(reviews, labels, rng):
        if content_key(example.text) not in tested:
            made.setdefault(example.text, set()).add(example.label)
    polar = [text for text, found in made.items() if len(found) == 1]
    found += [Text(polar[n], float(*made[polar[n]]), MADE, "made") for n in rng.permutation(len(polar))[:SENTENCES]]
    found += [Text(text, 0.5, NEUTRAL, "made, neutral") for text, found in made.items() if len(found) == 2]
    return found + [Text(text, 0.5, NEUTRAL, "rare words") for text in _rare(model, rng)]


def reviews_of(model: Model, reviews: Sequence[str]) -> list[Text]:
    """Reviews, drawn at random, with the model's predictions."""
    drawn = np.random.default_rng(SEED).permutation(len(reviews))[:ANCHORS]
    texts = [reviews[n] for n in drawn]
    return [
        Text(text, float(p), ANCHOR, "review") for text, p in zip(texts, model.predict_proba(texts)[:, 1], strict=True)
    ]


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


def refitted(model: Model, texts: Sequence[Text]) -> Model:
    """The model with the dense layer that is fitted to the texts, see above."""
    lstm = model.ensemble.lstm
    y, c = (np.array([getattr(text, name) for text in texts]) for name in ("target", "weight"))
    change = SHARE * fitted(*inputs_of(model, [text.text for text in texts]), y, c)
    dense = {name: lstm.parameters[name] for name in ("dense.weight", "dense.bias")}
    for (name, one), part in zip(dense.items(), np.split(change / model.ensemble.lstm_weight, [-1]), strict=True):
        dense[name] = read_only((one + part.reshape(one.shape)).astype(np.float32))
    model = model.with_lstm(parameters=MappingProxyType({**lstm.parameters, **dense}))
    made = sum(text.kind not in ("review", "snippet") for text in texts)
    source = f"{model.metadata.data}; dense layer refitted with {made:,} short texts (tools/bundled)"
    return replace(model, metadata=replace(model.metadata, data=source))


def inputs_of(model: Model, texts: Sequence[str]) -> tuple[Array, Array]:
    """The pooled states (n, F) and the logit (n,) of each text."""
    sequences = model.preprocessor.encode_batch(texts)
    states = model.ensemble.lstm.features(sequences)
    dense, bias = (model.parameters[f"dense.{name}"] for name in ("weight", "bias"))
    others = sum((weight * member.logits(sequences) for member, weight in model.ensemble.others), np.zeros(1))
    return states, (model.ensemble.lstm_weight * (states @ dense.T + bias) + others + model.ensemble.shift)[:, 0]


def fitted(states: Array, z: Array, y: Array, c: Array) -> Array:
    """What is added to the weights and to the bias (F + 1,) of the logit z (n,), for targets y and weights c (n,)."""
    scale = 1 / (states.std(axis=0) + np.float32(1e-3))

    def objective(change: Array) -> tuple[float, Array]:
        u = change[:-1]
        logit = z + states @ (scale * u.astype(np.float32)) + change[-1]
        gradient = c * (1 / (1 + np.exp(-logit)) - y)
        loss = c @ (np.logaddexp(0, logit) - y * logit) + L2 / 2 * u @ u
        return float(loss), np.append(scale * (gradient.astype(np.float32) @ states) + L2 * u, gradient.sum())

    start, options = np.zeros(states.shape[1] + 1), {"maxiter": STEPS, "maxcor": 20}
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x
    return np.append(scale * found[:-1], found[-1:])


if __name__ == "__main__":
    main()
