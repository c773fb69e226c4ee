"""Bidirectional language model, which pretrains the embedding and the LSTMs of a classifier.

    tokens -> embedding (V, D) -> LSTM (H) -> decoder (D, H) -> embedding, transposed, and a bias (V,) -> next token

One LSTM reads the text from left to right, another from right to left; each predicts its next token. Input and output
embedding are tied (Press & Wolf 2017), and both directions share them (Peters et al. 2018). Without LSTMs (units 0) it
is a log-bilinear model (Mnih & Kavukcuoglu 2013): the mean of the last few embeddings replaces the LSTM state. That
trains word embeddings alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatewise.errors import InputError
from gatewise.model.pretrained import pretrained_shapes
from gatewise.network.batch import PAD, unique_tokens
from gatewise.nn.kernel_ops import lstm, project
from gatewise.nn.network import attribute
from gatewise.nn.ops import take
from gatewise.nn.sampled import sampled_softmax
from gatewise.types import Array

DIRECTIONS = ("forward", "backward")
WINDOW = 5  # context words, without LSTMs
States = tuple[Tensor, Tensor]


class LanguageModel(torch.nn.Module):
    """parameters: by name, with the shapes of `gatewise.model.pretrained.pretrained_shapes`.

    dropout_word: probability of dropping a word of a piece. dropout_output: probability of dropping a unit of a stream
    at every step of a piece, before the decoder (Gal & Ghahramani 2016). kernel: see `gatewise.nn.lstm`.
    """

    def __init__(
        self, parameters: Mapping[str, Array], *, dropout_word: float = 0.0, dropout_output: float = 0.0, kernel: str
    ) -> None:
        super().__init__()
        self.names = list(parameters)
        self.kernel, self.dropout_word, self.dropout_output = kernel, dropout_word, dropout_output
        self.vocab_size = len(parameters["embedding.weight"])
        self.units = parameters["lstm.0.forward.bias"].shape[0] // 4 if "lstm.0.forward.bias" in parameters else 0
        if {name: array.shape for name, array in parameters.items()} != pretrained_shapes(
            self.vocab_size, parameters["embedding.weight"].shape[1], self.units
        ):
            raise InputError("the parameters are not those of a language model")
        self.weights = torch.nn.ParameterDict(
            {attribute(name): torch.nn.Parameter(torch.from_numpy(np.array(a))) for name, a in parameters.items()}
        )

    def __getitem__(self, name: str) -> Tensor:
        weight: Tensor = self.weights[attribute(name)]
        return weight

    @property
    def _in_place(self) -> bool:
        """Whether the embedding has a gradient to add to in place, instead of four tables of mostly zeros per step."""
        return self.training and self["embedding.weight"].grad is not None

    def initial_states(self, batch: int) -> States:
        """Initial states h_0, c_0 (B, H)."""
        zeros = self["embedding.weight"].new_zeros((batch, self.units))
        return zeros, zeros

    def hidden(self, direction: str, tokens: NDArray[np.int32], states: States) -> tuple[Tensor, States]:
        """h of every step (B T, H), stream after stream, of a piece (B, T), and the states after it."""
        batch, steps = tokens.shape
        distinct, places = unique_tokens(tokens.reshape(-1), self.vocab_size)
        x = take(self["embedding.weight"], torch.from_numpy(distinct), in_place=self._in_place)  # (U, D)
        if self.training and self.dropout_word:
            x = x * torch.nn.functional.dropout(x.new_ones((len(x), 1)), self.dropout_word)
        index = torch.from_numpy(places)
        if not self.units:
            return _window(x[index.long()].view(batch, steps, -1)), states
        name = f"lstm.0.{direction}"
        pre = project(x, self[f"{name}.weight_ih"], self[f"{name}.bias"], kernel=self.kernel)  # (U, 4H)
        lengths = torch.full((batch,), steps, dtype=torch.int64)
        found = lstm(pre, index, lengths, self[f"{name}.weight_hh"], *states, return_c=False, kernel=self.kernel)
        return found.h, (found.h_T.detach(), found.c_T.detach())

    def loss(
        self,
        direction: str,
        h: Tensor,
        targets: NDArray[np.int32],
        candidates: NDArray[np.int64],
        log_expected: NDArray[np.float32],
    ) -> Tensor:
        """Mean -log p of the targets (B, T), estimated by sampled softmax."""
        if self.training and self.dropout_output:
            mask = torch.nn.functional.dropout(h.new_ones((len(targets), 1, h.shape[1])), self.dropout_output)
            h = (h.view(*targets.shape, -1) * mask).view(h.shape)
        weight = self[f"decoder.{direction}.weight"]
        x = project(h, weight, weight.new_zeros(len(weight)), kernel=self.kernel)  # (N, D)
        flat = targets.reshape(-1).astype(np.int64)
        embedding, bias = self["embedding.weight"], self["decoder.bias"]
        return sampled_softmax(
            x, embedding, bias, flat, candidates, log_expected, kernel=self.kernel, in_place=self._in_place
        )

    @torch.no_grad()
    def negative_log_likelihood(self, direction: str, text: NDArray[np.int32]) -> float:
        """Sum of -log p (nats) of the tokens (n,) of a text given the previous ones, over the whole vocabulary.

        text: in reading order, reversed for "backward".
        """
        tokens = np.concatenate([np.full(1, PAD, dtype=np.int32), text])
        h, _ = self.hidden(direction, tokens[None, :-1], self.initial_states(1))
        logits = (h @ self[f"decoder.{direction}.weight"].T) @ self["embedding.weight"].T + self["decoder.bias"]
        picked = torch.log_softmax(logits, dim=1).gather(1, torch.from_numpy(tokens[1:].astype(np.int64))[:, None])
        return -float(picked.sum(dtype=torch.float64))

    def state(self) -> dict[str, Array]:
        """Copies of the parameters by name."""
        return {name: self[name].detach().numpy().copy() for name in self.names}


def _window(x: Tensor) -> Tensor:
    """Means (B T, D) of the last `WINDOW` embeddings up to each step, of x (B, T, D)."""
    total = torch.cumsum(x, dim=1)
    before = torch.nn.functional.pad(total, (0, 0, WINDOW, 0))[:, : x.shape[1]]
    count = torch.arange(1, x.shape[1] + 1, dtype=x.dtype).clamp(max=WINDOW)
    return ((total - before) / count[:, None]).reshape(-1, x.shape[2])
