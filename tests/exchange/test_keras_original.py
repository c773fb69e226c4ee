"""What a network of Keras computes in float64, on each backend, in processes of their own."""

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


class Cut(keras.layers.Layer):
    # Numbers of Python as integers and truth values, which are rounded.
    def call(self, x):
        ops = keras.ops
        return x * ops.cast(ops.cast(2.7, "int32"), x.dtype) + ops.cast(ops.cast(0.4, "bool"), x.dtype)


network = keras.Model(inputs, keras.layers.Activation("gelu")(Cut()(bent)))
read = read_keras(network)
x = np.random.default_rng(4).normal(size=(4, 9, 3))
name = read.graph.outputs[0]
feeds = {key: x for key in read.graph.inputs}
original = read.original_values(feeds, [name], "float64")[name]
computed = read.graph.run(feeds, execution=Execution(dtype=np.float64))[name]
print(original.dtype, float(np.abs(original - computed).max()) < 1e-14)
"""

THREADS = """
import threading
import warnings
warnings.simplefilter("ignore")
import keras
import numpy as np
from gatewise.exchange.keras_original import OriginalValues
from keras.src.backend.common.dtypes import BIT64_TO_BIT32_DTYPE

x = np.random.default_rng(4).normal(size=(4, 9, 3))
both_run = threading.Event()
seen = []


class Original(OriginalValues):
    def _call(self, inputs, dtype):
        both_run.wait(0.5)  # in which the other thread starts
        outputs = super()._call(inputs, dtype)
        seen.append((keras.config.floatx(), str(outputs.dtype)))
        return outputs


networks = [keras.Sequential([keras.Input((None, 3)), keras.layers.LSTM(units)]) for units in (5, 6)]
threads = [threading.Thread(target=Original(keras, each).run, args=([x], {}, "float64")) for each in networks]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(*seen, keras.config.floatx(), BIT64_TO_BIT32_DTYPE["float64"], sep="|")
"""

MISSING = """
import warnings
warnings.simplefilter("ignore")
import keras
import numpy as np
from gatewise.exchange.keras_graph import read_keras
from keras.src.backend.common import dtypes

network = keras.Sequential([keras.Input((None, 3)), keras.layers.LSTM(5)])
read = read_keras(network)
x = np.random.default_rng(4).normal(size=(4, 9, 3))
del dtypes.BIT64_TO_BIT32_DTYPE
try:
    read.original_values({key: x for key in read.graph.inputs}, [read.graph.outputs[0]], "float64")
except Exception as error:
    print(type(error).__name__, error)
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


@pytest.mark.skipif(not (find_spec("keras") and find_spec("torch")), reason="Keras or torch is not installed")
def test_networks_run_in_one_thread_at_a_time(tmp_path: Path) -> None:
    """The float of Keras is one of the process: two threads left it float64, and one of them computed in float32."""
    environment = {**os.environ, "KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "torch"}
    done = run_child([sys.executable, "-c", THREADS], env=environment)
    assert done.returncode == 0, done.stderr
    each = "('float64', 'torch.float64')"
    assert done.stdout.strip().split("|") == [each, each, "float32", "float32"]


@pytest.mark.skipif(not (find_spec("keras") and find_spec("torch")), reason="Keras or torch is not installed")
def test_a_version_of_keras_without_what_is_replaced_is_refused(tmp_path: Path) -> None:
    environment = {**os.environ, "KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "torch"}
    done = run_child([sys.executable, "-c", MISSING], env=environment)
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()
    assert line.startswith("UnknownVersionError Keras 3.")
    assert " with torch 2." in line
    assert "has no keras.src.backend.common.dtypes.BIT64_TO_BIT32_DTYPE" in line


@pytest.mark.skipif(not (find_spec("keras") and find_spec("jax")), reason="Keras or JAX is not installed")
def test_attention_of_jax_is_compared_in_float64(tmp_path: Path) -> None:
    """JAX computes the softmax of an attention in float32 always. What differs by more than that stays as it is."""
    environment = {**os.environ, "KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "jax"}
    done = run_child([sys.executable, "-c", ATTENTION], env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True"] * 4
