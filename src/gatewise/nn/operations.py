"""The operations of a torch.nn.Module, recorded while it runs: `gatewise.network.operations` reads them.

The module runs as it is, with its own control flow. Modules of torch.nn are recorded by a hook, with what they read;
functions by a TorchFunctionMode, where they depend on the inputs.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence
from torch.overrides import TorchFunctionMode

from gatewise.errors import InputError, quote
from gatewise.network.architecture import Layer
from gatewise.network.operations import ACTIVATIONS, Act, Affine, Operation, Source
from gatewise.network.weight_layouts import Weights
from gatewise.nn.convert import from_torch, to_arrays
from gatewise.nn.lstm import LSTM
from gatewise.types import Array

_DEFAULTS = {"alpha": 1.0, "beta": 1, "threshold": 20, "approximate": "none"}  # settings of activations
# What moves numbers, pools them or casts them: its effect is found from the values.
_ARRANGE = """
    view reshape flatten unflatten squeeze unsqueeze permute transpose t contiguous movedim swapaxes flip cat concat
    concatenate hstack stack split chunk unbind select narrow index_select gather expand expand_as repeat __getitem__
    mean max amax sum add __add__ __radd__ mul __mul__ __rmul__ div __truediv__ masked_fill where to float double type
    type_as clone detach cpu long int bool ne __ne__ eq __eq__ lt gt size dim arange identity pad _pack_padded_sequence
    _pad_packed_sequence dropout feature_dropout alpha_dropout dropout1d dropout2d alphadropout adaptive_avg_pool1d
    adaptive_max_pool1d avg_pool1d max_pool1d adaptivemaxpool1d adaptiveavgpool1d maxpool1d avgpool1d
"""


class TorchSource(Source):
    """A module that is called with inputs like the example: ids or series, or a tuple of these and the lengths (B,)."""

    framework = "PyTorch"

    def __init__(self, module: Any, example: Any) -> None:
        if not isinstance(module, torch.nn.Module):
            raise InputError(f"from_torch needs a torch.nn.Module, not {quote(type(module).__name__)}")
        given = [torch.as_tensor(one) for one in (example if isinstance(example, tuple) else (example,))]
        if len(given) not in (1, 2) or (len(given) == 2 and (given[1].is_floating_point() or given[1].dim() != 1)):
            raise InputError("example: expected the inputs, or a tuple of the inputs and the lengths (B,)")
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
        except InputError:  # the module takes the shape of the example only
            super().__init__(tokens, size, shape, len(given) == 2)

    def run(self, x: Array, lengths: Array) -> list[Operation]:
        module, modes = self.module, [(one, one.training) for one in self.module.modules()]
        tensor = torch.from_numpy(np.ascontiguousarray(x)).to(self.dtype)
        tensor = tensor.to(next((one.device for one in module.parameters()), tensor.device))
        recorder, arguments = _Recorder(tensor), [tensor, torch.from_numpy(lengths)] if self.masked else [tensor]
        hooks = [hook for name, one in module.named_modules() for hook in recorder.watch(name, one)]
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # more only wait for each other: the batches are small
        module.eval()
        try:
            with torch.no_grad(), recorder:
                output = module(*arguments)
        except InputError:
            raise
        except (TypeError, ValueError, RuntimeError, AttributeError, LookupError, AssertionError) as error:
            shapes = " and ".join(str(tuple(one.shape)) for one in arguments)
            raise InputError(
                f"the module cannot be called with arrays of the shape {shapes}: {quote(error)}"
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


class _Recorder(TorchFunctionMode):
    """The operations in the order in which they run. tracked: the tensors that depend on the inputs, by id."""

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self.found: list[Operation] = []
        self.tracked = {id(x): x}
        self.inside = 0  # of modules that are recorded as a whole

    def watch(self, name: str, module: torch.nn.Module) -> list[Any]:
        """Hooks that record a module of torch.nn or gatewise.nn as a whole, unless it is a container."""
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
        output = func(*args, **(kwargs or {}))
        if self.inside or not self._depends((args, kwargs)):
            return output
        for first in _tensors(output):
            self._track(output)
            self._function(self._operation(func.__name__, func.__name__), args, kwargs or {}, first)
            break
        return output

    def _depends(self, value: Any) -> bool:
        return any(id(one) in self.tracked for one in _tensors(value))

    def _track(self, value: Any) -> None:
        self.tracked |= {id(one): one for one in _tensors(value)}

    def _operation(self, name: str, kind: str) -> Operation:
        return Operation(name, kind, f"operation {sum(one.x is not None for one in self.found) + 1}")

    def _module(self, name: str, module: Any, x: Any, others: list[Any], output: Any) -> None:
        own = self._operation(name, type(module).__name__)
        if isinstance(module, torch.nn.Embedding):
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
        else:
            self.found.append(own if key in _ARRANGE.split() else own.refuse())

    def _add(self, own: Operation, what: Any, x: Any, y: Any) -> None:
        self.found.append(own.ran(what, _array(x), _array(y)))


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
