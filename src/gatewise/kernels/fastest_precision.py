"""The precision in which the kernel is fastest on this processor: what "auto" stands for in a recipe or a plan."""

from __future__ import annotations

import os

from gatewise.kernels import native
from gatewise.kernels.native import Precision

__all__ = ["fastest_precision"]


def fastest_precision() -> Precision:
    """In tile registers "bf16", and in vectors where it pays; elsewhere, and where GATEWISE_ISA asks for a build that
    has no other, "float32".
    """
    here, (extension, _) = native.isas_bf16(), native.imported()
    build = os.environ.get("GATEWISE_ISA") or (here[0] if here else None)
    if extension is None or build not in here:
        return "float32"
    return "bf16" if build == "amx" or extension.vector_bf16_pays() else "float32"
