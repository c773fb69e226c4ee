"""`Exported`: a module of PyTorch as torch.export writes it down, without a change to the module."""

from __future__ import annotations

import copy
import inspect
import io
import logging
import threading
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from unittest.mock import patch

import torch
import torch.utils._pytree as pytree
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch._subclasses.functional_tensor import FunctionalTensor
from torch.export import Dim, ExportedProgram, _trace, export
from torch.fx.experimental import sym_node
from torch.library import custom_op
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from gatewise.errors import InputError
from gatewise.exchange import torch_recurrent
from gatewise.exchange.torch_packing import Numbers, check_packed, packing_kept
from gatewise.exchange.torch_rules import KEPT, OPEN

LEAST_TORCH = (2, 6)
ASSIGNED = "it assigns a tensor that it computed to a weight of a module: compute with that tensor, and keep the weight"
"""Why a module is refused whose weights have no numbers when it has been exported."""

_LOCK = threading.Lock()  # torch.export is not made for several threads


@dataclass(frozen=True)
class Arguments:
    """What a module is called with. args and kwargs: of its forward method. names: of the tensors among them, in the
    order of torch.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    names: tuple[str, ...]

    @classmethod
    def of(cls, module: nn.Module, example: Any) -> Arguments:
        """Of an example: a tensor, a tuple or list of the positional arguments, or a dict of the arguments by name."""
        args: tuple[Any, ...] = ()
        kwargs: dict[str, Any] = {}
        if isinstance(example, Mapping):
            kwargs = dict(example)
        elif isinstance(example, tuple | list):
            args = tuple(example)
        else:
            args = (example,)
        try:
            bound = inspect.signature(module.forward).bind(*args, **kwargs)
        except TypeError as error:
            raise InputError(
                f"the example does not fit {type(module).__name__}.forward: {error}; give all its arguments, as a tuple"
                " or as a dict by their names"
            ) from None
        names = []
        for name, value in bound.arguments.items():
            for path, leaf in pytree.tree_flatten_with_path(value)[0]:
                if isinstance(leaf, Tensor):
                    names.append("_".join([name, *map(_key, path)]))
                elif not (leaf is None or isinstance(leaf, bool | int | float | str)):
                    raise InputError(
                        f"the argument {name} of the example has a {type(leaf).__name__}; it takes tensors"
                    )
        if not names:
            raise InputError("the example has no tensor")
        # The strides of a view would be sizes too.
        own = pytree.tree_map(
            lambda leaf: leaf.detach().contiguous().clone() if isinstance(leaf, Tensor) else leaf,
            (bound.args, dict(bound.kwargs)),
        )
        return cls(own[0], own[1], tuple(names))

    @property
    def tensors(self) -> list[Tensor]:
        """The tensors, in the order of their names."""
        return [leaf for leaf in pytree.tree_leaves((self.args, self.kwargs)) if isinstance(leaf, Tensor)]

    def with_tensors(self, tensors: Sequence[Tensor]) -> Arguments:
        """The same call with other tensors."""
        rest = iter(tensors)
        args, kwargs = pytree.tree_map(
            lambda leaf: next(rest) if isinstance(leaf, Tensor) else leaf, (self.args, self.kwargs)
        )
        return Arguments(args, kwargs, self.names)


def _key(entry: Any) -> str:
    """The name of a place in a nested argument."""
    for attribute in ("key", "idx", "name"):
        if hasattr(entry, attribute):
            return str(getattr(entry, attribute))
    return str(entry)


def copy_of(module: nn.Module, shared: Iterable[Tensor] = ()) -> nn.Module:
    """A module of its own with the same weights, as in a prediction. The tensors that a call left on the module, which
    torch cannot copy because they belong to a computation, are copied without it. shared: tensors of both modules.
    """
    memo: dict[int, Any] = {id(tensor): tensor for tensor in shared}
    for submodule in module.modules():
        for leaf in pytree.tree_leaves({key: value for key, value in vars(submodule).items() if key != "_modules"}):
            if isinstance(leaf, Tensor) and not leaf.is_leaf:
                memo[id(leaf)] = leaf.detach().clone()
    return copy.deepcopy(module, memo).eval()


def program_of(module: nn.Module, arguments: Arguments, fixed: Collection[tuple[int, int]]) -> ExportedProgram:
    """What torch.export writes down, in the operations that `torch_operations` reads. module: a copy, which may change.
    fixed: the axes, by the numbers of input and axis, whose sizes do not depend on the inputs.
    """
    shapes = []
    for number, tensor in enumerate(arguments.tensors):
        shapes.append({axis: None if (number, axis) in fixed else Dim.AUTO for axis in range(tensor.dim())})
    of_tensors = iter(shapes)
    args, kwargs = pytree.tree_map(
        lambda leaf: next(of_tensors) if isinstance(leaf, Tensor) else None, (arguments.args, arguments.kwargs)
    )
    # By the names of the parameters, of which *args takes several tensors and **kwargs has names of its own.
    dynamic: Any = dict(inspect.signature(module.forward).bind(*args, **kwargs).arguments)
    with _quiet(), leaves_kept(), _attributes_allowed(), _symbolic_len(module), torch.no_grad():
        program = export(module, arguments.args, arguments.kwargs, dynamic_shapes=dynamic, strict=False)
        check_packed(program.graph)
        _check_constants(program)
        # The conditions on sizes are read from the shape environment. As code, which run_decompositions would run,
        # torch 2.9 writes them with names that it does not define where a forward method has *args.
        if hasattr(program, "_guards_code"):
            program._guards_code = []
        decomposed: ExportedProgram = program.run_decompositions(_decompositions())
        return decomposed


def _decompositions() -> dict[Any, Any]:
    """The decompositions of all operations but KEPT, by operation."""
    # torch looks at all of its operations to collect them, so they are kept from call to call. An operation that
    # another package registers with a decomposition of its own joins them.
    registered = torch._C._dispatch_get_registrations_for_dispatch_key("CompositeImplicitAutograd")
    return _decompositions_of(frozenset(registered))


@lru_cache(maxsize=1)
def _decompositions_of(registered: frozenset[str]) -> dict[Any, Any]:
    """Those of these operations. run_decompositions copies the table."""
    table = torch.export.default_decompositions()
    for name in KEPT:
        packet = getattr(torch.ops.aten, name, None)
        for overload in packet.overloads() if packet is not None else ():
            table.pop(getattr(packet, overload), None)  # type: ignore[no-untyped-call]
    return dict(table)


@contextmanager
def _attributes_allowed() -> Iterator[None]:
    """Within it, a module may assign tensors to its attributes, as self.hidden or the weights of an attention. torch
    before 2.13 refuses a module that does, also where each call starts anew. What a call leaves for the next one is
    found by calling the module twice.
    """
    with patch.object(_trace, "_detect_attribute_assignment", _attributes_restored, create=True):
        yield


@contextmanager
def _attributes_restored(module: nn.Module) -> Iterator[None]:
    """After it, the attributes of a module and of those in it are the ones before it."""
    attributes = {submodule: dict(vars(submodule)) for submodule in module.modules()}
    try:
        yield
    finally:
        for submodule, before in attributes.items():
            vars(submodule).clear()
            vars(submodule).update(before)


def _check_constants(program: ExportedProgram) -> None:
    """Refuse a module that assigned to its own weights while it was exported: their numbers are gone.

    torch 2.13 raises where a constant has no numbers. torch 2.9 keeps it, and run_decompositions then crashes.
    """
    tensors = [*program.constants.values(), *program.state_dict.values()]
    if any(isinstance(tensor, FakeTensor) for tensor in tensors):
        raise InputError(ASSIGNED)


_FORWARDS: dict[Any, Any] = {
    nn.LSTM: torch_recurrent.layer_forward,
    nn.GRU: torch_recurrent.layer_forward,
    nn.RNN: torch_recurrent.layer_forward,
    nn.LSTMCell: torch_recurrent.cell_forward,
    nn.GRUCell: torch_recurrent.cell_forward,
    nn.RNNCell: torch_recurrent.cell_forward,
}
"""What recurrent layers do while a module is exported."""


@contextmanager
def leaves_kept() -> Iterator[None]:
    """Within it, recurrent layers, packing and slices of this thread are operations of our own, which torch.export
    keeps. Other threads get the original ones.
    """
    from gatewise.nn import LSTM
    from gatewise.nn.network import Direction

    thread = threading.get_ident()
    forwards = {**_FORWARDS, LSTM: torch_recurrent.layer_forward}
    originals = {kind: kind.__dict__["forward"] for kind in forwards}
    original_run = Direction.run

    def replaced(kind: Any) -> Any:
        def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
            chosen = forwards[kind] if threading.get_ident() == thread else originals[kind]
            return chosen(self, *args, **kwargs)

        forward.__signature__ = inspect.signature(forwards[kind])  # type: ignore[attr-defined]
        return forward

    def run(self: Any, x: Any) -> Any:
        """The original writes a loop over the steps in place of its layer."""
        return self.lstm(x)[0] if threading.get_ident() == thread else original_run(self, x)

    def numbers(original: Any) -> Any:
        def tolist(self: Tensor) -> Any:
            if threading.get_ident() == thread and self.dim() == 1 and not self.is_floating_point():
                return Numbers(self)
            return original(self)

        return tolist

    traced: list[Any] = [kind for kind in (FakeTensor, FunctionalTensor) if "tolist" in vars(kind)]
    lists = {kind: kind.tolist for kind in traced}
    with _LOCK, packing_kept(), _SymbolicSizes(), _symbolic_min_and_max():
        for kind in forwards:
            kind.forward = replaced(kind)
        Direction.run = run  # type: ignore[method-assign]
        for kind, tolist in lists.items():
            kind.tolist = numbers(tolist)
        try:
            yield
        finally:
            for kind, tolist in lists.items():
                kind.tolist = tolist
            Direction.run = original_run  # type: ignore[method-assign]
            for kind, original in originals.items():
                kind.forward = original


@custom_op("gatewise::sliced", mutates_args=())
def sliced(self: Tensor, dim: int, start: int, end: int) -> Tensor:
    """The rows of an axis from start to before end, as a slice of Python."""
    index = (slice(None),) * dim
    return self[(*index, slice(start, end))].clone()


@sliced.register_fake
def _(self: Tensor, dim: int, start: int, end: int) -> Tensor:
    size = self.shape[dim]
    if end >= OPEN:
        rows = _larger(size - start, 0) if start >= 0 else _smaller(-start, size)
    else:
        last = _smaller(end, size) if end >= 0 else _larger(size + end, 0)
        first = _smaller(start, size) if start >= 0 else _larger(size + start, 0)
        rows = _larger(last - first, 0) if start != 0 else last
    return self.new_empty((*self.shape[:dim], rows, *self.shape[dim + 1 :]))


def _smaller(left: Any, right: Any) -> Any:
    return torch.sym_min(left, right)  # type: ignore[no-untyped-call]


def _larger(left: Any, right: Any) -> Any:
    return torch.sym_max(left, right)  # type: ignore[no-untyped-call]


@contextmanager
def _symbolic_min_and_max() -> Iterator[None]:
    """Within it, torch.sym_min and torch.sym_max of sizes are sizes. Those of torch 2.6 decide which one is smaller as
    the example has it.
    """
    decided = getattr(sym_node, "alternate_impl_if_hinted_methods", {})
    with patch.dict(decided, clear=True):
        yield


@contextmanager
def _symbolic_len(module: nn.Module) -> Iterator[None]:
    """Within it, `len(x)` of a tensor is `x.shape[0]` in the code of the module. Python makes a number of the first,
    and torch.export would take it for a constant.
    """
    spaces: dict[int, dict[str, Any]] = {}
    for submodule in module.modules():
        for place in (vars(submodule), *map(vars, type(submodule).__mro__)):
            space = getattr(place.get("forward"), "__globals__", None)
            if space is not None and not space.get("__name__", "").startswith(("torch.", "gatewise.")):
                spaces[id(space)] = space
    missing = object()
    originals = [(space, space.get("len", missing)) for space in spaces.values()]
    for space, original in originals:
        space["len"] = _len_like(len if original is missing else original)
    try:
        yield
    finally:
        for space, original in originals:
            if original is missing:
                del space["len"]
            else:
                space["len"] = original


def _len_like(original: Any) -> Any:
    def symbolic_len(value: Any) -> Any:
        if isinstance(value, Tensor) and value.dim() > 0:
            return value.shape[0]
        return original(value)

    return symbolic_len


class _SymbolicSizes(TorchFunctionMode):
    """What torch.export does for the sizes of the example alone, for all sizes.

    Slices with constant bounds: it decides whether an axis is longer than the bound. A graph has the smaller of the
    two. max_pool1d: it takes the number of steps for a constant, and max_pool2d does not.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.__getitem__:
            return self._item(func, *args)
        if func in (torch.gather, Tensor.gather):
            _equal_rows(*args, **(kwargs or {}))
        if func in (torch.max_pool1d, functional.max_pool1d):
            return self._max_pool(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _max_pool(
        self,
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Tensor:
        if return_indices:
            raise InputError("max_pool1d with return_indices is not read")
        sizes = [
            number[0] if isinstance(number, tuple | list) else number for number in (kernel_size, padding, dilation)
        ]
        step = stride[0] if isinstance(stride, tuple | list) and stride else stride
        pooled = torch.max_pool2d(
            input.unsqueeze(-2), (1, sizes[0]), (1, step or sizes[0]), (0, sizes[1]), (1, sizes[2]), ceil_mode
        )
        return pooled.squeeze(-2)

    def _item(self, func: Any, x: Tensor, index: Any) -> Any:
        places = list(index) if isinstance(index, tuple) else [index]
        kinds = (slice, int, type(None), type(Ellipsis), torch.SymInt)
        if not all(isinstance(place, kinds) for place in places):
            return func(x, index)
        if Ellipsis in places:
            where = places.index(Ellipsis)
            named = sum(place is not None and place is not Ellipsis for place in places)
            places[where : where + 1] = [slice(None)] * (x.dim() - named)
        axis = 0
        for number, place in enumerate(places):
            if place is None:
                continue
            if isinstance(place, slice) and _crosses(place, x.shape[axis]):
                start = 0 if place.start is None else place.start
                end = OPEN if place.stop is None else place.stop
                x = torch.ops.gatewise.sliced(x, axis, start, end)
                places[number] = slice(None)
            axis += 1
        return func(x, tuple(places))


def _equal_rows(input: Tensor, dim: int, index: Tensor, **_: Any) -> None:
    """Let torch.export know which sizes of two tensors are equal. `gather` asks for fewer rows at most."""
    for axis, (rows, read) in enumerate(zip(input.shape, index.shape, strict=False)):
        if axis != dim % input.dim():
            bool(rows == read)


def _crosses(place: slice, size: Any) -> bool:
    """Whether a slice has bounds that an axis of a size that depends on the inputs may be shorter than."""
    if not isinstance(size, torch.SymInt) or place.step not in (None, 1):
        return False
    bounds = [bound for bound in (place.start, place.stop) if bound is not None]
    if not all(isinstance(bound, int) for bound in bounds):
        return False
    return any(abs(bound) > 1 for bound in bounds if bound < 1 << 31)


@contextmanager
def _quiet() -> Iterator[None]:
    """Within it, torch does not log, warn or print about what is refused or read here."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    # torch prints the graph to stderr where a value decides what is computed.
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logging.disable(disabled)
