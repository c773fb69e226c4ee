"""A tagger and a torch BiLSTM of the same size, trained on the same made sentences, from several seeds.

The sentences are made by rules: names of persons, places and organisations among other words, some of them in two
roles ("Paris said" is a person, "in Paris" a place), half of the names of the test set in no training sentence, and a
twentieth of the entities without their labels, as annotators leave them. Both read the same token ids, have an
embedding of 64 dimensions, one bidirectional layer of 64 units and dropout 0.3, and keep the epoch with the lowest
validation loss. torch trains with Adam at the better of two learning rates.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

import gatewise as gw
from gatewise.data import Labelled
from gatewise.data.splits import hold_out
from gatewise.metrics import evaluate
from gatewise.target import by_input

_FIRST = ["Anna", "Boris", "Carla", "David", "Elena", "Florian", "Greta", "Hugo", "Irene", "Jonas"]
_ENDS = {
    "PER": ["son", "ini", "ova", "berg"],
    "LOC": ["ville", "burg", "stadt", "ford"],
    "ORG": ["corp", "tech", "bank"],
}
_FRAMES = [
    "{PER} said that {ORG} would move to {LOC} .",
    "the minister met {PER} in {LOC} on {DAY} .",
    "{ORG} shares fell {NUM} percent after {PER} left .",
    "in {LOC} , {PER} and {PER} spoke for {NUM} hours .",
    "{LOC} beat {LOC} {NUM} - {NUM} , said coach {PER} .",
    "officials of {ORG} in {LOC} did not answer .",
    "the report of {DAY} names {ORG} , {ORG} and {PER} .",
    "it rained in the north of {LOC} for {NUM} days .",
    "{PER} , who works for {ORG} , was born in {LOC} .",
    "nobody knew why the old bridge was closed on {DAY} .",
]


def made(n: int, seed: int, known: bool) -> tuple[list[list[str]], list[list[str]]]:
    """n sentences and their labels. known: whether all names are of the training part."""
    rng, stems = random.Random(seed), random.Random(0)
    syllables = [a + b for a in "BDFKLMNPRSTV" for b in "aeiou"]
    pool = {kind: [stems.choice(syllables) + stems.choice(syllables).lower() + stems.choice(ends) for _ in range(240)]
            for kind, ends in _ENDS.items()}  # fmt: skip
    both = [stems.choice(syllables) + stems.choice(syllables).lower() + "is" for _ in range(60)]  # in every role
    words, labels = [], []
    for _ in range(n):
        sentence, tags = list[str](), list[str]()
        for part in rng.choice(_FRAMES).split():
            kind = part.strip("{}")
            if kind == "DAY":
                sentence.append(rng.choice(["Monday", "Tuesday", "Friday"]))
            elif kind == "NUM":
                sentence.append(str(rng.randint(2, 99)))
            elif part[0] == "{":
                names = pool[kind][:120] if known or rng.random() < 0.5 else pool[kind][120:]
                name = [rng.choice(both) if rng.random() < 0.3 else rng.choice(names)]
                name = [rng.choice(_FIRST), *name] if kind == "PER" and rng.random() < 0.6 else name
                name = [*name, rng.choice(["Group", "Ltd"])] if kind == "ORG" and rng.random() < 0.4 else name
                named = [f"B-{kind}", *[f"I-{kind}"] * (len(name) - 1)]
                sentence += name
                tags += ["O"] * len(name) if rng.random() < 0.05 else named
                continue
            else:
                sentence.append(part)
            tags.append("O")
        words.append(sentence)
        labels.append(tags)
    return words, labels


def scores_of(target: Any, logits: Any, truth: Any) -> dict[str, float]:
    found = evaluate(target, logits, truth, "test")
    return {**{name: found.scores[name] for name in ("entity F1", "step accuracy")}, "loss": found.loss}


def torch_scores(
    model: gw.Model, train: Labelled, test: Labelled, seed: int, epochs: int, rate: float
) -> tuple[float, dict[str, float]]:
    """The validation loss of the best epoch, and the scores on the test set of a BiLSTM in torch."""
    import torch
    from torch import nn
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

    torch.manual_seed(seed)
    arch, k = model.architecture, len(model.classes)

    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(arch.vocab_size, 64)
            self.lstm = nn.LSTM(64, 64, batch_first=True, bidirectional=True)
            self.dense, self.drop = nn.Linear(128, max(k, 2)), nn.Dropout(0.3)

        def forward(self, ids: list[Any]) -> Any:
            lengths = torch.tensor([len(one) for one in ids])
            x = self.drop(self.embedding(pad_sequence(ids, batch_first=True)))
            h, _ = self.lstm(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))
            h, _ = pad_packed_sequence(h, batch_first=True)
            logits = self.dense(self.drop(h))
            return torch.cat([row[:length] for row, length in zip(logits, lengths, strict=True)])

    ids = [torch.tensor(one.astype(np.int64)) for one in model.preprocessor.encode_batch(train.inputs)]
    targets = [torch.tensor(one) for one in train.labels_among(model.classes)]
    fit, held = hold_out(train, 0.1, seed)
    net, rng = Tagger(), np.random.default_rng(seed)
    optimiser = torch.optim.Adam(net.parameters(), rate)
    best: tuple[float, dict[str, float]] = (np.inf, {})
    of_test = [torch.tensor(one.astype(np.int64)) for one in model.preprocessor.encode_batch(test.inputs)]
    for _ in range(epochs):
        net.train()
        order = rng.permutation(fit)
        for at in range(0, len(order), 16):
            rows = order[at : at + 16]
            loss = nn.functional.cross_entropy(net([ids[n] for n in rows]), torch.cat([targets[n] for n in rows]))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        net.eval()
        with torch.no_grad():
            of_held = torch.cat([targets[n] for n in held])
            lowest = float(nn.functional.cross_entropy(net([ids[n] for n in held]), of_held))
            if lowest < best[0]:
                logits = by_input(net(of_test).double().numpy(), of_test)
                best = lowest, scores_of(model.target, logits, test.labels_among(model.classes))
    return best


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=1_500)
    parser.add_argument("--epochs", type=int, default=15, help="of torch")
    given = parser.parse_args(arguments)
    train = Labelled.of(*made(given.rows, 1, known=True), "made", task="tagging")
    test = Labelled.of(*made(1_000, 2, known=False), "made", task="tagging")
    results: dict[str, list[dict[str, float]]] = {"gatewise": [], "torch": []}
    for seed in range(given.seeds):
        began = time.perf_counter()
        model = gw.train(train, seed=seed, verbose=0)
        middle = time.perf_counter()
        truth = test.labels_among(model.classes)
        results["gatewise"].append(scores_of(model.target, model.logits(test.inputs), truth) | {"s": middle - began})
        runs = [torch_scores(model, train, test, seed, given.epochs, rate) for rate in (0.001, 0.005)]
        each = (time.perf_counter() - middle) / 2
        results["torch"].append(min(runs, key=lambda one: one[0])[1] | {"s": each})
        print(json.dumps({"seed": seed, **{name: rows[-1] for name, rows in results.items()}}), flush=True)
    for name, rows in results.items():
        means = {
            key: f"{np.mean([row[key] for row in rows]):.4f} ± {np.std([row[key] for row in rows]):.4f}"
            for key in rows[0]
        }
        print(name, means)
