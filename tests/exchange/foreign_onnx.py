"""ONNX files as strangers write them: a small network of series with further nodes, and harmful files."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from gatewise.types import Array

C, H = 3, 4  # channels and units
Node = tuple[str, Sequence[str], str, dict[str, Any]]  # operation, inputs, output, attributes


def write(
    path: Path,
    before: Sequence[Node] = (),
    after: Sequence[Node] = (),
    constants: dict[str, Array] | None = None,
    seed: int = 0,
    pooled: str = "last",
) -> Path:
    """A network of series "x" (batch, steps, C), with the lengths too if the nodes read "lengths". before: nodes from
    "x" to "read", after: from the states "h" (batch, steps, H) to "pooled" (batch, H). pooled: "last", or "" where the
    nodes make it.
    """
    rng = np.random.default_rng(seed)
    arrays: dict[str, Array] = {
        "W": rng.normal(0, 0.7, (1, 4 * H, C)).astype(np.float32),
        "R": rng.normal(0, 0.7, (1, 4 * H, H)).astype(np.float32),
        "B": rng.normal(0, 0.3, (1, 8 * H)).astype(np.float32),
        "dense": rng.normal(size=(H, 2)).astype(np.float32),
        "bias": rng.normal(size=2).astype(np.float32),
        "one": np.array([1]),
        "zero": np.array([0]),
        "last": np.array(-1),
        **(constants or {}),
    }
    nodes: list[Any] = [helper.make_node(op, inputs, [out], **settings) for op, inputs, out, settings in before]
    if not before:
        nodes.append(helper.make_node("Identity", ["x"], ["read"]))
    nodes += [
        helper.make_node("Transpose", ["read"], ["steps"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["steps", "W", "R", "B"], ["Y"], hidden_size=H),
        helper.make_node("Squeeze", ["Y", "one"], ["Y0"]),
        helper.make_node("Transpose", ["Y0"], ["h"], perm=[1, 0, 2]),
    ]
    nodes += [helper.make_node(op, inputs, [out], **settings) for op, inputs, out, settings in after]
    if pooled == "last":
        nodes.append(helper.make_node("Gather", ["h", "last"], ["pooled"], axis=1))
    nodes.append(helper.make_node("Gemm", ["pooled", "dense", "bias"], ["y"]))
    read = {name for node in nodes for name in node.input}
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "steps", C])]
    if "lengths" in read:
        inputs.append(helper.make_tensor_value_info("lengths", TensorProto.INT64, ["batch"]))
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])]
    kept = [numpy_helper.from_array(array, name) for name, array in arrays.items() if name in read]
    return save(path, helper.make_graph(nodes, "g", inputs, outputs, kept))


def save(path: Path, graph: Any, **options: Any) -> Path:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1), helper.make_opsetid("local", 1)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8, **options).SerializeToString())
    return path


def _harmful(path: Path, nodes: Sequence[Any], constants: dict[str, Array]) -> Path:
    """A graph from "x" (batch, steps) of ids to "y"."""
    inputs = [helper.make_tensor_value_info("x", TensorProto.INT64, ["batch", "steps"])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    kept = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    return save(path, helper.make_graph(list(nodes), "g", inputs, outputs, kept))


def endless_loop(path: Path) -> Path:
    """A Loop of 2^62 rounds."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["keep"], ["again"]),
            helper.make_node("Add", ["value", "value"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("keep", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, [1]),
        ],
        [
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, [1]),
        ],
    )
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["f"], ["m"], keepdims=0),
        helper.make_node("Reshape", ["m", "shape"], ["start"]),
        helper.make_node("Loop", ["rounds", "true", "start"], ["y"], body=body),
    ]
    return _harmful(
        path, nodes, {"rounds": np.array(2**62), "true": np.array(True), "shape": np.array([1], dtype=np.int64)}
    )


def huge_constant(path: Path, op: str = "ConstantOfShape") -> Path:
    """One node that makes 2^36 numbers."""
    sizes = np.array([2**18, 2**18])
    number = np.ones((1, 1), np.float32)
    made = {
        "ConstantOfShape": helper.make_node("ConstantOfShape", ["sizes"], ["c"]),
        "Expand": helper.make_node("Expand", ["number", "sizes"], ["c"]),
        "Tile": helper.make_node("Tile", ["number", "sizes"], ["c"]),
        "Range": helper.make_node("Range", ["from", "to", "step"], ["c"]),
        "Pad": helper.make_node("Pad", ["number", "pads"], ["c"]),
    }[op]
    constants = {
        "sizes": sizes, "number": number, "from": np.array(0), "to": np.array(2**36), "step": np.array(1),
        "pads": np.array([0, 0, 2**36, 0]),
    }  # fmt: skip
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        made,
        helper.make_node("ReduceMax", ["c"], ["m"], keepdims=0),
        helper.make_node("Cast", ["m"], ["m32"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["f", "m32"], ["y"]),
    ]
    return _harmful(path, nodes, {name: constants[name] for name in made.input})


def growing(path: Path, doublings: int = 40) -> Path:
    """Concatenations, each of two of the one before: no single node shows how large the last one is."""
    nodes = [helper.make_node("Cast", ["x"], ["c0"], to=TensorProto.FLOAT)]
    nodes += [helper.make_node("Concat", [f"c{n}", f"c{n}"], [f"c{n + 1}"], axis=0) for n in range(doublings)]
    nodes.append(helper.make_node("Identity", [f"c{doublings}"], ["y"]))
    return _harmful(path, nodes, {})


def slow(path: Path, products: int = 3000) -> Path:
    """Products of large matrices, one after the other, which take a second each and little memory."""
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["f"], ["m"], keepdims=0),
        helper.make_node("ConstantOfShape", ["sizes"], ["zeros"]),
        helper.make_node("Add", ["zeros", "m"], ["p0"]),
    ]
    nodes += [helper.make_node("MatMul", [f"p{n}", f"p{n}"], [f"p{n + 1}"]) for n in range(products)]
    nodes.append(helper.make_node("ReduceMax", [f"p{products}"], ["y"]))
    return _harmful(path, nodes, {"sizes": np.array([2500, 2500])})


def external(path: Path) -> Path:
    """A tensor that is stored in another file of the machine."""
    write(path)
    import onnx

    model = onnx.load_model(path, load_external_data=False)
    model.graph.initializer[0].ClearField("raw_data")
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    model.graph.initializer[0].external_data.add(key="location", value="/etc/hostname")
    path.write_bytes(model.SerializeToString())
    return path


def functions(path: Path, bodies: Sequence[Sequence[Any]]) -> Path:
    """A file of functions F0, F1, ... with these nodes from "a" to "b", which applies the last one to ids."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    made = [helper.make_function("local", f"F{n}", ["a"], ["b"], nodes, opsets) for n, nodes in enumerate(bodies)]
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        call("f", "y", len(bodies) - 1),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.INT64, ["batch", "steps"])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", "steps"])]
    model = helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs), functions=made, opset_imports=opsets, ir_version=8
    )
    path.write_bytes(model.SerializeToString())
    return path


def call(read: str, returned: str, function: int) -> Any:
    """A node that applies a function of `functions`."""
    return helper.make_node(f"F{function}", [read], [returned], domain="local")


def doubling_functions(path: Path, doublings: int = 40) -> Path:
    """Functions, each of which calls the one before twice: 2^40 nodes."""
    bodies: list[Sequence[Any]] = [[helper.make_node("Add", ["a", "a"], ["b"])]]
    bodies += [[call("a", "c", n), call("c", "b", n)] for n in range(doublings)]
    return functions(path, bodies)


def own_function(path: Path) -> Path:
    """A function of the file that calls itself."""
    return functions(path, [[call("a", "b", 0)]])


def deep_functions(path: Path) -> Path:
    """5,000 functions, each of which calls the one before."""
    bodies: list[Sequence[Any]] = [[helper.make_node("Add", ["a", "a"], ["b"])]]
    bodies += [[call("a", "b", n)] for n in range(5_000)]
    return functions(path, bodies)


def overriding_function(path: Path) -> Path:
    """A function called as an operation of ONNX."""
    opsets = [helper.make_opsetid("", 17)]
    function = helper.make_function("", "Tanh", ["a"], ["b"], [helper.make_node("Sin", ["a"], ["b"])], opsets)
    return _translated(path, [helper.make_node("Tanh", ["x"], ["y"])], {}, functions=[function])


def many_axes(path: Path, axes: int = 1_000) -> Path:
    """An input with many axes of any size."""
    shape = [f"axis{n}" for n in range(axes)]
    inputs, outputs = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy")
    return save(path, helper.make_graph([helper.make_node("Tanh", ["x"], ["y"])], "g", [inputs], [outputs], []))


def nested_loops(path: Path, depth: int = 9) -> Path:
    """Scans in Scans over the steps: a number of rounds that grows with each of them."""

    def body(level: int) -> Any:
        nodes = [helper.make_node("Tanh", [f"h{level}"], [f"next{level}"])]
        if level:
            nodes = [helper.make_node("Neg", [f"h{level}"], [f"start{level}"]), around(level - 1, f"start{level}")]
            nodes.append(helper.make_node("Identity", [f"last{level - 1}"], [f"next{level}"]))
        return helper.make_graph(
            nodes, f"body{level}", [_float(f"h{level}"), _float(f"row{level}")], [_float(f"next{level}")]
        )

    def around(level: int, start: str) -> Any:
        settings = {"body": body(level), "num_scan_inputs": 1, "scan_input_axes": [1]}
        return helper.make_node("Scan", [start, "x"], [f"last{level}"], **settings)

    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1], keepdims=0),
        around(depth, "mean"),
        helper.make_node("Identity", [f"last{depth}"], ["y"]),
    ]
    return _translated(path, nodes, {})


def _with_sizes(path: Path, nodes: Sequence[Any], constants: dict[str, Array]) -> Path:
    """Nodes from the sizes "s0" of the ids to sizes "s", times which they are taken."""
    around = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Shape", ["x"], ["s0"]),
        *nodes,
        helper.make_node("Cast", ["s"], ["sf"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["f", "sf"], ["y"]),
    ]
    return _harmful(path, around, constants)


def growing_sizes(path: Path, squares: int = 60) -> Path:
    """Squares of sizes: batch^(2^60)."""
    nodes = [helper.make_node("Mul", [f"s{n}", f"s{n}"], [f"s{n + 1}"]) for n in range(squares)]
    return _with_sizes(path, [*nodes, helper.make_node("Identity", [f"s{squares}"], ["s"])], {})


def growing_numbers(path: Path, squares: int = 60) -> Path:
    """Squares of the sizes of a constant: 7^(2^60)."""
    nodes = [helper.make_node("Shape", ["seven"], ["n0"])]
    nodes += [helper.make_node("Mul", [f"n{n}", f"n{n}"], [f"n{n + 1}"]) for n in range(squares)]
    nodes.append(helper.make_node("Mul", [f"n{squares}", "s0"], ["s"]))
    return _with_sizes(path, nodes, {"seven": np.zeros(7, np.float32)})


def nested_sizes(path: Path, depth: int = 60) -> Path:
    """Quotients and remainders of products of quotients and remainders: written out they have 2^60 parts."""
    nodes = []
    for n in range(depth):
        nodes += [
            helper.make_node("Div", [f"s{n}", "five"], [f"q{n}"]),
            helper.make_node("Mod", [f"s{n}", "seven"], [f"r{n}"]),
            helper.make_node("Mul", [f"q{n}", f"r{n}"], [f"s{n + 1}"]),
        ]
    nodes.append(helper.make_node("Identity", [f"s{depth}"], ["s"]))
    return _with_sizes(path, nodes, {"five": np.array([5]), "seven": np.array([7])})


def wide_input(path: Path) -> Path:
    """An input of 2^40 numbers."""
    nodes = [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)]
    inputs = [helper.make_tensor_value_info("x", TensorProto.INT64, ["batch", 2**40])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2**40])]
    return save(path, helper.make_graph(nodes, "g", inputs, outputs, []))


def many_constants(path: Path, count: int = 100) -> Path:
    """Constants of 2^24 numbers each."""
    nodes = [helper.make_node("Cast", ["x"], ["f0"], to=TensorProto.FLOAT)]
    for n in range(count):
        nodes += [
            helper.make_node("Expand", [f"number{n % 3}", "sizes"], [f"c{n}"]),
            helper.make_node("ReduceMean", [f"c{n}"], [f"m{n}"], keepdims=0),
            helper.make_node("Add", [f"f{n}", f"m{n}"], [f"f{n + 1}"]),
        ]
    nodes.append(helper.make_node("Identity", [f"f{count}"], ["y"]))
    constants = {f"number{n}": np.full((1, 1), n + 0.5, np.float32) for n in range(3)}
    return _harmful(path, nodes, {**constants, "sizes": np.array([1 << 12, 1 << 12])})


def constant_products(path: Path, products: int = 300) -> Path:
    """Products of large matrices that are constants."""
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Expand", ["number", "sizes"], ["p0"]),
    ]
    nodes += [helper.make_node("MatMul", [f"p{n}", "p0"], [f"p{n + 1}"]) for n in range(products)]
    nodes += [
        helper.make_node("ReduceMax", [f"p{products}"], ["m"], keepdims=0),
        helper.make_node("Add", ["f", "m"], ["y"]),
    ]
    return _harmful(path, nodes, {"number": np.full((1, 1), 1e-3, np.float32), "sizes": np.array([2500, 2500])})


def constant_loop(path: Path) -> Path:
    """A Scan of 2^24 rounds over a constant."""
    body = helper.make_graph(
        [helper.make_node("Add", ["state", "row"], ["sum"]), helper.make_node("Tanh", ["sum"], ["next"])],
        "body",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("state", "row")],
        [helper.make_tensor_value_info("next", TensorProto.FLOAT, [1])],
    )
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Expand", ["number", "sizes"], ["rows"]),
        helper.make_node("Scan", ["start", "rows"], ["last"], body=body, num_scan_inputs=1),
        helper.make_node("Add", ["f", "last"], ["y"]),
    ]
    constants = {
        "number": np.full((1, 1), 1e-3, np.float32), "sizes": np.array([1 << 24, 1]), "start": np.zeros(1, np.float32),
    }  # fmt: skip
    return _harmful(path, nodes, constants)


def foreign_domain(path: Path) -> Path:
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Inverse", ["f"], ["y"], domain="com.microsoft"),
    ]
    return _harmful(path, nodes, {})


def _translated(path: Path, nodes: Sequence[Any], constants: dict[str, Array], **options: Any) -> Path:
    """Nodes from series "x" (batch, steps, C) to "y" (batch, C)."""
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "steps", C])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", C])]
    kept = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    return save(path, helper.make_graph(list(nodes), "g", inputs, outputs, kept), **options)


def _float(name: str, shape: Sequence[Any] | None = None) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def loop(path: Path) -> Path:
    """A Loop over as many rounds as there are steps."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["keep"], ["again"]),
            helper.make_node("Gather", ["x", "round"], ["row"], axis=1),
            helper.make_node("Add", ["row", "h"], ["sum"]),
            helper.make_node("Tanh", ["sum"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("keep", TensorProto.BOOL, []),
            _float("h", ["batch", C]),
        ],
        [helper.make_tensor_value_info("again", TensorProto.BOOL, []), _float("next", ["batch", C])],
    )
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "place"], ["rounds"]),
        helper.make_node("ReduceMean", ["x"], ["start"], axes=[1], keepdims=0),
        helper.make_node("Loop", ["rounds", "true", "start"], ["y"], body=body),
    ]
    return _translated(path, nodes, {"place": np.array(1), "true": np.array(True)})


def scan(path: Path) -> Path:
    """A Scan over the steps from the last one to the first."""
    body = helper.make_graph(
        [
            helper.make_node("Mul", ["h", "factor"], ["less"]),
            helper.make_node("Add", ["row", "less"], ["sum"]),
            helper.make_node("Sigmoid", ["sum"], ["next"]),
        ],
        "body",
        [_float("h"), _float("row")],
        [_float("next")],
    )
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["start"], axes=[1], keepdims=0),
        helper.make_node(
            "Scan", ["start", "x"], ["y"], body=body, num_scan_inputs=1, scan_input_axes=[1], scan_input_directions=[1]
        ),
    ]
    return _translated(path, nodes, {"factor": np.array([0.5, -1.5, 0.7], np.float32)})


def branch(path: Path) -> Path:
    """An If of a constant; the branch that is not taken computes something else."""
    taken = helper.make_graph([helper.make_node("Sin", ["mean"], ["a"])], "taken", [], [_float("a")])
    other = helper.make_graph([helper.make_node("Cos", ["mean"], ["b"])], "other", [], [_float("b")])
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("If", ["true"], ["y"], then_branch=taken, else_branch=other),
    ]
    return _translated(path, nodes, {"true": np.array(True)})


def local_functions(path: Path) -> Path:
    """A function of the file that calls another one twice."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    inner = [helper.make_node("Sin", ["a"], ["c"]), helper.make_node("Sub", ["a", "c"], ["b"])]
    outer = [call("a", "c", 0), call("c", "d", 0), helper.make_node("Add", ["a", "d"], ["b"])]
    made = [
        helper.make_function("local", f"F{n}", ["a"], ["b"], nodes, opsets) for n, nodes in enumerate((inner, outer))
    ]
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1], keepdims=0),
        call("mean", "y", 1),
    ]
    return _translated(path, nodes, {}, functions=made)


TRANSLATED: dict[str, Callable[[Path], Path]] = {
    "Loop": loop, "Scan": scan, "If": branch, "functions": local_functions,
}  # fmt: skip
HARMFUL: dict[str, tuple[Callable[[Path], Path], str]] = {
    "loop": (endless_loop, "Loop '', node 4 of 4: it makes 4,611,686,018,427,387,904 numbers"),
    "a loop over a constant": (constant_loop, "it computes [0-9,]+ multiplications"),
    **{
        op: (lambda path, op=op: huge_constant(path, op), f"{op} '', node 2 of 5: it makes 68,719,476,73[67] numbers")
        for op in ("ConstantOfShape", "Expand", "Tile", "Range", "Pad")
    },
    "many constants": (many_constants, "its values have [0-9,]+ numbers, and the limit is"),
    "products of constants": (constant_products, "its values have [0-9,]+ numbers, and the limit is"),
    "products": (slow, "its values have [0-9,]+ numbers, and the limit is"),
    "a wide input": (wide_input, "the input 'x' has 5,497,558,138,880 numbers, and the limit is"),
    "sizes that grow": (growing_sizes, "Mul '', node [0-9]+ of 65: a size "),
    "numbers that grow": (growing_numbers, "Mul '', node [0-9]+ of 66: a size "),
    "sizes in sizes": (nested_sizes, "(Div|Mod|Mul) '', node [0-9]+ of 185: a size "),
    "external data": (external, "'W' is stored in another file"),
    "function": (own_function, "the function 'F0' calls itself"),
    "a function in place of an operation": (
        overriding_function,
        "its function 'Tanh' has the name of an operation of ONNX",
    ),
    "many axes": (many_axes, "1,000 axes of its inputs have sizes of their own, more than 100"),
    "loops in loops": (nested_loops, "it computes [0-9,]+ multiplications"),
    "functions that double": (doubling_functions, "with its functions it has [0-9,]+ nodes, more than"),
    "functions in functions": (deep_functions, "its functions call each other more than 64 deep"),
    "domain": (foreign_domain, "Inverse '', node 2 of 2: it is of the domain 'com.microsoft'"),
}
