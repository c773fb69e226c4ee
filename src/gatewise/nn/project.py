"""The input product as a torch operator, `gatewise::project`, by the kernel that runs the recurrence."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, library

from gatewise.kernels import get
from gatewise.nn.op import as_array, kernel_for

__all__ = ["project"]


def project(x: Tensor, weight_ih: Tensor, bias: Tensor, *, kernel: str | None = None) -> Tensor:
    """pre (U, 4H) = x (U, D) weight_ihᵀ + bias, with gradients of first order for all three.

    On the CPU, float32 or float64; kernel: as for `lstm`. Raises InputError for arguments that do not fit together.

    >>> project(torch.ones(2, 3), torch.ones(4, 3), torch.ones(4))
    tensor([[4., 4., 4., 4.],
            [4., 4., 4., 4.]])
    """
    pre: Tensor = _project(x, weight_ih, bias, kernel_for(kernel, {"x": x, "weight_ih": weight_ih, "bias": bias}))
    return pre


@library.custom_op("gatewise::project", mutates_args=(), device_types="cpu")
def _project(x: Tensor, weight_ih: Tensor, bias: Tensor, kernel: str) -> Tensor:
    return torch.from_numpy(get(kernel).project(as_array(x), as_array(weight_ih), as_array(bias)))


@library.custom_op("gatewise::project_backward", mutates_args=(), device_types="cpu")
def _backward(x: Tensor, weight_ih: Tensor, dpre: Tensor, with_dx: bool, kernel: str) -> tuple[Tensor, Tensor, Tensor]:
    """dx (U, D), empty where it is not wanted, dweight_ih (4H, D), dbias (4H,)."""
    found = get(kernel).project_backward(as_array(x), as_array(weight_ih), as_array(dpre), with_dx=with_dx)
    dx = x.new_empty((0, x.shape[1])) if found.dx is None else torch.from_numpy(found.dx)
    return dx, torch.from_numpy(found.dweight_ih), torch.from_numpy(found.dbias)


@_project.register_fake
def _(x: Tensor, weight_ih: Tensor, bias: Tensor, kernel: str) -> Tensor:
    return x.new_empty((x.shape[0], weight_ih.shape[0]))


@_backward.register_fake
def _(x: Tensor, weight_ih: Tensor, dpre: Tensor, with_dx: bool, kernel: str) -> tuple[Tensor, Tensor, Tensor]:
    dx = x.new_empty((x.shape[0] if with_dx else 0, x.shape[1]))
    return dx, weight_ih.new_empty(weight_ih.shape), weight_ih.new_empty(weight_ih.shape[0])


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight_ih, _, kernel = inputs
    ctx.kernel = kernel
    ctx.save_for_backward(x, weight_ih)


def _differentiate(ctx: Any, dpre: Tensor) -> tuple[Tensor | None, ...]:
    x, weight_ih = ctx.saved_tensors
    with_dx = bool(ctx.needs_input_grad[0])
    dx, dweight_ih, dbias = _backward(x, weight_ih, dpre, with_dx, ctx.kernel)
    return dx if with_dx else None, dweight_ih, dbias, None


_project.register_autograd(_differentiate, setup_context=_setup_context)
