"""`read_onnx`: the graph of an ONNX file beside the original, node by node, in float32 and float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.exchange.onnx_network import OnnxNetwork, read_onnx
from gatewise.network.operation import Execution
from tests.exchange.test_onnx_graph import MODULES, V, exported

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
torch = pytest.importorskip("torch")


def check_values(network: OnnxNetwork, inputs: dict[str, Any]) -> None:
    """Every value of the graph that the original has too, in both dtypes."""
    for dtype, tolerance in (("float64", 1e-10), ("float32", 2e-5)):
        execution = Execution(dtype=np.dtype(dtype), keep=False)
        values = network.graph.run(inputs, execution=execution, values=network.compared)
        original = network.original_values(inputs, network.compared, dtype)
        assert set(network.graph.outputs) <= set(original) == set(network.compared)
        for name in network.compared:
            assert original[name].dtype == values[name].dtype, name
            np.testing.assert_allclose(values[name], original[name], rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("kind", MODULES, ids=lambda kind: kind.__name__)
def test_each_value_is_that_of_the_original(kind: Any, tmp_path: Path) -> None:
    torch.manual_seed(4)
    exported(kind(), tmp_path / "m.onnx")
    network = read_onnx(tmp_path / "m.onnx")
    rng = np.random.default_rng(1)
    for batch, steps in ((1, 1), (3, 12)):
        check_values(network, {"ids": rng.integers(0, V, (batch, steps))})
    network.close()
