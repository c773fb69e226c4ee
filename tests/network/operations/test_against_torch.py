"""Each floating-point operation and its gradient against PyTorch, in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from gatewise.network.operation import Execution
from gatewise.network.operations import operation_of
from tests.network.operations.cases import elementwise, reductions

torch = pytest.importorskip("torch")
functional = torch.nn.functional

RNG = np.random.default_rng(5)
NAN, INFINITY = np.nan, np.inf


def _values() -> Any:
    """Random numbers, with ties, zeros and whole numbers, where many functions have a bend."""
    numbers = RNG.standard_normal((4, 6)) * 2
    numbers[0] = [0.0, -0.0, 1.0, -1.0, 3.0, -3.0]
    numbers[1, :3] = numbers[1, 3]
    numbers[:2, 5] = 2.5
    return numbers


def _positive() -> Any:
    return np.abs(_values()) + 0.125


@dataclass(frozen=True)
class Case:
    """attributes: of the operation. torch: the function. inputs: arrays. gradients: the tolerance of theirs."""

    torch: Callable[..., Any]
    attributes: dict[str, Any] = field(default_factory=dict)
    inputs: list[Any] = field(default_factory=lambda: [_values()])
    gradients: float = 1e-10


def _pair() -> list[Any]:
    """Arrays that are broadcast, with ties between them."""
    left = _values()[:, None]
    right = _values()[:3]
    right[0] = left[1, 0]
    return [left, right]


def _pair_with_positive() -> list[Any]:
    return [_values()[:, None], _positive()[:3]]


def _mean(*inputs: Any) -> Any:
    return sum(inputs) / len(inputs)


_SELU = {"alpha": 1.6732632423543772, "gamma": 1.0507009873554805}
_HARD_SIGMOID = {"alpha": 1 / 6, "beta": 0.5}

TABLE: dict[str, list[Case]] = {
    "Abs": [Case(torch.abs)],
    "Add": [Case(torch.add, inputs=_pair())],
    "Ceil": [Case(torch.ceil)],
    "Celu": [Case(functional.celu), Case(lambda x: functional.celu(x, 2.5), {"alpha": 2.5})],
    "Clip": [
        Case(torch.clamp, inputs=[_values(), np.asarray(-1.0), np.asarray(2.5)]),
        Case(torch.clamp, inputs=[_values(), np.asarray(2.5), np.asarray(-1.0)]),
        Case(torch.clamp, inputs=[_values(), np.asarray(0.0)]),
    ],
    "Cos": [Case(torch.cos)],
    "CumSum": [
        Case(lambda x: x.cumsum(1), {"axis": 1}),
        Case(lambda x: x.flip(0).cumsum(0).flip(0), {"axis": 0, "reverse": 1}),
    ],
    "Div": [Case(torch.div, inputs=_pair_with_positive())],
    "Elu": [Case(functional.elu), Case(lambda x: functional.elu(x, 0.3), {"alpha": 0.3})],
    "Erf": [Case(torch.erf)],
    "Exp": [Case(torch.exp)],
    "Floor": [Case(torch.floor)],
    "Gelu": [
        Case(functional.gelu),
        Case(lambda x: functional.gelu(x, approximate="tanh"), {"approximate": "tanh"}),
    ],
    # PyTorch has 1/6 in float32 in this gradient.
    "HardSigmoid": [Case(functional.hardsigmoid, _HARD_SIGMOID, gradients=1e-7)],
    "HardSwish": [Case(functional.hardswish)],
    "LeakyRelu": [Case(functional.leaky_relu), Case(lambda x: functional.leaky_relu(x, 0.3), {"alpha": 0.3})],
    "Log": [Case(torch.log, inputs=[_positive()])],
    "LogSoftmax": [Case(lambda x: x.log_softmax(-1)), Case(lambda x: x.log_softmax(0), {"axis": 0})],
    "MatMul": [Case(torch.matmul, inputs=[_values(), _values().T])],
    "Max": [Case(torch.maximum, inputs=_pair())],
    "Mean": [Case(_mean, inputs=[*_pair(), _values()[0]])],
    "Min": [Case(torch.minimum, inputs=_pair())],
    "Mish": [Case(functional.mish)],
    "Mod": [Case(torch.fmod, {"fmod": 1}, _pair_with_positive())],
    "Mul": [Case(torch.mul, inputs=_pair())],
    "Neg": [Case(torch.neg)],
    "PRelu": [Case(functional.prelu, inputs=[_values()[:2], np.array([0.3, -0.2, 0.1, 0.5, 0.7, 1.5])])],
    "Pow": [
        Case(torch.pow, inputs=[_positive()[:, None], _values()[:3]]),
        Case(torch.pow, inputs=[_values(), np.array([2.0, 3.0, 0.0, 1.0, 2.0, -1.0])]),
    ],
    "Reciprocal": [Case(torch.reciprocal, inputs=[_positive()])],
    "ReduceL1": [Case(lambda x: x.norm(1, 1, keepdim=True), {"axes": (1,)})],
    "ReduceL2": [
        Case(lambda x: x.norm(2, 0), {"axes": (0,), "keepdims": 0}, [_values() * [1, 0, 1, 1, 0, 1]]),
    ],
    "ReduceLogSumExp": [Case(lambda x: x.logsumexp(1), {"axes": (1,), "keepdims": 0})],
    "ReduceMax": [
        Case(lambda x: x.amax(1), {"axes": (1,), "keepdims": 0}),
        Case(lambda x: x.amax((0, 1), keepdim=True)),
    ],
    "ReduceMean": [Case(lambda x: x.mean(0), {"axes": (0,), "keepdims": 0}), Case(lambda x: x.mean((0, 1), True))],
    "ReduceMin": [
        Case(lambda x: x.amin(1), {"axes": (1,), "keepdims": 0}),
        Case(lambda x: x.amin((0, 1), keepdim=True)),
    ],
    "ReduceProd": [
        Case(lambda x: x.prod(1), {"axes": (1,), "keepdims": 0}),
        Case(lambda x: x.prod(), {"keepdims": 0}),
    ],
    "ReduceSum": [Case(lambda x: x.sum(1), {"axes": (-1,), "keepdims": 0}), Case(lambda x: x.sum((0, 1), True))],
    "ReduceSumSquare": [Case(lambda x: (x * x).sum(1), {"axes": (1,), "keepdims": 0})],
    "Relu": [Case(torch.relu)],
    "Round": [Case(torch.round)],
    "Selu": [Case(functional.selu, _SELU)],
    "Sigmoid": [Case(torch.sigmoid)],
    "Sign": [Case(torch.sign)],
    "Sin": [Case(torch.sin)],
    "Softmax": [Case(lambda x: x.softmax(-1))],
    "Softplus": [Case(functional.softplus)],
    "Softsign": [Case(functional.softsign)],
    "Sqrt": [Case(torch.sqrt, inputs=[_positive()])],
    "Sub": [Case(torch.sub, inputs=_pair())],
    "Sum": [Case(lambda *inputs: sum(inputs), inputs=[*_pair(), _values()[0]])],
    "Swish": [Case(functional.silu)],
    "Tanh": [Case(torch.tanh)],
    "ThresholdedRelu": [Case(lambda x: functional.threshold(x, 1.0, 0.0))],
    "TopK": [
        Case(lambda x: x.topk(2, 0), {"K": 2, "axis": 0}, [RNG.standard_normal((5, 3))]),
        Case(lambda x: x.topk(4, largest=False), {"K": 4, "largest": 0}, [RNG.standard_normal((3, 7))]),
    ],
    "Where": [
        Case(torch.where, inputs=[RNG.random((4, 1)) < 0.5, _values(), _values()[0]]),
        Case(torch.where, inputs=[np.array([True, False]), np.array([1.5, NAN]), np.array([NAN, -2.0])]),
    ],
}
"""By name."""

# What is not a number stays one in these results, while PyTorch has 0.
NAN_IS_ZERO_IN_TORCH = {"Sign"}

CASES = [
    pytest.param(name, case, id=f"{name}{number}") for name, cases in TABLE.items() for number, case in enumerate(cases)
]


def _ours(name: str, case: Case, inputs: list[Any]) -> tuple[tuple[Any, ...], Callable[..., Any]]:
    with np.errstate(all="ignore"):  # as in a graph
        return operation_of(name, case.attributes).forward(Execution(dtype=np.float64), *inputs)


def _theirs(case: Case, inputs: list[Any]) -> tuple[list[Any], list[Any]]:
    """The tensors of the inputs and of the outputs."""
    tensors = [torch.tensor(array, requires_grad=array.dtype.kind == "f") for array in inputs]
    outputs = case.torch(*tensors)
    return tensors, [outputs] if isinstance(outputs, torch.Tensor) else list(outputs)


@pytest.mark.parametrize(("name", "case"), CASES)
def test_the_value_and_the_gradient_are_those_of_torch(name: str, case: Case) -> None:
    outputs, backward = _ours(name, case, case.inputs)
    tensors, expected = _theirs(case, case.inputs)
    for output, tensor in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(output, tensor.detach().numpy(), rtol=1e-12, atol=1e-12)
    grad = np.random.default_rng(6).standard_normal(outputs[0].shape)
    expected[0].backward(torch.tensor(grad))
    with np.errstate(all="ignore"):  # as in a graph
        grads = backward(grad, *(None for _ in outputs[1:]))
    for array, tensor, dx in zip(case.inputs, tensors, grads, strict=True):
        if array.dtype.kind != "f":
            assert dx is None
            continue
        computed = np.zeros_like(array) if dx is None else dx
        reference = np.zeros_like(array) if tensor.grad is None else tensor.grad.numpy()
        np.testing.assert_allclose(computed, reference, rtol=case.gradients, atol=case.gradients)


@pytest.mark.parametrize(("name", "case"), CASES)
def test_undefined_and_infinite_numbers_give_the_values_of_torch(name: str, case: Case) -> None:
    inputs = [array.copy() for array in case.inputs]
    for array in inputs:
        if array.dtype.kind == "f" and array.ndim:
            array.flat[:3] = [NAN, INFINITY, -INFINITY][: array.size]
    outputs, _ = _ours(name, case, inputs)
    _, expected = _theirs(case, inputs)
    for output, tensor in zip(outputs, expected, strict=True):
        reference = tensor.detach().numpy()
        if name in NAN_IS_ZERO_IN_TORCH:
            reference = np.where(np.isnan(inputs[0]), NAN, reference)
        np.testing.assert_allclose(output, reference, rtol=1e-12, atol=1e-12)


def test_the_table_has_each_operation_with_a_gradient() -> None:
    """Of the families of this file. The others return indices or truth values."""
    without = {"And", "ArgMax", "ArgMin", "Equal", "Greater", "GreaterOrEqual", "IsInf", "IsNaN", "Less", "LessOrEqual"}
    without |= {"Not", "Or", "Xor"}
    assert {*elementwise.CASES, *reductions.CASES} - without == set(TABLE) - {"MatMul"}
