"""`lengths_input`: the input of a graph that holds the number of steps of each sequence."""

from __future__ import annotations

from gatewise.network.graph import Graph
from gatewise.network.operation import ValueType
from gatewise.network.operations.range import Range


def lengths_input(graph: Graph) -> str:
    """The name of the input (B,) that holds the number of steps of each sequence, "" without one: it is compared with
    the numbers of the steps.
    """
    numbers = {name for name, value_type in graph.inputs.items() if _is_of_lengths(value_type)}
    sources = {name: name for name in numbers}
    counted: set[str] = set()
    for node in graph.nodes:
        operation = node.operation
        if isinstance(operation, Range) and (operation.start, operation.delta) == (0, 1):
            counted.update(node.outputs)
        elif operation.name() in ("Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Transpose"):
            [output] = node.outputs
            if node.inputs[0] in sources:
                sources[output] = sources[node.inputs[0]]
            if node.inputs[0] in counted:
                counted.add(output)
        elif operation.name() in ("Add", "Sub") and node.inputs[1] in graph.constants:
            # The last step of a sequence is its length minus 1.
            if node.inputs[0] in sources:
                sources[node.outputs[0]] = sources[node.inputs[0]]
        elif operation.name() in ("Less", "LessOrEqual", "Greater", "GreaterOrEqual"):
            left, right = node.inputs
            for number, length in ((left, right), (right, left)):
                if number in counted and length in sources:
                    return sources[length]
        elif operation.name() == "RequireLongest" and node.inputs[1] in sources:
            return sources[node.inputs[1]]
    return ""


def _is_of_lengths(value_type: ValueType) -> bool:
    return value_type.dtype in ("int64", "int32") and len(value_type.shape) == 1
