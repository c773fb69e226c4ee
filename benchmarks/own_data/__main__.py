"""python -m benchmarks.own_data PART [options]; the usage lists the parts, `--help` after a part its options."""

from __future__ import annotations

import sys
from importlib import import_module

PARTS = ("columns", "forecast", "gain", "series", "text")

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in PARTS:
        sys.exit(f"usage: python -m benchmarks.own_data {{{','.join(PARTS)}}} [options]")
    sys.exit(import_module(f"benchmarks.own_data.{sys.argv[1]}").main(sys.argv[2:]))
