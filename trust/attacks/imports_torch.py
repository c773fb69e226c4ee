"""Attacks on `from_torch`: random modules, half of them with an operation that acts for some inputs only."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import gatewise as gw
from gatewise.errors import InputError
from gatewise.model.arrays_preprocessor import ArraysPreprocessor
from gatewise.model.series_preprocessor import SeriesPreprocessor
from gatewise.types import Array
from trust.attack import Attacks, check_message, missing
from trust.attacks.import_cases import activated, check_outputs, random_ids, random_lengths, random_series
from trust.mutate import Rng, choice

ATTACKS = Attacks()
BATCHES = 4  # that are compared in a try

if not missing("torch"):
    import torch
    from torch import Tensor, nn
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


def _write(x: Tensor, place: Tensor, value: float) -> Tensor:
    x = x.clone()
    x[place] = value
    return x


def _numbers(rng: Rng) -> dict[str, Callable[[Any], Any]]:
    """Operations on float tensors (B, ...) that change them outside of some range only."""
    limit = float(choice(rng, [0.1, 0.5, 3.0, 10.0, 100.0]))
    batch = int(choice(rng, [1, 2, 33, 64]))
    return {
        "clamp": lambda x: x.clamp(-limit, limit),
        "where": lambda x: torch.where(x > limit, 0.0, x),
        "masked_fill": lambda x: x.masked_fill(x < -limit, 0.0),
        "product": lambda x: x * (x < limit),
        "maximum": lambda x: torch.maximum(x, torch.tensor(-limit)),
        "max of a constant": lambda x: torch.max(x, torch.tensor(-limit)),
        "minimum": lambda x: torch.minimum(x, torch.full_like(x, limit)),
        "hardtanh": lambda x: nn.functional.hardtanh(x, -limit, limit),
        "nan_to_num": torch.nan_to_num,
        "written": lambda x: _write(x, x > limit, 0.0),
        "written NaN": lambda x: _write(x, x != x, 0.0),
        "condition": lambda x: x * 2 if x.max() > limit else x,
        "item": lambda x: x * 2 if x.abs().max().item() > limit else x,
        "numpy": lambda x: x * 2 if (x.detach().numpy() > limit).any() else x,
        "int": lambda x: x * (1 + (int(x.sum()) > 100 * limit)),
        "batch": lambda x: x * 2 if len(x) == batch else x,
        "rounded": lambda x: x.long().to(x.dtype) if limit > 1 else x.round(),
        "layer": nn.Hardtanh(-limit, limit),
        "threshold": nn.Threshold(-limit, 0.0),
        "other rows": lambda x: x - x.mean(0, keepdim=True) * 0.1,
    }


def _steps(rng: Rng) -> dict[str, Callable[[Any], Any]]:
    """Operations on tensors (B, T, ...) that change long or short sequences only."""
    bound = int(np.exp(rng.uniform(0, np.log(1_500))))
    return {
        "first steps": lambda x: x[:, :bound],
        "last steps": lambda x: x[:, -bound:],
        "after steps": lambda x: x[:, bound:] if x.shape[1] > bound else x,
        "narrow": lambda x: x.narrow(1, 0, min(bound, x.shape[1])),
        "split": lambda x: x.split(bound, 1)[0],
        "every second": lambda x: x[:, ::2],
        "long": lambda x: x.flip(1) if x.shape[1] > bound else x,
        "short": lambda x: x.flip(1) if x.shape[1] <= min(bound, 20) else x,
        "chunk": lambda x: x.chunk(2, 1)[-1],
    }


def _tokens(rng: Rng, vocab_size: int) -> dict[str, Callable[[Any], Any]]:
    """Operations on token ids."""
    token, other = (int(rng.integers(vocab_size)) for _ in range(2))
    return {
        "id where": lambda x: torch.where(x == token, other, x),
        "id written": lambda x: _write(x, x == token, other),
        "id clamp": lambda x: x.clamp(max=token),
        "id remainder": lambda x: x % max(token, 1),
        "id comparison": lambda x: x * (x != token),
        "id condition": lambda x: x.flip(1) if (x == token).any() else x,
        "id bool": lambda x: x * x.bool(),
        "id int8": lambda x: x.to(torch.int8).long().abs().clamp(max=vocab_size - 1),
    }


@dataclass(frozen=True)
class Shape:
    """Of a random module. hostile: its operation that acts for some inputs only, "" for none; place: where."""

    tokens: bool
    size: int
    batch_first: bool
    lengths: bool
    pooling: str
    end: str
    outputs: int
    hostile: str = ""
    place: str = ""


def _network(rng: Rng, shape: Shape, hostile: Callable[[Any], Any]) -> Any:
    torch.manual_seed(int(rng.integers(2**31)))
    units, both = int(rng.integers(1, 13)), bool(rng.random() < 0.4)
    width = int(rng.integers(1, 9)) if shape.tokens else shape.size
    layers = int(choice(rng, [1, 1, 2]))
    features = units * (1 + both) * (2 if shape.pooling == "mean+max" else 1)

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(shape.size, width) if shape.tokens else None
            self.lstm = nn.LSTM(width, units, layers, batch_first=shape.batch_first, bidirectional=both)
            hidden = int(rng.integers(1, 9))
            activation = choice(rng, [nn.ReLU, nn.Tanh, nn.GELU, nn.LeakyReLU, nn.SiLU])
            inner = [nn.Linear(features, hidden), activation()] if rng.random() < 0.4 else []
            self.head = nn.Sequential(*inner, nn.Linear(hidden if inner else features, shape.outputs))

        def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
            if shape.place == "inputs":
                x = self.by_batch(x)
            if self.embedding is not None:
                x = self.embedding(x)
                if shape.place == "embedding":
                    x = self.by_batch(x)
            if lengths is None:
                h, (last, _) = self.lstm(x)
            else:
                packed, (last, _) = self.lstm(pack_padded_sequence(x, lengths, batch_first=shape.batch_first))
                h, _ = pad_packed_sequence(packed, batch_first=shape.batch_first)
            if shape.place == "states":
                h = self.by_batch(h)
            pooled = self.pooled(h if shape.batch_first else h.transpose(0, 1), last, lengths)
            pooled = hostile(pooled) if shape.place == "pooled" else pooled
            y: Tensor = self.head(pooled)
            y = hostile(y) if shape.place == "outputs" else y
            return self.ended(y)

        def ended(self, y: Tensor) -> Tensor:
            """With the activation of the outputs."""
            if shape.end == "sigmoid":
                return torch.sigmoid(y)
            if shape.end == "softmax":
                return torch.softmax(y, -1)
            return torch.log_softmax(y, -1) if shape.end else y

        def by_batch(self, x: Tensor) -> Tensor:
            """The hostile operation on a tensor (B, T, ...)."""
            changed: Tensor = hostile(x if shape.batch_first else x.transpose(0, 1))
            return changed if shape.batch_first else changed.transpose(0, 1)

        def pooled(self, h: Tensor, last: Tensor, lengths: Tensor | None) -> Tensor:
            """Of h (B, T, F): (B, features), or h itself."""
            if shape.pooling == "none":
                return h
            if shape.pooling == "last":
                return torch.cat([last[-2], last[-1]], 1) if both else last[-1]
            if shape.pooling == "step":
                if lengths is None:
                    return h[:, -1]
                place = (lengths - 1)[:, None, None].expand(-1, 1, h.shape[2])
                step: Tensor = h.gather(1, place).squeeze(1)
                return step
            if lengths is None:
                mean, largest = h.mean(1), h.max(1)[0]
            else:
                inside = (torch.arange(h.shape[1])[None] < lengths[:, None])[..., None]
                mean = torch.where(inside, h, 0.0).sum(1) / lengths[:, None]
                largest = h.masked_fill(~inside, float("-inf")).max(1)[0]
            parts = {"mean": [mean], "max": [largest], "mean+max": [mean, largest]}[shape.pooling]
            return torch.cat(parts, 1)

    network = Network().eval()
    deviation = float(choice(rng, [0.1, 0.3, 0.6]))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=deviation)
    return network


def _draw(rng: Rng) -> tuple[Shape, Any]:
    tokens, lengths = bool(rng.random() < 0.5), bool(rng.random() < 0.4)
    size = int(choice(rng, [3, 20, 200, 3_000])) if tokens else int(rng.integers(1, 5))
    pooling = choice(rng, ["last", "step", "mean", "max", "mean+max", "none"])
    end = choice(rng, ["", "", "sigmoid", "softmax", "log_softmax"])
    plain = Shape(tokens, size, bool(rng.random() < 0.7), lengths, pooling, end, 3 if end else int(rng.integers(1, 4)))
    if rng.random() < 0.4:
        return plain, _network(rng, plain, lambda x: x)
    places = {"inputs": tokens * [_tokens(rng, size)] or [_numbers(rng)], "embedding": tokens * [_numbers(rng)]}
    places |= {"states": [_numbers(rng)], "pooled": [_numbers(rng)], "outputs": [_numbers(rng)]}
    for place in ("inputs", "embedding", "states"):
        if places[place] and not lengths:
            places[place].append(_steps(rng))
    place = choice(rng, [name for name, groups in places.items() if groups])
    group = choice(rng, places[place])
    name = choice(rng, sorted(group))
    shape = Shape(**{**plain.__dict__, "hostile": name, "place": place})
    return shape, _network(rng, shape, group[name])


def _called(network: Any, shape: Shape, sequences: list[Array], dtype: Any) -> list[Array]:
    """The outputs for each sequence in float64. The rows beyond their lengths are zeros."""
    lengths = torch.tensor([len(one) for one in sequences])
    x = nn.utils.rnn.pad_sequence([torch.from_numpy(one) for one in sequences], batch_first=True)
    x = x if shape.tokens else x.to(dtype)
    x = x if shape.batch_first else x.transpose(0, 1)
    with torch.no_grad():
        outputs = network(x, lengths) if shape.lengths else network(x)
    found = outputs.double().numpy()
    return [one[: len(row)] for one, row in zip(found, sequences, strict=True)] if shape.pooling == "none" else [*found]


def _logits(model: Any, sequences: list[Array]) -> list[Array]:
    """The logits for each sequence. A graph that does more with lengths than to skip pads has them as an input."""
    if not isinstance(model.preprocessor, ArraysPreprocessor):
        return list(model.logits(sequences))
    longest = max(map(len, sequences))
    rows = []
    for sequence in sequences:
        pads = ((0, longest - len(sequence)),) + ((0, 0),) * (sequence.ndim - 1)
        rows.append({"x": np.pad(sequence, pads), "lengths": len(sequence)})
    logits = list(model.logits(rows))
    if model.target.per_step:
        logits = [row[: len(sequence)] for row, sequence in zip(logits, sequences, strict=True)]
    return logits


def _in_float64(network: Any, shape: Shape, sequences: list[Array]) -> list[Array]:
    torch.set_default_dtype(torch.float64)
    try:
        return _called(copy.deepcopy(network).double(), shape, sequences, torch.float64)
    finally:
        torch.set_default_dtype(torch.float32)


@ATTACKS.add("imports-torch", 10, 2_000, unavailable=partial(missing, "torch"), seconds=120.0, memory=0)
def _modules(rng: Rng, folder: Path) -> None:
    """A model of a PyTorch module gives the outputs of the module for sequences of any length up to 2,000 steps and
    numbers of any size, or the module is refused in one line.

    random modules, half of them with an operation that acts for some inputs only: slices, limits, comparisons,
    conditions on numbers, steps and batches. Their outputs to 1e-5 of a run in float64, plus ten times the rounding of
    the module's own run: 1 to 2,000 steps, batches of 1 to 64, numbers from 1e-3 to 1e3, each token id, missing values
    """
    torch.set_num_threads(1)
    shape, network = _draw(rng)
    example: Any = torch.zeros(2, 7, dtype=torch.int64) if shape.tokens else torch.zeros(2, 7, shape.size)
    example = example if shape.batch_first else example.transpose(0, 1)
    task: Any = {"": "regression", "sigmoid": "multilabel"}.get(
        shape.end, "tagging" if shape.pooling == "none" else None
    )
    try:
        model = gw.from_torch(network, (example, torch.tensor([7, 7])) if shape.lengths else example, task=task)
    except InputError as error:
        check_message(error)
        if not shape.hostile:
            raise AssertionError(f"{shape} is refused: {error}") from error
        return
    for _ in range(BATCHES):
        lengths = random_lengths(rng)
        if not shape.lengths:
            lengths[:] = lengths[0]
            lengths = lengths[: max(1, 6_000 // int(lengths[0]))]
        sequences = random_ids(rng, lengths, shape.size) if shape.tokens else random_series(rng, lengths, shape.size)
        try:
            logits = _logits(model, sequences)
        except InputError as error:  # sizes for which the module was not read
            check_message(error)
            if not shape.hostile:
                raise AssertionError(f"{shape}: {len(lengths)} x {lengths[0]} steps are refused: {error}") from error
            continue
        found = [activated(one, shape.end or "linear") for one in logits]
        float32 = _called(network, shape, sequences, torch.float32)
        where = f"{shape}, {len(lengths)} x {lengths[0]} steps"
        check_outputs(found, float32, _in_float64(network, shape, sequences), where)
    # A graph computes missing values as the module does.
    if not shape.tokens and isinstance(model.preprocessor, SeriesPreprocessor):
        series = np.zeros((5, shape.size))
        series[int(rng.integers(5)), 0] = np.nan
        try:
            model.predict([series])
        except InputError as error:
            check_message(error)
        else:
            raise AssertionError(f"{shape}: a missing value is predicted")
