"""Networks of Keras as people write them in guides, tutorials and repositories, with random weights.

Each is written anew from what it computes, in the idioms of its authors, and small. A function that builds one takes
the module `keras`.
"""

# ruff: noqa: RUF059 - the idioms of their authors, who unpack what they do not read

from __future__ import annotations

from typing import Any

import numpy as np

from tests.exchange.zoo.case import Case, Inputs, ids, joined, numbers, series, table

V = 23  # entries of a vocabulary
C = 3  # channels of a series


# Texts


def imdb_lstm(keras):
    layers = keras.layers
    model = keras.Sequential()
    model.add(keras.Input((None,)))
    model.add(layers.Embedding(V, 6))
    model.add(layers.LSTM(7, dropout=0.2, recurrent_dropout=0.2))
    model.add(layers.Dense(1, activation="sigmoid"))
    return model


def bidirectional_imdb(keras):
    layers = keras.layers
    inputs = keras.Input(shape=(None,), dtype="int32")
    x = layers.Embedding(V, 6)(inputs)
    x = layers.Bidirectional(layers.LSTM(5, return_sequences=True))(x)
    x = layers.Bidirectional(layers.LSTM(4))(x)
    outputs = layers.Dense(1, activation="sigmoid")(x)
    return keras.Model(inputs, outputs)


def masked_text(keras):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            layers.Embedding(V, 6, mask_zero=True),
            layers.Bidirectional(layers.LSTM(5)),
            layers.Dense(6, activation="relu"),
            layers.Dense(1),
        ]
    )


def masked_pooling(pooling):
    def network(keras):
        layers = keras.layers
        inputs = keras.Input((None,), dtype="int32")
        x = layers.Embedding(V, 6, mask_zero=True)(inputs)
        x = layers.LSTM(5, return_sequences=True)(x)
        x = getattr(layers, pooling)()(x)
        return keras.Model(inputs, layers.Dense(3, activation="softmax")(x))

    return network


def masked_tagger(keras):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            layers.Embedding(V, 6, mask_zero=True),
            layers.Bidirectional(layers.LSTM(5, return_sequences=True, recurrent_dropout=0.1)),
            layers.TimeDistributed(layers.Dense(4, activation="softmax")),
        ]
    )


def masked_stack(keras):
    layers = keras.layers
    inputs = keras.Input((None,), dtype="int32")
    x = layers.Embedding(V, 6, mask_zero=True)(inputs)
    x = layers.SpatialDropout1D(0.2)(x)
    x = layers.GRU(5, return_sequences=True)(x)
    x = layers.BatchNormalization()(x)
    x = layers.LSTM(4, return_sequences=True, go_backwards=True)(x)
    x = layers.SimpleRNN(4)(x)
    return keras.Model(inputs, layers.Dense(2)(x))


def masked_attention(keras):
    layers = keras.layers
    inputs = keras.Input((None,), dtype="int32")
    x = layers.Embedding(V, 6, mask_zero=True)(inputs)
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(x)
    attended = layers.Attention(use_scale=True)([x, x])
    x = layers.Concatenate()([x, attended])
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(x))


def additive_attention(keras):
    layers = keras.layers
    inputs = keras.Input((None,), dtype="int32")
    x = layers.Embedding(V, 6)(inputs)
    outputs, h, c = layers.LSTM(5, return_sequences=True, return_state=True)(x)
    query = layers.Reshape((1, 5))(h)
    context = layers.AdditiveAttention()([query, outputs])
    x = layers.Flatten()(context)
    return keras.Model(inputs, layers.Dense(3)(layers.Concatenate()([x, c])))


def multihead_attention(keras):
    layers = keras.layers
    inputs = keras.Input((None,), dtype="int32")
    x = layers.Embedding(V, 6, mask_zero=True)(inputs)
    x = layers.LSTM(6, return_sequences=True)(x)
    attended = layers.MultiHeadAttention(num_heads=2, key_dim=4)(x, x)
    x = layers.LayerNormalization(epsilon=1e-6)(layers.Add()([x, attended]))
    x = layers.GlobalMaxPooling1D()(x)
    return keras.Model(inputs, layers.Dense(1)(x))


def softmax_attention(keras):
    """Scores by a dense layer, a softmax over the steps, a sum by Lambda."""
    layers = keras.layers
    inputs = keras.Input((None,), dtype="int32")
    x = layers.Embedding(V, 6)(inputs)
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(x)
    scores = layers.Dense(1, activation="tanh")(x)
    weights = layers.Softmax(axis=1)(scores)
    x = layers.Multiply()([x, weights])
    x = layers.Lambda(lambda t: keras.ops.sum(t, axis=1))(x)
    return keras.Model(inputs, layers.Dense(2)(x))


def permuted_attention(keras):
    """Weights for each step and channel, by a dense layer over the steps."""
    layers = keras.layers
    steps = 7
    inputs = keras.Input((steps, C))
    x = layers.LSTM(5, return_sequences=True)(inputs)
    a = layers.Permute((2, 1))(x)
    a = layers.Reshape((5, steps))(a)
    a = layers.Dense(steps, activation="softmax")(a)
    probabilities = layers.Permute((2, 1))(a)
    x = layers.Multiply()([x, probabilities])
    x = layers.Flatten()(x)
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x))


def toxic(keras):
    layers = keras.layers
    inp = keras.Input(shape=(None,))
    x = layers.Embedding(V, 6)(inp)
    x = layers.SpatialDropout1D(0.2)(x)
    x = layers.Bidirectional(layers.GRU(5, return_sequences=True))(x)
    avg_pool = layers.GlobalAveragePooling1D()(x)
    max_pool = layers.GlobalMaxPooling1D()(x)
    conc = layers.concatenate([avg_pool, max_pool])
    conc = layers.add([conc, layers.Dense(20, activation="relu")(conc)])
    outp = layers.Dense(6, activation="sigmoid")(conc)
    return keras.Model(inputs=inp, outputs=outp)


def cnn_lstm_text(keras):
    layers = keras.layers
    model = keras.Sequential()
    model.add(keras.Input((None,)))
    model.add(layers.Embedding(V, 6))
    model.add(layers.Dropout(0.25))
    model.add(layers.Conv1D(8, 3, padding="valid", activation="relu", strides=1))
    model.add(layers.MaxPooling1D(pool_size=2))
    model.add(layers.LSTM(5))
    model.add(layers.Dense(1))
    model.add(layers.Activation("sigmoid"))
    return model


def two_embeddings(keras):
    layers = keras.layers
    inputs = keras.Input((None,), dtype="int32")
    fixed = layers.Embedding(V, 4, trainable=False)(inputs)
    trained = layers.Embedding(V, 3)(inputs)
    x = layers.Concatenate()([fixed, trained])
    x = layers.LSTM(5)(x)
    return keras.Model(inputs, layers.Dense(2)(x))


def ticket(keras):
    """Of the guide on the functional API: two texts and tags give a priority and a department."""
    layers = keras.layers
    title_input = keras.Input(shape=(None,), name="title")
    body_input = keras.Input(shape=(None,), name="body")
    tags_input = keras.Input(shape=(4,), name="tags")
    title_features = layers.Embedding(V, 6)(title_input)
    body_features = layers.Embedding(V, 5)(body_input)
    title_features = layers.LSTM(6)(title_features)
    body_features = layers.LSTM(4)(body_features)
    x = layers.concatenate([title_features, body_features, tags_input])
    priority_pred = layers.Dense(1, name="priority")(x)
    department_pred = layers.Dense(3, name="department")(x)
    return keras.Model(
        inputs=[title_input, body_input, tags_input],
        outputs={"priority": priority_pred, "department": department_pred},
    )


def text_and_numbers(keras):
    layers = keras.layers
    text = keras.Input((None,), dtype="int32")
    features = keras.Input((4,))
    x = layers.Embedding(V, 6, mask_zero=True)(text)
    x = layers.LSTM(5)(x)
    y = layers.Dense(4, activation="relu")(features)
    z = layers.Concatenate()([x, y])
    return keras.Model([text, features], layers.Dense(2, activation="softmax")(z))


def siamese(keras):
    layers = keras.layers
    encoder = keras.Sequential(
        [keras.Input((None,)), layers.Embedding(V, 6, mask_zero=True), layers.LSTM(5)], name="encoder"
    )
    left, right = keras.Input((None,)), keras.Input((None,))
    a, b = encoder(left), encoder(right)
    distance = layers.Subtract()([a, b])
    distance = keras.ops.exp(-keras.ops.sum(keras.ops.absolute(distance), axis=-1, keepdims=True))
    cosine = layers.Dot(axes=-1, normalize=True)([a, b])
    return keras.Model([left, right], layers.Concatenate()([distance, cosine]))


def two_masks(keras):
    """The masks of two embeddings of one length meet."""
    layers = keras.layers
    left, right = keras.Input((None,)), keras.Input((None,))
    a = layers.Embedding(V, 5, mask_zero=True)(left)
    b = layers.Embedding(V, 5, mask_zero=True)(right)
    x = layers.Concatenate()([layers.Add()([a, b]), a])
    return keras.Model([left, right], layers.Dense(2)(layers.LSTM(4)(x)))


def masked_mean(keras):
    """The mean over the ids that are no pads, written with keras.ops."""
    ops = keras.ops
    layers = keras.layers
    inputs = keras.Input((None,), dtype="int32")
    x = layers.Embedding(V, 6)(inputs)
    x = layers.LSTM(5, return_sequences=True)(x)
    mask = ops.cast(ops.not_equal(inputs, 0), x.dtype)
    mask = ops.expand_dims(mask, -1)
    mean = ops.sum(x * mask, axis=1) / ops.maximum(ops.sum(mask, axis=1), 1.0)
    return keras.Model(inputs, layers.Dense(2)(mean))


def last_state_by_mask(keras):
    ops = keras.ops
    layers = keras.layers
    inputs = keras.Input((None,), dtype="int32")
    x = layers.Embedding(V, 6)(inputs)
    x = layers.LSTM(5, return_sequences=True)(x)
    lengths = ops.sum(ops.cast(inputs != 0, "int32"), axis=1)
    last = ops.maximum(lengths - 1, 0)
    x = ops.take_along_axis(x, ops.reshape(last, (-1, 1, 1)), axis=1)
    return keras.Model(inputs, layers.Dense(2)(ops.squeeze(x, axis=1)))


def char_generation(keras):
    layers = keras.layers
    return keras.Sequential([keras.Input(shape=(10, V)), layers.LSTM(8), layers.Dense(V, activation="softmax")])


def character_seq2seq(keras):
    """The decoder reads the target and starts from the states of the encoder."""
    layers = keras.layers
    encoder_inputs = keras.Input(shape=(None, V))
    encoder = layers.LSTM(7, return_state=True)
    encoder_outputs, state_h, state_c = encoder(encoder_inputs)
    decoder_inputs = keras.Input(shape=(None, V - 4))
    decoder_lstm = layers.LSTM(7, return_sequences=True, return_state=True)
    decoder_outputs, _, _ = decoder_lstm(decoder_inputs, initial_state=[state_h, state_c])
    decoder_outputs = layers.Dense(V - 4, activation="softmax")(decoder_outputs)
    return keras.Model([encoder_inputs, decoder_inputs], decoder_outputs)


def masked_seq2seq(keras):
    layers = keras.layers
    source = keras.Input((None,), dtype="int32")
    target = keras.Input((None,), dtype="int32")
    x = layers.Embedding(V, 6, mask_zero=True)(source)
    x = layers.Bidirectional(layers.GRU(5), merge_mode="sum")(x)
    y = layers.Embedding(V, 6, mask_zero=True)(target)
    y = layers.GRU(5, return_sequences=True)(y, initial_state=x)
    y = layers.Dropout(0.5)(y)
    return keras.Model([source, target], layers.Dense(V, activation="softmax")(y))


# Series


def univariate(keras):
    layers = keras.layers
    model = keras.Sequential()
    model.add(layers.Input(shape=(5, 1)))
    model.add(layers.LSTM(8, activation="relu"))
    model.add(layers.Dense(1))
    return model


def masked_series(pooling):
    def network(keras):
        layers = keras.layers
        inputs = keras.Input((None, C))
        x = layers.Masking(mask_value=-1.0)(inputs)
        if not pooling:
            x = layers.LSTM(5)(x)
        elif pooling == "steps":
            x = layers.LSTM(5, return_sequences=True)(x)
        else:
            x = layers.LSTM(5, return_sequences=True)(x)
            x = getattr(layers, pooling)()(x)
        return keras.Model(inputs, layers.Dense(2)(x))

    return network


def merged(mode):
    def network(keras):
        layers = keras.layers
        inputs = keras.Input((None, C))
        x = layers.Bidirectional(layers.LSTM(5, return_sequences=True), merge_mode=mode)(inputs)
        if mode is None:
            x = layers.Subtract()(x)
        x = layers.Bidirectional(layers.LSTM(4), merge_mode=mode)(x)
        if mode is None:
            x = layers.Concatenate()(x)
        return keras.Model(inputs, layers.Dense(2)(x))

    return network


def two_different_directions(keras):
    layers = keras.layers
    forward = layers.LSTM(5, return_sequences=True)
    backward = layers.GRU(5, return_sequences=True, go_backwards=True, activation="relu")
    return keras.Sequential(
        [keras.Input((None, C)), layers.Bidirectional(forward, backward_layer=backward), layers.Dense(2)]
    )


def time_distributed_convolutions(keras):
    """Subsequences are read by convolutions, and their features by an LSTM."""
    layers = keras.layers
    model = keras.Sequential()
    model.add(layers.Input(shape=(None, 6, 1)))
    model.add(layers.TimeDistributed(layers.Conv1D(filters=4, kernel_size=2, activation="relu")))
    model.add(layers.TimeDistributed(layers.MaxPooling1D(pool_size=2)))
    model.add(layers.TimeDistributed(layers.Flatten()))
    model.add(layers.LSTM(5, activation="relu"))
    model.add(layers.Dense(1))
    return model


def stateful(keras):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(batch_shape=(2, 4, 1)),
            layers.LSTM(5, stateful=True, return_sequences=True),
            layers.LSTM(5, stateful=True),
            layers.Dense(1),
        ]
    )


def lstm_cell(keras):
    layers = keras.layers
    return keras.Sequential([keras.Input((None, C)), layers.RNN(layers.LSTMCell(6)), layers.Dense(2)])


def stacked_cells(keras):
    layers = keras.layers
    cells = [layers.LSTMCell(5), layers.GRUCell(4), layers.LSTMCell(3)]
    return keras.Sequential(
        [keras.Input((None, C)), layers.RNN(layers.StackedRNNCells(cells), return_sequences=True), layers.Dense(2)]
    )


def conv_lstm(keras):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((None, 6, 2)),
            layers.ConvLSTM1D(4, 3, padding="same"),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )


def rescaled(keras):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((None, C)),
            layers.Rescaling(1.0 / 255, offset=-0.25),
            layers.LSTM(5),
            layers.Dense(1),
            layers.Rescaling(scale=40.0, offset=250.0),
        ]
    )


def normalised(keras):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((None, C)),
            layers.Normalization(mean=[20.0, -5.0, 0.0], variance=[9.0, 0.04, 1.0]),
            layers.LSTM(5, return_sequences=True),
            layers.BatchNormalization(),
            layers.LSTM(4),
            layers.BatchNormalization(),
            layers.Dense(2),
        ]
    )


def lstm_fcn(keras):
    layers = keras.layers
    ip = keras.Input(shape=(9, C))
    x = layers.Masking()(ip)
    x = layers.LSTM(6)(x)
    x = layers.Dropout(0.8)(x)
    y = layers.Conv1D(6, 8, padding="same", kernel_initializer="he_uniform")(ip)
    y = layers.BatchNormalization()(y)
    y = layers.Activation("relu")(y)
    y = layers.Conv1D(5, 5, padding="same", kernel_initializer="he_uniform")(y)
    y = layers.BatchNormalization()(y)
    y = layers.Activation("relu")(y)
    y = layers.GlobalAveragePooling1D()(y)
    x = layers.concatenate([x, y])
    return keras.Model(ip, layers.Dense(3, activation="softmax")(x))


def weather_gru(keras):
    layers = keras.layers
    inputs = keras.Input(shape=(8, C))
    x = layers.GRU(6, recurrent_dropout=0.5, return_sequences=True)(inputs)
    x = layers.GRU(5, recurrent_dropout=0.5, reset_after=False)(x)
    x = layers.Dropout(0.5)(x)
    return keras.Model(inputs, layers.Dense(1)(x))


def simple_rnn(keras):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((None, C)),
            layers.SimpleRNN(6, return_sequences=True),
            layers.SimpleRNN(5, activation="relu"),
            layers.Dense(1),
        ]
    )


def autoencoder(keras):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((7, C)),
            layers.LSTM(5, activation="relu"),
            layers.RepeatVector(7),
            layers.LSTM(5, activation="relu", return_sequences=True),
            layers.TimeDistributed(layers.Dense(C)),
        ]
    )


def composite_autoencoder(keras):
    """One encoder, a decoder that reconstructs and one that predicts."""
    layers = keras.layers
    visible = keras.Input(shape=(7, 1))
    encoder = layers.LSTM(6)(visible)
    decoder1 = layers.RepeatVector(7)(encoder)
    decoder1 = layers.LSTM(5, return_sequences=True)(decoder1)
    decoder1 = layers.TimeDistributed(layers.Dense(1))(decoder1)
    decoder2 = layers.RepeatVector(6)(encoder)
    decoder2 = layers.LSTM(4, return_sequences=True)(decoder2)
    decoder2 = layers.TimeDistributed(layers.Dense(1))(decoder2)
    return keras.Model(inputs=visible, outputs=[decoder1, decoder2])


def single_shot(keras):
    """Of the tutorial on time series: all steps ahead at once."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((None, C)),
            layers.LSTM(6, return_sequences=False),
            layers.Dense(5 * C, kernel_initializer="zeros"),
            layers.Reshape([5, C]),
        ]
    )


def residual(keras):
    """The network predicts the change of each step."""
    layers = keras.layers
    inputs = keras.Input((None, C))
    delta = layers.LSTM(6, return_sequences=True)(inputs)
    delta = layers.Dense(C, kernel_initializer="zeros")(delta)
    return keras.Model(inputs, inputs + delta)


def residual_stack(keras):
    layers = keras.layers
    inputs = keras.Input((None, C))
    x = layers.Dense(6)(inputs)
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        y = layers.LSTM(6, return_sequences=True)(y)
        y = layers.Dropout(0.1)(y)
        x = layers.Add()([x, y])
    return keras.Model(inputs, layers.Dense(2)(x[:, -1, :]))


def truncated(keras):
    layers = keras.layers
    inputs = keras.Input((None, C))
    x = inputs[:, -8:, :]
    x = layers.LSTM(5)(x)
    return keras.Model(inputs, layers.Dense(2)(x))


def mean_of_last_five(keras):
    layers = keras.layers
    inputs = keras.Input((None, C))
    x = layers.LSTM(5, return_sequences=True)(inputs)
    x = layers.Lambda(lambda t: keras.ops.mean(t[:, -5:, :], axis=1))(x)
    return keras.Model(inputs, layers.Dense(2)(x))


def first_and_last(keras):
    layers = keras.layers
    inputs = keras.Input((None, C))
    x = layers.Bidirectional(layers.LSTM(5, return_sequences=True))(inputs)
    first = layers.Lambda(lambda t: t[:, 0, :])(x)
    last = layers.Lambda(lambda t: t[:, -1])(x)
    return keras.Model(inputs, layers.Dense(2)(layers.Maximum()([first, last])))


def go_backwards(keras):
    layers = keras.layers
    inputs = keras.Input((None, C))
    x = layers.LSTM(5, go_backwards=True, return_sequences=True)(inputs)
    x = layers.LSTM(4, return_sequences=True)(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(x))


def all_states(keras):
    layers = keras.layers
    inputs = keras.Input((None, C))
    outputs, fh, fc, bh, bc = layers.Bidirectional(layers.LSTM(4, return_sequences=True, return_state=True))(inputs)
    states = layers.Concatenate()([fh, bc, bh, fc])
    return keras.Model(inputs, [layers.Dense(2)(states), layers.Average()([fh, bh])])


def flattened(keras):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((6, C)),
            layers.LSTM(4, return_sequences=True),
            layers.Flatten(),
            layers.Dense(5, activation="relu"),
            layers.Dense(2),
        ]
    )


def activations(keras):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((None, C)),
            layers.GaussianNoise(0.1),
            layers.LSTM(6, recurrent_activation="hard_sigmoid", unit_forget_bias=False),
            layers.Dense(6),
            layers.LeakyReLU(negative_slope=0.3),
            layers.Dense(5),
            layers.PReLU(),
            layers.Dense(5),
            layers.ReLU(max_value=1.5, negative_slope=0.1, threshold=0.2),
            layers.Dense(4, activation="softplus"),
            layers.ELU(0.7),
            layers.Dense(3, activation="swish"),
            layers.Activation("gelu"),
        ]
    )


def padded_and_cropped(keras):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((None, C)),
            layers.ZeroPadding1D((2, 0)),
            layers.Conv1D(5, 3, activation="relu"),
            layers.AveragePooling1D(2),
            layers.UpSampling1D(2),
            layers.Cropping1D((1, 0)),
            layers.LSTM(4, return_sequences=True),
            layers.Conv1D(3, 2, padding="causal", dilation_rate=2),
            layers.GlobalAveragePooling1D(),
            layers.Dense(1),
        ]
    )


def missing_values(keras):
    """-999 is a missing value; a column says where."""
    ops = keras.ops
    layers = keras.layers
    inputs = keras.Input((None, C))
    missing = ops.equal(inputs, -999.0)
    values = ops.where(missing, 0.0, inputs)
    x = ops.concatenate([values, ops.cast(missing, values.dtype)], axis=-1)
    x = layers.LSTM(5)(x)
    return keras.Model(inputs, ops.clip(layers.Dense(2)(x), -0.5, 0.75))


def nlinear(keras):
    layers = keras.layers
    inputs = keras.Input((None, C))
    last = inputs[:, -1:, :]
    x = layers.Subtract()([inputs, last])
    x = layers.LSTM(6)(x)
    x = layers.Reshape((4, C))(layers.Dense(4 * C)(x))
    return keras.Model(inputs, x + last)


def nested(keras):
    """A model is a layer of a model, which is a layer of a model."""
    layers = keras.layers
    inner = keras.Sequential([keras.Input((None, C)), layers.Masking(-1.0), layers.Dense(4, activation="tanh")])
    x = keras.Input((None, C))
    encoder = keras.Model(x, layers.LSTM(5)(inner(x)), name="encoder")
    return keras.Sequential([keras.Input((None, C)), encoder, layers.Dense(3, activation="softmax")])


def learned_initial_state(keras):
    """A table of countries gives the initial state."""
    layers = keras.layers
    values = keras.Input((None, C))
    country = keras.Input((1,), dtype="int32")
    h = layers.Flatten()(layers.Embedding(V, 5)(country))
    c = layers.Dense(5, activation="tanh")(h)
    x = layers.LSTM(5)(values, initial_state=[h, c])
    return keras.Model([values, country], layers.Dense(1)(x))


def mnist_rows(keras):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28)),
            layers.LSTM(8, unroll=True),
            layers.BatchNormalization(),
            layers.Dense(10),
        ]
    )


def custom_layer(keras):
    class Scaled(keras.layers.Layer):
        def call(self, x):
            return x * 2

    layers = keras.layers
    return keras.Sequential([keras.Input((None, C)), Scaled(), layers.LSTM(5), layers.Dense(1)])


def custom_attention(keras):
    """A custom layer with weights, as it stands below many tutorials on attention."""

    class AttentionLayer(keras.layers.Layer):
        def build(self, input_shape):
            self.W = self.add_weight(name="W", shape=(input_shape[-1], 1), initializer="normal")

        def call(self, x):
            e = keras.ops.tanh(keras.ops.matmul(x, self.W))
            a = keras.ops.softmax(e, axis=1)
            return keras.ops.sum(x * a, axis=1)

    layers = keras.layers
    inputs = keras.Input((None,))
    x = layers.Embedding(V, 6)(inputs)
    x = layers.LSTM(5, return_sequences=True)(x)
    return keras.Model(inputs, layers.Dense(1)(AttentionLayer()(x)))


# Their inputs


def masked_numbers(rng: np.random.Generator, batch: int, steps: int) -> tuple[Any, ...]:
    """(B, T, C), steps of which are -1 in all channels, anywhere; others in some."""
    [values] = series(C)(rng, batch, steps)
    values[rng.random((batch, steps)) < 0.3] = -1
    values[rng.random(values.shape) < 0.1] = -1
    return (values,)


def with_missing_values(rng: np.random.Generator, batch: int, steps: int) -> tuple[Any, ...]:
    """(B, T, C) with -999 anywhere."""
    [values] = series(C)(rng, batch, steps)
    values[rng.random(values.shape) < 0.3] = -999
    return (values,)


def one_hot(width: int, further: int = 0) -> Inputs:
    """(B, T + further, width)."""

    def inputs(rng: np.random.Generator, batch: int, steps: int) -> tuple[Any, ...]:
        return (np.eye(width, dtype=np.float32)[rng.integers(0, width, (batch, steps + further))],)

    return inputs


def array(*shape: int) -> Inputs:
    """(B, T, ...) numbers."""

    def inputs(rng: np.random.Generator, batch: int, steps: int) -> tuple[Any, ...]:
        return (numbers(rng, (batch, steps, *shape)),)

    return inputs


def country(rng: np.random.Generator, batch: int, steps: int) -> tuple[Any, ...]:
    return (rng.integers(0, V, (batch, 1)),)


def longer(inputs: Inputs, further: int) -> Inputs:
    """Those of more steps."""
    return lambda rng, batch, steps: inputs(rng, batch, steps + further)


def fixed(network: Any, inputs: Inputs, steps: int, **options: Any) -> Case:
    """A network that has one number of steps."""
    return Case(network, inputs, example=(2, steps), steps=(steps,), **options)


MODES = ("concat", "sum", "mul", "ave", None)

CASES: dict[str, Case] = {
    "imdb_lstm": Case(imdb_lstm, ids(V)),
    "bidirectional_imdb": Case(bidirectional_imdb, ids(V)),
    "masked_text": Case(masked_text, ids(V)),
    "masked_mean_pooling": Case(masked_pooling("GlobalAveragePooling1D"), ids(V)),
    "masked_max_pooling": Case(masked_pooling("GlobalMaxPooling1D"), ids(V)),
    "masked_tagger": Case(masked_tagger, ids(V)),
    "masked_stack": Case(masked_stack, ids(V)),
    "masked_attention": Case(masked_attention, ids(V)),
    "additive_attention": Case(additive_attention, ids(V)),
    "multihead_attention": Case(multihead_attention, ids(V)),
    "softmax_attention": Case(softmax_attention, ids(V)),
    "permuted_attention": fixed(permuted_attention, series(C), 7),
    "toxic": Case(toxic, ids(V)),
    "cnn_lstm_text": Case(cnn_lstm_text, ids(V), steps=(4, 5, 12)),
    "two_embeddings": Case(two_embeddings, ids(V)),
    "ticket": Case(ticket, joined(ids(V), longer(ids(V), 3), table(4))),
    "text_and_numbers": Case(text_and_numbers, joined(ids(V), table(4))),
    "siamese": Case(siamese, joined(ids(V), longer(ids(V), 3))),
    "two_masks": Case(two_masks, joined(ids(V), ids(V))),
    "masked_mean": Case(masked_mean, ids(V)),
    "last_state_by_mask": Case(last_state_by_mask, ids(V)),
    "char_generation": fixed(char_generation, one_hot(V), 10),
    "character_seq2seq": Case(character_seq2seq, joined(one_hot(V), one_hot(V - 4, 2))),
    "masked_seq2seq": Case(masked_seq2seq, joined(ids(V), longer(ids(V), 2))),
    "univariate": fixed(univariate, series(1), 5),
    "masked_series": Case(masked_series(""), masked_numbers),
    "masked_series_steps": Case(masked_series("steps"), masked_numbers),
    "masked_series_mean": Case(masked_series("GlobalAveragePooling1D"), masked_numbers),
    "masked_series_max": Case(masked_series("GlobalMaxPooling1D"), masked_numbers),
    **{f"merged_{mode}": Case(merged(mode), series(C)) for mode in MODES},
    "two_different_directions": Case(two_different_directions, series(C)),
    "time_distributed_convolutions": Case(time_distributed_convolutions, array(6, 1)),
    "stateful": fixed(stateful, series(1), 4, batches=(2,)),
    "lstm_cell": Case(lstm_cell, series(C)),
    "stacked_cells": Case(stacked_cells, series(C)),
    "conv_lstm": Case(conv_lstm, array(6, 2), expected="refused", notes="a recurrence of convolutions"),
    "rescaled": Case(rescaled, series(C)),
    "normalised": Case(normalised, series(C)),
    "lstm_fcn": fixed(lstm_fcn, masked_numbers, 9),
    "weather_gru": fixed(weather_gru, series(C), 8),
    "simple_rnn": Case(simple_rnn, series(C)),
    "autoencoder": fixed(autoencoder, series(C), 7),
    "composite_autoencoder": fixed(composite_autoencoder, series(1), 7),
    "single_shot": Case(single_shot, series(C)),
    "residual": Case(residual, series(C)),
    "residual_stack": Case(residual_stack, series(C)),
    "truncated": Case(truncated, series(C), steps=(1, 2, 7, 8, 20)),
    "mean_of_last_five": Case(mean_of_last_five, series(C), steps=(1, 2, 5, 7)),
    "first_and_last": Case(first_and_last, series(C)),
    "go_backwards": Case(go_backwards, series(C)),
    "all_states": Case(all_states, series(C)),
    "flattened": fixed(flattened, series(C), 6),
    "activations": Case(activations, series(C)),
    "padded_and_cropped": Case(padded_and_cropped, series(C), steps=(2, 4, 8)),
    "missing_values": Case(missing_values, with_missing_values),
    "nlinear": Case(nlinear, series(C)),
    "nested": Case(nested, masked_numbers),
    "learned_initial_state": Case(learned_initial_state, joined(series(C), country)),
    "mnist_rows": fixed(mnist_rows, array(28), 28),
    "custom_layer": Case(custom_layer, series(C)),
    "custom_attention": Case(custom_attention, ids(V)),
}


def build(keras: Any, case: Case, seed: int) -> Any:
    """The network with random weights, none of them symmetric, in the dtype of keras.config."""
    network = case.network(keras)
    randomise(network, seed)
    return network


def randomise(network: Any, seed: int) -> None:
    """Draw all weights anew, also the statistics of batch norms; those that a Normalization was given stay."""
    rng = np.random.default_rng(seed)
    for variable in network.weights:
        if "normalization/" in variable.path and "batch" not in variable.path and "layer" not in variable.path:
            continue
        if "seed_generator" in variable.path:
            continue
        shape = variable.shape
        if variable.name == "moving_variance":
            values = rng.uniform(0.5, 1.5, shape)
        elif len(shape) > 1:
            values = rng.normal(0, 1.2 / np.sqrt(shape[-2]), shape)
        else:
            values = rng.normal(0.2, 0.4, shape)
        # In float32 too, so that a network in float64 has the same weights.
        variable.assign(values.astype(np.float32))
