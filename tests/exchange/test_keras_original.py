"""What a network of Keras computes in float64, on the backends JAX and TensorFlow, in processes of their own."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.children import run_child

CODE = """
import warnings
warnings.simplefilter("ignore")
import keras
import numpy as np
from gatewise.exchange.keras_graph import read_keras
from gatewise.network.operation import Execution

keras.utils.set_random_seed(3)
network = keras.Sequential([keras.Input((None, 3)), keras.layers.LSTM(5)])
read = read_keras(network)
x = np.random.default_rng(4).normal(size=(4, 9, 3))
name = read.graph.outputs[0]
inputs = {key: x for key in read.graph.inputs}
original = read.original_values(inputs, [name], "float64")[name]
computed = read.graph.run(inputs, execution=Execution(dtype=np.float64))[name]
print(original.dtype, float(np.abs(original - computed).max()) < 1e-12)
"""

NUMBERS = """
import warnings
warnings.simplefilter("ignore")
import keras
import numpy as np
from gatewise.exchange.keras_graph import read_keras
from gatewise.network.operation import Execution

inputs = keras.Input((None, 3))
scaled = keras.layers.Rescaling(0.1, offset=-0.3)(inputs)
bent = keras.layers.LeakyReLU(negative_slope=0.7)(scaled)
network = keras.Model(inputs, keras.layers.Activation("gelu")(bent))
read = read_keras(network)
x = np.random.default_rng(4).normal(size=(4, 9, 3))
name = read.graph.outputs[0]
feeds = {key: x for key in read.graph.inputs}
original = read.original_values(feeds, [name], "float64")[name]
computed = read.graph.run(feeds, execution=Execution(dtype=np.float64))[name]
print(original.dtype, float(np.abs(original - computed).max()) < 1e-14)
"""

ATTENTION = """
import warnings
warnings.simplefilter("ignore")
import jax
import keras
import numpy as np
from gatewise.exchange.keras_graph import read_keras
from gatewise.exchange.keras_original import _attention_in_float64
from gatewise.network.operation import Execution

keras.utils.set_random_seed(3)
layers = keras.layers
ids = keras.Input((None,), dtype="int32")
x = layers.LSTM(6, return_sequences=True)(layers.Embedding(9, 5, mask_zero=True)(ids))
x = layers.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True)
read = read_keras(keras.Model(ids, layers.Dense(2)(layers.GlobalMaxPooling1D()(x))))
inputs = {key: np.array([[4, 1, 7, 2, 3], [8, 6, 5, 0, 0], [0, 2, 0, 1, 6]]) for key in read.graph.inputs}
name = read.graph.outputs[0]
original = read.original_values(inputs, [name], "float64")[name]
computed = read.graph.run(inputs, execution=Execution(dtype=np.float64))[name]
print(float(np.abs(original - computed).max()) < 1e-12)

rng = np.random.default_rng(4)
query, key, value = (rng.normal(size=(2, steps, 3, 4)) for steps in (5, 7, 7))
plain = jax.nn.dot_product_attention
with jax.enable_x64(True):
    arguments = [jax.numpy.asarray(array) for array in (query, key, value)]
    rounded = plain(*arguments)
    exact = _attention_in_float64(jax, plain)(*arguments)
    other = plain(*arguments, scale=0.3)
    kept = _attention_in_float64(jax, lambda *arguments, **options: other)(*arguments)
logits = np.einsum("btnh,bsnh->bnts", query, key) / 2
weights = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
wanted = np.einsum("bnts,bsnh->btnh", weights, value)
print(np.abs(exact - wanted).max() < 1e-14, np.abs(rounded - wanted).max() > 1e-9, bool((kept == other).all()))
"""


@pytest.mark.skipif(not (find_spec("keras") and find_spec("jax")), reason="Keras or JAX is not installed")
def test_jax_computes_in_float64(tmp_path: Path) -> None:
    """JAX makes float32 of float64 unless it is told otherwise."""
    environment = {**os.environ, "KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "jax"}
    done = run_child([sys.executable, "-c", CODE], env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["float64", "True"]


@pytest.mark.skipif(not (find_spec("keras") and find_spec("tensorflow")), reason="Keras or TensorFlow is not installed")
def test_tensorflow_takes_numbers_of_python_in_float64(tmp_path: Path) -> None:
    """TensorFlow rounds them to float32 first, also the slope of a leaky ReLU."""
    environment = {**os.environ, "KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "tensorflow"}
    done = run_child([sys.executable, "-c", NUMBERS], env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["float64", "True"]


@pytest.mark.skipif(not (find_spec("keras") and find_spec("jax")), reason="Keras or JAX is not installed")
def test_attention_of_jax_is_compared_in_float64(tmp_path: Path) -> None:
    """JAX computes the softmax of an attention in float32 always. What differs by more than that stays as it is."""
    environment = {**os.environ, "KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "jax"}
    done = run_child([sys.executable, "-c", ATTENTION], env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True"] * 4
