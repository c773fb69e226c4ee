"""`TorchNetwork`: a module of PyTorch that was read into a graph, beside the module itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.export import ExportedProgram

from gatewise.errors import InputError, quote
from gatewise.exchange.read_network import ReadNetwork
from gatewise.exchange.torch_call import array_of
from gatewise.exchange.torch_export import Arguments
from gatewise.exchange.torch_original import Original, Recorder, one_thread
from gatewise.network.graph import Graph
from gatewise.network.size import Size, value_of
from gatewise.types import Array


@dataclass(frozen=True, eq=False)
class TorchNetwork(ReadNetwork):
    """original: a copy of the module, in eval mode. arguments: of the example. program: what torch.export wrote down.
    places: the node of the program, and which of its results, for each of the compared values. notes: what a user must
    know, such as a state that is a constant.
    """

    original: Original
    arguments: Arguments
    program: ExportedProgram
    places: Mapping[str, tuple[str, int | None]] = field(repr=False)
    lengths: Mapping[str, str] = field(default_factory=dict)
    """The sizes, by name of their symbols, that bound the lengths which an input has, by the name of the input."""
    notes: tuple[str, ...] = ()
    framework: ClassVar[str] = "PyTorch"

    def original_values(self, inputs: Mapping[str, Array], names: Sequence[str], dtype: str) -> dict[str, Array]:
        """See `ReadNetwork`. The outputs come from the module itself, the other values from the nodes of the exported
        program, whose recurrent layers are those of torch.
        """
        inner = [name for name in names if name not in self.graph.outputs]
        tensors = self._tensors(inputs, getattr(torch, dtype))
        try:
            with one_thread():
                values = self._exported(tensors, inner, getattr(torch, dtype))
                if len(inner) < len(names):
                    values |= self._outputs(tensors, getattr(torch, dtype))
        except Exception as error:  # of torch, or of the code of the module; torch.fx adds lines to any
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            if isinstance(error, InputError):
                raise InputError(reason) from error
            raise InputError(f"the module does not compute these inputs: {quote(reason, 200)}") from error
        return {name: values[name] for name in names}

    def exported_values(self, inputs: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
        """What the nodes of the exported program compute in float64 for these values, outputs too."""
        return self._exported(self._tensors(inputs, torch.float64), names, torch.float64)

    def _outputs(self, tensors: list[Tensor], dtype: torch.dtype) -> dict[str, Array]:
        results = self.original.outputs(self.arguments.with_tensors(tensors), dtype)
        outputs = self.graph.outputs
        if len(results) != len(outputs):
            raise InputError(f"the module returns {len(results)} tensors for these inputs, not {len(outputs)}")
        return dict(zip(outputs, map(array_of, results), strict=True))

    def _exported(self, tensors: list[Tensor], names: Sequence[str], dtype: torch.dtype) -> dict[str, Array]:
        if not names:
            return {}
        computed = Recorder(self.program, dtype).values(tensors)
        values = {}
        for name in names:
            node, place = self.places[name]
            value = computed[node]
            values[name] = array_of(value if place is None else value[place])
        return values

    def example_sizes(self) -> dict[str, int]:
        """The sizes of the symbols in the example."""
        return sizes_of(self.graph, dict(zip(self.arguments.names, self.arguments.tensors, strict=True)))

    def example_inputs(self, sizes: Mapping[str, int]) -> dict[str, Array]:
        """The example with other sizes: its rows, repeated where there are more."""
        inputs = {}
        for name, tensor in zip(self.arguments.names, self.arguments.tensors, strict=True):
            tensor = resized(tensor, shape_for(self.graph, name, sizes))
            if name in self.lengths:
                tensor = fitting_lengths(tensor, sizes[self.lengths[name]])
            inputs[name] = array_of(tensor)
        return inputs

    def _tensors(self, inputs: Mapping[str, Array], dtype: torch.dtype) -> list[Tensor]:
        tensors = []
        for name, example in zip(self.arguments.names, self.arguments.tensors, strict=True):
            wanted = dtype if example.dtype.is_floating_point else example.dtype
            tensors.append(torch.tensor(np.asarray(inputs[name])).to(wanted))
        return tensors


def resized(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """A tensor of another shape, whose rows are those of this one, repeated where there are more."""
    for axis, size in enumerate(shape):
        if tensor.shape[axis] != size:
            tensor = tensor.index_select(axis, torch.arange(size) % tensor.shape[axis])
    return tensor


def fitting_lengths(lengths: Tensor, steps: int) -> Tensor:
    """Lengths of sequences of at most this many steps, longest first, as packing wants them."""
    clipped = lengths.clamp(1, steps).sort(descending=True).values
    clipped[0] = steps
    return clipped


def sizes_of(graph: Graph, tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """The sizes of the symbols for these inputs."""
    sizes: dict[str, int] = {}
    for name, value_type in graph.inputs.items():
        for dim, size in zip(value_type.shape, tensors[name].shape, strict=True):
            if isinstance(dim, Size) and str(dim).isidentifier():
                sizes.setdefault(str(dim), size)
    return sizes


def shape_for(graph: Graph, name: str, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """The shape of an input for these sizes."""
    return tuple(value_of(dim, sizes) for dim in graph.inputs[name].shape)
