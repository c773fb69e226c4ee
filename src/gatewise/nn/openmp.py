"""How idle OpenMP threads wait, said before torch is imported.

torch's threads spin for a while after each parallel region. Between the kernel's regions and torch's own that keeps a
core busy with waiting, and where another process wants that core, a training step takes three times as long. Asked to
be passive they sleep instead. A user's own OMP_WAIT_POLICY stands, and where torch has been imported, it is too late.
"""

from __future__ import annotations

import os
import sys

__all__ = ["wait_passively"]


def wait_passively() -> None:
    """Set OMP_WAIT_POLICY=PASSIVE, unless it is set or torch is there already."""
    if "torch" not in sys.modules:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
