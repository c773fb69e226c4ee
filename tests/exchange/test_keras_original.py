"""What a network of Keras computes in float64, on the backend JAX, in a process of its own."""

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


@pytest.mark.skipif(not (find_spec("keras") and find_spec("jax")), reason="Keras or JAX is not installed")
def test_jax_computes_in_float64(tmp_path: Path) -> None:
    """JAX makes float32 of float64 unless it is told otherwise."""
    environment = {**os.environ, "KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "jax"}
    done = run_child([sys.executable, "-c", CODE], env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["float64", "True"]
