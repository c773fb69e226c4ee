"""Layers and their gradients beside PyTorch in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gatewise.network.operation import Execution
from gatewise.network.operations import operation_of

torch = pytest.importorskip("torch")
F = torch.nn.functional

RNG = np.random.default_rng(11)


def floats(*shape: int) -> Any:
    return RNG.standard_normal(shape)


def positive(*shape: int) -> Any:
    return RNG.uniform(0.2, 2, shape)


def _ceil_pool(x: Any) -> Any:
    return F.avg_pool2d(x, (3, 2), (2, 2), (1, 1), ceil_mode=True, count_include_pad=True)


_MEAN = floats(3)
_VAR = positive(3)
_IDS = np.array([[3, 0, -1], [3, 3, 1]])
_WORDS = torch.tensor(_IDS) % 5
_ROWS = np.array([[2, 0, 1, 2], [2, 2, 0, 1]])

# The operation, its attributes and inputs, and the function of PyTorch of the floating-point inputs.
CASES: list[tuple[str, dict[str, Any], list[Any], Callable[..., Any]]] = [
    ("MatMul", {}, [floats(2, 3, 4), floats(4, 5)], torch.matmul),
    (
        "Gemm",
        {"alpha": 0.5, "beta": 2.0, "transB": 1},
        [floats(2, 3), floats(4, 3), floats(4)],
        lambda a, b, c: torch.addmm(c, a, b.T, alpha=0.5, beta=2.0),
    ),
    (
        "Einsum",
        {"equation": "bthd,bshd->bhts"},
        [floats(2, 3, 2, 4), floats(2, 5, 2, 4)],
        lambda a, b: torch.einsum("bthd,bshd->bhts", a, b),
    ),
    ("Einsum", {"equation": "iij,j->i"}, [floats(3, 3, 2), floats(2)], lambda a, b: torch.einsum("iij,j->i", a, b)),
    (
        "Conv",
        {"strides": (2,), "dilations": (2,), "pads": (3, 3), "group": 2},
        [floats(2, 4, 9), floats(6, 2, 3), floats(6)],
        lambda x, w, b: F.conv1d(x, w, b, stride=2, dilation=2, padding=3, groups=2),
    ),
    (
        "Conv",
        {"auto_pad": "SAME_UPPER"},
        [floats(2, 3, 9), floats(5, 3, 3), floats(5)],
        lambda x, w, b: F.conv1d(x, w, b, padding="same"),
    ),
    (
        "Conv",
        {"strides": (2, 1), "pads": (1, 2, 1, 2)},
        [floats(2, 3, 7, 6), floats(4, 3, 3, 2)],
        lambda x, w: F.conv2d(x, w, stride=(2, 1), padding=(1, 2)),
    ),
    (
        "MaxPool",
        {"kernel_shape": (3,), "strides": (2,), "pads": (1, 1), "dilations": (2,), "ceil_mode": 1},
        [floats(2, 3, 10)],
        lambda x: F.max_pool1d(x, 3, 2, 1, 2, ceil_mode=True),
    ),
    (
        "MaxPool",
        {"kernel_shape": (3, 2), "strides": (3, 2), "pads": (1, 1, 1, 1)},
        [np.round(floats(2, 3, 7, 6))],  # with equal numbers in a window
        lambda x: F.max_pool2d(x, (3, 2), (3, 2), (1, 1)),
    ),
    ("MaxPool", {"kernel_shape": (2,)}, [np.full((1, 2, 4), -np.inf)], lambda x: F.max_pool1d(x, 2, 1)),
    (
        "AveragePool",
        {"kernel_shape": (3,), "strides": (3,), "pads": (1, 1), "ceil_mode": 1},
        [floats(2, 3, 9)],
        lambda x: F.avg_pool1d(x, 3, 3, 1, ceil_mode=True, count_include_pad=False),
    ),
    (
        "AveragePool",
        {"kernel_shape": (3, 2), "strides": (2, 2), "pads": (1, 1, 1, 1), "ceil_mode": 1, "count_include_pad": 1},
        [floats(2, 3, 8, 5)],
        _ceil_pool,
    ),
    ("GlobalMaxPool", {}, [floats(2, 3, 5)], lambda x: F.adaptive_max_pool1d(x, 1)),
    ("GlobalAveragePool", {}, [floats(2, 3, 5, 4)], lambda x: F.adaptive_avg_pool2d(x, 1)),
    (
        "BatchNormalization",
        {"epsilon": 1e-3},
        [floats(2, 3, 5), floats(3), floats(3)],
        lambda x, w, b: F.batch_norm(x, torch.tensor(_MEAN), torch.tensor(_VAR), w, b, eps=1e-3),
    ),
    (
        "LayerNormalization",
        {"axis": -2},
        [floats(2, 3, 5), floats(3, 5), floats(3, 5)],
        lambda x, w, b: F.layer_norm(x, (3, 5), w, b),
    ),
    (
        "RMSNormalization",
        {"epsilon": 1e-4},
        [floats(2, 3, 5), floats(5)],
        lambda x, w: F.rms_norm(x, (5,), w, eps=1e-4),
    ),
    (
        "InstanceNormalization",
        {},
        [floats(2, 3, 5), floats(3), floats(3)],
        lambda x, w, b: F.instance_norm(x, weight=w, bias=b),
    ),
    (
        "GroupNormalization",
        {"num_groups": 2},
        [floats(2, 4, 5), floats(4), floats(4)],
        lambda x, w, b: F.group_norm(x, 2, w, b),
    ),
    ("Gather", {}, [floats(5, 3), _IDS], lambda table: F.embedding(_WORDS, table)),
    ("GatherElements", {}, [floats(3, 5), _ROWS], lambda x: torch.gather(x, 0, torch.tensor(_ROWS))),
    (
        "ScatterElements",
        {"reduction": "add"},
        [floats(3, 4), _ROWS, floats(2, 4)],
        lambda x, updates: x.scatter_add(0, torch.tensor(_ROWS), updates),
    ),
    (
        "Pad",
        {"pads": (2, 3), "axes": (2,), "mode": "reflect"},
        [floats(2, 3, 5)],
        lambda x: F.pad(x, (2, 3), "reflect"),
    ),
    ("Pad", {"pads": (2, 3), "axes": (2,), "mode": "edge"}, [floats(2, 3, 5)], lambda x: F.pad(x, (2, 3), "replicate")),
    ("Pad", {"pads": (2, 3), "axes": (2,), "mode": "wrap"}, [floats(2, 3, 5)], lambda x: F.pad(x, (2, 3), "circular")),
    (
        "Pad",
        {"pads": (-1, 2), "axes": (2,), "constant_value": 0.5},
        [floats(2, 3, 5)],
        lambda x: F.pad(x, (-1, 2), value=0.5),
    ),
    ("Concat", {"axis": 1}, [floats(2, 3), floats(2, 4)], lambda a, b: torch.cat([a, b], 1)),
    ("Expand", {"shape": (4, 2, 3)}, [floats(2, 1)], lambda x: x.expand(4, 2, 3)),
    ("Tile", {"repeats": (2, 3)}, [floats(2, 4)], lambda x: x.repeat(2, 3)),
    ("Trilu", {"k": 1, "upper": 0}, [floats(3, 4)], lambda x: torch.tril(x, 1)),
    ("Transpose", {"perm": (2, 0, 1)}, [floats(2, 3, 4)], lambda x: x.permute(2, 0, 1)),
    ("Flatten", {}, [floats(2, 3, 4)], lambda x: torch.flatten(x, 1)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_values_and_gradients_are_those_of_torch(case: Any) -> None:
    name, attributes, inputs, function = case
    arrays = [*inputs, _MEAN, _VAR] if name == "BatchNormalization" else inputs
    (y,), backward = operation_of(name, attributes).forward(Execution(dtype=np.float64), *arrays)
    tensors = [torch.tensor(x, requires_grad=True) for x in inputs if x.dtype.kind == "f"]
    expected = function(*tensors)
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-12, atol=1e-12)
    grad = floats(*y.shape)
    wanted = torch.autograd.grad(expected, tensors, torch.tensor(grad))
    floating = [number for number, x in enumerate(inputs) if x.dtype.kind == "f"]
    grads = backward(grad)
    for number, of_torch in zip(floating, wanted, strict=True):
        np.testing.assert_allclose(grads[number], of_torch.numpy(), rtol=1e-10, atol=1e-10, err_msg=f"input {number}")


@pytest.mark.parametrize("sizes", [(2, 3, 1), (4, 0, 2)])
def test_the_chunks_of_split_are_those_of_torch(sizes: tuple[int, ...]) -> None:
    x = floats(sum(sizes), 2)
    chunks, backward = operation_of("Split", {"split": sizes}).forward(Execution(dtype=np.float64), x)
    tensor = torch.tensor(x, requires_grad=True)
    expected = torch.split(tensor, sizes)
    grad = floats(sizes[0], 2)
    (wanted,) = torch.autograd.grad(expected[0], tensor, torch.tensor(grad))
    for chunk, of_torch in zip(chunks, expected, strict=True):
        np.testing.assert_array_equal(chunk, of_torch.detach().numpy())
    # The gradient of an output that nothing reads is None.
    (of_x,) = backward(grad, None, None)
    np.testing.assert_array_equal(of_x, wanted.numpy())
