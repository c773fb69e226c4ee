"""Members of a model: each gives logits for sequences. A model is their weighted sum."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatewise.members.ensemble import Ensemble as Ensemble
    from gatewise.members.kinds import kind_named as kind_named
    from gatewise.members.member import Inputs as Inputs, Member as Member

_HOME = {"ensemble": "Ensemble", "kinds": "kind_named", "member": "Inputs Member"}
__all__ = sorted(" ".join(_HOME.values()).split())


def __getattr__(name: str) -> Any:
    """Imported on first use: no member imports the others."""
    for module, names in _HOME.items():
        if name in names.split():
            return getattr(import_module(f"gatewise.members.{module}"), name)
    raise AttributeError(f"module 'gatewise.members' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
