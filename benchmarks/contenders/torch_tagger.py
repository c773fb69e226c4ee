"""A bidirectional LSTM over words with a convolution over their characters (Ma & Hovy 2016), in PyTorch, with and
without a CRF.

Embeddings of words and vectors of characters have 100 and 30 numbers, and each direction 100 units; dropout 0.5. Words
that occur once are unknown in half of the steps. Adam with a learning rate of 0.003 trains on nine tenths of the rows
in batches of 16; the weights of the epoch with the best accuracy on the rest are kept, and training stops ten epochs
after it, at the latest after 60. One thread: the operations are small.
"""

from __future__ import annotations

import copy
import random
from collections import Counter
from functools import partial
from itertools import chain

import torch
from torch import Tensor, nn

from benchmarks.contenders.taggers import Labels, Predict, Prediction, Words, tagger_task

WORD_DIM = 100
CHARACTER_DIM = 30
UNITS = 100
DROPOUT = 0.5
BATCH = 16
LEARNING_RATE = 0.003
PATIENCE = 10
MOST_EPOCHS = 60
UNKNOWN = 1  # 0 pads


class CharacterCNN(nn.Module):
    """The vector (n, CHARACTER_DIM) of each of n words, from the ids of its characters (n, longest)."""

    def __init__(self, characters: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(characters, CHARACTER_DIM, padding_idx=0)
        self.convolution = nn.Conv1d(CHARACTER_DIM, CHARACTER_DIM, 3, padding=1)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.dropout(self.embedding(ids)).transpose(1, 2)  # (n, CHARACTER_DIM, longest)
        of_windows: Tensor = torch.relu(self.convolution(x))
        return of_windows.masked_fill(ids[:, None] == 0, 0.0).amax(dim=2)


class CRF(nn.Module):
    """Transitions between labels: losses, marginals and the most probable labels of padded emissions (B, T, K)."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.zeros(labels))
        self.between = nn.Parameter(torch.zeros(labels, labels))
        self.end = nn.Parameter(torch.zeros(labels))

    def forward(self, emissions: Tensor, is_step: Tensor) -> Tensor:
        """log Σ exp(score) (B,). is_step (B, T)."""
        alpha = self.start + emissions[:, 0]
        for t in range(1, emissions.shape[1]):
            after = torch.logsumexp(alpha[:, :, None] + self.between, dim=1) + emissions[:, t]
            alpha = torch.where(is_step[:, t, None], after, alpha)
        return torch.logsumexp(alpha + self.end, dim=1)

    def score(self, emissions: Tensor, labels: Tensor, is_step: Tensor) -> Tensor:
        """Of the labels (B, T), (B,)."""
        of_steps = emissions.gather(2, labels[:, :, None])[:, :, 0] * is_step
        of_pairs = self.between[labels[:, :-1], labels[:, 1:]] * is_step[:, 1:]
        last = labels.gather(1, is_step.sum(dim=1, keepdim=True) - 1)[:, 0]
        return of_steps.sum(dim=1) + of_pairs.sum(dim=1) + self.start[labels[:, 0]] + self.end[last]

    def marginals(self, emissions: Tensor, is_step: Tensor) -> Tensor:
        """(B, T, K): the gradient of log Σ exp(score)."""
        with torch.enable_grad():
            leaf = emissions.detach().requires_grad_()
            return torch.autograd.grad(self.forward(leaf, is_step).sum(), leaf)[0]

    def viterbi(self, emissions: Tensor, length: int) -> list[int]:
        """Of one row (T, K)."""
        best = self.start + emissions[0]
        origins = []
        for t in range(1, length):
            top = (best[:, None] + self.between).max(dim=0)
            origins.append(top.indices)
            best = top.values + emissions[t]
        path = [int((best + self.end).argmax())]
        for origin in reversed(origins):
            path.append(int(origin[path[-1]]))
        return path[::-1]


class Network(nn.Module):
    """Emissions (B, T, K) of words (B, T) and of their characters (B, T, longest)."""

    def __init__(self, words: int, characters: int, labels: int, with_crf: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, WORD_DIM, padding_idx=0)
        self.characters = CharacterCNN(characters)
        self.dropout = nn.Dropout(DROPOUT)
        self.lstm = nn.LSTM(WORD_DIM + CHARACTER_DIM, UNITS, bidirectional=True, batch_first=True)
        self.dense = nn.Linear(2 * UNITS, labels)
        self.crf = CRF(labels) if with_crf else None

    def forward(self, words: Tensor, characters: Tensor) -> Tensor:
        of_characters = self.characters(characters.flatten(0, 1)).unflatten(0, words.shape)
        x = self.dropout(torch.cat([self.embedding(words), of_characters], dim=2))
        lengths = (words > 0).sum(dim=1)
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        h, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        emissions: Tensor = self.dense(self.dropout(h))
        return emissions


def _padded(rows: list[list[int]]) -> Tensor:
    return nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)


def fit(words: Words, labels: Labels, seed: int, *, with_crf: bool) -> Predict:
    """See the module."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    rng = random.Random(seed)
    counts = Counter(chain.from_iterable(words))
    word_ids = {word: number for number, word in enumerate(sorted(counts), start=2)}
    character_ids = {c: number for number, c in enumerate(sorted(set("".join(counts))), start=2)}
    classes = sorted(set(chain.from_iterable(labels)))
    label_ids = {name: number for number, name in enumerate(classes)}
    network = Network(len(word_ids) + 2, len(character_ids) + 2, len(classes), with_crf)

    def batch(rows: Words, *, drops_singletons: bool = False) -> tuple[Tensor, Tensor]:
        """Words (B, T) and characters (B, T, longest)."""

        def word_id(word: str) -> int:
            is_dropped = drops_singletons and counts[word] == 1 and rng.random() < 0.5
            return UNKNOWN if is_dropped else word_ids.get(word, UNKNOWN)

        ids = _padded([[word_id(word) for word in row] for row in rows])
        longest = max(len(word) for row in rows for word in row)
        nothing = [0] * longest
        characters = []
        for row in rows:
            of_row = [[character_ids.get(c, UNKNOWN) for c in word.ljust(longest, "\0")] for word in row]
            for word, of_word in zip(row, of_row, strict=True):
                of_word[len(word) :] = nothing[len(word) :]
            characters.append(of_row + [nothing] * (ids.shape[1] - len(row)))
        return ids, torch.tensor(characters)

    def loss(rows: Words, of_rows: Labels) -> Tensor:
        """Per row, or without a CRF per step."""
        ids, characters = batch(rows, drops_singletons=True)
        emissions = network(ids, characters)
        truth = _padded([[label_ids[name] for name in row] for row in of_rows])
        is_step = ids > 0
        if network.crf is None:
            return nn.functional.cross_entropy(emissions[is_step], truth[is_step])
        losses: Tensor = network.crf(emissions, is_step) - network.crf.score(emissions, truth, is_step)
        return losses.mean()

    @torch.no_grad()
    def predict(query: Words) -> Prediction:
        network.eval()
        prediction = Prediction(classes, [], [])
        for begin in range(0, len(query), 64):
            rows = query[begin : begin + 64]
            ids, characters = batch(rows)
            emissions = network(ids, characters)
            p = emissions.softmax(dim=2) if network.crf is None else network.crf.marginals(emissions, ids > 0)
            for row, words_of_row in enumerate(rows):
                length = len(words_of_row)
                prediction.marginals.append(p[row, :length].numpy())
                best = p[row, :length].argmax(dim=1).tolist()
                path = best if network.crf is None else network.crf.viterbi(emissions[row], length)
                prediction.labels.append([classes[label] for label in path])
        return prediction

    order = rng.sample(range(len(words)), len(words))
    validation = order[: max(len(words) // 10, 1)]
    train = order[len(validation) :]
    truth = [label for row in validation for label in labels[row]]
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    best_accuracy = -1.0
    best_epoch = 0
    best_weights = copy.deepcopy(network.state_dict())
    for epoch in range(MOST_EPOCHS):
        network.train()
        rng.shuffle(train)
        for begin in range(0, len(train), BATCH):
            rows = train[begin : begin + BATCH]
            optimizer.zero_grad()
            loss([words[row] for row in rows], [labels[row] for row in rows]).backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
        predicted = [label for row in predict([words[row] for row in validation]).labels for label in row]
        accuracy = sum(a == b for a, b in zip(predicted, truth, strict=True)) / len(truth)
        if accuracy > best_accuracy:
            best_accuracy = accuracy
            best_epoch = epoch
            best_weights = copy.deepcopy(network.state_dict())
        elif epoch - best_epoch >= PATIENCE:
            break
    network.load_state_dict(best_weights)
    return predict


_INFO = {"torch": torch.__version__, "settings": f"Adam {LEARNING_RATE}, batch {BATCH}, {UNITS} units"}
TASKS = {
    "tagger": partial(tagger_task, partial(fit, with_crf=False), _INFO),
    "crf-tagger": partial(tagger_task, partial(fit, with_crf=True), _INFO),
}
