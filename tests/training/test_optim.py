"""Adam: torch and a literal formula as oracles, sparse against dense, native against NumPy; whole steps of training."""

import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch.nn import functional

from gatewise.data.labelled import Labelled
from gatewise.network.architecture import initial_parameters
from gatewise.network.autograd import RowGradient
from gatewise.network.trainable import TABLE, Network
from gatewise.training import recipe
from gatewise.training.optim import Adam, gradient_norm
from gatewise.training.supervised_loop import SupervisedLoop, network_of
from gatewise.training.training_data import prepare
from gatewise.types import Array
from tests.kernels.batches import HERE, needs_native
from tests.network.oracle import padded_logits
from tests.training.texts import made_reviews


@pytest.fixture(params=["reference", *HERE])
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """NumPy, then each instruction set of the extension."""
    run_on(monkeypatch, request.param)
    return str(request.param)


def run_on(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    if where == "reference":
        monkeypatch.setenv("GATEWISE_KERNEL", "reference")
        return
    monkeypatch.delenv("GATEWISE_KERNEL", raising=False)
    monkeypatch.setenv("GATEWISE_ISA", where)


def adam_of(shape: tuple[int, ...], dtype: Any = np.float32, *, sparse: bool = False, **options: Any) -> Adam:
    """Adam on one table "t", with moments as after some steps."""
    rng = np.random.default_rng(3)
    adam = Adam({"t": rng.normal(size=shape).astype(dtype)}, frozenset("t" * sparse), epsilon=1e-7, **options)
    adam.m["t"][...], adam.v["t"][...] = rng.normal(size=shape) / 9, rng.random(shape) / 99
    return adam


def arrays(adam: Adam) -> list[Array]:
    return [adam.parameters["t"], adam.m["t"], adam.v["t"]]


def same_bits(one: list[Array], other: list[Array]) -> bool:
    return all(a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))


def test_fifty_steps_are_those_of_torch(where: str) -> None:
    rng = np.random.default_rng(1)
    weight = rng.normal(size=(13, 7)).astype(np.float32)
    tensor = torch.nn.Parameter(torch.from_numpy(weight.copy()))
    torch_adam = torch.optim.Adam([tensor], lr=1e-2, betas=(0.8, 0.99), eps=1e-3, fused=False)
    adam = Adam({"t": weight}, beta_1=0.8, beta_2=0.99, epsilon=1e-3, lr_scale={"t": 0.5})
    for t in range(1, 51):
        lr = 1e-2 * (1 + math.sin(t))
        torch_adam.param_groups[0]["lr"] = lr
        grad = rng.normal(size=weight.shape).astype(np.float32)
        tensor.grad = torch.from_numpy(grad * np.float32(0.25))
        torch_adam.step()
        adam.step({"t": grad}, 2 * lr, scale=0.25)
    state = torch_adam.state[tensor]
    for ours, theirs in zip(arrays(adam), (tensor.detach(), state["exp_avg"], state["exp_avg_sq"]), strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=1e-6)


def batches_of(dtype: Any, shape: tuple[int, int]) -> list[RowGradient]:
    """Rows by a distribution in which some are in most batches and others in none; unsorted."""
    rng = np.random.default_rng(7)
    share = 1 / np.arange(1, shape[0] + 1) ** 2
    out = []
    for t in range(300):
        rows = rng.permutation(np.flatnonzero(rng.random(shape[0]) < share)) if t % 50 else np.zeros(0, np.int64)
        out.append(RowGradient(rows, rng.normal(size=(len(rows), shape[1])).astype(dtype)))
    return out


def run(adam: Adam, batches: list[RowGradient], reads: bool = True) -> list[Array]:
    """Steps on a table; a dense Adam gets gradients that are 0 in the rows that a batch does not read. reads: whether
    rows catch up before they are read.
    """
    for t, batch in enumerate(batches, 1):
        gradient: Any = batch
        if not adam.tables:
            gradient = np.zeros_like(adam.parameters["t"])
            gradient[batch.rows] = batch.values
        elif reads:
            adam.catch_up("t", batch.rows)
        rate = 1e-2 * min(t / 100, 1.0) * (1.0 if t < 200 else 0.3)  # it rises, then falls
        adam.step({"t": gradient}, rate, scale=0.5 + t % 2)
    adam.catch_up_all()
    return arrays(adam)


@pytest.mark.parametrize(("dtype", "keras"), [(np.float32, True), (np.float64, False)])
@pytest.mark.parametrize("columns", [1, 37, 150])
def test_a_sparse_run_has_the_bits_of_a_dense_one(columns: int, dtype: Any, keras: bool, where: str) -> None:
    shape = (40, columns)
    batches = batches_of(dtype, shape)
    dense = run(adam_of(shape, dtype, keras=keras), batches)
    for reads in (True, False):
        assert same_bits(dense, run(adam_of(shape, dtype, keras=keras, sparse=True), batches, reads))
    assert not same_bits(dense, arrays(adam_of(shape, dtype))), "it moves"


@pytest.mark.parametrize("beta_2", [0.9, 0.999])
def test_rows_whose_moments_have_vanished(beta_2: float, where: str) -> None:
    """m is 0 from step 900 or so on, v at beta_2 0.9 as well; untouched rows stay."""
    sparse, dense = (adam_of((5, 9), beta_2=beta_2, sparse=sparse) for sparse in (True, False))
    for adam in (sparse, dense):
        weight, m, v = arrays(adam)
        m[2] = v[2] = 0.0
        weight[2, :3] = 1e-40, -1e-40, -0.0
        m[3, :2] = -0.0, -1e-40
        v[3:, :4] = 1e-40
    unread = sparse.parameters["t"][2, 3:].copy()
    nothing = RowGradient(np.zeros(0, np.int64), np.zeros((0, 9), np.float32))
    for t in range(1200):
        dense.step({"t": np.zeros((5, 9), np.float32)}, 1e-3)
        sparse.step({"t": nothing}, 1e-3)
        if t in (1000, 1199):
            sparse.catch_up_all()
            assert same_bits(arrays(dense), arrays(sparse))
            assert same_bits([sparse.parameters["t"][2, 3:]], [unread])
    assert where == "reference" or not dense.m["t"].any()


@needs_native
def test_the_number_of_threads_and_the_instruction_set_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """In arrays of several pieces, one of them incomplete."""
    rng, found = np.random.default_rng(4), []
    shape = (1501, 37)
    grad, rows = rng.normal(size=shape).astype(np.float32), rng.permutation(1501)[:901]
    for isa in HERE:
        run_on(monkeypatch, isa)
        for threads in ("1", "2", "3"):
            monkeypatch.setenv("GATEWISE_THREADS", threads)
            dense, sparse = adam_of(shape), adam_of(shape, sparse=True)
            dense.step({"t": grad}, 1e-3, scale=0.7)
            for _ in range(3):
                sparse.step({"t": RowGradient(rows[:9], grad[:9])}, 1e-3)
            sparse.step({"t": RowGradient(rows, grad[:901])}, 1e-3)
            norm = gradient_norm({"grad": grad, "weight": dense.parameters["t"], "none": grad[:0]})
            found.append([*arrays(dense), *arrays(sparse), np.array(norm)])
    assert all(same_bits(found[0], other) for other in found[1:])


@needs_native
def test_native_has_the_bits_of_numpy_but_for_denormals(monkeypatch: pytest.MonkeyPatch) -> None:
    batches, found = batches_of(np.float32, (40, 19)), []
    for where in ("reference", *HERE):
        run_on(monkeypatch, where)
        found.append(run(adam_of((40, 19), sparse=True), batches))
    for native_run in found[1:]:
        for one, other in zip(found[0], native_run, strict=True):
            np.testing.assert_array_equal(*(np.where(abs(a) < 1e-37, 0, a) for a in (one, other)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradient_norm(dtype: Any, where: str) -> None:
    rng = np.random.default_rng(5)
    xs: dict[str, Any] = {str(shape): rng.normal(size=shape).astype(dtype) for shape in ((), (0, 3), (300, 111))}
    last = xs["(300, 111)"]
    xs["table"] = RowGradient(np.arange(17), rng.normal(size=(17, 2)).astype(dtype))
    every = [x for part in xs.values() for x in np.ravel(part.values if isinstance(part, RowGradient) else part)]
    assert gradient_norm(xs) == pytest.approx(math.sqrt(math.fsum(float(x) ** 2 for x in every)), rel=1e-13)
    assert gradient_norm({}) == 0.0
    assert gradient_norm({"large": np.full(2, 3e38, np.float32)}) == pytest.approx(math.sqrt(1.8e77), rel=1e-6)
    for at in ((0, 0), (299, 110), (150, 3)):
        for value, seen in ((np.nan, math.isnan), (np.inf, math.isinf), (-np.inf, math.isinf)):
            last[at] = value
            assert seen(gradient_norm(xs))
        last[at] = 0.0


@needs_native
def test_threads_that_come_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Far more threads than processors: most get none before the work is done, and their part does not run later."""
    monkeypatch.setenv("GATEWISE_THREADS", "1")
    xs = [adam_of((1 << 14, n)).parameters for n in (5, 40)]
    expected = [gradient_norm(x) for x in xs]
    monkeypatch.setenv("GATEWISE_THREADS", "24")
    for _ in range(100):
        assert [gradient_norm(x) for x in xs] == expected


NO_DROPOUT = {"dropout_word": 0.0, "dropout_embedding": 0.0, "dropout_output": 0.0}
SMALL: dict[str, Any] = {"units": 7, "batch_size": 16, "epochs": 1}
TEXT: dict[str, Any] = {**SMALL, "embedding_dim": 5, "vocab_size": 400}


class Case(NamedTuple):
    recipe: str
    changes: dict[str, Any]
    classes: tuple[str, ...] = ("negative", "positive")


CASES = {
    "fast": Case("fast", {**TEXT, **NO_DROPOUT, "ngrams__order": 0, "grad_clip": 0.05}),
    "fast, three classes": Case(
        "fast", {**TEXT, **NO_DROPOUT, "ngrams__order": 0, "embedding_lr_scale": 0.5, "layers": 2}, ("a", "b", "c")
    ),
    "tutorial": Case("tutorial", {**TEXT, "max_length": 60}),
    "tutorial, changing rate": Case("tutorial", {**TEXT, "max_length": 60, "schedule": "one-cycle"}),
    "series": Case(
        "series", {**SMALL, "dropout_output": 0.0, "folds": 0, "grad_clip": 0.2, "windows": 0, "noise": 0.0}
    ),
}


def made_series(n: int) -> Labelled:
    rng = np.random.default_rng(3)
    series = [rng.standard_normal((int(length), 2)) + length % 3 for length in rng.integers(3, 20, n)]
    return Labelled.of(series, [("even", "odd")[len(one) % 2] for one in series])


def made_texts(classes: tuple[str, ...]) -> Labelled:
    """Reviews with rare words, which most batches do not read."""
    data, rng = made_reviews(160, 40, classes), np.random.default_rng(5)
    texts = [f"{text} rare{a} rare{b}" for text, (a, b) in zip(data.inputs, rng.integers(0, 60, (160, 2)), strict=True)]
    return replace(data, inputs=texts)


def loop_of(case: Case) -> SupervisedLoop:
    data = made_series(160) if case.recipe == "series" else made_texts(case.classes)
    training_data = prepare(data, recipe(case.recipe, **case.changes), 0)
    start = initial_parameters(training_data.architecture, np.random.default_rng(1))
    network = Network(training_data.architecture, start, trainable_rows=network_of(training_data, start).trainable_rows)
    return SupervisedLoop(training_data, network, 0)


class TorchTraining:
    """The same steps in float64: a plainly padded network with its whole embedding, torch.optim.Adam."""

    def __init__(self, loop: SupervisedLoop) -> None:
        self.data, self.loop = loop.training_data, loop
        start = loop.network.arrays()
        self.weights = {name: torch.from_numpy(a.astype(np.float64)).requires_grad_() for name, a in start.items()}
        settings = self.data.recipe.optimisation
        betas = 0.9, settings.beta_2
        scales = {TABLE: settings.embedding_lr_scale}
        groups = [{"params": [weight], "scale": scales.get(name, 1.0)} for name, weight in self.weights.items()]
        self.adam = torch.optim.Adam(groups, lr=1.0, betas=betas)
        self.clipped = 0

    def step(self, rows: Array, number: int) -> tuple[float, int]:
        data, settings = self.data, self.data.recipe.optimisation
        logits = padded_logits(data.architecture, self.weights, [data.sequences[n] for n in rows])
        labels = torch.from_numpy(data.labels[rows])
        if logits.shape[1] == 1:
            loss = functional.binary_cross_entropy_with_logits(logits[:, 0], labels.double())
            correct = int(((logits[:, 0] > 0) == (labels > 0)).sum())
        else:
            loss = functional.cross_entropy(logits, labels)
            correct = int((logits.argmax(1) == labels).sum())
        self.adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if settings.grad_clip:
            norm = torch.nn.utils.clip_grad_norm_(self.weights.values(), settings.grad_clip)
            self.clipped += bool(norm > settings.grad_clip)
        rate = self.loop.learning_rate(number)
        for group in self.adam.param_groups:
            group["lr"] = rate * group["scale"]
            # torch adds epsilon to the corrected square root of v, Keras to the uncorrected one.
            group["eps"] = 1e-7 / np.sqrt(1 - settings.beta_2 ** (number + 1))
        self.adam.step()
        return loss.item(), correct


@pytest.mark.parametrize("name", CASES)
def test_whole_steps_equal_those_of_torch(name: str) -> None:
    """Weights to 1e-6 in float32, also of embedding rows that a batch does not read, once they are caught up."""
    loop = loop_of(CASES[name])
    progress = loop.progress
    network, settings = loop.network, loop.training_data.recipe.optimisation
    theirs, start, order = TorchTraining(loop), network.arrays(), loop.batches(0)
    rates, small, behind = set(), 0, 0
    for number, rows in enumerate(order[:4]):
        before, correct = progress.loss_sum, progress.correct
        loop.train_step(number)
        wanted, right = theirs.step(rows, number)
        assert progress.loss_sum - before == pytest.approx(wanted * len(rows), rel=1e-5)
        assert progress.correct - correct == right
        for gradient in network.gradients().values():
            values = gradient.values if isinstance(gradient, RowGradient) else gradient
            small += int(((np.abs(values) < 1e-6) & (values != 0)).sum())
        rates.add(loop.learning_rate(number))
        if number % 2 == 0:
            continue  # rows miss two steps
        late = network.arrays()
        loop.optimizer.catch_up_all()
        found = network.arrays()
        if TABLE in late:
            behind += int((late[TABLE] != found[TABLE]).any(axis=1).sum())
        for key, weight in theirs.weights.items():
            np.testing.assert_allclose(found[key], weight.detach(), rtol=0, atol=1e-6, err_msg=f"{key}, {number}")
            assert np.abs(found[key] - start[key]).max() > 1e-4, key
    assert len(rates) == (1 if settings.schedule == "constant" else 3)
    assert theirs.clipped >= (2 if "grad_clip" in CASES[name].changes else 0)
    assert behind > 10 or name == "series", "rows must be behind, or nothing is shown"
    assert small > 50 or name != "tutorial", "gradients near epsilon must occur, or its place is not shown"
