"""The operations of a torch.nn.Module, recorded while it runs: `gatewise.network.value_matching` reads them.

The module runs as it is, with its own control flow. Modules of torch.nn are recorded by a hook, with what they read;
functions by a TorchFunctionMode, where they depend on the inputs. A function whose effect depends on the numbers that
it reads, such as a comparison, is refused: no comparison of outputs covers all numbers.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence
from torch.overrides import TorchFunctionMode

from gatewise.errors import InputError, quote
from gatewise.network import Layer
from gatewise.network.value_matching import ACTIVATIONS, Act, Affine, Operation, ShapeError, Source
from gatewise.network.weight_layouts import Weights
from gatewise.nn.convert import from_torch, to_arrays
from gatewise.nn.lstm import LSTM
from gatewise.types import Array

_DEFAULTS = {"alpha": 1.0, "beta": 1, "threshold": 20, "approximate": "none"}  # settings of activations
# What moves numbers, pools them or casts them: its effect is found from the values.
_ARRANGE = """
    view reshape flatten unflatten squeeze unsqueeze permute transpose t contiguous movedim swapaxes flip cat concat
    concatenate hstack stack split chunk unbind select narrow index_select gather expand expand_as repeat getitem
    mean max amax sum add radd mul rmul div truediv masked_fill where to float double type
    type_as clone detach cpu long int identity pad _pack_padded_sequence _pad_packed_sequence dropout feature_dropout
    alpha_dropout dropout1d dropout2d alphadropout adaptive_avg_pool1d adaptive_max_pool1d avg_pool1d max_pool1d
    adaptivemaxpool1d adaptiveavgpool1d maxpool1d avgpool1d data t mt
"""
# What returns constants of the shape of what it reads.
_CONSTANTS = "zeros_like ones_like full_like new_zeros new_ones new_full"
# What returns no tensor, and does not depend on the numbers of the tensor that it reads.
_METADATA = """
    size dim ndimension numel nelement len stride is_floating_point is_complex is_contiguous get_device
    element_size hash shape dtype device ndim is_cuda layout requires_grad is_sparse is_leaf grad_fn names
    is_quantized is_nested is_cpu is_mps itemsize nbytes
"""
# Refused, with a reason of their own. An operator has the name of its method without underscores: x == 7 is eq.
_COMPARISONS = """
    eq ne lt gt le ge less less_equal greater greater_equal not_equal isnan isinf isfinite isclose sign bool heaviside
    logical_not logical_and logical_or logical_xor nonzero argmax argmin argsort sort topk unique isin
"""
_LIMITS = """
    maximum minimum min fmax fmin clamp clamp_min clamp_max clip aminmax threshold hardtanh relu6 nan_to_num
"""
_COMPARES = (
    "it compares numbers, so the network is another one for other numbers; gatewise reads comparisons of lengths only. "
    "Give the lengths of the sequences as a second input, example=(x, lengths), or compute this before the network"
)
_LIMITS_NUMBERS = "it limits numbers, which gatewise does not compute; do this before or after the network"
_ROUNDS = "it rounds numbers to whole ones, which gatewise does not compute; do this before the network"
_WRITES = "it writes into a tensor; compute the tensor with cat, stack or a mask of the lengths"
_LEAVES_TORCH = (
    "it makes Python values of the numbers of a tensor, and what the module then does may depend on them; remove it, "
    "or compute this before the network"
)
_LENGTH_LIMITS = "clamp clamp_max clip minimum fmin min remainder fmod"  # when they read lengths
_SHORT = 24  # steps; beyond, no axis of directions, layers or channels has the size of that of the steps by chance
_WRAP = (
    "from_torch calls it with the inputs, or with the inputs and the lengths: wrap the module in one whose forward "
    "makes the other arguments, such as a hidden state of zeros"
)


class TorchSource(Source):
    """A module that is called with inputs like the example: ids or series, or a tuple of these and the lengths (B,)."""

    framework = "PyTorch"

    def __init__(self, module: Any, example: Any) -> None:
        if not isinstance(module, torch.nn.Module):
            raise InputError(f"from_torch needs a torch.nn.Module, not {quote(type(module).__name__)}")
        given = [_example(one) for one in (example if isinstance(example, tuple) else (example,))]
        if len(given) not in (1, 2) or (len(given) == 2 and (given[1].is_floating_point() or given[1].dim() != 1)):
            raise InputError(f"example: expected the inputs, or a tuple of the inputs and the lengths (B,); {_WRAP}")
        x, self.module = given[0], module
        tokens, self.dtype = not x.is_floating_point(), x.dtype
        axes = x.dim() - (not tokens)
        if axes not in (1, 2):
            raise InputError(f"example: expected ids (B, T) or series (B, T, C), got the shape {tuple(x.shape)}")
        tables = [one for one in module.modules() if isinstance(one, torch.nn.Embedding)]
        size = x.shape[-1] if not tokens else len(tables[0].weight) if tables else 0
        shape = tuple(x.shape[:axes])
        try:
            super().__init__(tokens, size, (None,) * axes, len(given) == 2)
        except ShapeError:  # the module takes the shape of the example only
            super().__init__(tokens, size, shape, len(given) == 2)

    def run(self, x: Array, lengths: Array) -> list[Operation]:
        module, modes = self.module, [(one, one.training) for one in self.module.modules()]
        tensor = torch.from_numpy(np.ascontiguousarray(x)).to(self.dtype)
        tensor = tensor.to(next((one.device for one in module.parameters()), tensor.device))
        arguments = [tensor, torch.from_numpy(lengths)] if self.masked else [tensor]
        recorder = _Recorder(arguments, len(x) if self.single or self.time_first else x.shape[1])
        hooks = [hook for name, one in module.named_modules() for hook in recorder.watch(name, one)]
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # more only wait for each other: the batches are small
        module.eval()
        try:
            with torch.no_grad(), recorder:
                output = module(*arguments)
        except InputError:
            raise
        except Exception as error:  # the code of the module may raise any
            shapes = " and ".join(str(tuple(one.shape)) for one in arguments)
            advice = f"; {_WRAP}" if isinstance(error, TypeError) else ""
            raise ShapeError(
                f"the module cannot be called with arrays of the shape {shapes}: {quote(error)}{advice}"
            ) from error
        finally:
            torch.set_num_threads(threads)
            for hook in hooks:
                hook.remove()
            for one, training in modes:
                one.training = training
        while isinstance(output, tuple | list) and output:
            output = output[0]
        if not isinstance(output, Tensor):
            raise InputError(f"the module returns a {type(output).__name__}, not a tensor")
        return [*recorder.found, Operation("output", "output", "the end").ran(None, _array(output))]


def _example(value: Any) -> Tensor:
    """A tensor of the example. Raises InputError, as for a tuple of the states h and c."""
    try:
        return torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        kind = quote(type(value).__name__)
        raise InputError(f"example: {kind} is neither the inputs nor the lengths (B,); {_WRAP}") from None


class _Recorder(TorchFunctionMode):
    """The operations in the order in which they run, of inputs of `steps`. tracked, counts: the tensors that depend on
    the inputs, and those that depend on the lengths only, by id.
    """

    def __init__(self, arguments: list[Tensor], steps: int) -> None:
        super().__init__()
        self.found: list[Operation] = []
        self.tracked = {id(arguments[0]): arguments[0]}
        self.counts = {id(one): one for one in arguments[1:]}
        self.steps = steps
        self.inside = 0  # of modules that are recorded as a whole

    def watch(self, name: str, module: torch.nn.Module) -> list[Any]:
        """Hooks that record a module of torch.nn or gatewise.nn as a whole, unless it is a container."""
        if isinstance(module, torch.jit.ScriptModule):
            self._operation(name, "ScriptModule").refuse("its code is not read; give the module before torch.jit")
        home = type(module).__module__
        whole = home.startswith("torch.nn.modules.") and not home.endswith(".container")
        if not whole and not isinstance(module, LSTM):
            return []

        def before(*_: Any) -> None:
            self.inside += 1

        def after(_: Any, args: Any, kwargs: Any, output: Any) -> None:
            given = [*args, *kwargs.values()]
            if self.inside == 1 and self._depends(given):
                self._module(name or type(module).__name__.lower(), module, given[0], given[1:], output)
                self._track(output)
            self.inside -= 1

        return [module.register_forward_pre_hook(before), module.register_forward_hook(after, with_kwargs=True)]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        if self.inside:
            return output
        name = func.__name__
        if name == "__get__":  # of an attribute, such as x.T
            name = func.__self__.__name__
        name = name.removeprefix("__").removesuffix("__")
        if self._depends((args, kwargs)):
            self._values(self._operation(name, name), args, kwargs, output)
        elif any(id(one) in self.counts for one in _tensors((args, kwargs))):
            self._lengths(self._operation(name, name), args, kwargs)
            self.counts |= {id(one): one for one in _tensors(output)}
        return output

    def _values(self, own: Operation, args: Any, kwargs: Any, output: Any) -> None:
        """A function that read numbers of the network."""
        if own.type == "setitem":
            self._refuse(own)
        if own.type in _CONSTANTS.split():
            return
        first = next(_tensors(output), None)
        if first is not None:
            self._track(output)
            self._function(own, args, kwargs, first)
        elif own.type not in _METADATA.split():
            own.refuse(_LEAVES_TORCH)

    def _lengths(self, own: Operation, args: Any, kwargs: Any) -> None:
        """A function that read lengths only. One that limits them cuts the sequences."""
        name = own.type.strip("_")
        if name not in _LENGTH_LIMITS.split():
            return
        least = kwargs.get("min", args[1] if len(args) > 1 else None)
        most = kwargs.get("max", args[2] if len(args) > 2 else None)
        above_zero = name in ("clamp", "clip") and most is None and isinstance(least, int | float)
        reduction = name == "min" and not any(isinstance(one, Tensor) for one in args[1:])
        if not reduction and not (above_zero and least <= 1):
            own.refuse("it limits the lengths; cut the sequences before they reach the network")

    def _refuse(self, own: Operation) -> NoReturn:
        name = own.type.strip("_").lower()
        if name == "setitem":
            own.refuse(_WRITES)
        if name in _COMPARISONS.split():
            own.refuse(_COMPARES)
        own.refuse(_LIMITS_NUMBERS if name in _LIMITS.split() else "")

    def _depends(self, value: Any) -> bool:
        return any(id(one) in self.tracked for one in _tensors(value))

    def _track(self, value: Any) -> None:
        self.tracked |= {id(one): one for one in _tensors(value)}

    def _operation(self, name: str, kind: str) -> Operation:
        return Operation(name, kind, f"operation {sum(one.x is not None for one in self.found) + 1}")

    def _module(self, name: str, module: Any, x: Any, others: list[Any], output: Any) -> None:
        own = self._operation(name, type(module).__name__)
        if isinstance(module, torch.nn.Embedding):
            if module.max_norm is not None:
                own.refuse("max_norm changes its weights when it runs; set it to None after one run over all ids")
            self._add(own, _array(module.weight), x, output)
        elif isinstance(module, torch.nn.Linear):
            self._add(own, _dense(module.weight, module.bias), x, output)
        elif isinstance(module, torch.nn.LSTM | LSTM):
            if any(bool(one.any()) for one in _tensors(others)):
                own.refuse("it starts from states other than zero; gatewise starts each sequence from zero")
            self._add(own, _layers(module, own), _padded(x, module), _padded(output[0], module))
        elif isinstance(module, torch.nn.modules.batchnorm._BatchNorm) and module.running_var is not None:
            scale = 1 / np.sqrt(_array(module.running_var) + module.eps)
            scale, center = (scale * _array(module.weight), _array(module.bias)) if module.affine else (scale, 0.0)
            what = Affine.scaling(scale, center - _array(module.running_mean) * scale)
            self._add(own, what, x.movedim(1, -1), output.movedim(1, -1))  # (B, F, T): features in the middle
        else:
            self._function(own, (x,), vars(module), output)

    def _function(self, own: Operation, args: Any, settings: Any, output: Any) -> None:
        key = own.type.lower()
        plain = key if key.endswith("_") else key.replace("_", "")  # relu_ changes what it reads
        if plain in ACTIVATIONS:
            slope = args[1] if len(args) > 1 else settings.get("negative_slope", 0.01)
            changed = [one for one, value in _DEFAULTS.items() if settings.get(one, value) != value]
            if changed or (len(args) > 1 and not key.startswith(("leaky", "softmax", "log"))):
                own.refuse(f"{changed[0] if changed else args[1]} is not the default, and gatewise computes that only")
            self._add(own, Act(ACTIVATIONS[plain], float(slope) if key.startswith("leaky") else 0.01), args[0], output)
        elif key == "linear":
            bias = args[2] if len(args) > 2 else settings.get("bias")
            self._add(own, _dense(args[1], bias), args[0], output)
        elif key in _ARRANGE.split():
            self.found.append(self._arrangement(own, key, args, settings, output))
        else:
            self._refuse(own)

    def _arrangement(self, own: Operation, key: str, args: Any, settings: Any, output: Tensor) -> Operation:
        """The operation, as a message shows it. Its effect on these numbers is found from them; refused is what may
        have another effect on others.
        """
        x = args[0]
        if key in ("max", "amax") and any(isinstance(one, Tensor) for one in (*args[1:], settings.get("other"))):
            own.refuse(_LIMITS_NUMBERS)
        if output.dtype == torch.bool:
            own.refuse(_COMPARES)
        if isinstance(x, Tensor) and x.is_floating_point() and not output.is_floating_point():
            own.refuse(_ROUNDS)
        if key in ("masked_fill", "where"):
            for number in self._fills([*args[1:], settings.get("value"), settings.get("other")]):
                if number != 0 and not number <= -1:
                    own.refuse(
                        f"it fills masked steps with {number:g}; fill with 0 for a mean, with -inf for a maximum"
                    )
        if key != "getitem":
            return own
        shown = _shown_index(args[1])
        if any(_cuts(x, axis, item, self.steps) for axis, item in _slices(x, args[1])):
            own.refuse(f"{shown} has a constant bound of the steps; cut the sequences before they reach the network")
        return replace(own, type=shown)

    def _fills(self, values: list[Any]) -> Iterator[float]:
        """The numbers among the arguments of a function, and those of tensors that do not depend on the inputs."""
        for value in values:
            if isinstance(value, Tensor):
                if value.dtype != torch.bool and id(value) not in self.tracked:
                    yield from value.double().flatten().tolist()
            elif isinstance(value, int | float):
                yield float(value)

    def _add(self, own: Operation, what: Any, x: Any, y: Any) -> None:
        self.found.append(own.ran(what, _array(x), _array(y)))


def _slices(x: Tensor, index: Any) -> Iterator[tuple[int, slice]]:
    """The slices of an index, each with its axis of x."""
    items = index if isinstance(index, tuple) else (index,)
    axis = 0
    for place, item in enumerate(items):
        if item is Ellipsis:
            axis = x.dim() - sum(_axes(later) for later in items[place + 1 :])
            continue
        if isinstance(item, slice):
            yield axis, item
        axis += _axes(item)


def _axes(item: Any) -> int:
    """How many axes an item of an index reads."""
    if item is None:
        return 0
    return item.dim() if isinstance(item, Tensor) and item.dtype == torch.bool else 1


def _cuts(x: Tensor, axis: int, item: slice, steps: int) -> bool:
    """Whether a slice takes a constant number of steps: less than all, or up to a bound beyond the end."""
    size = x.shape[axis]
    start, stop, step = (None if one is None else int(one) for one in (item.start, item.stop, item.step))
    if len(range(size)[start:stop:step]) == size:
        return start not in (None, 0, -size) or (stop is not None and size < stop < 2**31)
    features = x.is_floating_point() and axis == x.dim() - 1
    return size == steps > _SHORT and not features


def _shown_index(index: Any) -> str:
    """An index as it is written, such as [:, -1]."""
    shown = []
    for item in index if isinstance(index, tuple) else (index,):
        if isinstance(item, slice):
            start, stop, step = ("" if one is None else str(int(one)) for one in (item.start, item.stop, item.step))
            shown.append(f"{start}:{stop}:{step}" if step else f"{start}:{stop}")
        elif item is Ellipsis:
            shown.append("...")
        else:
            shown.append(str(item) if isinstance(item, int) or item is None else type(item).__name__)
    return f"[{', '.join(shown)}]"


def _layers(module: Any, own: Operation) -> list[tuple[Layer, list[Weights]]]:
    ours = from_torch(module) if isinstance(module, torch.nn.LSTM) else module
    if ours.gate != "sigmoid":
        own.refuse(f"gate={ours.gate!r}: only sigmoid gates are read")
    weights, step = to_arrays(ours), ours.directions
    layer = Layer(ours.hidden_size, "both" if step == 2 else "forward")
    return [(layer, weights[first : first + step]) for first in range(0, len(weights), step)]


def _padded(x: Any, module: Any) -> Any:
    """(B, T, F) of what an LSTM reads or returns."""
    if isinstance(x, PackedSequence):
        return pad_packed_sequence(x, batch_first=True)[0]
    if x.dim() == 2:
        return x.unsqueeze(0)
    return x if module.batch_first else x.transpose(0, 1)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _tensors(one)


def _dense(weight: Tensor, bias: Tensor | None) -> Affine:
    return Affine.dense(_array(weight), None if bias is None else _array(bias))


def _array(tensor: Any) -> Array:
    return np.array(tensor.detach().cpu().double().numpy())
