"""`to_keras`, `to_torch`, and networks that become models: equal logits both ways, also without gatewise."""

import functools
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import gatewise as gw
from gatewise.errors import DataWarning
from gatewise.exchange.keras_model import PAD_VALUE
from gatewise.members.encoded_sequence import EncodedSequence, steps_of
from gatewise.model.model import Model
from gatewise.network.architecture import Layer
from gatewise.types import Array
from tests.children import run_child
from tests.exchange.random_models import CASES, OTHER_SHAPES, TOKENS, WORDS, random_inputs, random_model
from tests.refusals import assert_refused

SHAPES: dict[str, dict[str, Any]] = {
    "last": {},
    "two layers, both directions": {"pooling": "mean+max", "bidirectional": True, "layers": 2, "classes": 3},
    "pads in front": {"padding": "pre", "max_length": 30, "layers": 2},
    **{name: options | {"max_length": 30} for name, options in OTHER_SHAPES.items()},
}
# Keras's own variables, on the torch backend, under NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def padded(model: Model, inputs: list[Any], more: int = 0) -> Array:
    """(n, T, ...): at the end, with further steps, or in front up to max_length."""
    sequences = steps_of(model.preprocessor.encode_batch(inputs))
    front = model.architecture.padding == "pre"
    width = model.architecture.max_length if front else max(map(len, sequences)) + more
    fill = PAD_VALUE if model.channels else 0
    found = np.full((len(inputs), width, *sequences[0].shape[1:]), fill, dtype=sequences[0].dtype)
    for row, one in zip(found, sequences, strict=True):
        row[-len(one) if front else 0 : None if front else len(one)] = one
    return found


@pytest.mark.usefixtures("short_comparison")
@pytest.mark.parametrize("name", SHAPES)
def test_a_file_of_keras_gives_equal_logits(keras: ModuleType, tmp_path: Path, name: str) -> None:
    model = random_model(**SHAPES[name])
    inputs = random_inputs(model)
    gw.to_keras(model).save(tmp_path / "model.keras")
    network = keras.models.load_model(tmp_path / "model.keras")
    found, wanted = network.predict(padded(model, inputs, 3), verbose=0), model.logits(inputs)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)
    if name not in OTHER_SHAPES:
        again = gw.from_keras(network, word_index=TOKENS, classes=model.classes, task="classification")
        assert again.architecture == model.architecture
        np.testing.assert_array_equal(again.logits(inputs), wanted)


def test_without_pooling_every_step_has_logits_in_keras(keras: ModuleType) -> None:
    model = random_model(layers=(Layer(5, "both"),), pooling="none", classes=3)
    [sequence] = steps_of(model.preprocessor.encode_batch(["word1 word2 word3"]))
    found = gw.to_keras(model).predict(np.pad(sequence, (0, 4))[None], verbose=0)[0]
    np.testing.assert_allclose(found[:3], model.ensemble.lstm.logits([sequence]), rtol=0, atol=1e-5)


@pytest.mark.usefixtures("short_comparison")
def test_keras_computes_with_one_thread_of_torch(keras: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    layers = keras.layers
    network = keras.Sequential(
        [keras.Input((12,)), layers.Embedding(TOKENS.vocab_size, 4), layers.LSTM(7), layers.Dense(1, "sigmoid")]
    )
    threads = []
    call = layers.LSTM.call

    @functools.wraps(call)
    def counted(self: Any, *args: Any, **options: Any) -> Any:
        threads.append(torch.get_num_threads())
        return call(self, *args, **options)

    monkeypatch.setattr(layers.LSTM, "call", counted)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        gw.from_keras(network, word_index=TOKENS, classes=["no", "yes"])
        assert set(threads) == {1}
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_large_logits_are_compared(keras: ModuleType) -> None:
    """A float32 probability of 1 tells nothing of its logit: the check must not read it from there."""
    layers = keras.layers
    embedding, dense = layers.Embedding(TOKENS.vocab_size, 4), layers.Dense(1, activation="sigmoid")
    network = keras.Sequential([keras.Input((12,)), embedding, layers.LSTM(7), dense])
    rng = np.random.default_rng(0)
    network.set_weights([10 * rng.normal(size=array.shape) for array in network.get_weights()])
    model = gw.from_keras(network, word_index=TOKENS, classes=["no", "yes"])
    texts = random_inputs(model, 50, longest=12)
    assert np.abs(model.logits(texts)).max() > 30
    output = network.predict(padded(model, texts), verbose=0)[:, 0]
    assert np.abs(model.predict_proba(texts)[:, 1] - output).max() < 1e-5
    assert network.layers[-1].activation is keras.activations.sigmoid, "it is as it was"


def test_the_network_of_an_ensemble(keras: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    bundled = gw.load()
    assert_refused("network_only=True", gw.to_keras, bundled)
    network, text = gw.to_keras(bundled, network_only=True), "A film to see twice."
    logits = network.predict(padded(bundled, [text]), verbose=0)
    alone = replace(bundled, ensemble=bundled.ensemble.alone())
    assert np.abs(logits - alone.logits([text])).max() < 1e-4
    assert_refused("gate=", gw.to_keras, random_model(gate="binary"))
    monkeypatch.setitem(sys.modules, "keras", None)
    assert_refused("pip install keras", gw.to_keras, random_model())


EXAMPLE = torch.zeros(2, 4, dtype=torch.int64)
VOCABULARY = ["[PAD]", "[UNK]", *sorted(WORDS)]


def run(module: Any, model: Model, inputs: list[Any]) -> Array:
    """Logits of inputs that are padded at the end with other ids than 0."""
    sequences = [torch.from_numpy(one.steps) for one in model.preprocessor.encode_batch(inputs)]
    lengths = torch.tensor([len(one) for one in sequences])
    padded = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True, padding_value=1)
    with torch.no_grad():
        found: Array = module(padded if model.channels else padded.long(), lengths).numpy()
    return found


@pytest.mark.parametrize("name", [name for name, how in CASES.items() if how.get("linear") != "convolutions"])
def test_the_module_gives_equal_logits(name: str) -> None:
    model = random_model(**CASES[name])
    inputs, module = random_inputs(model), gw.to_torch(model)
    assert sum(isinstance(part, torch.nn.LSTM) for part in module.modules()) == len([*model.architecture.lstms()])
    has_characters = "ngrams.characters" in module.state_dict()
    assert has_characters == ("character" in name), "words load the state of earlier versions"
    wanted = model.logits(inputs)
    np.testing.assert_allclose(run(module, model, inputs), wanted, rtol=0, atol=1e-5)
    one = torch.from_numpy(model.preprocessor.encode_batch(inputs[:1])[0].steps[None])
    for dtype in [one.dtype] if model.channels else [one.dtype, torch.int64]:  # int32 is what the preprocessor returns
        with torch.no_grad():
            np.testing.assert_allclose(module(one.to(dtype)).numpy(), wanted[:1], rtol=0, atol=1e-5)


def test_the_module_runs_without_gatewise(tmp_path: Path) -> None:
    model = random_model(pooling="mean+max", bidirectional=True, max_length=8, linear="scaled character ngrams")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch.jit
        torch.jit.script(gw.to_torch(model)).save(str(tmp_path / "network.pt"))
    ids = np.random.default_rng(2).integers(1, TOKENS.vocab_size, (3, 11))
    code = f"""
import sys
sys.modules["gatewise"] = None
import torch
network = torch.jit.load({str(tmp_path / "network.pt")!r})
print(network(torch.tensor({ids.tolist()})).flatten().tolist())
"""
    done = run_child([sys.executable, "-W", "ignore", "-c", code])
    assert done.returncode == 0, done.stderr
    logits = model.ensemble.logits(list(map(EncodedSequence, ids)))[:, 0]
    np.testing.assert_allclose(np.array(eval(done.stdout)), logits, rtol=0, atol=1e-5)


def test_without_pooling_every_step_has_logits() -> None:
    model = random_model(layers=(Layer(5, "both"),), pooling="none", classes=3, max_length=8)
    inputs, module = random_inputs(model), gw.to_torch(model)
    for found, one in zip(run(module, model, inputs), model.preprocessor.encode_batch(inputs), strict=True):
        wanted = model.ensemble.lstm.logits([one.steps])
        np.testing.assert_allclose(found[: len(wanted)], wanted, rtol=0, atol=1e-5)


@pytest.mark.filterwarnings("ignore")  # in torch itself
def test_an_exported_program_takes_any_batch_and_number_of_steps(tmp_path: Path) -> None:
    model = random_model(layers=(Layer(4, "both"),), pooling="mean+max", linear="scaled ngrams", max_length=8)
    module, dim = gw.to_torch(model).eval(), torch.export.Dim.DYNAMIC
    example = torch.arange(1, 12).repeat(2, 1), torch.tensor([11, 3])
    program = torch.export.export(module, example, dynamic_shapes=({0: dim, 1: dim}, {0: dim}))
    torch.export.save(program, tmp_path / "network.pt2")
    again = torch.export.load(tmp_path / "network.pt2").module()
    rng = np.random.default_rng(4)
    for batch, steps in ((3, 20), (1, 1), (5, 8)):
        ids = torch.from_numpy(rng.integers(1, TOKENS.vocab_size, (batch, steps)))
        lengths = torch.from_numpy(rng.integers(1, steps + 1, batch))
        with torch.no_grad():
            torch.testing.assert_close(again(ids, lengths), module(ids, lengths), rtol=0, atol=1e-5)


def test_what_cannot_be_converted() -> None:
    model = random_model(inputs="channels", linear="convolutions")
    assert_refused("network_only=True", gw.to_torch, model)
    inputs = random_inputs(model)
    network = random_model(inputs="channels")
    np.testing.assert_allclose(
        run(gw.to_torch(model, network_only=True), model, inputs), network.logits(inputs), atol=1e-5
    )
    assert_refused("sigmoid gates only", gw.to_torch, random_model(gate="binary"))


class Plain(torch.nn.Module):
    """What a PyTorch user writes. tests/exchange/test_convert.py has more of them."""

    def __init__(self, outputs: int = 1, end: Any = None) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.embedding, self.drop = torch.nn.Embedding(TOKENS.vocab_size, 5), torch.nn.Dropout(0.5)
        self.lstm = torch.nn.LSTM(5, 7, bias=False, batch_first=True)
        self.linear, self.end = torch.nn.Linear(7, outputs), end or torch.nn.Identity()

    def forward(self, ids: Tensor) -> Tensor:
        found: Tensor = self.end(self.linear(self.drop(self.lstm(self.embedding(ids))[0].mean(1))))
        return found


@pytest.mark.usefixtures("short_comparison")
@pytest.mark.parametrize("directions", ["forward", "both"])
def test_there_and_back(directions: Any) -> None:
    model = random_model(pooling="mean+max", layers=(Layer(5, directions), Layer(4, directions)))
    module, example = gw.to_torch(model).train(), (EXAMPLE, torch.tensor([4, 3]))
    part = next(module.children()).eval()
    again = gw.from_torch(module, example, word_index=TOKENS, classes=model.classes)
    assert [module.training, part.training] == [True, False], "it is as it was"
    inputs = random_inputs(model)
    if directions == "forward":
        assert again.architecture == model.architecture
        np.testing.assert_array_equal(again.logits(inputs), model.logits(inputs))
    else:  # a backward direction gathers the steps of each sequence in reverse order
        np.testing.assert_allclose(again.logits(inputs), model.logits(inputs), rtol=0, atol=1e-5)


def test_modules_of_another_shape_are_refused() -> None:
    for module, message in (
        (torch.nn.Linear(3, 2), "Linear: .*must have same reduction dim"),
        (Plain(end=torch.nn.Sigmoid()), "3 names are given"),
        (torch.nn.Sequential(*Plain().children()), "Sequential: .*must be Tensor, not tuple"),
        (3, "a torch.nn.Module is read, not int"),
    ):
        assert_refused(message, gw.from_torch, module, EXAMPLE, word_index=TOKENS, classes=["no", "yes", "perhaps"])
    gw.from_torch(Plain(end=torch.nn.Flatten(0, 1)), EXAMPLE, word_index=TOKENS, classes=["no", "yes"])
    cased = ["[PAD]", "[UNK]", "The", "film-maker", "film", *VOCABULARY[5:]]
    with pytest.warns(DataWarning, match="2 words are found in no text, such as 'The', 'film-maker': tokens are in"):
        gw.from_torch(Plain(), EXAMPLE, word_index=cased, classes=["no", "yes"])
    for vocabulary, message in (
        (VOCABULARY[:-1], "29 entries, and the embedding has 30 rows"),
        ([*VOCABULARY[:-1], VOCABULARY[-2]], "29 of them distinct"),
    ):
        assert_refused(message, gw.from_torch, Plain(), EXAMPLE, word_index=vocabulary)
