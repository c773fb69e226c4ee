"""All attacks by name, in the order in which they run."""

from __future__ import annotations

from trust.attack import Attacks
from trust.attacks import (
    clocks,
    commands,
    concurrency,
    folders,
    fuzz,
    graphs_keras,
    graphs_onnx,
    graphs_torch,
    hub,
    imports_keras,
    imports_onnx,
    imports_text,
    imports_torch,
    limits,
    numbers,
    rows,
    server,
    stops,
    streams,
    wheels,
)

MODULES = (
    *(folders, hub, fuzz, limits, rows, commands, clocks, numbers, concurrency),
    *(imports_keras, imports_onnx, imports_text, imports_torch, graphs_keras, graphs_onnx, graphs_torch),
    *(server, stops, streams, wheels),
)
ATTACKS = Attacks(one for module in MODULES for one in module.ATTACKS.items())
