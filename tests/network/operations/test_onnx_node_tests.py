"""Each operation against the node tests of the ONNX specification, which the package onnx makes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from gatewise.network.operation import Execution, Operation, ValueType
from gatewise.network.operations import NAMES, operation_named, operation_of
from gatewise.network.operations.recurrent import Recurrent
from gatewise.network.size import value_of
from tests.network.operations.cases.recurrent import GATES
from tests.network.operations.checks import dtype_of

pytest.importorskip("onnx")

from onnx import helper, numpy_helper
from onnx.backend.test.case.node import collect_testcases

# Operations of gatewise that are no operators of ONNX.
OWN = {"Loop", "Recurrent", "RequireLongest", "Sizes"}

# Node tests of what a graph does not have: numbers of other types, strings, training, sequences.
_OPSET_13 = "the number of chunks was that of the outputs of the node before opset 18"
_REDUCTION = "the reduction is not known here"
_TRAINING = "a graph computes as at inference"
SKIPPED: dict[str, str] = {
    "test_batchnorm_example_training_mode": _TRAINING,
    "test_batchnorm_epsilon_training_mode": _TRAINING,
    "test_training_dropout_default": _TRAINING,
    "test_training_dropout_default_mask": _TRAINING,
    "test_training_dropout": _TRAINING,
    "test_training_dropout_mask": _TRAINING,
    "test_training_dropout_zero_ratio": _TRAINING,
    "test_training_dropout_zero_ratio_mask": _TRAINING,
    "test_split_equal_parts_1d_opset13": _OPSET_13,
    "test_split_equal_parts_2d_opset13": _OPSET_13,
    "test_split_equal_parts_default_axis_opset13": _OPSET_13,
    "test_scatter_elements_with_reduction_mul": _REDUCTION,
    "test_scatter_elements_with_reduction_max": _REDUCTION,
    "test_scatter_elements_with_reduction_min": _REDUCTION,
    "test_range_float_type_positive_delta": "a range of floating-point numbers is a constant of a graph",
}

_TYPES = ("float32", "float64", "int64", "int32", "bool")


@pytest.fixture(scope="module")
def cases() -> dict[str, list[Any]]:
    """All cases of one node, by the name of its operator."""
    by_operator: dict[str, list[Any]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the cases themselves
        for case in collect_testcases(None):
            nodes = case.model.graph.node
            if len(nodes) == 1:
                by_operator.setdefault(nodes[0].op_type, []).append(case)
    return by_operator


@pytest.mark.parametrize("name", sorted(set(NAMES) - OWN))
def test_the_node_tests_of_onnx(name: str, cases: dict[str, list[Any]]) -> None:
    """All cases of an operator with the dtypes of a graph. At least one of them runs."""
    done = 0
    for case in cases[name]:
        if case.name in SKIPPED:
            continue
        for inputs, outputs in case.data_sets:
            arrays = [_array(one) for one in inputs]
            expected = [_array(one) for one in outputs]
            if any(one is None or one.dtype.name not in _TYPES for one in [*arrays, *expected]):
                continue
            _check(case, case.model.graph.node[0], arrays, expected)
            done += 1
    assert done, f"no node test of {name} ran"


def _check(case: Any, node: Any, arrays: list[Any], expected: list[Any]) -> None:
    operation, values = read_node(node, dict(zip([one.name for one in case.model.graph.input], arrays, strict=True)))
    with np.errstate(all="ignore"):  # as in a graph
        outputs, _ = operation.forward(Execution(dtype=np.float64), *values)
    types = operation.infer(*(None if one is None else ValueType(dtype_of(one), one.shape) for one in values))
    for value_type, output, wanted in zip(types, outputs, expected, strict=False):
        assert output.dtype.kind == wanted.dtype.kind, case.name
        np.testing.assert_allclose(output, wanted, rtol=case.rtol, atol=case.atol, err_msg=case.name)
        assert tuple(value_of(size, {}) for size in value_type.shape) == wanted.shape, case.name


def read_node(node: Any, feeds: dict[str, Any]) -> tuple[Operation, list[Any]]:
    """The operation of a node and the values that it reads; inputs which are fields of it become attributes."""
    attributes = {one.name: _attribute(one) for one in node.attribute}
    formal = operation_named(node.op_type).formal
    values = []
    for number, name in enumerate(node.input):
        key = formal[min(number, len(formal) - 1)]
        if key not in operation_named(node.op_type).value_inputs():
            if name:
                attributes[key] = feeds[name]
        else:
            values.append(feeds[name] if name else None)
    return operation_of(node.op_type, attributes), values


def _attribute(attribute: Any) -> Any:
    value = helper.get_attribute_value(attribute)
    return numpy_helper.to_array(value) if attribute.type == attribute.TENSOR else value


def _array(value: Any) -> Any:
    """An array of a case; None for what is none, such as a sequence."""
    if isinstance(value, np.ndarray | np.generic):
        return np.asarray(value)
    try:
        return numpy_helper.to_array(value)
    except (TypeError, ValueError, AttributeError):
        return None


ONNX_ORDER = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}
"""Of the gates i f g o, r z n in the arrays of ONNX, which have i o f c, z r h."""


@pytest.mark.parametrize("cell", ["LSTM", "GRU", "RNN"])
def test_recurrent_computes_the_node_tests_of_onnx(cell: str, cases: dict[str, list[Any]]) -> None:
    assert len(cases[cell]) >= 6
    for case in cases[cell]:
        [(feeds, expected)] = case.data_sets
        node = case.model.graph.node[0]
        attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        named = dict(zip([one.name for one in case.model.graph.input], map(np.asarray, feeds), strict=True))
        values = [named[name] if name else None for name in node.input]
        outputs = dict(zip([name for name in node.output if name], map(np.asarray, expected), strict=True))
        _check_recurrent(cell, attributes, values, outputs, case.name)


def _check_recurrent(
    cell: str, attributes: dict[str, Any], values: list[Any], outputs: dict[str, Any], case: str
) -> None:
    """One node, whose inputs are X, W, R, B, lengths, h, c and P of the specification."""
    values += [None] * (8 - len(values))
    x, w, r, b, lengths, h0, c0, p = values
    batch_first = attributes.get("layout", 0) == 1
    x = x if batch_first else x.swapaxes(0, 1)
    directions = 2 if attributes.get("direction") == b"bidirectional" else 1
    units = r.shape[2]

    def ordered(array: Any) -> Any:
        return np.concatenate([np.split(array, GATES[cell])[place] for place in ONNX_ORDER[cell]])

    shown, last = [], []
    for direction in range(directions):
        biases = (None, None) if b is None else (ordered(half) for half in np.split(b[direction], 2))
        bias, recurrent_bias = biases
        peepholes = None if p is None else np.concatenate([np.split(p[direction], 3)[place] for place in (0, 2, 1)])
        mask = None if lengths is None else np.arange(x.shape[1]) < lengths[:, None]
        starts = [None if one is None else (one[:, direction] if batch_first else one[direction]) for one in (h0, c0)]
        operation = Recurrent(
            cell,  # type: ignore[arg-type]
            reverse=direction == 1 or attributes.get("direction") == b"reverse",
            masked="zero",
            linear_before_reset=bool(attributes.get("linear_before_reset", 0)),
        )
        (h, *states), _ = operation.forward(
            Execution(), x, ordered(w[direction]), ordered(r[direction]), bias, recurrent_bias, mask, *starts, peepholes
        )
        shown.append(h)
        last.append(states)
    assert h.shape[2] == units
    every = np.stack(shown, axis=2)  # (B, T, directions, H)
    for key, wanted in outputs.items():
        if wanted.ndim == 4:
            found = every if batch_first else every.transpose(1, 2, 0, 3)
        else:
            final = np.stack([states[key == "Y_c"] for states in last], axis=1)  # (B, directions, H)
            found = final if batch_first else final.swapaxes(0, 1)
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-6, err_msg=f"{case}: {key}")
