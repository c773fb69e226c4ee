"""`require_same_code`: that a module does the same in each step, for more steps than it was read for.

A condition on the number of a step, such as t > 50, is in no graph of a few steps. For many steps it runs code that did
not run before.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
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

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if not is_users(frame.f_code.co_filename):
            return None
        frame.f_trace_lines = False
        frame.f_trace_opcodes = True
        instruction = (frame.f_code, frame.f_lasti)
        if event == "opcode" and instruction not in executed:
            executed[instruction] = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        original.outputs(arguments, torch.float32)
    finally:
        sys.settrace(before)
    return executed
