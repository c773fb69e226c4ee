"""`_repr_html_` of the result types: how a notebook shows an explanation, an example or an intervention."""

from __future__ import annotations

from importlib import import_module


class HtmlRepr:
    """A result that a notebook shows as HTML. The renderer, which imports the result types, is imported by its name."""

    def _repr_html_(self) -> str:
        html: str = import_module("gatewise.explain.render.html").result_html(self)
        return html
