"""Keras networks as graphs: each value that graph and network have, in float64, for inputs of several sizes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError, ModelFileError
from gatewise.exchange.keras_backend import keras_module
from gatewise.exchange.keras_graph import KerasNetwork, read_keras
from gatewise.exchange.proof import prove
from gatewise.network.operation import Execution

for package in ("torch", "keras"):
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed", allow_module_level=True)

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn.t accept a copy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask:UserWarning"),
]

keras = keras_module()
L = keras.layers
ops = keras.ops

Inputs = Callable[[np.random.Generator, int, int], list[Any]]
"""Of a batch size and a number of steps: the inputs of a network."""

SIZES = ((1, 1), (3, 5), (2, 8))


def ids(rng: np.random.Generator, batch: int, steps: int) -> list[Any]:
    """Ids, of which 0 is masked: in front, within, at the end; in the last row everywhere."""
    array = rng.integers(0, 9, (batch, steps))
    array[rng.random((batch, steps)) < 0.4] = 0
    if batch > 1:
        array[-1] = 0
    return [array.astype(np.int32)]


def series(channels: int) -> Inputs:
    """Numbers, with steps of zeros anywhere."""

    def make(rng: np.random.Generator, batch: int, steps: int) -> list[Any]:
        array = rng.normal(size=(batch, steps, channels))
        array[rng.random((batch, steps)) < 0.3] = 0
        return [array.astype(np.float32)]

    return make


def fixed(*shape: int) -> Inputs:
    return lambda rng, batch, steps: [rng.normal(size=(batch, *shape)).astype(np.float32)]


def several(*makers: Inputs) -> Inputs:
    return lambda rng, batch, steps: [array for make in makers for array in make(rng, batch, steps)]


def randomised(network: Any) -> Any:
    """The network with random weights, which no symmetry hides."""
    rng = np.random.default_rng(5)
    for variable in network.variables:
        if not str(variable.dtype).startswith("float"):
            continue
        array = rng.normal(0, 0.6, variable.shape)
        variable.assign(np.abs(array) + 0.2 if "variance" in variable.path else array)
    return network


def same(network: Any, make: Inputs, sizes: Sequence[tuple[int, int]] = SIZES) -> KerasNetwork:
    """The graph of a network, after all its values have been compared."""
    read = read_keras(randomised(network))
    rng = np.random.default_rng(7)
    for batch, steps in sizes:
        inputs = dict(zip(read.graph.inputs, make(rng, batch, steps), strict=True))
        expected = read.original_values(inputs, read.compared, "float64")
        execution = Execution(dtype=np.float64, keep=False)
        computed = read.graph.run(inputs, execution=execution, values=read.compared)
        for name in read.compared:
            np.testing.assert_allclose(computed[name], expected[name], rtol=1e-7, atol=1e-8, err_msg=name)
        plain = read.original_values(inputs, read.graph.outputs, "float32")
        for name, array in read.graph.run(inputs).items():
            assert array.dtype == plain[name].dtype
            np.testing.assert_allclose(array, plain[name], rtol=2e-4, atol=1e-5, err_msg=name)
    return read


def text(*layers: Any, mask_zero: bool = True) -> Any:
    embedding = L.Embedding(9, 4, mask_zero=mask_zero)
    return keras.Sequential([keras.Input((None,), dtype="int32"), embedding, *layers])


def of_series(*layers: Any, channels: int = 3, steps: int | None = None) -> Any:
    return keras.Sequential([keras.Input((steps, channels)), *layers])


# Recurrence


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize(
    "layer",
    [
        lambda: L.LSTM(5),
        lambda: L.LSTM(5, go_backwards=True, return_sequences=True),
        lambda: L.LSTM(3, activation="relu", recurrent_activation="hard_sigmoid", use_bias=False),
        lambda: L.GRU(4, return_sequences=True),
        lambda: L.GRU(4, reset_after=False, go_backwards=True),
        lambda: L.GRU(4, activation="softsign", use_bias=False),
        lambda: L.SimpleRNN(4, activation="elu", go_backwards=True),
        lambda: L.RNN(L.LSTMCell(4), return_sequences=True, zero_output_for_mask=True),
        lambda: L.RNN(L.GRUCell(4), zero_output_for_mask=True),
        lambda: L.RNN([L.LSTMCell(4), L.GRUCell(3), L.SimpleRNNCell(2)], return_sequences=True),
        lambda: L.RNN([L.GRUCell(4), L.LSTMCell(3)], go_backwards=True),
    ],
)
def test_a_recurrent_layer(layer: Callable[[], Any], masked: bool) -> None:
    same(text(layer(), L.Dense(2), mask_zero=masked), ids)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("sequences", [True, False])
@pytest.mark.parametrize("merge", ["concat", "sum", "ave", "mul"])
def test_two_directions(merge: str, sequences: bool, masked: bool) -> None:
    layer = L.Bidirectional(L.LSTM(4, return_sequences=sequences), merge_mode=merge)
    same(text(layer, L.Dense(2, activation="tanh"), mask_zero=masked), ids)


def test_two_directions_that_are_not_merged() -> None:
    x = keras.Input((None, 3))
    layer = L.Bidirectional(L.GRU(4, return_sequences=True, return_state=True), merge_mode=None)
    read = same(keras.Model(x, list(layer(L.Masking()(x)))), series(3))
    assert len(read.graph.outputs) == 4


def test_another_layer_backwards() -> None:
    layer = L.Bidirectional(L.LSTM(4), backward_layer=L.GRU(4, go_backwards=True))
    same(text(layer), ids)


def test_states_of_other_layers_and_of_the_user() -> None:
    x = keras.Input((None, 3), name="x")
    h0 = keras.Input((4,), name="h0")
    c0 = keras.Input((4,), name="c0")
    h, *states = L.LSTM(4, return_sequences=True, return_state=True)(L.Masking()(x), initial_state=[h0, c0])
    last = L.LSTM(4)(h, initial_state=states)
    both = L.Bidirectional(L.LSTM(4))(x, initial_state=[h0, c0, *states])
    read = same(keras.Model([x, h0, c0], [last, both, *states]), several(series(3), fixed(4), fixed(4)))
    assert list(read.graph.inputs) == ["x", "h0", "c0"]


def test_a_stateful_layer_starts_from_zero() -> None:
    network = keras.Sequential([keras.Input(batch_shape=(2, None, 3)), L.LSTM(4, stateful=True), L.Dense(2)])
    make = series(3)
    network(make(np.random.default_rng(1), 2, 4)[0])
    before = [np.asarray(ops.convert_to_numpy(state.value)) for state in network.layers[0].states]
    same(network, make, [(2, 1), (2, 6)])
    states = read_keras(network).network.layers[0].states
    assert len(states) == len(before)


def test_an_unrolled_layer() -> None:
    same(of_series(L.LSTM(4, unroll=True, return_sequences=True), L.Flatten(), L.Dense(2), steps=7), fixed(7, 3))


def test_encoder_and_decoder_with_a_teacher() -> None:
    source, target = keras.Input((None, 3), name="source"), keras.Input((None, 2), name="target")
    _, *states = L.LSTM(4, return_state=True)(source)
    h = L.LSTM(4, return_sequences=True)(target, initial_state=states)
    network = keras.Model([source, target], L.TimeDistributed(L.Dense(3, activation="softmax"))(h))
    read = same(network, lambda rng, b, t: [series(3)(rng, b, t)[0], series(2)(rng, b, t + 2)[0]])
    assert str(read.graph.inputs["target"]) == "float (B, T_target, 2)"


def test_an_autoencoder() -> None:
    same(
        of_series(L.LSTM(3), L.RepeatVector(4), L.LSTM(2, return_sequences=True), L.TimeDistributed(L.Dense(2))),
        series(3),
    )


# Masks and pooling


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("pooling", [L.GlobalAveragePooling1D, L.GlobalMaxPooling1D])
def test_pooling(pooling: Any, keepdims: bool) -> None:
    """A mean of no step is NaN, as in Keras; a maximum reads masked steps, too."""
    same(text(L.Bidirectional(L.LSTM(4, return_sequences=True)), pooling(keepdims=keepdims)), ids)


def test_a_mask_goes_through_layers_and_operations() -> None:
    x = keras.Input((None,), dtype="int32")
    h = L.Embedding(9, 4, mask_zero=True)(x)
    h = L.Dropout(0.5)(L.Dense(4, activation="gelu")(L.SpatialDropout1D(0.3)(h)))
    h = L.Add()([h, L.LSTM(4, return_sequences=True)(h)])
    h = L.LayerNormalization()(L.GaussianNoise(0.1)(h))
    same(keras.Model(x, L.Concatenate()([L.GRU(3)(h), L.GlobalAveragePooling1D()(h)])), ids)


def test_a_model_within_a_model_reads_the_mask() -> None:
    """Its own graph was built without one."""
    inner = keras.Sequential([keras.Input((None, 4)), L.LSTM(3, return_sequences=True), L.Dense(4)])
    x = keras.Input((None,), dtype="int32")
    same(keras.Model(x, L.LSTM(2)(inner(L.Embedding(9, 4, mask_zero=True)(x)))), ids)


def test_documents_of_sentences() -> None:
    sentence = keras.Input((None,), dtype="int32")
    encoder = keras.Model(sentence, L.LSTM(3)(L.Embedding(9, 4, mask_zero=True)(sentence)))
    document = keras.Input((None, None), dtype="int32")
    network = keras.Model(document, L.LSTM(2)(L.TimeDistributed(encoder)(document)))
    same(network, lambda rng, b, t: [rng.integers(0, 9, (b, t, 4)).astype(np.int32)])


# Inputs and outputs


def test_a_layer_that_is_called_twice() -> None:
    left, right = keras.Input((None,), dtype="int32"), keras.Input((None,), dtype="int32")
    embedding, layer = L.Embedding(9, 4, mask_zero=True), L.LSTM(3)
    u, v = layer(embedding(left)), layer(embedding(right))
    network = keras.Model([left, right], L.Dense(2)(L.Concatenate()([u, v, ops.abs(u - v), u * v])))
    read = same(network, lambda rng, b, t: [*ids(rng, b, t), *ids(rng, b, t + 1)])
    assert sum(name.endswith("weight_ih") for name in read.graph.constants) == 1


def test_columns_of_one_text_have_one_length() -> None:
    words, tags = keras.Input((None,), dtype="int32", name="words"), keras.Input((None,), dtype="int32", name="tags")
    x = L.Concatenate()([L.Embedding(9, 4)(words), L.Embedding(9, 2)(tags)])
    h = L.LSTM(3, return_sequences=True)(x)
    outputs = {"topic": L.Dense(2)(L.GlobalMaxPooling1D()(h)), "labels": L.Dense(4, activation="softmax")(h)}
    read = same(keras.Model({"words": words, "tags": tags}, outputs), several(ids, ids))
    assert read.graph.symbols == ("B", "T")
    assert set(read.graph.outputs) == {"topic", "labels"}


def test_ids_and_numbers() -> None:
    words, table = keras.Input((None,), dtype="int32"), keras.Input((5,))
    h = L.LSTM(3)(L.Embedding(9, 4, mask_zero=True)(words))
    network = keras.Model([words, table], L.Dense(1, activation="sigmoid")(L.Concatenate()([h, L.Dense(3)(table)])))
    same(network, several(ids, fixed(5)))


# Attention


def attended(h: Any) -> list[Any]:
    scores = L.Dense(1, activation="tanh")(h)
    shares = ops.softmax(scores, axis=1)
    return [
        ops.sum(h * shares, axis=1),
        L.Dot(axes=1)([ops.squeeze(shares, -1), h]),
        L.GlobalMaxPooling1D()(L.Attention(use_scale=True)([h, h])),
        L.GlobalMaxPooling1D()(L.Attention()([h, h], use_causal_mask=True)),
        L.GlobalMaxPooling1D()(L.AdditiveAttention()([h, h])),
        L.MultiHeadAttention(2, 3)(h, h),
        L.MultiHeadAttention(2, 3, dropout=0.1)(h, h, use_causal_mask=True),
    ]


@pytest.mark.parametrize("mask_zero", [True, False])
def test_attention(mask_zero: bool) -> None:
    x = keras.Input((None,), dtype="int32")
    h = L.LSTM(4, return_sequences=True)(L.Embedding(9, 4, mask_zero=mask_zero)(x))
    same(keras.Model(x, attended(h)), ids)


# Layers without recurrence


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [L.Conv1D(6, 3, padding="same", dilation_rate=2, activation="relu")],
        lambda: [L.Conv1D(6, 3, padding="causal", use_bias=False)],
        lambda: [L.Conv1D(6, 4, padding="same", strides=2, groups=2)],
        lambda: [L.SeparableConv1D(6, 3, padding="same", depth_multiplier=2), L.MaxPooling1D(2, padding="same")],
        lambda: [L.DepthwiseConv1D(3, padding="same", depth_multiplier=2), L.AveragePooling1D(3, 1, padding="same")],
        lambda: [L.AveragePooling1D(2, padding="same"), L.AveragePooling1D(2, 1, padding="same")],
        lambda: [L.BatchNormalization(), L.LayerNormalization(), L.GroupNormalization(2)],
        lambda: [
            L.BatchNormalization(scale=False),
            L.BatchNormalization(center=False),
            L.UnitNormalization(),
            L.RMSNormalization(),
        ],
        lambda: [L.UpSampling1D(2), L.ZeroPadding1D((1, 2)), L.Cropping1D((1, 1))],
        lambda: [L.ReLU(max_value=1.2, negative_slope=0.2, threshold=0.1), L.PReLU(shared_axes=[1])],
        lambda: [L.LeakyReLU(0.1), L.ELU(0.7), L.Softmax()],
        lambda: [L.Rescaling(0.1, offset=2.0), L.Normalization(mean=[1.0, 2, 3, 4], variance=[1.0, 4, 0.5, 2])],
    ],
)
def test_layers_on_sequences_of_any_length(layers: Callable[[], list[Any]]) -> None:
    same(of_series(*layers(), L.LSTM(3), channels=4), series(4))


def test_layers_on_sequences_of_one_length() -> None:
    layers = [L.AveragePooling1D(3, strides=2), L.Permute((2, 1)), L.LSTM(3), L.RepeatVector(4), L.Reshape((2, -1))]
    same(
        of_series(*layers, L.GRU(2, return_sequences=True), L.Flatten(), L.Dense(2), channels=4, steps=11), fixed(11, 4)
    )


@pytest.mark.parametrize(
    "name",
    [
        "gelu",
        "mish",
        "swish",
        "exponential",
        "hard_sigmoid",
        "softplus",
        "selu",
        "log_softmax",
        "celu",
        "tanh_shrink",
        "hard_shrink",
        "squareplus",
        "soft_shrink",
        "log_sigmoid",
        "relu6",
        "hard_tanh",
        "hard_silu",
    ],
)
def test_an_activation(name: str) -> None:
    same(of_series(L.LSTM(4, return_sequences=True), L.Activation(name)), series(3), [(2, 3)])


def test_numbers_of_categories() -> None:
    x, numbers = keras.Input((None,), dtype="int32"), keras.Input((8, 3))
    h = L.LSTM(3)(L.CategoryEncoding(9, output_mode="one_hot")(x))
    network = keras.Model([x, numbers], [h, L.LSTM(2)(ops.one_hot(x, 9)), L.Discretization([0.0, 0.7])(numbers)])
    same(network, several(lambda rng, b, t: ids(rng, b, t + 1), fixed(8, 3)))
    # Keras removes an axis of size 1 there, so that one step is another network.
    graph = read_keras(network).graph
    one_step = (np.ones((2, 1), np.int32), np.ones((2, 8, 3), np.float32))
    with pytest.raises(InputError, match=r"axis 1 of .* must be another number than 1"):
        graph.run(dict(zip(graph.inputs, one_step, strict=True)))


def test_float64() -> None:
    x = keras.Input((None, 3), dtype="float64")
    same(keras.Model(x, L.LSTM(3, dtype="float64")(x)), series(3))


# keras.ops and code of the user


def test_a_sequential_model_within_a_model() -> None:
    """It converts its inputs to the dtype of its InputLayer: to float32, where the rest computed in float64."""
    within = keras.Sequential([keras.Input((None, 4)), L.Dense(5, activation="tanh"), L.Dense(3)])
    x = keras.Input((None, 3))
    network = keras.Model(x, L.Dense(2)(L.LSTM(5)(within(L.Dense(4)(x)))))
    assert prove(read_keras(network)).cases > 10
    assert within.layers[0].dtype == "float32"
    assert within.input_dtype == "float32"


def test_a_maximum_of_nan_is_nan_on_torch() -> None:
    """A network that makes NaN of numbers is compared as any other: on PyTorch a maximum with NaN is NaN."""
    if keras.config.backend() != "torch":
        pytest.skip("other backends do not define it")
    x = keras.Input((None, 3))
    h = L.LSTM(4)(L.MaxPooling1D(2, padding="same")(ops.log(x + 1.5)))
    proof = prove(read_keras(keras.Model(x, L.Dense(2)(h))))
    assert not [reason for reason in proof.refused.values() if "NaN" in reason]


def test_operations_of_keras() -> None:
    x = keras.Input((None, 3))
    h = L.LSTM(4, return_sequences=True)(x)
    outputs = [
        ops.concatenate([ops.max(h, axis=1), ops.mean(h, axis=1), h[:, 0], ops.std(h, axis=1)], axis=-1),
        h[:, -1] @ ops.transpose(h[:, -1]),
        x[:, -1:, :] + L.Dense(3)(ops.flip(h, axis=1) - x[:, -1:, :1]),
        ops.where(x > 0.2, ops.log1p(ops.abs(x)), ops.expm1(x)) / (1.0 + ops.square(x)),
        ops.cumsum(ops.cast(ops.not_equal(x, 0.0), "float32"), axis=1),
        ops.clip(ops.flip(x, axis=1), -0.5, 0.4) * ops.sign(x) - ops.minimum(x, 0.1),
        ops.einsum("bth,bsh->bts", h, h),
        ops.stack(ops.split(h, 2, axis=-1), axis=1),
        ops.repeat(h, 2, axis=1)[:, :3, None],
        ops.argmax(x, axis=-1),
        ops.logsumexp(h, axis=(1, 2)),
        ops.mod(x, 0.3) + ops.floor_divide(x, 0.7),
        ops.pad(h, [[0, 0], [2, 0], [0, 1]]),
        ops.tile(ops.swapaxes(h, 1, 2), (1, 2, 1)),
    ]
    same(keras.Model(x, outputs), series(3), [(2, 1), (3, 5)])


def test_the_sign_of_nan_is_that_of_the_backend() -> None:
    x = keras.Input((3,))
    same(keras.Model(x, ops.sign(x)), lambda rng, b, t: [np.array([[np.nan, -2, 0.5]] * b, np.float32)])


class LastStep(L.Layer):  # type: ignore[misc]
    """The last step that is not masked, by its number."""

    def call(self, h: Any, mask: Any = None) -> Any:
        last = ops.maximum(ops.sum(ops.cast(mask, "int32"), axis=1) - 1, 0)
        return ops.squeeze(ops.take_along_axis(h, last[:, None, None], axis=1), 1)


class Positions(L.Layer):  # type: ignore[misc]
    """Token and position embeddings, with the mask of the tokens, and a constant of the layer."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = L.Embedding(9, 4, mask_zero=True)
        self.positions = L.Embedding(20, 4)

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=(4,), name="scale")
        super().build(shape)

    def call(self, ids: Any) -> Any:
        steps = ops.shape(ids)[-1]
        return self.scale * self.tokens(ids) + self.positions(ops.arange(steps)) + ops.zeros((1, steps, 4))


class Embedded(L.Layer):  # type: ignore[misc]
    """What it calls last makes a mask, which its output has when it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = L.Embedding(9, 4, mask_zero=True)

    def call(self, ids: Any) -> Any:
        return self.tokens(ids)


class Classifier(keras.Model):  # type: ignore[misc]
    """Nothing but a call."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = L.Embedding(9, 4, mask_zero=True)
        self.lstm = L.LSTM(3, return_sequences=True)
        self.last = LastStep()
        self.dense = L.Dense(2)

    def call(self, ids: Any, training: bool = False) -> Any:
        return self.dense(self.last(self.lstm(self.tokens(ids))))


def test_layers_of_the_user() -> None:
    x = keras.Input((None,), dtype="int32")
    h = L.Lambda(lambda h: h[:, -1] * 2 + ops.mean(h, axis=1))(L.LSTM(3, return_sequences=True)(Positions()(x)))
    same(keras.Model(x, h), ids)


def test_a_layer_that_reads_the_shape() -> None:
    same(of_series(Rows(), L.GroupNormalization(1), L.LSTM(2)), series(3), [(1, 2), (3, 5), (2, 8)])


def test_a_mask_that_a_layer_of_the_user_makes() -> None:
    same(text_of(Embedded()), ids)


def text_of(layer: Any) -> Any:
    return keras.Sequential([keras.Input((None,), dtype="int32"), layer, L.LSTM(3)])


def test_a_model_that_is_a_class_with_a_call() -> None:
    network = Classifier()
    network(ids(np.random.default_rng(0), 2, 5)[0])
    same(network, lambda rng, b, t: [ids(rng, b, t)[0].astype(np.float32)])


# What stays as it was


def test_the_network_of_the_user_stays_as_it_was() -> None:
    network = randomised(text(L.Bidirectional(L.LSTM(3)), L.BatchNormalization(), L.Dense(2)))
    x = ids(np.random.default_rng(0), 3, 6)[0]
    before = ops.convert_to_numpy(network(x))
    weights = [ops.convert_to_numpy(variable.value).copy() for variable in network.variables]
    nodes = [len(layer._inbound_nodes) for layer in network.layers]
    read = read_keras(network)
    read.original_values({next(iter(read.graph.inputs)): x}, read.compared, "float64")
    assert [len(layer._inbound_nodes) for layer in network.layers] == nodes
    assert {layer.dtype_policy.name for layer in network.layers} == {"float32"}
    assert {str(variable.dtype) for variable in network.variables} <= {"float32", "int32"}
    for variable, array in zip(network.variables, weights, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable.value), array)
    np.testing.assert_array_equal(ops.convert_to_numpy(network(x)), before)
    assert keras.config.floatx() == "float32"
    assert keras.backend.result_type("float64", "float64") == "float32"


def test_a_file(tmp_path: Path) -> None:
    network = randomised(text(L.Bidirectional(L.LSTM(3)), L.Dense(2)))
    path = tmp_path / "network.keras"
    network.save(path)
    x = ids(np.random.default_rng(0), 3, 6)[0]
    read = read_keras(path)
    [result] = read.graph.run({next(iter(read.graph.inputs)): x}).values()
    np.testing.assert_allclose(result, ops.convert_to_numpy(network(x)), rtol=1e-5, atol=1e-6)


# Refusals


class Reader(L.Layer):  # type: ignore[misc]
    def call(self, x: Any) -> Any:
        return ops.convert_to_tensor(np.asarray(x) + 1)


class Branch(L.Layer):  # type: ignore[misc]
    def call(self, x: Any) -> Any:
        return x if ops.shape(x)[1] > 3 else -x

    def compute_output_shape(self, shape: Any) -> Any:
        return shape


class Counter(L.Layer):  # type: ignore[misc]
    def build(self, shape: Any) -> None:
        self.calls = self.add_weight(shape=(), trainable=False)

    def call(self, x: Any) -> Any:
        self.calls.assign_add(1.0)
        return x * 2


class Guess(L.Layer):  # type: ignore[misc]
    """It does something else on symbolic tensors."""

    def call(self, x: Any) -> Any:
        return x - ops.mean(x, axis=0) if hasattr(x, "numpy") else x


class Rows(L.Layer):  # type: ignore[misc]
    """It reads the shape, as a tensor has it when the network runs."""

    def call(self, x: Any) -> Any:
        batch, steps, channels = x.shape
        pairs = ops.reshape(x[:, : steps // 2 * 2], (batch, -1, 2, channels))
        return ops.reshape(ops.mean(pairs, axis=2), (batch, steps // 2, channels)) + ops.ones((steps // 2, 1))


class OwnCell(L.Layer):  # type: ignore[misc]
    state_size = 3
    output_size = 3

    def call(self, x: Any, states: Any) -> Any:
        return x, [x]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (lambda: [L.LSTM(3), L.Dropout(0.5, name="d"), dropping()], r"lambda \(Lambda\), layer 3 of 3.*training"),
        (lambda: [Branch(name="b"), L.LSTM(3)], r"b \(Branch\), layer 1 of 2 \(test_keras_graph.py, line \d+.*size T"),
        (lambda: [Counter(name="n"), L.LSTM(3)], r"n \(Counter\), layer 1 of 2.*changes variables of the network"),
        (lambda: [counting(), L.LSTM(3)], "something else each time it is called"),
        (lambda: [L.Lambda(lambda x: x + keras.random.normal(ops.shape(x))), L.LSTM(3)], r"Lambda.*random numbers"),
        (
            lambda: [L.Lambda(lambda x: x + keras.random.normal((3,)), name="r"), L.LSTM(3)],
            r"r \(Lambda\), layer 1 of 2.* draws random numbers",
        ),
        (lambda: [L.Lambda(lambda x: x * 2 if (x.shape[1] or 0) > 8 else x)], r"Lambda.*the size T is compared"),
        (lambda: [Guess(name="g"), L.LSTM(3)], "something else on tensors than on symbolic tensors"),
        (
            lambda: [L.Lambda(lambda x: ops.cond(ops.max(x) > 1, lambda: x * 2, lambda: x), name="c")],
            r"c \(Lambda\), layer 1 of 1: .*Cond.*test_keras_graph.py, line .*does not read .*; .*keras.ops.where",
        ),
        (lambda: [patched()], r"l \(LSTM\), layer 1 of 1: l: its method call is not that of its class"),
        (lambda: [L.RNN(OwnCell(name="own"), name="r")], r"r \(RNN\), layer 1 of 1: its cell 'OwnCell'"),
        (
            lambda: [L.LSTM(3, activation="sparsemax", name="l")],
            r"l \(LSTM\), layer 1 of 1: its activation 'sparsemax'",
        ),
        (lambda: [L.AveragePooling1D(3, padding="same", name="p")], r"p \(AveragePooling1D\).*padding='valid'"),
    ],
)
def test_what_is_refused(layers: Callable[[], list[Any]], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_keras(of_series(*layers()))
    assert "\n" not in str(caught.value)


def counting() -> Any:
    """A function that counts its calls."""
    calls: list[int] = []

    def counted(x: Any) -> Any:
        calls.append(1)
        return x * len(calls)

    return L.Lambda(counted)


def patched() -> Any:
    """An instance with another call than its class."""
    layer = L.LSTM(3, name="l")
    call = layer.call
    layer.call = lambda sequences, initial_state=None, mask=None, training=False: call(sequences) * 0.5
    return layer


def dropping() -> Any:
    dropout = L.Dropout(0.5)
    return L.Lambda(lambda x: dropout(x, training=True), name="lambda", output_shape=(3,))


def test_a_network_that_was_not_called_is_refused() -> None:
    with pytest.raises(InputError, match=r"Classifier.*call it once"):
        read_keras(Classifier())


def test_half_precision_is_refused() -> None:
    with pytest.raises(InputError, match=r"half .LSTM.: its dtype policy is 'mixed_float16'"):
        read_keras(of_series(L.LSTM(3, dtype="mixed_float16", name="half")))


def test_code_of_a_file_does_not_run(tmp_path: Path) -> None:
    network = of_series(L.LSTM(3), L.Lambda(lambda h: h * 2, output_shape=(3,)))
    path = tmp_path / "network.keras"
    network.save(path)
    with pytest.raises(ModelFileError, match="Keras does not open it"):
        read_keras(path)


def test_importing_the_reader_does_not_import_keras() -> None:
    code = "import gatewise.exchange.keras_graph, sys; assert 'keras' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
