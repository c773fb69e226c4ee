"""Fine-tuning of a network of any form: the same classes, other classes, numbers, labels per step."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import gatewise as gw
from gatewise.exchange.torch_graph import read_torch
from gatewise.members.graph_network import GraphNetwork
from gatewise.model.model import Model
from tests.refusals import assert_refused

VOCABULARY = 30


class Attention(nn.Module):
    """Token ids through a bidirectional LSTM; a softmax over the steps pools it."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 6)
        self.lstm = nn.LSTM(6, 8, batch_first=True, bidirectional=True)
        self.score = nn.Linear(16, 1)
        self.dense = nn.Linear(16, outputs)

    def forward(self, ids: Tensor) -> Tensor:
        h, _ = self.lstm(self.embedding(ids))
        shares = torch.softmax(self.score(h), 1)
        return self.dense((shares * h).sum(1))  # type: ignore[no-any-return]


class Residual(nn.Module):
    """Series through a GRU with a residual connection; outputs for the whole, or for each step."""

    def __init__(self, outputs: int, per_step: bool = False) -> None:
        super().__init__()
        self.front = nn.Linear(2, 8)
        self.gru = nn.GRU(8, 8, batch_first=True)
        self.dense = nn.Linear(8, outputs)
        self.per_step = per_step

    def forward(self, x: Tensor) -> Tensor:
        y = torch.tanh(self.front(x))
        y = y + self.gru(y)[0]
        return self.dense(y if self.per_step else y.mean(1))  # type: ignore[no-any-return]


class Last(nn.Module):
    """Series through an LSTM, whose last state is read; with a layer norm no field of a recipe describes it."""

    def __init__(self, outputs: int, normalised: bool) -> None:
        super().__init__()
        self.lstm = nn.LSTM(2, 8, batch_first=True)
        self.norm = nn.LayerNorm(8) if normalised else nn.Identity()
        self.dense = nn.Linear(8, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(self.norm(self.lstm(x)[0][:, -1]))  # type: ignore[no-any-return]


class SeveralInputs(nn.Module):
    """Token ids and two numbers per step through an LSTM; three numbers of the row are joined to its last output."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 6)
        self.lstm = nn.LSTM(8, 8, batch_first=True)
        self.dense = nn.Linear(11, 1)

    def forward(self, ids: Tensor, numbers: Tensor, table: Tensor) -> Tensor:
        steps = torch.cat([self.embedding(ids), numbers], -1)
        last = self.lstm(steps)[0][:, -1]
        return self.dense(torch.cat([last, table], -1))  # type: ignore[no-any-return]


def _model(module: nn.Module, example: Any, **options: Any) -> Model:
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return Model.of_graph(read_torch(module.eval(), example).graph, **options)


@pytest.fixture(scope="module")
def several_model() -> Model:
    torch.manual_seed(4)
    example = (torch.zeros(2, 5, dtype=torch.long), torch.zeros(2, 5, 2), torch.zeros(2, 3))
    return _model(SeveralInputs(), example, classes=["no", "yes"])


def _rows(count: int) -> list[dict[str, Any]]:
    """Rows of different lengths for `SeveralInputs`."""
    rng = np.random.default_rng(5)
    rows: list[dict[str, Any]] = []
    for length in rng.integers(2, 5, count).tolist():
        ids = rng.integers(0, 3, length)  # which say nothing
        rows.append({"ids": ids, "numbers": rng.normal(size=(length, 2)), "table": rng.normal(size=3)})
    return rows


def _labels_of(rows: list[dict[str, Any]]) -> list[str]:
    """What the third input and the last step of the second one say."""
    return ["yes" if row["table"][1] + row["numbers"][-1, 0] > 0 else "no" for row in rows]


@pytest.fixture
def ids_model() -> Model:
    torch.manual_seed(3)
    return _model(Attention(2), torch.zeros(2, 5, dtype=torch.long), classes=["no", "yes"])


def _texts(rng: np.random.Generator, count: int) -> list[list[int]]:
    return [rng.integers(1, VOCABULARY, int(length)).tolist() for length in rng.integers(2, 9, count)]


def _with_token(texts: list[list[int]], token: int) -> list[bool]:
    return [token in text for text in texts]


def test_with_the_same_classes_training_goes_on_from_the_network(ids_model: Model, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    texts = _texts(rng, 300)
    labels = ["yes" if has else "no" for has in _with_token(texts, 7)]
    tuned = gw.train(texts, labels, recipe="lstm", pretrained=ids_model, epochs=8, learning_rate=0.02, seed=1)
    assert isinstance(tuned.ensemble.network, GraphNetwork)
    new = _texts(rng, 200)
    predicted = np.array(tuned.predict(new)) == "yes"
    assert (predicted == _with_token(new, 7)).mean() > 0.9
    tuned.save(tmp_path / "model")
    np.testing.assert_array_equal(gw.load(tmp_path / "model").predict_proba(new), tuned.predict_proba(new))


def test_training_starts_from_the_network(ids_model: Model) -> None:
    """With a learning rate of almost nothing, the logits of the network stay."""
    texts = _texts(np.random.default_rng(1), 60)
    labels = ["no", "yes"] * 30
    tuned = gw.train(texts, labels, recipe="lstm", pretrained=ids_model, epochs=1, learning_rate=1e-12, seed=1)
    [(network, _)] = list(tuned.ensemble)
    sequences = tuned.preprocessor.encode_batch(texts)
    np.testing.assert_allclose(network.logits(sequences), ids_model.ensemble.network.logits(sequences), atol=1e-5)


def test_other_classes_get_a_new_layer(ids_model: Model) -> None:
    rng = np.random.default_rng(2)
    texts = _texts(rng, 300)
    labels = ["both" if 3 in text and 4 in text else "one" if 3 in text or 4 in text else "none" for text in texts]
    tuned = gw.train(texts, labels, recipe="lstm", pretrained=ids_model, epochs=8, learning_rate=0.02, seed=1)
    assert set(tuned.classes) == {"both", "none", "one"}
    assert tuned.ensemble.network.outputs == 3
    assert tuned.evaluate(texts, labels).accuracy > 0.8


@pytest.mark.parametrize("make", [lambda: Residual(1), lambda: Residual(3)])
def test_numbers_are_predicted_in_their_unit(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(4)
    model = _model(make(), torch.zeros(2, 6, 2), task="regression")
    rng = np.random.default_rng(3)
    x = rng.normal(size=(200, 6, 2))
    numbers = 1000 + 50 * x[:, :, 0].mean(axis=1)
    tuned = gw.train(
        x, numbers, task="regression", recipe="lstm", pretrained=model, epochs=12, learning_rate=0.01, seed=1
    )
    error = np.sqrt(np.square(np.asarray(tuned.predict(x)).ravel() - numbers).mean())
    assert error < 0.5 * numbers.std()


def test_what_does_not_fit_is_refused(ids_model: Model) -> None:
    texts = _texts(np.random.default_rng(5), 40)
    labels = ["no", "yes"] * 20

    def train(**options: Any) -> None:
        gw.train(texts, labels, pretrained=ids_model, **options)

    assert_refused("lstm.units cannot be changed: the network takes the layers of the pretrained", train, units=9)
    assert_refused("recipe frozen keeps the layers of the pretrained model", train, recipe="frozen")
    per_step = _model(Residual(2, per_step=True), torch.zeros(2, 6, 2))
    x = np.random.default_rng(6).normal(size=(20, 6, 2))
    assert_refused("one prediction in all", gw.train, x, [0, 1] * 10, recipe="lstm", pretrained=per_step)


def test_a_network_with_several_inputs_is_fine_tuned(several_model: Model, tmp_path: Path) -> None:
    rows = _rows(400)
    labels = _labels_of(rows)
    held_out = rows[300:], labels[300:]
    before = several_model.score(*held_out)
    tuned = gw.train(
        rows[:300],
        labels[:300],
        pretrained=several_model,
        validation=held_out,
        epochs=30,
        learning_rate=0.02,
        verbose=0,
        out=tmp_path / "tuned",
    )
    assert tuned.score(*held_out) > 0.8 > before
    assert tuned.preprocessor == several_model.preprocessor
    np.testing.assert_array_equal(gw.load(tmp_path / "tuned").predict_proba(rows), tuned.predict_proba(rows))


def test_rows_of_several_inputs_get_other_classes_and_numbers(several_model: Model) -> None:
    rows = _rows(120)
    batch = {name: np.stack([row[name][:2] for row in rows]) for name in ("ids", "numbers")}
    batch["table"] = np.stack([row["table"] for row in rows])
    sides = ["left" if row["table"][0] < -0.5 else "right" if row["table"][0] > 0.5 else "middle" for row in rows]
    of_classes = gw.train(batch, sides, pretrained=several_model, epochs=20, learning_rate=0.02, verbose=0)
    assert of_classes.classes == ("left", "middle", "right")
    assert of_classes.score(batch, sides) > 0.8
    numbers = [50 + 10 * float(row["table"][0]) for row in rows]
    weights = [1.0 + (number > 50) for number in numbers]
    of_numbers = gw.train(
        batch,
        numbers,
        task="regression",
        pretrained=several_model,
        epochs=20,
        learning_rate=0.02,
        sample_weight=weights,
        verbose=0,
    )
    assert of_numbers.task == "regression"
    assert of_numbers.score(batch, numbers) > 0.5


def test_what_a_network_with_several_inputs_does_not_read_is_refused(several_model: Model) -> None:
    rows = _rows(40)
    labels = _labels_of(rows)

    def training(data: Any, of_rows: Any, **options: Any) -> Callable[[], Any]:
        return lambda: gw.train(data, of_rows, pretrained=several_model, epochs=1, verbose=0, **options)

    assert_refused("takes arrays by name", training(["a text"] * 40, labels))
    assert_refused("the model has the inputs ids, numbers, table, and gets ids", training([{"ids": [1]}] * 40, labels))
    assert_refused("there are 40 inputs but 39 labels", training(rows, labels[:39]))
    assert_refused("labels are missing", training(rows, None))
    assert_refused("layout is for series", training(rows, labels, layout="time-first"))
    assert_refused("ngrams.l2 is for texts, and these are rows of arrays", training(rows, labels, ngrams__l2=9.0))
    outside = [*rows[:7], {**rows[7], "ids": np.array([1, VOCABULARY])}, *rows[8:]]
    assert_refused(f"row 7: the input ids has the id {VOCABULARY}", training(outside, labels))
    assert_refused("dict", lambda: gw.train(rows, labels, verbose=0))


@pytest.mark.parametrize("as_graph", [True, False])
def test_training_takes_over_the_task_and_the_names_of_the_model(as_graph: bool) -> None:
    torch.manual_seed(5)
    rng = np.random.default_rng(8)
    x = rng.normal(size=(60, 6, 2)).astype(np.float32)

    def model(outputs: int, classes: list[str], task: Any) -> Model:
        return gw.from_torch(Last(outputs, as_graph), torch.zeros(2, 6, 2), classes=classes, task=task)

    sales = model(1, ["sales"], "regression")
    numbers = np.round(5 + 3 * x[:, -1, 0]).astype(int)  # which look like classes
    tuned = gw.train(x, numbers, pretrained=sales, epochs=1, verbose=0)
    assert (tuned.task, tuned.classes) == ("regression", ("sales",))
    by_recipe = gw.train(x, numbers, pretrained=sales, recipe="lstm", epochs=1, verbose=0)
    assert (by_recipe.task, by_recipe.classes) == ("regression", ("sales",))
    topics = model(2, ["sport", "art"], "multilabel")
    columns = (x[:, -1] > 0).astype(int)
    tuned = gw.train(x[:40], columns[:40], pretrained=topics, validation=(x[40:], columns[40:]), epochs=1, verbose=0)
    assert (tuned.task, tuned.classes) == ("multilabel", ("sport", "art"))
    other = gw.train(x, ["up" if number > 5 else "down" for number in numbers], pretrained=sales, task="classification")
    assert (other.task, other.classes) == ("classification", ("down", "up"))
    assert_refused("row 0 is a text .'up'.; regression", gw.train, x, ["up", "down"] * 30, pretrained=sales)


def test_the_layers_of_numbers_without_names_stay() -> None:
    """With a learning rate of almost nothing, the logits of the network stay."""
    torch.manual_seed(6)
    model = _model(Residual(2), torch.zeros(2, 6, 2), task="regression", classes=["price", "sales"])
    x = np.random.default_rng(9).normal(size=(60, 6, 2)).astype(np.float32)
    predicted = model.predict(x)
    numbers = predicted + 0.2 * predicted.std(axis=0)
    tuned = gw.train(x, numbers, pretrained=model, epochs=1, learning_rate=1e-12, verbose=0)
    assert tuned.classes == ("price", "sales")
    sequences = tuned.preprocessor.encode_batch(x)
    network = tuned.ensemble.network
    np.testing.assert_allclose(network.logits(sequences), model.ensemble.network.logits(sequences), atol=1e-5)
