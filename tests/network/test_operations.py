"""Every operation that is recorded, against the same function in torch, float64: values and all gradients to 1e-9."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from gatewise.kernels import LSTMCall, get
from gatewise.network.autograd import RecordingOps, Table, Variable
from gatewise.network.dropout import Dropout
from gatewise.network.language_model import WINDOW, _same_mask_at_every_step, _window
from gatewise.network.ops import array_of
from gatewise.network.sampled import BLOCK, sampled_softmax
from gatewise.training.objective import loss_of
from gatewise.training.training_data import TargetScaling, TrainingData
from gatewise.types import Array, Lengths

CLOSE = 1e-9
LENGTHS: Lengths = np.array([4, 0, 1, 7, 0, 2], dtype=np.int64)
STEPS = int(LENGTHS.sum())
LONG_LENGTHS: Lengths = np.array([150, 0, 1, 140], dtype=np.int64)
H = 3  # units


class Case(NamedTuple):
    """shapes: of the arguments. ours: their variables to results; a float among the results is a loss, whose gradients
    have been added already. theirs: the same in torch. tables: arguments whose gradient is kept by row. optional:
    whether any argument may be an array in place of a variable.
    """

    shapes: Mapping[str, tuple[int, ...]]
    ours: Callable[[RecordingOps, dict[str, Any]], list[Any]]
    theirs: Callable[[dict[str, Tensor]], list[Tensor]]
    dropout: Mapping[str, float] = {}
    tables: frozenset[str] = frozenset()
    optional: bool = True


def rng_of(name: str, what: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(f"{name}, {what}".encode()))


def arrays_of(name: str) -> dict[str, Array]:
    rng = rng_of(name, "arguments")
    return {key: rng.standard_normal(shape) for key, shape in CASES[name].shapes.items()}


def run(
    name: str, variables: Mapping[str, type[Variable]], before: Mapping[str, Array] | None = None
) -> tuple[list[Array], dict[str, Array]]:
    """The results of a case and the gradients of the arguments named, added to those that they have `before`."""
    case = CASES[name]
    arguments: dict[str, Any] = {}
    for key, array in arrays_of(name).items():
        arguments[key] = variables[key](array) if key in variables else array
        if before is not None and key in variables and key not in case.tables:
            arguments[key].accumulate(before[key])
    ops = RecordingOps(get("reference"), dropout=Dropout(case.dropout, rng_of(name, "masks")))
    results = case.ours(ops, arguments)
    upstream = rng_of(name, "upstream")
    for result in results:
        given = upstream.standard_normal(np.shape(array_of(result)))
        if isinstance(result, Variable):
            given.flags.writeable = False
            result.accumulate(given)
    ops.backward()
    return [np.asarray(array_of(result)) for result in results], {
        key: dense(arguments[key]) for key in case.shapes if key in variables
    }


def dense(variable: Variable) -> Array:
    if not isinstance(variable, Table):
        return variable.grad_or_zeros()
    rows, values = variable.row_gradient()
    assert (np.diff(rows) > 0).all()
    whole = np.zeros_like(variable.value)
    whole[rows] = values
    return whole


def wanted(name: str) -> tuple[list[Array], dict[str, Array]]:
    """The same as `run` by torch."""
    arguments = {key: torch.from_numpy(array).requires_grad_() for key, array in arrays_of(name).items()}
    results = CASES[name].theirs(arguments)
    upstream = rng_of(name, "upstream")
    given = [torch.from_numpy(np.asarray(upstream.standard_normal(tuple(result.shape)))) for result in results]
    given = [g if g.dim() else torch.ones_like(g) for g in given]
    torch.autograd.backward(results, given)  # type: ignore[no-untyped-call]
    found = {key: torch.zeros_like(t) if t.grad is None else t.grad for key, t in arguments.items()}
    return [result.detach().numpy() for result in results], {key: grad.numpy() for key, grad in found.items()}


def check(name: str, found: tuple[list[Array], dict[str, Array]], before: Mapping[str, Array] | None = None) -> None:
    """Raise AssertionError where a result or a gradient is not the wanted one to 1e-9 of its largest number."""
    values, gradients = wanted(name)
    assert len(found[0]) == len(values)
    named = [(f"result {n}", *pair) for n, pair in enumerate(zip(found[0], values, strict=True))]
    for key, gradient in found[1].items():
        assert np.abs(gradients[key]).max() > 1e-6, f"the gradient of {key} is zero, which proves nothing"
        more = 0 if before is None or key in CASES[name].tables else before[key]
        named.append((f"gradient of {key}", gradient, gradients[key] + more))
    for what, got, right in named:
        assert got.shape == right.shape, what
        assert got.dtype == np.float64, what
        np.testing.assert_allclose(
            got, right, rtol=0, atol=CLOSE * np.abs(right).max(initial=0), err_msg=f"{name}: {what}"
        )


def kinds(name: str) -> dict[str, type[Variable]]:
    return {key: Table if key in CASES[name].tables else Variable for key in CASES[name].shapes}


def lstm_call(v: Mapping[str, Any], index: Array | None, reverse: bool, suffix: str = "") -> tuple[str, LSTMCall[Any]]:
    pre, weight_hh, h0, c0 = (v[key + suffix] for key in ("pre", "weight_hh", "h0", "c0"))
    return f"one{suffix}", LSTMCall(pre, index, LENGTHS, weight_hh, h0, c0, reverse)


def states_of(ops: RecordingOps, *calls: tuple[str, LSTMCall[Any]]) -> list[Any]:
    """h, c, h_T, c_T of each call."""
    return [state for run in ops.lstms(calls) for state in (run.h, run.c, run.h_T, run.c_T)]


def torch_lstm(v: Mapping[str, Tensor], index: Array | None, reverse: bool, suffix: str = "") -> list[Tensor]:
    """h, c, h_T, c_T of the cell in torch operations, a sequence and a step at a time."""
    pre, weight_hh, h0, c0 = (v[key + suffix] for key in ("pre", "weight_hh", "h0", "c0"))
    h, c = ([torch.zeros(0)] * STEPS for _ in range(2))
    h_T, c_T, start = [], [], 0
    for b, length in enumerate(LENGTHS.tolist()):
        h_b, c_b = h0[b], c0[b]
        for n in reversed(range(start, start + length)) if reverse else range(start, start + length):
            gates = pre[n if index is None else int(index[n])] + weight_hh @ h_b
            i, f, g, o = gates.split(H)
            c_b = f.sigmoid() * c_b + i.sigmoid() * g.tanh()
            h_b = o.sigmoid() * c_b.tanh()
            h[n], c[n] = h_b, c_b
        h_T, c_T, start = [*h_T, h_b], [*c_T, c_b], start + length
    return [torch.stack(part) for part in (h, c, h_T, c_T)]


def lstm_shapes(rows: int, suffix: str = "") -> dict[str, tuple[int, ...]]:
    shapes = {"pre": (rows, 4 * H), "weight_hh": (4 * H, H), "h0": (len(LENGTHS), H), "c0": (len(LENGTHS), H)}
    return {key + suffix: shape for key, shape in shapes.items()}


INDEX = np.random.default_rng(1).integers(0, 5, STEPS).astype(np.int32)
INDEX[:5] = np.arange(5)  # every row is read


def drawn_mask(rng: np.random.Generator, shape: tuple[int, ...], probability: float) -> Tensor:
    """The mask that `Dropout` draws from this generator, written once more: 16 bits for each number."""
    limit = round(probability * 65536)
    kept = rng.integers(0, 65536, shape, dtype=np.uint16) >= limit
    return torch.from_numpy(np.where(kept, 65536 / (65536 - limit), 0.0))


def dropout_case(part: str, probability: Mapping[str, float]) -> Case:
    name = f"dropout, {' and '.join(probability)}"

    def theirs(v: dict[str, Tensor]) -> list[Tensor]:
        rng, result = rng_of(name, "masks"), v["x"]
        for one in sorted(probability, key=["embedding", "word", "output"].index):
            shape = (7, 1) if one == "word" else (7, 5)
            result = result * drawn_mask(rng, shape, probability[one])
        return [result]

    return Case({"x": (7, 5)}, lambda ops, v: [ops.dropout(v["x"], part)], theirs, probability)


ROWS = np.array([5, 0, 2, 9, 4])  # of a batch, out of 10
CLASSES = np.array([2, 0, 1, 3, 3, 0, 1, 2, 2, 1])
WEIGHTS = np.random.default_rng(2).uniform(0.2, 3, 10).astype(np.float32)
LABEL_WEIGHTS = np.random.default_rng(3).uniform(0.2, 3, (10, 3)).astype(np.float32)
SOFT = np.random.default_rng(4).dirichlet([1, 2, 3], 10).astype(np.float32)
SCALING = TargetScaling(np.array([3.0, -5.0]), np.array([2.0, 0.5]))


def loss_case(
    outputs: int, theirs: Callable[[Tensor, Tensor], Tensor], task: str = "classification", **fields: Any
) -> Case:
    """The loss of a batch. theirs: of logits (B, outputs) and the weights of the rows (B,)."""
    fields = {"weights": WEIGHTS, "soft_targets": None, "target_scaling": None} | fields
    about = SimpleNamespace(task=task, classes=range(max(2, outputs)))
    data: Any = SimpleNamespace(data=about, **fields)
    data.targets = partial(TrainingData.targets, data)

    def ours(ops: RecordingOps, v: dict[str, Any]) -> list[Any]:
        loss, gradient = loss_of(data, v["logits"].value, ROWS)
        v["logits"].accumulate(gradient)
        return [loss]

    weights = torch.ones(5).double() if fields["weights"] is None else torch.from_numpy(fields["weights"][ROWS])
    return Case({"logits": (5, outputs)}, ours, lambda v: [theirs(v["logits"], weights.double())], optional=False)


def binary(logits: Tensor, targets: Array, weights: Tensor | None) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(targets).double(), weights)


def soft_targets(columns: int) -> Array:
    return (SOFT[:, :columns] / SOFT[:, :columns].sum(axis=1, keepdims=True)).astype(np.float32)


def soft_loss(columns: int) -> Callable[[Tensor, Tensor], Tensor]:
    targets = torch.from_numpy(soft_targets(columns)[ROWS]).double()

    def loss(logits: Tensor, weights: Tensor) -> Tensor:
        if logits.shape[1] == 1:
            return binary(logits[:, 0], targets[:, 1].numpy(), weights)
        return -(weights * (targets * logits.log_softmax(1)).sum(1)).mean()

    return loss


WORDS, LONG = 37, 2 * BLOCK + 3
TARGETS = np.random.default_rng(5).integers(0, WORDS, LONG)
CANDIDATES = np.array([0, 4, 5, 17, 30, 36])  # a sixth of the targets is among them
LOG_EXPECTED = np.random.default_rng(6).normal(-2, 1, WORDS).astype(np.float32)


def our_sampled_softmax(candidates: Array, log_expected: Array) -> Callable[[RecordingOps, dict[str, Any]], list[Any]]:
    def ours(ops: RecordingOps, v: dict[str, Any]) -> list[Any]:
        kernel = get("reference")
        return [sampled_softmax(v["x"], v["weight"], v["bias"], TARGETS, candidates, log_expected, kernel)]

    return ours


def torch_sampled_softmax(v: dict[str, Tensor]) -> list[Tensor]:
    logits = v["x"] @ v["weight"].T + v["bias"] - torch.from_numpy(LOG_EXPECTED).double()
    targets, candidates = torch.from_numpy(TARGETS), torch.from_numpy(CANDIDATES)
    right = logits.gather(1, targets[:, None])
    others = logits[:, candidates].masked_fill(candidates == targets[:, None], -torch.inf)
    return [(torch.cat([right, others], 1).logsumexp(1) - right[:, 0]).mean()]


def torch_window(v: dict[str, Tensor]) -> list[Tensor]:
    streams = v["x"].reshape(2, 9, 4)
    means = [[stream[max(0, t - WINDOW + 1) : t + 1].mean(0) for t in range(9)] for stream in streams]
    return [torch.stack([row for rows in means for row in rows])]


def torch_same_mask(v: dict[str, Tensor]) -> list[Tensor]:
    mask = drawn_mask(rng_of("the same mask at every step", "masks"), (3, 1, 4), 0.4)
    return [(v["h"].reshape(3, 6, 4) * mask).reshape(18, 4)]


def segments(
    reduce: Callable[[Tensor], Tensor], lengths: Lengths = LENGTHS
) -> Callable[[dict[str, Tensor]], list[Tensor]]:
    def theirs(v: dict[str, Tensor]) -> list[Tensor]:
        parts = v["x"].split(lengths.tolist())
        return [torch.stack([reduce(part) if len(part) else torch.zeros(5).double() for part in parts])]

    return theirs


LINEAR = {"x": (7, 5), "weight": (4, 5), "bias": (4,)}
CASES: dict[str, Case] = {
    "take, distinct rows of a table": Case(
        {"rows": (9, 5)},
        lambda ops, v: [ops.take(v["rows"], np.array([1, 3, 4, 8]))],
        lambda v: [v["rows"][[1, 3, 4, 8]]],
        tables=frozenset({"rows"}),
    ),
    "take, repeated rows of a table, twice": Case(
        {"rows": (9, 5)},
        lambda ops, v: [ops.take(v["rows"], np.array([7, 3, 3, 0, 3])), ops.take(v["rows"], np.array([2, 3, 8]))],
        lambda v: [v["rows"][[7, 3, 3, 0, 3]], v["rows"][[2, 3, 8]]],
        tables=frozenset({"rows"}),
    ),
    "take, repeated rows of a variable": Case(
        {"rows": (6, 5)},
        lambda ops, v: [ops.take(v["rows"], np.array([4, 0, 4, 4, 2]))],
        lambda v: [v["rows"][[4, 0, 4, 4, 2]]],
    ),
    "take, one row, and none": Case(
        {"rows": (6, 5)},
        lambda ops, v: [ops.take(v["rows"], np.array([4])), ops.take(v["rows"], np.zeros(0, dtype=np.int64))],
        lambda v: [v["rows"][[4]], v["rows"][torch.zeros(0, dtype=torch.int64)]],
        tables=frozenset({"rows"}),
    ),
    "linear": Case(
        LINEAR,
        lambda ops, v: [ops.linear(v["x"], v["weight"], v["bias"])],
        lambda v: [functional.linear(v["x"], v["weight"], v["bias"])],
    ),
    "project": Case(
        {"x": (7, 5), "weight": (4 * H, 5), "bias": (4 * H,)},
        lambda ops, v: [ops.project(v["x"], v["weight"], v["bias"])],
        lambda v: [functional.linear(v["x"], v["weight"], v["bias"])],
    ),
    "lstm": Case(
        lstm_shapes(STEPS),
        lambda ops, v: states_of(ops, lstm_call(v, None, False)),
        lambda v: torch_lstm(v, None, False),
    ),
    "lstm, backward": Case(
        lstm_shapes(STEPS),
        lambda ops, v: states_of(ops, lstm_call(v, None, True)),
        lambda v: torch_lstm(v, None, True),
    ),
    "lstm, index": Case(
        lstm_shapes(5),
        lambda ops, v: states_of(ops, lstm_call(v, INDEX, False)),
        lambda v: torch_lstm(v, INDEX, False),
    ),
    "lstm, last state alone": Case(
        lstm_shapes(STEPS),
        lambda ops, v: states_of(ops, lstm_call(v, None, False))[2:3],
        lambda v: torch_lstm(v, None, False)[2:3],
    ),
    "lstms, two directions": Case(
        lstm_shapes(5) | lstm_shapes(STEPS, "_2"),
        lambda ops, v: states_of(ops, lstm_call(v, INDEX, False), lstm_call(v, None, True, suffix="_2")),
        lambda v: torch_lstm(v, INDEX, False) + torch_lstm(v, None, True, suffix="_2"),
    ),
    "concat of rows": Case(
        {"x": (2, 5), "y": (4, 5), "z": (1, 5)},
        lambda ops, v: [ops.concat([v["x"], v["y"], v["z"]], 0)],
        lambda v: [torch.cat([v["x"], v["y"], v["z"]], 0)],
    ),
    "concat of columns, one of them twice": Case(
        {"x": (3, 5), "y": (3, 2)},
        lambda ops, v: [ops.concat([v["x"], v["y"], v["x"]], 1)],
        lambda v: [torch.cat([v["x"], v["y"], v["x"]], 1)],
    ),
    "segment_mean": Case(
        {"x": (STEPS, 5)}, lambda ops, v: [ops.pool(v["x"], LENGTHS, "mean")], segments(lambda part: part.mean(0))
    ),
    "segment_max": Case(
        {"x": (STEPS, 5)}, lambda ops, v: [ops.pool(v["x"], LENGTHS, "max")], segments(lambda part: part.amax(0))
    ),
    "segment_mean, long sequences": Case(  # mean length above 64
        {"x": (int(LONG_LENGTHS.sum()), 5)},
        lambda ops, v: [ops.pool(v["x"], LONG_LENGTHS, "mean")],
        segments(lambda part: part.mean(0), LONG_LENGTHS),
    ),
    "mean and maximum of the same rows": Case(
        {"x": (STEPS, 5)},
        lambda ops, v: [ops.pool(v["x"], LENGTHS, "max"), ops.pool(v["x"], LENGTHS, "mean")],
        lambda v: segments(lambda part: part.amax(0))(v) + segments(lambda part: part.mean(0))(v),
    ),
    "dropout, embedding": dropout_case("embedding", {"embedding": 0.3}),
    "dropout, word": dropout_case("embedding", {"word": 0.4}),
    "dropout, embedding and word": dropout_case("embedding", {"embedding": 0.3, "word": 0.2}),
    "dropout, output": dropout_case("output", {"output": 0.5}),
    "loss, binary": loss_case(1, lambda z, w: binary(z[:, 0], CLASSES[ROWS] > 1, w), labels=(CLASSES > 1) * 1),
    "loss, softmax": loss_case(
        4,
        lambda z, w: (w * functional.cross_entropy(z, torch.from_numpy(CLASSES[ROWS]), reduction="none")).mean(),
        labels=CLASSES,
    ),
    "loss, softmax without weights": loss_case(
        4, lambda z, w: functional.cross_entropy(z, torch.from_numpy(CLASSES[ROWS])), labels=CLASSES, weights=None
    ),
    "loss, soft targets of two classes": loss_case(1, soft_loss(2), labels=CLASSES, soft_targets=soft_targets(2)),
    "loss, soft targets of three classes": loss_case(3, soft_loss(3), labels=CLASSES, soft_targets=soft_targets(3)),
    "loss, multi-label": loss_case(
        3, lambda z, w: binary(z, SOFT[ROWS] > 0.3, w), "multilabel", labels=(SOFT > 0.3) * 1, weights=LABEL_WEIGHTS
    ),
    "loss, multi-label, weights of rows": loss_case(
        3, lambda z, w: binary(z, SOFT[ROWS] > 0.3, w[:, None]), "multilabel", labels=(SOFT > 0.3) * 1
    ),
    "loss, squared error": loss_case(
        2,
        lambda z, w: (w[:, None] * (z - torch.from_numpy((SOFT[ROWS, :2] - SCALING.mean) / SCALING.scale)) ** 2).mean(),
        "regression",
        labels=SOFT[:, :2].astype(np.float64),
        target_scaling=SCALING,
    ),
    "sampled softmax": Case(
        {"x": (LONG, 6), "weight": (WORDS, 6), "bias": (WORDS,)},
        our_sampled_softmax(CANDIDATES, LOG_EXPECTED),
        torch_sampled_softmax,
        tables=frozenset({"weight"}),
        optional=False,
    ),
    "sampled softmax, all words": Case(
        {"x": (LONG, 6), "weight": (WORDS, 6), "bias": (WORDS,)},
        our_sampled_softmax(np.arange(WORDS), np.zeros(WORDS, dtype=np.float32)),
        lambda v: [functional.cross_entropy(v["x"] @ v["weight"].T + v["bias"], torch.from_numpy(TARGETS))],
        tables=frozenset({"weight"}),
        optional=False,
    ),
    "mean of the last words": Case({"x": (18, 4)}, lambda ops, v: [_window(ops, v["x"], 2)], torch_window),
    "the same mask at every step": Case(
        {"h": (18, 4)},
        lambda ops, v: [_same_mask_at_every_step(ops, v["h"], 3)],
        torch_same_mask,
        {"output": 0.4},
        optional=False,
    ),
}


@pytest.fixture(autouse=True)
def _two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWISE_THREADS", "2")  # so that two directions run at the same time


@pytest.mark.parametrize("name", CASES)
def test_results_and_gradients_equal_those_of_torch(name: str) -> None:
    """Also where the arguments have a gradient already, which belongs to somebody else."""
    check(name, run(name, kinds(name)))
    rng = rng_of(name, "before")
    before = {key: rng.standard_normal(array.shape) for key, array in arrays_of(name).items()}
    for array in before.values():
        array.flags.writeable = False
    check(name, run(name, kinds(name), before), before)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.optional])
def test_an_argument_alone_has_the_same_gradient(name: str) -> None:
    """And without any variable among the arguments nothing is recorded."""
    for key, kind in kinds(name).items():
        check(name, run(name, {key: kind}))
    results = CASES[name].ours(
        RecordingOps(get("reference"), dropout=Dropout(CASES[name].dropout, rng_of(name, "masks"))),
        dict(arrays_of(name)),
    )
    for found, right in zip(results, wanted(name)[0], strict=True):
        if found is not None:  # c of every step is not kept
            assert not isinstance(found, Variable)
            np.testing.assert_allclose(found, right, rtol=0, atol=CLOSE * np.abs(right).max(initial=0))
