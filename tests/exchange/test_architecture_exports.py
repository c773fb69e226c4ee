"""The graph of an architecture for ONNX, torch and Keras: the logits of the network, of empty sequences too."""

from importlib.util import find_spec

import numpy as np
import pytest

from gatewise.exchange.graph_to_keras import graph_to_keras
from gatewise.exchange.graph_to_onnx import graph_to_onnx
from gatewise.network.architecture import Architecture
from gatewise.network.architecture_graph import graph_of_sequences
from gatewise.network.batch import truncate
from gatewise.network.forward import forward, in_batches
from gatewise.types import Array
from tests.network.test_architecture_graph import padded, random_architecture, random_parameters, random_sequences

pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
torch = pytest.importorskip("torch")
if find_spec("keras") is None:
    pytest.skip("keras is not installed", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn.t accept a copy:DeprecationWarning")


def of_read_steps(logits: Array, arch: Architecture, sequences: list[Array]) -> Array:
    """The logits of the steps that are read, one sequence after the other; with a pooling those of the sequences."""
    if arch.pooling != "none":
        return logits
    counts = [len(truncate(sequence, arch)) for sequence in sequences]
    return np.concatenate([rows[:count] for rows, count in zip(logits, counts, strict=True)])


@pytest.mark.parametrize("seed", range(100, 112))
def test_each_exporter_computes_the_logits(seed: int) -> None:
    from gatewise.nn.graph_module import GraphModule

    arch = random_architecture(seed)
    parameters = random_parameters(arch, seed)
    sequences = random_sequences(arch, seed)
    graph = graph_of_sequences(arch, parameters)
    inputs = padded(arch, sequences)
    session = runtime.InferenceSession(graph_to_onnx(graph).SerializeToString(), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        of_torch = GraphModule(graph)(*map(torch.from_numpy, inputs.values())).numpy()
        of_keras = np.asarray(graph_to_keras(graph)(inputs))
    expected = in_batches(forward, parameters, arch, sequences)
    for logits in (session.run(None, inputs)[0], of_torch, of_keras):
        np.testing.assert_allclose(of_read_steps(logits, arch, sequences), expected, rtol=1e-4, atol=1e-5)
