"""Arguments of each function of the native extension that fit together."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gatewise.kernels import native


def zeros(*shape: int, dtype: type = np.float32) -> Any:
    return np.zeros(shape, dtype)


def unaligned(array: Any) -> Any:
    """The same numbers at an odd address, as a part of a file may have them."""
    raw = np.zeros(array.nbytes + 1, np.uint8)
    raw[1:] = np.frombuffer(array.tobytes(), np.uint8)
    return raw[1:].view(array.dtype).reshape(array.shape)


def function_of(name: str) -> Callable[..., Any]:
    """The function of the extension that takes the arguments `fitting()[name]`."""
    function: Callable[..., Any] = getattr(native._extension(), name.removesuffix("_inputs"))
    return function


def fitting(
    lengths: Sequence[int] = (5, 0, 10),
    units: int = 4,
    rows: int = 6,
    isa: str | None = None,
    threads: int = 1,
    numbers: Callable[..., Any] = zeros,
) -> dict[str, dict[str, Any]]:
    """By function, in its order; "_inputs" is its run with an input product. rows: of pre and of tables. isa: None for
    the first. numbers(*shape): float32.
    """
    extension = native._extension()
    isa, lanes = isa or extension.isas()[0], extension.lanes(isa or extension.isas()[0])
    b, n, h, u = len(lengths), sum(lengths), units, rows
    lengths = np.array(lengths, np.int64)
    index, chosen = np.arange(n, dtype=np.int32) % u, np.arange(0, u, 4)
    states = {name: numbers(b, h) for name in ("h0", "c0", "mask")}
    where: dict[str, Any] = {"isa": isa, "threads": threads}
    table, weight = {"weight": numbers(u, h), "rows": chosen}, numbers(4 * h, h)
    decay = {"beta_1": 0.9, "rest_1": 0.1, "beta_2": 0.99, "rest_2": 0.01}
    pooled, counts = {"lengths": lengths, "add_to": numbers(n, h)}, zeros(b, 84 * 3, dtype=np.int32)
    options = {"reverse": False, "binary": False}
    forward = {"pre": numbers(u, 4 * h), "index": index, "lengths": lengths, "weight_hh": weight}
    more = {"packed": extension.pack(isa, weight), "base": zeros(b, dtype=np.int32), "alpha": numbers(b)}
    backward = {"gates": numbers(n, -(-h // lanes), 4, lanes), "index": index, "lengths": lengths}
    backward |= {"weight_hh": weight} | states | {name: numbers(n, h) for name in ("h", "c", "dh", "dc")}
    backward |= {name: numbers(b, h) for name in ("dh_T", "dc_T")} | {"pre_rows": u} | options | {"with_dweight": True}
    banks = {"dilations": np.array([1, 2], np.int32), "per_kernel": np.array([1, 2], np.int32)}
    banks |= {"masks": np.ones((2, 84, 2), np.uint8), "thresholds": numbers(84 * 3)}
    step = {"grad": numbers(len(chosen), h), "m": numbers(u, h), "v": numbers(u, h)} | decay
    now = len(chosen) + 1
    caught_up = {"m": numbers(u, h), "v": numbers(u, h), "last": np.arange(len(chosen)) + 1, "now": now}
    caught_up |= {name: numbers(now + 1) for name in ("rates", "epsilons")} | decay
    sparse = {"starts": np.append(0, np.cumsum(lengths)).astype(np.int32), "columns": index, "values": numbers(n)}
    layer, labels = {"x": numbers(u, 2), "weight": numbers(h, 2)}, {"sign": numbers(b), "cost": np.ones(b)}
    packed = extension.pack_linear(isa, layer["weight"])
    more |= {"held_index": None, "held": None}
    inputs: dict[str, Any] = {"x": numbers(n, 2), "weight_ih": numbers(4 * h, 2), "bias": numbers(4 * h)}
    inputs |= {"packed_ih": extension.pack_linear(isa, inputs["weight_ih"]), "with_h": True}
    forward |= states | {"steps": n} | options | {"keep": True} | more
    layer_backward = {"x": inputs["x"], "weight_ih": inputs["weight_ih"], "with_dx": True}
    return {
        "forward": where | forward | dict.fromkeys(inputs) | {"with_h": True},
        "forward_inputs": where | forward | dict.fromkeys(("pre", "index", "base", "alpha")) | inputs,
        "pack": {"isa": isa, "weight_hh": weight},
        "backward": where | backward | dict.fromkeys(layer_backward) | {"with_dx": True},
        "backward_inputs": where | backward | {"index": None, "pre_rows": n} | layer_backward,
        "linear": where | layer | {"bias": numbers(h), "packed": packed},
        "pack_linear": {"isa": isa, "weight": layer["weight"]},
        "linear_backward": where | layer | {"dy": numbers(u, h), "with_dx": True},
        "count_above": where | {"values": numbers(n, 2), "lengths": lengths} | banks | {"counts": counts},
        "adam_step": where | table | step | {"rate": 0.1, "epsilon": 1e-8, "scale": 1.0},
        "adam_catch_up": where | table | caught_up,
        "fit_squared_hinge": sparse | labels | {"max_passes": 2, "tol": 0.1, "w": np.zeros(u)},
        "segment_reduce": {"threads": threads, "maximum": True, "x": numbers(n, h), "lengths": lengths},
        "repeat_rows": {"threads": threads, "grad": numbers(b, h), "lengths": lengths, "steps": n}
        | {"add_to": numbers(n, h)},
        "max_backward": {"threads": threads, "x": numbers(n, h), "largest": numbers(b, h), "grad": numbers(b, h)}
        | pooled,
        "sum_of_squares": {**where, "x": numbers(n)},
    }
