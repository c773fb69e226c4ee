"""Attribution methods, one file per method: each divides one prediction among the steps by its own definition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

from gatewise.explain.attribution.members import attribute, member_notes
from gatewise.explain.attribution.method import Attribution, Method, Part

__all__ = ["METHODS", "Attribution", "Method", "Part", "attribute", "member_notes"]

_CLASSES = {
    "prefix-difference": "PrefixDifference",
    "cell-decomposition": "CellDecomposition",
    "integrated-gradients": "IntegratedGradients",
    "leave-one-out": "LeaveOneOut",
}


class _Methods(Mapping[str, Method]):
    """Each method is imported when it is first read: an explanation by one does not load the others."""

    def __init__(self) -> None:
        self._made: dict[str, Method] = {}

    def __getitem__(self, name: str) -> Method:
        if name not in self._made:
            module = import_module(f"{__name__}.{name.replace('-', '_')}") if name in _CLASSES else None
            self._made[name] = getattr(module, _CLASSES[name])()
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in _CLASSES

    def __iter__(self) -> Iterator[str]:
        return iter(_CLASSES)

    def __len__(self) -> int:
        return len(_CLASSES)


METHODS: Mapping[str, Method] = _Methods()
"""The methods by name, from exact and cheap to costly."""
