"""Networks of PyTorch and Keras as they are streamed: the predictions of the original for each prefix."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import gatewise as gw
from gatewise.exchange.torch_graph import read_torch
from gatewise.model.model import Model
from gatewise.types import Array
from tests.refusals import assert_refused

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]  # of torch itself
STEPS = 9
VOCAB = 20
SERIES = torch.zeros(2, 6, 3)
IDS = torch.ones(2, 6, dtype=torch.int64)


class Network(nn.Module):
    """Random weights of all sizes, and a dense layer of two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, 3)
        self.lstm = nn.LSTM(3, 5, batch_first=True)
        self.gru = nn.GRU(3, 5, 2, batch_first=True)
        self.both = nn.LSTM(3, 5, batch_first=True, bidirectional=True)
        self.cell = nn.LSTMCell(3, 5)
        self.first = nn.Conv1d(3, 3, 3)
        self.second = nn.Conv1d(3, 3, 2, padding=2, dilation=2)
        self.weight = nn.Linear(5, 1)
        self.dense = nn.Linear(5, 2)
        torch.manual_seed(5)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape) * 0.5)


class LastState(Network):
    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.dense(self.lstm(x)[1][0][-1])
        return out


class GRUStack(Network):
    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.dense(self.gru(x)[0][:, -1])
        return out


class Mean(Network):
    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.dense(self.lstm(x)[0].mean(1))
        return out


class MaskedMean(Network):
    def forward(self, ids: Tensor) -> Tensor:
        mask = (ids != 0).unsqueeze(2).float()
        h = self.lstm(self.embedding(ids))[0]
        out: Tensor = self.dense((h * mask).sum(1) / mask.sum(1).clamp(min=1))
        return out


class CellLoop(Network):
    def forward(self, x: Tensor) -> Tensor:
        h = torch.zeros(len(x), 5)
        c = torch.zeros(len(x), 5)
        for t in range(x.shape[1]):
            h, c = self.cell(x[:, t], (h, c))
        out: Tensor = self.dense(h)
        return out


class CausalConvolutions(Network):
    """One with pads in front, and one whose output is cut off."""

    def forward(self, x: Tensor) -> Tensor:
        read = torch.relu(self.first(nn.functional.pad(x.transpose(1, 2), (2, 0))))
        read = torch.relu(self.second(read)[:, :, :-2])
        out: Tensor = self.dense(self.lstm(read.transpose(1, 2))[1][0][-1])
        return out


class EachStep(Network):
    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.dense(torch.tanh(self.lstm(x)[0]))
        return out


class Packed(Network):
    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        x = nn.utils.rnn.pack_padded_sequence(self.embedding(ids), lengths, batch_first=True, enforce_sorted=False)
        h, _ = nn.utils.rnn.pad_packed_sequence(self.gru(x)[0], batch_first=True)
        out: Tensor = self.dense(h[torch.arange(len(ids)), lengths - 1] + h.sum(1) / lengths.unsqueeze(1))
        return out


class Bidirectional(Network):
    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.dense(self.both(x)[0][:, -1, :5])
        return out


class Attention(Network):
    def forward(self, x: Tensor) -> Tensor:
        h = self.lstm(x)[0]
        out: Tensor = self.dense((torch.softmax(self.weight(h), 1) * h).sum(1))
        return out


@pytest.mark.parametrize(
    ("network", "example"),
    [
        (LastState, SERIES),
        (GRUStack, SERIES),
        (Mean, SERIES),
        (MaskedMean, IDS),
        pytest.param(CellLoop, SERIES, marks=pytest.mark.slow),  # it is exported for several lengths
        (CausalConvolutions, SERIES),
        (EachStep, SERIES),
        (Packed, (IDS, torch.tensor([6, 4]))),
    ],
)
def test_a_module_is_streamed(network: type[Network], example: Any) -> None:
    module = network().eval()
    per_step = network is EachStep
    lengths = "lengths" if network is Packed else ""
    graph = read_torch(module, example).graph
    # A classifier of each step has the two outputs as logits.
    task: Any = "tagging" if per_step else "regression"
    model = Model.of_graph(graph, lengths=lengths, task=task, classes=["a", "b"] if per_step else None)

    def original(x: Array) -> Array:
        arguments = [torch.tensor(x[None])]
        if lengths:
            arguments.append(torch.tensor([len(x)]))
        with torch.no_grad():
            outputs: Array = module(*arguments).numpy()[0].astype(np.float64)
        if per_step:
            return outputs[-1, 1:] - outputs[-1, :1]
        return outputs

    check_stream(model, original)


def check_stream(model: Model, original: Callable[[Array], Array]) -> None:
    """Each prediction of a stream is that of the original, and the prefix logits are the same."""
    rng = np.random.default_rng(6)
    if model.channels:
        x = rng.normal(size=(STEPS, model.channels)).astype(np.float32)
        items: list[Any] = list(x)
        whole: Any = x
    else:
        x = rng.integers(0, VOCAB, STEPS)
        items = [str(token) for token in x]
        whole = " ".join(items)
    stream = model.stream()
    expected = np.stack([original(x[:end]) for end in range(1, STEPS + 1)])
    pushed = []
    for item in items:
        pushed.append(stream.push(item).logits)
        stream = model.stream(stream.state)
    np.testing.assert_allclose(pushed, expected, rtol=0, atol=1e-5)
    example = model.trace(whole)
    assert example.network.is_causal
    np.testing.assert_allclose(example.prefix_logits[1:], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            Bidirectional,
            r"not known to be causal.*both \(test_streams.py:\d+\).*the LSTM reads .* from the last to the first",
        ),
        (Attention, r"not known to be causal.*\(test_streams.py:\d+\).*Softmax over all steps"),
    ],
)
def test_a_module_that_is_not_causal_is_refused_with_its_line(network: type[Network], message: str) -> None:
    model = Model.of_graph(read_torch(network().eval(), SERIES).graph, task="regression")
    assert_refused(message, model.stream)


def keras_networks(layers: Any) -> dict[str, list[Any]]:
    """The layers of each network, without inputs and embedding."""
    return {
        "last state": [layers.LSTM(5), layers.Dense(2)],
        "stack of GRUs": [layers.GRU(5, return_sequences=True), layers.GRU(4, reset_after=False), layers.Dense(2)],
        "mean": [layers.LSTM(5, return_sequences=True), layers.GlobalAveragePooling1D(), layers.Dense(2)],
        "maximum": [layers.SimpleRNN(5, return_sequences=True), layers.GlobalMaxPooling1D(), layers.Dense(2)],
        "cell": [layers.RNN(layers.LSTMCell(5)), layers.Dense(2)],
        "causal convolution": [
            layers.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="relu"),
            layers.LSTM(5),
            layers.Dense(2),
        ],
        "norm": [layers.LayerNormalization(), layers.LSTM(5), layers.BatchNormalization(), layers.Dense(2)],
    }


NAMES = ["last state", "stack of GRUs", "mean", "maximum", "cell", "causal convolution", "norm"]


def keras_model(keras: ModuleType, inputs: list[Any], hidden: list[Any]) -> tuple[Model, Callable[[Array], Array]]:
    """The model of a network with random weights, and what the network computes of one sequence."""
    from gatewise.exchange.keras_graph import read_keras

    network = keras.Sequential([*inputs, *hidden])
    rng = np.random.default_rng(4)
    weights = []
    for weight, array in zip(network.weights, network.get_weights(), strict=True):
        drawn = rng.normal(size=array.shape) * 0.5
        weights.append(np.abs(drawn) if "variance" in weight.name else drawn)
    network.set_weights(weights)
    model = Model.of_graph(read_keras(network).graph, task="regression")

    def original(x: Array) -> Array:
        outputs: Array = keras.ops.convert_to_numpy(network(x[None]))[0].astype(np.float64)
        return outputs

    return model, original


@pytest.mark.parametrize("tokens", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_network_of_keras_is_streamed(keras: ModuleType, name: str, tokens: bool) -> None:
    """Masked steps are left out where tokens are 0, and poolings count the others."""
    layers = keras.layers
    inputs = [keras.Input((None, 3))]
    if tokens:
        inputs = [keras.Input((None,), dtype="int32"), layers.Embedding(VOCAB, 3, mask_zero="conv" not in name)]
    model, original = keras_model(keras, inputs, keras_networks(layers)[name])
    check_stream(model, original)


def test_a_network_that_pads_its_texts_is_streamed_from_the_state_after_the_pads(keras: ModuleType) -> None:
    """Opened with its words, and padded in front to the length that it has."""
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((90,), dtype="int32"),
            layers.Embedding(VOCAB, 4),
            layers.GRU(5, return_sequences=True),
            layers.GlobalAveragePooling1D(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    rng = np.random.default_rng(4)
    network.set_weights([rng.normal(size=array.shape) * 0.4 for array in network.get_weights()])
    words = {f"word{number}": number for number in range(1, VOCAB)}
    model = gw.from_keras(network, word_index=words, classes=["no", "yes"])
    ids = rng.integers(1, VOCAB, 25)
    stream = model.stream()
    for end in range(1, 26):
        pushed = stream.push(f"word{ids[end - 1]}")
        padded = np.concatenate([np.zeros(90 - end, np.int64), ids[:end]])[None]
        expected = keras.ops.convert_to_numpy(network(padded))[0, 0]
        np.testing.assert_allclose(pushed.probabilities[1], expected, rtol=0, atol=1e-6)


def test_a_network_of_keras_that_is_not_causal_is_refused_with_its_layer(keras: ModuleType) -> None:
    layers = keras.layers
    inputs = [keras.Input((None, 3))]
    model, _ = keras_model(keras, inputs, [layers.Bidirectional(layers.GRU(5), name="both_ways"), layers.Dense(2)])
    assert_refused("not known to be causal.*both_ways.*the GRU reads .* to the first", model.stream)
    model, _ = keras_model(keras, inputs, [layers.Conv1D(4, 3, padding="same", name="same"), layers.LSTM(5)])
    assert_refused("not known to be causal.*same.*reads up to 1 steps ahead", model.stream)
