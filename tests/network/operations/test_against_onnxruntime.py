"""Operations against ONNX Runtime, with random attributes and shapes, and their gradients against differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gatewise.network.operation import Execution, ValueType
from gatewise.network.operations import operation_named, operation_of
from tests.network.operations.checks import check_gradient, check_types, dtype_of

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
helper = onnx.helper

OPSET = 21
TRIES = 25  # of each operation
DIFFERENCES = 6  # of them, whose gradients are compared

Rng = np.random.Generator
Drawn = tuple[dict[str, Any], list[Any]]
"""The attributes, also those that are inputs in ONNX and fields here, and the inputs."""
Draw = Callable[[Rng], Drawn]


def shape_of(rng: Rng, least: int = 1, most: int = 4) -> tuple[int, ...]:
    return tuple(int(size) for size in rng.integers(1, 5, rng.integers(least, most + 1)))


def floats(rng: Rng, *shape: int) -> Any:
    return rng.standard_normal(shape) * 2


def integers(rng: Rng, *shape: int) -> Any:
    return rng.integers(-4, 9, shape)


def unary(rng: Rng, **attributes: Any) -> Drawn:
    return attributes, [floats(rng, *shape_of(rng, 0))]


def positive(rng: Rng) -> Drawn:
    return {}, [np.abs(floats(rng, *shape_of(rng, 0))) + 0.1]


def with_alpha(*names: str) -> Draw:
    """An activation with random attributes."""
    return lambda rng: unary(rng, **{name: round(float(rng.uniform(0.1, 2)), 3) for name in names})


def pair(rng: Rng, draw: Callable[..., Any]) -> list[Any]:
    """Two arrays that are broadcast."""
    shape = shape_of(rng, 1)
    arrays = []
    for _ in range(2):
        cut = int(rng.integers(0, len(shape) + 1))
        some = [1 if rng.random() < 0.3 else size for size in shape[cut:]]
        arrays.append(np.asarray(draw(rng, *some)))
    return arrays


def binary(rng: Rng) -> Drawn:
    return {}, pair(rng, floats)


def of_numbers(rng: Rng) -> Drawn:
    return {}, pair(rng, floats if rng.random() < 0.5 else integers)


def division(rng: Rng) -> Drawn:
    x, y = pair(rng, floats)
    return {}, [x, np.sign(y) * (np.abs(y) + 0.2)]


def remainder(rng: Rng) -> Drawn:
    x, y = pair(rng, integers)
    if rng.random() < 0.5:
        return {"fmod": 1}, [x * 0.7, np.where(y == 0, 3, y) * 0.9]
    return {"fmod": int(rng.integers(0, 2))}, [x, np.where(y == 0, 3, y)]


def booleans(rng: Rng, *shape: int) -> Any:
    return rng.random(shape) < 0.5


def logical(rng: Rng) -> Drawn:
    return {}, pair(rng, booleans)


def axis_of(rng: Rng, rank: int) -> int:
    return int(rng.integers(-rank, rank))


def along_axis(rng: Rng) -> Drawn:
    shape = shape_of(rng)
    return {"axis": axis_of(rng, len(shape))}, [floats(rng, *shape)]


def cumulative(rng: Rng) -> Drawn:
    attributes, inputs = along_axis(rng)
    flags = {"exclusive": int(rng.integers(0, 2)), "reverse": int(rng.integers(0, 2))}
    return {"axis": np.array(attributes["axis"]), **flags}, inputs


def reduction(rng: Rng) -> Drawn:
    shape = shape_of(rng)
    rank = len(shape)
    attributes: dict[str, Any] = {"keepdims": int(rng.integers(0, 2))}
    count = int(rng.integers(0, rank + 1))
    axes = rng.permutation(rank)[:count]
    if count:
        attributes["axes"] = np.where(rng.random(count) < 0.5, axes, axes - rank)
    else:
        attributes["noop_with_empty_axes"] = int(rng.integers(0, 2))
    return attributes, [floats(rng, *shape)]


def index_of(rng: Rng) -> Drawn:
    attributes, inputs = along_axis(rng)
    inputs[0] = np.round(inputs[0])  # with ties
    return {**attributes, "keepdims": int(rng.integers(0, 2)), "select_last_index": int(rng.integers(0, 2))}, inputs


def clip(rng: Rng) -> Drawn:
    bounds = np.sort(floats(rng, 2))
    return {}, [floats(rng, *shape_of(rng, 0)), np.asarray(bounds[0]), np.asarray(bounds[1])]


def choice(rng: Rng) -> Drawn:
    x, y = pair(rng, floats)
    condition = rng.random(np.broadcast_shapes(x.shape, y.shape)) < 0.5
    return {}, [condition, x, y]


def concat(rng: Rng) -> Drawn:
    shape = shape_of(rng)
    axis = axis_of(rng, len(shape))
    arrays = []
    for _ in range(int(rng.integers(1, 4))):
        own = list(shape)
        own[axis] = int(rng.integers(1, 4))
        arrays.append(floats(rng, *own))
    return {"axis": axis}, arrays


def window(rng: Rng, rank: int, *, dilated: bool = True) -> dict[str, Any]:
    kernel = rng.integers(1, 4, rank)
    attributes: dict[str, Any] = {"kernel_shape": kernel.tolist(), "strides": rng.integers(1, 4, rank).tolist()}
    if dilated:
        attributes["dilations"] = rng.integers(1, 3, rank).tolist()
    way = rng.integers(0, 4)
    if way < 2:
        pads = [int(rng.integers(0, size)) for size in (*kernel, *kernel)]
        attributes["pads"] = pads
    elif way == 2 and not dilated:
        attributes["auto_pad"] = str(rng.choice(["SAME_UPPER", "SAME_LOWER"]))
    return attributes


def convolution(rng: Rng) -> Drawn:
    rank = int(rng.integers(1, 3))
    attributes = window(rng, rank)
    if "pads" not in attributes and rng.random() < 0.5:
        attributes["auto_pad"] = str(rng.choice(["SAME_UPPER", "SAME_LOWER", "VALID"]))
        attributes["dilations"] = [1] * rank
    group = int(rng.integers(1, 3))
    channels = int(rng.integers(1, 3))
    kernels = group * int(rng.integers(1, 3))
    x = floats(rng, int(rng.integers(1, 3)), group * channels, *rng.integers(6, 9, rank))
    w = floats(rng, kernels, channels, *attributes["kernel_shape"])
    return {**attributes, "group": group}, [x, w, *([floats(rng, kernels)] if rng.random() < 0.7 else [])]


def pooling(rng: Rng, **attributes: Any) -> Drawn:
    rank = int(rng.integers(1, 3))
    x = floats(rng, int(rng.integers(1, 3)), 2, *rng.integers(6, 9, rank))
    own = window(rng, rank, dilated=rng.random() < 0.5)
    if "auto_pad" not in own:
        own["ceil_mode"] = int(rng.integers(0, 2))
    return {**own, **attributes}, [x]


def average(rng: Rng) -> Drawn:
    return pooling(rng, count_include_pad=int(rng.integers(0, 2)))


def whole_average(rng: Rng) -> Drawn:
    return {}, [floats(rng, 2, 3, *shape_of(rng, 1, 2))]


def slices(rng: Rng) -> Drawn:
    while True:
        shape = tuple(int(size) for size in rng.integers(2, 7, rng.integers(1, 4)))
        count = int(rng.integers(1, len(shape) + 1))
        axes = rng.permutation(len(shape))[:count]
        steps = rng.choice([-3, -2, -1, 1, 2, 3], count)
        starts, ends = rng.integers(-9, 9, count), rng.integers(-9, 9, count)
        x = floats(rng, *shape)
        bounds = zip(axes, starts, ends, steps, strict=True)
        sizes = [len(range(shape[axis])[slice(*_of_python(*bound, shape[axis]))]) for axis, *bound in bounds]
        if all(sizes):
            return {"starts": starts, "ends": ends, "axes": axes, "steps": steps}, [x]


def _of_python(start: int, end: int, step: int, size: int) -> tuple[int, int | None, int]:
    return int(start), None if step < 0 and end < -size else int(end), int(step)


def pads(rng: Rng) -> Drawn:
    shape = tuple(int(size) for size in rng.integers(3, 6, rng.integers(1, 4)))
    mode = str(rng.choice(["constant", "reflect", "edge", "wrap"]))
    count = int(rng.integers(1, len(shape) + 1))
    axes = rng.permutation(len(shape))[:count]
    low = -1 if mode == "constant" else 0
    widths = rng.integers(low, 3, 2 * count)
    attributes: dict[str, Any] = {"mode": mode, "pads": widths, "axes": axes}
    if mode == "constant":
        attributes["constant_value"] = np.array(1.5)
    return attributes, [floats(rng, *shape)]


def gather(rng: Rng) -> Drawn:
    shape = shape_of(rng)
    axis = axis_of(rng, len(shape))
    return {"axis": axis}, [floats(rng, *shape), rng.integers(-shape[axis], shape[axis], shape_of(rng, 0, 2))]


def gather_elements(rng: Rng) -> Drawn:
    shape = shape_of(rng)
    axis = axis_of(rng, len(shape))
    own = [int(rng.integers(1, size + 1)) for size in shape]
    return {"axis": axis}, [floats(rng, *shape), rng.integers(-shape[axis], shape[axis], own)]


def gather_nd(rng: Rng) -> Drawn:
    shape = shape_of(rng, 2)
    batch = int(rng.integers(0, len(shape)))
    depth = int(rng.integers(1, len(shape) - batch + 1))
    some = (*shape[:batch], *shape_of(rng, 0, 2))
    indices = np.stack([rng.integers(-size, size, some) for size in shape[batch : batch + depth]], -1)
    return {"batch_dims": batch}, [floats(rng, *shape), indices]


def scatter(rng: Rng) -> Drawn:
    shape = shape_of(rng)
    axis = axis_of(rng, len(shape))
    own = [int(rng.integers(1, size + 1)) for size in shape]
    if rng.random() < 0.5:
        return {"axis": axis, "reduction": "add"}, [
            floats(rng, *shape),
            rng.integers(-shape[axis], shape[axis], own),
            floats(rng, *own),
        ]
    indices = np.argsort(rng.random(shape), axis=axis)[tuple(map(slice, own))]
    return {"axis": axis}, [floats(rng, *shape), indices, floats(rng, *own)]


def one_hot(rng: Rng) -> Drawn:
    depth = int(rng.integers(1, 6))
    indices = rng.integers(-depth, depth, shape_of(rng, 0, 3))
    axis = axis_of(rng, indices.ndim + 1)
    return {"depth": np.array(depth), "values": np.array([0.5, 3.0]), "axis": axis}, [indices]


def top(rng: Rng) -> Drawn:
    shape = shape_of(rng)
    axis = axis_of(rng, len(shape))
    k = int(rng.integers(1, shape[axis] + 1))
    return {"K": np.array([k]), "axis": axis, "largest": int(rng.integers(0, 2))}, [np.round(floats(rng, *shape))]


def einsum(rng: Rng) -> Drawn:
    letters = "abcd"
    sizes = dict(zip(letters, (2, 3, 4, 1), strict=True))
    terms = ["".join(rng.permutation(list(letters))[: rng.integers(1, 4)]) for _ in range(int(rng.integers(1, 4)))]
    present = sorted(set("".join(terms)))
    result = "".join(rng.permutation(present)[: rng.integers(0, len(present) + 1)])
    arrays = [floats(rng, *(sizes[letter] for letter in term)) for term in terms]
    return {"equation": f"{','.join(terms)}->{result}"}, arrays


def matrices(rng: Rng) -> Drawn:
    inner = int(rng.integers(1, 4))
    batch = shape_of(rng, 0, 2)
    left = (*batch, int(rng.integers(1, 4)), inner)
    right = (*(1 if rng.random() < 0.3 else size for size in batch[int(rng.integers(0, len(batch) + 1)) :]), inner, 2)
    if rng.random() < 0.2:
        right = (inner,)
    elif rng.random() < 0.2:
        left = (inner,)
    return {}, [floats(rng, *left), floats(rng, *right)]


def gemm(rng: Rng) -> Drawn:
    rows, inner, columns = (int(size) for size in rng.integers(1, 5, 3))
    flags = {"transA": int(rng.integers(0, 2)), "transB": int(rng.integers(0, 2))}
    a = floats(rng, rows, inner)
    b = floats(rng, inner, columns)
    inputs = [a.T if flags["transA"] else a, b.T if flags["transB"] else b]
    c = [(), (columns,), (1, columns), (rows, 1), (rows, columns)][int(rng.integers(0, 5))]
    if rng.random() < 0.8:
        inputs.append(np.asarray(floats(rng, *c)))
    return {**flags, "alpha": 0.5, "beta": 1.5}, inputs


def split(rng: Rng) -> Drawn:
    shape = list(shape_of(rng))
    axis = axis_of(rng, len(shape))
    if rng.random() < 0.5:
        sizes = rng.integers(1, 4, rng.integers(1, 4))
        shape[axis] = int(sizes.sum())
        return {"split": sizes, "axis": axis}, [floats(rng, *shape)]
    shape[axis] = int(rng.integers(3, 8))
    return {"num_outputs": int(rng.integers(1, 3)), "axis": axis}, [floats(rng, *shape)]


def reshape(rng: Rng) -> Drawn:
    shape = shape_of(rng, 2, 4)
    wanted = [int(size) for size in rng.permutation(shape)]
    if rng.random() < 0.5:
        wanted[int(rng.integers(len(wanted)))] = -1
    if wanted[0] != -1 and wanted[0] == shape[0]:
        wanted[0] = 0
    return {"shape": np.array(wanted)}, [floats(rng, *shape)]


def expand(rng: Rng) -> Drawn:
    shape = shape_of(rng)
    own = [1 if rng.random() < 0.5 else size for size in shape[int(rng.integers(0, len(shape))) :]]
    return {"shape": np.array(shape)}, [floats(rng, *own)]


def tile(rng: Rng) -> Drawn:
    shape = shape_of(rng)
    return {"repeats": rng.integers(1, 4, len(shape))}, [floats(rng, *shape)]


def transpose(rng: Rng) -> Drawn:
    shape = shape_of(rng)
    return {"perm": rng.permutation(len(shape)).tolist()} if rng.random() < 0.8 else {}, [floats(rng, *shape)]


def squeeze(rng: Rng) -> Drawn:
    shape = [1, *shape_of(rng, 1, 2), 1]
    axes = [-1, 0] if rng.random() < 0.5 else [0]
    return {"axes": np.array(axes)}, [floats(rng, *shape)]


def unsqueeze(rng: Rng) -> Drawn:
    shape = shape_of(rng, 0, 3)
    rank = len(shape) + 2
    axes = rng.permutation(rank)[:2]
    return {"axes": np.where(rng.random(2) < 0.5, axes, axes - rank)}, [floats(rng, *shape)]


def triangle(rng: Rng) -> Drawn:
    return {"upper": int(rng.integers(0, 2)), "k": np.array(rng.integers(-3, 4))}, [floats(rng, *shape_of(rng, 2))]


def flatten(rng: Rng) -> Drawn:
    shape = shape_of(rng)
    return {"axis": int(rng.integers(-len(shape), len(shape) + 1))}, [floats(rng, *shape)]


def reverse(rng: Rng) -> Drawn:
    batch = int(rng.integers(0, 2))
    shape = [3, 4, *shape_of(rng, 0, 1)]
    lengths = rng.integers(1, shape[1 - batch] + 1, shape[batch])
    return {"batch_axis": batch, "time_axis": 1 - batch}, [floats(rng, *shape), lengths]


def layer_norm(rng: Rng) -> Drawn:
    shape = shape_of(rng, 2)
    axis = int(rng.integers(1, len(shape)))
    own = shape[axis:]
    return {"axis": axis if rng.random() < 0.5 else axis - len(shape), "epsilon": 0.01}, [
        floats(rng, *shape),
        floats(rng, *own),
        floats(rng, *own),
    ]


def instance_norm(rng: Rng) -> Drawn:
    return {"epsilon": 0.01}, [floats(rng, 2, 3, *shape_of(rng, 1, 2)), floats(rng, 3), floats(rng, 3)]


def batch_norm(rng: Rng) -> Drawn:
    arrays = [floats(rng, 2, 3, *shape_of(rng, 0, 2)), floats(rng, 3), floats(rng, 3), floats(rng, 3)]
    return {"epsilon": 0.01}, [*arrays, np.abs(floats(rng, 3)) + 0.5]


def slopes(rng: Rng) -> Drawn:
    shape = shape_of(rng, 2)
    return {}, [floats(rng, *shape), floats(rng, shape[-1])]


def power(rng: Rng) -> Drawn:
    x, y = pair(rng, floats)
    return {}, [np.abs(x) + 0.2, y]


def infinite(rng: Rng) -> Drawn:
    x = np.asarray(floats(rng, *shape_of(rng)))
    x = np.where(rng.random(x.shape) < 0.5, rng.choice([np.inf, -np.inf, np.nan], x.shape), x)
    return {"detect_negative": int(rng.integers(0, 2)), "detect_positive": int(rng.integers(0, 2))}, [x]


def undefined(rng: Rng) -> Drawn:
    return {}, infinite(rng)[1]


TABLE: dict[str, Draw] = {
    **dict.fromkeys(
        ("Abs", "Ceil", "Cos", "Erf", "Exp", "Floor", "HardSwish", "Identity", "Mish", "Neg", "Relu", "Round",
         "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Tanh"),
        unary,
    ),
    **dict.fromkeys(("Log", "Sqrt", "Reciprocal"), positive),
    **dict.fromkeys(("Add", "Sub", "Mul", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal"), of_numbers),
    **dict.fromkeys(("And", "Or", "Xor"), logical),
    **dict.fromkeys(("Max", "Min", "Mean", "Sum"), binary),
    **dict.fromkeys(("Softmax", "LogSoftmax"), along_axis),
    **dict.fromkeys(
        ("ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum",
         "ReduceSumSquare"),
        reduction,
    ),
    **dict.fromkeys(("ArgMax", "ArgMin"), index_of),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), whole_average),
    "AveragePool": average,
    "BatchNormalization": batch_norm,
    "Celu": with_alpha("alpha"),
    "Clip": clip,
    "Concat": concat,
    "Conv": convolution,
    "CumSum": cumulative,
    "Div": division,
    "Einsum": einsum,
    "Elu": with_alpha("alpha"),
    "Expand": expand,
    "Flatten": flatten,
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "Gelu": lambda rng: unary(rng, approximate=str(rng.choice(["none", "tanh"]))),
    "Gemm": gemm,
    "HardSigmoid": with_alpha("alpha", "beta"),
    "InstanceNormalization": instance_norm,
    "IsInf": infinite,
    "IsNaN": undefined,
    "LayerNormalization": layer_norm,
    "LeakyRelu": with_alpha("alpha"),
    "MatMul": matrices,
    "MaxPool": pooling,
    "Mod": remainder,
    "Not": lambda rng: ({}, [booleans(rng, *shape_of(rng))]),
    "OneHot": one_hot,
    "PRelu": slopes,
    "Pad": pads,
    "Pow": power,
    "Reshape": reshape,
    "ReverseSequence": reverse,
    "ScatterElements": scatter,
    "Selu": with_alpha("alpha", "gamma"),
    "Slice": slices,
    "Split": split,
    "Squeeze": squeeze,
    "ThresholdedRelu": with_alpha("alpha"),
    "Tile": tile,
    "TopK": top,
    "Transpose": transpose,
    "Trilu": triangle,
    "Unsqueeze": unsqueeze,
    "Where": choice,
}  # fmt: skip
"""How the attributes and inputs of each operation are drawn. In ONNX Runtime all of them are float32."""


@pytest.mark.parametrize("name", sorted(TABLE))
def test_random_attributes(name: str) -> None:
    rng = np.random.default_rng(sum(map(ord, name)))
    done = 0
    for number in range(TRIES):
        attributes, inputs = TABLE[name](rng)
        inputs = [one.astype(np.float32) if one.dtype.kind == "f" else one for one in map(np.asarray, inputs)]
        expected = _of_onnx_runtime(name, attributes, inputs)
        if expected is None:
            continue
        done += 1
        operation = operation_of(name, attributes)
        arrays = [one.astype(np.float64) if one.dtype.kind == "f" else one for one in inputs]
        where = f"{operation} of {[one.shape for one in inputs]}"
        check_types(operation, *arrays)
        with np.errstate(all="ignore"):
            outputs, _ = operation.forward(Execution(dtype=np.float64), *arrays)
        for output, wanted in zip(outputs, expected, strict=False):
            assert output.shape == wanted.shape, where
            np.testing.assert_allclose(output, wanted, rtol=2e-5, atol=2e-5, err_msg=where)
        if number < DIFFERENCES and name not in _WITHOUT_DIFFERENCES:
            check_gradient(operation, *arrays)
    assert done > TRIES // 2, f"ONNX Runtime computed {done} of {TRIES}"


_WITHOUT_DIFFERENCES = {"TopK", "IsInf", "IsNaN", "ArgMax", "ArgMin", "Mod"}  # of ties, or none


def _of_onnx_runtime(name: str, attributes: dict[str, Any], inputs: list[Any]) -> list[Any] | None:
    """The outputs; None for what ONNX Runtime has no kernel for, or no values of this shape."""
    names: list[str] = []
    constants = []
    feeds = {}
    values = iter(inputs)
    given = dict(attributes)
    own = operation_named(name).value_inputs()
    for formal in operation_named(name).formal:
        if formal in own:
            value = next(values, None)
            names.append("" if value is None else f"input_{len(names)}")
            if value is not None:
                feeds[names[-1]] = value
        elif isinstance(given.get(formal), np.ndarray):
            array = given.pop(formal)
            array = array.astype(np.float32) if array.dtype.kind == "f" else array.astype(np.int64)
            names.append(f"constant_{formal}")
            constants.append(onnx.numpy_helper.from_array(array, names[-1]))
        else:
            names.append("")
    for value in values:
        names.append(f"input_{len(names)}")
        feeds[names[-1]] = value
    while names and not names[-1]:
        names.pop()
    types = [ValueType(dtype_of(one), one.shape) for one in inputs]
    count = len(operation_of(name, attributes).infer(*types))
    outputs = [f"output_{number}" for number in range(count)]
    node = helper.make_node(name, names, outputs, **given)
    made = []
    for key, one in feeds.items():
        made.append(helper.make_tensor_value_info(key, helper.np_dtype_to_tensor_dtype(one.dtype), one.shape))
    returned = [helper.make_empty_tensor_value_info(output) for output in outputs]
    graph = helper.make_graph([node], name, made, returned, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return list(session.run(None, feeds))
    except Exception:  # onnxruntime has many classes for what it cannot run
        return None
