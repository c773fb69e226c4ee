"""Networks of Keras, PyTorch and ONNX as models: what they are read as, equal outputs, and what is refused."""

import json
import warnings
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

import gatewise as gw
from gatewise.errors import DataWarning, ModelFileError
from gatewise.exchange import convert
from gatewise.members.graph_network import GraphNetwork
from gatewise.model.model import Model
from gatewise.network.architecture import Hidden
from gatewise.network.graph import Graph
from gatewise.network.recognise import Recognised, recognise
from gatewise.serve.view.view import View
from gatewise.text import KerasEncoding, pad_sequences
from tests.exchange.imported import CASES, CLASSES, V, made
from tests.refusals import assert_refused

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn.t accept a copy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask:UserWarning"),
]
ONNX = Path(__file__).parent / "onnx"
PARTS = ["prediction", "prefix", "attribution", "units", "unit:top", "heatmap:f"]  # of the page
ARCHITECTURES = [name for name, case in CASES.items() if case.pooling != "graph"]
GRAPHS = [name for name, case in CASES.items() if case.pooling == "graph"]


def imported(name: str, keras: ModuleType) -> tuple[Any, Model]:
    case, network = CASES[name], made(name, keras)
    if case.example is None:
        return network, gw.from_keras(network, **case.options)
    return network, gw.from_torch(network, case.example, **case.options)


@pytest.mark.usefixtures("short_comparison")
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_network_is_read_as_it_is(name: str, keras: ModuleType, tmp_path: Path) -> None:
    case = CASES[name]
    _, model = imported(name, keras)
    arch = model.architecture
    found = [f"{one.direction} {one.units}" + f" {one.merge}" * (one.merge != "concat") for one in arch.layers]
    assert ", ".join(found) == case.layers
    assert ", ".join(f"{one.activation} {one.units}" for one in arch.hidden) == case.hidden
    assert (arch.pooling, model.target.task) == (case.pooling, case.task)
    rng = np.random.default_rng(0)
    steps = 24 if name == "weather" else 6
    item: Any = rng.integers(1, V, 9).tolist() if arch.inputs == "tokens" else rng.normal(size=(steps, arch.channels))
    model.save(tmp_path / "model")
    again = gw.load(tmp_path / "model")
    for logits, wanted in zip(again.logits([item]), model.logits([item]), strict=True):
        np.testing.assert_array_equal(logits, wanted)
    assert again.explain(item).steps
    given = {"series": item.tolist()} if model.channels else {"text": " ".join(map(str, item))}
    view = View(again)
    page = view.explain({**given, "include": PARTS})
    json.dumps([view.card, page], allow_nan=False)


@pytest.mark.usefixtures("short_comparison")
def test_a_wrong_architecture_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recogniser is made to read the weights of a layer in another order."""

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = torch.nn.LSTM(3, 5, batch_first=True)
            self.head = torch.nn.Linear(5, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.head(self.lstm(x)[0].mean(1))
            return out

    def wrong(graph: Graph) -> Recognised | str:
        recognised = recognise(graph)
        assert isinstance(recognised, Recognised)
        weight = recognised.parameters["lstm.0.forward.weight_ih"]
        parameters = {**recognised.parameters, "lstm.0.forward.weight_ih": weight[:, ::-1]}
        return replace(recognised, parameters=parameters)

    torch.manual_seed(5)
    network = Network().eval()
    x = np.random.default_rng(5).normal(size=(2, 6, 3)).astype(np.float32)
    assert gw.from_torch(network, torch.zeros(2, 4, 3)).architecture.pooling == "mean"
    monkeypatch.setattr(convert, "recognise", wrong)
    with pytest.warns(DataWarning, match="the network stays a graph: .* for 1 step its output differs by 0"):
        model = gw.from_torch(network, torch.zeros(2, 4, 3))
    assert isinstance(model.ensemble.network, GraphNetwork)
    with torch.no_grad():
        wanted = network(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(model.predict(x), wanted, rtol=0, atol=1e-5)


@pytest.mark.usefixtures("short_comparison")
@pytest.mark.parametrize("name", GRAPHS)
def test_a_network_of_another_form_is_a_graph(name: str, keras: ModuleType, tmp_path: Path) -> None:
    network, model = imported(name, keras)
    assert isinstance(model.ensemble.network, GraphNetwork)
    assert model.target.task == CASES[name].task
    rng = np.random.default_rng(1)
    for steps in (10,) if name == "autoencoder" else (1, 2, 7, 40):
        if name == "autoencoder":
            x = rng.normal(size=(4, steps, 2)).astype(np.float32)
            wanted = network.predict(x, verbose=0)
        else:
            x = rng.integers(0, V, (4, steps))
            wanted = network.eval()(torch.from_numpy(x)).detach().numpy()
        found = np.stack(list(model.logits([*x])))
        np.testing.assert_allclose(found.reshape(wanted.shape), wanted, rtol=1e-5, atol=1e-5)
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(np.stack(list(gw.load(tmp_path / "model").logits([*x]))), found)
    assert model.explain(x[0]).steps


@pytest.mark.usefixtures("short_comparison")
def test_outputs_equal_those_of_the_network(keras: ModuleType) -> None:
    """Of some networks, called as their users call them."""
    rng = np.random.default_rng(0)
    network, model = imported("toxic", keras)
    ids = [rng.integers(1, V, int(n)).tolist() for n in rng.integers(1, 40, 30)]
    wanted = network.predict(pad_sequences(ids, 30), verbose=0)
    np.testing.assert_allclose(model.predict_proba(ids), wanted, rtol=0, atol=1e-5)
    assert model.trace(ids[0][:3]).names == ["<pad>"] * 27 + [str(id) for id in ids[0][:3]]
    network, model = imported("tutorial", keras)
    wanted = network.predict(pad_sequences(ids, 20), verbose=0)[:, 0]
    np.testing.assert_allclose(model.predict_proba(ids)[:, 1], wanted, rtol=0, atol=1e-5)
    assert model.architecture.padding == "pre", "the states of the pads are computed once"
    network, model = imported("masked_series", keras)
    series = rng.normal(size=(4, 15, 2)).astype(np.float32)
    series[0, 9:], series[1, [3, 7]] = -1, -1
    np.testing.assert_allclose(model.predict_proba(series), network.predict(series, verbose=0), rtol=0, atol=1e-5)
    assert len(model.trace(series[1]).names) == 13
    network, model = imported("masked_text", keras)
    padded = [[3, 4, 0, 0], [5, 0, 6, 0]]  # a mask may be anywhere
    np.testing.assert_allclose(model.logits(padded), network.predict(np.array(padded), verbose=0), rtol=0, atol=1e-5)
    network, model = imported("Packed", keras)
    wanted = network.eval()(torch.tensor([[0, 3, 5], [7, 9, 0]]), torch.tensor([3, 2])).detach().numpy()
    np.testing.assert_allclose(model.logits([[0, 3, 5], [7, 9]]), wanted, rtol=0, atol=1e-5)


@pytest.mark.usefixtures("short_comparison")
@pytest.mark.parametrize("name", ["ManyToOne", "TimeFirst", "Characters"])
def test_onnx_of_torch(name: str, keras: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    network, model = imported(name, keras)
    axes = {"x": {0: "steps", 1: "batch"} if name == "TimeFirst" else {0: "batch", 1: "steps"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(), (CASES[name].example,), tmp_path / "m.onnx", dynamo=False,
            input_names=["x"], dynamic_axes=axes,
        )  # fmt: skip
    again = gw.from_onnx(tmp_path / "m.onnx", **CASES[name].options)
    assert again.architecture == model.architecture
    rng = np.random.default_rng(0)
    item = rng.integers(1, V, 9).tolist() if model.channels == 0 else rng.normal(size=(6, model.channels))
    for found, wanted in zip(again.logits([item]), model.logits([item]), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


@pytest.mark.usefixtures("short_comparison")
def test_onnx_writes_an_activation_as_several_nodes(tmp_path: Path) -> None:
    """GELU with Erf, as torch and tf2onnx order its factors, and SiLU with Sigmoid, among other products."""
    pytest.importorskip("onnx")

    class Half(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x * 0.5) * (1 + torch.erf(x / 2**0.5))

    class Series(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            n = torch.nn
            self.lstm = n.LSTM(2, 5, batch_first=True)
            self.head = n.Sequential(n.Linear(5, 7), n.GELU(), n.Linear(7, 6), n.SiLU(), n.Linear(6, 4), Half())
            self.last = n.Linear(4, 3, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(self.head(self.lstm(x)[0][:, -1])) * 2.5 + 1

    torch.manual_seed(0)
    network = Series().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (torch.zeros(2, 6, 2),), tmp_path / "m.onnx", dynamo=False, opset_version=17, input_names=["x"],
            dynamic_axes={"x": {0: "batch", 1: "steps"}},
        )  # fmt: skip
    model, x = gw.from_onnx(tmp_path / "m.onnx"), torch.randn(4, 9, 2)
    assert [one.activation for one in model.architecture.hidden] == ["gelu", "silu", "gelu"]
    np.testing.assert_allclose(model.logits(x.numpy()), network(x).detach().numpy(), rtol=0, atol=1e-5)


def test_onnx_of_other_exporters() -> None:
    pytest.importorskip("onnx")
    model = gw.from_onnx(ONNX / "tf2onnx.onnx", classes=CLASSES)  # keras.Model.export with TensorFlow
    assert (model.architecture.pooling, model.task) == ("max", "classification")
    model = gw.from_onnx(ONNX / "torch_dynamo.onnx")  # torch.onnx.export with dynamo=True
    assert [layer.direction for layer in model.architecture.layers] == ["both", "both"]
    assert model.architecture.hidden == (Hidden(5, "relu"),)


def test_what_is_refused(keras: ModuleType, tmp_path: Path) -> None:
    k = keras.layers

    def text(*layers: Any) -> Any:
        return keras.Sequential([keras.Input((None,)), k.Embedding(V, 4), *layers])

    def series(*layers: Any) -> Any:
        return keras.Sequential([keras.Input((6, 2)), *layers])

    for network, options, message in (
        (text(k.LSTM(3), k.Dense(2, activation="softmax")), {"classes": CLASSES}, "2 outputs, and 3 names are given"),
        (text(k.LSTM(3), k.Dense(1, "sigmoid")), {"task": "regression"}, "activation sigmoid; for regression with 1"),
        (text(k.LSTM(3), k.Dense(1)), {"word_index": {"good": -1}}, "whole numbers from 0"),
        (text(k.LSTM(3), k.Dense(1)), {"word_index": ["a", "b", "c"]}, "has 3 entries, and the embedding has 40 rows"),
        (text(k.LSTM(3), k.Dense(1)), {"word_index": 3}, "'int' is neither words with their ids nor a tokenizer"),
        (series(k.LSTM(3), k.Dense(1)), {"word_index": {}}, "this one reads series"),
        (series(k.GRU(3), k.Dense(1)), {"word_index": {}}, "this one reads other inputs"),
        (
            text(k.LSTM(3), k.Dense(1, name="score")),
            {"output": "topic"},
            "output: the network has 'score', not 'topic'",
        ),
        (keras.Input((3,)), {}, "a Keras network is a keras.Model or its file, not 'KerasTensor'"),
    ):
        assert_refused(message, gw.from_keras, network, **options)
    (tmp_path / "model.keras").write_bytes(b"no zip")
    assert_refused("Keras does not open it", gw.from_keras, tmp_path / "model.keras", error=ModelFileError)
    series(k.LSTM(3), k.Lambda(lambda x: x), k.Dense(1)).save(tmp_path / "lambda.keras")  # runs no code of a stranger
    assert_refused(r"lambda.*does not open it", gw.from_keras, tmp_path / "lambda.keras", error=ModelFileError)
    pytest.importorskip("onnx")
    assert_refused("not an ONNX file", gw.from_onnx, tmp_path / "model.keras", error=ModelFileError)


@pytest.mark.usefixtures("short_comparison")
def test_layers_of_any_kind_are_computed(keras: ModuleType) -> None:
    k = keras.layers
    rng = np.random.default_rng(3)

    def text(*layers: Any, mask: bool = False) -> Any:
        return keras.Sequential([keras.Input((None,)), k.Embedding(V, 4, mask_zero=mask), *layers])

    def series(*layers: Any) -> Any:
        return keras.Sequential([keras.Input((6, 2)), *layers])

    both = k.Bidirectional(k.LSTM(3, return_sequences=True))
    for network in (
        text(k.GRU(3), k.Dense(1)),
        text(k.LSTM(3, activation="relu")),
        text(k.Conv1D(4, 3, padding="same"), k.LSTM(3)),
        text(k.LSTM(3), k.LayerNormalization()),
        text(k.LSTM(3, return_sequences=True), k.Lambda(lambda x: x[:, -1])),
        text(both, k.GlobalMaxPooling1D(), k.Dense(1), mask=True),
        text(k.LSTM(3), k.Dense(1, activation="exponential")),
        text(k.LSTM(3), k.Dense(2, activation="softmax"), k.Dense(1)),
        text(k.LSTM(3, return_sequences=True), k.Dense(4, "relu"), k.LSTM(3)),
        text(k.Dense(3)),
        series(k.LSTM(3, return_sequences=True), k.Flatten(), k.Dense(1)),
        series(k.Dense(3, activation="relu"), k.LSTM(3)),
    ):
        network.set_weights([rng.normal(0.1, 0.5, array.shape) for array in network.get_weights()])
        model = gw.from_keras(network)
        for steps in (3, 6, 25) if network.input_shape == (None, None) else (6,):
            if network.input_shape == (None, None):
                x = rng.integers(1, V, (5, steps))
                x[2, 2:] = 0
            else:
                x = rng.normal(size=(5, steps, 2)).astype(np.float32)
            wanted = network.predict(x, verbose=0)
            found = np.stack(list(model.logits([*x])))
            np.testing.assert_allclose(found.reshape(wanted.shape), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("short_comparison")
def test_a_function_that_a_small_network_hides_is_computed(keras: ModuleType) -> None:
    """For values near 0, tanh(x) is x and an attention is a mean: the type of an operation decides, not its values."""
    k = keras.layers
    x = keras.Input((None,))
    h = k.LSTM(3, return_sequences=True)(k.Embedding(V, 4, embeddings_initializer="zeros")(x))
    for y, operation in ((k.Attention()([h, h]), "Softmax"), (keras.ops.tanh(h[:, -1]), "Tanh")):
        network = keras.Model(x, k.Dense(1)(y if y.ndim == 2 else k.GlobalAveragePooling1D()(y)))
        model = gw.from_keras(network)
        if isinstance(model.ensemble.network, GraphNetwork):
            assert operation in [node.operation.name() for node in model.ensemble.network.graph.nodes]
        else:
            assert [hidden.activation for hidden in model.architecture.hidden] == ["tanh"]


@pytest.mark.usefixtures("short_comparison")
def test_several_inputs_and_outputs_by_name(keras: ModuleType) -> None:
    k = keras.layers
    ids, table = keras.Input((None,), name="ids"), keras.Input((3,), name="table")
    h = k.LSTM(4)(k.Embedding(V, 5)(ids))
    topic = k.Dense(3, activation="softmax", name="topic")(k.Concatenate()([h, table]))
    tone = k.Dense(1, name="tone")(h)
    network = keras.Model([ids, table], {"topic": topic, "tone": tone})
    rng = np.random.default_rng(4)
    network.set_weights([rng.normal(0, 0.6, array.shape) for array in network.get_weights()])
    x = {"ids": rng.integers(1, V, (4, 7)), "table": rng.normal(size=(4, 3)).astype(np.float32)}
    wanted = network.predict(x, verbose=0)
    rows = [{"ids": row, "table": numbers} for row, numbers in zip(x["ids"], x["table"], strict=True)]
    model = gw.from_keras(network, output="topic", classes=CLASSES)
    np.testing.assert_allclose(model.predict_proba(rows), wanted["topic"], rtol=0, atol=1e-5)
    for name, outputs in model.predict_outputs(x).items():
        np.testing.assert_allclose(outputs, wanted[name], rtol=0, atol=1e-5)
    model = gw.from_keras(network)  # Keras has the outputs of a dict in the order of their names
    np.testing.assert_allclose(np.reshape(model.logits(rows), (4, 1)), wanted["tone"], rtol=0, atol=1e-5)


class TwoHeads(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.lstm = torch.nn.Embedding(V, 5), torch.nn.LSTM(5, 4, batch_first=True)
        self.topic, self.tone = torch.nn.Linear(7, 3), torch.nn.Linear(4, 1)

    def forward(self, ids: torch.Tensor, table: torch.Tensor) -> dict[str, torch.Tensor]:
        h = self.lstm(self.embedding(ids))[1][0][-1]
        return {"topic": self.topic(torch.cat([h, table], 1)), "tone": self.tone(h)}


@pytest.mark.usefixtures("short_comparison")
def test_an_example_of_several_inputs_is_a_tuple_or_a_dict() -> None:
    torch.manual_seed(5)
    network = TwoHeads()
    ids, table = torch.randint(0, V, (4, 7)), torch.randn(4, 3)
    example = {"table": torch.zeros(2, 3), "ids": torch.zeros(2, 5, dtype=torch.int64)}
    with torch.no_grad():
        wanted = network(ids, table)
    x = {"ids": ids.numpy(), "table": table.numpy()}
    rows = [{name: array[n] for name, array in x.items()} for n in range(4)]
    for given in (example, (example["ids"], example["table"])):
        for output in (None, "topic", "tone"):
            model = gw.from_torch(network, given, output=output)
            found = np.reshape(model.logits(rows), (4, -1))
            np.testing.assert_allclose(found, wanted[output or "topic"].numpy(), rtol=0, atol=1e-5)
            outputs = model.predict_outputs(x)
            assert list(outputs) == ["topic", "tone"]
            np.testing.assert_allclose(outputs["tone"], wanted["tone"].numpy(), rtol=0, atol=1e-5)
    assert_refused(
        "output: the network has 'topic', 'tone', not 'score'", gw.from_torch, network, given, output="score"
    )


class Vectorization:
    """What gatewise reads of a Keras TextVectorization, which needs TensorFlow."""

    def __init__(self, words: list[str], **config: Any) -> None:
        self.words, self.config = words, config

    def get_vocabulary(self) -> list[str]:
        return self.words

    def get_config(self) -> dict[str, Any]:
        plain = {"standardize": "lower_and_strip_punctuation", "split": "whitespace", "output_mode": "int"}
        return plain | {"output_sequence_length": None} | self.config


@pytest.mark.usefixtures("short_comparison")
def test_texts_become_ids_as_in_the_other_library(keras: ModuleType, tmp_path: Path) -> None:
    network = made("bidirectional_imdb", keras)
    keras_index = {"<OOV>": 1, "a": 2, "good": 3, "film": 4, "never": 90}
    imdb = {"<PAD>": 0, "<START>": 1, "<UNK>": 2, "a": 4, "good": 5, "film": 6}
    words = ["", "[UNK]", "a", "good", "film", "dont"]
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "good": 2, "film": 3, "!": 4}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer, tokenizer.normalizer = pre_tokenizers.Whitespace(), normalizers.Lowercase()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    own = ["[PAD]", "[UNK]", *(f"w{n}" for n in range(V - 2))]
    for index, text, ids in (
        (keras_index, "A good-looking FILM: never", [2, 3, 1, 4, 1]),
        ({"a": 2, "good": 3, "never": 90}, "A good-looking FILM never", [2, 3]),
        (imdb, "A good,film x", [1, 4, 5, 6, 2]),
        (Vectorization(words), "A  good\nfilm! Don't É", [2, 3, 4, 5, 1]),
        (Vectorization(words, output_sequence_length=4), "a film", [2, 4, 0, 0]),
        (Vectorization(words, output_sequence_length=2), "a good film", [2, 3]),
        (Vectorization(words, standardize=None), "a Good film!", [2, 1, 1]),
        (tmp_path / "tokenizer.json", "A good  FILM! x", [1, 2, 3, 4, 0]),
        (tokenizer, "a", [1]),
        (own, "w3 W4, x", [5, 6, 1, 1]),
        (KerasEncoding({f"w{n}": n for n in range(1, V - 3)}, 10), "w2 w9", [1, 5, 2]),
    ):
        model = gw.from_keras(network, word_index=index)
        model.save(tmp_path / "model")
        for one in (model, gw.load(tmp_path / "model")):
            assert one.preprocessor.encode_batch([text])[0].steps.tolist() == ids
            example = one.trace(text)
            assert example.sequence.steps.tolist() == ids
            assert len(example.names) == len(ids)
        wanted = network.predict(np.array([ids]), verbose=0)[0, 0]
        np.testing.assert_allclose(model.predict_proba([text])[0, 1], wanted, rtol=0, atol=1e-5)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("(a+)+b"), "isolated")
    for index, message in (
        (tokenizer, "Split: gatewise reads tokenizers without such steps"),
        (tmp_path / "none.json", "cannot be read"),
        (Vectorization(words, standardize="custom"), "standardize is 'custom'"),
        (Vectorization(words, split="character"), "split is 'character'"),
    ):
        assert_refused(message, gw.from_keras, network, word_index=index)


@pytest.mark.usefixtures("short_comparison")
def test_words_are_replaced_in_padded_texts(keras: ModuleType) -> None:
    network = made("toxic", keras)
    for padding in ("pre", "post"):
        model = gw.from_keras(network, word_index={"a": 2, "good": 3, "bad": 4}, padding=padding)  # type: ignore[arg-type]
        after = model.intervene("a good a", words={"good": "bad"}).after
        np.testing.assert_array_equal(after.logits, model.logits(["a bad a"])[0])


@pytest.mark.usefixtures("short_comparison")
def test_token_ids_are_checked(keras: ModuleType) -> None:
    _, model = imported("bidirectional_imdb", keras)
    ids = np.array([[3, 4, 5]])
    np.testing.assert_array_equal(model.logits(ids), model.logits(["3 4 5"]))
    np.testing.assert_array_equal(model.logits(ids), model.logits([3, 4, 5]))
    for wrong in ([["40"]], ["9" * 30], ["a film"], [[1.5]], [[-1]]):
        assert_refused("is not a token id below 40", model.predict, wrong)


@pytest.mark.usefixtures("short_comparison")
@pytest.mark.parametrize("name", ["masked_text", "merged", "tagger"])
def test_training_goes_on_from_every_shape(name: str, keras: ModuleType) -> None:
    index = {"<OOV>": 1, **{f"w{n}": n for n in range(2, V)}}
    options = {**CASES[name].options, **({} if name == "merged" else {"word_index": index})}
    model, rng = gw.from_keras(made(name, keras), **options), np.random.default_rng(0)
    inputs: Any = [rng.choice(list(index)[1:], 6).tolist() for _ in range(60)]
    labels: Any = [(model.classes * 6)[:6] for _ in inputs]
    if name == "merged":
        inputs, labels = [rng.normal(size=(6, 2)) for _ in inputs], rng.normal(size=(60, 2))
    elif name == "masked_text":
        inputs, labels = [" ".join(words) for words in inputs], ["no", "yes"] * 30
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # few rows
        tuned = gw.train(inputs, labels, task=model.target.task, pretrained=model, epochs=1)
    assert tuned.architecture.layers == model.architecture.layers
    assert tuned.architecture.hidden == model.architecture.hidden
    assert len(tuned.classes) == len(model.classes)


def test_an_option_that_there_is_not_is_refused() -> None:
    module = torch.nn.LSTM(3, 4, batch_first=True)
    wrong: Any = {"clases": ["a", "b"]}
    message = "there is no option 'clases'; the options are output, word_index, classes"
    assert_refused(message, gw.from_torch, module, torch.zeros(1, 5, 3), **wrong)
    assert_refused(message, gw.from_keras, "none.keras", **wrong)
    assert_refused(message, gw.from_onnx, "none.onnx", **wrong)


def test_stored_weights_alone_are_refused_with_what_to_do() -> None:
    weights = torch.nn.LSTM(3, 4).state_dict()
    assert_refused(
        "not OrderedDict; load stored weights into their module", gw.from_torch, weights, torch.zeros(1, 5, 3)
    )
