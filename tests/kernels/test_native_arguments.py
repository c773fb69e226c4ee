"""The extension refuses arguments that do not fit together, also those that `gatewise.kernels` never passes.

Arguments that another thread changes: the attack `changing-arrays` of trust.
"""

from typing import Any

import numpy as np
import pytest

from gatewise.kernels import native
from gatewise.kernels.pooling import repeat_rows, segment_reduce
from tests.kernels.arguments import fitting, function_of, unaligned, zeros
from tests.kernels.batches import needs_native

pytestmark = needs_native
B, N, H, U = 3, 15, 4, 6  # sequences, steps, units, rows of pre
HUGE = 2**62  # four of them are 0 in 64 bits


HUGE_LENGTHS = np.array([HUGE, HUGE, HUGE, HUGE, N])
# The numbers that select memory, with what they must not be.
NUMBERS: dict[str, dict[str, list[Any]]] = {
    "forward": {
        "steps": [-N, 2**40],
        "index": [np.full(N, U, np.int32), np.full(N, -1, np.int32), None],
        "base": [np.full(B, U, np.int32), None],
        "alpha": [None],
        "lengths": [np.array([-1, 6, 10]), np.array([5, 0, 9]), HUGE_LENGTHS],
        "weight_hh": [zeros(0, 0), zeros(8 * H, 2 * H)],
        "packed": [zeros(3)],
        "pre": [None],
        "x": [zeros(N, 2)],
        "weight_ih": [zeros(4 * H, 2)],
        "bias": [zeros(4 * H)],
        "packed_ih": [zeros(64)],
        "with_h": [False],
    },
    "forward_inputs": {
        "steps": [-N, 2**40, N - 1],
        "pre": [zeros(N, 4 * H)],
        "index": [np.zeros(N, np.int32)],
        "x": [None],
        "bias": [None],
        "lengths": [np.array([-1, 6, 10]), np.array([5, 0, 9]), HUGE_LENGTHS],
        "weight_ih": [zeros(4 * H, 0), zeros(4 * H, 3), zeros(0, 2), None],
        "weight_hh": [zeros(0, 0), zeros(8 * H, 2 * H)],
        "packed": [zeros(3)],
        "packed_ih": [zeros(3)],
        "with_h": [False],
    },
    "pack": {"weight_hh": [zeros(0, 0), zeros(H, 4 * H)]},
    "backward": {
        "pre_rows": [-1, U - 1, 2**60, 2**58 - 1],  # the last are 2^64 - 64 bytes
        "index": [np.full(N, U, np.int32), None],
        "lengths": [HUGE_LENGTHS],
        "weight_hh": [zeros(4000, 1000)],
        "h0": [zeros(1, H)],
        "x": [zeros(N, 2)],
        "weight_ih": [zeros(4 * H, 2)],
    },
    "backward_inputs": {
        "pre_rows": [-1, N - 1, N + 1, 2**60],
        "index": [np.zeros(N, np.int32)],
        "x": [None],
        "lengths": [np.array([-1, 6, 10]), np.array([5, 0, 9]), HUGE_LENGTHS],
        "weight_ih": [zeros(4 * H, 0), zeros(4 * H, 3), zeros(0, 2), None],
        "weight_hh": [zeros(4000, 1000), zeros(0, 0)],
        "h0": [zeros(1, H)],
    },
    "linear": {"weight": [zeros(0, 2)], "x": [zeros(U, 1)], "packed": [zeros(3)]},
    "pack_linear": {"weight": [zeros(0, 2)]},
    "count_above": {
        "dilations": [np.array([-1, 1], np.int32)],
        "per_kernel": [np.array([2, 2], np.int32), np.array([-1, 4], np.int32)],
        "masks": [np.ones((2, 83, 2), np.uint8)],
        "lengths": [HUGE_LENGTHS],
    },
    "adam_step": {"rows": [np.array([0, U]), np.array([-1, 0]), None], "m": [zeros(U, H - 1)]},
    "adam_catch_up": {
        "rows": [np.array([0, U]), None],
        "last": [np.array([-1, 0]), np.array([0, 4])],
        "now": [4, 2**63 - 1, -1],
    },
    "fit_squared_hinge": {
        "starts": [np.array(starts, np.int32) for starts in ([0, 5, 5, 16], [0, 9, 5, 15], [-1, 5, 5, 15])],
        "columns": [np.full(N, U, np.int32), np.full(N, -1, np.int32)],
        "values": [zeros(N - 1)],
    },
    "segment_reduce": {"lengths": [HUGE_LENGTHS, np.array([5, 5])]},
    "repeat_rows": {"steps": [N + 1, -1], "add_to": [zeros(N, H, dtype=np.float64), zeros(1)]},
    "max_backward": {"lengths": [np.array([-1, 6, 10])], "add_to": [zeros(N - 1, H)]},
}


FREE = {("linear", "x"), ("pack_linear", "weight")}  # which may have any number of rows
SIZES = {"m", "v", "rates", "epsilons"}  # of which only the size matters
# As fitting().
NAMES = (*NUMBERS, "linear_backward", "sum_of_squares")


def run(name: str, arguments: dict[str, Any]) -> None:
    function_of(name)(*arguments.values())


def refused(name: str, arguments: dict[str, Any]) -> None:
    # MemoryError: a size that no machine has. nanobind raises TypeError for another dtype.
    with pytest.raises((ValueError, TypeError, MemoryError)):
        run(name, arguments)


def test_every_function_is_tested() -> None:
    assert set(fitting()) == set(NAMES)
    others = {"version", "isas", "bf16", "vector_bf16_pays", "lanes", "activate", "cached_bytes", "set_cache_limit"}
    tested = {function_of(name).__name__ for name in NAMES}
    assert {name for name in dir(native._extension()) if not name.startswith("_")} == tested | others


@pytest.mark.parametrize(("name", "argument"), [(name, argument) for name in NUMBERS for argument in NUMBERS[name]])
def test_numbers_that_would_leave_an_array_are_refused(name: str, argument: str) -> None:
    for value in NUMBERS[name][argument]:
        refused(name, {**fitting()[name], argument: value})


@pytest.mark.parametrize("name", [name for name in NAMES if name != "sum_of_squares"])  # which takes any shape
def test_an_array_of_another_shape_is_refused(name: str) -> None:
    """0-d, one axis too many, and one row less, for each array of the function. What fits is left out."""
    for argument, value in fitting()[name].items():
        if not isinstance(value, np.ndarray):
            continue
        wrong = [np.zeros((), value.dtype)]
        wrong += [] if argument in SIZES else [value[None].copy()]
        wrong += [] if (name, argument) in FREE else [value[:-1].copy()]
        for other in wrong:
            refused(name, {**fitting()[name], argument: other})


@pytest.mark.parametrize("count", [0, -1, 10**9])
def test_a_senseless_number_of_threads_is_refused(count: int) -> None:
    for name, arguments in fitting().items():
        if "threads" in arguments:
            refused(name, {**arguments, "threads": count})


def test_a_size_that_rounds_up_to_more_than_64_bits_is_a_memory_error() -> None:
    with pytest.raises(MemoryError):
        native._extension().repeat_rows(1, zeros(1, 1), np.array([HUGE - 1]), HUGE - 1, None)


@pytest.mark.parametrize("name", NAMES)
def test_what_fits_runs_and_an_array_at_an_odd_address_is_refused(name: str) -> None:
    run(name, fitting()[name])
    for argument, value in fitting()[name].items():
        if isinstance(value, np.ndarray) and value.dtype.itemsize > 1:
            refused(name, {**fitting()[name], argument: unaligned(value)})


def test_pooling_takes_arrays_at_odd_addresses() -> None:
    x, lengths = np.arange(12, dtype=np.float32).reshape(6, 2), np.array([2, 4])
    want = segment_reduce(x, lengths, "max")
    assert segment_reduce(unaligned(x), lengths, "max").tobytes() == want.tobytes()
    grad = repeat_rows(unaligned(want), lengths, unaligned(x))
    assert grad.tobytes() == repeat_rows(want, lengths, x.copy()).tobytes()
