"""Networks of PyTorch with recurrent layers, as their users write them, for gatewise and for torch alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence

from benchmarks.contenders.base import Arrays, Settings, Task, seconds_of

SEED = 0


class WordLanguageModel(torch.nn.Module):
    """The network of PyTorch's example word_language_model: ids (T, B) -> logits (T, B, words)."""

    def __init__(self, lstm_class: Callable[..., Any], words: int, units: int) -> None:
        super().__init__()
        self.encoder = torch.nn.Embedding(words, units)
        self.lstm = lstm_class(units, units, 2)
        self.decoder = torch.nn.Linear(units, words)

    def forward(self, ids: Tensor, hidden: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        output, hidden = self.lstm(self.encoder(ids), hidden)
        return self.decoder(output), hidden


class PackedSentiment(torch.nn.Module):
    """A bidirectional LSTM on packed texts: ids (B, T) and lengths (B,) -> logits (B,)."""

    def __init__(self, lstm_class: Callable[..., Any], words: int, width: int, units: int) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(words, width, padding_idx=0)
        self.lstm = lstm_class(width, units, num_layers=2, bidirectional=True, batch_first=True)
        self.linear = torch.nn.Linear(2 * units, 1)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(self.embedding(ids), lengths, batch_first=True, enforce_sorted=False)
        _, (h_n, _) = self.lstm(packed)
        return self.linear(torch.cat((h_n[-2], h_n[-1]), dim=1))[:, 0]  # type: ignore[no-any-return]


class Forecaster(torch.nn.Module):
    """A linear layer on the last hidden state of the last LSTM layer: (B, T, C) -> (B, horizon)."""

    def __init__(self, lstm_class: Callable[..., Any], channels: int, units: int, layers: int, horizon: int) -> None:
        super().__init__()
        self.lstm = lstm_class(channels, units, num_layers=layers, batch_first=True)
        self.linear = torch.nn.Linear(units, horizon)

    def forward(self, windows: Tensor) -> Tensor:
        output, _ = self.lstm(windows)
        return self.linear(output[:, -1])  # type: ignore[no-any-return]


def series_regression(channels: int, units: int) -> Forecaster:
    """One layer of torch.nn.LSTM and one output, with the same weights in each process."""
    torch.manual_seed(SEED)
    return Forecaster(torch.nn.LSTM, channels, units, layers=1, horizon=1).eval()


@dataclass(frozen=True)
class Script:
    """A training script.

    loss(): the loss of the script's batch, a scalar. update(): what follows loss.backward(): clipping and optimiser.
    """

    network: torch.nn.Module
    loss: Callable[[], Tensor]
    update: Callable[[], None]

    def gradients(self) -> dict[str, Tensor]:
        """The gradient of each parameter, by gatewise's names: of the two biases of torch.nn.LSTM, whose gradients are
        equal, one.
        """
        self.network.zero_grad()
        self.loss().backward()  # type: ignore[no-untyped-call]
        gradients = {}
        for name, parameter in self.network.named_parameters():
            if "bias_hh" not in name:
                assert parameter.grad is not None
                gradients[name.replace("bias_ih", "bias")] = parameter.grad.clone()
        return gradients

    def step(self) -> None:
        """One step of training."""
        self.network.zero_grad()
        loss = self.loss()
        loss.backward()  # type: ignore[no-untyped-call]
        self.update()
        loss.item()


def word_language_model(lstm_class: Callable[..., Any]) -> Script:
    """PyTorch's example with its defaults: 2 layers of 200 units, batches of 20, 35 words, SGD, gradients clipped at
    0.25, states carried on. 10,000 words, as in Penn Treebank.
    """
    network = _seeded(lambda cls: WordLanguageModel(cls, words=10_000, units=200), lstm_class)
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    ids = torch.randint(10_000, (36, 20))
    hidden = (torch.zeros(2, 20, 200), torch.zeros(2, 20, 200))

    def loss() -> Tensor:
        nonlocal hidden
        logits, (h_n, c_n) = network(ids[:-1], hidden)
        hidden = (h_n.detach(), c_n.detach())
        return functional.cross_entropy(logits.view(-1, 10_000), ids[1:].reshape(-1))

    def update() -> None:
        torch.nn.utils.clip_grad_norm_(network.parameters(), 0.25)
        optimizer.step()

    return Script(network, loss, update)


def packed_sentiment(lstm_class: Callable[..., Any]) -> Script:
    """Batches of 64 packed texts of 20 to 250 words, two bidirectional layers of 128 units, Adam."""
    network = _seeded(lambda cls: PackedSentiment(cls, words=25_000, width=100, units=128), lstm_class)
    optimizer = torch.optim.Adam(network.parameters())
    lengths = torch.randint(20, 251, (64,))
    ids = torch.randint(1, 25_000, (64, int(lengths.max())))
    ids[torch.arange(ids.shape[1]) >= lengths[:, None]] = 0
    labels = torch.randint(2, (64,)).float()

    def loss() -> Tensor:
        return functional.binary_cross_entropy_with_logits(network(ids, lengths), labels)

    return Script(network, loss, optimizer.step)


def forecaster(lstm_class: Callable[..., Any]) -> Script:
    """Batches of 32 windows of 96 steps and 7 channels, two layers of 64 units, horizon 24, Adam."""
    network = _seeded(lambda cls: Forecaster(cls, channels=7, units=64, layers=2, horizon=24), lstm_class)
    optimizer = torch.optim.Adam(network.parameters())
    windows = torch.randn(32, 96, 7)
    future = torch.randn(32, 24)

    def loss() -> Tensor:
        return functional.mse_loss(network(windows), future)

    return Script(network, loss, optimizer.step)


SCRIPTS = {
    "word_language_model": word_language_model,
    "packed_sentiment": packed_sentiment,
    "forecaster": forecaster,
}


def script_task(lstm_class: Callable[..., Any], settings: Settings, info: dict[str, str]) -> Task:
    """Training steps of a script with `lstm_class` in the place of torch.nn.LSTM."""
    script = SCRIPTS[settings["script"]](lstm_class)

    def check() -> Arrays:
        return {f"d {name}": gradient.numpy() for name, gradient in script.gradients().items()}

    return Task(partial(seconds_of, script.step, warmup=2, repeats=settings["repeats"]), info, check)


def _seeded(make: Callable[[Callable[..., Any]], torch.nn.Module], lstm_class: Callable[..., Any]) -> torch.nn.Module:
    """The network with the weights that torch's classes draw from SEED, whatever `lstm_class` is. The data that are
    drawn after it are the same too.
    """
    torch.manual_seed(SEED)
    weights = make(torch.nn.LSTM).state_dict()
    network = make(lstm_class)
    network.load_state_dict(weights)
    torch.manual_seed(SEED)
    return network
