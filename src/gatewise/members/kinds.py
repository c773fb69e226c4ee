"""The kinds of members by the names that config.json has. A kind is imported when a model has a member of it."""

from importlib import import_module

from gatewise.errors import InputError, quote
from gatewise.members.member import KINDS, Member

BUILT_IN = (
    "lstm",
    "graph",
    "ngrams",
    "columns",
    "convolutions",
    "step_features",
    "autoregression",
    "window_lstm",
    "naive",
    "ets",
    "theta",
)
"""The kinds that gatewise has; each is a module of this package, which has the name of the kind or one of these."""
_MODULES = {"graph": "graph_network"}


def kind_named(name: object) -> type[Member]:
    """The class of a kind: a built-in one, or one whose class exists already. Raises InputError for an unknown name."""
    if name in BUILT_IN and name not in KINDS:
        import_module(f"gatewise.members.{_MODULES.get(name, name)}")
    if not isinstance(name, str) or name not in KINDS:
        known = ", ".join(dict.fromkeys([*BUILT_IN, *KINDS]))
        raise InputError(f"config.json: no kind of member is called {quote(name, 40)}; there are {known}")
    return KINDS[name]
