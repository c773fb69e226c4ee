"""`_repr_html_` of the result types: how a notebook shows an explanation, an example or an intervention."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar


class HtmlRepr:
    """A result that a notebook shows as HTML.

    The result types do not import the renderers, which import them: `gatewise.explain` sets `render`.
    """

    render: ClassVar[Callable[[Any], str]]

    def _repr_html_(self) -> str:
        return HtmlRepr.render(self)
