"""Packed sequences of PyTorch as padded sequences with a mask, while a module is exported.

torch stores a packed batch without its pads: N rows, of which step 0 of all sequences comes first. N depends on the
lengths, and no size of a graph does. While a module is exported, the functions of torch.nn.utils.rnn keep the pads: the
data of a PackedSequence are (B, T, ...), and its batch_sizes stand for the lengths. What is computed for each row alone
is the same in both forms. `check_packed` refuses the rest, such as a sum over all rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident
from types import CodeType, FunctionType
from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op
from torch.nn.utils import rnn
from torch.nn.utils.rnn import PackedSequence

from gatewise.errors import InputError

_ORIGINAL: dict[str, CodeType] = {
    name: getattr(rnn, name).__code__ for name in ("pack_padded_sequence", "pad_packed_sequence")
}
_check: Any = torch._check

_exporting: set[int] = set()
"""The threads that export a module now. The others get the original functions."""


@custom_op("gatewise::packed", mutates_args=())
def packed(x: Tensor, lengths: Tensor) -> Tensor:
    """The data of a packed batch: here x (B, T, ...) itself, with its pads."""
    return x.clone()


@custom_op("gatewise::batch_sizes", mutates_args=())
def batch_sizes(lengths: Tensor) -> Tensor:
    """The batch_sizes of a packed batch: here the lengths (B,)."""
    return lengths.clone()


@custom_op("gatewise::packed_order", mutates_args=())
def packed_order(lengths: Tensor) -> Tensor:
    """The sorted_indices or unsorted_indices of a packed batch. Here sequences keep their places, and nothing reads
    this value.
    """
    return lengths.clone()


@custom_op("gatewise::mask_of", mutates_args=())
def mask_of(data: Tensor, lengths: Tensor) -> Tensor:
    """(B, T): true for the steps before the length of each sequence. data (B, T, ...), lengths (B,)."""
    return torch.arange(data.shape[1]) < lengths[:, None]


@custom_op("gatewise::padded", mutates_args=())
def padded(data: Tensor, lengths: Tensor, padding_value: float, longest: bool) -> Tensor:
    """The data (B, T, ...) with padding_value for the steps after the length of each sequence. longest: whether one
    sequence has T steps, because torch cuts off the steps after the longest one.
    """
    if longest and int(lengths.max()) != data.shape[1]:
        raise InputError(
            f"no sequence has {data.shape[1]} steps: give an example in which the longest one has, or give"
            " pad_packed_sequence total_length"
        )
    mask = torch.arange(data.shape[1]) < lengths[:, None]
    mask = mask.reshape(mask.shape + (1,) * (data.dim() - 2))
    return torch.where(mask, data, padding_value)


for _operation in (packed, padded):
    _operation.register_fake(lambda data, *_: torch.empty_like(data))
for _operation in (batch_sizes, packed_order):
    _operation.register_fake(lambda lengths: torch.empty_like(lengths))
mask_of.register_fake(lambda data, lengths: data.new_empty((data.shape[0], data.shape[1]), dtype=torch.bool))


@contextmanager
def packing_kept() -> Iterator[None]:
    """Within it, the functions of torch.nn.utils.rnn keep the pads, under whatever name a module imported them."""
    # A module may have imported the functions by name, so that they are replaced inside of the functions themselves.
    thread = get_ident()
    _exporting.add(thread)
    rnn.pack_padded_sequence.__code__ = _pack_padded_sequence.__code__
    rnn.pad_packed_sequence.__code__ = _pad_packed_sequence.__code__
    try:
        yield
    finally:
        _exporting.discard(thread)
        if not _exporting:
            for name, code in _ORIGINAL.items():
                getattr(rnn, name).__code__ = code


def _pack_padded_sequence(input, lengths, batch_first=False, enforce_sorted=True):  # type: ignore[no-untyped-def]
    import sys  # the function runs with the global names of torch.nn.utils.rnn

    return sys.modules["gatewise.exchange.torch_packing"].pack(input, lengths, batch_first, enforce_sorted)


def _pad_packed_sequence(sequence, batch_first=False, padding_value=0.0, total_length=None):  # type: ignore[no-untyped-def]
    import sys

    return sys.modules["gatewise.exchange.torch_packing"].unpack(sequence, batch_first, padding_value, total_length)


class Numbers:
    """What `lengths.tolist()` returns while a module is exported: packing takes it, and nothing else does."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def _refuse(self, *_: Any) -> Any:
        raise InputError("the numbers of a tensor decide what is computed: compute with the tensor, without tolist()")

    __iter__ = __getitem__ = __len__ = __contains__ = __bool__ = __eq__ = __lt__ = __gt__ = __add__ = _refuse
    __hash__ = None  # type: ignore[assignment]


def pack(input: Tensor, lengths: Any, batch_first: bool, enforce_sorted: bool) -> PackedSequence:
    """`torch.nn.utils.rnn.pack_padded_sequence`; it keeps the pads while this thread exports a module."""
    if get_ident() not in _exporting:
        original: PackedSequence = _original("pack_padded_sequence")(input, lengths, batch_first, enforce_sorted)
        return original
    if isinstance(lengths, Numbers):
        lengths = lengths.tensor
    if not isinstance(lengths, Tensor):
        lengths = torch.as_tensor(lengths, dtype=torch.int64)
    lengths = lengths.to(torch.int64)
    x = input if batch_first else input.transpose(0, 1)
    _check(x.shape[0] == lengths.shape[0], lambda: "there is no length for each sequence")
    order = None if enforce_sorted else torch.ops.gatewise.packed_order(lengths)
    return PackedSequence(torch.ops.gatewise.packed(x, lengths), torch.ops.gatewise.batch_sizes(lengths), order, order)


def unpack(
    sequence: PackedSequence, batch_first: bool, padding_value: float, total_length: int | None
) -> tuple[Tensor, Tensor]:
    """`torch.nn.utils.rnn.pad_packed_sequence`; it takes what `pack` returns while this thread exports a module."""
    if get_ident() not in _exporting:
        original = _original("pad_packed_sequence")(sequence, batch_first, padding_value, total_length)
        return original[0], original[1]
    lengths = torch.ops.gatewise.batch_sizes(sequence.batch_sizes)
    longest = total_length is None
    x = torch.ops.gatewise.padded(sequence.data, sequence.batch_sizes, float(padding_value), longest)
    if total_length is not None:
        more = total_length - x.shape[1]
        # A size that is known to be 0 adds no operation.
        if not (isinstance(more, int) and more == 0):
            rest = [0, 0] * (x.dim() - 2)
            x = torch.nn.functional.pad(x, [*rest, 0, more], value=float(padding_value))
    return (x if batch_first else x.transpose(0, 1)), lengths


def _original(name: str) -> Any:
    function = getattr(rnn, name)
    return FunctionType(_ORIGINAL[name], function.__globals__, name, function.__defaults__, function.__closure__)


_ROW_WISE = {
    "abs", "add", "celu", "clamp", "contiguous", "clone", "cos", "detach", "div", "dropout", "elu", "embedding", "eq",
    "erf", "exp", "feature_dropout", "ge", "gelu", "gt", "hardsigmoid", "hardswish", "hardtanh", "le", "leaky_relu",
    "linear", "log", "log1p", "logsigmoid", "lt", "masked_fill", "maximum", "minimum", "mish", "mul", "ne", "neg",
    "pow", "relu", "relu6", "rsqrt", "selu", "sigmoid", "sign", "silu", "sin", "softplus", "softsign", "sqrt", "sub",
    "tanh", "to", "type_as", "where", "zeros_like", "ones_like", "_to_copy", "alias",
}  # fmt: skip
"""The operations of ATen that compute each row (of the last axis) alone."""
_LAST_AXIS = {"softmax": "dim", "log_softmax": "dim", "cat": "dim", "sum": "dim", "mean": "dim"}
"""Those that do where their axis is the last one, and is counted from the end."""
_OWN = {"recurrent", "mask_of", "padded", "batch_sizes"}


def check_packed(graph: Any) -> None:
    """Refuse a module that computes with a packed batch what would not be the same with its pads. graph: of torch.fx,
    as it was exported.
    """
    data: set[Any] = set()
    hidden: dict[Any, str] = {}
    for node in graph.nodes:
        if node.op != "call_function":
            continue
        name, own = _name_of(node.target)
        if own and name == "packed":
            data.add(node)
            continue
        if own and name in ("batch_sizes", "packed_order"):
            if not (name == "batch_sizes" and any(read in hidden for read in node.all_input_nodes)):
                hidden[node] = "batch_sizes" if name == "batch_sizes" else "sorted_indices"
            continue
        if own and name in _OWN:
            if name == "recurrent" and node.args[0] in data:
                data.add(node)
            continue
        for read in node.all_input_nodes:
            if read in hidden:
                raise PackedError(node, f"it computes with the {hidden[read]} of a PackedSequence")
        if not data.intersection(node.all_input_nodes):
            continue
        if name == "getitem":
            # Of what a layer returns, the first value is that of the steps.
            if node.args[1] == 0:
                data.add(node)
            continue
        if not _is_row_wise(node, name, data):
            raise PackedError(node, f"{name} may read the data of a PackedSequence across its rows")
        data.add(node)


class PackedError(InputError):
    """A node that computes with a packed batch what would not be the same with its pads."""

    def __init__(self, node: Any, reason: str) -> None:
        super().__init__(reason)
        self.node = node


def _is_row_wise(node: Any, name: str, data: set[Any]) -> bool:
    if name in _LAST_AXIS:
        axis = node.args[1] if len(node.args) > 1 else node.kwargs.get(_LAST_AXIS[name])
        return axis in (-1, [-1]) and data.issuperset(node.all_input_nodes)
    if name == "layer_norm":
        return len(node.args[1]) == 1
    name = name.removesuffix("_")
    if name not in _ROW_WISE:
        return False
    if name in ("linear", "embedding"):
        return True
    # Another operand must be broadcast along the rows, or have the same rows.
    for read in node.all_input_nodes:
        value = read.meta.get("val")
        if read not in data and isinstance(value, Tensor) and value.dim() > 1:
            return False
    return True


def _name_of(target: Any) -> tuple[str, bool]:
    """The name of an operation without its overload, and whether it is one of ours."""
    packet = getattr(target, "_schema", None)
    if packet is None:
        return getattr(target, "__name__", str(target)), False
    namespace, _, name = packet.name.partition("::")
    return name, namespace == "gatewise"
