"""Networks of Keras that a reader may misread: with code of the user, with masks at layers that lose them.

A graph computes what they compute, for all sizes for which it holds, or they are refused.
"""

from __future__ import annotations

from typing import Any

from tests.exchange.zoo.case import Case, ids, series
from tests.exchange.zoo.keras_networks import C, V

NUMBERS, IDS = series(C), ids(V)
LONG = (1, 2, 5, 6, 7, 13, 33)


def case(network: Any, inputs: Any = NUMBERS, **options: Any) -> Case:
    options = {"batches": (1, 2, 5, 33), "steps": LONG} | options
    return Case(network, inputs, expected="refused", **options)


def keras_network(before=None, between=None, pool=None, *, vocab_size=0, mask=False, lstm=None):
    """before: of the inputs; between: of what the LSTM reads; pool: of its outputs and the inputs. They and `lstm`,
    which makes the LSTM, take the module `keras` first.
    """

    def network(keras):
        layers = keras.layers
        inputs = keras.Input((None,), dtype="int32") if vocab_size else keras.Input((None, C))
        x = before(keras, inputs) if before else inputs
        if vocab_size:
            x = layers.Embedding(vocab_size, C, mask_zero=mask)(x)
        elif mask:
            x = layers.Masking(0.0)(x)
        x = between(keras, x) if between else x
        x = lstm(keras)(x) if lstm else layers.LSTM(5, return_sequences=True)(x)
        x = pool(keras, x, inputs) if pool else layers.LSTM(4)(x)
        return keras.Model(inputs, layers.Dense(2)(x))

    return network


def keras_lambda(function):
    """A Lambda of a function of one tensor."""
    return lambda keras, x: keras.layers.Lambda(function)(x)


def random_lambda(keras, x):
    return keras.layers.Lambda(lambda t: t + keras.random.normal(keras.ops.shape(t)))(x)


def counting_lambda(keras, x):
    calls = []

    def counted(t):
        calls.append(1)
        return t * len(calls)

    return keras.layers.Lambda(counted)(x)


def counted_rows(keras, x):
    """On TensorFlow, Keras cannot find the shape of the output by itself."""
    return keras.layers.Lambda(lambda t: t * float(keras.ops.shape(t)[0] or 1), output_shape=(None, C))(x)


def mean_of_rows(keras, x):
    """Of tensors with values, not of symbolic ones."""

    def minus_mean(t):
        return t if isinstance(t, keras.KerasTensor) else t - keras.ops.mean(t, axis=0)

    return keras.layers.Lambda(minus_mean)(x)


def conditional_lambda(keras, x):
    return keras.layers.Lambda(lambda t: keras.ops.cond(keras.ops.max(t) > 1, lambda: t * 2, lambda: t))(x)


def dropout_in_training(keras, x):
    return keras.layers.Dropout(0.5)(x, training=True)


def norm_in_training(keras, x):
    return keras.layers.BatchNormalization()(x, training=True)


def patched_lstm(keras):
    """The instance has another call than its class."""
    lstm = keras.layers.LSTM(5, return_sequences=True)
    call = lstm.call
    lstm.call = lambda *args, **options: call(*args, **options) * 0.5
    return lstm


def subclassed_lstm(keras):
    class Halved(keras.layers.LSTM):
        def call(self, sequences, initial_state=None, mask=None, training=False):
            return super().call(sequences, initial_state=initial_state, mask=mask, training=training) * 0.5

    return Halved(5, return_sequences=True)


def subclassed_cell(keras):
    class Halved(keras.layers.LSTMCell):
        def call(self, inputs, states, training=False):
            h, states = super().call(inputs, states, training=training)
            return h * 0.5, states

    return keras.layers.RNN(Halved(5), return_sequences=True)


def own_activation(keras):
    return keras.layers.LSTM(5, return_sequences=True, activation=lambda x: keras.ops.sin(x))


def known_activations(keras):
    return keras.layers.LSTM(5, return_sequences=True, activation="softsign", recurrent_activation="hard_sigmoid")


def time_major_mask(keras, x, inputs):
    """The second LSTM gets the mask of other ids than its inputs."""
    mask = keras.ops.not_equal(inputs, 3)
    return keras.layers.LSTM(4)(x, mask=mask)


def flipped_with_mask(keras, x, inputs):
    """keras.ops drop the mask, or the layers that follow read one that no longer fits."""
    return keras.layers.LSTM(4)(keras.ops.flip(x, axis=1))


def backwards_with_mask(keras):
    return keras.layers.LSTM(5, return_sequences=True, go_backwards=True)


def zero_output_for_mask(keras):
    return keras.layers.RNN(keras.layers.LSTMCell(5), return_sequences=True, zero_output_for_mask=True)


def own_mean(keras, x, inputs):
    """The mean over all steps, pads among them."""
    return keras.ops.mean(x, axis=1)


def last_step(keras, x, inputs):
    """The last step, a pad where the mask ends earlier."""
    return x[:, -1]


def one_step(keras, x, inputs):
    """The steps after the fifth."""
    return keras.ops.sum(x[:, 5:], axis=1)


def masked_concatenation(keras, x, inputs):
    """A mask meets a tensor without one."""
    joined = keras.layers.Concatenate()([x, keras.ops.ones_like(x)])
    return keras.layers.GlobalAveragePooling1D()(joined)


def joined_steps(keras, x, inputs):
    """The masks are joined over the steps."""
    joined = keras.layers.Concatenate(axis=1)([x, x])
    return keras.layers.LSTM(4)(joined)


def repeated_with_mask(keras, x, inputs):
    """A pooling ends the mask."""
    return keras.layers.LSTM(4)(keras.layers.RepeatVector(3)(keras.layers.LSTM(4)(x)))


def convolved_with_mask(keras, x, inputs):
    return keras.layers.GlobalMaxPooling1D()(keras.layers.Conv1D(4, 2, padding="same")(x))


def flattened_mask(keras, x, inputs):
    return keras.layers.LSTM(4)(keras.layers.Reshape((-1, 1))(x))


def shared_lstm(keras, x, inputs):
    """One layer reads two inputs."""
    lstm = keras.layers.LSTM(4)
    return lstm(x) + 2 * lstm(keras.ops.flip(x, axis=1))


def of_keras_numbers(**options: Any) -> Case:
    return case(keras_network(**options), steps=(1, 2, 6, 7, 13), batches=(1, 2, 5))


def of_keras_ids(**options: Any) -> Case:
    return case(keras_network(vocab_size=V, **options), IDS, steps=(1, 2, 6, 7, 13), batches=(1, 2, 5))


CASES: dict[str, Case] = {
    "one id": of_keras_ids(before=lambda keras, x: keras.ops.where(x == 7, 1, x)),
    "remainder of ids": of_keras_ids(before=lambda keras, x: (x - 5) % 7),
    "quotient of ids": of_keras_ids(before=lambda keras, x: (x + 5) // 3),
    "cut steps": of_keras_numbers(before=lambda keras, x: x[:, :6]),
    "steps in reverse": of_keras_numbers(before=lambda keras, x: keras.ops.flip(x, axis=1)),
    "every second step": of_keras_numbers(between=lambda keras, x: x[:, ::2]),
    "steps after the fifth": of_keras_numbers(pool=one_step),
    "limits": of_keras_numbers(before=lambda keras, x: keras.ops.clip(x, -3, 30)),
    "rounded": of_keras_numbers(before=lambda keras, x: keras.ops.round(x)),
    "integers": of_keras_numbers(before=lambda keras, x: keras.ops.cast(keras.ops.cast(x, "int32"), "float32")),
    "half precision": of_keras_numbers(before=lambda keras, x: keras.ops.cast(keras.ops.cast(x, "float16"), "float32")),
    "random": of_keras_numbers(between=random_lambda),
    "counted": of_keras_numbers(between=counting_lambda),
    "rows counted": of_keras_numbers(between=counted_rows),
    "a condition": of_keras_numbers(between=conditional_lambda),
    "dropout in training": of_keras_numbers(between=dropout_in_training),
    "a norm in training": of_keras_numbers(between=norm_in_training),
    "a patched layer": of_keras_numbers(lstm=patched_lstm),
    "a subclass": of_keras_numbers(lstm=subclassed_lstm),
    "a subclass of the cell": of_keras_numbers(lstm=subclassed_cell),
    "an activation of its own": of_keras_numbers(lstm=own_activation),
    "other activations": of_keras_numbers(lstm=known_activations),
    "the batch is read": of_keras_numbers(between=mean_of_rows),
    "another mask": of_keras_ids(mask=True, pool=time_major_mask),
    "the mask of a flip": of_keras_ids(mask=True, pool=flipped_with_mask),
    "backwards with a mask": of_keras_ids(mask=True, lstm=backwards_with_mask),
    "zeros for masked steps": of_keras_ids(mask=True, lstm=zero_output_for_mask),
    "the mean of all steps": of_keras_ids(mask=True, pool=own_mean),
    "the last step": of_keras_ids(mask=True, pool=last_step),
    "a mask and none": of_keras_ids(mask=True, pool=masked_concatenation),
    "masks that are joined": of_keras_ids(mask=True, pool=joined_steps),
    "a mask that ends": of_keras_ids(mask=True, pool=repeated_with_mask),
    "a mask and convolutions": of_keras_ids(mask=True, pool=convolved_with_mask),
    "a mask and other steps": of_keras_ids(mask=True, pool=flattened_mask),
    "a layer that is shared": of_keras_ids(mask=True, pool=shared_lstm),
    "numbers that are 0": of_keras_numbers(mask=True, pool=own_mean),
}
