"""How a notebook displays an example, an explanation and an intervention.

The renderer of HTML stands above these classes, since it draws them. The front door of `gatewise.explain` registers it
here, so that they need not import it.
"""

from collections.abc import Callable
from typing import Any, ClassVar


class Displayed:
    """Base of the results that a notebook displays as HTML."""

    render_html: ClassVar[Callable[[Any], str]]
    """From a result to its HTML; `register_html_renderer` sets it."""

    def _repr_html_(self) -> str:
        return type(self).render_html(self)


def register_html_renderer(render: Callable[[Any], str]) -> None:
    """Display all results by `render` from now on."""
    Displayed.render_html = staticmethod(render)
