"""`TrainableGraph`: the weights of a graph, which an optimiser changes in place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from gatewise.kernels.interface import Kernel
from gatewise.network.graph import Graph, weight_places
from gatewise.network.operation import Execution
from gatewise.network.trainable import Trainable
from gatewise.types import Array


def weights_of(graph: Graph) -> tuple[str, ...]:
    """The names of the constants that training changes: those that operations read as their weights
    (`Operation.weight_inputs`), such as a matrix, an embedding or a bias.

    Constants in the same place with another meaning, such as the rows of a one-hot matrix, cannot be told from weights;
    they are trained too. A mean that is subtracted, a factor and a mask stay.
    """
    names: dict[str, None] = {}
    for node in graph.nodes:
        for place in weight_places(graph, node):
            name = node.inputs[place]
            if name in graph.constants and graph.types[name].dtype == "float":
                names[name] = None
    return tuple(names)


class TrainableGraph(Trainable):
    """A graph whose weights are trained in float32. parameters: by the names of the constants. kernel: of recurrences,
    None for the default one.
    """

    def __init__(self, graph: Graph, kernel: Kernel | None = None) -> None:
        self.kernel = kernel
        self.parameters = {
            name: np.array(graph.constants[name], dtype=np.float32, order="C") for name in weights_of(graph)
        }
        # The graph holds the arrays themselves, so that it computes with the present weights.
        self.graph = replace(graph, constants={**graph.constants, **self.parameters})

    def gradients(
        self, inputs: Mapping[str, Array], output: str, grad_of: Callable[[Array], Array]
    ) -> tuple[Array, dict[str, Array]]:
        """The value `output`, and the gradients of the weights by name. grad_of: of the gradient of the loss with
        respect to the value, see `Graph.gradients`.
        """
        execution = Execution(kernel=self.kernel)
        return self.graph.gradients(inputs, output, grad_of, list(self.parameters), execution=execution)

    def constants(self, state: Mapping[str, Array] | None = None) -> dict[str, Any]:
        """All constants of the graph, with copies of the weights, current or of `state`."""
        return {**self.graph.constants, **(self.state() if state is None else state)}
