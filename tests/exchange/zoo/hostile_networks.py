"""Networks that act otherwise for inputs which few random ones show, or otherwise in each call.

A reader refuses each, or its graph gives the same outputs for the inputs here, which show what is special.
"""

# ruff: noqa: B905 - the idioms of their authors

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from tests.exchange.zoo.case import Case, Inputs, ids, ids_and_lengths, series
from tests.exchange.zoo.torch_networks import C, V


def unchanged(x: Any) -> Any:
    return x


class Network(nn.Module):
    """An embedding where there is a vocabulary, an LSTM, a pooling, a head. before: of the inputs. pool: of the outputs
    of all steps and the inputs. after: of the outputs.
    """

    def __init__(
        self,
        before: Callable[[Any], Any] = unchanged,
        pool: Callable[[Any, Any], Any] = lambda h, x: h[:, -1],
        after: Callable[[Any], Any] = unchanged,
        vocab_size: int = 0,
        lstm: type[nn.LSTM] = nn.LSTM,
        **options: Any,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, C) if vocab_size else nn.Identity()
        self.lstm = lstm(C, 6, batch_first=True, **options)
        self.head = nn.Linear(6, 2)
        self.before = before
        self.pool = pool
        self.after = after

    def forward(self, x):
        h = self.lstm(self.embedding(self.before(x)))[0]
        return self.after(self.head(self.pool(h, x)))


# What is special


def id_written(x):
    x = x.clone()
    x[x == 7] = 1
    return x


def missing_written(x):
    x = x.clone()
    x[x != x] = 0
    return x


def first_row_written(x):
    x = x.clone()
    x[0] = 0
    return x


def input_written(x):
    x[:, 0] = 0
    return x


def doubled_if_large(x):
    if x.max() > 10:
        return x * 2
    return x


def doubled_if_item(x):
    if x.abs().max().item() > 10:
        return x * 2
    return x


def doubled_if_list(x):
    return x * (2 if x.tolist()[0][0][0] > 0 else 1)


def through_numpy(x):
    return torch.from_numpy(np.clip(x.detach().numpy(), -1, 1))


def doubled_if_caught(x):
    try:
        return x[:, 12].unsqueeze(1) + x
    except IndexError:
        return x * 2


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return torch.where(x > 5, x * 2, x)

    @staticmethod
    def backward(ctx, grad):
        return grad


def masked_mean_of_numbers(h, x):
    mask = (x != 0).any(dim=-1, keepdim=True)
    return (h * mask).sum(1) / mask.sum(1).clamp(min=1)


def rows_in_another_order(h, x):
    return h[:, -1][torch.argsort(x[:, 0, 0], stable=True)]


def largest_step(h, x):
    return h[torch.arange(len(h)), x[..., 0].argmax(dim=1)]


def only_positive_steps(h, x):
    return torch.stack([row[keep].sum(0) for row, keep in zip(h, x[..., 0] > 0)])


class CarriedState(Network):
    """The hidden state of a call is that at which the next one starts."""

    def __init__(self):
        super().__init__()
        self.hidden = None

    def forward(self, x):
        if self.hidden is not None and self.hidden[0].size(1) != x.size(0):
            self.hidden = None
        h, self.hidden = self.lstm(x, self.hidden)
        return self.head(h[:, -1])


class CountedCalls(Network):
    """Each call gives a larger number."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x) + self.calls


class ChangingBuffer(Network):
    """A buffer follows the inputs."""

    def __init__(self):
        super().__init__()
        self.register_buffer("level", torch.zeros(C))

    def forward(self, x):
        self.level = 0.9 * self.level + 0.1 * x.mean(dim=(0, 1))
        return super().forward(x - self.level)


class WrittenBuffer(ChangingBuffer):
    """The same in place."""

    def forward(self, x):
        self.level.mul_(0.9).add_(0.1 * x.mean(dim=(0, 1)))
        return Network.forward(self, x - self.level)


class TrainingNorm(Network):
    """A batch norm that is never in evaluation mode."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(6, track_running_stats=False)
        self.pool = lambda h, x: self.norm(h[:, -1])


class TransposedWeights(nn.Module):
    """One weight below the LSTM, and transposed above it."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(C, C))
        self.lstm = nn.LSTM(C, C, batch_first=True)

    def forward(self, x):
        return self.lstm(x @ self.weight)[0][:, -1] @ self.weight.T


class CutLengths(nn.Module):
    """No row has more than five steps."""

    def __init__(self, counts):
        super().__init__()
        self.embedding = nn.Embedding(V, C)
        self.lstm = nn.LSTM(C, 6, batch_first=True)
        self.head = nn.Linear(6, 2)
        self.counts = counts

    def forward(self, ids, lengths):
        counts = self.counts(lengths)
        packed = pack_padded_sequence(self.embedding(ids), counts, batch_first=True, enforce_sorted=False)
        return self.head(self.lstm(packed)[1][0][-1])


class PadsInTheMiddle(CutLengths):
    """The lengths are numbers of ids that are no pads, and the pads stand anywhere."""

    def forward(self, ids):
        return super().forward(ids, (ids != 0).sum(1).clamp(min=1))


class ShorterThanPadded(CutLengths):
    """No row fills all steps: what is unpacked has fewer steps than the input."""

    def forward(self, ids, lengths):
        packed = pack_padded_sequence(self.embedding(ids), lengths, batch_first=True, enforce_sorted=False)
        out, counts = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        return self.head(out.mean(1)), counts


class ScaledLSTM(nn.LSTM):
    """A subclass that computes something else."""

    def forward(self, x, hx=None):
        h, state = super().forward(x, hx)
        return h * 0.5, state


class HalvedLSTM(nn.LSTM):
    """A subclass that reads other inputs."""

    def forward(self, x, hx=None):
        return super().forward(x * 0.5, hx)


class WeightDropped(Network):
    """The recurrent weights are changed before each call."""

    def forward(self, x):
        weight = self.lstm.weight_hh_l0.data
        self.lstm.weight_hh_l0.data = weight * 0.5
        out = super().forward(x)
        self.lstm.weight_hh_l0.data = weight
        return out


class FunctionalLSTM(Network):
    """The recurrence by torch's function, without its module."""

    def forward(self, x):
        zeros = x.new_zeros(1, x.size(0), 6)
        weights = [p for name, p in self.lstm.named_parameters()]
        h, _, _ = torch.lstm(x, (zeros, zeros), weights, True, 1, 0.0, False, False, True)
        return self.head(h[:, -1])


class Halved(nn.Module):
    def forward(self, weight):
        return weight * 0.5


class LoopWithBranch(nn.Module):
    """A step of the loop is special."""

    def __init__(self, special=lambda t, steps: t == 5, steps=unchanged):
        super().__init__()
        self.cell = nn.LSTMCell(C, 6)
        self.head = nn.Linear(6, 2)
        self.special = special
        self.steps = steps

    def forward(self, x):
        h = c = x.new_zeros(x.size(0), 6)
        for t in range(self.steps(x.size(1))):
            h, c = self.cell(x[:, t], (h, c))
            if self.special(t, x.size(1)):
                h = h * 0.5
        return self.head(h)


class StoppedLoop(nn.Module):
    """Stops where the state is large."""

    def __init__(self):
        super().__init__()
        self.cell = nn.GRUCell(C, 6)

    def forward(self, x):
        h = x.new_zeros(x.size(0), 6)
        for step in x.unbind(1):
            h = self.cell(step, h)
            if h.abs().max() > 0.5:
                break
        return h


class ScaledByStep(LoopWithBranch):
    """The number of the step enters the loop."""

    def forward(self, x):
        h = c = x.new_zeros(x.size(0), 6)
        for t in range(x.size(1)):
            h, c = self.cell(x[:, t] * (t + 1) / x.size(1), (h, c))
        return self.head(h)


class PositionTable(Network):
    """A table of positions with 32 rows."""

    def __init__(self):
        super().__init__()
        self.positions = nn.Embedding(32, C)
        self.before = lambda x: x + self.positions(torch.arange(x.size(1)))


class RowOfBatch(Network):
    """Each row is compared with the others of the batch."""

    def forward(self, x):
        return super().forward(x - x.mean(0, keepdim=True)).softmax(0)


class GradientMode(Network):
    """Otherwise where gradients are off, as in every prediction."""

    def forward(self, x):
        return super().forward(x) if torch.is_grad_enabled() else 2 * super().forward(x)


class TrainingFlag(Network):
    """Otherwise in training mode, in which it is never predicted."""

    def forward(self, x):
        return super().forward(x) * (3 if self.training else 1)


class SecondOutputOfNone(Network):
    """An output that is None, and one that is a Python number."""

    def forward(self, x):
        return super().forward(x), None, 3


def with_hook(*, before: bool) -> Network:
    """A hook of the LSTM changes what it reads or returns."""
    network = Network()
    if before:
        network.lstm.register_forward_pre_hook(lambda module, arguments: (arguments[0] * 0.5,))
    else:
        network.lstm.register_forward_hook(lambda module, arguments, output: (output[0] * 0.5, output[1]))
    return network


def with_hook_of_head() -> Network:
    network = Network()
    network.head.register_forward_hook(lambda module, arguments, output: output * 0.5)
    return network


def with_forward_of_instance() -> Network:
    """The instance of the LSTM has another forward than its class."""
    network = Network()
    forward = network.lstm.forward

    def halved(x, hx=None):
        h, state = forward(x, hx)
        return h * 0.5, state

    network.lstm.forward = halved  # type: ignore[method-assign]
    return network


def with_parametrisation() -> Network:
    network = Network()
    parametrize.register_parametrization(network.lstm, "weight_hh_l0", Halved())
    return network


def with_weight_norm() -> Network:
    network = Network()
    nn.utils.parametrizations.weight_norm(network.lstm, "weight_hh_l0")
    return network


def in_training_mode() -> Network:
    """The LSTM drops out between its layers in every mode."""
    network = Network(num_layers=2, dropout=0.5)
    network.lstm.train = lambda mode=True: network.lstm  # type: ignore[method-assign]
    return network


# Inputs that show it


def with_missing(rng: np.random.Generator, batch: int, steps: int) -> tuple[Any, ...]:
    [values] = series(C)(rng, batch, steps)
    values[rng.random(values.shape) < 0.3] = np.nan
    return (values,)


def shorter(rng: np.random.Generator, batch: int, steps: int) -> tuple[Any, ...]:
    """Ids, and lengths below the number of steps."""
    return rng.integers(0, V, (batch, steps)), rng.integers(1, max(2, steps), batch)


NUMBERS, IDS = series(C), ids(V)
LENGTHS = ids_and_lengths(V)
LONG = (1, 2, 5, 6, 7, 13, 33)


def case(network: Callable[[], nn.Module], inputs: Inputs = NUMBERS, **options: Any) -> Case:
    options = {"batches": (1, 2, 5, 33), "steps": LONG} | options
    return Case(network, inputs, expected="refused", **options)


def of_numbers(**options: Any) -> Case:
    return case(lambda: Network(**options))


def of_ids(**options: Any) -> Case:
    return case(lambda: Network(vocab_size=V, **options), IDS)


CASES: dict[str, Case] = {
    "one id": of_ids(before=lambda x: torch.where(x == 7, 1, x)),
    "one id, written": of_ids(before=id_written),
    "largest id": of_ids(before=lambda x: x.clamp(max=V - 2)),
    "remainder of ids": of_ids(before=lambda x: (x - 5) % 7),
    "quotient of ids": of_ids(before=lambda x: (x - 5) // 2 + 3),
    "ids as int8": of_ids(before=lambda x: (x * 11).to(torch.int8).long().abs() % V),
    "ids as bools": of_ids(before=lambda x: x * x.bool()),
    "a condition on an id": of_ids(before=lambda x: x.flip(1) if (x == 7).any() else x),
    "mean of ids that are no pads": of_ids(pool=lambda h, x: (h * (x != 0)[..., None]).sum(1)),
    "one number of steps": of_numbers(before=lambda x: x.flip(1) if x.size(1) == 13 else x),
    "few steps": of_numbers(before=lambda x: x.flip(1) if x.size(1) < 6 else x),
    "many steps": of_numbers(before=lambda x: x * 2 if x.shape[1] > 30 else x),
    "one row": of_numbers(before=lambda x: x * 2 if len(x) == 1 else x),
    "many rows": of_numbers(pool=lambda h, x: h.mean(1) if len(h) > 32 else h[:, -1]),
    "cut steps": of_numbers(before=lambda x: x[:, :6]),
    "last steps": of_numbers(pool=lambda h, x: h[:, -6:].mean(1)),
    "every second step": of_numbers(before=lambda x: x[:, ::2]),
    "steps in reverse": of_numbers(before=lambda x: x.flip(1)),
    "half of the steps": of_numbers(before=lambda x: x[:, x.shape[1] // 2 :]),
    "chunks of the steps": of_numbers(before=lambda x: x.chunk(2, 1)[-1]),
    "all but the first step": of_numbers(before=lambda x: x[:, 1:] if x.shape[1] > 1 else x),
    "a table of positions": case(PositionTable, steps=(1, 2, 7, 32)),
    "a missing value is 0": case(lambda: Network(before=torch.nan_to_num), with_missing),
    "a missing value is written": case(lambda: Network(before=missing_written), with_missing),
    "missing values": case(Network, with_missing),
    "missing values are compared": case(lambda: Network(before=lambda x: torch.where(x > 0, x, -x)), with_missing),
    "missing values and limits": case(lambda: Network(before=lambda x: x.clamp(-1, 1)), with_missing),
    "missing values and maxima": case(lambda: Network(before=lambda x: torch.maximum(x, x * 0)), with_missing),
    "missing values and ReLU": case(
        lambda: Network(before=torch.relu, pool=lambda h, x: h.max(1).values), with_missing
    ),
    "random numbers": of_numbers(before=lambda x: x + torch.rand_like(x)),
    "random numbers of a seed": of_numbers(before=lambda x: x + torch.randn(C, generator=torch.manual_seed(3))),
    "dropout in every mode": of_numbers(before=lambda x: F.dropout(x, 0.5)),
    "dropout of the LSTM in every mode": case(in_training_mode),
    "a condition on numbers": of_numbers(before=doubled_if_large),
    "a condition on an item": of_numbers(before=doubled_if_item),
    "a condition on a list": of_numbers(before=doubled_if_list),
    "a condition on an error": of_numbers(before=doubled_if_caught),
    "a condition without a branch": of_numbers(before=lambda x: x * (1 + (x.max() > 10))),
    "numbers of NumPy": of_numbers(before=through_numpy),
    "the first row is written": of_numbers(before=first_row_written),
    "the input is written": of_numbers(before=input_written),
    "a function of its own": of_numbers(before=Doubled.apply),
    "numbers as integers": of_numbers(before=lambda x: x.long().to(x.dtype)),
    "numbers are rounded": of_numbers(before=torch.round),
    "signs": of_numbers(before=torch.sign),
    "the batch is read": case(RowOfBatch),
    "mask of numbers": of_numbers(pool=masked_mean_of_numbers),
    "rows in another order": of_numbers(pool=rows_in_another_order),
    "the step of the largest number": of_numbers(pool=largest_step),
    "only positive steps": of_numbers(pool=only_positive_steps),
    "a norm over the batch": case(TrainingNorm, batches=(2, 5)),
    "a carried state": case(CarriedState, batches=(2, 2, 5)),
    "counted calls": case(CountedCalls),
    "a changing buffer": case(ChangingBuffer),
    "a buffer that is written": case(WrittenBuffer),
    "weights and their transpose": case(TransposedWeights),
    "weights that are changed": case(WeightDropped),
    "a hook before the LSTM": case(lambda: with_hook(before=True)),
    "a hook behind the LSTM": case(lambda: with_hook(before=False)),
    "a hook of a layer": case(with_hook_of_head),
    "a forward of the instance": case(with_forward_of_instance),
    "a subclass of the LSTM": case(lambda: Network(lstm=ScaledLSTM)),
    "a subclass with other inputs": case(lambda: Network(lstm=HalvedLSTM)),
    "parametrised weights": case(with_parametrisation),
    "normed weights": case(with_weight_norm),
    "the function of the LSTM": case(FunctionalLSTM),
    "a loop with a branch": case(LoopWithBranch),
    "a loop with a special first step": case(lambda: LoopWithBranch(lambda t, steps: t == 0)),
    "a loop with a special last step": case(lambda: LoopWithBranch(lambda t, steps: t == steps - 1)),
    "a loop of even and odd steps": case(lambda: LoopWithBranch(lambda t, steps: t % 2 == 1)),
    "a loop with a limit": case(lambda: LoopWithBranch(lambda t, steps: False, lambda steps: min(steps, 12))),
    "a loop with numbered steps": case(ScaledByStep),
    "a loop that stops": case(StoppedLoop),
    "gradients are off": case(GradientMode),
    "a flag of training": case(TrainingFlag),
    "outputs that are no tensors": case(SecondOutputOfNone),
    "cut lengths": case(lambda: CutLengths(lambda n: n.clamp(max=5)), LENGTHS),
    "cut lengths of a list": case(lambda: CutLengths(lambda n: [min(length, 5) for length in n.tolist()]), LENGTHS),
    "lengths of other rows": case(lambda: CutLengths(lambda n: n.flip(0)), LENGTHS),
    "pads in the middle": case(lambda: PadsInTheMiddle(unchanged), IDS),
    "no row fills the steps": case(lambda: ShorterThanPadded(unchanged), shorter),
}
