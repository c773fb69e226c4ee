"""PyTorch modules that do something else for inputs which few random ones show: they are computed or refused."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

import gatewise as gw
from gatewise.exchange.proof import prove
from gatewise.exchange.torch_graph import read_torch
from gatewise.model.arrays_preprocessor import ArraysPreprocessor
from gatewise.model.series_preprocessor import SeriesPreprocessor
from tests.refusals import assert_refused

V = 40
SERIES = torch.zeros(2, 50, 3)
IDS = torch.zeros(2, 7, dtype=torch.int64)


def same(x: Any) -> Any:
    return x


class Network(nn.Module):
    """before: of the inputs. pool: of the outputs of all steps and the inputs. after: of the outputs."""

    def __init__(
        self,
        before: Callable[[Any], Any] = same,
        pool: Callable[[Any, Any], Any] = lambda h, x: h[:, -1],
        after: Callable[[Any], Any] = same,
        vocab_size: int = 0,
    ) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.embedding = nn.Embedding(vocab_size, 3) if vocab_size else nn.Identity()
        self.lstm, self.head = nn.LSTM(3, 6, batch_first=True), nn.Linear(6, 2)
        self.before, self.pool, self.after = before, pool, after

    def forward(self, x: Tensor) -> Tensor:
        h = self.lstm(self.embedding(self.before(x)))[0]
        return self.after(self.head(self.pool(h, x)))  # type: ignore[no-any-return]


def written(x: Tensor, where: Tensor, value: float) -> Tensor:
    x = x.clone()
    x[where] = value
    return x


def overwritten(x: Tensor) -> Tensor:
    x = x.clone()
    x[0] = 0
    return x


def masked_mean(h: Tensor, ids: Tensor) -> Tensor:
    mask = (ids != 0).unsqueeze(-1).float()
    return (h * mask).sum(1) / mask.sum(1)


def outputs_of(network: nn.Module, *inputs: Tensor) -> Any:
    """In float64, rounded at the end alone."""
    copied = copy.deepcopy(network).double().eval()
    doubles = [tensor.double() if tensor.is_floating_point() else tensor for tensor in inputs]
    with torch.no_grad():
        return copied(*doubles).numpy()


def series_of(steps: int, batch: int = 5, seed: int = 0) -> Tensor:
    """Random series with numbers of several sizes."""
    rng = np.random.default_rng([steps, seed])
    numbers = rng.standard_normal((batch, steps, 3)) * rng.choice([0.1, 1.0, 12.0], (batch, 1, 1))
    return torch.from_numpy(numbers.astype(np.float32))


TEN = torch.tensor(10.0)


@pytest.mark.usefixtures("short_comparison")
@pytest.mark.parametrize(
    "options",
    [
        {"before": lambda x: x[:, :50]},  # also the length of the example
        {"before": lambda x: x[:, :2500]},
        {"pool": lambda h, x: h[:, -32:].mean(1)},
        {"before": lambda x: torch.where(x > 10, 0.0, x)},
        {"before": lambda x: x.masked_fill(x < -10, 0.0)},
        {"before": lambda x: x * (x <= 10)},
        {"before": lambda x: torch.max(x, -TEN)},
        {"before": lambda x: torch.minimum(x, TEN)},
        {"before": lambda x: x.clamp(-10, 10)},
        {"after": nn.Hardtanh(-0.1, 0.1)},
        {"before": lambda x: written(x, x != x, 0.0)},
        {"before": lambda x: x.long().to(x.dtype)},
        {"pool": lambda h, x: h.masked_fill(torch.arange(h.shape[1])[:, None] < 0, -0.9)[:, -1]},
    ],
)
def test_what_acts_for_some_numbers_or_lengths_is_computed(options: dict[str, Any]) -> None:
    network = Network(**options)
    model = gw.from_torch(network, SERIES)
    for steps in (1, 2, 31, 49, 50, 51, 120):
        x = series_of(steps)
        np.testing.assert_allclose(model.logits(x.numpy()), outputs_of(network, x), rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("short_comparison")
def test_the_other_side_of_a_condition_on_the_length_is_refused() -> None:
    for most in (64, 2_500):
        network = Network(before=lambda x, most=most: x * 2 if x.shape[1] > most else x)  # type: ignore[misc]
        model = gw.from_torch(network, SERIES)
        x = series_of(most)
        np.testing.assert_allclose(model.logits(x.numpy()), outputs_of(network, x), rtol=1e-5, atol=1e-5)
        assert_refused(rf"{most + 1:,}|{most + 1}", model.logits, series_of(most + 1).numpy())


@pytest.mark.usefixtures("short_comparison")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"before": overwritten}, "depends on the other sequences of the batch"),
        ({"before": lambda x: x - 0.1 * x.mean(0, keepdim=True)}, "depends on the other sequences of the batch"),
        ({"pool": lambda h, x: h[:, -1].flip(0)}, "depends on the other sequences of the batch"),
        ({"before": lambda x: x * 2 if len(x) == 1 else x}, "for 1 sequence the network computes something else"),
        ({"before": lambda x: x * 2 if len(x) == 33 else x}, "for 33 sequences the network computes something else"),
        ({"pool": lambda h, x: h.mean(1) if len(h) > 200 else h[:, -1]}, "for 201 sequences the network computes"),
    ],
)
def test_what_depends_on_the_batch_is_refused(options: dict[str, Any], message: str) -> None:
    """A model predicts each sequence alone."""
    assert_refused(message, gw.from_torch, Network(**options), SERIES)


ITEM = "a number of a tensor decides what is computed: compute with the tensor itself, such as torch.where"
NUMPY = "NumPy computes with its numbers: compute with tensors, such as torch.clamp"


@pytest.mark.parametrize(
    ("before", "message"),
    [
        (lambda x: x * 2 if x.max() > 10 else x, ITEM),
        (lambda x: x * 2 if x.max().item() > 10 else x, ITEM),
        (lambda x: x * 2 if float(x.max()) > 10 else x, ITEM),
        (lambda x: x * 2 if x.numpy().max() > 10 else x, NUMPY),
        (lambda x: x * 2 if np.asarray(x).max() > 10 else x, NUMPY),
        (lambda x: x * 2 if x.tolist()[0][0][0] > 10 else x, ITEM),
    ],
)
def test_numbers_that_leave_torch_are_refused(before: Any, message: str) -> None:
    assert_refused(rf"test_hostile_modules.py:\d+ .*{message}", gw.from_torch, Network(before=before), SERIES)


@pytest.mark.usefixtures("short_comparison")
@pytest.mark.parametrize("vocab_size", [V, 1_000])
def test_what_acts_for_some_ids_is_computed(vocab_size: int) -> None:
    rng = np.random.default_rng(vocab_size)
    for options in (
        {"before": lambda x: torch.where(x == 7, 1, x)},
        {"before": lambda x: written(x, x == 7, 1)},
        {"pool": masked_mean},
        {"before": lambda x: x * x.bool()},
        {"before": lambda x: x.clamp(max=vocab_size - 2)},
    ):
        network = Network(vocab_size=vocab_size, **options)  # type: ignore[arg-type]
        model = gw.from_torch(network, IDS)
        every = rng.permutation(np.resize(np.arange(vocab_size), (-(-vocab_size // 8), 8)))
        every[:, 0] = rng.integers(1, vocab_size, len(every))  # no sequence has id 0 alone
        wanted = outputs_of(network, torch.from_numpy(every))
        np.testing.assert_allclose(model.logits(every.tolist()), wanted, rtol=1e-5, atol=1e-5)


def test_each_id_is_compared() -> None:
    """Of 20,000 ids, one with another row in the table is found."""
    network = read_torch(Network(vocab_size=20_000), IDS)
    constants = dict(network.graph.constants)
    [table] = [name for name, array in constants.items() if array.shape == (20_000, 3)]
    constants[table] = constants[table].copy()
    constants[table][7] += 0.5
    changed = replace(network, graph=replace(network.graph, constants=constants))
    assert_refused("for each id", prove, changed)


class Packed(nn.Module):
    """counts: of the lengths."""

    def __init__(self, batch_first: bool = True, counts: Callable[[Tensor], Any] = same) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.embedding, self.lstm = nn.Embedding(V, 5), nn.LSTM(5, 6, batch_first=batch_first)
        self.head, self.counts, self.batch_first = nn.Linear(6, 2), counts, batch_first

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        x = self.embedding(ids)
        packed = pack_padded_sequence(x, self.counts(lengths), batch_first=self.batch_first, enforce_sorted=False)
        return self.head(self.lstm(packed)[1][0][-1])  # type: ignore[no-any-return]


@pytest.mark.usefixtures("short_comparison")
@pytest.mark.parametrize(
    "counts",
    [
        lambda n: n.clamp(max=50),
        lambda n: n.clamp(max=4),
        lambda n: torch.minimum(n, torch.tensor(5_000)),
        lambda n: n.clamp(min=1),
        lambda n: n.tolist(),
    ],
)
def test_cut_lengths_are_computed(counts: Any) -> None:
    network = Packed(counts=counts)
    model = gw.from_torch(network, (IDS, torch.tensor([7, 7])))
    rng = np.random.default_rng(8)
    for longest in (1, 3, 9, 80):
        lengths = rng.integers(1, longest + 1, 6)
        lengths[2] = longest
        ids = rng.integers(1, V, (6, longest))
        wanted = outputs_of(network, torch.from_numpy(ids), torch.from_numpy(lengths))
        if isinstance(model.preprocessor, ArraysPreprocessor):  # the graph has the lengths as an input
            found = model.logits([{"ids": row, "lengths": length} for row, length in zip(ids, lengths, strict=True)])
        else:
            found = model.logits([row[:length].tolist() for row, length in zip(ids, lengths, strict=True)])
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_lengths_that_python_cuts_are_refused() -> None:
    network = Packed(counts=lambda n: [min(length, 500) for length in n.tolist()])
    message = r"test_hostile_modules.py:\d+ .*the numbers of a tensor decide what is computed: .*without tolist\(\)"
    assert_refused(message, gw.from_torch, network, (IDS, torch.tensor([7, 7])))


def test_ids_with_the_time_first_and_lengths() -> None:
    network = Packed(batch_first=False)
    model = gw.from_torch(network, (IDS.T, torch.tensor([7, 7])))
    with torch.no_grad():
        wanted = network(torch.tensor([[3, 5], [4, 6], [9, 0]]), torch.tensor([3, 2])).numpy()
    np.testing.assert_allclose(model.logits([[3, 4, 9], [5, 6]]), wanted, rtol=0, atol=1e-5)


def test_a_required_hidden_state_is_named() -> None:
    class Stateful(Network):
        def forward(self, x: Tensor, state: Any) -> Any:  # type: ignore[override]
            h, state = self.lstm(x, state)
            return self.head(h[:, -1]), state

    state = torch.zeros(1, 2, 6)
    for example, message in (
        (SERIES, "missing a required argument: 'state'; give all its arguments, as a tuple or as a dict"),
        ((SERIES, state, state), "too many positional arguments; give all its arguments"),
        ((SERIES, state), r"test_hostile_modules.py:\d+ \(h, state = self.lstm\(x, state\)\)"),
    ):
        assert_refused(message, gw.from_torch, Stateful(), example)
    network = Stateful()
    model = gw.from_torch(network, {"x": SERIES, "state": (state, state)})
    x, h, c = series_of(9), torch.randn(1, 5, 6), torch.randn(1, 5, 6)
    with torch.no_grad():
        wanted, _ = network(x, (h, c))
    found = model.predict_outputs({"x": x.numpy(), "state_0": h.numpy(), "state_1": c.numpy()})
    np.testing.assert_allclose(next(iter(found.values())), wanted.numpy(), rtol=1e-5, atol=1e-5)


def test_an_error_of_the_code_of_a_module_is_one_line() -> None:
    def divided(h: Tensor, x: Tensor) -> Tensor:
        return h[:, -1] * (1 / (len(x) - len(x)))

    message = r"test_hostile_modules.py:\d+ \(return h.*\): ZeroDivisionError: division by zero"
    assert_refused(message, gw.from_torch, Network(pool=divided), SERIES)


def test_modules_whose_code_or_weights_are_not_fixed() -> None:
    network = Network()
    with pytest.warns(DeprecationWarning, match="jit"):
        network.before = torch.jit.script(nn.Sequential(nn.Identity()))
    assert_refused(r"before.* \(ScriptModule\): its code is not read", gw.from_torch, network, SERIES)
    network = Network(vocab_size=V)
    network.embedding = nn.Embedding(V, 3, max_norm=0.5)
    assert_refused("max_norm changes its weights", gw.from_torch, network, IDS)


def test_large_numbers_and_long_series_are_those_of_the_module() -> None:
    def pool(h: Tensor, x: Tensor) -> Tensor:
        return h[:, : x.shape[1]].mean(1) + x.new_zeros(1)

    network = Network(pool=pool)
    model, rng = gw.from_torch(network, SERIES), np.random.default_rng(5)
    for steps, scale in ((1_500, 1.0), (20, 300.0)):
        x = (scale * rng.standard_normal((3, steps, 3))).astype(np.float32)
        with torch.no_grad():
            wanted = network(torch.from_numpy(x)).numpy()
        np.testing.assert_allclose(model.logits(x), wanted, rtol=0, atol=5e-5)


def test_a_missing_value_is_refused_because_the_network_has_no_rule(tmp_path: Any) -> None:
    model = gw.from_torch(Network(), SERIES)
    series = np.random.default_rng(6).standard_normal((5, 3))
    series[3, 1] = np.nan
    model.save(tmp_path / "model")
    for loaded in (model, gw.load(tmp_path / "model")):
        for call in (loaded.predict, loaded.logits):
            assert_refused("step 4, channel 2: a value is missing, for which the imported", call, [series])
    assert np.isfinite(SeriesPreprocessor((0.0,) * 3, (1.0,) * 3).encoded(series).steps).all(), "of a trained model"
