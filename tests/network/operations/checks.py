"""What holds for each operation: the shape rule says what the forward pass returns, and the gradient is that of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatewise.network.operation import Execution, Operation, ValueType
from gatewise.network.size import symbol, value_of


def check(operation: Operation, *inputs: Any) -> None:
    """The types of constant and of symbolic sizes, and the gradient in float64."""
    arrays = [np.asarray(one, dtype=np.float64) if np.asarray(one).dtype.kind == "f" else one for one in inputs]
    with np.errstate(all="ignore"):  # as in a graph
        check_types(operation, *arrays)
        check_precision(operation, *arrays)
        check_gradient(operation, *arrays)


def check_edge(operation: Operation, inputs: list[Any], result: Any, grads: list[Any]) -> None:
    """The result, in float32 too, and the gradients for the gradient 1 of each number of it."""
    for dtype in (np.float32, np.float64):
        arrays = []
        for values in inputs:
            array = np.asarray(values)
            arrays.append(array.astype(dtype) if array.dtype.kind == "f" else array)
        with np.errstate(all="ignore"):  # as in a graph
            (output,), backward = operation.forward(Execution(dtype=dtype), *arrays)
            computed = backward(np.ones_like(output))
        np.testing.assert_allclose(output, result, rtol=1e-6)
        assert output.dtype == dtype or output.dtype.kind != "f"
        for array, grad, expected in zip(arrays, computed, grads, strict=True):
            if expected is None:
                assert grad is None
                continue
            np.testing.assert_allclose(grad, expected, rtol=1e-6)
            assert grad.dtype == dtype
            assert grad.shape == array.shape


def check_types(operation: Operation, *inputs: Any) -> None:
    """`infer` of the shapes of these inputs, None for one that is left out, gives those of the outputs."""
    execution = Execution(dtype=np.float64)
    types = [None if one is None else ValueType(dtype_of(one), one.shape) for one in inputs]
    inferred = operation.infer(*types)
    outputs, _ = operation.forward(execution, *inputs)
    assert [one.shape for one in inferred] == [one.shape for one in outputs]
    assert [one.dtype for one in inferred] == [dtype_of(one) for one in outputs]


def check_precision(operation: Operation, *inputs: Any) -> None:
    """A prediction in float32 stays in float32, and its gradients have the dtype and shape of the inputs."""
    single = [array.astype(np.float32) if array is not None and array.dtype.kind == "f" else array for array in inputs]
    outputs, backward = operation.forward(Execution(), *single)
    assert all(output.dtype.name in ("float32", "int64", "int32", "bool") for output in outputs)
    grads = [np.ones_like(output) if output.dtype.kind == "f" else None for output in outputs]
    if all(grad is None for grad in grads):
        return
    for array, grad in zip(single, backward(*grads), strict=False):
        if grad is not None:
            assert grad.dtype == array.dtype
            assert grad.shape == array.shape


def check_symbolic(operation: Operation, inputs: list[Any], axes: list[dict[int, str]]) -> None:
    """`infer` with symbols for some axes of the inputs, by input and axis; it needs no other sizes of them.

    Arrays after the inputs of the operation only have sizes that its fields refer to.
    """
    taken = len(inputs)
    if not operation.variadic:
        taken = len(operation.value_inputs())
    types = []
    sizes: dict[str, int] = {}
    for array, names in zip(inputs, axes, strict=True):
        shape: list[Any] = list(array.shape)
        for axis, name in names.items():
            sizes[name] = shape[axis]
            shape[axis] = symbol(name)
        types.append(ValueType(dtype_of(array), tuple(shape)))
    inferred = operation.infer(*types[:taken])
    outputs, _ = operation.forward(Execution(sizes, dtype=np.float64), *inputs[:taken])
    for value_type, output in zip(inferred, outputs, strict=True):
        assert tuple(value_of(size, sizes) for size in value_type.shape) == output.shape


def check_gradient(operation: Operation, *inputs: Any, step: float = 1e-6) -> None:
    """The backward pass of random gradients of the outputs, beside central differences in float64."""
    rng = np.random.default_rng(0)
    execution = Execution(dtype=np.float64)
    outputs, backward = operation.forward(execution, *inputs)
    grads = [rng.standard_normal(one.shape) if one.dtype.kind == "f" else None for one in outputs]

    def loss(arrays: list[Any]) -> float:
        values, _ = operation.forward(execution, *arrays)
        return float(sum((value * grad).sum() for value, grad in zip(values, grads, strict=True) if grad is not None))

    if all(grad is None for grad in grads):
        return  # a graph does not run this backward pass
    found = backward(*grads)
    # Optional inputs at the end that are left out have no gradient.
    assert all(grad is None for grad in found[len(inputs) :])
    assert len(found) >= len(inputs)
    found = found[: len(inputs)]
    for number, (array, grad) in enumerate(zip(inputs, found, strict=True)):
        if array is None or array.dtype.kind != "f":
            assert grad is None, f"input {number} has no gradient"
            continue
        differences = np.zeros_like(array)
        for place in np.ndindex(array.shape):
            values = []
            for sign in (1, -1):
                moved = array.copy()
                moved[place] += sign * step
                values.append(loss([*inputs[:number], moved, *inputs[number + 1 :]]))
            differences[place] = (values[0] - values[1]) / (2 * step)
        if grad is None:  # the operation says that there is none
            grad = np.zeros_like(array)
        np.testing.assert_allclose(grad, differences, rtol=1e-5, atol=1e-7, err_msg=f"input {number}")


def dtype_of(array: Any) -> Any:
    """Of a value of a graph."""
    return "float" if array.dtype.kind == "f" else array.dtype.name
