"""Attribution methods, one file per method: each divides one prediction among the steps by its own definition."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from gatewise.errors import InputError, did_you_mean, quote

if TYPE_CHECKING:
    from gatewise.explain.attribution.method import Method
    from gatewise.members.ensemble import Ensemble

METHODS = ("prefix-difference", "cell-decomposition", "integrated-gradients", "leave-one-out")
"""The names of the methods, from exact and cheap to costly."""


def methods_of(ensemble: Ensemble) -> list[str]:
    """The names of the methods that explain the network of an ensemble."""
    return [name for name in METHODS if not ensemble.network.refusal(name)]


def method_named(name: str, baseline: str | None = None) -> Method:
    """The method of that name, with another baseline if one is given. Only its own module is imported. Raises
    InputError for an unknown name, and for a baseline of another method than integrated-gradients.

    >>> method_named("leave-one-out")
    LeaveOneOut()
    """
    if name not in METHODS:
        raise InputError(
            f"no method is called {quote(name)}; there are {', '.join(METHODS)}{did_you_mean(name, METHODS)}"
        )
    if baseline is not None and name != "integrated-gradients":
        raise InputError(f"a baseline is for integrated-gradients, not for {name}")
    module = import_module(f"{__name__}.{name.replace('-', '_')}")
    make = getattr(module, name.title().replace("-", ""))
    method: Method
    if baseline is None:
        method = make()
    else:
        method = make(baseline=baseline)
    return method
