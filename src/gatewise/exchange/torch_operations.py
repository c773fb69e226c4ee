"""The operations of ATen as nodes of a graph: the modules with their rules, whose import registers them."""

from __future__ import annotations

from gatewise.exchange import (
    torch_indexing,
    torch_leaves,
    torch_numbers,
    torch_products,
    torch_reductions,
    torch_shapes,
)
from gatewise.exchange.torch_rules import RULES

MODULES = (torch_numbers, torch_products, torch_reductions, torch_indexing, torch_shapes, torch_leaves)
"""The modules that have the rules."""

__all__ = ["MODULES", "RULES"]
