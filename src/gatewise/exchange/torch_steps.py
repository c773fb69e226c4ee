"""`require_same_code`: that a module does the same in each step, for more steps than it was read for.

A condition on the number of a step, such as t > 50, is in no graph of a few steps. For many steps it runs code that did
not run before.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import torch

from gatewise.errors import InputError
from gatewise.exchange.torch_export import Arguments
from gatewise.exchange.torch_original import Original
from gatewise.exchange.torch_translation import is_users

Instruction = tuple[CodeType, int]
"""Of Python: the code, and the place in it."""


def require_same_code(original: Original, read: Sequence[Arguments], many: Arguments) -> None:
    """Raise InputError naming the line of the module that runs for `many` steps, and for none of the calls that were
    read.
    """
    known: dict[Instruction, str] = {}
    for arguments in read:
        known |= _executed(original, arguments)
    for instruction, line in _executed(original, many).items():
        if instruction not in known:
            raise InputError(f"{line} runs for some numbers of steps alone, and the graph is the same for all")


def _executed(original: Original, arguments: Arguments) -> dict[Instruction, str]:
    """The instructions of the user's code that a module runs, with their lines."""
    executed: dict[Instruction, str] = {}
    collector = _Collector()

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if collector.runs or not is_users(frame.f_code.co_filename):
            return None
        frame.f_trace_lines = False
        frame.f_trace_opcodes = True
        instruction = (frame.f_code, frame.f_lasti)
        if event == "opcode" and instruction not in executed:
            executed[instruction] = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        return trace

    before = sys.gettrace()
    with collector.watched():
        sys.settrace(trace)
        try:
            original.outputs(arguments, torch.float32)
        finally:
            sys.settrace(before)
    return executed


class _Collector:
    """Whether the garbage collector runs in this thread.

    It runs in the middle of any code, after a number of allocations, which many steps reach and few do not. What it
    calls is not the module's: the callbacks of `gc`, which other libraries set, the finalizers of unreachable objects
    and the callbacks of their weak references. sys.settrace does not tell such a call from one of the module. What
    other threads run is not traced.
    """

    def __init__(self) -> None:
        self.runs = False
        self._thread = threading.get_ident()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Within it, `runs` is up to date."""
        # The callbacks are called in this order, at the start and at the end: this one before all others, and after.
        gc.callbacks.insert(0, self._starts)
        gc.callbacks.append(self._ends)
        try:
            yield
        finally:
            gc.callbacks.remove(self._starts)
            gc.callbacks.remove(self._ends)

    def _starts(self, phase: str, info: Any) -> None:
        if phase == "start" and threading.get_ident() == self._thread:
            self.runs = True

    def _ends(self, phase: str, info: Any) -> None:
        if phase == "stop" and threading.get_ident() == self._thread:
            self.runs = False
