"""Modules of PyTorch as graphs: each value that both compute is equal in float64, for every size of the inputs."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import InputError
from gatewise.network.operation import Execution

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn.utils.rnn import (  # noqa: E402
    PackedSequence,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
)

from gatewise.exchange.torch_graph import read_torch  # noqa: E402
from gatewise.exchange.torch_network import TorchNetwork  # noqa: E402
from gatewise.nn import LSTM  # noqa: E402

V, D, H = 17, 5, 6


def made(module: Any, seed: int = 3) -> Any:
    """The module with random weights, statistics of norms included."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if tensor.is_floating_point():
            values = torch.randn(tensor.shape, generator=generator) * 0.5
            tensor.data.copy_(values.abs() + 0.5 if name.endswith("running_var") else values)
    return module


def check(network: TorchNetwork, *sizes: Mapping[str, int]) -> None:
    """Each compared value of the graph is that of the original, for an example of these sizes."""
    for chosen in sizes or ({},):
        assert set(chosen) <= set(network.graph.symbols)
        inputs = network.example_inputs({**network.example_sizes(), **chosen})
        wanted = network.original_values(inputs, network.compared, "float64")
        execution = Execution(dtype=np.float64, keep=False)
        computed = network.graph.run(inputs, values=network.compared, execution=execution)
        for name in network.compared:
            assert computed[name].shape == wanted[name].shape, name
            np.testing.assert_allclose(computed[name], wanted[name], rtol=1e-9, atol=1e-11, err_msg=name)


ids = torch.randint(1, V, (3, 7), generator=torch.Generator().manual_seed(1))
series = torch.randn(3, 7, D, generator=torch.Generator().manual_seed(2))
SIZES: Sequence[Mapping[str, int]] = ({}, {"B": 1, "T": 1}, {"B": 1}, {"T": 1}, {"B": 5, "T": 23})


class Text(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(V, D, padding_idx=0)
        self.lstm = nn.LSTM(D, H, 2, batch_first=True, bidirectional=True, dropout=0.5)
        self.head = nn.Linear(2 * H, 3)

    def forward(self, x: Any) -> Any:
        h, (h_n, c_n) = self.lstm(self.embedding(x))
        h = h.masked_fill(~(x != 0).unsqueeze(-1), -1e9)
        weights = torch.softmax(h.sum(-1), 1)
        return self.head(torch.einsum("bt,bth->bh", weights, h)), h_n, c_n


class Layer(nn.Module):
    """One recurrent layer, all of whose outputs are returned."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Any, hx: Any = None) -> Any:
        return self.layer(x, hx)


def state(*shape: int) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(4))


def test_a_classifier_of_texts() -> None:
    network = read_torch(made(Text()), ids)
    assert {name: str(value) for name, value in network.graph.inputs.items()} == {"x": "int64 (B, T)"}
    assert network.graph.outputs == ("output", "output_1", "output_2")
    assert not network.graph.guards
    recurrent = [node for node in network.graph.nodes if node.operation.name() == "Recurrent"]
    assert [node.inputs[1] for node in recurrent[:2]] == ["lstm.weight_ih_l0", "lstm.weight_ih_l0_reverse"]
    assert recurrent[0].origin.startswith("lstm (test_torch_graph.py:")
    check(network, *SIZES)


@pytest.mark.parametrize(
    ("layer", "example"),
    [
        (nn.LSTM(D, H), series),
        (nn.LSTM(D, H, 2, bidirectional=True), (series, (state(4, 7, H), state(4, 7, H)))),
        (nn.LSTM(D, H, 2, batch_first=True, proj_size=4), series),
        (nn.LSTM(D, H, proj_size=4, bidirectional=True), (series, (state(2, 7, 4), state(2, 7, H)))),
        (nn.LSTM(D, H, bias=False), series[0]),
        (nn.LSTM(D, H, 2, batch_first=True), (series[0], (state(2, H), state(2, H)))),
        (nn.GRU(D, H, 3, bidirectional=True, batch_first=True), (series, state(6, 3, H))),
        (nn.GRU(D, H), series[0]),
        (nn.RNN(D, H, 2, nonlinearity="relu"), series),
        (nn.RNN(D, H, bidirectional=True, batch_first=True), (series, state(2, 3, H))),
        (nn.LSTMCell(D, H), (series[:, 0], (state(3, H), state(3, H)))),
        (nn.LSTMCell(D, H), series[0, 0]),
        (nn.GRUCell(D, H), series[:, 0]),
        (nn.RNNCell(D, H, nonlinearity="relu"), (series[:, 0], state(3, H))),
        (LSTM(D, H, 2, bidirectional=True), series),
    ],
    ids=lambda value: str(value) if isinstance(value, nn.Module) else "states" if isinstance(value, tuple) else "",
)
def test_recurrent_layers(layer: nn.Module, example: Any) -> None:
    network = read_torch(made(Layer(layer)), example)
    check(network)
    for name in network.graph.symbols:
        check(network, {name: 1}, {name: 9})


class Packed(nn.Module):
    def __init__(self, layer: Any, enforce_sorted: bool, total: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(V, D)
        self.layer = layer
        self.enforce_sorted = enforce_sorted
        self.total = total
        self.head = nn.Linear(2 * H, 3)

    def forward(self, x: Any, lengths: Any) -> Any:
        first = self.layer.batch_first
        packed = pack_padded_sequence(self.embedding(x), lengths.cpu(), first, self.enforce_sorted)
        packed = PackedSequence(torch.tanh(packed.data), *packed[1:])
        out, last = self.layer(packed)
        last = last[0] if isinstance(last, tuple) else last
        total = x.shape[1 if first else 0] if self.total else None
        out, back = pad_packed_sequence(out, first, padding_value=-1.5, total_length=total)
        return {"steps": self.head(out), "last": torch.cat((last[-2], last[-1]), 1), "lengths": back}


@pytest.mark.parametrize("enforce_sorted", [True, False])
@pytest.mark.parametrize("total", [True, False])
@pytest.mark.parametrize(
    "layer",
    [
        nn.LSTM(D, H, 2, batch_first=True, bidirectional=True),
        nn.GRU(D, H, bidirectional=True),
        LSTM(D, H, bidirectional=True, batch_first=True),
    ],
    ids=["LSTM", "GRU", "gatewise"],
)
def test_packed_sequences(layer: Any, total: bool, enforce_sorted: bool) -> None:
    network = read_torch(
        made(Packed(layer, enforce_sorted, total)), (ids if layer.batch_first else ids.T, torch.tensor([7, 4, 2]))
    )
    check(network, *SIZES)
    if not total:
        short = network.example_inputs(network.example_sizes())
        short["lengths"] = np.array([5, 5, 1])
        with pytest.raises(InputError, match="cut the sequences to the longest length"):
            network.graph.run(short)


class OfIds(nn.Module):
    """Lengths that the module counts itself."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(V, D)
        self.lstm = nn.LSTM(D, H, batch_first=True)

    def forward(self, x: Any) -> Any:
        lengths = (x != 0).sum(1)
        _, (h, _) = self.lstm(pack_padded_sequence(self.embedding(x), lengths, True, enforce_sorted=False))
        return h[-1]


def test_lengths_that_are_counted() -> None:
    padded = ids.clone()
    padded[1, 4:] = 0
    padded[2, 1:] = 0
    check(read_torch(made(OfIds()), padded), *SIZES)


class AcrossRows(OfIds):
    def forward(self, x: Any) -> Any:
        packed = pack_padded_sequence(self.embedding(x), (x != 0).sum(1), True, enforce_sorted=False)
        return packed.data.sum(0)


class BatchSizes(OfIds):
    def forward(self, x: Any) -> Any:
        packed = pack_padded_sequence(self.embedding(x), (x != 0).sum(1), True, enforce_sorted=False)
        return packed.batch_sizes + 1


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (AcrossRows, "sum may read the data of a PackedSequence across its rows"),
        (BatchSizes, "it computes with the batch_sizes of a"),
    ],
)
def test_what_depends_on_the_packed_form_is_refused(module: Any, reason: str) -> None:
    with pytest.raises(InputError, match=rf"test_torch_graph.py:\d+: {reason}"):
        read_torch(module(), ids)


class Convolutions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(D, 4, 3, padding=1, stride=2)
        self.batch = nn.BatchNorm1d(4)
        self.layer = nn.LayerNorm(4)
        self.group = nn.GroupNorm(2, 4)
        self.prelu = nn.PReLU(4)
        self.pool = nn.MaxPool1d(2, ceil_mode=True)
        self.register_buffer("scale", torch.ones(4))

    def forward(self, x: Any) -> Any:
        x = self.prelu(self.batch(self.conv(x.transpose(1, 2))))
        x = F.avg_pool1d(self.group(F.gelu(x)), 2, 1, padding=1)
        x = self.layer(self.pool(x).transpose(1, 2)) * self.scale
        return F.adaptive_avg_pool1d(x.transpose(1, 2), 1).squeeze(-1), x.std(1), F.adaptive_max_pool1d(x, 2)


# The standard deviation of one step, which reading tries, is NaN with a warning.
@pytest.mark.parametrize("warning", ["error", "default"])
def test_convolutions_norms_and_pooling(warning: Any) -> None:
    with warnings.catch_warnings(record=True, action=warning) as caught:
        network = read_torch(made(Convolutions()), state(3, 12, D))
        check(network, {}, {"B": 1, "T": 9}, {"T": 40}, {"T": 1})
    assert not caught
    assert not network.graph.guards


class Branch(nn.Module):
    """Longer series go another way, and more are cut."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(1, H, batch_first=True)

    def forward(self, x: Any) -> Any:
        h, _ = self.lstm(x)
        if x.shape[1] > 12:
            h = h * 2
        return h[:, -5:].mean(1).squeeze()


def test_conditions_on_sizes_are_guards_where_the_graph_differs_beyond() -> None:
    network = read_torch(made(Branch()), state(1, 6, 1))
    assert [str(guard) for guard in network.graph.guards] == ["T <= 12", "B != 1"]
    check(network, {}, {"T": 1}, {"T": 3}, {"T": 12}, {"B": 9, "T": 5})
    longer = read_torch(made(Branch()), state(2, 13, 1))
    assert [str(guard) for guard in longer.graph.guards] == ["12 < T", "B != 1"]
    check(longer, {}, {"T": 70})


class Truncated(Branch):
    def forward(self, x: Any) -> Any:
        if x.shape[1] > 12:
            x = x[:, -12:]
        return self.lstm(x)[0][:, -1]


class Nested(Branch):
    """A condition that is asked for longer series alone."""

    def forward(self, x: Any) -> Any:
        steps = x.shape[1]
        x = x[:, -12:]
        if steps > 12 and steps > 100:
            x = -x
        return self.lstm(x)[0][:, -1]


def test_conditions_beyond_conditions_are_guards() -> None:
    network = read_torch(made(Nested()), state(2, 6, 1))
    assert [str(guard) for guard in network.graph.guards] == ["T <= 100"]
    check(network, {"T": 1}, {"T": 13}, {"T": 100})


def test_a_condition_that_a_slice_covers_is_no_guard() -> None:
    network = read_torch(made(Truncated()), state(2, 13, 1))
    assert not network.graph.guards
    check(network, {"T": 1}, {"T": 12}, {"T": 13}, {"T": 40})


class Loop(nn.Module):
    """A cell in a loop over the steps, time first."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(D, H)
        self.head = nn.Linear(H, 2)

    def forward(self, x: Any) -> Any:
        h, c = torch.zeros(x.size(1), H), torch.zeros(x.size(1), H)
        steps = []
        for step in x:
            h, c = self.cell(step, (h, c))
            steps.append(self.head(h))
        return torch.stack(steps), h


def test_a_loop_over_the_steps() -> None:
    network = read_torch(made(Loop()), series)
    assert not network.notes
    check(network, {}, {"T": 1}, {"B": 1, "T": 2}, {"T": 11})


class Even(Loop):
    """The steps are not alike in a way that a loop has."""

    def forward(self, x: Any) -> Any:
        h = torch.zeros(x.size(1), H)
        for number, step in enumerate(x):
            h = torch.sin(h) if (number * number) % 7 == 2 else self.cell(step, (h, h))[0]
        return h


def test_a_loop_that_is_not_read_keeps_the_number_of_steps() -> None:
    network = read_torch(made(Even()), series.transpose(0, 1))
    assert str(network.graph.inputs["x"]) == "float (7, B, 5)"
    assert "its loop over the steps is not read" in network.notes[0]
    check(network, {"B": 1})


class Sentence(nn.Module):
    """One sentence without a batch, whose number of words Python reads."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(V, D)
        self.lstm = nn.LSTM(D, H)
        self.hidden: Any = None

    def forward(self, words: Any) -> Any:
        self.hidden = (torch.zeros(1, 1, H), torch.zeros(1, 1, H))
        h, self.hidden = self.lstm(self.embedding(words).view(len(words), 1, -1), self.hidden)
        return h.view(len(words), -1)


def test_the_length_of_a_tensor_and_a_state_that_is_reset() -> None:
    module = made(Sentence())
    network = read_torch(module, ids[0])
    assert module.hidden is None
    assert "len" not in globals()
    check(network, {"T": 1}, {"T": 12})


class Attentive(nn.Module):
    """It starts anew in each call, and keeps its state and its weights, for a look at them."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(D, H, batch_first=True)
        self.score = nn.Linear(H, 1)
        self.hidden = self.start(1)

    def start(self, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.zeros(1, batch, H), torch.zeros(1, batch, H)

    def forward(self, x: Any) -> Any:
        self.hidden = self.start(x.size(0))
        h, self.hidden = self.lstm(x, self.hidden)
        self.weights = torch.softmax(self.score(h), dim=1)
        return (self.weights * h).sum(1)


def test_what_a_call_keeps_and_does_not_read_is_no_state() -> None:
    """torch before 2.13 exports no module that assigns tensors to its attributes."""
    module = made(Attentive())
    before = dict(vars(module))
    check(read_torch(module, series), {"B": 1, "T": 9}, {"B": 4, "T": 2})
    assert vars(module) == before


class Carried(Sentence):
    def forward(self, words: Any) -> Any:
        h, self.hidden = self.lstm(self.embedding(words)[:, None], self.hidden)
        return h


def test_a_state_that_is_carried_between_calls_is_refused() -> None:
    message = "its second call returns something else .*, which changes self.hidden: pass the state as an argument"
    with pytest.raises(InputError, match=message):
        read_torch(made(Carried()), ids[0])


class Listed(OfIds):
    """Lengths as a list, and the steps of another length as positions."""

    def __init__(self) -> None:
        super().__init__()
        self.positions = nn.Embedding(30, D)

    def forward(self, x: Any) -> Any:
        lengths = (x != 0).sum(1)
        x = self.embedding(x) + self.positions.weight[: x.shape[1]]
        packed = pack_padded_sequence(x, lengths.tolist(), batch_first=True, enforce_sorted=False)
        h, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        return h.gather(1, (lengths - 1)[:, None, None].expand(-1, 1, H)).squeeze(1), h.unfold(1, 2, 2)


def test_lengths_as_a_list_and_a_table_of_positions() -> None:
    network = read_torch(made(Listed()), ids)
    assert [str(guard) for guard in network.graph.guards] == ["T <= 30", "T != 1"]
    check(network, {"T": 2}, {"B": 1, "T": 30})


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.attention = nn.MultiheadAttention(8, 2)
        self.head = nn.utils.parametrizations.weight_norm(nn.Linear(8, 3))

    def forward(self, x: Any) -> Any:
        x = self.encoder(x)
        return self.head(x), *self.attention(x, x, x)


def test_attention_and_computed_weights() -> None:
    check(read_torch(made(Attention()), state(3, 7, 8)), *SIZES)


class Differences(nn.Module):
    def forward(self, x: Any) -> Any:
        y = x.cos()
        is_large = torch.add(x > 0.3, y > 0.5, alpha=False)
        is_either = torch.add(x > 0.3, y > 0.5)
        return torch.rsub(x, y, alpha=3), 2 - x, x.sub(y, alpha=0.7), is_large, is_either


def test_sums_and_differences_with_a_factor() -> None:
    check(read_torch(Differences(), series), *SIZES)


class Random(nn.Module):
    def forward(self, x: Any) -> Any:
        return x + torch.randn(x.shape[0], 1, 1)


class Dropped(nn.Module):
    def forward(self, x: Any) -> Any:
        return F.dropout(x, 0.5)


class Seeded(nn.Module):
    def forward(self, x: Any) -> Any:
        return x + torch.randn(D, generator=torch.manual_seed(3))


class Bytes(nn.Module):
    def forward(self, x: Any) -> Any:
        return x.to(torch.int8)


class Unregistered(nn.Module):
    """Its list hides a layer from torch."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.Linear(D, 2)
        self.call = lambda x: layer(x)

    def forward(self, x: Any) -> Any:
        return self.call(x)


class OfValues(nn.Module):
    def forward(self, x: Any) -> Any:
        return x if x.sum() > 0 else -x


class Counts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Any) -> Any:
        self.calls += 1
        return x * self.calls


class Numbered(nn.Module):
    number = 0

    def forward(self, x: Any) -> Any:
        self.number += 1
        return x * self.number


class Sorted(nn.Module):
    def forward(self, x: Any) -> Any:
        return x[torch.argsort(x[:, 0, 0])]


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Numbered, r"Numbered: its second call returns something else .* changes self.number: pass the state"),
        (Sorted, r"Sorted, test_torch_graph.py:\d+: sort: .* write torch.sort\(x, stable=True\)"),
        (Seeded, r"Seeded, test_torch_graph.py:\d+.*: it .* random.*: .*"),
        (Bytes, r"Bytes, test_torch_graph.py:\d+: _to_copy: it computes in torch.int8; .*: write long\(\)"),
        (Unregistered, r"Unregistered, test_torch_graph.py:\d+ .* make each module an attribute"),
        (Random, r"Random, test_torch_graph.py:\d+: randn: it is random: pass the initial state as an input"),
        (Dropped, r"Dropped, test_torch_graph.py:\d+: native_dropout: it drops values .* training=self.training"),
        (OfValues, r"OfValues, test_torch_graph.py:\d+ .*: a number of a tensor decides .* torch.where"),
        (Counts, r"Counts, test_torch_graph.py:\d+: add: it changes the buffer 'calls'"),
    ],
)
def test_what_a_graph_cannot_have_is_refused(module: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_torch(module(), series)


def test_reading_leaves_the_module_and_torch_as_they_were() -> None:
    module = made(Text()).train()
    before = dict(vars(module))
    forwards = (nn.LSTM.forward, pack_padded_sequence.__code__)
    for example in (ids, series):
        try:
            read_torch(module, example)
        except InputError:
            assert example is series
    assert module.training
    assert module.lstm.training
    assert vars(module) == before
    assert (nn.LSTM.forward, pack_padded_sequence.__code__) == forwards
    assert isinstance(pack_sequence([series[0], series[1, :2]]), PackedSequence)


class Scaled(nn.Module):
    def forward(self, x: Any) -> Any:
        return torch.ops.gatewise_tests.scaled(x, 1.7)


def test_an_operation_that_is_registered_after_a_network_was_read() -> None:
    check(read_torch(nn.Linear(D, 3), series))
    with torch.library._scoped_library("gatewise_tests", "FRAGMENT") as library:
        library.define("scaled(Tensor x, float by) -> Tensor")
        library.impl("scaled", lambda x, by: torch.tanh(x) * by - x, "CompositeImplicitAutograd")
        check(read_torch(Scaled(), series), *SIZES)


def test_half_precision_is_refused_and_double_read() -> None:
    with pytest.raises(InputError, match=r"call module.float\(\) first"):
        read_torch(Text().half(), ids)
    check(read_torch(made(Text()).double(), ids))


def test_an_older_torch_is_refused_by_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", "2.5.1+cpu")
    with pytest.raises(InputError, match=r"^PyTorch 2\.5\.1\+cpu has no torch\.export .* install 2\.6 or later$"):
        read_torch(nn.LSTM(3, 4, batch_first=True), torch.randn(2, 5, 3))


class AssignedWeight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.lstm.weight_hh_l0.data
        self.lstm.weight_hh_l0.data = weight * 0.5
        h: torch.Tensor = self.lstm(x)[0]
        self.lstm.weight_hh_l0.data = weight
        return h


def test_a_weight_that_is_assigned_in_a_call_is_refused() -> None:
    """torch 2.9 exports it with constants without numbers, and crashes when it decomposes them."""
    with pytest.raises(InputError, match=r"a tensor that it computed to a weight.* keep the weight"):
        read_torch(AssignedWeight(), torch.randn(2, 5, 3))


class PooledSteps(nn.Module):
    """It asks for the number of pooled steps, and computes the same for any."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.MaxPool1d(2)
        self.lstm = nn.LSTM(3, 4, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(x.transpose(1, 2)).transpose(1, 2)
        if x.shape[1] > 1:
            x = x * 1.0
        h: torch.Tensor = self.lstm(x)[0]
        return h[:, -1]


def test_a_condition_that_is_needed_for_one_step_only_refuses_one_step_only() -> None:
    torch.manual_seed(5)
    module = PooledSteps().eval()
    graph = read_torch(module, torch.randn(2, 9, 3)).graph
    for steps in (2, 3, 4, 7):
        x = torch.randn(3, steps, 3)
        with torch.no_grad():
            expected = module(x).numpy()
        computed = graph.run({"x": x.numpy()})[graph.outputs[0]]
        np.testing.assert_allclose(computed, expected, atol=1e-6)
    with pytest.raises(InputError, match="must be another number than 1, and is 1"):
        graph.run({"x": np.ones((3, 1, 3), np.float32)})


class PackedTokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 3)
        self.lstm = nn.LSTM(3, 4, batch_first=True)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        lengths = (ids != 0).sum(1).clamp(min=1)
        packed = pack_padded_sequence(self.embedding(ids), lengths, batch_first=True, enforce_sorted=False)
        h: torch.Tensor = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)[0]
        return h


def test_an_example_without_a_sequence_of_all_steps_is_refused_in_one_line() -> None:
    """torch.fx added its graph and its traceback to the message."""
    example = torch.tensor([[3, 5, 0, 2, 0, 0], [1, 0, 0, 4, 0, 0]])
    with pytest.raises(InputError, match=r"^PackedTokens: no sequence has 6 steps: .* total_length$"):
        read_torch(PackedTokens(), example)


class Spectrogram(nn.Module):
    """A convolution that halves the bands, and an LSTM over the steps, which are the last axis."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, stride=(2, 1), padding=1)
        self.lstm = nn.LSTM(3 * 4, H, batch_first=True)

    def forward(self, x: Any) -> Any:
        z = torch.relu(self.conv(x.unsqueeze(1)))
        batch, channels, bands, steps = z.shape
        return self.lstm(z.permute(0, 3, 1, 2).reshape(batch, steps, channels * bands))[0]


def test_a_spectrogram_has_a_fixed_number_of_bands_and_any_number_of_steps() -> None:
    network = read_torch(made(Spectrogram()), state(2, 8, 11))
    assert [str(size) for size in network.graph.inputs["x"].shape] == ["B", "8", "T"]
    assert not network.notes
    check(network, {}, {"B": 1, "T": 1}, {"T": 40})


class Letters(nn.Module):
    """A tagger of words, with an LSTM over the letters of each."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(V, D)
        self.letters = nn.Embedding(V, 3)
        self.of_word = nn.LSTM(3, 4, batch_first=True)
        self.lstm = nn.LSTM(D + 4, H, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * H, 3)

    def forward(self, words: Any, letters: Any) -> Any:
        batch, steps, length = letters.shape
        _, (h, _) = self.of_word(self.letters(letters.reshape(batch * steps, length)))
        joined = torch.cat([self.words(words), h[0].reshape(batch, steps, 4)], 2)
        return self.head(self.lstm(joined)[0])


@pytest.mark.parametrize("kind", ["any", "fixed"])
def test_a_tagger_that_reads_the_letters_of_each_word(kind: str) -> None:
    letters = torch.randint(0, V, (3, 7, 8), generator=torch.Generator().manual_seed(6))
    module: Any = Letters() if kind == "any" else FixedLetters()
    model = gw.from_torch(made(module), (ids, letters), classes=["O", "B", "I"], task="tagging")
    rows = [{"words": ids[0, :5].numpy(), "letters": letters[0, :5].numpy()}]
    [logits] = list(model.logits(rows))
    expected = module.eval()(ids[:1, :5], letters[:1, :5]).detach().numpy()[0]
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
    assert model.trace(rows[0]).lstms[0].f.shape == (5, H)


class FixedLetters(Letters):
    """Words of eight letters."""

    def forward(self, words: Any, letters: Any) -> Any:
        return super().forward(words, letters.reshape(*words.shape, 8))
