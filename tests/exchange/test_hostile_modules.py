"""PyTorch modules that do something else for inputs which few random ones show: they are refused by name."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

import gatewise as gw
from gatewise.exchange import convert
from gatewise.exchange.comparison import compare
from gatewise.model.series_preprocessor import SeriesPreprocessor
from gatewise.nn.operations import TorchSource
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


BOUND = r"\(getitem, operation \d\): \[:, {}\] has a constant bound of the steps; cut the sequences"
COMPARES = r"\({}, operation \d\): it compares numbers"
LIMITS = r"\({}, operation \d\): it limits numbers"
VALUES = r"\({}, operation \d\): it makes Python values of the numbers"
TEN = torch.tensor(10.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"before": lambda x: x[:, :50]}, BOUND.format(":50")),  # also the length of the example
        ({"before": lambda x: x[:, :2500]}, BOUND.format(":2500")),
        ({"pool": lambda h, x: h[:, -32:].mean(1)}, BOUND.format("-32:")),
        ({"before": lambda x: x[:, 1:] if x.shape[1] > 1 else x}, r"between them: \[:, 1:\]"),
        ({"before": lambda x: torch.where(x > 10, 0.0, x)}, COMPARES.format("gt")),
        ({"before": lambda x: x.masked_fill(x < -10, 0.0)}, COMPARES.format("lt")),
        ({"before": lambda x: x * (x <= 10)}, COMPARES.format("le")),
        ({"before": lambda x: torch.max(x, -TEN)}, LIMITS.format("max")),
        ({"before": lambda x: torch.minimum(x, TEN)}, LIMITS.format("minimum")),
        ({"before": lambda x: x.clamp(-10, 10)}, LIMITS.format("clamp")),
        ({"after": nn.Hardtanh(-10, 10)}, LIMITS.format("Hardtanh")),
        ({"before": lambda x: torch.nan_to_num(x)}, LIMITS.format("nan_to_num")),
        ({"before": lambda x: written(x, x != x, 0.0)}, COMPARES.format("ne")),
        ({"before": overwritten}, r"\(setitem, operation 1\): it writes into a tensor; compute"),
        ({"before": lambda x: x * 2 if x.max() > 10 else x}, COMPARES.format("gt")),
        ({"before": lambda x: x * 2 if x.max().item() > 10 else x}, VALUES.format("item")),
        ({"before": lambda x: x * 2 if float(x.max()) > 10 else x}, VALUES.format("float")),
        ({"before": lambda x: x * 2 if x.numpy().max() > 10 else x}, VALUES.format("numpy")),
        ({"before": lambda x: x * 2 if np.asarray(x).max() > 10 else x}, VALUES.format("array")),
        ({"before": lambda x: x * 2 if x.tolist()[0][0][0] > 10 else x}, VALUES.format("tolist")),
        ({"before": lambda x: x.long().float()}, r"\(long, operation 1\): it rounds numbers"),
        ({"before": lambda x: x * 2 if x.shape[1] > 64 else x}, r"for random inputs, 1 sequence of \d+ steps, .*: mul"),
        ({"before": lambda x: x * 2 if len(x) == 1 else x}, "does not read the inputs as they are; between them: mul"),
        ({"pool": lambda h, x: h.mean(1) if len(h) > 200 else h[:, -1]}, "for random inputs, 257 sequences of 6 steps"),
        ({"pool": lambda h, x: h.masked_fill(torch.arange(h.shape[1])[:, None] < 0, -0.9)[:, -1]}, "with -0.9; fill"),
    ],
)  # fmt: skip
def test_what_acts_for_some_numbers_or_lengths_is_refused(options: dict[str, Any], message: str) -> None:
    assert_refused(message, gw.from_torch, Network(**options), SERIES)


@pytest.mark.parametrize("vocab_size", [V, 1_000, 20_000])
def test_what_acts_for_some_ids_is_refused(vocab_size: int) -> None:
    """A vocabulary of 20,000 hides the id 0 from 16,000 random ids."""
    for options, message in (
        ({"before": lambda x: torch.where(x == 7, 1, x)}, COMPARES.format("eq")),
        ({"before": lambda x: written(x, x == 7, 1)}, COMPARES.format("eq")),
        ({"pool": masked_mean}, COMPARES.format("ne")),
        ({"before": lambda x: x * x.bool()}, COMPARES.format("bool")),
        ({"before": lambda x: x.clamp(max=vocab_size - 2)}, LIMITS.format("clamp")),
    ):
        assert_refused(message, gw.from_torch, Network(vocab_size=vocab_size, **options), IDS)  # type: ignore[arg-type]


def test_each_id_is_compared() -> None:
    """Of 200,000 ids, one with another row in the table is found."""
    source = TorchSource(Network(vocab_size=200_000), IDS)
    found = convert._read(source)
    for parameters in (found.parameters, found.exact):
        parameters["embedding.weight"] = parameters["embedding.weight"].copy()
        parameters["embedding.weight"][7] += 0.5
    assert_refused("for each token id, 3,000 sequences of 2 steps, an output", compare, source, found, found.arch)


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


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (lambda n: n.clamp(max=50), r"\(clamp, operation 2\): it limits the lengths; cut the sequences"),
        (lambda n: torch.minimum(n, torch.tensor(5_000)), r"\(minimum, operation 2\): it limits the lengths"),
        (lambda n: [min(one, 500) for one in n.tolist()], r"for random inputs, . sequences? of .* steps, an output"),
    ],
)
def test_cut_lengths_are_refused(counts: Any, message: str) -> None:
    assert_refused(message, gw.from_torch, Packed(counts=counts), (IDS, torch.tensor([7, 7])))


def test_lengths_may_have_a_least_value_and_leave_torch() -> None:
    for counts in (lambda n: n.clamp(min=1), lambda n: n.tolist()):
        gw.from_torch(Packed(counts=counts), (IDS, torch.tensor([7, 7])))


def test_ids_with_the_time_first_and_lengths() -> None:
    network = Packed(batch_first=False)
    model = gw.from_torch(network, (IDS.T, torch.tensor([7, 7])))
    with torch.no_grad():
        wanted = network(torch.tensor([[3, 5], [4, 6], [9, 0]]), torch.tensor([3, 2])).numpy()
    np.testing.assert_allclose(model.logits([[3, 4, 9], [5, 6]]), wanted, rtol=0, atol=1e-5)
    assert_refused(
        "it limits the lengths", gw.from_torch, Packed(False, lambda n: n.clamp(max=9)), (IDS.T, torch.tensor([7, 7]))
    )


def test_a_required_hidden_state_is_named() -> None:
    class Stateful(Network):
        def forward(self, x: Tensor, state: Any) -> Any:  # type: ignore[override]
            h, state = self.lstm(x, state)
            return self.head(h[:, -1]), state

    state = torch.zeros(1, 2, 6)
    wrap = "wrap the module in one whose forward makes the other arguments, such as a hidden state of zeros"
    for example in (SERIES, (SERIES, (state, state)), (SERIES, state), (SERIES, state, state)):
        assert_refused(wrap, gw.from_torch, Stateful(), example)


def test_an_error_of_the_code_of_a_module_is_one_line() -> None:
    def divided(h: Tensor, x: Tensor) -> Tensor:
        return h[:, -1] * (1 / (len(x) - len(x)))

    assert_refused(
        "the module cannot be called with arrays .*division by zero", gw.from_torch, Network(pool=divided), SERIES
    )


def test_modules_whose_code_or_weights_are_not_fixed() -> None:
    network = Network()
    with pytest.warns(DeprecationWarning, match="jit"):
        network.before = torch.jit.script(nn.Sequential(nn.Identity()))
    assert_refused(r"\(ScriptModule, operation 1\): its code is not read", gw.from_torch, network, SERIES)
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


def test_padded_steps_in_every_place_are_compared() -> None:
    """The network reads the steps with id 0; a network with a mask, which gatewise takes it for, does not."""
    source = TorchSource(Network(vocab_size=V), IDS)
    found = convert._read(source)
    source.pad = 0
    assert_refused("for padded steps in front, 20 sequences of 24 steps, an output", compare, source, found, found.arch)
