"""Bidirectional language model, which pretrains the embedding and the LSTMs of a classifier.

    tokens -> embedding (V, D) -> LSTM (H) -> decoder (D, H) -> embedding, transposed, and a bias (V,) -> next token

One LSTM reads the text from left to right, another from right to left; each predicts its next token. Input and output
embedding are tied (Press & Wolf 2017), and both directions share them (Peters et al. 2018). Without LSTMs (units 0) it
is a log-bilinear model (Mnih & Kavukcuoglu 2013): the mean of the last few embeddings replaces the LSTM state. That
trains word embeddings alone.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatewise.kernels import LSTMCall
from gatewise.kernels.interface import Kernel
from gatewise.kernels.threads import at_once, concurrently
from gatewise.losses import log_probabilities
from gatewise.network.autograd import EmbeddingTable, RecordingOps, RowGradient, Variable, sum_of
from gatewise.network.distinct_tokens import PAD, unique_tokens
from gatewise.network.dropout import Dropout
from gatewise.network.ops import array_of
from gatewise.network.sampled import sampled_softmax
from gatewise.network.trainable import TABLE, Gradients, Trainable, gradients_of
from gatewise.types import Array

DIRECTIONS = ("forward", "backward")
WINDOW = 5  # context words, without LSTMs
MEASURED_AT_ONCE = 512  # steps whose logits over the whole vocabulary are in memory, some 0.4 GB with 40,000 words


class Piece(NamedTuple):
    """What one direction learns from in a step: tokens and their next tokens (B, T); states h, c (B, H) before them;
    the generator of its masks.
    """

    tokens: NDArray[np.int32]
    targets: NDArray[np.int32]
    states: tuple[Array, Array]
    rng: np.random.Generator


class LanguageModel(Trainable):
    """parameters: by name, with the shapes of `gatewise.network.architecture.language_model_shapes`.

    dropout: probability by part, "word": of dropping a word of a piece, "output": of dropping a unit of a stream at
    every step of a piece, before the decoder (Gal & Ghahramani 2016).
    """

    def __init__(
        self, parameters: Mapping[str, Array], kernel: Kernel, *, dropout: Mapping[str, float] | None = None
    ) -> None:
        self.vocab_size = len(parameters[TABLE])
        self.units = parameters["lstm.0.forward.bias"].shape[0] // 4 if "lstm.0.forward.bias" in parameters else 0
        self.kernel, self.dropout = kernel, dropout or {}
        self.parameters = {name: np.array(array, order="C") for name, array in parameters.items()}

    def initial_state(self, batch: int) -> Array:
        """h and c (B, H) before the first step."""
        return np.zeros((batch, self.units), dtype=self.parameters[TABLE].dtype)

    def forward_backward(
        self, pieces: Mapping[str, Piece], candidates: NDArray[np.int64], log_expected: NDArray[np.float32]
    ) -> tuple[float, Gradients, dict[str, tuple[Array, Array]]]:
        """The mean loss of a piece of each direction, the gradients of the sum of both, and the states after them.

        The directions run at the same time where `threads.at_once` says so. Their gradients are added in a fixed order,
        so that equal arguments give equal bits.
        """
        kernel = self.kernel.with_threads(1) if at_once(len(pieces)) else self.kernel
        tasks = [
            partial(self._direction, name, piece, candidates, log_expected, kernel) for name, piece in pieces.items()
        ]
        losses, gradients, states = zip(*concurrently(tasks), strict=True)
        return sum(losses) / len(losses), _sum(gradients), dict(zip(pieces, states, strict=True))

    @np.errstate(over="ignore", invalid="ignore")  # also in a thread of its own; the caller checks the loss
    def _direction(
        self,
        direction: str,
        piece: Piece,
        candidates: NDArray[np.int64],
        log_expected: NDArray[np.float32],
        kernel: Kernel,
    ) -> tuple[float, Gradients, tuple[Array, Array]]:
        """Loss, gradients and last states of one direction."""
        ops = RecordingOps(kernel, dropout=Dropout(self.dropout, piece.rng))
        other = DIRECTIONS[1 - DIRECTIONS.index(direction)]
        named = {name: value for name, value in self.parameters.items() if f".{other}." not in name}
        variables = {name: EmbeddingTable(value) if name == TABLE else Variable(value) for name, value in named.items()}
        h, states = self._hidden(ops, variables, direction, piece.tokens, piece.states)
        h, weight = _same_mask_at_every_step(ops, h, len(piece.tokens)), variables[f"decoder.{direction}.weight"]
        x = ops.project(h, weight, np.zeros(len(weight.value), dtype=weight.value.dtype))  # (N, D)
        targets = piece.targets.reshape(-1).astype(np.int64)
        table, bias = variables[TABLE], variables["decoder.bias"]
        assert isinstance(table, EmbeddingTable)
        loss = sampled_softmax(x, table, bias, targets, candidates, log_expected, kernel)
        ops.backward()
        return loss, gradients_of(variables), states

    def negative_log_likelihood(self, direction: str, text: NDArray[np.int32]) -> float:
        """Sum of -log p (nats) of the tokens (n,) of a text given the previous ones, over the whole vocabulary.

        text: in reading order, reversed for "backward".
        """
        tokens = np.concatenate([np.full(1, PAD, dtype=np.int32), text])
        ops = RecordingOps(self.kernel)
        h, _ = self._hidden(ops, self.parameters, direction, tokens[None, :-1], (self.initial_state(1),) * 2)
        decoded = h @ self.parameters[f"decoder.{direction}.weight"].T
        log_likelihood = 0.0
        for start in range(0, len(text), MEASURED_AT_ONCE):
            part = slice(start, start + MEASURED_AT_ONCE)
            log_p = log_probabilities(decoded[part] @ self.parameters[TABLE].T + self.parameters["decoder.bias"])
            log_likelihood += float(log_p[np.arange(len(log_p)), text[part]].sum(dtype=np.float64))
        return -log_likelihood

    def _hidden(
        self,
        ops: RecordingOps,
        parameters: Mapping[str, Any],
        direction: str,
        tokens: NDArray[np.int32],
        states: tuple[Array, Array],
    ) -> tuple[Any, tuple[Array, Array]]:
        """h of every step (B T, H), stream after stream, of a piece (B, T), and the states after it."""
        batch, steps = tokens.shape
        distinct, places = unique_tokens(tokens.reshape(-1), self.vocab_size)
        x = ops.dropout(ops.take(parameters[TABLE], distinct), "embedding")  # (U, D)
        if not self.units:
            return _window(ops, ops.take(x, places.astype(np.int64)), batch), states
        name = f"lstm.0.{direction}"
        pre = ops.project(x, parameters[f"{name}.weight_ih"], parameters[f"{name}.bias"])  # (U, 4H)
        lengths = np.full(batch, steps, dtype=np.intp)
        call = LSTMCall(pre, places, lengths, parameters[f"{name}.weight_hh"], *states)
        [found] = ops.lstms([(name, call)])
        return found.h, (array_of(found.h_T), array_of(found.c_T))


def _sum(parts: Sequence[Gradients]) -> Gradients:
    """The gradients of all parts, in order; a part lacks the parameters that it does not read."""
    total: Gradients = {}
    for part in parts:
        for name, gradient in part.items():
            before: Any = total.get(name)
            if isinstance(gradient, RowGradient):
                total[name] = gradient if before is None else sum_of([before, gradient])
            else:
                total[name] = gradient if before is None else before + gradient
    return total


def _same_mask_at_every_step(ops: RecordingOps, h: Any, streams: int) -> Any:
    """h (B T, H) with the units of each stream dropped that its mask drops, at every step."""
    value = array_of(h)
    mask = None if ops.masks is None else ops.masks.mask("output", (streams, value.shape[1]), value.dtype)
    return h if mask is None else ops.multiply(h, np.repeat(mask, len(value) // streams, axis=0))


def _window(ops: RecordingOps, x: Any, streams: int) -> Any:
    """Means (B T, D) of the last `WINDOW` embeddings up to each step, of x (B T, D)."""
    value = array_of(x)
    steps = len(value) // streams
    count = np.minimum(np.arange(1, steps + 1), WINDOW).astype(value.dtype)[:, None]

    def sums(array: Array, out: Array) -> None:
        """Sums over the last `WINDOW` steps of (B, T, D)."""
        total = np.cumsum(array, axis=1)
        out[:, :WINDOW] = total[:, :WINDOW]
        np.subtract(total[:, WINDOW:], total[:, :-WINDOW], out=out[:, WINDOW:])

    def three(array: Array) -> Array:
        return array.reshape(streams, steps, -1)

    means = np.empty_like(value)
    sums(three(value), three(means))
    np.divide(three(means), count, out=three(means))

    def backward(grad: Array) -> None:
        back = np.empty_like(grad)
        sums((three(grad) / count)[:, ::-1], three(back)[:, ::-1])  # over the next steps
        x.accumulate(back, owned=True)

    return ops.record(means, [x], backward)
