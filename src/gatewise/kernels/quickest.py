"""The precision in which the kernel is fastest on this processor: what "auto" stands for in a recipe or a plan."""

from __future__ import annotations

import os

from gatewise.kernels import native
from gatewise.kernels.native import Precision

__all__ = ["quickest"]


def quickest() -> Precision:
    """ "bf16" in tile registers, or in vectors where it pays; "float32" elsewhere, and where GATEWISE_ISA asks for a
    build that has no other.
    """
    here, (extension, _) = native.isas_bf16(), native.imported()
    build = os.environ.get("GATEWISE_ISA") or (here[0] if here else None)
    if extension is None or build not in here:
        return "float32"
    return "bf16" if build == "amx" or extension.vector_bf16_pays() else "float32"
